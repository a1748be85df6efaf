//! Dependency descriptors, bit by bit.

use proptest::prelude::*;

use super::*;

/// Octets from words of bits; other signs between them are for the eye.
fn bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text.bytes().filter(|sign| matches!(sign, b'0' | b'1')).collect();
    bits.chunks(8)
        .map(|chunk| (0..8).fold(0, |octet, at| octet << 1 | chunk.get(at).map_or(0, |b| b - b'0')))
        .collect()
}

/// Two spatial and two temporal layers, the upper spatial one by itself but for key frames
/// (L2T2_KEY), without resolutions. Ids begin at 60, so that they wrap.
fn l2t2_key() -> String {
    // Templates: S0 key, S0T0, S0T1, S1 key, S1T0, S1T1. Targets: S0T0, S0T1, S1T0, S1T1.
    let layers = "00 01 10 00 01 11";
    let indications = "10101010 10100000 00010000 00001010 00001010 00000001";
    let references = "0  1 0011 0  1 0001 0  1 0000 0  1 0011 0  1 0001 0";
    // ns(5) = 2, then ns(2) for each target.
    let chains = "10 0011";
    let distances = "0000 0000  0100 0011  0010 0001  0001 0001  0001 0100  0011 0010";
    format!("111100 00011 {layers} {indications} {references} {chains} {distances} 0")
}

fn key() -> Vec<u8> {
    bits(&format!("1 0 111100 00000000 00000111 10000 {}", l2t2_key()))
}

#[test]
fn a_structure_is_read() {
    let mut structure = Structure::default();
    let data = key();
    assert!(Structure::is_in(&data));
    let frame = structure.read(&data).expect("a structure");
    assert!(frame.starts && !frame.ends && frame.brings_structure);
    assert_eq!((frame.number, frame.spatial, frame.temporal), (7, 0, 0));
    assert_eq!((frame.active, frame.targets()), (Some(0b1111), 0b1111));
    assert_eq!((frame.references[0], frame.chains), (0, [0; 4]));
    assert!((0..4).all(|target| frame.indication(target) == Indication::Switch));
    let targets: Vec<_> = structure.targets().iter().map(|t| (t.spatial, t.temporal)).collect();
    assert_eq!(targets, [(0, 0), (0, 1), (1, 0), (1, 1)]);
    let chains: Vec<_> = structure.targets().iter().map(|target| target.chain).collect();
    assert_eq!(chains, [Some(0), Some(0), Some(1), Some(1)]);
    // Cut anywhere it is refused, and nothing is known then.
    for len in 0..data.len() {
        assert_eq!(structure.read(&data[..len]), Err(Unread::Malformed), "{len}");
        assert!(structure.targets().is_empty());
    }
    assert_eq!(structure.frame(&bits("11 111100 0000000000001000")), Err(Unread::Unknown));
}

#[test]
fn sizes_of_spatial_layers_are_read() {
    let mut structure = Structure::default();
    let brings = |sizes: &str| {
        let text = l2t2_key();
        let templates = text.strip_suffix(" 0").expect("no sizes");
        bits(&format!("1 0 111100 00000000 00000111 10000 {templates} {sizes}"))
    };
    let size = |width: u32, height: u32| format!("{:016b} {:016b}", width - 1, height - 1);
    let mut check = |low: String, high: String, expect| {
        let data = brings(&format!("1 {low} {high}"));
        structure.read(&data).expect("a structure");
        assert_eq!((structure.sizes(), structure.highest_spatial()), (expect, 1));
        // Behind the frame there is nothing, so a structure that is cut is cut within them.
        for len in 0..data.len() {
            assert_eq!(structure.read(&data[..len]), Err(Unread::Malformed), "{len}");
            assert_eq!((structure.sizes(), structure.highest_spatial()), ([None; LAYERS], 0));
        }
    };
    let large = Some((1279, 719));
    check(size(640, 360), size(1279, 719), [Some((640, 360)), large, None]);
    check(size(1, 1), size(16_384, 16_384), [Some((1, 1)), Some((16_384, 16_384)), None]);
    // What nobody has.
    check(size(65_536, 360), size(1279, 719), [None, large, None]);
    check(size(640, 16_385), size(1279, 719), [None, large, None]);
    structure.read(&brings("0")).expect("a structure");
    assert_eq!((structure.sizes(), structure.highest_spatial()), ([None; LAYERS], 1));
}

