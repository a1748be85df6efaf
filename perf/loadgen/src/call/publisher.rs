//! A participant's sending direction: simulcast video and sound, reports, and what is asked for
//! again.

use ringway_proto::srtp::{PacketIndex, RtpParts};
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};
use ringway_wire::ntp;
use ringway_wire::rtcp::write::{write_sdes_cname, write_sender_report};
use ringway_wire::rtcp::{Compound, Packet, SenderReport};

use super::audio::{self, Voice};
use super::connection::{Connection, MAX_DATAGRAM_BYTES};
use super::data::DataSender;
use super::fixed;
use super::random::Random;
use super::scenario::{CallScenario, DataPlan, VideoPlan};
use super::stamp::{AUDIO_LAYER, CallStamp};
use super::track::{ExtensionIds, MediaKind, OutgoingTrack};
use super::video::{self, Frame, KEY_FRAME_FACTOR};
use crate::kernel;

/// Packets of a stream that can be sent again: two seconds of the top layer.
const HISTORY: usize = 512;
/// Between two sender reports of a stream.
const REPORT_NS: u64 = 1_000_000_000;
/// Between two key frames of a layer, as libwebrtc has it.
const KEY_FRAME_NS: u64 = 300_000_000;
/// A frame later than this counts as late.
const LATE_NS: u64 = 1_000_000;
/// Frames sent at once when the generator is behind.
const BURST: usize = 8;

/// A packet that was sent.
#[derive(Clone, Debug, Default)]
struct Sent {
    sequence: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// One SSRC that is sent, with the one for its repairs.
struct OutgoingStream {
    rid: String,
    ssrc: u32,
    rtx_ssrc: u32,
    /// Roll-over counter and sequence number of the next packet.
    next: u64,
    rtx_next: u64,
    /// The server has reported on it, so it knows whose it is.
    known: bool,
    history: Vec<Sent>,
    packets: u32,
    octets: u32,
    report_ns: u64,
    /// When its clock was at the base, and how fast it is.
    start_ns: u64,
    rate_hz: f64,
}

impl OutgoingStream {
    fn new(rid: &str, rate_hz: f64, start_ns: u64, random: &mut Random) -> Self {
        Self {
            start_ns,
            rate_hz,
            rid: rid.to_owned(),
            ssrc: random.next_ssrc(),
            rtx_ssrc: random.next_ssrc(),
            // Below 2^15, as libwebrtc does, so that roll-over is far.
            next: random.next_number() % 0x8000,
            rtx_next: random.next_number() % 0x8000,
            known: false,
            history: vec![Sent::default(); HISTORY],
            packets: 0,
            octets: 0,
            report_ns: 0,
        }
    }
}

/// One encoding of the picture.
struct Layer {
    stream: OutgoingStream,
    sizes: Vec<usize>,
    width: u16,
    height: u16,
    key_wanted: bool,
    key_ns: u64,
}

/// The picture.
struct Picture {
    track: OutgoingTrack,
    layers: Vec<Layer>,
    payload_bytes: usize,
    start_ns: u64,
    interval_ns: f64,
    frame: u64,
    first_id: u16,
}

/// The sound.
struct Sound {
    track: OutgoingTrack,
    stream: OutgoingStream,
    voice: Voice,
    start_ns: u64,
    interval_ns: f64,
    ticks: f64,
    number: u64,
}

/// What a publisher counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublisherCount {
    /// RTP packets of all layers, repairs not among them.
    pub packets: u64,
    /// RTP packets of the best layer and of sound.
    pub best_packets: u64,
    /// Key frames sent because they were asked for.
    pub key_frames: u64,
    /// Packets sent again.
    pub repairs: u64,
    /// Frames and packets of sound.
    pub frames: u64,
    /// Those that left late.
    pub late_frames: u64,
    /// The latest, ns.
    pub max_late_ns: u64,
}

/// The sending direction of a participant.
pub struct Publisher {
    number: u16,
    cname: String,
    clock_base: u32,
    transport_sequence: u16,
    picture: Option<Picture>,
    sound: Option<Sound>,
    data: Option<DataSender>,
    /// What was counted.
    pub count: PublisherCount,
    run: Vec<u8>,
}

