//! What one subscriber answers: loss, jitter and round trip by its receiver reports.

use ringway_wire::ntp;
use ringway_wire::rtcp::ReportBlock;

use crate::report::Reported;

/// Least time between two sender reports to one receiver, ns. RFC 3550 6.2 recommends 5 s, LiveKit
/// makes one every 3 s. Raised: a receiver hears later of clocks that drift; lowered: more packets.
const REPORT_NS: u64 = 4_000_000_000;

/// The reports of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Middle of the NTP time of the last sender report and when it left, ns.
    sent: Option<(u32, u64)>,
    /// What was reported last.
    pub reported: Option<Reported>,
    round_trip_ns: Option<u64>,
    /// Highest number and loss at the end of the last interval.
    judged: Option<(u32, i32)>,
    latest: Option<(u32, i32)>,
}

impl Answers {
    /// Whether a sender report is due. Publishers make one a second; passed on each as a packet of
    /// its own, they are a sixth of what a listener of sound is sent.
    pub fn report_is_due(&self, now_ns: u64) -> bool {
        self.sent.is_none_or(|(_, sent_ns)| now_ns.saturating_sub(sent_ns) >= REPORT_NS)
    }

    /// Whether the receiver has heard no sender report: it knows neither which sound belongs to
    /// which picture nor how long its reports take.
    #[inline]
    pub fn lacks_report(&self) -> bool {
        self.sent.is_none()
    }

    /// Notes that a sender report with the time `ntp` leaves at `now_ns`.
    pub fn report_sent(&mut self, now_ns: u64, ntp: u64) {
        self.sent = Some((ntp::middle(ntp), now_ns));
    }

    /// Takes a block about this subscription that came at `now_ns`.
    pub fn handle_report(&mut self, now_ns: u64, block: &ReportBlock) {
        self.reported = Some(Reported {
            fraction_lost: block.fraction_lost,
            lost: u64::try_from(block.cumulative_lost).unwrap_or(0),
            jitter: block.jitter,
            at_ns: now_ns,
        });
        let latest = (block.extended_highest_sequence, block.cumulative_lost);
        self.latest = Some(latest);
        self.judged.get_or_insert(latest);
        // RFC 3550 6.4.1: round trip = arrival - departure - delay since last SR. Departure is when
        // the report left here: its NTP time is the publisher's clock.
        if let Some((last_sr, sent_ns)) = self.sent
            && last_sr == block.last_sr
            && last_sr != 0
        {
            let delay_ns = ntp::short_to_ns(block.delay_since_last_sr);
            let round_trip_ns = now_ns.saturating_sub(sent_ns).saturating_sub(delay_ns);
            self.round_trip_ns = Some(round_trip_ns);
        }
    }

    /// The round trip, ns, once one was measured.
    pub fn round_trip_ns(&self) -> Option<u64> {
        self.round_trip_ns
    }

    /// Ends an interval: packets that the subscriber should have got in it, and those of them that
    /// it lacks. `None` where it reported nothing new.
    pub fn end_interval(&mut self) -> Option<(u32, u32)> {
        let (highest, lost) = self.latest?;
        let (highest_before, lost_before) = self.judged.replace((highest, lost))?;
        let expected = highest.wrapping_sub(highest_before);
        // A receiver that began anew counts from elsewhere.
        if expected == 0 || expected > u32::from(u16::MAX) {
            return None;
        }
        let lost = u32::try_from(lost.saturating_sub(lost_before)).unwrap_or(0);
        Some((expected, lost.min(expected)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(highest: u32, lost: i32, last_sr: u32, delay: u32) -> ReportBlock {
        ReportBlock {
            ssrc: 1,
            fraction_lost: 9,
            cumulative_lost: lost,
            extended_highest_sequence: highest,
            jitter: 3,
            last_sr,
            delay_since_last_sr: delay,
        }
    }

    #[test]
    fn round_trips() {
        let mut answers = Answers::default();
        answers.handle_report(5, &block(1, 0, 0, 0));
        assert_eq!(answers.round_trip_ns(), None);
        answers.report_sent(1_000_000_000, 0x0011_2233_4455_6677);
        answers.handle_report(2_000_000_000, &block(1, 0, 0x2233_4456, 0));
        assert_eq!(answers.round_trip_ns(), None);
        // Half a second at the receiver.
        answers.handle_report(1_600_000_000, &block(1, 0, 0x2233_4455, 0x8000));
        assert_eq!(answers.round_trip_ns(), Some(100_000_000));
        answers.handle_report(1_100_000_000, &block(1, 0, 0x2233_4455, 0x8000));
        assert_eq!(answers.round_trip_ns(), Some(0));
        assert_eq!(answers.reported.map(|reported| reported.fraction_lost), Some(9));
    }

    #[test]
    fn reports_are_seldom_but_for_the_first() {
        let mut answers = Answers::default();
        assert!(answers.report_is_due(0));
        answers.report_sent(1_000, 1 << 32);
        for (at_ns, due) in [(1_000, false), (REPORT_NS, false), (REPORT_NS + 1_000, true)] {
            assert_eq!(answers.report_is_due(at_ns), due, "{at_ns}");
        }
    }

    #[test]
    fn intervals() {
        let mut answers = Answers::default();
        assert_eq!(answers.end_interval(), None);
        // The first report is where counting begins.
        answers.handle_report(0, &block(0xffff_fff0, 10, 0, 0));
        assert_eq!(answers.end_interval(), None);
        answers.handle_report(0, &block(0x10, 14, 0, 0));
        answers.handle_report(0, &block(0x54, 15, 0, 0));
        assert_eq!(answers.end_interval(), Some((100, 5)));
        assert_eq!(answers.end_interval(), None);
        // Late packets that came are no loss; a receiver that begins anew says nothing.
        answers.handle_report(0, &block(0x55, 3, 0, 0));
        assert_eq!(answers.end_interval(), Some((1, 0)));
        answers.handle_report(0, &block(7, 0, 0, 0));
        assert_eq!(answers.end_interval(), None);
    }
}
