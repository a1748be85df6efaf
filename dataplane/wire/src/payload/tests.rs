//! Payload descriptors, row by row; the payloads of real encoders are in `tests/samples.rs`.

use proptest::prelude::*;

use super::*;

fn vp8(payload: &[u8], expect: Option<vp8::Descriptor>) {
    assert_eq!(vp8::Descriptor::read(payload), expect, "{payload:02x?}");
}

#[test]
fn vp8_descriptors() {
    let none = vp8::Descriptor::default();
    let id = |value, wide| Some(vp8::PictureId { value, wide });
    vp8(&[], None);
    vp8(&[0x10], None);
    vp8(&[0x10, 0], Some(vp8::Descriptor { len: 1, frame_start: true, key_frame: true, ..none }));
    vp8(&[0x10, 1], Some(vp8::Descriptor { len: 1, frame_start: true, ..none }));
    // Partition 1 begins no frame, and its first octet is no payload header.
    vp8(&[0x11, 0], Some(vp8::Descriptor { len: 1, ..none }));
    vp8(&[0x20, 0], Some(vp8::Descriptor { len: 1, non_reference: true, ..none }));
    let seven = vp8::Descriptor { len: 3, picture_id: id(0x7f, false), ..none };
    vp8(&[0x80, 0x80, 0x7f, 0], Some(seven));
    // Everything at once; each shorter piece is refused.
    let all = [0x90, 0xf0, 0xff, 0xfe, 0xfd, 0xfc, 0x00];
    let expect = vp8::Descriptor {
        len: 6,
        frame_start: true,
        key_frame: true,
        non_reference: false,
        layer_sync: true,
        picture_id: id(0x7ffe, true),
        tl0_index: Some(0xfd),
        temporal: Some(3),
        key_index: Some(0x1c),
    };
    vp8(&all, Some(expect));
    for len in 0..all.len() {
        vp8(&all[..len], None);
    }
    // TID without KEYIDX and KEYIDX without TID share an octet.
    let tid = vp8::Descriptor { len: 3, temporal: Some(2), ..none };
    vp8(&[0x80, 0x20, 0x9f, 0], Some(tid));
    let key = vp8::Descriptor { len: 3, key_index: Some(0x1f), ..none };
    vp8(&[0x80, 0x10, 0xbf, 0], Some(key));
}

#[test]
fn vp8_numbers_are_replaced() {
    let check = |payload: &[u8], numbers, expect: &[u8]| {
        let descriptor = vp8::Descriptor::read(payload).expect("a descriptor");
        let mut out = [0xaa; vp8::MAX_DESCRIPTOR_BYTES];
        let len = descriptor.renumber(payload, numbers, &mut out);
        assert_eq!(out[..len], *expect, "{payload:02x?}");
        assert_eq!(descriptor.renumber(payload, numbers, &mut out[..len - 1]), 0);
    };
    let numbers = vp8::Numbers { picture_id: 0x7ff1, tl0_index: 7, key_index: 0xff };
    check(&[0x90, 0xf0, 0x80, 1, 2, 0x43, 0], numbers, &[0x90, 0xf0, 0xff, 0xf1, 7, 0x5f]);
    check(&[0x90, 0x80, 0x01, 0], numbers, &[0x90, 0x80, 0x71]);
    check(&[0x90, 0x60, 9, 0x85, 0], numbers, &[0x90, 0x60, 7, 0x85]);
    check(&[0x90, 0x00, 0], numbers, &[0x90, 0x00]);
    check(&[0x10, 0], numbers, &[0x10]);
}

#[test]
fn vp9_descriptors() {
    let read = vp9::Descriptor::read;
    assert_eq!(read(&[]), None);
    // I and L in non-flexible mode, first packet of a key frame with a structure of two layers.
    let bytes = [0xaa, 0x91, 0x23, 0x31, 7, 0x38, 1, 64, 0, 180, 2, 128, 1, 104, 1, 0x04, 1, 0xff];
    let found = read(&bytes).expect("a descriptor");
    let layer = vp9::LayerIndices {
        temporal: 1,
        switching_up: true,
        spatial: 0,
        inter_layer: true,
        tl0_index: Some(7),
    };
    assert_eq!(found.layer, Some(layer));
    assert_eq!((found.len, found.picture_id), (17, Some(0x1123)));
    assert_eq!(found.resolution, Some((640, 360)));
    assert!(found.is_key_frame() && !found.flexible && !found.ends_frame);
    for len in 0..17 {
        assert_eq!(read(&bytes[..len]), None, "{len}");
    }
    // Flexible mode: references follow as long as N is set, three at most.
    let flexible = read(&[0xf4, 5, 0x42, 3, 5, 2, 0xff]).expect("a descriptor");
    assert_eq!((flexible.len, flexible.picture_id), (6, Some(5)));
    assert!(flexible.flexible && flexible.inter_picture && flexible.ends_frame);
    assert_eq!(flexible.layer.map(|layer| (layer.spatial, layer.tl0_index)), Some((1, None)));
    assert_eq!(read(&[0xf4, 5, 0x42, 3, 5, 3, 0xff]), None);
    // No layers: B alone begins a picture.
    assert!(read(&[0x08]).expect("a descriptor").is_key_frame());
    assert!(!read(&[0x48]).expect("a descriptor").is_key_frame());
    // A higher spatial layer begins none.
    assert!(!read(&[0x38, 0x02, 0]).expect("a descriptor").begins_picture());
}

