//! How long the receiver of one subscription shall buffer pictures: LiveKit's
//! `room.playout_delay`.
//!
//! It is told within bounds that the room sets, as the least delay follows the jitter that the
//! receiver reports. A packet tells it only until a receiver report says that one of those that
//! did has arrived: the receiver keeps it.

use ringway_wire::extension_value::PlayoutDelay;
use ringway_wire::rtcp::ReportBlock;

/// The delay aimed at is so many times the jitter, and may change by so many ms a second, that
/// sound can follow: both LiveKit's. Lowered: late pictures; raised: sound that is heard to bend.
const DELAY_PER_JITTER: u32 = 10;
const MAX_CHANGE_MS_PER_SECOND: u64 = 80;
/// Where a receiver asks for more than so many of a hundred packets again, repairs need time too:
/// so many ms per further one. LiveKit's.
const MANY_NACKS_PERCENT: u32 = 60;
const DELAY_PER_NACK_MS: u32 = 2;
/// Of video (RFC 3551 5).
const CLOCK_PER_MS: u32 = 90;

/// What a room allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutBounds {
    /// Least delay, ms.
    pub min_ms: u16,
    /// Greatest delay, ms; no less than the least.
    pub max_ms: u16,
    /// The least delay follows the jitter. Not of shared screens: their pictures come seldom and in
    /// bursts, which looks like jitter.
    pub adapts: bool,
}

/// The delay of one subscription.
#[derive(Clone, Copy, Debug)]
pub struct Playout {
    bounds: PlayoutBounds,
    /// Now, ms.
    delay_ms: u32,
    told: Told,
    /// When the delay as it is was first told, ns.
    told_ns: u64,
    /// Packets sent and asked for again since the last report.
    sent: u32,
    wanted: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    No,
    /// By the packet of this number and those after it.
    Since(u16),
    /// It has arrived.
    Yes,
}

impl Playout {
    /// A delay that begins at the least one.
    pub fn new(bounds: PlayoutBounds) -> Self {
        let bounds = PlayoutBounds { max_ms: bounds.max_ms.max(bounds.min_ms), ..bounds };
        let delay_ms = bounds.min_ms.into();
        Self { bounds, delay_ms, told: Told::No, told_ns: 0, sent: 0, wanted: 0 }
    }

    /// What the packet that leaves as `sequence` tells.
    #[inline]
    pub fn tell(&mut self, now_ns: u64, sequence: u16) -> Option<PlayoutDelay> {
        self.sent = self.sent.saturating_add(1);
        match self.told {
            Told::Yes => return None,
            Told::Since(_) => {}
            Told::No => {
                self.told = Told::Since(sequence);
                self.told_ns = now_ns;
            }
        }
        Some(self.delay())
    }

    /// The receiver asks for a packet again.
    pub fn handle_nack(&mut self) {
        self.wanted = self.wanted.saturating_add(1);
    }

    /// Takes what the receiver reports of this subscription.
    pub fn handle_report(&mut self, now_ns: u64, block: &ReportBlock) {
        let highest = block.extended_highest_sequence as u16;
        if let Told::Since(first) = self.told
            && highest.wrapping_sub(first) < 0x8000
        {
            self.told = Told::Yes;
        }
        if self.bounds.adapts {
            self.follow(now_ns, block.jitter / CLOCK_PER_MS);
        }
        (self.sent, self.wanted) = (0, 0);
    }

    fn follow(&mut self, now_ns: u64, jitter_ms: u32) {
        let wanted = u64::from(self.wanted) * 100 / u64::from(self.sent.max(1));
        let beyond = (wanted.min(100) as u32).saturating_sub(MANY_NACKS_PERCENT);
        let aim = jitter_ms.saturating_mul(DELAY_PER_JITTER);
        let aim = aim.saturating_add(beyond * DELAY_PER_NACK_MS);
        // From when it was told: what nobody has heard of changes nobody's sound.
        let ms = now_ns.saturating_sub(self.told_ns) / 1_000_000;
        let change = MAX_CHANGE_MS_PER_SECOND * ms.min(1_000) / 1_000;
        let (least, most) =
            (self.delay_ms.saturating_sub(change as u32), self.delay_ms + change as u32);
        let PlayoutBounds { min_ms, max_ms, .. } = self.bounds;
        let before = self.delay();
        self.delay_ms = aim.clamp(least, most).clamp(min_ms.into(), max_ms.into());
        if self.delay() != before {
            self.told = Told::No;
        }
    }

