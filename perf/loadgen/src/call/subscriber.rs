//! A participant's receiving direction: it counts, asks for what is missing, and reports.

use ringway_proto::twcc::TwccRecorder;
use ringway_wire::RtpView;
use ringway_wire::extension::Elements;
use ringway_wire::rtcp::write::{write_nack, write_receiver_report, write_remb};
use ringway_wire::rtcp::{Compound, NackEntry, Packet, ReceiverReport, ReportBlock};

use super::connection::{Connection, MAX_DATAGRAM_BYTES};
use super::data::{self, ReceivedData};
use super::stamp::{AUDIO_LAYER, CallStamp};
use super::stream::{ReceivedStream, WindowCount};
use super::tally::Tally;
use super::track::{IncomingTrack, MediaKind};
use super::{audio, video};

/// Between two receiver reports.
const REPORT_NS: u64 = 1_000_000_000;
/// What we say that the path carries: more than any scenario sends.
const ESTIMATE_BPS: u64 = 200_000_000;

/// The receiving direction of a participant.
pub struct Subscriber {
    ssrc: u32,
    streams: Vec<ReceivedStream>,
    data: Vec<ReceivedData>,
    report_ns: u64,
    remb: bool,
    transport_sequence: u8,
    twcc: Option<Box<TwccRecorder>>,
}

/// A datagram's place in time: our clock, and the kernel's arrival.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// CLOCK_MONOTONIC.
    pub now_ns: u64,
    /// CLOCK_REALTIME.
    pub arrival_ns: u64,
}

