//! Header extensions: what is found lies in the packet, and what is written for the next hop is
//! found there again.

use ringway_wire::RtpView;
use ringway_wire::extension::{Elements, ExtensionKind, ExtensionMap, Located};
use ringway_wire::extension_value as value;
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};

/// Finds the extensions of `data` under a fixed map, reads every value, and writes the elements
/// again in both forms.
pub fn extensions(data: &[u8]) {
    let Ok(view) = RtpView::parse(data) else { return };
    let mut map = ExtensionMap::default();
    for (id, kind) in (1..).zip(ExtensionKind::ALL) {
        assert!(map.insert(id, kind));
    }
    let located = Located::find(&view, &map);
    for kind in ExtensionKind::ALL {
        assert_eq!(located.set().contains(kind), located.get(data, kind).is_some());
        if let Some(octets) = located.get(data, kind) {
            read_value(octets);
        }
    }
    let Some(extension) = view.extension() else {
        return assert!(located.set().is_empty());
    };
    let elements: Vec<_> = Elements::new(extension.profile, extension.data).collect();
    for element in &elements {
        assert!(element.id != 0);
        assert_eq!(&extension.data[element.offset..][..element.data.len()], element.data);
    }
    for form in [HeadForm::OneByte, HeadForm::TwoByte] {
        let mut out = vec![0; data.len() * 2 + 64];
        let mut head = HeadWriter::begin(&mut out, &HeadFields::default(), &[], form)
            .expect("there is room for a header");
        let mut written = Vec::new();
        for element in &elements {
            // The length field of a header counts up to 2^16 words.
            if head.put(element.id, element.data).is_some() {
                written.push((element.id, element.data));
            }
        }
        let len = head.end();
        let again = RtpView::parse(&out[..len]).expect("what was written is valid");
        let found: Vec<_> = again.extension().map_or(Vec::new(), |extension| {
            Elements::new(extension.profile, extension.data)
                .map(|element| (element.id, element.data))
                .collect()
        });
        assert_eq!(found, written);
    }
}

fn read_value(octets: &[u8]) {
    if let Some(level) = value::AudioLevel::read(octets) {
        assert_eq!(level.octets()[0], octets[0]);
    }
    if let Some(delay) = value::PlayoutDelay::read(octets) {
        assert_eq!(delay.octets(), octets);
    }
    if let Some(time) = value::AbsCaptureTime::read(octets) {
        assert_eq!(time.write(&mut [0; 16]), octets);
    }
    if let Some(descriptor) = value::DependencyDescriptor::read(octets) {
        let mut copy = octets.to_vec();
        value::DependencyDescriptor::renumber(&mut copy, descriptor.frame);
        assert_eq!(copy, octets);
    }
    let _ = value::read_abs_send_time(octets);
    let _ = value::read_transport_sequence(octets);
    let _ = value::VideoOrientation::read(octets);
    let _ = value::FrameMarking::read(octets);
}
