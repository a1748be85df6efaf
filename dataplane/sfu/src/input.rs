//! The input of a forward: who sends, what came, and where a stream ends and another begins.
//!
//! Ties [`Admission`], [`Reception`] and [`ClockRate`] together. Each accepted RTP packet becomes a
//! [`Mark`], all that destinations need to know of it.

use std::net::SocketAddr;

use ringway_wire::rtp::RtpView;

use crate::admission::{Admission, Admitted, Policy, Refused};
use crate::clock_rate::ClockRate;
use crate::reception::{Reception, Step};
use crate::report::{Reported, SourceReport};

/// What destinations need to know of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Counts up from 1 whenever the numbering breaks: another source, a restart, a jump that is no
    /// loss. Inside an epoch sequence numbers mean what RFC 3550 says.
    pub epoch: u32,
    /// SSRC of the source.
    pub ssrc: u32,
    /// Sequence number as it came.
    pub sequence: u16,
    /// Timestamp as it came.
    pub timestamp: u32,
    /// When it came, ns.
    pub now_ns: u64,
    /// Clock rate of the stream once it is known, Hz.
    pub clock_hz: Option<u32>,
}

/// An accepted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What destinations need to know.
    pub mark: Mark,
    /// Whether the source is another than before.
    pub source: Admitted,
}

/// Counts of one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputCounts {
    /// RTP packets accepted.
    pub packets: u64,
    /// Their bytes, header included.
    pub bytes: u64,
    /// RTCP datagrams accepted.
    pub rtcp_packets: u64,
    /// Packets refused by the policy.
    pub refused: u64,
    /// Datagrams that could not be parsed.
    pub malformed: u64,
    /// Times the source changed.
    pub source_changes: u64,
    /// Lost with sources that are gone.
    pub lost_before: u64,
    /// When the last RTP packet came, ns on the clock of `now_ns`; 0 if none came.
    pub last_packet_ns: u64,
    /// Its payload type.
    pub payload_type: u8,
}

/// The input of one forward.
#[derive(Clone, Debug)]
pub struct Input {
    admission: Admission,
    reception: Option<Reception>,
    clock_rate: ClockRate,
    epoch: u32,
    stray: bool,
    fraction_lost: u8,
    /// The source's last sender report.
    report: Option<SourceReport>,
    /// Counts so far.
    pub counts: InputCounts,
}

impl Input {
    /// Nobody has sent yet.
    pub fn new(policy: Policy) -> Self {
        Self {
            admission: Admission::new(policy),
            reception: None,
            clock_rate: ClockRate::default(),
            epoch: 0,
            stray: false,
            fraction_lost: 0,
            report: None,
            counts: InputCounts::default(),
        }
    }

    /// Who may send, and who does.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Replaces the policy.
    pub fn set_policy(&mut self, policy: Policy) {
        self.admission.set_policy(policy);
    }

    /// Whether RTCP from `from` speaks for the source; remembers where reports go.
    pub fn admit_rtcp(&mut self, from: SocketAddr) -> Result<(), Refused> {
        self.admission.admit_rtcp(from)
    }

    /// Takes an RTP packet of `bytes` bytes that came from `from` at `now_ns`.
    pub fn handle_rtp(
        &mut self,
        now_ns: u64,
        from: SocketAddr,
        rtp: &RtpView<'_>,
        bytes: usize,
    ) -> Result<Accepted, Refused> {
        let source = match self.admission.admit_rtp(now_ns, from, rtp.ssrc()) {
            Ok(source) => source,
            Err(refused) => {
                self.counts.refused += 1;
                return Err(refused);
            }
        };
        if source == Admitted::New {
            self.begin_source();
        }
        let sequence = rtp.sequence();
        let reception = self.reception.get_or_insert_with(|| Reception::new(sequence));
        let lost = reception.cumulative_lost();
        let step = reception.receive(sequence);
        let restarted = step == Step::Restarted;
        if restarted {
            // The reception starts over and forgets what was lost until now.
            self.counts.lost_before += lost.max(0) as u64;
        }
        // A jump breaks the line at once. The packet that confirms it goes on from there, any other
        // breaks it again; and so does a confirmation with other packets in between.
        if step == Step::Stray || self.stray != restarted {
            self.epoch += 1;
        }
        self.stray = step == Step::Stray;
        self.clock_rate.observe(now_ns, rtp.timestamp(), rtp.payload_type());
        let clock_hz = self.clock_rate.hz();
        if let Some(hz) = clock_hz
            && step == Step::Ahead
        {
            reception.time(now_ns, rtp.timestamp(), hz);
        }
        self.counts.packets += 1;
        self.counts.bytes += bytes as u64;
        self.counts.last_packet_ns = now_ns;
        self.counts.payload_type = rtp.payload_type();
        let mark = Mark {
            epoch: self.epoch,
            ssrc: rtp.ssrc(),
            sequence,
            timestamp: rtp.timestamp(),
            now_ns,
            clock_hz,
        };
        Ok(Accepted { mark, source })
    }

    /// Takes the sender report that came from the source.
    pub fn handle_sender_report(&mut self, report: SourceReport) {
        self.report = Some(report);
    }

    /// Whether anything came in the last `window_ns`.
    pub fn is_active(&self, now_ns: u64, window_ns: u64) -> bool {
        self.admission
            .source()
            .is_some_and(|source| now_ns.saturating_sub(source.heard_ns) <= window_ns)
    }

    /// Interarrival jitter of the source followed now, timestamp units.
    pub fn jitter(&self) -> u32 {
        self.reception.as_ref().map_or(0, Reception::jitter)
    }

    /// Fraction lost of the last report interval, 0–255.
    pub fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    /// Packets lost over all sources.
    pub fn lost(&self) -> u64 {
        let now = self.reception.as_ref().map_or(0, |r| r.cumulative_lost().max(0) as u64);
        self.counts.lost_before + now
    }

    /// Closes a report interval: what to tell the source about itself, `downstream` included.
    /// `None` when nothing was ever received.
    pub fn report(
        &mut self,
        now_ns: u64,
        downstream: impl Iterator<Item = Reported>,
    ) -> Option<ringway_wire::rtcp::ReportBlock> {
        let source = *self.admission.source()?;
        let reception = self.reception.as_mut()?;
        let own = reception.report();
        self.fraction_lost = own.fraction;
        let own = Reported {
            fraction_lost: own.fraction,
            lost: own.cumulative.max(0) as u64,
            jitter: reception.jitter(),
            at_ns: now_ns,
        };
        let worst = Reported::worst(own, downstream, now_ns);
        Some(worst.block(source.ssrc, reception.extended_highest(), self.report, now_ns))
    }

    fn begin_source(&mut self) {
        if let Some(before) = self.reception.take() {
            self.counts.lost_before += before.cumulative_lost().max(0) as u64;
            self.counts.source_changes += 1;
        }
        self.clock_rate = ClockRate::default();
        self.report = None;
        self.stray = false;
        self.epoch += 1;
    }
}