#[test]
fn frames_name_a_template_and_what_differs() {
    let mut structure = Structure::default();
    structure.read(&key()).expect("a structure");
    let frame = |text: &str| structure.frame(&bits(text));
    // S1T0, whose id has wrapped.
    let found = frame("11 000000 0000000100000001").expect("a frame");
    assert!(found.starts && found.ends && !found.brings_structure);
    assert_eq!((found.number, found.spatial, found.temporal), (257, 1, 0));
    assert_eq!((found.targets(), found.active), (0b1100, None));
    assert_eq!(
        (found.references[..2].to_vec(), found.chains[..2].to_vec()),
        (vec![4, 0], vec![1, 4])
    );
    // Ids of nothing.
    for id in ["000010", "111011"] {
        assert_eq!(frame(&format!("00 {id} 0000000000000000")), Err(Unread::Unknown), "{id}");
    }
    // All that can differ: a mask of targets, indications, references of each size, chains.
    let custom = "00 111101 0000000000000010 01111 0011 00011011 01 0101 10 00010000 \
                  11 000100000001 00 11111111 00000011";
    let found = frame(custom).expect("a frame");
    assert_eq!(found.active, Some(0b0011));
    let indications = [0, 1, 2, 3].map(|target| found.indication(target));
    use Indication::{Absent, Discardable, Required, Switch};
    assert_eq!(indications, [Absent, Discardable, Switch, Required]);
    assert_eq!(found.references, [6, 17, 258, 0, 0, 0, 0, 0]);
    assert_eq!(found.chains, [255, 3, 0, 0]);
    let data = bits(custom);
    for len in 4..data.len() {
        assert_eq!(structure.frame(&data[..len]), Err(Unread::Malformed), "{len}");
    }
    for len in 0..3 {
        assert_eq!(structure.frame(&data[..len]), Err(Unread::Malformed), "{len}");
    }
    // More references than any codec has.
    let many = format!("00 111101 0000000000000010 00010 {} 00", "01 0001".repeat(9));
    assert_eq!(frame(&many), Err(Unread::Malformed));
    // A structure is not taken by the way.
    assert_eq!(structure.frame(&key()), Err(Unread::Unknown));
}

#[test]
fn structures_have_bounds() {
    let mut structure = Structure::default();
    // More than 64 templates, a fifth spatial layer, a ninth temporal one.
    for layers in ["00".repeat(64), "10".repeat(4), "01".repeat(8)] {
        let text = format!("10 000000 0000000000000000 10000 000000 00000 {layers} 11");
        let mut data = bits(&text);
        data.extend([0; 255]);
        assert_eq!(structure.read(&data), Err(Unread::Malformed), "{layers}");
    }
    // 64 templates, 32 targets and 32 chains fit the syntax, though no header extension.
    let mut text = format!("10 000000 0000000000000000 10000 000000 11111 {} 11", "00".repeat(63));
    text.push_str(&"10".repeat(64 * 32));
    text.push_str(&"0".repeat(64));
    text.push_str("111111");
    text.push_str(&"00000".repeat(32));
    text.push_str(&"0001".repeat(64 * 32));
    text.push('0');
    let frame = structure.read(&bits(&text)).expect("a structure");
    assert_eq!((frame.targets(), frame.chains), (u32::MAX, [1; 4]));
    assert_eq!(structure.all_targets(), u32::MAX);
}

#[test]
fn masks_are_put_where_they_belong() {
    let mut structure = Structure::default();
    structure.read(&key()).expect("a structure");
    let custom = "00 111101 0000000000000010 01111 0011 00011011 01 0101 00 11111111 00000011";
    for data in [bits("11 000000 0000000100000001"), bits(custom), key()] {
        let read = |data: &[u8]| match Structure::is_in(data) {
            true => Structure::default().read(data),
            false => structure.frame(data),
        };
        let before = read(&data).expect("a frame");
        let mut out = [0xaa; 80];
        let len = before.mask.write(&data, 0b0101, &mut out).expect("room");
        assert!(len <= data.len() + Mask::MAX_GROWTH);
        let after = read(&out[..len]).expect("a frame");
        let mask = after.mask;
        assert!(mask.present);
        assert_eq!(after, Frame { active: Some(0b0101), mask, ..before });
        // A second time it takes the place of the first.
        let again = out;
        let len = mask.write(&again[..len], 0b0001, &mut out).expect("room");
        let after = read(&out[..len]).expect("a frame");
        assert_eq!(after, Frame { active: Some(0b0001), mask, ..before });
        assert_eq!(mask.write(&again[..len], 1, &mut out[..3]), None);
    }
}

proptest! {
    #[test]
    fn hostile_descriptors_do_no_harm(
        first in prop::collection::vec(any::<u8>(), 0..255),
        second in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut structure = Structure::default();
        let mut brings = first.clone();
        if let Some(octet) = brings.get_mut(3) {
            *octet |= STRUCTURE;
        }
        let found = structure.read(&brings);
        prop_assert_eq!(structure.targets().is_empty(), found.is_err());
        if let Ok(frame) = structure.frame(&second) {
            prop_assert!(frame.spatial < 4 && frame.temporal < 8);
            prop_assert_eq!(frame.targets() & !structure.all_targets(), 0);
        }
    }
}
