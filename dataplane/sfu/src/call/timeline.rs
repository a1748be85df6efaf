//! Timestamps across layers.
//!
//! Each layer of a track counts time from a random start. Sender reports say which timestamp meant
//! which instant (RFC 3550 section 6.4.1), so that a route can change layers and its receiver sees
//! one clock that goes on. All arithmetic is modulo 2^32, as timestamps are.

use super::MAX_LAYERS;
use crate::reception::ticks;

/// What turns a layer's timestamps into the track's common time: NTP in ticks of the track's clock,
/// modulo 2^32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alignment {
    offsets: [u32; MAX_LAYERS],
    known: u8,
}

impl Alignment {
    /// Takes a sender report of `layer`: `timestamp` meant the instant `ntp`, 32.32 seconds.
    pub fn handle_report(&mut self, layer: u8, ntp: u64, timestamp: u32, clock_hz: u32) {
        if let Some(offset) = self.offsets.get_mut(usize::from(layer)) {
            let common = ((u128::from(ntp) * u128::from(clock_hz)) >> 32) as u32;
            *offset = common.wrapping_sub(timestamp);
            self.known |= 1 << layer;
        }
    }

    /// Forgets a layer whose numbering began anew.
    pub fn forget(&mut self, layer: u8) {
        self.known &= !(1 << layer);
    }

    /// What to add to a timestamp of layer `from` to have the same instant in layer `to`.
    pub fn between(&self, from: u8, to: u8) -> Option<u32> {
        let offset = |layer: u8| {
            let offset = self.offsets.get(usize::from(layer)).copied()?;
            (self.known >> layer & 1 == 1).then_some(offset)
        };
        Some(offset(from)?.wrapping_sub(offset(to)?))
    }
}

/// A stream that resumes may lie so far behind where the receiver's clock should be, in ms; beyond
/// it the receiver's clock goes on. LiveKit has the same threshold.
const RESUME_BEHIND_MS: u32 = 200;
/// A layer that is switched to may lie so far behind what was sent last, in ms; beyond it the
/// reports of its sender are not believed. LiveKit waits there instead, possibly for ever.
const SWITCH_BEHIND_MS: u32 = 50;
/// Farther than this from where the receiver's clock should be, in ms, no report is believed.
const FAR_MS: u32 = 2000;

/// The last timestamp sent and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instant {
    /// Timestamp as the receiver saw it.
    pub timestamp: u32,
    /// When it was sent, ns.
    pub at_ns: u64,
}

/// The timestamp under which the receiver shall see a packet that follows `last` on a changed or
/// resumed stream.
///
/// `reference` is where the packet lies by the senders' clocks, if they are known.
pub fn continue_at(
    last: Instant,
    now_ns: u64,
    clock_hz: u32,
    reference: Option<u32>,
    resumed: bool,
) -> u32 {
    let expected = last.timestamp.wrapping_add(ticks(now_ns.saturating_sub(last.at_ns), clock_hz));
    let reference = reference.unwrap_or(expected);
    let limit = |ms: u32| (u64::from(ms) * u64::from(clock_hz) / 1000) as i32;
    let behind_expected = expected.wrapping_sub(reference) as i32;
    let behind_last = last.timestamp.wrapping_sub(reference) as i32;
    let believed = behind_expected.unsigned_abs() <= limit(FAR_MS).unsigned_abs()
        && if resumed {
            behind_expected <= limit(RESUME_BEHIND_MS)
        } else {
            behind_last <= limit(SWITCH_BEHIND_MS)
        };
    let next = if believed { reference } else { expected };
    // A receiver must see time go on.
    match next.wrapping_sub(last.timestamp) as i32 {
        1.. => next,
        _ => last.timestamp.wrapping_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ: u32 = 90_000;
    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn layers_are_aligned_by_their_reports() {
        let mut alignment = Alignment::default();
        assert_eq!(alignment.between(0, 0), None);
        alignment.handle_report(0, 1000 << 32, 5000, HZ);
        assert_eq!(alignment.between(0, 2), None);
        // Half a second later the other stands at 2^32 - 100.
        alignment.handle_report(2, (1000 << 32) + (1 << 31), 0u32.wrapping_sub(100), HZ);
        let offset = alignment.between(2, 0).expect("both are known");
        assert_eq!(0u32.wrapping_sub(100).wrapping_add(offset), 5000 + 45_000);
        let back = alignment.between(0, 2).expect("both are known");
        assert_eq!(offset.wrapping_add(back), 0);
        alignment.forget(2);
        assert_eq!(alignment.between(2, 0), None);
        alignment.handle_report(9, 0, 0, HZ);
        assert_eq!(alignment.between(9, 0), None);
    }

    #[test]
    fn time_goes_on() {
        let last = Instant { timestamp: u32::MAX - 89_999, at_ns: 0 };
        // Each: elapsed in ms, reference as distance from the last timestamp, resumed, expected as
        // that distance.
        let rows = [
            (1000, None, false, 90_000),
            (1000, Some(90_000), false, 90_000),
            (1000, Some(88_000), false, 88_000),
            // The same instant in another layer, or a little before it.
            (0, Some(0), false, 1),
            (20, Some(-4500), false, 1),
            // Too far behind what was sent: where time should be.
            (20, Some(-4501), false, 1800),
            // Resumed: behind where time should be by up to 200 ms.
            (10_000, Some(900_000 - 18_000), true, 900_000 - 18_000),
            (10_000, Some(900_000 - 18_001), true, 900_000),
            (10_000, Some(900_000 + 180_000), true, 900_000 + 180_000),
            // Nonsense either way.
            (10_000, Some(900_000 + 180_001), true, 900_000),
            (40, Some(i32::MIN), false, 3600),
            (40, Some(i32::MAX), true, 3600),
        ];
        for (ms, reference, resumed, expect) in rows {
            let reference = reference.map(|ticks: i32| last.timestamp.wrapping_add_signed(ticks));
            let next = continue_at(last, ms * SECOND_NS / 1000, HZ, reference, resumed);
            let found = next.wrapping_sub(last.timestamp);
            assert_eq!(found, expect, "{ms} {reference:?} {resumed}");
        }
    }
}