impl Publisher {
    /// The `number`-th of `count` publishers, which has nothing to send yet.
    pub fn new(number: usize, data: Option<&DataPlan>, random: &mut Random) -> Self {
        Self {
            number: number as u16,
            cname: format!("load-{number}"),
            clock_base: random.next_number() as u32,
            transport_sequence: 0,
            picture: None,
            sound: None,
            data: data.map(|plan| DataSender::new(number as u16, plan)),
            count: PublisherCount::default(),
            run: Vec::new(),
        }
    }

    /// Takes what was agreed on. Sending begins at `start_ns`.
    pub fn set_tracks(
        &mut self,
        tracks: Vec<OutgoingTrack>,
        scenario: &CallScenario,
        start_ns: u64,
        random: &mut Random,
    ) {
        let count = u64::from(scenario.publishers);
        // Publishers do not send in step.
        let number = u64::from(self.number);
        let spread = |interval_ns: f64| start_ns + interval_ns as u64 * number / count.max(1);
        for track in tracks {
            match (track.kind, &scenario.video, &scenario.audio) {
                (MediaKind::Video, Some(plan), _) => {
                    let interval_ns = 1e9 / plan.frames_per_second;
                    let start_ns = spread(interval_ns);
                    let mut layers = layers(plan, start_ns, random);
                    if let (Some(ssrcs), [only]) = (track.ssrcs, &mut layers[..]) {
                        (only.stream.ssrc, only.stream.rtx_ssrc) = ssrcs;
                    }
                    self.picture = Some(Picture {
                        track,
                        layers,
                        start_ns,
                        payload_bytes: plan.payload_bytes,
                        interval_ns,
                        frame: 0,
                        first_id: random.next_number() as u16 & 0x7fff,
                    });
                }
                (MediaKind::Audio, _, Some(plan)) => {
                    let interval_ns = 1e9 / plan.packets_per_second;
                    let start_ns = spread(interval_ns);
                    let mut stream = OutgoingStream::new("", 48_000.0, start_ns, random);
                    if let Some(ssrcs) = track.ssrcs {
                        (stream.ssrc, stream.rtx_ssrc) = ssrcs;
                    }
                    self.sound = Some(Sound {
                        track,
                        stream,
                        start_ns,
                        voice: Voice::new(plan, u64::from(self.number), count),
                        interval_ns,
                        ticks: 48_000.0 / plan.packets_per_second,
                        number: 0,
                    });
                }
                _ => {}
            }
        }
    }

    /// Gives the streams the SSRCs that the floor knows.
    pub fn set_fixed_ssrcs(&mut self) {
        let number = self.number;
        if let Some(sound) = &mut self.sound {
            sound.stream.ssrc = fixed::audio_ssrc(number);
        }
        let layers = self.picture.iter_mut().flat_map(|picture| &mut picture.layers);
        // The best one is the first to the floor, which forwards only that.
        for (layer, rank) in layers.rev().zip(0..) {
            layer.stream.ssrc = fixed::video_ssrc(number, rank);
        }
    }

    /// Sends what is due; the number of frames.
    pub fn send_due(&mut self, now_ns: u64, connection: &mut Connection) -> usize {
        let mut frames = 0;
        while frames < BURST {
            if let Some(data) = self.data.as_mut().filter(|_| connection.can_send_data()) {
                let due_ns = data.due_ns(now_ns);
                if due_ns <= now_ns {
                    self.note_late(now_ns, due_ns);
                    self.send_message(now_ns, connection);
                    frames += 1;
                    continue;
                }
            }
            let since = |start_ns: u64, number: u64, interval_ns: f64| {
                start_ns + (number as f64 * interval_ns) as u64
            };
            if let Some(sound) = &self.sound {
                let due_ns = since(sound.start_ns, sound.number, sound.interval_ns);
                if due_ns <= now_ns {
                    self.note_late(now_ns, due_ns);
                    self.send_sound(connection);
                    frames += 1;
                    continue;
                }
            }
            if let Some(picture) = &self.picture {
                let due_ns = since(picture.start_ns, picture.frame, picture.interval_ns);
                if due_ns <= now_ns {
                    self.note_late(now_ns, due_ns);
                    self.send_picture(now_ns, connection);
                    frames += 1;
                    continue;
                }
            }
            break;
        }
        frames
    }

