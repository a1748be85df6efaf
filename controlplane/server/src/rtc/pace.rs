//! How fast one client may talk: its flood costs itself, not the others.

use std::time::Duration;

use tokio::time::Instant;

/// Messages that may come at once. Lower: a client that publishes and subscribes to a full room
/// while it connects has to wait.
const BURST: u32 = 512;
/// The time in which one more is allowed.
const INTERVAL: Duration = Duration::from_millis(10);
/// A message that grows by so much when it is inflated counts as one more. Larger: little that is
/// sent occupies us for longer; smaller: who compresses a large offer waits.
const GROWTH_BYTES: usize = 256 * 1024;

/// A bucket that fills with time.
pub(super) struct Pace {
    /// Below nothing where one message took more than there was.
    left: i64,
    filled: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: i64::from(BURST), filled: now }
    }

    /// Takes one message that grew by `growth` bytes; how long to wait before the next one is read.
    pub(super) fn take(&mut self, now: Instant, growth: usize) -> Duration {
        let passed = now.saturating_duration_since(self.filled);
        let more = u32::try_from(passed.as_millis() / INTERVAL.as_millis()).unwrap_or(BURST);
        if more > 0 {
            self.left = (self.left + i64::from(more)).min(BURST.into());
            self.filled = now;
        }
        let cost = u32::try_from(1 + growth / GROWTH_BYTES).unwrap_or(BURST);
        // Whoever calls has waited for what was missing.
        self.left = self.left.max(1) - i64::from(cost);
        INTERVAL * u32::try_from(1 - self.left).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_slowed_down() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let free = (0..2 * BURST).filter(|_| pace.take(start, 0) == Duration::ZERO).count();
        assert_eq!(free as u32, BURST - 1);
        let later = start + INTERVAL * 3;
        let waits: Vec<bool> = (0..3).map(|_| pace.take(later, 0) > Duration::ZERO).collect();
        assert_eq!(waits, [false, false, true]);
    }
    #[test]
    fn who_sends_little_that_is_much_waits_for_it() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let times = BURST;
        let waits: Vec<Duration> =
            (0..times).map(|_| pace.take(start, 8 * GROWTH_BYTES + 1)).collect();
        let free = waits.iter().filter(|wait| wait.is_zero()).count() as u32;
        assert_eq!(free, (BURST - 1) / 9);
        let wait = INTERVAL * 9;
        assert_eq!(waits.last(), Some(&wait));
        // Then all is paid for, and one is there.
        assert_eq!(pace.take(start + wait, 0), INTERVAL);
    }
}
