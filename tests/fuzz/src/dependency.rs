//! Dependency descriptors: what is read keeps its bounds, and a route that believes them sends
//! numbers without gaps.

use ringway_sfu::call::route::{Decision, Limits, Route};
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_wire::RtpView;
use ringway_wire::dependency::{MAX_REFERENCES, Structure};
use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};
use ringway_wire::payload::Codec;

/// Packets of one input.
const PACKETS: usize = 300;

/// Takes `data` for descriptors, each behind an octet that tells how long it is, in packets of AV1
/// in order.
pub fn dependency(data: &[u8]) {
    let mut structure = Structure::default();
    let mut source = Source::new(SourceKind::Camera, 1);
    source.bind(0, Some(1), None);
    let mut route = Route::new(true, Limits::default());
    let mut extensions = ExtensionMap::default();
    extensions.insert(1, ExtensionKind::DependencyDescriptor);
    let mut rest = data;
    let mut next = None;
    for at in 0..PACKETS {
        let Some((&len, after)) = rest.split_first() else { break };
        let (descriptor, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        read(&mut structure, descriptor);
        let bytes = packet(at as u16, descriptor);
        let view = RtpView::parse(&bytes).expect("a packet of ours");
        let format = (Codec::Av1, 90_000);
        let now_ns = at as u64 * 10_000_000;
        let (prepared, _) = source
            .prepare(now_ns, 0, &view, &extensions, format, false)
            .expect("packets come in order");
        route.set_scalable(source.is_scalable());
        route.set_live(source.live());
        // What the publisher wants of routes changes too.
        let max_layer = len % 3;
        route.set_limits(Limits { max_layer, max_temporal: len % 4, ..Limits::default() });
        match route.offer(&prepared) {
            Decision::Drop => {}
            Decision::Pad(_) => panic!("nothing came late"),
            Decision::Send(sent) => {
                assert!(next.is_none_or(|next| next == sent.sequence), "{sent:?} {next:?}");
                next = Some(sent.sequence.wrapping_add(1));
                let again = source.reread(0, &view, &extensions, format, now_ns);
                assert!(again.is_some());
            }
        }
        let _ = (route.waits(), route.layer(), route.poll_key_frame(now_ns, 0));
    }
}

fn read(structure: &mut Structure, descriptor: &[u8]) {
    let found = match Structure::is_in(descriptor) {
        true => structure.read(descriptor),
        false => structure.frame(descriptor),
    };
    let Ok(frame) = found else { return };
    assert!(frame.spatial < 4 && frame.temporal < 8);
    assert_eq!(frame.targets() & !structure.all_targets(), 0);
    assert_eq!(frame.active.unwrap_or(0) & !structure.all_targets(), 0);
    let listed = frame.references.iter().take_while(|back| **back != 0).count();
    assert!(listed <= MAX_REFERENCES);
    assert!(structure.highest_spatial() < 4);
    let sizes = structure.sizes().into_iter().flatten();
    assert!(sizes.flat_map(|(width, height)| [width, height]).all(|side| side <= 16_384));
    if !Structure::is_in(descriptor) {
        assert_eq!(structure.frame(descriptor), Ok(frame));
    }
}

fn packet(at: u16, descriptor: &[u8]) -> Vec<u8> {
    // Three packets a picture; now and then one begins a sequence.
    let fields =
        HeadFields { sequence: at, timestamp: u32::from(at / 3), ssrc: 1, ..HeadFields::default() };
    let mut out = vec![0; 300];
    let mut head = HeadWriter::begin(&mut out, &fields, &[], HeadForm::TwoByte).expect("room");
    head.put(1, descriptor).expect("room");
    let len = head.end();
    out.truncate(len);
    let begins = at.is_multiple_of(3) && Structure::is_in(descriptor);
    out.extend([0x10 | u8::from(begins) << 3, 0x0a, 1, 2]);
    out
}