    fn note_late(&mut self, now_ns: u64, due_ns: u64) {
        let late_ns = now_ns.saturating_sub(due_ns);
        self.count.frames += 1;
        self.count.late_frames += u64::from(late_ns > LATE_NS);
        self.count.max_late_ns = self.count.max_late_ns.max(late_ns);
    }

    fn send_message(&mut self, now_ns: u64, connection: &mut Connection) {
        let Some(data) = &mut self.data else { return };
        let message = data.next_message();
        if connection.send_message(now_ns, &message) {
            self.count.packets += 1;
            self.count.best_packets += 1;
        }
    }

    fn send_sound(&mut self, connection: &mut Connection) {
        let Some(sound) = &mut self.sound else { return };
        let number = sound.number;
        sound.number += 1;
        let Some(utterance) = sound.voice.at(number) else { return };
        let stamp = CallStamp {
            publisher: self.number,
            layer: AUDIO_LAYER,
            layers: 1,
            frame: number as u32,
            sent_ns: kernel::realtime_ns(),
        };
        let mut payload = [0; 1200];
        let payload = &mut payload[..utterance.bytes];
        audio::write(&utterance, &stamp, payload);
        let packet = Outgoing {
            payload_type: sound.track.payload_type,
            timestamp: self.clock_base.wrapping_add((number as f64 * sound.ticks) as u64 as u32),
            marker: utterance.first,
            extensions: sound.track.extensions,
            mid: &sound.track.mid,
            level: Some(utterance.level),
            transport_sequence: &mut self.transport_sequence,
        };
        let mut out = [0; MAX_DATAGRAM_BYTES];
        if let Some(len) = packet.seal(&mut sound.stream, payload, connection, &mut out) {
            connection.send_run(&out[..len], len);
            self.count.packets += 1;
            self.count.best_packets += 1;
        }
    }

    fn send_picture(&mut self, now_ns: u64, connection: &mut Connection) {
        let Some(picture) = &mut self.picture else { return };
        let number = picture.frame;
        picture.frame += 1;
        let ticks = (number as f64 * picture.interval_ns * 90_000.0 / 1e9) as u64;
        let timestamp = self.clock_base.wrapping_add(ticks as u32);
        let layers = picture.layers.len();
        for (at, layer) in picture.layers.iter_mut().enumerate() {
            let key = number == 0
                || (layer.key_wanted && now_ns.saturating_sub(layer.key_ns) >= KEY_FRAME_NS);
            let mut bytes = layer.sizes[number as usize % layer.sizes.len()];
            if key {
                self.count.key_frames += u64::from(number > 0);
                (layer.key_wanted, layer.key_ns) = (false, now_ns);
                bytes *= KEY_FRAME_FACTOR;
            }
            let frame = Frame {
                key,
                picture_id: picture.first_id.wrapping_add(number as u16) & 0x7fff,
                tl0_index: number as u8,
                width: layer.width,
                height: layer.height,
            };
            let stamp = CallStamp {
                publisher: self.number,
                layer: at as u8,
                layers: layers as u8,
                frame: number as u32,
                sent_ns: kernel::realtime_ns(),
            };
            let sizes = video::split(bytes, picture.payload_bytes);
            let packets = sizes.clone().count();
            let (mut run, mut segment) = (0, 0);
            self.run.resize((packets + 1) * MAX_DATAGRAM_BYTES, 0);
            for (place, size) in sizes.enumerate() {
                let mut payload = [0; 1200];
                let payload = &mut payload[..size];
                frame.write(place, &stamp, payload);
                let packet = Outgoing {
                    payload_type: picture.track.payload_type,
                    timestamp,
                    marker: place + 1 == packets,
                    extensions: picture.track.extensions,
                    mid: &picture.track.mid,
                    level: None,
                    transport_sequence: &mut self.transport_sequence,
                };
                let out = &mut self.run[run..];
                let Some(len) = packet.seal(&mut layer.stream, payload, connection, out) else {
                    continue;
                };
                self.count.packets += 1;
                self.count.best_packets += u64::from(at + 1 == layers);
                // A longer packet begins another run; so does a full one.
                if run > 0 && (len != segment || run + len > 60_000) {
                    connection.send_run(&self.run[..run], segment);
                    self.run.copy_within(run..run + len, 0);
                    run = 0;
                }
                segment = len;
                run += len;
            }
            if run > 0 {
                connection.send_run(&self.run[..run], segment);
            }
        }
    }

