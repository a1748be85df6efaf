//! A sender of RTP and sender reports.

use std::net::SocketAddr;

use ringway_wire::rtcp::write;
use ringway_wire::rtcp::{ReceiverReport, SenderReport};

use crate::plane::Plane;
use crate::random::Random;

/// A stream and who sends it. Each packet's payload begins with a number that no other has.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where RTP comes from.
    pub rtp: SocketAddr,
    /// Where RTCP comes from.
    pub rtcp: SocketAddr,
    /// Where RTP goes.
    pub to_rtp: SocketAddr,
    /// Where RTCP goes.
    pub to_rtcp: SocketAddr,
    /// SSRC.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Next sequence number.
    pub sequence: u16,
    /// Next timestamp.
    pub timestamp: u32,
    /// Chooses lengths and contents.
    pub random: Random,
    next_id: u64,
}

impl Source {
    /// A stream from `from`, RTCP from the port after it, to a forward.
    pub fn new(seed: u64, from: SocketAddr, to_rtp: SocketAddr, to_rtcp: SocketAddr) -> Self {
        let mut random = Random::new(seed);
        Self {
            rtp: from,
            rtcp: SocketAddr::new(from.ip(), from.port() + 1),
            to_rtp,
            to_rtcp,
            ssrc: random.any() as u32 | 1,
            payload_type: 96,
            sequence: random.any() as u16,
            timestamp: random.any() as u32,
            next_id: random.any(),
            random,
        }
    }

    /// Begins another stream: all that a restarted sender chooses anew.
    pub fn restart(&mut self) {
        self.ssrc = self.random.any() as u32 | 1;
        self.sequence = self.random.any() as u16;
        self.timestamp = self.random.any() as u32;
    }

    /// Writes the next packet with `payload` octets, with CSRCs, extension and padding at random.
    pub fn write(&mut self, payload: usize) -> Vec<u8> {
        let csrcs = if self.random.chance(200) { self.random.below(16) as usize } else { 0 };
        let extension = self.random.chance(300).then(|| self.random.below(4) as usize);
        let padding = if self.random.chance(100) { self.random.between(1, 9) as usize } else { 0 };
        let first =
            0x80 | u8::from(padding > 0) << 5 | u8::from(extension.is_some()) << 4 | csrcs as u8;
        let marker = u8::from(self.random.chance(300)) << 7;
        let mut packet = vec![first, marker | self.payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(self.random.bytes(4 * csrcs));
        if let Some(words) = extension {
            packet.extend([0xbe, 0xde, 0, words as u8]);
            packet.extend(self.random.bytes(4 * words));
        }
        self.next_id = self.next_id.wrapping_add(1);
        packet.extend(self.next_id.to_be_bytes());
        packet.extend(self.random.bytes(payload.saturating_sub(8)));
        if padding > 0 {
            packet.extend(vec![0; padding - 1]);
            packet.push(padding as u8);
        }
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    /// Sends a frame of packets: all but the last of one length, one timestamp.
    pub fn send_frame(&mut self, plane: &mut Plane, packets: usize, ticks: u32) {
        let payload = self.random.between(8, 1200) as usize;
        for n in 0..packets {
            let last = n + 1 == packets;
            let len = if last { self.random.between(8, payload as u64) as usize } else { payload };
            let packet = self.write(len);
            plane.send(self.rtp, self.to_rtp, packet);
        }
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Sends one plain packet of `payload` octets and moves the timestamp on.
    pub fn send_audio(&mut self, plane: &mut Plane, payload: usize, ticks: u32) {
        let packet = self.write(payload);
        plane.send(self.rtp, self.to_rtp, packet);
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Sends a sender report that says that `ntp` is the current timestamp, with a name.
    pub fn send_report(&mut self, plane: &mut Plane, ntp: u64) {
        let report = SenderReport {
            ssrc: self.ssrc,
            ntp,
            rtp_timestamp: self.timestamp,
            // Not what destinations must be told.
            packet_count: 1_234_567,
            octet_count: 7_654_321,
        };
        let mut out = vec![0; 256];
        let mut len = write::write_sender_report(&mut out, &report, &[]).expect("room");
        len += write::write_sdes_cname(&mut out[len..], self.ssrc, b"source").expect("room");
        out.truncate(len);
        plane.send(self.rtcp, self.to_rtcp, out);
    }

    /// Says goodbye.
    pub fn send_bye(&mut self, plane: &mut Plane) {
        let mut out = vec![0; 64];
        let report = ReceiverReport { ssrc: self.ssrc };
        let mut len = write::write_receiver_report(&mut out, &report, &[]).expect("room");
        len += write::write_bye(&mut out[len..], &[self.ssrc]).expect("room");
        out.truncate(len);
        plane.send(self.rtcp, self.to_rtcp, out);
    }
}
