//! What the user asks of an association, and its clocks.

use super::*;

const MS: u64 = 1_000_000;

fn pair() -> [Association; 2] {
    let mut ends = [1, 2].map(|seed| Association::new(0, Config::new(seed, seed)));
    ends[0].connect();
    carry(0, &mut ends);
    for end in &mut ends {
        assert_eq!(end.poll_event(), Some(Event::Connected));
    }
    ends
}

/// Gives how many packets went.
fn carry(now_ns: u64, ends: &mut [Association; 2]) -> usize {
    let mut out = Vec::new();
    let mut count = 0;
    loop {
        let before = count;
        for from in 0..2 {
            while ends[from].poll_packet(now_ns, &mut out) {
                count += 1;
                ends[1 - from].handle_packet(now_ns, &out);
            }
        }
        if count == before {
            return count;
        }
    }
}

#[test]
fn messages_that_cannot_be_sent_are_refused() {
    let mut ends = pair();
    let options = SendOptions::default();
    let end = &mut ends[0];
    for (stream, len, expect) in [
        (0, 1, Ok(())),
        (1_023, 262_144, Ok(())),
        (1_024, 1, Err(SendError::Stream)),
        (0, 0, Err(SendError::Length)),
        (0, 262_145, Err(SendError::Length)),
    ] {
        assert_eq!(end.send(0, stream, 53, &vec![7; len], options), expect, "{stream} {len}");
    }
    while end.send(0, 2, 53, &[7; 10_000], options).is_ok() {}
    assert_eq!(end.send(0, 2, 53, &[7; 10_000], options), Err(SendError::Full));
    assert!(end.queue.bytes() > end.config.max_buffered_bytes - 10_000);
    end.close();
    assert_eq!(end.send(0, 2, 53, &[7], options), Err(SendError::Ended));
    assert_eq!(end.deadline(), None);
}

#[test]
fn buffered_bytes_are_those_in_no_packet() {
    let mut ends = pair();
    ends[0].send(0, 1, 53, &[7; 20_000], SendOptions::default()).expect("taken");
    assert_eq!(ends[0].buffered_bytes(1), 20_000);
    let mut out = Vec::new();
    assert!(ends[0].poll_packet(0, &mut out));
    assert_eq!(ends[0].buffered_bytes(1), 20_000 - 1_160);
    while ends[0].poll_packet(0, &mut out) {}
    // The first window is ten packets.
    assert!(ends[0].buffered_bytes(1) < 20_000 - 9 * 1_160);
    assert_eq!(ends[0].buffered_bytes(2), 0);
}

#[test]
fn sacks_go_with_data() {
    let mut ends = pair();
    ends[0].send(0, 1, 53, b"there", SendOptions::default()).expect("taken");
    assert_eq!(carry(0, &mut ends), 1, "the SACK waits");
    assert_eq!(ends[1].deadline(), Some(200 * MS));
    ends[1].send(MS, 1, 53, b"back", SendOptions::default()).expect("taken");
    assert_eq!(carry(MS, &mut ends), 1);
    assert_eq!(ends[0].flight.len(), 0);
    assert!(ends[1].tracker.deadline().is_none());
}

#[test]
fn a_timeout_that_was_needless_costs_no_window() {
    for needless in [true, false] {
        let mut ends = pair();
        let window = ends[0].congestion.window();
        ends[0].send(0, 1, 53, b"there", SendOptions::default()).expect("taken");
        if needless {
            // The SACK is put off for longer than we wait.
            assert_eq!(carry(0, &mut ends), 1);
        } else {
            let mut out = Vec::new();
            while ends[0].poll_packet(0, &mut out) {}
        }
        let at_ns = ends[0].deadline().expect("T3");
        ends[0].handle_timeout(at_ns);
        assert!(ends[0].congestion.window() < window);
        carry(at_ns, &mut ends);
        for _ in 0..3 {
            ends[0].send(at_ns, 1, 53, b"more", SendOptions::default()).expect("taken");
            carry(at_ns, &mut ends);
        }
        assert_eq!(ends[0].congestion.window() == window, needless);
        assert!(!ends[0].congestion.is_in_doubt());
        let mut count = 0;
        while ends[1].poll_message().is_some() {
            count += 1;
        }
        assert_eq!(count, 4);
    }
}

#[test]
fn idle_associations_ask_for_each_other() {
    let mut ends = pair();
    let asks = |end: &Association| end.deadline().map(|at_ns| at_ns / MS);
    assert_eq!(ends.each_ref().map(asks), [Some(30_000); 2]);
    ends[0].handle_timeout(30_000 * MS);
    assert_eq!(carry(30_000 * MS, &mut ends), 2);
    assert_eq!(ends.each_ref().map(asks), [Some(60_000), Some(30_000)]);
    assert!(ends[0].asked_ns.is_none());
}

#[test]
fn a_window_that_opens_again_is_told() {
    let mut ends = pair();
    for _ in 0..100 {
        ends[0].send(0, 1, 53, &[7; 8_000], SendOptions::default()).expect("taken");
    }
    carry(0, &mut ends);
    assert!(ends[0].peer.window < 2_000, "{}", ends[0].peer.window);
    assert!(ends[0].buffered_bytes(1) > 300_000);
    let mut taken = 0;
    while ends[1].poll_message().is_some() {
        taken += 1;
    }
    assert!(carry(0, &mut ends) > 100);
    while ends[1].poll_message().is_some() {
        taken += 1;
    }
    carry(0, &mut ends);
    while ends[1].poll_message().is_some() {
        taken += 1;
    }
    assert_eq!((taken, ends[0].buffered_bytes(1)), (100, 0));
}
