//! Payload descriptors: what is read lies in the payload, and a rewritten one reads as written.

use ringway_wire::payload::{Codec, Entry, inspect, opus, red, size, vp8, vp9};

/// Reads `data` as a payload of every codec, also for the size of its pictures; as VP8 it is
/// renumbered, as RED taken apart.
pub fn descriptors(data: &[u8]) {
    for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp9, Codec::Vp8] {
        let found = inspect(codec, data);
        assert!(!data.is_empty() || found.entry == Entry::None);
        assert_eq!(
            found.vp8.is_some(),
            codec == Codec::Vp8 && vp8::Descriptor::read(data).is_some()
        );
        check_sizes(codec, data, found.entry);
    }
    assert_eq!(opus::is_dtx(data), data.len() < 3);
    if let Some(descriptor) = vp9::Descriptor::read(data) {
        assert!((1..=data.len()).contains(&usize::from(descriptor.len)));
    }
    if let Some(descriptor) = vp8::Descriptor::read(data) {
        check_vp8(data, &descriptor);
    }
    if let Some(found) = red::Red::parse(data) {
        let mut at = 0;
        for block in found.redundant() {
            assert!(block.range.start >= at && block.range.end <= found.primary().start);
            at = block.range.end;
        }
        assert_eq!(found.primary().end, data.len());
    }
}

fn check_sizes(codec: Codec, data: &[u8], entry: Entry) {
    let sizes = size::sizes(codec, data);
    assert!(sizes.iter().flatten().all(|(width, height)| *width > 0 && *height > 0));
    // Descriptors of VP9 tell what they like wherever they like.
    if codec != Codec::Vp9 && sizes != [None; size::LAYERS] {
        let [Some((width, height)), None, None] = sizes else { panic!("{sizes:?}") };
        assert!(width <= 16_384 && height <= 16_384 && entry == Entry::Full);
    }
}

fn check_vp8(data: &[u8], descriptor: &vp8::Descriptor) {
    let len = usize::from(descriptor.len);
    assert!(len < data.len() && len <= vp8::MAX_DESCRIPTOR_BYTES);
    let mut out = data.to_vec();
    assert_eq!(descriptor.renumber(data, descriptor.numbers(), &mut out), len);
    assert_eq!(out, data);
    let numbers = vp8::Numbers { picture_id: 0x5a5a, tl0_index: 0x5a, key_index: 0x0a };
    descriptor.renumber(data, numbers, &mut out);
    let after = vp8::Descriptor::read(&out).expect("a renumbered descriptor");
    let written = after.picture_id.map(|id| id.value);
    assert_eq!(written, descriptor.picture_id.map(|id| 0x5a5a & id.mask()));
    assert_eq!(after.tl0_index, descriptor.tl0_index.map(|_| 0x5a));
    assert_eq!(after.key_index, descriptor.key_index.map(|_| 0x0a));
    assert_eq!((after.len, after.key_frame), (descriptor.len, descriptor.key_frame));
    assert_eq!(out[len..], data[len..]);
    let mut head = [0; vp8::MAX_DESCRIPTOR_BYTES + 1];
    let len = descriptor.write_key_frame(numbers, &mut head);
    let own = vp8::Descriptor::read(&head[..len + 1]).expect("a descriptor of ours");
    assert!(own.key_frame && usize::from(own.len) == len);
    assert_eq!(own.picture_id.map(|id| id.wide), descriptor.picture_id.map(|id| id.wide));
}
