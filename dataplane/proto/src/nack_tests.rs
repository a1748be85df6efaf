//! NACKs asked for, in virtual time.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn asked(generator: &mut NackGenerator, now_ms: u64) -> Vec<u16> {
    let mut out = [NackEntry::default(); 40];
    let used = generator.poll_nack(now_ms * MS, &mut out);
    out[..used].iter().flat_map(|entry| entry.sequences()).collect()
}

/// Packets at 0 ms, then what is asked for at each time.
fn check(packets: &[u16], rows: &[(u64, &[u16])]) {
    let mut generator = NackGenerator::default();
    for &sequence in packets {
        generator.handle_packet(0, sequence);
    }
    for (now_ms, expect) in rows {
        assert_eq!(asked(&mut generator, *now_ms), *expect, "{packets:?} at {now_ms} ms");
    }
}

#[test]
fn gaps_are_asked_for() {
    check(&[1, 2, 3], &[(1000, &[])]);
    check(&[1, 3], &[(9, &[]), (10, &[2]), (11, &[])]);
    check(&[65_534, 2], &[(10, &[65_535, 0, 1])]);
    check(&[1, 40], &[(10, &(2..40).collect::<Vec<_>>())]);
    // What comes late is not asked for; doubles change nothing.
    check(&[1, 4, 2, 2, 4], &[(10, &[3])]);
    check(&[65_535, 1, 0], &[(10, &[])]);
    // The first number decides where the stream begins.
    check(&[5, 4, 6], &[(10, &[])]);
    // A jump is another stream.
    check(&[1, 3, 9000, 9002], &[(10, &[9001])]);
    check(&[9000, 9002, 1, 3], &[(10, &[2])]);
}

#[test]
fn requests_grow_rarer_and_end() {
    // 70 ms, then a quarter longer each time: 87.5, 109.375, 136.7.
    check(
        &[1, 3],
        &[
            (10, &[2]),
            (79, &[]),
            (80, &[2]),
            (167, &[]),
            (168, &[2]),
            (277, &[]),
            (278, &[2]),
            (414, &[]),
            (415, &[2]),
            (10_000, &[]),
        ],
    );
    let mut generator = NackGenerator::default();
    generator.set_round_trip(0);
    generator.handle_packet(0, 1);
    generator.handle_packet(0, 3);
    assert_eq!(generator.deadline(), Some(10 * MS));
    assert_eq!(asked(&mut generator, 10), [2]);
    assert_eq!(generator.deadline(), Some(30 * MS));
    generator.set_round_trip(u64::MAX);
    assert_eq!(asked(&mut generator, 30), [2]);
    assert_eq!(generator.deadline(), Some(430 * MS));
    generator.handle_packet(0, 2);
    assert_eq!(generator.deadline(), None);
}

#[test]
fn only_the_newest_are_kept() {
    let mut generator = NackGenerator::default();
    generator.handle_packet(0, 0);
    generator.handle_packet(0, 61);
    generator.handle_packet(0, 122);
    assert_eq!(generator.outstanding(), MAX_OUTSTANDING);
    let found = asked(&mut generator, 10);
    assert_eq!((found[0], found[99]), (21, 121));
    generator.handle_packet(0, 3000);
    assert_eq!(generator.outstanding(), MAX_OUTSTANDING);
    assert_eq!(asked(&mut generator, 20)[0], 2900);
}

#[test]
fn a_small_room_asks_for_the_rest_later() {
    let mut generator = NackGenerator::default();
    generator.handle_packet(0, 0);
    generator.handle_packet(0, 40);
    let mut out = [NackEntry::default(); 1];
    assert_eq!(generator.poll_nack(10 * MS, &mut out), 1);
    assert_eq!(out[0], NackEntry { packet_id: 1, bitmask: 0xffff });
    assert_eq!(generator.poll_nack(10 * MS, &mut out), 1);
    assert_eq!(out[0].packet_id, 18);
}

proptest! {
    /// Whatever comes in whatever order: nothing that came is asked for, and memory stays bounded.
    #[test]
    fn what_came_is_never_asked_for(
        start in any::<u16>(),
        packets in prop::collection::vec((0u16..300, 0u64..30), 1..300),
    ) {
        let mut generator = NackGenerator::default();
        let mut came = std::collections::HashSet::new();
        let mut now_ms = 0;
        for (offset, wait_ms) in packets {
            now_ms += wait_ms;
            let sequence = start.wrapping_add(offset);
            generator.handle_packet(now_ms * MS, sequence);
            came.insert(sequence);
            for sequence in asked(&mut generator, now_ms) {
                prop_assert!(!came.contains(&sequence));
            }
            prop_assert!(generator.outstanding() <= MAX_OUTSTANDING);
        }
    }
}
