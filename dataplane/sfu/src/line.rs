//! A line: the sequence numbers and timestamps that one destination sees.
//!
//! A source may be replaced, restart its numbering or jump; the destination of a contiguous line
//! sees one stream that goes on. The line adds a constant to every sequence number and timestamp
//! and chooses new constants only where the source begins a new epoch (see
//! [`crate::input::Mark`]). Gaps inside an epoch are loss and stay visible.

use crate::input::Mark;
use crate::reception::ticks;

/// What a line adds to a packet, both modulo their width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Added to the sequence number.
    pub sequence: u16,
    /// Added to the timestamp.
    pub timestamp: u32,
}

/// The state of one contiguous line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// The epoch that `shift` is for; 0 before the first packet.
    epoch: u32,
    shift: Shift,
    /// Newest sequence number sent.
    sequence: u16,
    /// Newest timestamp sent.
    timestamp: u32,
    /// When it was sent, ns.
    sent_ns: u64,
    /// Last distance between two timestamps.
    step: u32,
}

impl Line {
    /// The shift of the packet that `mark` describes.
    pub fn follow(&mut self, mark: &Mark) -> Shift {
        if mark.epoch != self.epoch {
            self.begin(mark);
        }
        let sequence = mark.sequence.wrapping_add(self.shift.sequence);
        if sequence.wrapping_sub(self.sequence) < 0x8000 {
            let timestamp = mark.timestamp.wrapping_add(self.shift.timestamp);
            let step = timestamp.wrapping_sub(self.timestamp);
            if step != 0 && step < 0x8000_0000 {
                self.step = step;
            }
            self.sequence = sequence;
            self.timestamp = timestamp;
            self.sent_ns = mark.now_ns;
        }
        self.shift
    }

    /// The shift in force, for reports.
    pub fn shift(&self) -> Shift {
        self.shift
    }

    fn begin(&mut self, mark: &Mark) {
        let first = self.epoch == 0;
        self.epoch = mark.epoch;
        if first {
            self.sequence = mark.sequence;
            self.timestamp = mark.timestamp;
            return;
        }
        let pause_ns = mark.now_ns.saturating_sub(self.sent_ns);
        // The pause in the stream's own clock where that is known, else one more step: time goes
        // on for the receiver in either case.
        let pause = mark.clock_hz.map_or(self.step, |hz| ticks(pause_ns, hz)).max(1);
        self.shift = Shift {
            sequence: self.sequence.wrapping_add(1).wrapping_sub(mark.sequence),
            timestamp: self.timestamp.wrapping_add(pause).wrapping_sub(mark.timestamp),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(epoch: u32, sequence: u16, timestamp: u32, now_ms: u64, hz: Option<u32>) -> Mark {
        Mark { epoch, ssrc: 1, sequence, timestamp, now_ns: now_ms * 1_000_000, clock_hz: hz }
    }

    /// Marks in, `(sequence, timestamp)` out.
    fn check(rows: &[(Mark, (u16, u32))]) {
        let mut line = Line::default();
        for (mark, expect) in rows {
            let shift = line.follow(mark);
            let out = (
                mark.sequence.wrapping_add(shift.sequence),
                mark.timestamp.wrapping_add(shift.timestamp),
            );
            assert_eq!(out, *expect, "{mark:?}");
        }
    }

    #[test]
    fn lines() {
        let hz = Some(8_000);
        // One epoch passes untouched, gaps and reordering included.
        check(&[
            (mark(1, 65_535, 100, 0, hz), (65_535, 100)),
            (mark(1, 1, 260, 40, hz), (1, 260)),
            (mark(1, 0, 180, 41, hz), (0, 180)),
        ]);
        // A new epoch goes on where the last ended, after the pause in the stream's clock.
        check(&[
            (mark(1, 10, 1_000, 0, hz), (10, 1_000)),
            (mark(2, 40_000, 7, 100, hz), (11, 1_800)),
            (mark(2, 40_002, 327, 140, hz), (13, 2_120)),
            (mark(3, 0, 0, 160, hz), (14, 2_280)),
        ]);
        // Unknown clock: one more step.
        check(&[
            (mark(1, 10, 1_000, 0, None), (10, 1_000)),
            (mark(1, 11, 1_160, 20, None), (11, 1_160)),
            (mark(2, 500, 9, 40, None), (12, 1_320)),
        ]);
    }

    proptest! {
        #[test]
        fn always_one_more(
            epochs in proptest::collection::vec((any::<u16>(), any::<u32>(), 1_u16..50), 1..20)
        ) {
            let mut line = Line::default();
            let mut last: Option<u16> = None;
            let mut now = 0;
            for (epoch, (first, timestamp, packets)) in epochs.into_iter().enumerate() {
                for n in 0..packets {
                    now += 20;
                    let mark = mark(
                        epoch as u32 + 1,
                        first.wrapping_add(n),
                        timestamp.wrapping_add(u32::from(n) * 160),
                        now,
                        None,
                    );
                    let out = mark.sequence.wrapping_add(line.follow(&mark).sequence);
                    prop_assert!(last.is_none_or(|last| out == last.wrapping_add(1)));
                    last = Some(out);
                }
            }
        }
    }
}
