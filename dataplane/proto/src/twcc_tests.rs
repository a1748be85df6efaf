//! Arrivals reported, in virtual time.

use proptest::prelude::*;
use ringway_wire::rtcp::{Compound, Packet};

use super::*;

const MS: u64 = 1_000_000;

fn reported(recorder: &mut TwccRecorder, now_ns: u64) -> Option<Vec<(u16, u64)>> {
    let mut out = [0; 4096];
    let len = recorder.poll_feedback(now_ns, 1, 2, &mut out)?;
    let compound = Compound::parse(&out[..len]).expect("a valid compound");
    let Some(Packet::Twcc(twcc)) = compound.packets().next() else { panic!("no feedback") };
    let mut at = i64::from(twcc.reference_time) * 256;
    let arrivals = twcc.arrivals().map(|arrival| {
        at += i64::from(arrival.delta);
        (arrival.sequence, at as u64 * DELTA_STEP_NS)
    });
    Some(arrivals.collect())
}

#[test]
fn reports_go_out_in_time() {
    let mut recorder = TwccRecorder::default();
    assert_eq!(recorder.deadline(), None);
    recorder.handle_packet(MS, 9, true);
    assert_eq!(recorder.deadline(), Some(101 * MS));
    recorder.handle_packet(3 * MS, 11, false);
    assert_eq!(reported(&mut recorder, 100 * MS), None);
    assert_eq!(reported(&mut recorder, 101 * MS), Some(vec![(9, MS), (11, 3 * MS)]));
    assert_eq!(recorder.deadline(), None);
    // Twenty packets and a complete frame: sooner.
    for sequence in 12..31 {
        recorder.handle_packet(110 * MS, sequence, false);
    }
    assert_eq!(recorder.deadline(), Some(210 * MS));
    recorder.handle_packet(110 * MS, 31, true);
    assert_eq!(recorder.deadline(), Some(160 * MS));
    // A hundred and one: now.
    for sequence in 32..113 {
        recorder.handle_packet(110 * MS, sequence, false);
    }
    assert_eq!(recorder.deadline(), Some(0));
    assert_eq!(reported(&mut recorder, 110 * MS).map(|all| all.len()), Some(101));
    recorder.handle_packet(5000 * MS, 113, false);
    assert_eq!(recorder.deadline(), Some(5100 * MS));
}

#[test]
fn late_packets_are_reported_again() {
    let mut recorder = TwccRecorder::default();
    recorder.handle_packet(MS, 65_535, false);
    recorder.handle_packet(2 * MS, 1, false);
    assert_eq!(reported(&mut recorder, 200 * MS), Some(vec![(65_535, MS), (1, 2 * MS)]));
    recorder.handle_packet(210 * MS, 0, false);
    recorder.handle_packet(210 * MS, 0, false);
    assert_eq!(reported(&mut recorder, 400 * MS), Some(vec![(0, 210 * MS), (1, 2 * MS)]));
}

#[test]
fn jumps_begin_anew_and_pauses_are_cut() {
    let mut recorder = TwccRecorder::default();
    recorder.handle_packet(MS, 1, false);
    recorder.handle_packet(2 * MS, 5000, false);
    assert_eq!(reported(&mut recorder, 200 * MS), Some(vec![(5000, 2 * MS)]));
    // Ten seconds do not fit 16 bits of 250 µs: two reports.
    recorder.handle_packet(300 * MS, 5001, false);
    recorder.handle_packet(10_300 * MS, 5002, false);
    assert_eq!(reported(&mut recorder, 10_400 * MS), Some(vec![(5001, 300 * MS)]));
    assert_eq!(reported(&mut recorder, 10_400 * MS), Some(vec![(5002, 10_300 * MS)]));
    assert_eq!(reported(&mut recorder, 10_400 * MS), None);
}

proptest! {
    /// Every packet is reported, with its time to 250 µs, unless a window passed over it.
    #[test]
    fn every_arrival_is_reported(
        start in any::<u16>(),
        steps in prop::collection::vec((-3i16..6, 0u64..60), 1..400),
    ) {
        let mut recorder = TwccRecorder::default();
        let mut arrivals = std::collections::HashMap::new();
        let mut seen = std::collections::HashMap::new();
        let mut now_ns = 64 * MS;
        let mut sequence = start;
        for (step, wait_ms) in steps {
            now_ns += wait_ms * MS;
            sequence = sequence.wrapping_add_signed(step);
            recorder.handle_packet(now_ns, sequence, false);
            arrivals.entry(sequence).or_insert(now_ns);
            while let Some(report) = reported(&mut recorder, now_ns) {
                seen.extend(report);
            }
        }
        while let Some(report) = reported(&mut recorder, now_ns + 1000 * MS) {
            seen.extend(report);
        }
        prop_assert_eq!(seen, arrivals);
    }
}
