//! A camera: up to three encodings of the same pictures.

use std::collections::HashMap;

use ringway_abi::call::SourceKey;
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};

use super::frame::{self, Coding, FrameId, Stamp, Vp8Numbers};
use super::meeting::{H264, MID, RID, RTX_RID, VP8};
use crate::random::Random;

/// Pictures a second.
const RATE: u64 = 25;
/// Clock of video.
pub const CLOCK_HZ: u64 = 90_000;
/// Octets of media behind each stamp, by layer.
const FILLER: [u64; 3] = [60, 120, 200];
/// Packets of a picture at most, by layer.
const PACKETS: [u64; 3] = [1, 2, 4];
/// Packets kept to be sent again.
const KEPT: u64 = 2000;

/// A frame as it was made.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// When, ms of the virtual clock.
    pub at_ms: u32,
    /// Temporal layer.
    pub temporal: u8,
    /// It needs no other.
    pub key: bool,
}

/// One encoding.
pub struct Encoding {
    /// Its SSRC.
    pub ssrc: u32,
    /// That of its repetitions.
    pub rtx_ssrc: u32,
    /// Its rid.
    pub rid: &'static str,
    /// It sends.
    pub running: bool,
    /// A key frame is due.
    pub key_wanted: bool,
    /// All frames so far; the first is number 1.
    pub made: Vec<Made>,
    /// Number of the next packet, wraps counted.
    pub next: u64,
    /// Number of the next repetition, wraps counted.
    pub next_rtx: u64,
    /// Packets and octets of payload so far.
    pub counts: (u32, u32),
    sent: HashMap<u64, Vec<u8>>,
    layer: u8,
    timestamp_base: u32,
    numbers: Vp8Numbers,
    phase: u32,
    last_of: [u32; 3],
}

/// A camera.
pub struct Camera {
    /// The control plane's name for it.
    pub source: SourceKey,
    /// Its media section.
    pub mid: String,
    /// How pictures are packed.
    pub coding: Coding,
    /// Its encodings, lowest first.
    pub encodings: Vec<Encoding>,
    /// SSRCs are named by extensions, not by signalling.
    pub by_rid: bool,
    /// Packets of every picture, whatever the layer.
    pub packets: Option<u64>,
    /// Octets of media of a full packet, whatever the layer.
    pub filler: Option<usize>,
    random: Random,
    next_ns: u64,
}

/// A packet on its way: its number with wraps counted, and its octets.
pub type Packet = (u64, Vec<u8>);

impl Camera {
    /// A camera of `layers` encodings that has sent nothing yet.
    pub fn new(source: SourceKey, mid: &str, coding: Coding, layers: u8, by_rid: bool) -> Self {
        let mut random = Random::new(source);
        let encodings = (0..layers).map(|layer| Encoding::new(&mut random, layer)).collect();
        let mid = mid.to_owned();
        Self {
            source,
            mid,
            coding,
            encodings,
            by_rid,
            packets: None,
            filler: None,
            random,
            next_ns: 0,
        }
    }

    /// The packets that are due: one picture of each encoding that runs.
    pub fn poll(&mut self, now_ns: u64) -> Vec<Packet> {
        if now_ns < self.next_ns {
            return Vec::new();
        }
        self.next_ns = now_ns.max(self.next_ns) + 1_000_000_000 / RATE;
        let mut out = Vec::new();
        for encoding in self.encodings.iter_mut().filter(|encoding| encoding.running) {
            let some = self.random.between(1, PACKETS[usize::from(encoding.layer)]);
            let packets = self.packets.unwrap_or(some) as u8;
            let tags = self.by_rid.then_some(self.mid.as_str());
            out.extend(encoding.encode(now_ns, self.coding, packets, self.filler, tags));
        }
        out
    }

    /// The repetitions of packet `sequence` of SSRC `ssrc`, if it is kept.
    pub fn repeat(&mut self, ssrc: u32, sequence: u16) -> Option<Packet> {
        let tags = self.by_rid.then_some(self.mid.as_str());
        let (coding, found) = (self.coding, |encoding: &&mut Encoding| encoding.ssrc == ssrc);
        self.encodings.iter_mut().find(found)?.repeat(coding, sequence, tags)
    }

    /// The timestamp of encoding `layer` at an instant.
    pub fn timestamp(&self, layer: usize, now_ns: u64) -> u32 {
        self.encodings[layer].timestamp(now_ns)
    }
}

fn media_type(coding: Coding) -> u8 {
    match coding {
        Coding::Vp8 => VP8,
        Coding::H264 => H264,
    }
}

impl Encoding {
    fn new(random: &mut Random, layer: u8) -> Self {
        // Near the wrap of everything, half of the time.
        let near = |random: &mut Random, most: u64| {
            if random.chance(500) { most - random.between(1, 40) } else { random.below(most) }
        };
        Self {
            ssrc: random.any() as u32 | 1,
            rtx_ssrc: (random.any() as u32 | 1) - 1,
            rid: ["q", "h", "f"][usize::from(layer)],
            running: true,
            key_wanted: true,
            made: Vec::new(),
            next: near(random, 1 << 16),
            next_rtx: near(random, 1 << 16),
            counts: (0, 0),
            sent: HashMap::new(),
            layer,
            timestamp_base: near(random, 1 << 32) as u32,
            numbers: Vp8Numbers {
                picture_id: near(random, 1 << 15) as u16,
                tl0_index: near(random, 1 << 8) as u8,
                key_index: random.below(32) as u8,
            },
            phase: 0,
            last_of: [0; 3],
        }
    }

