//! SACKs about chunks under way.

use super::*;
use crate::messages::Outgoing;

const FIRST: u32 = u32::MAX - 2;
const CONTEXT: SackContext = SackContext { recovering: false, quiet: false };

/// Messages of so many chunks of 100 bytes each, sent at time 0.
fn flight(chunks: &[usize], message: impl Fn() -> Outgoing) -> (Flight, Messages) {
    let (mut flight, mut messages) = (Flight::new(FIRST), Messages::default());
    for count in chunks {
        let slot = messages.insert(&vec![7; 100 * count], message());
        for at in 0..*count {
            messages.note_chunk(slot, 100);
            let tsn = flight.next_tsn();
            let chunk = Repeat { tsn, message: slot, offset: 100 * at, len: 100, flags: 0 };
            flight.push(0, &chunk);
        }
    }
    (flight, messages)
}

fn reliable() -> Outgoing {
    Outgoing { expires_ns: u64::MAX, ..Outgoing::default() }
}

fn lossy() -> Outgoing {
    Outgoing { max_retransmissions: Some(0), unordered: true, ..reliable() }
}

fn gaps(blocks: &[(u16, u16)]) -> Vec<u8> {
    blocks.iter().flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()]).flatten().collect()
}

/// So many of the chunks are acknowledged, and these blocks.
fn sack(
    flight: &mut Flight,
    messages: &mut Messages,
    at: u32,
    blocks: &[(u16, u16)],
) -> Option<Acknowledged> {
    let cumulative = FIRST.wrapping_add(at).wrapping_sub(1);
    flight.handle_sack(50, cumulative, &gaps(blocks), CONTEXT, messages)
}

#[test]
fn acknowledged_bytes_are_counted_once() {
    // Of ten chunks: (acknowledged, blocks, bytes, under way after)
    for (at, blocks, acked, left) in [
        (0, &[][..], 0, 10),
        (3, &[], 3, 7),
        (10, &[], 10, 0),
        (2, &[(2, 3), (5, 5)], 5, 5),
        (0, &[(2, 11)], 0, 10),
        (0, &[(3, 4), (2, 6)], 2, 8),
        (0, &[(0, 4)], 0, 10),
        (0, &[(4, 3)], 0, 10),
    ] {
        let (mut flight, mut messages) = flight(&[1; 10], reliable);
        for repeat in 0..2 {
            let found = sack(&mut flight, &mut messages, at, blocks).expect("taken");
            let expect = if repeat == 0 { acked * 116 } else { 0 };
            assert_eq!(found.bytes, expect, "{at} {blocks:?}");
            assert_eq!(found.advanced, repeat == 0 && at > 0);
        }
        assert_eq!(flight.bytes(), left * 116, "{at} {blocks:?}");
        assert_eq!(flight.payload_bytes(), left * 100);
        assert_eq!(messages.len(), 10 - at as usize);
    }
}

#[test]
fn old_sacks_and_those_of_nothing_are_refused() {
    let (mut flight, mut messages) = flight(&[1; 10], reliable);
    assert!(sack(&mut flight, &mut messages, 4, &[]).is_some());
    for at in [3, 11, 1 << 31] {
        assert_eq!(sack(&mut flight, &mut messages, at, &[]), None, "{at}");
    }
    assert_eq!(flight.bytes(), 6 * 116);
}

