//! One stream that a subscriber receives: what came, what is missing, what reports say of it.

use ringway_proto::nack::NackGenerator;
use ringway_wire::ntp;
use ringway_wire::rtcp::ReportBlock;
use ringway_wire::sequence::ExtendedSequence;

use super::track::{IncomingTrack, MediaKind};
use crate::track::SequenceTrack;

/// A received stream.
pub struct ReceivedStream {
    /// What signalling says of it.
    pub track: IncomingTrack,
    /// What is to be asked for.
    pub nack: NackGenerator,
    /// The last stamp was of the best layer there is, or of speech.
    pub best: bool,
    sequence: Option<ExtendedSequence>,
    first: u64,
    seen: SequenceTrack,
    window: Window,
    clock: Clock,
    reported: (u64, u64),
    sender_report: Option<(u32, u64)>,
}

/// The measured part of its sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    open: Option<u64>,
    close: Option<u64>,
    received: u64,
    repaired: u64,
}

/// Interarrival jitter (RFC 3550 A.8).
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    transit: Option<i64>,
    jitter_16: u64,
}

/// How a stream's window went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowCount {
    /// Packets by sequence numbers.
    pub expected: u64,
    /// Those that came, each counted once.
    pub received: u64,
    /// Those of them that came only after they were asked for.
    pub repaired: u64,
}

impl ReceivedStream {
    /// A stream that nothing has come of yet.
    pub fn new(track: IncomingTrack) -> Self {
        Self {
            track,
            nack: NackGenerator::default(),
            best: false,
            sequence: None,
            first: 0,
            seen: SequenceTrack::default(),
            window: Window::default(),
            clock: Clock::default(),
            reported: (0, 0),
            sender_report: None,
        }
    }

    /// Notes a packet; true when it is new. `repaired`: it came on the repair stream.
    pub fn handle_packet(&mut self, now_ns: u64, sequence: u16, repaired: bool) -> bool {
        let number = match &mut self.sequence {
            Some(extended) => extended.advance(sequence),
            None => {
                let extended = ExtendedSequence::new(sequence);
                self.first = extended.highest();
                self.sequence = Some(extended);
                extended.highest()
            }
        };
        self.nack.handle_packet(now_ns, sequence);
        if !self.seen.accept(sequence) {
            return false;
        }
        let window = &mut self.window;
        if window.open.is_some_and(|open| number >= open)
            && window.close.is_none_or(|close| number <= close)
        {
            window.received += 1;
            window.repaired += u64::from(repaired);
        }
        true
    }

    /// Packets that came, each counted once.
    pub fn received(&self) -> u64 {
        self.seen.unique
    }

    /// Whether anything came at all.
    pub fn is_heard(&self) -> bool {
        self.sequence.is_some()
    }

