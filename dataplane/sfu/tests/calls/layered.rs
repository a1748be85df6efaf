//! A publisher of three spatial and three temporal layers in one stream, whose payloads say which
//! frames they need. It tells its layers by dependency descriptors or by VP9's indices.

use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};

use crate::network::Dice;
use crate::publisher::CLOCK_HZ;

/// The id of the dependency descriptor.
pub(crate) const DESCRIPTOR_ID: u8 = 12;

/// A packet with this dependency descriptor, or none.
pub(crate) fn described(fields: &HeadFields, descriptor: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 400];
    let mut head = HeadWriter::begin(&mut out, fields, &[], HeadForm::TwoByte).expect("room");
    if let Some(data) = descriptor {
        head.put(DESCRIPTOR_ID, data).expect("room");
    }
    let len = head.end();
    out.truncate(len);
    out.extend(payload);
    out
}
pub(crate) const SSRC: u32 = 1000;
const SPATIAL: usize = 3;
const TARGETS: usize = 9;
/// For each spatial layer one of key frames and one of each temporal layer.
const TEMPLATES: u8 = 12;

/// How it is coded and told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Layers need lower ones in key frames only (K-SVC).
    pub(crate) key_only: bool,
    /// By descriptors, otherwise by indices.
    pub(crate) descriptors: bool,
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Counts all frames from 1; a picture has one for each spatial layer.
    pub(crate) frame: u32,
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
    pub(crate) packet: u8,
    pub(crate) packets: u8,
    /// Frames that it needs; 0 is none.
    pub(crate) needs: [u32; 2],
}

impl Content {
    fn write(self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..4].copy_from_slice(&[self.spatial, self.temporal, self.packet, self.packets]);
        for (to, word) in out[4..].chunks_mut(4).zip([self.frame, self.needs[0], self.needs[1]]) {
            to.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Reads the end of a payload.
    pub(crate) fn read(payload: &[u8]) -> Self {
        let bytes = &payload[payload.len() - 16..];
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("a word"));
        Self {
            spatial: bytes[0],
            temporal: bytes[1],
            packet: bytes[2],
            packets: bytes[3],
            frame: word(4),
            needs: [word(8), word(12)],
        }
    }
}

/// Bits of a descriptor.
#[derive(Default)]
pub(crate) struct Bits(pub(crate) Vec<u8>, usize);

impl Bits {
    pub(crate) fn put(&mut self, count: usize, value: u32) {
        for bit in (0..count).rev() {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            *self.0.last_mut().expect("an octet") |= ((value >> bit & 1) as u8) << (7 - self.1 % 8);
            self.1 += 1;
        }
    }
}

/// The encoder.
pub(crate) struct Encoder {
    mode: Mode,
    sequence: u16,
    timestamp_base: u32,
    /// Added to the count of frames for the number in descriptors.
    number_base: u16,
    picture_id: u16,
    tl0_index: u8,
    frame: u32,
    phase: u32,
    offset: u8,
    /// By spatial layer, the last frame of temporal layers 0 and 1.
    last_of: [[u32; 2]; SPATIAL],
    /// The last frame of each chain.
    chains: [u32; SPATIAL],
    /// Spatial layers that are sent.
    layers: usize,
    tell_active: bool,
    pub(crate) key_wanted: bool,
}

impl Encoder {
    pub(crate) fn new(dice: &mut Dice, mode: Mode) -> Self {
        Self {
            mode,
            sequence: if dice.percent(50) { 65_500 } else { dice.roll(65_536) as u16 },
            timestamp_base: dice.roll(1 << 32) as u32,
            number_base: if dice.percent(50) { 65_500 } else { dice.roll(65_536) as u16 },
            picture_id: dice.roll(0x8000) as u16,
            tl0_index: dice.roll(256) as u8,
            frame: 0,
            phase: 0,
            offset: dice.roll(64) as u8,
            last_of: [[0; 2]; SPATIAL],
            chains: [0; SPATIAL],
            layers: SPATIAL,
            tell_active: false,
            key_wanted: true,
        }
    }