#[test]
fn three_misses_are_a_loss() {
    let (mut flight, mut messages) = flight(&[1; 10], reliable);
    for (block, lost) in [((2, 2), false), ((2, 3), false), ((2, 3), false), ((2, 5), true)] {
        let found = sack(&mut flight, &mut messages, 0, &[block]).expect("taken");
        assert_eq!((found.lost, flight.has_lost()), (lost, lost), "{block:?}");
    }
    let chunk = flight.next_lost(60, &mut messages).expect("lost");
    assert_eq!((chunk.tsn, chunk.len), (FIRST, 100));
    assert!(flight.note_repeated(chunk.tsn));
    // Those before it was repeated do not count, those after do.
    for (last, lost) in [(6, false), (7, false), (8, false)] {
        let found = sack(&mut flight, &mut messages, 0, &[(2, last)]).expect("taken");
        assert_eq!(found.lost, lost, "{last}");
    }
    for (at, lost) in [(0, false), (1, false), (2, true)] {
        let slot = messages.insert(&[7; 100], reliable());
        messages.note_chunk(slot, 100);
        let tsn = flight.next_tsn();
        flight.push(70, &Repeat { tsn, message: slot, offset: 0, len: 100, flags: 0 });
        let found = sack(&mut flight, &mut messages, 0, &[(2, 8), (11, 11 + at)]);
        assert_eq!(found.map(|found| found.lost), Some(lost), "{at}");
    }
}

#[test]
fn where_little_is_under_way_fewer_tell() {
    for (quiet, lost) in [(true, true), (false, false)] {
        let (mut flight, mut messages) = flight(&[1; 2], reliable);
        let before = FIRST.wrapping_sub(1);
        let context = SackContext { quiet, ..CONTEXT };
        let found = flight.handle_sack(50, before, &gaps(&[(2, 2)]), context, &mut messages);
        assert_eq!(found.map(|found| found.lost), Some(lost));
    }
}

#[test]
fn what_was_sent_once_is_timed() {
    let (mut flight, mut messages) = flight(&[1; 3], reliable);
    flight.handle_timeout(10, &mut messages);
    let chunk = flight.next_lost(10, &mut messages).expect("lost");
    flight.note_repeated(chunk.tsn);
    let found = sack(&mut flight, &mut messages, 1, &[]).expect("taken");
    assert_eq!(found.round_trip_ns, None);
    let slot = messages.insert(&[7; 100], reliable());
    messages.note_chunk(slot, 100);
    let tsn = flight.next_tsn();
    flight.push(20, &Repeat { tsn, message: slot, offset: 0, len: 100, flags: 0 });
    let found = sack(&mut flight, &mut messages, 4, &[]).expect("taken");
    assert_eq!((found.round_trip_ns, flight.len()), (Some(30), 0));
    assert_eq!((messages.len(), flight.bytes(), flight.has_lost()), (0, 0, false));
}

#[test]
fn messages_that_are_given_up_are_skipped_whole() {
    // Messages of two chunks, three, and one each; the fourth chunk is lost.
    let (mut flight, mut messages) = flight(&[2, 3, 1, 1, 1], lossy);
    for last in 4..=6 {
        sack(&mut flight, &mut messages, 2, &[(1, 1), (3, last)]);
    }
    assert!(flight.is_front_abandoned());
    let mut skipped = Vec::new();
    let point = flight.forward(10, &messages, &mut skipped);
    assert_eq!((point, skipped), (Some(FIRST.wrapping_add(4)), vec![]));
    let found = sack(&mut flight, &mut messages, 8, &[]).expect("taken");
    assert!(found.advanced && messages.len() == 0 && flight.bytes() == 0);
}

#[test]
fn a_timeout_loses_all_or_gives_it_up() {
    let (mut first, mut messages) = flight(&[1; 4], reliable);
    first.handle_timeout(50, &mut messages);
    assert_eq!((first.bytes(), first.lost), (0, 4));
    let mut order = Vec::new();
    while let Some(chunk) = first.next_lost(50, &mut messages) {
        order.push(chunk.tsn.wrapping_sub(FIRST));
        first.note_repeated(chunk.tsn);
    }
    assert_eq!(order, [0, 1, 2, 3]);
    let ordered = || Outgoing { stream: 3, ssn: 8, unordered: false, ..lossy() };
    let (mut second, mut messages) = flight(&[1; 4], ordered);
    second.handle_timeout(50, &mut messages);
    let mut skipped = Vec::new();
    let point = second.forward(10, &messages, &mut skipped);
    assert_eq!((point, skipped), (Some(FIRST.wrapping_add(3)), vec![(3, 8)]));
    assert_eq!(second.lost, 0);
}
