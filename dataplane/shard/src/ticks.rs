//! When a shard ticks: along with what woke it anyway, and of its own accord where something is
//! due or nothing has come for long. A wake-up of its own costs as much as ten packets.

use crate::publish::TICK_NS;

/// The longest time between two ticks: what other programs see of the shard is no older.
const MAX_TICK_NS: u64 = 5 * TICK_NS;

/// The ticks of one shard.
#[derive(Debug, Default)]
pub struct Ticks {
    count: u64,
    last_ns: u64,
}

impl Ticks {
    /// How many there have been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether a turn at `now_ns` is one with a tick.
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.last_ns + TICK_NS
    }

    /// Until when the shard may sleep if nothing comes, while something is due at `due_ns`.
    pub fn sleep_until(&self, due_ns: u64) -> u64 {
        due_ns.clamp(self.last_ns + TICK_NS, self.last_ns + MAX_TICK_NS)
    }

    /// The tick of the turn at `now_ns` is over.
    pub fn end(&mut self, now_ns: u64) {
        self.count += 1;
        self.last_ns = now_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_wakes_for_what_is_due_and_now_and_then() {
        let mut ticks = Ticks::default();
        let now_ns = 9_000_000_000;
        assert!(ticks.is_due(now_ns));
        ticks.end(now_ns);
        assert!(!ticks.is_due(now_ns + TICK_NS - 1));
        assert!(ticks.is_due(now_ns + TICK_NS));
        for (due_ns, until_ns) in [
            (0, now_ns + TICK_NS),
            (now_ns + 2 * TICK_NS, now_ns + 2 * TICK_NS),
            (u64::MAX, now_ns + MAX_TICK_NS),
        ] {
            assert_eq!(ticks.sleep_until(due_ns), until_ns);
        }
        assert_eq!(ticks.count(), 1);
    }
}