    /// Sends so many spatial layers from now on.
    pub(crate) fn set_layers(&mut self, layers: usize) {
        self.key_wanted |= layers > self.layers;
        self.tell_active |= layers != self.layers;
        self.layers = layers;
    }

    /// Begins with a key frame whose structure has other ids.
    pub(crate) fn begin_structure(&mut self) {
        self.offset = (self.offset + TEMPLATES) & 63;
        self.key_wanted = true;
    }

    pub(crate) fn layers(&self) -> usize {
        self.layers
    }

    /// The packets of the picture at `now_ns`.
    pub(crate) fn encode(&mut self, dice: &mut Dice, now_ns: u64) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key_wanted);
        if key {
            self.phase = 0;
            // Now and then the structure has other ids: those behind the ones before, as a sender
            // must choose them so that none is taken for another's.
            if dice.percent(30) {
                self.offset = (self.offset + TEMPLATES) & 63;
            }
        }
        let temporal = [0, 2, 1, 2][self.phase as usize % 4];
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        if temporal == 0 {
            self.tl0_index = self.tl0_index.wrapping_add(1);
        }
        let ticks = (u128::from(now_ns) * u128::from(CLOCK_HZ) / 1_000_000_000) as u32;
        let timestamp = self.timestamp_base.wrapping_add(ticks);
        let mut out = Vec::new();
        for spatial in 0..self.layers {
            out.extend(self.encode_layer(dice, timestamp, (spatial, temporal), key));
        }
        self.phase += 1;
        out
    }

    fn encode_layer(
        &mut self,
        dice: &mut Dice,
        timestamp: u32,
        (spatial, temporal): (usize, usize),
        key: bool,
    ) -> Vec<Vec<u8>> {
        self.frame += 1;
        let frame = self.frame;
        // T0 and T1 need the T0 before, the first T2 too; the second T2 needs the T1.
        let earlier = if key { 0 } else { self.last_of[spatial][usize::from(self.phase % 4 == 3)] };
        let lower = spatial > 0 && (key || !self.mode.key_only);
        let needs = [earlier, if lower { frame - 1 } else { 0 }];
        let chains = self.chains.map(|last| if key && spatial == 0 { 0 } else { frame - last });
        if temporal < 2 {
            self.last_of[spatial][temporal] = frame;
        }
        if key {
            self.last_of[spatial] = [frame; 2];
        }
        if temporal == 0 {
            let own = self.mode.key_only && !key;
            let end = if own { spatial + 1 } else { SPATIAL };
            self.chains[spatial..end].fill(frame);
        }
        let packets = 1 + dice.roll(3) as u8;
        let last_layer = spatial + 1 == self.layers;
        (0..packets)
            .map(|packet| {
                let content = Content {
                    frame,
                    spatial: spatial as u8,
                    temporal: temporal as u8,
                    packet,
                    packets,
                    needs,
                };
                let marker = last_layer && packet + 1 == packets;
                let payload = self.payload(&content, key);
                let descriptor =
                    self.mode.descriptors.then(|| self.descriptor(&content, chains, key));
                if packet == 0 && spatial == 0 {
                    self.tell_active = false;
                }
                self.packet(timestamp, marker, descriptor.as_deref(), &payload)
            })
            .collect()
    }

    fn packet(
        &mut self,
        timestamp: u32,
        marker: bool,
        descriptor: Option<&[u8]>,
        payload: &[u8],
    ) -> Vec<u8> {
        let fields = HeadFields {
            marker,
            payload_type: 96,
            sequence: self.sequence,
            timestamp,
            ssrc: SSRC,
            padding: false,
        };
        self.sequence = self.sequence.wrapping_add(1);
        described(&fields, descriptor, payload)
    }

    fn payload(&self, content: &Content, key: bool) -> Vec<u8> {
        let starts = content.packet == 0;
        let mut payload = Vec::new();
        if self.mode.descriptors {
            // AV1's aggregation header: N begins a sequence.
            payload.push(0x10 | u8::from(key && starts && content.spatial == 0) << 3);
        } else {
            let [earlier, lower] = content.needs.map(|frame| u8::from(frame != 0));
            let ends = u8::from(content.packet + 1 == content.packets);
            payload.push(0xa0 | earlier << 6 | u8::from(starts) << 3 | ends << 2);
            payload.extend((0x8000 | self.picture_id).to_be_bytes());
            let up = u8::from(content.temporal < 2);
            payload.push(content.temporal << 5 | up << 4 | content.spatial << 1 | lower);
            payload.push(self.tl0_index);
        }
        payload.extend(content.write());
        payload
    }

    /// What a frame is to a target: two bits.
    fn indication(&self, (spatial, temporal): (usize, usize), key: bool, target: usize) -> u32 {
        let (s, t) = (target / 3, target % 3);
        let alone = self.mode.key_only && !key;
        let part = temporal <= t && if alone { spatial == s } else { spatial <= s };
        match (part, temporal) {
            (false, _) => 0,
            (true, 0) => 2,
            (true, 2) => 1,
            (true, _) => 3,
        }
    }

    fn descriptor(&self, content: &Content, chains: [u32; SPATIAL], key: bool) -> Vec<u8> {
        let (spatial, temporal) = (usize::from(content.spatial), usize::from(content.temporal));
        let mut bits = Bits::default();
        let starts = content.packet == 0;
        bits.put(1, starts.into());
        bits.put(1, u32::from(content.packet + 1 == content.packets));
        // Per spatial layer a template for key frames, and one for each temporal layer.
        let template = spatial * 4 + if key { 0 } else { 1 + temporal };
        bits.put(6, (u32::from(self.offset) + template as u32) & 63);
        bits.put(16, (content.frame as u16).wrapping_add(self.number_base).into());
        let structure = key && starts && spatial == 0;
        let active = starts && spatial == 0 && (self.tell_active || key);
        bits.put(5, u32::from(structure) << 4 | u32::from(active) << 3 | 0b011);
        if structure {
            self.put_structure(&mut bits);
        }
        if active {
            bits.put(TARGETS, (1 << (3 * self.layers)) - 1);
        }
        for need in content.needs.into_iter().filter(|need| *need != 0) {
            let back = content.frame - need - 1;
            bits.put(2, if back < 16 { 1 } else { 3 });
            bits.put(if back < 16 { 4 } else { 12 }, back);
        }
        bits.put(2, 0);
        chains.into_iter().for_each(|back| bits.put(8, back.min(255)));
        bits.0
    }

    fn put_structure(&self, bits: &mut Bits) {
        bits.put(6, self.offset.into());
        bits.put(5, TARGETS as u32 - 1);
        for spatial in 0..SPATIAL {
            for next in [0, 1, 1, if spatial + 1 == SPATIAL { 3 } else { 2 }] {
                bits.put(2, next);
            }
        }
        let templates = (0..SPATIAL).flat_map(|spatial| {
            [(0, true), (0, false), (1, false), (2, false)].map(|(t, key)| ((spatial, t), key))
        });
        for (layers, key) in templates {
            for target in 0..TARGETS {
                bits.put(2, self.indication(layers, key, target));
            }
        }
        // Neither have references of templates a use: frames bring their own.
        bits.put(12, 0);
        // ns(10) of 3; each target's chain is its spatial layer's, in ns(3).
        bits.put(3, 3);
        for target in 0..TARGETS {
            match target / 3 {
                0 => bits.put(1, 0),
                other => bits.put(2, 1 + other as u32),
            }
        }
        // Distances of the templates are all replaced; no resolutions.
        for _ in 0..12 * SPATIAL {
            bits.put(4, 0);
        }
        bits.put(1, 0);
    }
}
