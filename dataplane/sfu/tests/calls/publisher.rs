//! A publisher of VP8 simulcast with three temporal layers, whose payloads say which frame they are
//! of and which frame that one needs.

use crate::network::Dice;

pub(crate) const CLOCK_HZ: u32 = 90_000;
pub(crate) const FRAME_NS: u64 = 33_333_333;

/// What a test knows of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameId {
    pub(crate) layer: u8,
    pub(crate) number: u32,
}

/// A frame as it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) at_ns: u64,
    pub(crate) timestamp: u32,
    pub(crate) temporal: u8,
    pub(crate) key: bool,
}

/// What a packet carries, as the payload behind the descriptor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) frame: FrameId,
    pub(crate) packet: u8,
    pub(crate) packets: u8,
    pub(crate) temporal: u8,
    pub(crate) key: bool,
    /// Number of the frame that this one needs.
    pub(crate) needs: u32,
}

impl Content {
    pub(crate) fn write(self) -> [u8; 16] {
        let mut out = [0; 16];
        // The first octet is the payload header, whose lowest bit is 0 in key frames.
        out[0] = u8::from(!self.key);
        out[1..6].copy_from_slice(&[
            self.frame.layer,
            self.packet,
            self.packets,
            self.temporal,
            u8::from(self.key),
        ]);
        out[6..10].copy_from_slice(&self.frame.number.to_be_bytes());
        out[10..14].copy_from_slice(&self.needs.to_be_bytes());
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("a word"));
        Self {
            frame: FrameId { layer: bytes[1], number: word(6) },
            packet: bytes[2],
            packets: bytes[3],
            temporal: bytes[4],
            key: bytes[5] == 1,
            needs: word(10),
        }
    }
}

/// One encoding.
pub(crate) struct Encoder {
    layer: u8,
    pub(crate) ssrc: u32,
    sequence: u16,
    timestamp_base: u32,
    picture_id: u16,
    tl0_index: u8,
    key_index: u8,
    number: u32,
    phase: u32,
    last_of: [u32; 3],
    pub(crate) key_wanted: bool,
    pub(crate) running: bool,
    /// All frames so far; the first has the number 1.
    pub(crate) made: Vec<Made>,
}

impl Encoder {
    pub(crate) fn new(dice: &mut Dice, layer: u8) -> Self {
        Self {
            layer,
            ssrc: 1000 + u32::from(layer),
            // Near the wrap, half of the time.
            sequence: if dice.percent(50) { 65_500 } else { dice.roll(65_536) as u16 },
            timestamp_base: dice.roll(1 << 32) as u32,
            picture_id: if dice.percent(50) { 0x7ff0 } else { dice.roll(0x8000) as u16 },
            tl0_index: dice.roll(256) as u8,
            key_index: dice.roll(32) as u8,
            number: 0,
            phase: 0,
            last_of: [0; 3],
            key_wanted: true,
            running: true,
            made: Vec::new(),
        }
    }

    /// The timestamp of the instant `now_ns`.
    pub(crate) fn timestamp(&self, now_ns: u64) -> u32 {
        let ticks = (u128::from(now_ns) * u128::from(CLOCK_HZ) / 1_000_000_000) as u32;
        self.timestamp_base.wrapping_add(ticks)
    }

    /// The packets of the frame at `now_ns`.
    pub(crate) fn encode(&mut self, dice: &mut Dice, now_ns: u64) -> Vec<Vec<u8>> {
        let key = std::mem::take(&mut self.key_wanted);
        if key {
            self.phase = 0;
            self.key_index = (self.key_index + 1) & 0x1f;
        }
        // T0 needs the T0 before; the first T2 and the T1 need T0; the second T2 needs the T1.
        let temporal = [0, 2, 1, 2][self.phase as usize % 4];
        let (needs, sync) = match self.phase % 4 {
            0 => (self.last_of[0], false),
            1 | 2 => (self.last_of[0], true),
            _ => (self.last_of[1], false),
        };
        self.phase += 1;
        self.number += 1;
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        if temporal == 0 {
            self.tl0_index = self.tl0_index.wrapping_add(1);
        }
        self.last_of[temporal] = self.number;
        let packets = 1 + dice.roll(4) as u8;
        let timestamp = self.timestamp(now_ns);
        self.made.push(Made { at_ns: now_ns, timestamp, temporal: temporal as u8, key });
        (0..packets)
            .map(|packet| {
                let frame = FrameId { layer: self.layer, number: self.number };
                let temporal = temporal as u8;
                let content = Content { frame, packet, packets, temporal, key, needs };
                let bytes = self.packet(timestamp, sync, &content);
                self.sequence = self.sequence.wrapping_add(1);
                bytes
            })
            .collect()
    }

    fn packet(&self, timestamp: u32, sync: bool, content: &Content) -> Vec<u8> {
        let marker = u8::from(content.packet + 1 == content.packets) << 7;
        let mut bytes = vec![0x80, marker | 96];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        let start = if content.packet == 0 { 0x10 } else { 0 };
        bytes.extend([0x80 | start, 0xf0]);
        bytes.extend((0x8000 | self.picture_id).to_be_bytes());
        bytes.push(self.tl0_index);
        bytes.push(content.temporal << 6 | u8::from(sync) << 5 | self.key_index);
        bytes.extend(content.write());
        bytes
    }
}
