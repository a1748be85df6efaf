//! The two clocks a turn reads once: one that never jumps for decisions, the wall clock for people
//! and for the kernel's receive timestamps.

/// An instant on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_MONOTONIC`, ns.
    pub mono_ns: u64,
    /// `CLOCK_REALTIME`, ns since the Unix epoch.
    pub unix_ns: u64,
}

impl Now {
    /// When something that the wall clock stamped happened on the monotonic clock. Never later than
    /// now, so that a wall clock set back cannot produce a future.
    pub fn mono_of(&self, unix_ns: u64) -> u64 {
        if unix_ns == 0 {
            return self.mono_ns;
        }
        self.mono_ns.saturating_sub(self.unix_ns.saturating_sub(unix_ns))
    }

    /// The wall clock's reading at `mono_ns`; 0 stays 0, "never".
    pub fn unix_of(&self, mono_ns: u64) -> u64 {
        if mono_ns == 0 {
            return 0;
        }
        self.unix_ns.saturating_sub(self.mono_ns.saturating_sub(mono_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_both_ways() {
        let now = Now { mono_ns: 1_000, unix_ns: 50_000 };
        assert_eq!(now.mono_of(49_900), 900);
        assert_eq!(now.mono_of(0), 1_000);
        assert_eq!(now.mono_of(60_000), 1_000);
        assert_eq!(now.unix_of(900), 49_900);
        assert_eq!(now.unix_of(0), 0);
    }
}
