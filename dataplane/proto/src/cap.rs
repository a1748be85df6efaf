//! What one subscriber's path may be given, by its own reports: deliberately simple and safe.
//!
//! A receiver's estimate (REMB) grows slowly and only up to one and a half times of what it gets.
//! So it says little about a path that is not full, least of all when it starts, and a high layer
//! would wait for it for long. But one that *falls* below what is sent says that the path is full:
//! then it is a cap, for a while. Transport-wide feedback is a cap by heavy loss. This is no
//! estimator of its own: delay does not move it.

use ringway_wire::rtcp::Twcc;

/// Packets whose size is remembered, a power of two; more than one report speaks of.
const WINDOW: usize = 512;

/// How long an estimate that fell caps. Raised, a path that is free again stays unused; lowered,
/// the next attempt fills a queue that has not drained.
const FALLEN_NS: u64 = 5_000_000_000;

/// An estimate has fallen when it is so much below its highest, in percent. Receivers step down by
/// 15 when a queue grows; smaller steps are noise until they add up.
const FALL_PERCENT: u64 = 10;

/// How long octets are gathered before they become the rate that is sent.
const RATE_NS: u64 = 500_000_000;

/// How long reports are gathered before loss is judged.
const LOSS_INTERVAL_NS: u64 = 500_000_000;

/// Loss above this is congestion, in percent; GCC's loss controller has the same limit.
const HEAVY_LOSS_PERCENT: u32 = 10;
/// Loss below this is none, in percent.
const LIGHT_LOSS_PERCENT: u32 = 2;

/// Packets that an interval must have before its loss says anything.
const MIN_JUDGED: u32 = 20;

/// A channel is never taken for narrower than this, bits/s: the lowest layer must pass.
pub const MIN_BPS: u64 = 200_000;
/// A channel of this much is no limit, bits/s.
pub const UNLIMITED_BPS: u64 = 100_000_000;

/// The cap of one subscriber.
#[derive(Clone, Debug)]
pub struct SendCap {
    /// Octets of the packets sent, by transport-wide number.
    sent: Box<[u16; WINDOW]>,
    /// The receiver's highest estimate since it last fell, bits/s.
    highest_bps: u64,
    /// When an estimate fell below what was sent, and what it is now, bits/s.
    fallen: Option<(u64, u64)>,
    sent_since_ns: u64,
    sent_bytes: u64,
    sent_bps: u64,
    by_loss_bps: Option<u64>,
    since_ns: u64,
    reported: u32,
    arrived: u32,
    arrived_bytes: u64,
}

impl Default for SendCap {
    fn default() -> Self {
        Self {
            sent: Box::new([0; WINDOW]),
            highest_bps: 0,
            fallen: None,
            sent_since_ns: 0,
            sent_bytes: 0,
            sent_bps: 0,
            by_loss_bps: None,
            since_ns: 0,
            reported: 0,
            arrived: 0,
            arrived_bytes: 0,
        }
    }
}

impl SendCap {
    /// Notes the size of a packet that left under the transport-wide `sequence`.
    #[inline]
    pub fn sent(&mut self, sequence: u16, bytes: usize) {
        self.sent[usize::from(sequence) % WINDOW] = u16::try_from(bytes).unwrap_or(u16::MAX);
    }

    /// Counts the octets of a packet that leaves.
    #[inline]
    pub fn count(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
    }

    /// Lets time pass; to be called a few times a second.
    pub fn handle_time(&mut self, now_ns: u64) {
        let elapsed_ns = now_ns.saturating_sub(self.sent_since_ns);
        if elapsed_ns >= RATE_NS {
            self.sent_bps =
                self.sent_bytes.saturating_mul(8).saturating_mul(1_000_000_000) / elapsed_ns;
            self.sent_since_ns = now_ns;
            self.sent_bytes = 0;
        }
    }

    /// Takes the receiver's own estimate.
    pub fn handle_remb(&mut self, now_ns: u64, bitrate_bps: u64) {
        let limit = self.highest_bps - self.highest_bps / 100 * FALL_PERCENT;
        if bitrate_bps >= limit {
            self.highest_bps = self.highest_bps.max(bitrate_bps);
            if let Some((_, now_bps)) = &mut self.fallen {
                *now_bps = bitrate_bps;
            }
            return;
        }
        self.highest_bps = bitrate_bps;
        // Who is sent less than it could take has other reasons.
        if bitrate_bps < self.sent_bps {
            self.fallen = Some((now_ns, bitrate_bps));
        }
    }

    /// Takes transport-wide feedback.
    pub fn handle_twcc(&mut self, now_ns: u64, twcc: &Twcc<'_>) {
        if self.since_ns == 0 {
            self.since_ns = now_ns;
        }
        let mut arrived = 0;
        for arrival in twcc.arrivals() {
            arrived += 1;
            self.arrived_bytes += u64::from(self.sent[usize::from(arrival.sequence) % WINDOW]);
        }
        self.arrived += arrived;
        // One report cannot speak of more packets than are remembered, whatever it says.
        self.reported += u32::from(twcc.status_count).min(WINDOW as u32).max(arrived);
        let elapsed_ns = now_ns.saturating_sub(self.since_ns);
        if elapsed_ns >= LOSS_INTERVAL_NS && self.reported >= MIN_JUDGED {
            self.judge(elapsed_ns);
            self.since_ns = now_ns;
            (self.reported, self.arrived, self.arrived_bytes) = (0, 0, 0);
        }
    }

    /// Bits/s that may be sent; `None` where nothing limits.
    pub fn bps(&self, now_ns: u64) -> Option<u64> {
        let fresh = |(at_ns, _): &(u64, u64)| now_ns.saturating_sub(*at_ns) < FALLEN_NS;
        let fallen = self.fallen.filter(fresh);
        let least = [fallen.map(|(_, bps)| bps), self.by_loss_bps].into_iter().flatten().min()?;
        (least < UNLIMITED_BPS).then_some(least.max(MIN_BPS))
    }

    fn judge(&mut self, elapsed_ns: u64) {
        let arrived_bps =
            self.arrived_bytes.saturating_mul(8).saturating_mul(1_000_000_000) / elapsed_ns;
        let lost = self.reported.saturating_sub(self.arrived);
        let loss_percent = lost * 100 / self.reported;
        if loss_percent > HEAVY_LOSS_PERCENT {
            // Below what came through, so that a queue can drain.
            let lower = arrived_bps / 100 * 85;
            self.by_loss_bps = Some(self.by_loss_bps.map_or(lower, |bps| bps.min(lower)));
        } else if loss_percent < LIGHT_LOSS_PERCENT {
            // A twentieth more each half second, until it is no limit.
            let grown = self.by_loss_bps.map(|bps| (bps + bps / 20).max(MIN_BPS));
            self.by_loss_bps = grown.filter(|&bps| bps < UNLIMITED_BPS);
        }
    }
}

#[cfg(test)]
#[path = "cap_tests.rs"]
mod tests;
