//! How fast one client may talk: its flood costs itself, not the others.

use std::time::Duration;

use tokio::time::Instant;

/// Messages that may come at once. Lower: a client that publishes and subscribes to a full room
/// while it connects has to wait.
const BURST: u32 = 512;
/// The time in which one more is allowed.
const INTERVAL: Duration = Duration::from_millis(10);

/// A bucket that fills with time.
pub(super) struct Pace {
    left: u32,
    filled: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, filled: now }
    }

    /// Takes one message; how long to wait before the next one is read.
    pub(super) fn take(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled);
        let more = u32::try_from(passed.as_millis() / INTERVAL.as_millis()).unwrap_or(BURST);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.filled = now;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 { INTERVAL } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_slowed_down() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let free = (0..2 * BURST).filter(|_| pace.take(start) == Duration::ZERO).count();
        assert_eq!(free as u32, BURST - 1);
        let later = start + INTERVAL * 3;
        let waits: Vec<bool> = (0..3).map(|_| pace.take(later) > Duration::ZERO).collect();
        assert_eq!(waits, [false, false, true]);
    }
}
