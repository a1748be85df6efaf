//! Coalescing: when packets come so fast that waking for each would cost more than the packet, the
//! shard lets them gather for a moment, as network cards do with their interrupts.
//!
//! It only ever rests where it expects at least two packets in one rest, so that a lone packet, or
//! the first of a burst, is never delayed; and it counts the rest from the start of the turn, so
//! that a shard whose turns take longer than a rest never rests.

use std::time::Duration;

/// Rests shorter than this are not worth their timer.
const LEAST_NS: u64 = 5_000;

/// A gap longer than this ends a burst: the average starts anew.
const PAUSE_NS: u64 = 10_000_000;

/// Decides when to rest, and for how long.
#[derive(Debug)]
pub(crate) struct Coalesce {
    rest_ns: u64,
    turn_ns: u64,
    /// Running average of the time between packets; `u64::MAX` until there were some.
    gap_ns: u64,
}

impl Coalesce {
    /// `rest_ns` is the longest time a packet may gather; 0 switches it off.
    pub(crate) fn new(rest_ns: u64) -> Self {
        Self { rest_ns, turn_ns: 0, gap_ns: u64::MAX }
    }

    /// A turn began at `now_ns` and took `packets`.
    pub(crate) fn observe(&mut self, now_ns: u64, packets: usize) {
        if packets == 0 {
            return;
        }
        let elapsed_ns = now_ns.saturating_sub(self.turn_ns);
        self.turn_ns = now_ns;
        if elapsed_ns > PAUSE_NS {
            self.gap_ns = u64::MAX;
            return;
        }
        let gap_ns = elapsed_ns / packets as u64;
        self.gap_ns = match self.gap_ns {
            u64::MAX => gap_ns.max(self.rest_ns),
            average => (average * 15 + gap_ns) / 16,
        };
    }

    /// How long to rest before the next look at the sockets.
    pub(crate) fn rest(&self, now_ns: impl FnOnce() -> u64) -> Option<Duration> {
        if self.rest_ns == 0 || self.gap_ns.saturating_mul(2) > self.rest_ns {
            return None;
        }
        let left_ns = self.rest_ns.saturating_sub(now_ns().saturating_sub(self.turn_ns));
        (left_ns >= LEAST_NS).then(|| Duration::from_nanos(left_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of `packets` every `gap_ns`; does the shard rest after the last one, `spent_ns` into
    /// its turn, and for how long?
    fn check(rest_ns: u64, gap_ns: u64, packets: usize, spent_ns: u64, expect_ns: Option<u64>) {
        let mut coalesce = Coalesce::new(rest_ns);
        let mut now_ns = 1_000_000_000;
        for _ in 0..200 {
            now_ns += gap_ns;
            coalesce.observe(now_ns, packets);
        }
        let rest = coalesce.rest(|| now_ns + spent_ns);
        assert_eq!(rest, expect_ns.map(Duration::from_nanos), "{packets} every {gap_ns} ns");
    }

    #[test]
    fn rests_only_where_packets_gather() {
        check(100_000, 40_000, 1, 10_000, Some(90_000));
        check(100_000, 120_000, 3, 10_000, Some(90_000));
        check(100_000, 60_000, 1, 10_000, None);
        check(100_000, 33_000_000, 10, 10_000, None);
        check(100_000, 40_000, 1, 96_000, None);
        check(100_000, 40_000, 1, 500_000, None);
        check(0, 1_000, 1, 0, None);
    }
}
