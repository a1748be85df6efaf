//! TSNs that come in all orders, and the SACKs about them.

use super::*;
use crate::chunk::{long, short};

const BASE: u64 = 1 << 32;

fn tracker(first: u32, tsns: &[u32]) -> Tracker {
    let mut tracker = Tracker::new(first);
    for tsn in tsns {
        let tsn = tracker.extend(*tsn);
        match tracker.look(tsn) {
            Seen::Next | Seen::Ahead { .. } => tracker.insert(tsn),
            Seen::Duplicate => tracker.note_duplicate(tsn as u32),
            Seen::Beyond => {}
        }
    }
    tracker
}

/// Cumulative TSN, gap blocks, duplicates.
fn sack(tracker: &mut Tracker, room: usize) -> (u32, Vec<(u16, u16)>, Vec<u32>) {
    let mut out = Vec::new();
    tracker.write_sack(&mut out, 1_000, room);
    assert!(out.len() <= room.max(16));
    let word = |at| long(&out, at).expect("there");
    let half = |at| short(&out, at).expect("there");
    assert_eq!((out[0], word(8)), (3, 1_000));
    let (gaps, duplicates) = (usize::from(half(12)), usize::from(half(14)));
    assert_eq!(out.len(), 16 + 4 * (gaps + duplicates));
    let blocks = (0..gaps).map(|at| (half(16 + 4 * at), half(18 + 4 * at))).collect();
    let repeated = (gaps..gaps + duplicates).map(|at| word(16 + 4 * at)).collect();
    (word(4), blocks, repeated)
}

#[test]
fn sacks_say_what_came() {
    // (first, what came, cumulative, gaps, duplicates)
    for (first, tsns, cumulative, gaps, duplicates) in [
        (1, &[][..], 0, &[][..], &[][..]),
        (1, &[1, 2, 3], 3, &[], &[]),
        (1, &[1, 3], 1, &[(2, 2)], &[]),
        (1, &[3, 2, 1], 3, &[], &[]),
        (1, &[2, 4, 6, 5, 8], 0, &[(2, 2), (4, 6), (8, 8)], &[]),
        (1, &[1, 1, 3, 3], 1, &[(2, 2)], &[1, 3]),
        (1, &[2, 4, 1], 2, &[(2, 2)], &[]),
        (u32::MAX, &[u32::MAX, 0, 2], 0, &[(2, 2)], &[]),
        (u32::MAX, &[1, u32::MAX, 0], 1, &[], &[]),
        (0, &[u32::MAX], u32::MAX, &[], &[u32::MAX]),
        (1, &[1 + 65_535, 1 + 65_536, (1 << 31) - 1], 0, &[], &[]),
        (1, &[65_535], 0, &[(65_535, 65_535)], &[]),
    ] {
        let mut tracker = tracker(first, tsns);
        let found = sack(&mut tracker, 1_000);
        assert_eq!(found, (cumulative, gaps.to_vec(), duplicates.to_vec()), "{first} {tsns:?}");
        assert_eq!(sack(&mut tracker, 1_000).2, [], "duplicates are told once");
    }
}

#[test]
fn gaps_are_bounded_and_sacks_keep_their_room() {
    let tsns: Vec<u32> = (1..=2_000).map(|at| 2 * at).collect();
    let mut tracker = tracker(1, &tsns);
    assert_eq!(tracker.blocks.len(), GAPS_MAX);
    assert_eq!(sack(&mut tracker, 1_000).1.len(), GAPS_MAX);
    assert_eq!(sack(&mut tracker, 26).1, [(2, 2), (4, 4)]);
    assert_eq!(tracker.look(BASE + 5_000), Seen::Beyond);
    assert_eq!(tracker.look(BASE + 1), Seen::Next);
    assert_eq!(tracker.look(BASE + 3), Seen::Ahead { fills: true });
    assert_eq!(tracker.look(BASE + 2 * GAPS_MAX as u64 + 1), Seen::Ahead { fills: false });
}

#[test]
fn the_peer_goes_on_beyond_what_it_lost() {
    for (tsn, cumulative, gaps) in
        [(1, 2, &[(2, 2), (4, 5)][..]), (3, 4, &[(2, 3)]), (5, 7, &[]), (100, 100, &[])]
    {
        let mut tracker = tracker(1, &[1, 2, 4, 6, 7]);
        assert_eq!(tracker.forward(BASE + tsn), tsn > 2);
        assert_eq!(sack(&mut tracker, 1_000), (cumulative, gaps.to_vec(), vec![]), "{tsn}");
    }
}

#[test]
fn every_second_packet_is_acknowledged_at_once() {
    let mut tracker = tracker(1, &[1]);
    tracker.note_packet(10, 200);
    assert!(tracker.is_owed() && !tracker.is_due());
    assert_eq!(tracker.deadline(), Some(210));
    tracker.handle_timeout(209);
    assert!(!tracker.is_due());
    tracker.handle_timeout(210);
    assert!(tracker.is_due());
    sack(&mut tracker, 1_000);
    assert!(!tracker.is_owed() && tracker.deadline().is_none());
    tracker.note_packet(300, 200);
    tracker.note_packet(300, 200);
    assert!(tracker.is_due());
    sack(&mut tracker, 1_000);
    // While something is missing, every one.
    tracker.insert(BASE + 3);
    tracker.note_packet(400, 200);
    assert!(tracker.is_due());
}