    fn delay(&self) -> PlayoutDelay {
        let min_10ms = (self.delay_ms / 10) as u16;
        PlayoutDelay { min_10ms, max_10ms: self.bounds.max_ms / 10 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;
    const BOUNDS: PlayoutBounds = PlayoutBounds { min_ms: 100, max_ms: 500, adapts: true };

    fn block(highest: u16, jitter_ms: u32) -> ReportBlock {
        ReportBlock {
            extended_highest_sequence: 0x3_0000 | u32::from(highest),
            jitter: jitter_ms * 90,
            ..ReportBlock::default()
        }
    }

    fn told(playout: &mut Playout, now_ns: u64, sequence: u16) -> Option<u16> {
        let told = playout.tell(now_ns, sequence)?;
        assert_eq!(told.max_10ms, 50);
        Some(told.min_10ms)
    }

    #[test]
    fn it_is_told_until_it_has_arrived() {
        let mut playout = Playout::new(BOUNDS);
        for sequence in [0xfffe, 0xffff, 0, 1] {
            assert_eq!(told(&mut playout, 0, sequence), Some(10), "{sequence}");
        }
        // An older report, and one in which the first packet that told may have been lost.
        playout.handle_report(0, &block(0xfffd, 0));
        assert_eq!(told(&mut playout, 0, 2), Some(10));
        playout.handle_report(0, &block(1, 0));
        assert_eq!(told(&mut playout, 0, 3), None);
    }

    #[test]
    fn it_follows_jitter_slowly_and_within_its_bounds() {
        let mut playout = Playout::new(BOUNDS);
        assert_eq!(told(&mut playout, 0, 1), Some(10));
        let mut now_ns = 0;
        let mut reported = |jitter_ms, ms: u64| {
            now_ns += ms * 1_000_000;
            playout.handle_report(now_ns, &block(1, jitter_ms));
            told(&mut playout, now_ns, 1)
        };
        // 80 ms a second at most, so too after two; nothing is told that has not changed by 10 ms.
        assert_eq!(reported(30, 1_000), Some(18));
        assert_eq!(reported(30, 2_000), Some(26));
        assert_eq!(reported(30, 100), None);
        assert_eq!(reported(30, 900), Some(30));
        assert_eq!(reported(30, 5_000), None);
        let grown: Vec<_> = (0..4).map(|_| reported(1_000_000, 1_000)).collect();
        assert_eq!(grown, [Some(38), Some(46), Some(50), None]);
        let shrunk: Vec<_> = (0..6).map(|_| reported(0, 1_000)).collect();
        assert_eq!(shrunk, [Some(42), Some(34), Some(26), Some(18), Some(10), None]);
    }

    #[test]
    fn many_repairs_need_time_too() {
        let mut playout = Playout::new(PlayoutBounds { min_ms: 0, ..BOUNDS });
        for sequence in 0..10 {
            told(&mut playout, 0, sequence);
        }
        // 90 of 100 were asked for again: 30 more than are many.
        (0..9).for_each(|_| playout.handle_nack());
        playout.handle_report(SECOND_NS, &block(9, 0));
        assert_eq!(told(&mut playout, SECOND_NS, 10), Some(6));
        // What was asked for before does not count again.
        playout.handle_report(3 * SECOND_NS, &block(10, 0));
        assert_eq!(told(&mut playout, 3 * SECOND_NS, 11), Some(0));
    }

    #[test]
    fn that_of_screens_stays() {
        let mut playout = Playout::new(PlayoutBounds { adapts: false, ..BOUNDS });
        assert_eq!(told(&mut playout, 0, 1), Some(10));
        playout.handle_report(9 * SECOND_NS, &block(1, 40));
        assert_eq!(told(&mut playout, 9 * SECOND_NS, 2), None);
    }

    #[test]
    fn odd_bounds() {
        let bounds = PlayoutBounds { min_ms: 300, max_ms: 0, adapts: true };
        let mut playout = Playout::new(bounds);
        let delay = PlayoutDelay { min_10ms: 30, max_10ms: 30 };
        assert_eq!(playout.tell(0, 0), Some(delay));
        let all = PlayoutBounds { min_ms: 0, max_ms: u16::MAX, adapts: true };
        let mut playout = Playout::new(all);
        playout.handle_nack();
        let most = ReportBlock { jitter: u32::MAX, ..ReportBlock::default() };
        playout.handle_report(u64::MAX, &most);
        assert_eq!(playout.tell(u64::MAX, 0).map(|delay| delay.min_10ms), Some(8));
    }
}
