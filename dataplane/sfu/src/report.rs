//! RTCP across the forward: sender reports translated downstream, receiver reports aggregated
//! upstream (RFC 3550 7.2, 7.3).
//!
//! The source hears one receiver: the worst of what we and the destinations saw. Each destination
//! hears one sender: the source's clock, with our counts of what this destination was sent.

use ringway_wire::ntp;
use ringway_wire::rtcp::ReportBlock;

/// A destination's report older than this no longer speaks. Three report intervals: one lost
/// report does not hide its loss, a receiver that left does not haunt the source.
const STALE_NS: u64 = 15_000_000_000;

/// What one receiver last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Fraction lost, 0–255.
    pub fraction_lost: u8,
    /// Lost in all.
    pub lost: u64,
    /// Jitter, timestamp units.
    pub jitter: u32,
    /// When it came, ns.
    pub at_ns: u64,
}

impl Reported {
    /// The worst of each figure over `own` and the fresh ones of `downstream`.
    pub fn worst(own: Self, downstream: impl Iterator<Item = Self>, now_ns: u64) -> Self {
        downstream.filter(|report| now_ns.saturating_sub(report.at_ns) <= STALE_NS).fold(
            own,
            |worst, report| Self {
                fraction_lost: worst.fraction_lost.max(report.fraction_lost),
                lost: worst.lost.max(report.lost),
                jitter: worst.jitter.max(report.jitter),
                at_ns: worst.at_ns,
            },
        )
    }

    /// The report block that tells source `ssrc` so.
    pub fn block(
        self,
        ssrc: u32,
        extended_highest_sequence: u32,
        report: Option<SourceReport>,
        now_ns: u64,
    ) -> ReportBlock {
        let (last_sr, delay_since_last_sr) = report.map_or((0, 0), |report| {
            let delay_ns = now_ns.saturating_sub(report.at_ns);
            // RFC 3550 6.4.1: in units of 1/65536 s.
            let delay = (delay_ns / 1_000).saturating_mul(65_536) / 1_000_000;
            (ntp::middle(report.ntp), u32::try_from(delay).unwrap_or(u32::MAX))
        });
        ReportBlock {
            ssrc,
            fraction_lost: self.fraction_lost,
            // RFC 3550 6.4.1: 24 bits, signed.
            cumulative_lost: self.lost.min(0x7f_ffff) as i32,
            extended_highest_sequence,
            jitter: self.jitter,
            last_sr,
            delay_since_last_sr,
        }
    }
}

/// What a sender report said of the source's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// SSRC of the source.
    pub ssrc: u32,
    /// NTP time, 32.32 fixed point.
    pub ntp: u64,
    /// The same instant in the stream's clock.
    pub timestamp: u32,
    /// When the report came, ns.
    pub at_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(fraction_lost: u8, lost: u64, jitter: u32, at_ns: u64) -> Reported {
        Reported { fraction_lost, lost, jitter, at_ns }
    }

    #[test]
    fn the_worst_speaks_unless_it_is_stale() {
        let now = 60_000_000_000;
        let own = reported(1, 10, 5, now);
        let check = |downstream: &[Reported], expect: Reported| {
            let got = Reported::worst(own, downstream.iter().copied(), now);
            assert_eq!(got, expect, "{downstream:?}");
        };
        check(&[], own);
        check(&[reported(9, 3, 7, now)], reported(9, 10, 7, now));
        check(&[reported(0, 90, 0, now - STALE_NS)], reported(1, 90, 5, now));
        check(&[reported(255, 90, 99, now - STALE_NS - 1)], own);
    }

    #[test]
    fn blocks_carry_the_delay_since_the_report() {
        let report = SourceReport { ssrc: 7, ntp: 0x0011_2233_4455_6677, timestamp: 0, at_ns: 0 };
        let block = reported(1, 1 << 40, 3, 0).block(7, 70_000, Some(report), 500_000_000);
        assert_eq!(block.last_sr, 0x2233_4455);
        assert_eq!(block.delay_since_last_sr, 32_768);
        assert_eq!(block.cumulative_lost, 0x7f_ffff);
        let block = reported(1, 1, 3, 0).block(7, 70_000, None, 500_000_000);
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0, 0));
    }
}
