//! What payloads say of themselves, in the shape of each codec, so that the far end can judge.

use ringway_wire::payload::opus;

/// How pictures are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 7741, with picture ids and three temporal layers.
    Vp8,
    /// RFC 6184, parameter sets in front of each key frame.
    H264,
}

/// Octets of a stamp.
const STAMP_BYTES: usize = 21;

/// A frame of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId {
    /// The layer.
    pub layer: u8,
    /// Counted from 1.
    pub number: u32,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its frame.
    pub frame: FrameId,
    /// Which of the frame's packets.
    pub packet: u8,
    /// How many those are.
    pub packets: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// The frame needs no other.
    pub key: bool,
    /// Number of the frame that it needs, in the same layer.
    pub needs: u32,
    /// Number of the newest frame of the temporal base layer, this one included.
    pub base: u32,
    /// When it was captured, ms.
    pub captured_ms: u32,
}

/// The numbers of RFC 7741.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Numbers {
    /// Picture id, 15 bits.
    pub picture_id: u16,
    /// TL0PICIDX.
    pub tl0_index: u8,
    /// KEYIDX, 5 bits.
    pub key_index: u8,
}

impl Stamp {
    fn octets(&self) -> [u8; STAMP_BYTES] {
        let mut out = [0; STAMP_BYTES];
        let (packet, packets) = (self.packet, self.packets);
        let head = [self.frame.layer, packet, packets, self.temporal, u8::from(self.key)];
        out[..5].copy_from_slice(&head);
        let words = [self.frame.number, self.needs, self.base, self.captured_ms];
        for (at, word) in words.into_iter().enumerate() {
            out[5 + 4 * at..][..4].copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Appends the stamp and `filler` octets that follow from it.
    pub fn write(&self, filler: usize, out: &mut Vec<u8>) {
        out.extend(self.octets());
        out.extend((0..filler).map(|at| self.filler(at)));
    }

    /// Reads a stamp; what follows it must be as it was written.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (head, filler) = bytes.split_at_checked(STAMP_BYTES)?;
        let word = |at: usize| {
            let octets = head[5 + 4 * at..][..4].try_into().expect("four octets");
            u32::from_be_bytes(octets)
        };
        let stamp = Self {
            frame: FrameId { layer: head[0], number: word(0) },
            packet: head[1],
            packets: head[2],
            temporal: head[3],
            key: head[4] == 1,
            needs: word(1),
            base: word(2),
            captured_ms: word(3),
        };
        let same = filler.iter().enumerate().all(|(at, octet)| *octet == stamp.filler(at));
        same.then_some(stamp)
    }

    fn filler(&self, at: usize) -> u8 {
        (self.frame.number as u8) ^ (self.packet.wrapping_mul(37)) ^ (at as u8)
    }
}

/// Writes a payload.
pub fn write(coding: Coding, stamp: &Stamp, sync: bool, of: Vp8Numbers, filler: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(filler + 48);
    match coding {
        Coding::Vp8 => {
            let start = if stamp.packet == 0 { 0x10 } else { 0 };
            out.extend([0x80 | start, 0xf0]);
            out.extend((0x8000 | of.picture_id).to_be_bytes());
            out.push(of.tl0_index);
            out.push(stamp.temporal << 6 | u8::from(sync) << 5 | of.key_index);
            // RFC 7741 4.3: the lowest bit of the payload header is 0 in key frames.
            out.push(u8::from(!stamp.key));
        }
        Coding::H264 if stamp.key && stamp.packet == 0 => {
            // A STAP-A of parameter sets and the picture.
            out.extend([0x78, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 0, 2, 0x68, 0xcb]);
            out.extend((1 + STAMP_BYTES as u16 + filler as u16).to_be_bytes());
            out.push(0x65);
        }
        Coding::H264 => out.push(if stamp.key { 0x65 } else { 0x41 }),
    }
    stamp.write(filler, &mut out);
    out
}

/// What payloads end in that the server has made up.
pub const TRAILER: &[u8] = b"made by SFU!";

/// Whether a payload is silence or a black picture that the server has made up.
pub fn is_blank(coding: Option<Coding>, payload: &[u8]) -> bool {
    let Some(payload) = payload.strip_suffix(TRAILER) else { return false };
    match coding {
        None => payload == opus::SILENCE,
        // RFC 6386 9.1: the start code of a key frame, where a stamp has other octets.
        Some(Coding::Vp8) => payload.get(9..12) == Some(&[0x9d, 0x01, 0x2a]),
        Some(Coding::H264) => payload.get(..4) == Some(&[0x78, 0, 22, 0x67]),
    }
}

/// Reads what [`write`] wrote; `None` where anything is not as it must be.
pub fn read(coding: Coding, payload: &[u8]) -> Option<(Stamp, Vp8Numbers)> {
    match coding {
        Coding::Vp8 => {
            let (head, rest) = payload.split_at_checked(7)?;
            let stamp = Stamp::read(rest)?;
            let starts = head[0] & 0x10 != 0;
            let right = starts == (stamp.packet == 0)
                && head[1] == 0xf0
                && head[2] & 0x80 != 0
                && head[5] >> 6 == stamp.temporal
                && head[6] == u8::from(!stamp.key);
            let picture_id = u16::from_be_bytes([head[2] & 0x7f, head[3]]);
            let numbers = Vp8Numbers { picture_id, tl0_index: head[4], key_index: head[5] & 0x1f };
            right.then_some((stamp, numbers))
        }
        Coding::H264 => {
            let aggregated = payload.first()? & 0x1f == 24;
            let stamp = Stamp::read(payload.get(if aggregated { 14 } else { 1 }..)?)?;
            let right = aggregated == (stamp.key && stamp.packet == 0);
            right.then_some((stamp, Vp8Numbers::default()))
        }
    }
}
