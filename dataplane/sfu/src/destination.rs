//! One destination of a forward: what it is sent, rewritten how, and what it answered.

use ringway_wire::ntp;
use ringway_wire::rtcp::{ReportBlock, SenderReport};
use ringway_wire::rtp_rewrite::HeaderRewrite;

use crate::input::Mark;
use crate::line::{Line, Shift};
use crate::report::{Reported, SourceReport};

/// What a destination has rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// SSRC of everything sent.
    pub ssrc: Option<u32>,
    /// Payload type of everything sent.
    pub payload_type: Option<u8>,
    /// One unbroken line, whatever the source does.
    pub contiguous: bool,
}

impl Rewrite {
    /// Whether packets leave as they came.
    pub fn is_identity(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts of one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationCounts {
    /// RTP packets sent.
    pub packets: u64,
    /// Their bytes, header included.
    pub bytes: u64,
    /// Their payload octets, for sender reports.
    pub octets: u64,
    /// Packets dropped on the way to it.
    pub dropped: u64,
    /// RTCP datagrams sent to it.
    pub rtcp_packets: u64,
    /// Receiver reports that came from it.
    pub reports: u64,
}

/// The forwarding state of one destination.
#[derive(Clone, Debug)]
pub struct Destination {
    rewrite: Rewrite,
    line: Line,
    /// SSRC of a contiguous line: the first source's, unless one is configured.
    line_ssrc: Option<u32>,
    /// Middle of the NTP time of the last sender report and when it left, for round trips.
    report_sent: Option<(u32, u64)>,
    /// What it last reported.
    pub reported: Option<Reported>,
    /// Round trip by its last report, µs.
    pub round_trip_us: u64,
    /// Counts so far.
    pub counts: DestinationCounts,
}

impl Destination {
    /// Nothing sent yet.
    pub fn new(rewrite: Rewrite) -> Self {
        Self {
            rewrite,
            line: Line::default(),
            line_ssrc: rewrite.ssrc,
            report_sent: None,
            reported: None,
            round_trip_us: 0,
            counts: DestinationCounts::default(),
        }
    }

    /// Replaces what is rewritten; a line already begun goes on.
    pub fn set_rewrite(&mut self, rewrite: Rewrite) {
        let goes_on = rewrite.contiguous && self.rewrite.contiguous;
        if !goes_on || rewrite.ssrc != self.rewrite.ssrc {
            self.line_ssrc = rewrite.ssrc;
        }
        self.rewrite = rewrite;
    }

    /// What is rewritten.
    pub fn rewrite(&self) -> &Rewrite {
        &self.rewrite
    }

    /// How the packet that `mark` describes leaves.
    pub fn header_rewrite(&mut self, mark: &Mark) -> HeaderRewrite {
        let shift = if self.rewrite.contiguous { self.line.follow(mark) } else { Shift::default() };
        if self.rewrite.contiguous && self.line_ssrc.is_none() {
            self.line_ssrc = Some(mark.ssrc);
        }
        HeaderRewrite {
            ssrc: self.line_ssrc,
            payload_type: self.rewrite.payload_type,
            sequence_delta: shift.sequence,
            timestamp_delta: shift.timestamp,
        }
    }

    /// The SSRC under which it sees source `ssrc`.
    pub fn ssrc_of(&self, ssrc: u32) -> u32 {
        self.line_ssrc.unwrap_or(ssrc)
    }

    /// The source's sender report as this destination must see it: its own line's timestamp, and
    /// counts of what it was sent.
    pub fn sender_report(&mut self, report: &SourceReport, now_ns: u64) -> SenderReport {
        let shift = if self.rewrite.contiguous { self.line.shift() } else { Shift::default() };
        self.report_sent = Some((ntp::middle(report.ntp), now_ns));
        SenderReport {
            ssrc: self.ssrc_of(report.ssrc),
            ntp: report.ntp,
            rtp_timestamp: report.timestamp.wrapping_add(shift.timestamp),
            // RFC 3550 6.4.1: both wrap at 32 bits.
            packet_count: self.counts.packets as u32,
            octet_count: self.counts.octets as u32,
        }
    }

    /// Takes a report block that it sent at `now_ns`.
    pub fn handle_report(&mut self, block: &ReportBlock, now_ns: u64) {
        self.counts.reports += 1;
        self.reported = Some(Reported {
            fraction_lost: block.fraction_lost,
            lost: u64::try_from(block.cumulative_lost).unwrap_or(0),
            jitter: block.jitter,
            at_ns: now_ns,
        });
        // RFC 3550 6.4.1: round trip = arrival - departure - delay since last SR. Departure is when
        // the report left here, not the source's own clock.
        if let Some((last_sr, sent_ns)) = self.report_sent
            && last_sr == block.last_sr
            && last_sr != 0
        {
            let delay_ns = u64::from(block.delay_since_last_sr) * 1_000_000_000 / 65_536;
            let round_trip_ns = now_ns.saturating_sub(sent_ns).saturating_sub(delay_ns);
            self.round_trip_us = round_trip_ns / 1_000;
        }
    }
}
