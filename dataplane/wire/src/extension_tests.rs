//! Header extensions found, row by row.

use super::*;

const MAP: [(u8, ExtensionKind); 5] = [
    (1, ExtensionKind::Mid),
    (2, ExtensionKind::AudioLevel),
    (4, ExtensionKind::Rid),
    (14, ExtensionKind::TransportSequence),
    (200, ExtensionKind::DependencyDescriptor),
];

fn map() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for (id, kind) in MAP {
        assert!(map.insert(id, kind), "{id}");
    }
    map
}

/// A packet of one octet of payload with `data` under `profile`.
fn packet(profile: u16, data: &[u8]) -> Vec<u8> {
    assert!(data.len().is_multiple_of(4), "an extension has whole words");
    let mut bytes = vec![0x90, 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend(profile.to_be_bytes());
    bytes.extend((data.len() as u16 / 4).to_be_bytes());
    bytes.extend(data);
    bytes.push(0xaa);
    bytes
}

fn check(profile: u16, data: &[u8], expect: &[(ExtensionKind, &[u8])]) {
    let bytes = packet(profile, data);
    let view = RtpView::parse(&bytes).expect("a valid packet");
    let located = Located::find(&view, &map());
    let found: Vec<_> = ExtensionKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, located.get(&bytes, kind)?)))
        .collect();
    assert_eq!(found, expect, "{profile:04x} {data:02x?}");
    assert_eq!(located.set().iter().count(), expect.len());
}

#[test]
fn elements_of_both_forms() {
    use ExtensionKind::{AudioLevel, DependencyDescriptor, Mid, Rid, TransportSequence};
    check(ONE_BYTE_PROFILE, &[], &[]);
    check(ONE_BYTE_PROFILE, &[0x10, b'0', 0, 0], &[(Mid, b"0")]);
    // Padding before, between and after.
    check(
        ONE_BYTE_PROFILE,
        &[0, 0x10, b'7', 0, 0x20, 0x85, 0xe1, 1, 2, 0, 0, 0],
        &[(Mid, b"7"), (AudioLevel, &[0x85]), (TransportSequence, &[1, 2])],
    );
    // Ids that nobody agreed on are passed over.
    check(ONE_BYTE_PROFILE, &[0x32, 9, 9, 9, 0x40, b'q', 0, 0], &[(Rid, b"q")]);
    // 15 ends it; so does an element that sticks out; so does padding with a length.
    check(ONE_BYTE_PROFILE, &[0xf0, 0x10, b'0', 0], &[]);
    check(ONE_BYTE_PROFILE, &[0x10, b'0', 0x4f, b'q'], &[(Mid, b"0")]);
    check(ONE_BYTE_PROFILE, &[0x01, 0, 0x10, b'0'], &[]);
    // The first of two counts.
    check(ONE_BYTE_PROFILE, &[0x10, b'0', 0x10, b'1'], &[(Mid, b"0")]);
    // Two-byte elements may be empty, long, and have high ids; the lowest bits mean nothing.
    check(
        0x100f,
        &[1, 1, b'0', 4, 0, 0, 200, 1, 7, 0, 0, 0],
        &[(Mid, b"0"), (Rid, b""), (DependencyDescriptor, &[7])],
    );
    check(TWO_BYTE_PROFILE, &[1, 3, b'0', 0], &[]);
    check(TWO_BYTE_PROFILE, &[0, 0, 0, 1], &[]);
    // Another profile's data is nobody's business.
    check(0x4242, &[0x10, b'0', 0, 0], &[]);
}

#[test]
fn ids_are_given_once() {
    let mut map = map();
    assert_eq!(map.kind(2), Some(ExtensionKind::AudioLevel));
    assert_eq!(map.kind(3), None);
    assert_eq!(map.id(ExtensionKind::PlayoutDelay), None);
    assert!(map.needs_two_byte());
    for (id, expect) in [(0, false), (15, false), (1, false), (3, true), (3, true), (255, true)] {
        assert_eq!(map.insert(id, ExtensionKind::PlayoutDelay), expect, "{id}");
    }
    // The kind moved: its old id is free.
    assert_eq!(map.kind(3), None);
    assert_eq!(map.id(ExtensionKind::PlayoutDelay), Some(255));
    assert!(map.insert(3, ExtensionKind::DependencyDescriptor));
    assert!(map.insert(5, ExtensionKind::PlayoutDelay));
    assert!(!map.needs_two_byte());
    assert_eq!(map.set().iter().count(), 6);
}

#[test]
fn values_are_replaced_in_place() {
    let mut bytes = packet(ONE_BYTE_PROFILE, &[0xe1, 1, 2, 0x10, b'0', 0, 0, 0]);
    let located = Located::find(&RtpView::parse(&bytes).expect("valid"), &map());
    assert!(located.overwrite(&mut bytes, ExtensionKind::TransportSequence, &[8, 9]));
    assert!(!located.overwrite(&mut bytes, ExtensionKind::TransportSequence, &[8]));
    assert!(!located.overwrite(&mut bytes, ExtensionKind::Rid, b"q"));
    assert_eq!(located.get(&bytes, ExtensionKind::TransportSequence), Some(&[8, 9][..]));
    assert_eq!(located.get(&bytes, ExtensionKind::Mid), Some(&b"0"[..]));
    // A packet that was cut meanwhile is no fault.
    assert_eq!(located.get(&bytes[..14], ExtensionKind::Mid), None);
}