    /// Notes when a packet came, for the jitter.
    pub fn time(&mut self, now_ns: u64, timestamp: u32) {
        let rate_hz: u64 = if self.track.kind == MediaKind::Audio { 48_000 } else { 90_000 };
        let arrival = (u128::from(now_ns) * u128::from(rate_hz) / 1_000_000_000) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp).cast_signed());
        if let Some(before) = self.clock.transit.replace(transit) {
            let change = before.abs_diff(transit).min(1 << 20);
            self.clock.jitter_16 += change;
            self.clock.jitter_16 -= (self.clock.jitter_16 + 8) >> 4;
        }
    }

    /// Notes a sender report.
    pub fn handle_sender_report(&mut self, now_ns: u64, ntp_time: u64) {
        self.sender_report = Some((ntp::middle(ntp_time), now_ns));
    }

    /// What a receiver report says now; `None` before the first packet.
    pub fn report(&mut self, now_ns: u64) -> Option<ReportBlock> {
        let sequence = self.sequence?;
        let (expected, received) = (sequence.highest() - self.first + 1, self.seen.unique);
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, received);
        let (expected_now, received_now) = (expected - expected_before, received - received_before);
        let lost_now = expected_now.saturating_sub(received_now);
        let (last_sr, delay) = self.sender_report.map_or((0, 0), |(middle, at_ns)| {
            (middle, ntp::short_from_ns(now_ns.saturating_sub(at_ns)))
        });
        Some(ReportBlock {
            ssrc: self.track.ssrc,
            fraction_lost: (lost_now * 256 / expected_now.max(1)).min(255) as u8,
            cumulative_lost: i32::try_from(expected.cast_signed() - received.cast_signed())
                .unwrap_or(0),
            extended_highest_sequence: sequence.reported(),
            jitter: (self.clock.jitter_16 >> 4) as u32,
            last_sr,
            delay_since_last_sr: delay,
        })
    }

    /// The measured part begins with the next packet.
    pub fn open_window(&mut self) {
        // A stream that begins later is measured from its first packet on.
        self.window.open = Some(self.sequence.map_or(0, |sequence| sequence.highest() + 1));
    }

    /// The measured part ends with the latest packet.
    pub fn close_window(&mut self) {
        self.window.close = Some(self.sequence.map_or(0, ExtendedSequence::highest));
    }

    /// How the measured part went.
    pub fn window(&self) -> WindowCount {
        let (Some(open), Some(close)) = (self.window.open, self.window.close) else {
            return WindowCount::default();
        };
        let expected = (close + 1).saturating_sub(open.max(self.first));
        let Window { received, repaired, .. } = self.window;
        WindowCount { expected, received, repaired }
    }

    /// Packets that came more than once, and after a later one.
    pub fn disorder(&self) -> (u64, u64) {
        (self.seen.duplicates, self.seen.reordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> ReceivedStream {
        ReceivedStream::new(IncomingTrack {
            kind: MediaKind::Video,
            ssrc: 1,
            rtx_ssrc: Some(2),
            payload_type: 96,
            rtx_payload_type: Some(97),
            nack: true,
            remb: true,
            transport_sequence: 0,
        })
    }

    fn feed(stream: &mut ReceivedStream, packets: &[(u16, bool)]) {
        for (sequence, again) in packets {
            stream.handle_packet(0, *sequence, *again);
        }
    }

    fn check(before: &[u16], inside: &[(u16, bool)], after: &[(u16, bool)], expect: [u64; 3]) {
        let mut stream = stream();
        let before: Vec<_> = before.iter().map(|sequence| (*sequence, false)).collect();
        feed(&mut stream, &before);
        stream.open_window();
        feed(&mut stream, inside);
        stream.close_window();
        feed(&mut stream, after);
        let WindowCount { expected, received, repaired } = stream.window();
        assert_eq!([expected, received, repaired], expect, "{before:?} {inside:?} {after:?}");
    }

    #[test]
    fn windows_are_counted_by_sequence_numbers() {
        check(&[1, 2], &[(3, false), (4, false)], &[(5, false)], [2, 2, 0]);
        check(&[1, 2], &[(4, false), (3, true)], &[], [2, 2, 1]);
        check(&[1, 2], &[(4, false)], &[(5, false), (3, true)], [2, 2, 1]);
        check(&[1, 2], &[(4, false), (4, false)], &[(5, false)], [2, 1, 0]);
        check(&[1, 3], &[(2, false), (4, false)], &[], [1, 1, 0]);
        check(&[], &[(65_535, false), (0, false)], &[(1, false)], [2, 2, 0]);
        check(&[7], &[], &[(8, false)], [0, 0, 0]);
    }

    #[test]
    fn reports_say_what_is_missing() {
        let mut stream = stream();
        assert_eq!(stream.report(0), None);
        feed(&mut stream, &[(10, false), (11, false), (13, false)]);
        let block = stream.report(0).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (64, 1));
        assert_eq!(block.extended_highest_sequence, 13);
        stream.handle_packet(0, 14, false);
        let block = stream.report(0).unwrap();
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 1));
    }
}