    fn streams(&mut self) -> impl Iterator<Item = &mut OutgoingStream> {
        let picture = self.picture.iter_mut().flat_map(|picture| &mut picture.layers);
        let sound = self.sound.iter_mut().map(|sound| &mut sound.stream);
        picture.map(|layer| &mut layer.stream).chain(sound)
    }

    /// Takes an opened RTCP packet.
    pub fn handle_rtcp(&mut self, rtcp: &[u8], connection: &mut Connection) {
        let Ok(compound) = Compound::parse(rtcp) else { return };
        for packet in compound.packets() {
            match packet {
                Packet::Pli(pli) => self.want_key_frame(pli.media_ssrc),
                Packet::Fir(fir) => {
                    fir.entries().for_each(|entry| self.want_key_frame(entry.ssrc));
                }
                Packet::Nack(nack) => {
                    let wanted = nack.entries().flat_map(|entry| entry.sequences());
                    let media = nack.media_ssrc;
                    for sequence in wanted {
                        self.send_again(media, sequence, connection);
                    }
                }
                Packet::SenderReport(_, blocks) | Packet::ReceiverReport(_, blocks) => {
                    for block in blocks.iter() {
                        let mut known = self.streams().filter(|it| it.ssrc == block.ssrc);
                        if let Some(stream) = known.next() {
                            stream.known = true;
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn want_key_frame(&mut self, ssrc: u32) {
        let mut layers = self.picture.iter_mut().flat_map(|picture| &mut picture.layers);
        if let Some(layer) = layers.find(|layer| layer.stream.ssrc == ssrc) {
            layer.key_wanted = true;
        }
    }

    fn send_again(&mut self, ssrc: u32, sequence: u16, connection: &mut Connection) {
        let (mut out, mut again) = ([0; MAX_DATAGRAM_BYTES], [0; 1300]);
        let picture = self.picture.iter_mut().flat_map(|picture| {
            let (track, layers) = (&picture.track, &mut picture.layers);
            layers.iter_mut().map(move |layer| (track, &mut layer.stream))
        });
        let Some((track, stream)) = picture.into_iter().find(|(_, it)| it.ssrc == ssrc) else {
            return;
        };
        let Some(payload_type) = track.rtx_payload_type else { return };
        let sent = &stream.history[usize::from(sequence) % HISTORY];
        if sent.sequence != sequence || sent.payload.is_empty() {
            return;
        }
        again[..2].copy_from_slice(&sequence.to_be_bytes());
        let size = 2 + sent.payload.len();
        again[2..size].copy_from_slice(&sent.payload);
        let index = stream.rtx_next;
        stream.rtx_next += 1;
        let fields = HeadFields {
            marker: sent.marker,
            payload_type,
            sequence: index as u16,
            timestamp: sent.timestamp,
            ssrc: stream.rtx_ssrc,
            padding: false,
        };
        let ids = track.extensions;
        let mut head = [0; 96];
        let Some(mut writer) = HeadWriter::begin(&mut head, &fields, &[], HeadForm::OneByte) else {
            return;
        };
        writer.put(ids.mid, track.mid.as_bytes());
        writer.put(ids.repaired_rid, stream.rid.as_bytes());
        writer.put(ids.transport_sequence, &self.transport_sequence.to_be_bytes());
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let len = writer.end();
        let parts =
            RtpParts { header: &head[..len], payload: &again[..size], ..RtpParts::default() };
        let index = PacketIndex::new((index >> 16) as u32, index as u16);
        if let Some(len) = connection.seal(index, &parts, &mut out) {
            connection.send_run(&out[..len], len);
            self.count.repairs += 1;
        }
    }

    /// Sends the reports that are due.
    pub fn poll_reports(&mut self, now_ns: u64, connection: &mut Connection) {
        let base = self.clock_base;
        let cname = std::mem::take(&mut self.cname);
        for stream in self.streams() {
            if stream.packets == 0 || now_ns < stream.report_ns {
                continue;
            }
            stream.report_ns = now_ns + REPORT_NS;
            let ticks = now_ns.saturating_sub(stream.start_ns) as f64 * stream.rate_hz / 1e9;
            let report = SenderReport {
                ssrc: stream.ssrc,
                ntp: ntp::from_unix_ns(kernel::realtime_ns()),
                rtp_timestamp: base.wrapping_add(ticks as u64 as u32),
                packet_count: stream.packets,
                octet_count: stream.octets,
            };
            let mut out = [0; 200];
            if let Ok(first) = write_sender_report(&mut out, &report, &[])
                && let Ok(second) =
                    write_sdes_cname(&mut out[first..], stream.ssrc, cname.as_bytes())
            {
                connection.send_rtcp(&out[..first + second]);
            }
        }
        self.cname = cname;
    }
}

fn layers(plan: &VideoPlan, start_ns: u64, random: &mut Random) -> Vec<Layer> {
    let layer = |layer: &super::scenario::LayerPlan| Layer {
        stream: OutgoingStream::new(&layer.rid, 90_000.0, start_ns, random),
        sizes: plan.frame_sizes_of(layer),
        width: layer.width as u16,
        height: layer.height as u16,
        key_wanted: false,
        key_ns: 0,
    };
    plan.layers.iter().map(layer).collect()
}

/// What a packet's head is made of.
struct Outgoing<'a> {
    payload_type: u8,
    timestamp: u32,
    marker: bool,
    extensions: ExtensionIds,
    mid: &'a str,
    level: Option<u8>,
    transport_sequence: &'a mut u16,
}

impl Outgoing<'_> {
    /// Seals it as the next of `stream` into `out`; its length.
    fn seal(
        self,
        stream: &mut OutgoingStream,
        payload: &[u8],
        connection: &Connection,
        out: &mut [u8],
    ) -> Option<usize> {
        let index = stream.next;
        stream.next += 1;
        let fields = HeadFields {
            marker: self.marker,
            payload_type: self.payload_type,
            sequence: index as u16,
            timestamp: self.timestamp,
            ssrc: stream.ssrc,
            padding: false,
        };
        let ids = self.extensions;
        let mut head = [0; 96];
        let mut writer = HeadWriter::begin(&mut head, &fields, &[], HeadForm::OneByte)?;
        // RFC 8852 3.3: only until the other side knows which stream the SSRC is.
        if !stream.known {
            writer.put(ids.mid, self.mid.as_bytes());
            writer.put(ids.rid, stream.rid.as_bytes());
        }
        if let Some(level) = self.level {
            let voice = u8::from(level < 100) << 7;
            writer.put(ids.audio_level, &[voice | level]);
        }
        if writer.put(ids.transport_sequence, &self.transport_sequence.to_be_bytes()).is_some() {
            *self.transport_sequence = self.transport_sequence.wrapping_add(1);
        }
        let len = writer.end();
        let parts = RtpParts { header: &head[..len], payload, ..RtpParts::default() };
        let sealed =
            connection.seal(PacketIndex::new((index >> 16) as u32, index as u16), &parts, out)?;
        stream.packets = stream.packets.wrapping_add(1);
        stream.octets = stream.octets.wrapping_add(payload.len() as u32);
        let sent = &mut stream.history[index as usize % HISTORY];
        (sent.sequence, sent.timestamp) = (index as u16, self.timestamp);
        sent.marker = self.marker;
        sent.payload.clear();
        sent.payload.extend_from_slice(payload);
        Some(sealed)
    }
}
