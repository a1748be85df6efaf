//! Which repair is of use when.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const STREAM: StreamId = StreamId::new(0, 0);

/// What happens to a layer.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A packet comes as it was protected.
    Came(u16),
    /// It is sent again.
    Again(u16),
    /// A repair comes: base, mask.
    Repair(u16, u128),
    /// This can be recovered now, and is.
    Recovers(u16),
}

use Step::{Again, Came as Comes, Recovers, Repair};

fn check(steps: &[Step]) {
    let mut repairs = Repairs::default();
    for (at, step) in (0_u16..).zip(steps) {
        match *step {
            Comes(sequence) => repairs.handle_packet(STREAM, sequence, Came::Whole(0)),
            Again(sequence) => repairs.handle_packet(STREAM, sequence, Came::Otherwise),
            Repair(base, mask) => drop(repairs.handle_repair(at, base, mask)),
            Recovers(sequence) => {
                let found = repairs.poll().map(|found| found.sequence);
                assert_eq!(found, Some(sequence), "step {at} of {steps:?}");
                repairs.handle_packet(STREAM, sequence, Came::Whole(0));
            }
        }
        if !matches!(steps.get(usize::from(at) + 1), Some(Recovers(_))) {
            assert_eq!(repairs.poll(), None, "after step {at} of {steps:?}");
        }
    }
}

/// A packet that is late by a whole window leaves what is remembered as it is.
#[test]
fn late_packets_displace_nothing() {
    let mut repairs = Repairs::default();
    let stream = StreamId::new(0, 1);
    repairs.handle_packet(stream, 600, Came::Whole(0));
    repairs.handle_packet(stream, 600_u16.wrapping_sub(WINDOW as u16), Came::Whole(0));
    assert_eq!(repairs.came(600), Came::Whole(0));
    assert!(!repairs.handle_repair(1, 600, 1), "nothing is missing");
    assert_eq!(repairs.poll(), None);
}

#[test]
fn the_only_one_that_is_missing_is_recovered() {
    check(&[Comes(1), Comes(2), Comes(4), Repair(1, 0b1111), Recovers(3)]);
    // The newest of all, and across the wrap.
    check(&[Comes(65_534), Comes(65_535), Repair(65_534, 0b111), Recovers(0)]);
    // The repair is there first, or waits for the last but one.
    check(&[Comes(1), Repair(1, 0b111), Comes(3), Recovers(2)]);
    check(&[Repair(1, 0b111), Comes(3), Comes(2), Recovers(1)]);
    check(&[Repair(1, 0b1), Comes(9), Recovers(1)]);
    // Only those of the mask count, also at its far end.
    check(&[Comes(1), Comes(5), Repair(1, 0b1_0101), Recovers(3)]);
    check(&[Comes(1), Repair(1, 1 << 108 | 1), Recovers(109)]);
    // What was recovered makes another repair useful.
    check(&[Comes(1), Comes(4), Repair(1, 0b1110), Repair(1, 0b0101), Recovers(3), Recovers(2)]);
}

#[test]
fn others_stay_lost() {
    check(&[Comes(1), Comes(4), Repair(1, 0b1111)]);
    check(&[Comes(1), Comes(2), Repair(1, 0b11)]);
    check(&[Comes(1), Repair(1, 0b11_1111_1111), Comes(2), Comes(3), Comes(10)]);
    // Late is no loss.
    check(&[Comes(1), Comes(4), Repair(1, 0b1111), Comes(3), Recovers(2), Comes(2)]);
    // With octets that were not protected nothing can be recovered, whenever they come.
    check(&[Comes(1), Again(2), Repair(1, 0b111), Comes(4)]);
    check(&[Comes(1), Comes(4), Repair(1, 0b1111), Again(2), Comes(5)]);
    // Too far off to be of the same numbering.
    check(&[Comes(1), Repair(2000, 0b1)]);
    check(&[Comes(1000), Repair(487, 0b1)]);
    check(&[Comes(1000), Repair(489, 0b1), Recovers(489)]);
}

#[test]
fn a_new_numbering_begins_with_nothing() {
    let mut repairs = Repairs::default();
    repairs.handle_packet(STREAM, 1, Came::Whole(0));
    assert!(repairs.handle_repair(7, 1, 0b111));
    assert_eq!(repairs.waiting(), 1);
    repairs.handle_packet(StreamId::new(0, 1), 3, Came::Whole(0));
    assert_eq!((repairs.waiting(), repairs.poll()), (0, None));
    assert_eq!((repairs.came(1), repairs.came(3)), (Came::No, Came::Whole(0)));
    assert!(repairs.handle_repair(8, 2, 0b11));
    assert_eq!(repairs.poll().map(|found| (found.id, found.sequence)), Some((8, 2)));
}

#[test]
fn no_more_repairs_wait_than_may() {
    let mut repairs = Repairs::default();
    for id in 0..250 {
        // No packet has come yet.
        assert!(repairs.handle_repair(id, id, 0b11));
        assert_eq!(repairs.waiting(), MAX_REPAIRS.min(usize::from(id) + 1));
        assert_eq!(repairs.poll(), None);
    }
    // The oldest went.
    repairs.handle_packet(STREAM, 150, Came::Whole(0));
    assert_eq!(repairs.poll().map(|found| found.id), Some(150));
    assert_eq!(repairs.poll(), None);
    repairs.handle_packet(STREAM, 149, Came::Whole(0));
    assert_eq!(repairs.poll(), None);
}

#[test]
fn a_packet_came_whole_or_otherwise() {
    let check = |last: &[u8], padded: bool, sent_again, expect| {
        let mut bytes = [0; 14].to_vec();
        bytes[0] = if padded { 0xa0 } else { 0x80 };
        bytes.extend(last);
        let view = RtpView::parse(&bytes).expect("RTP");
        assert_eq!(Came::of(&view, sent_again), expect, "{last:?}");
    };
    check(&[], false, false, Came::Whole(0));
    check(&[9, 9], false, false, Came::Whole(0));
    check(&[], false, true, Came::Otherwise);
    check(&[1], true, false, Came::Whole(1));
    check(&[9, 0, 0, 3], true, false, Came::Whole(3));
    check(&[9, 0, 9, 3], true, false, Came::Otherwise);
}

proptest! {
    #[test]
    fn what_is_recovered_was_lost_and_all_else_is_there(
        start in any::<u16>(),
        steps in prop::collection::vec((0..120_u16, any::<u128>(), 0..4_u8), 1..200),
    ) {
        let mut repairs = Repairs::default();
        let mut there = HashSet::new();
        for (id, (at, mask, kind)) in (0..).zip(steps) {
            let sequence = start.wrapping_add(at);
            match kind {
                0 => {
                    repairs.handle_repair(id, sequence, mask & mask >> 64 & ((1 << 109) - 1) | 1);
                }
                1 if !there.contains(&sequence) => {
                    repairs.handle_packet(STREAM, sequence, Came::Otherwise);
                }
                _ => {
                    there.insert(sequence);
                    repairs.handle_packet(STREAM, sequence, Came::Whole(0));
                }
            }
            while let Some(found) = repairs.poll() {
                prop_assert!(there.insert(found.sequence));
                prop_assert!(found.others().all(|other| there.contains(&other)));
                prop_assert!(found.others().all(|other| other != found.sequence));
                repairs.handle_packet(STREAM, found.sequence, Came::Whole(0));
            }
            prop_assert!(repairs.waiting() <= MAX_REPAIRS);
        }
    }
}
