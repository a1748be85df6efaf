//! Repairs made here, octet by octet, and taken apart again.

use proptest::prelude::*;

use super::*;
use crate::extension::ExtensionMap;

const SSRC: u32 = 0x0102_0304;
/// Ids of the extensions in the packets.
const MID: u8 = 3;
const TRANSPORT_SEQUENCE: u8 = 5;

fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::default();
    map.insert(MID, ExtensionKind::Mid);
    map.insert(TRANSPORT_SEQUENCE, ExtensionKind::TransportSequence);
    map
}

/// A packet to be protected.
#[derive(Clone, Debug, Default)]
struct Packet {
    marker: bool,
    csrcs: Vec<u32>,
    /// A mid, and a transport-wide number.
    extension: Option<(Vec<u8>, u16)>,
    body: Vec<u8>,
    padding: u8,
}

impl Packet {
    /// As it is sent, but for its transport-wide number, under `sequence`.
    fn write(&self, sequence: u16, number: Option<u16>) -> Vec<u8> {
        let mut bytes = vec![0x80 | self.csrcs.len() as u8, 96 | u8::from(self.marker) << 7];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend((u32::from(sequence) * 3000).to_be_bytes());
        bytes.extend(SSRC.to_be_bytes());
        bytes.extend(self.csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
        if let Some((mid, own)) = &self.extension {
            bytes[0] |= 0x10;
            let mut elements = vec![MID << 4 | (mid.len() as u8 - 1)];
            elements.extend(mid);
            elements.push(TRANSPORT_SEQUENCE << 4 | 1);
            elements.extend(number.unwrap_or(*own).to_be_bytes());
            elements.resize(elements.len().next_multiple_of(4), 0);
            bytes.extend([0xbe, 0xde, 0, elements.len() as u8 / 4]);
            bytes.extend(elements);
        }
        bytes.extend(&self.body);
        if self.padding > 0 {
            bytes[0] |= PADDING;
            bytes.resize(bytes.len() + usize::from(self.padding) - 1, 0);
            bytes.push(self.padding);
        }
        bytes
    }
}

/// The mask, written as short as it can be, or longer.
fn write_mask(mask: u128, parts: usize) -> Vec<u8> {
    let first = (mask as u16).reverse_bits() >> 1;
    let second = ((mask >> 15) as u32).reverse_bits() >> 1;
    let third = ((mask >> 46) as u64).reverse_bits() >> 1;
    let end = |part| u64::from(parts == part);
    let mut bytes = (first | (end(1) as u16) << 15).to_be_bytes().to_vec();
    if parts > 1 {
        bytes.extend((second | (end(2) as u32) << 31).to_be_bytes());
    }
    if parts > 2 {
        bytes.extend((third | end(3) << 63).to_be_bytes());
    }
    bytes
}

/// The repair of packets whose numbers begin at `base`, as a sender makes it.
fn protect(base: u16, mask: u128, parts: usize, packets: &[Packet]) -> Vec<u8> {
    let all = (0..MAX_PROTECTED as u16).filter(|at| mask >> at & 1 == 1);
    let all: Vec<Vec<u8>> =
        all.zip(packets).map(|(at, packet)| packet.write(base.wrapping_add(at), Some(0))).collect();
    let longest = all.iter().map(Vec::len).max().unwrap_or(12);
    let (mut fields, mut body) = ([0; 8], vec![0; longest - 12]);
    for packet in &all {
        let length = (packet.len() as u16 - 12).to_be_bytes();
        xor(&mut fields, &[packet[0] & 0x3f, packet[1], length[0], length[1]]);
        xor(&mut fields[4..], &packet[4..8]);
        xor(&mut body, &packet[12..]);
    }
    let mut bytes = fields.to_vec();
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(SSRC.to_be_bytes());
    bytes.extend(base.to_be_bytes());
    bytes.extend(write_mask(mask, parts));
    bytes.extend(body);
    bytes
}

/// Recovers number `lost` of the protected packets from the others, as they came.
fn recover(repair: &[u8], packets: &[Packet], lost: &[usize]) -> Option<Vec<u8>> {
    let repair = Repair::parse(repair).expect("a repair");
    let mut out = vec![0xaa; 2048];
    let mut recovery = repair.begin(&mut out)?;
    let all = (0..MAX_PROTECTED as u16).filter(|at| repair.mask >> at & 1 == 1);
    let mut missing = 0;
    for (number, (at, packet)) in all.zip(packets).enumerate() {
        let sequence = repair.base.wrapping_add(at);
        if lost.contains(&number) {
            missing = sequence;
            continue;
        }
        let mut bytes = packet.write(sequence, None);
        bytes[0] &= !PADDING;
        bytes.truncate(bytes.len() - usize::from(packet.padding));
        let view = RtpView::parse(&bytes).expect("RTP");
        let located = Located::find(&view, &extensions());
        assert!(recovery.add(&view, &located, packet.padding));
    }
    let len = recovery.end(repair.ssrc, missing)?;
    out.truncate(len);
    Some(out)
}

fn of_body(body: &[u8]) -> Packet {
    Packet { body: body.to_vec(), ..Packet::default() }
}

#[test]
fn a_repair_is_read() {
    let packets = [of_body(b"one"), of_body(b"three!")];
    let bytes = protect(65_535, 0b101, 1, &packets);
    let repair = Repair::parse(&bytes).expect("a repair");
    assert_eq!((repair.ssrc, repair.base, repair.mask), (SSRC, 65_535, 0b101));
    assert_eq!(bytes.len(), 20 + 6);
    // The shorter one out of the longer, and the other way round, across the wrap.
    assert_eq!(recover(&bytes, &packets, &[0]), Some(packets[0].write(65_535, Some(0))));
    assert_eq!(recover(&bytes, &packets, &[1]), Some(packets[1].write(1, Some(0))));
}

#[test]
fn masks_end_where_they_say() {
    let check = |mask: u128, parts, len: usize| {
        let bytes = protect(7, mask, parts, &[]);
        assert_eq!(bytes.len(), len);
        let repair = Repair::parse(&bytes).expect("a repair");
        assert_eq!((repair.base, repair.mask, repair.body), (7, mask, &[][..]));
        for short in 0..len {
            assert_eq!(Repair::parse(&bytes[..short]), Err(FlexFecError::Short), "{short}");
        }
    };
    assert_eq!(protect(7, 0b11, 1, &[])[16..], [0, 7, 0xe0, 0]);
    assert_eq!(protect(7, 1 << 15, 2, &[])[18..], [0, 0, 0xc0, 0, 0, 0]);
    check(1, 1, 20);
    check(0x7fff, 1, 20);
    check(1 << 14, 3, 32);
    check(1 << 15, 2, 24);
    check(1 << 45 | 1, 2, 24);
    check(1 << 46, 3, 32);
    check(1 << 108, 3, 32);
    check((1 << 109) - 1, 3, 32);
}

#[test]
fn what_nobody_here_can_use_is_refused() {
    let good = protect(7, 1, 1, &[of_body(b"x")]);
    let check = |changes: &[(usize, u8)], expect| {
        let mut bytes = good.clone();
        for (at, octet) in changes {
            bytes[*at] = *octet;
        }
        assert_eq!(Repair::parse(&bytes).map(drop), expect, "{changes:?}");
    };
    check(&[], Ok(()));
    check(&[(9, 0xff), (10, 0xff), (11, 0xff)], Ok(()));
    check(&[(0, 0x80)], Err(FlexFecError::Retransmission));
    check(&[(0, 0x40)], Err(FlexFecError::Fixed));
    check(&[(8, 0)], Err(FlexFecError::Sources));
    check(&[(8, 2)], Err(FlexFecError::Sources));
    check(&[(18, 0x80), (19, 0)], Err(FlexFecError::Mask));
    check(&[(18, 0)], Err(FlexFecError::Short));
    let mut endless = protect(7, 1 << 100, 3, &[]);
    endless[24] &= 0x7f;
    assert_eq!(Repair::parse(&endless), Err(FlexFecError::Mask));
}

#[test]
fn what_does_not_fit_is_not_recovered() {
    let packets = [of_body(b"short"), of_body(b"a longer one")];
    let bytes = protect(7, 0b11, 1, &packets);
    let repair = Repair::parse(&bytes).expect("a repair");
    assert!(repair.begin(&mut [0; 20]).is_none());
    // A packet that is longer than all that the repair protects.
    let mut out = [0; 64];
    let mut recovery = repair.begin(&mut out).expect("room");
    let long = of_body(&[0; 40]).write(7, None);
    let view = RtpView::parse(&long).expect("RTP");
    assert!(!recovery.add(&view, &Located::default(), 0));
    // A length beyond the octets that are there.
    let mut torn = bytes.clone();
    torn[2] = 1;
    assert_eq!(recover(&torn, &packets, &[0]), None);
    // What is left of two is more than one was long.
    let three = [of_body(b"ab"), of_body(b"abcd"), of_body(b"xyz.1234")];
    let bytes = protect(7, 0b111, 1, &three);
    assert_eq!(recover(&bytes, &three, &[0, 2]), None);
}

fn any_packet() -> impl Strategy<Value = Packet> {
    let extension = (prop::collection::vec(any::<u8>(), 1..9), any::<u16>());
    (
        any::<bool>(),
        prop::collection::vec(any::<u32>(), 0..4),
        prop::option::of(extension),
        prop::collection::vec(any::<u8>(), 0..300),
        prop_oneof![Just(0), 1..40_u8],
    )
        .prop_map(|(marker, csrcs, extension, body, padding)| Packet {
            marker,
            csrcs,
            extension,
            body,
            padding,
        })
}

proptest! {
    #[test]
    fn any_one_comes_back_as_it_was(
        base in any::<u16>(),
        places in prop::collection::btree_set(0..MAX_PROTECTED, 1..20),
        packets in prop::collection::vec(any_packet(), 20),
        lost in any::<prop::sample::Index>(),
    ) {
        let mask = places.iter().fold(0_u128, |mask, at| mask | 1 << at);
        let least = match places.last() { Some(46..) => 3, Some(15..) => 2, _ => 1 };
        let lost = lost.index(places.len());
        let at = places.iter().nth(lost).copied().unwrap_or(0);
        let expect = packets[lost].write(base.wrapping_add(at as u16), Some(0));
        for parts in least..=3 {
            let repair = protect(base, mask, parts, &packets);
            prop_assert_eq!(recover(&repair, &packets, &[lost]), Some(expect.clone()));
        }
    }

    #[test]
    fn hostile_octets_are_harmless(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        body in prop::collection::vec(any::<u8>(), 0..80),
        padding in any::<u8>(),
    ) {
        let Ok(repair) = Repair::parse(&bytes) else { return Ok(()) };
        prop_assert!(repair.mask != 0 && repair.mask >> MAX_PROTECTED == 0);
        let mut out = [0; 100];
        let Some(mut recovery) = repair.begin(&mut out) else { return Ok(()) };
        let packet = of_body(&body).write(1, None);
        let view = RtpView::parse(&packet).expect("RTP");
        let _ = recovery.add(&view, &Located::default(), padding);
        if let Some(len) = recovery.end(repair.ssrc, 9) {
            let view = RtpView::parse(&out[..len]).expect("RTP");
            prop_assert_eq!((view.ssrc(), view.sequence()), (repair.ssrc, 9));
        }
    }
}