impl Subscriber {
    /// A subscriber that reports as `ssrc`.
    pub fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            streams: Vec::new(),
            data: Vec::new(),
            report_ns: 0,
            remb: false,
            transport_sequence: 0,
            twcc: None,
        }
    }

    /// Takes what signalling says of the streams; those known already go on.
    pub fn set_tracks(&mut self, tracks: Vec<IncomingTrack>) {
        self.remb = tracks.iter().any(|track| track.remb);
        let sequence = tracks.iter().map(|track| track.transport_sequence).max().unwrap_or(0);
        self.transport_sequence = sequence;
        if sequence != 0 && self.twcc.is_none() {
            self.twcc = Some(Box::default());
        }
        for track in tracks {
            match self.streams.iter_mut().find(|stream| stream.track.ssrc == track.ssrc) {
                Some(stream) => stream.track = track,
                None => self.streams.push(ReceivedStream::new(track)),
            }
        }
    }

    /// Streams whose last packet was of the best layer, and those whose data comes.
    pub fn settled(&self) -> usize {
        self.streams.iter().filter(|stream| stream.best).count() + self.data.len()
    }

    /// What is missing of `expected` streams, for people.
    pub fn progress(&self, expected: usize) -> String {
        let (told, settled) = (self.streams.len(), self.settled());
        let silent = self.streams.iter().filter(|stream| !stream.is_heard()).count();
        format!(
            "was told of {told} of {expected} streams, hears nothing of {silent}, and receives \
             {settled} in the best quality"
        )
    }

    /// Streams that signalling told of.
    pub fn streams(&mut self) -> &mut [ReceivedStream] {
        &mut self.streams
    }

    /// What came of others' data.
    pub fn data(&mut self) -> &mut [ReceivedData] {
        &mut self.data
    }

    /// Takes a message of a data channel.
    pub fn handle_message(&mut self, at: Arrival, message: &[u8], tally: &mut Tally) {
        let Some(stamp) = data::read_stamp(message) else {
            tally.foreign += 1;
            return;
        };
        match self.data.iter_mut().find(|data| data.publisher == stamp.publisher) {
            Some(data) => data.handle(&stamp),
            None => self.data.push(ReceivedData::new(&stamp)),
        }
        count(tally, at.arrival_ns, Some(stamp));
    }

    /// Takes an opened RTP packet.
    pub fn handle_rtp(
        &mut self,
        at: Arrival,
        packet: &[u8],
        header_len: usize,
        ssrc: u32,
        tally: &mut Tally,
    ) {
        self.note_transport_sequence(at.now_ns, packet);
        let position = self
            .streams
            .iter()
            .position(|stream| stream.track.ssrc == ssrc || stream.track.rtx_ssrc == Some(ssrc));
        let Some(stream) = position.and_then(|at| self.streams.get_mut(at)) else {
            tally.foreign += 1;
            return;
        };
        let (Some(header), Some(mut payload)) =
            (packet.first_chunk::<12>(), packet.get(header_len..))
        else {
            return;
        };
        if header[0] & 0x20 != 0 {
            let padding = payload.last().map_or(0, |count| usize::from(*count));
            payload = &payload[..payload.len().saturating_sub(padding)];
        }
        let repaired = stream.track.ssrc != ssrc;
        let mut sequence = u16::from_be_bytes([header[2], header[3]]);
        if repaired {
            // RFC 4588 4: the original number is in front. Without, it is only padding.
            let Some((original, rest)) = payload.split_first_chunk::<2>() else {
                tally.padding += 1;
                return;
            };
            tally.repairs += 1;
            (sequence, payload) = (u16::from_be_bytes(*original), rest);
        } else {
            let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
            stream.time(at.now_ns, timestamp);
        }
        if !stream.handle_packet(at.now_ns, sequence, repaired) {
            return;
        }
        if payload.is_empty() {
            tally.padding += 1;
            return;
        }
        let stamp = match stream.track.kind {
            MediaKind::Audio => audio::read_stamp(payload),
            MediaKind::Video => video::read_stamp(payload),
        };
        if let Some(stamp) = stamp {
            stream.best = is_best(&stamp);
        }
        count(tally, at.arrival_ns, stamp);
    }

    fn note_transport_sequence(&mut self, now_ns: u64, packet: &[u8]) {
        let Some(twcc) = &mut self.twcc else { return };
        let Ok(view) = RtpView::parse(packet) else { return };
        let Some(extension) = view.extension() else { return };
        let id = self.transport_sequence;
        let found = Elements::new(extension.profile, extension.data).find(|it| it.id == id);
        if let Some(number) = found.and_then(|element| element.data.first_chunk::<2>().copied()) {
            twcc.handle_packet(now_ns, u16::from_be_bytes(number), view.marker());
        }
    }

    /// Takes an opened RTCP packet.
    pub fn handle_rtcp(&mut self, now_ns: u64, rtcp: &[u8]) {
        let Ok(compound) = Compound::parse(rtcp) else { return };
        for packet in compound.packets() {
            if let Packet::SenderReport(report, _) = packet
                && let Some(stream) =
                    self.streams.iter_mut().find(|stream| stream.track.ssrc == report.ssrc)
            {
                stream.handle_sender_report(now_ns, report.ntp);
            }
        }
    }

    /// Sends the NACKs and reports that are due.
    pub fn poll_feedback(&mut self, now_ns: u64, connection: &mut Connection, tally: &mut Tally) {
        let mut out = [0; MAX_DATAGRAM_BYTES];
        for stream in &mut self.streams {
            if !stream.track.nack || stream.nack.deadline().is_none_or(|due_ns| due_ns > now_ns) {
                continue;
            }
            let mut entries = [NackEntry::default(); 32];
            let used = stream.nack.poll_nack(now_ns, &mut entries);
            let media = stream.track.ssrc;
            if used > 0
                && let Ok(len) = write_nack(&mut out, self.ssrc, media, &entries[..used])
            {
                connection.send_rtcp(&out[..len]);
                tally.nacks += 1;
            }
        }
        if let Some(twcc) = &mut self.twcc {
            let media = self.streams.first().map_or(0, |stream| stream.track.ssrc);
            if let Some(len) = twcc.poll_feedback(now_ns, self.ssrc, media, &mut out) {
                connection.send_rtcp(&out[..len]);
            }
        }
        if self.report_ns <= now_ns {
            // Spread by the SSRC, so that a thousand subscribers do not report at once.
            let first = self.report_ns == 0;
            let wait_ns = if first { u64::from(self.ssrc) % REPORT_NS } else { REPORT_NS };
            self.report_ns = now_ns + wait_ns;
            if !first && let Some(len) = self.write_report(now_ns, &mut out) {
                connection.send_rtcp(&out[..len]);
            }
        }
    }

    fn write_report(&mut self, now_ns: u64, out: &mut [u8]) -> Option<usize> {
        let blocks: Vec<ReportBlock> =
            self.streams.iter_mut().filter_map(|stream| stream.report(now_ns)).take(31).collect();
        let report = ReceiverReport { ssrc: self.ssrc };
        let mut len = write_receiver_report(out, &report, &blocks).ok()?;
        // Neither libwebrtc nor Pion describes who only receives (RFC 5506).
        if self.remb {
            let ssrcs: Vec<u32> = self.streams.iter().map(|stream| stream.track.ssrc).collect();
            let rest = out.get_mut(len..)?;
            len += write_remb(rest, self.ssrc, ESTIMATE_BPS, &ssrcs).unwrap_or(0);
        }
        Some(len)
    }

    /// How the measured part of all its streams went.
    pub fn window(&self) -> WindowCount {
        let data = self.data.iter().map(ReceivedData::window);
        let all = self.streams.iter().map(ReceivedStream::window).chain(data);
        all.fold(WindowCount::default(), |sum, one| WindowCount {
            expected: sum.expected + one.expected,
            received: sum.received + one.received,
            repaired: sum.repaired + one.repaired,
        })
    }
}

fn is_best(stamp: &CallStamp) -> bool {
    stamp.layer == AUDIO_LAYER || stamp.layer + 1 == stamp.layers
}

fn count(tally: &mut Tally, arrival_ns: u64, stamp: Option<CallStamp>) {
    if !tally.is_open {
        return;
    }
    tally.delivered += 1;
    let Some(stamp) = stamp else { return };
    tally.stamped += 1;
    tally.best += u64::from(is_best(&stamp));
    tally.latency.saturating_record(arrival_ns.saturating_sub(stamp.sent_ns));
}