    /// Begins anew under another SSRC, as a publisher does that comes back.
    pub fn renew(&mut self, random: &mut Random) {
        let (layer, made) = (self.layer, std::mem::take(&mut self.made));
        let last = made.len() as u32;
        *self = Self { made, last_of: [last; 3], ..Self::new(random, layer) };
    }

    /// Begins another numbering under the same SSRC: a jump that no loss explains.
    pub fn jump(&mut self, by: u64) {
        self.next += by;
        self.key_wanted = true;
    }

    fn timestamp(&self, now_ns: u64) -> u32 {
        let ticks = u128::from(now_ns) * u128::from(CLOCK_HZ) / 1_000_000_000;
        self.timestamp_base.wrapping_add(ticks as u32)
    }

    fn encode(
        &mut self,
        now_ns: u64,
        coding: Coding,
        packets: u8,
        filler: Option<usize>,
        mid: Option<&str>,
    ) -> Vec<Packet> {
        let key = std::mem::take(&mut self.key_wanted);
        if key {
            self.phase = 0;
            self.numbers.key_index = (self.numbers.key_index + 1) & 0x1f;
        }
        let number = self.made.len() as u32 + 1;
        // T0 needs the T0 before; the first T2 and the T1 need T0; the second T2 needs the T1.
        let (temporal, needs, sync) = match (coding, self.phase % 4) {
            (Coding::H264, _) => (0, number - 1, false),
            (_, 0) => (0, self.last_of[0], false),
            (_, 1) => (2, self.last_of[0], true),
            (_, 2) => (1, self.last_of[0], true),
            _ => (2, self.last_of[1], false),
        };
        self.phase += 1;
        self.numbers.picture_id = (self.numbers.picture_id + 1) & 0x7fff;
        if temporal == 0 {
            self.numbers.tl0_index = self.numbers.tl0_index.wrapping_add(1);
        }
        self.last_of[temporal] = number;
        let captured_ms = (now_ns / 1_000_000) as u32;
        self.made.push(Made { at_ms: captured_ms, temporal: temporal as u8, key });
        let frame = FrameId { layer: self.layer, number };
        let base = self.last_of[0];
        let timestamp = self.timestamp(now_ns);
        let temporal = temporal as u8;
        (0..packets)
            .map(|packet| {
                let stamp =
                    Stamp { frame, packet, packets, temporal, key, needs, base, captured_ms };
                let filler = filler.unwrap_or(FILLER[usize::from(self.layer)] as usize);
                // All but the last are of one length.
                let filler = if packet + 1 == packets { filler / 2 } else { filler };
                let payload = frame::write(coding, &stamp, sync, self.numbers, filler);
                self.packet(coding, packet + 1 == packets, timestamp, &payload, mid)
            })
            .collect()
    }

    fn packet(
        &mut self,
        coding: Coding,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        mid: Option<&str>,
    ) -> Packet {
        let number = self.next;
        self.next += 1;
        let fields = HeadFields {
            marker,
            payload_type: media_type(coding),
            sequence: number as u16,
            timestamp,
            ssrc: self.ssrc,
            padding: false,
        };
        let bytes = packed(&fields, mid.map(|mid| (mid, RID, self.rid)), payload);
        self.sent.insert(number, bytes.clone());
        if let Some(old) = number.checked_sub(KEPT) {
            self.sent.remove(&old);
        }
        self.counts.0 = self.counts.0.wrapping_add(1);
        self.counts.1 = self.counts.1.wrapping_add(payload.len() as u32);
        (number, bytes)
    }

    fn repeat(&mut self, coding: Coding, sequence: u16, mid: Option<&str>) -> Option<Packet> {
        let behind = u64::from((self.next as u16).wrapping_sub(sequence));
        let bytes = self.sent.get(&self.next.checked_sub(behind)?)?;
        let view = ringway_wire::rtp::RtpView::parse(bytes).expect("ours");
        let number = self.next_rtx;
        self.next_rtx += 1;
        let fields = HeadFields {
            marker: view.marker(),
            payload_type: media_type(coding) + 1,
            sequence: number as u16,
            timestamp: view.timestamp(),
            ssrc: self.rtx_ssrc,
            padding: false,
        };
        let payload = [&sequence.to_be_bytes(), view.payload()].concat();
        Some((number, packed(&fields, mid.map(|mid| (mid, RTX_RID, self.rid)), &payload)))
    }
}

/// A whole packet; with mid and rid where those must name it.
pub fn packed(fields: &HeadFields, names: Option<(&str, u8, &str)>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 100 + payload.len()];
    let mut head = HeadWriter::begin(&mut out, fields, &[], HeadForm::OneByte).expect("room");
    if let Some((mid, kind, rid)) = names {
        head.put(MID, mid.as_bytes());
        head.put(kind, rid.as_bytes());
    }
    let len = head.end();
    out.truncate(len);
    out.extend(payload);
    out
}
