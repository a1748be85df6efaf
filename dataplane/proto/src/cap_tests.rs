//! The cap in virtual time.

use ringway_wire::rtcp::{Compound, Packet};

use super::*;
use crate::twcc::TwccRecorder;

const MS: u64 = 1_000_000;

/// Sends `count` packets of 1000 octets from `first` on, of which every `lost`th is lost.
fn feedback(cap: &mut SendCap, now_ns: u64, first: u16, count: u16, lost: u16) {
    let mut recorder = TwccRecorder::default();
    for sequence in (first..).take(usize::from(count)) {
        cap.sent(sequence, 1000);
        if lost == 0 || !sequence.is_multiple_of(lost) || sequence == first {
            recorder.handle_packet(now_ns, sequence, false);
        }
    }
    let mut out = [0; 4096];
    let len = recorder.poll_feedback(now_ns + 200 * MS, 1, 2, &mut out).expect("a report");
    let compound = Compound::parse(&out[..len]).expect("a valid compound");
    let Some(Packet::Twcc(twcc)) = compound.packets().next() else { panic!("no feedback") };
    cap.handle_twcc(now_ns, &twcc);
}

#[test]
fn only_an_estimate_that_falls_below_what_is_sent_caps() {
    // Each: ms, what is sent from there on, an estimate, the cap after it; in kbit/s.
    let check = |rows: &[(u64, u64, u64, Option<u64>)]| {
        let mut cap = SendCap::default();
        let mut at_ms = 0;
        let mut sent_kbps = 0;
        for &(ms, sends_kbps, remb_kbps, expect) in rows {
            while at_ms < ms {
                at_ms += 100;
                cap.count((sent_kbps * 100 / 8) as usize);
                cap.handle_time(at_ms * MS);
            }
            sent_kbps = sends_kbps;
            cap.handle_remb(ms * MS, remb_kbps * 1000);
            assert_eq!(cap.bps(ms * MS), expect.map(|kbps| kbps * 1000), "{rows:?} at {ms} ms");
        }
    };
    // It starts low and grows slowly, while much more is sent: no cap.
    check(&[(0, 1500, 300, None), (2000, 1500, 320, None), (4000, 1500, 350, None)]);
    // It falls, but nothing near it is sent.
    check(&[(0, 500, 3000, None), (2000, 500, 900, None), (4000, 500, 700, None)]);
    // It falls below what is sent: a cap that follows it, and ends.
    check(&[
        (0, 1500, 2200, None),
        (2000, 1500, 1200, Some(1200)),
        (4000, 1200, 1250, Some(1250)),
        (6900, 1200, 1300, Some(1300)),
        (7000, 1200, 1300, None),
    ]);
    // Small steps add up; the lowest layer always passes.
    check(&[
        (0, 1500, 1400, None),
        (2000, 1500, 1300, None),
        (3000, 1500, 1250, Some(1250)),
        (4000, 1500, 10, Some(MIN_BPS / 1000)),
        (4100, 1500, 10_000_000, None),
    ]);
}

#[test]
fn heavy_loss_caps() {
    // A third lost of 2.4 Mbit/s.
    let mut cap = SendCap::default();
    for step in 0..7_u16 {
        feedback(&mut cap, (1 + u64::from(step)) * 100 * MS, step * 30, 30, 3);
    }
    let low = cap.bps(0).expect("a cap");
    assert!((1_000_000..2_000_000).contains(&low), "{low}");
    // Without loss it grows, and ends.
    for step in 0..30_u64 {
        feedback(&mut cap, (8 + step) * 100 * MS, step as u16 * 30, 30, 0);
    }
    let grown = cap.bps(0).expect("a cap");
    assert!(grown > low && grown < low * 2, "{low} {grown}");
    for step in 0..1000_u64 {
        feedback(&mut cap, (40 + step) * 100 * MS, step as u16 * 30, 30, 0);
    }
    assert_eq!(cap.bps(0), None);
}
