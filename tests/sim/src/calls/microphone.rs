//! A microphone: one Opus packet every 20 ms, with its loudness.

use std::collections::HashMap;

use ringway_abi::call::SourceKey;
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};

use super::camera::Packet;
use super::frame::{FrameId, Stamp};
use super::meeting::{LEVEL, OPUS};
use crate::random::Random;

/// Between two packets.
const INTERVAL_NS: u64 = 20_000_000;
/// Clock of Opus.
pub const CLOCK_HZ: u64 = 48_000;

/// A microphone.
pub struct Microphone {
    /// The control plane's name for it.
    pub source: SourceKey,
    /// Its SSRC.
    pub ssrc: u32,
    /// It sends.
    pub running: bool,
    /// Number of the next packet, wraps counted.
    pub next: u64,
    /// Packets and octets of payload so far.
    pub counts: (u32, u32),
    timestamp_base: u32,
    sent: HashMap<u64, Vec<u8>>,
    next_ns: u64,
    packets: u32,
}

impl Microphone {
    /// A microphone that has sent nothing yet.
    pub fn new(source: SourceKey) -> Self {
        let mut random = Random::new(source);
        Self {
            source,
            ssrc: random.any() as u32 | 1,
            running: true,
            next: random.between(65_400, 65_535),
            counts: (0, 0),
            timestamp_base: random.any() as u32,
            sent: HashMap::new(),
            next_ns: 0,
            packets: 0,
        }
    }

    /// Goes on under another SSRC, a few numbers back: they stand for other packets now.
    pub fn renew(&mut self, random: &mut Random) {
        self.ssrc = random.any() as u32 | 1;
        self.next = u64::from((self.next as u16).wrapping_sub(6));
        self.sent.clear();
    }

    /// Its timestamp at an instant.
    pub fn timestamp(&self, now_ns: u64) -> u32 {
        let ticks = u128::from(now_ns) * u128::from(CLOCK_HZ) / 1_000_000_000;
        self.timestamp_base.wrapping_add(ticks as u32)
    }

    /// The packet that is due.
    pub fn poll(&mut self, now_ns: u64) -> Option<Packet> {
        if now_ns < self.next_ns {
            return None;
        }
        self.next_ns = now_ns.max(self.next_ns) + INTERVAL_NS;
        if !self.running {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.packets += 1;
        let stamp = Stamp {
            frame: FrameId { layer: 0, number: self.packets },
            packet: 0,
            packets: 1,
            temporal: 0,
            key: true,
            needs: 0,
            base: 0,
            captured_ms: (now_ns / 1_000_000) as u32,
        };
        let fields = HeadFields {
            payload_type: OPUS,
            sequence: number as u16,
            timestamp: self.timestamp(now_ns),
            ssrc: self.ssrc,
            ..HeadFields::default()
        };
        let mut out = vec![0; 64];
        let mut head = HeadWriter::begin(&mut out, &fields, &[], HeadForm::OneByte).expect("room");
        head.put(LEVEL, &[0x80 | 30]);
        let len = head.end();
        out.truncate(len);
        out.push(0xfc);
        stamp.write(40, &mut out);
        self.counts.0 = self.counts.0.wrapping_add(1);
        self.counts.1 = self.counts.1.wrapping_add((out.len() - len) as u32);
        self.sent.insert(number, out.clone());
        if let Some(old) = number.checked_sub(200) {
            self.sent.remove(&old);
        }
        Some((number, out))
    }

    /// The same packet again: audio has no stream of repetitions.
    pub fn repeat(&self, sequence: u16) -> Option<Packet> {
        let behind = u64::from((self.next as u16).wrapping_sub(sequence));
        let number = self.next.checked_sub(behind)?;
        self.sent.get(&number).map(|bytes| (number, bytes.clone()))
    }
}