#[test]
fn where_decoding_can_begin() {
    use Entry::{Full, None, Picture};
    let check = |codec, payload: &[u8], expect| {
        assert_eq!(inspect(codec, payload).entry, expect, "{codec:?} {payload:02x?}");
    };
    for codec in [Codec::H264, Codec::H265, Codec::Av1, Codec::Vp8, Codec::Vp9] {
        check(codec, &[], None);
        assert!(codec.is_video());
    }
    check(Codec::H264, &[0x67], Full);
    check(Codec::H264, &[0x65], Picture);
    check(Codec::H264, &[0x61], None);
    check(Codec::H264, &[0x78, 0, 1, 0x09, 0, 2, 0x67, 0x42], Full);
    check(Codec::H264, &[0x78, 0, 1, 0x65, 0, 1, 0x67], Full);
    check(Codec::H264, &[0x78, 0, 1, 0x68, 0, 1, 0x65], Picture);
    check(Codec::H264, &[0x78, 0, 9, 0x67], None); // sticks out
    check(Codec::H264, &[0x78, 0], None);
    check(Codec::H264, &[[0x78, 0, 0].as_slice(), &[0; 40], &[0, 1, 0x67]].concat(), None);
    check(Codec::H264, &[0x7c, 0x85], Picture);
    check(Codec::H264, &[0x7c, 0x05], None);
    check(Codec::H264, &[0x7c, 0x87], Full);
    check(Codec::H264, &[0x7c], None);
    check(Codec::H265, &[0x40, 1], Full);
    check(Codec::H265, &[0x42, 1, 0], Full);
    check(Codec::H265, &[0x26, 1, 0], Picture); // IDR_W_RADL
    check(Codec::H265, &[0x2a, 1, 0], Picture); // CRA
    check(Codec::H265, &[0x02, 1, 0], None);
    check(Codec::H265, &[0x60, 1, 0, 2, 0x44, 1, 0, 2, 0x26, 1], Picture);
    check(Codec::H265, &[0x60, 1, 0, 2, 0x40, 1], Full);
    check(Codec::H265, &[0x62, 1, 0x93], Picture);
    check(Codec::H265, &[0x62, 1, 0x13], None);
    check(Codec::H265, &[0x62, 1], None);
    check(Codec::Av1, &[0x18, 0x0a], Full);
    check(Codec::Av1, &[0x98, 0x0a], None); // continues an element
    check(Codec::Av1, &[0x10, 0x0a], None);
    check(Codec::Av1, &[0x18], None);
    check(Codec::Opus, &[], Full);
}

#[test]
fn silence() {
    for (payload, expect) in [(&[][..], true), (&[0x08], true), (&[0x0b, 0], true)] {
        assert_eq!(opus::is_dtx(payload), expect, "{payload:02x?}");
    }
    assert!(!opus::is_dtx(&opus::SILENCE));
}

#[test]
fn redundant_audio() {
    // Two older frames of 1 and 2 octets, 1920 and 960 before.
    let bytes = [0xef, 0x1e, 0x00, 1, 0xef, 0x0f, 0x00, 2, 0x6f, 1, 2, 2, 3, 3, 3];
    let red = red::Red::parse(&bytes).expect("blocks");
    assert_eq!((red.primary_type(), red.primary()), (111, 12..15));
    let older: Vec<_> = red.redundant().collect();
    let block =
        |timestamp_offset, range| red::Redundant { payload_type: 111, timestamp_offset, range };
    assert_eq!(older, [block(1920, 9..10), block(960, 10..12)]);
    // The newest frame may be empty, everything else must be there.
    assert_eq!(red::Red::parse(&bytes[..12]).map(|red| red.primary()), Some(12..12));
    for len in 0..12 {
        assert!(red::Red::parse(&bytes[..len]).is_none(), "{len}");
    }
    assert_eq!(red::Red::parse(&[0x6f, 9]).map(|red| red.primary()), Some(1..2));
    assert!(red::Red::parse(&[[0x80, 0, 0, 0]; 9].concat()).is_none());
}

proptest! {
    #[test]
    fn vp8_round_trips(
        head in prop::collection::vec(any::<u8>(), 1..12),
        (picture_id, tl0_index, key_index) in (0u16..0x8000, any::<u8>(), 0u8..32),
    ) {
        let Some(before) = vp8::Descriptor::read(&head) else { return Ok(()) };
        let numbers = vp8::Numbers { picture_id, tl0_index, key_index };
        let mut out = head.clone();
        prop_assert_eq!(before.renumber(&head, numbers, &mut out), usize::from(before.len));
        let after = vp8::Descriptor::read(&out).expect("still a descriptor");
        let mask = before.picture_id.map_or(0, vp8::PictureId::mask);
        prop_assert_eq!(after.picture_id.map_or(0, |id| id.value), picture_id & mask);
        let expect = vp8::Descriptor {
            picture_id: after.picture_id,
            tl0_index: before.tl0_index.map(|_| tl0_index),
            key_index: before.key_index.map(|_| key_index),
            ..before
        };
        prop_assert_eq!(after, expect);
        before.renumber(&head, before.numbers(), &mut out);
        prop_assert_eq!(out, head);
    }

    #[test]
    fn hostile_payloads_do_no_harm(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1, Codec::Red] {
            let found = inspect(codec, &payload);
            size::sizes(codec, &payload);
            if let Some(descriptor) = found.vp8 {
                prop_assert!(usize::from(descriptor.len) < payload.len());
            }
        }
        if let Some(red) = red::Red::parse(&payload) {
            let mut end = red.redundant().map(|block| block.range.end).max().unwrap_or(0);
            end = end.max(red.primary().start);
            prop_assert!(end <= payload.len());
        }
    }
}
