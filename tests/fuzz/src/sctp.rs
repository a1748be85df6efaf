//! An association whose peer knows its tags and numbers, and is hostile: whatever chunks it sends,
//! in whatever order, nothing panics, what one step sets off is bounded, nothing comes out that did
//! not go in, and what waits for the peer is bounded.
//!
//! The input begins with an octet that says who opens the channels, and goes on with steps: an
//! octet that says which, an octet of length, and that many octets.

use ringway_proto::sctp::{Association, Label, MOST_BYTES, Opening};

/// Steps of one input, at most.
const MAX_STEPS: usize = 200;
/// Packets that one step may set off: a congestion window.
const PACKETS_MAX: usize = 400;
const MS: u64 = 1_000_000;

/// Types of chunk (RFC 9260 3.2).
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;

/// Takes the steps of `data`.
pub fn sctp(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let (ours, theirs) = match first % 3 {
        0 => (Opening::Peer, Opening::Ours),
        1 => (Opening::Ours, Opening::Peer),
        _ => (Opening::Negotiated, Opening::Negotiated),
    };
    let mut world = World::new(ours, theirs);
    for _ in 0..MAX_STEPS {
        let Some((&[kind, len], after)) = rest.split_first_chunk::<2>() else { break };
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        world.take(kind, bytes);
    }
}

struct World {
    ours: Association,
    now_ns: u64,
    /// What packets of the peer's must say.
    tag: [u8; 4],
    /// The peer's next number, and ours.
    next: u32,
    heard: u32,
    /// Octets that went in, and that came out.
    went_in: u64,
    came_out: u64,
}

impl World {
    /// Two associations meet; then the peer is played by hand.
    fn new(ours: Opening, theirs: Opening) -> Self {
        let mut world = Self {
            ours: Association::new(0, ours),
            now_ns: 0,
            tag: [0; 4],
            next: 0,
            heard: 0,
            went_in: 0,
            came_out: 0,
        };
        let mut peer = Association::new(0, theirs);
        for _ in 0..8 {
            while let Some(packet) = peer.poll_packet() {
                world.note_theirs(&packet);
                world.ours.handle_packet(0, &packet);
                while world.ours.poll_message().is_some() {}
            }
            while let Some(packet) = world.ours.poll_packet() {
                world.note_ours(&packet);
                peer.handle_packet(0, &packet);
                while peer.poll_message().is_some() {}
            }
        }
        assert!(world.ours.is_open(Label::Reliable), "the two know each other");
        world
    }

    fn note_theirs(&mut self, packet: &[u8]) {
        self.tag.copy_from_slice(&packet[4..8]);
        for (kind, body) in chunks(packet) {
            match kind {
                INIT | INIT_ACK => self.next = number(body, 12),
                DATA => self.next = self.next.wrapping_add(1),
                _ => {}
            }
        }
    }

    fn note_ours(&mut self, packet: &[u8]) {
        for (kind, body) in chunks(packet) {
            match kind {
                INIT | INIT_ACK => self.heard = number(body, 12).wrapping_sub(1),
                DATA => self.heard = number(body, 0),
                _ => {}
            }
        }
    }

    fn take(&mut self, kind: u8, bytes: &[u8]) {
        match kind % 8 {
            0 => self.receive(bytes),
            1 => self.chunks(bytes),
            2 => self.data(bytes, kind & 0x80 == 0),
            3 => self.numbered(bytes),
            4 => self.acknowledge(bytes),
            5 => {
                let ms = bytes.first().copied().unwrap_or(1);
                self.now_ns += u64::from(ms) * u64::from(ms) * MS;
                self.ours.handle_timeout(self.now_ns);
            }
            6 => {
                let label =
                    [Label::Reliable, Label::Lossy, Label::DataTrack][kind as usize / 8 % 3];
                let payload = bytes.repeat(1 + usize::from(kind >> 5));
                let _ = self.ours.send(self.now_ns, label, &payload, kind & 0x80 == 0);
            }
            _ => self.ours.hold(bytes.first().is_some_and(|octet| octet & 1 == 1)),
        }
        self.settle();
    }

    /// What follows a step is taken, as the shard does.
    fn settle(&mut self) {
        while let Some(message) = self.ours.poll_message() {
            self.came_out += message.payload.len() as u64;
        }
        let mut packets = 0;
        while let Some(packet) = self.ours.poll_packet() {
            packets += 1;
            assert!(packet.len() <= 1_300, "a packet of {} octets", packet.len());
            self.note_ours(&packet);
        }
        assert!(packets <= PACKETS_MAX, "{packets} packets after one step");
        assert!(self.came_out <= self.went_in, "messages out of nothing");
        assert!(self.ours.waiting_bytes() <= MOST_BYTES);
        self.ours.refresh(self.now_ns);
        if self.ours.is_ended() {
            assert_eq!(self.ours.deadline(), None);
        }
    }

    fn receive(&mut self, packet: &[u8]) {
        self.went_in += packet.len() as u64;
        self.ours.handle_packet(self.now_ns, packet);
    }

    /// Any octets as chunks of an otherwise valid packet.
    fn chunks(&mut self, chunks: &[u8]) {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88];
        packet.extend(self.tag);
        packet.extend([0; 4]);
        packet.extend(chunks);
        let sum = crc32c(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&sum);
        self.receive(&packet);
    }

    /// DATA: flags, how far ahead, stream, number in the stream, protocol, then the payload.
    fn data(&mut self, bytes: &[u8], counts: bool) {
        let Some((&[flags, ahead, high, stream, number, protocol], payload)) =
            bytes.split_first_chunk()
        else {
            return;
        };
        let mut body = self.next.wrapping_add(u32::from(ahead)).to_be_bytes().to_vec();
        body.extend([high & 7, stream, 0, number, 0, 0, 0, protocol]);
        body.extend(payload);
        if counts {
            self.next = self.next.wrapping_add(1);
        }
        self.chunks(&chunk(DATA, flags, &body));
    }

    /// Any chunk whose first word is a number near the peer's next one, or near our last one.
    fn numbered(&mut self, bytes: &[u8]) {
        let Some((&[kind, flags, ahead], rest)) = bytes.split_first_chunk() else { return };
        let near = if flags & 0x80 == 0 { self.next } else { self.heard };
        let number = near.wrapping_add(u32::from(ahead)).wrapping_sub(64);
        let body = [&number.to_be_bytes()[..], rest].concat();
        self.chunks(&chunk(kind, flags & 0x7f, &body));
    }

    /// SACK: how far back, the window, then gaps.
    fn acknowledge(&mut self, bytes: &[u8]) {
        let Some((&[back, window], gaps)) = bytes.split_first_chunk() else { return };
        let mut body = self.heard.wrapping_sub(u32::from(back)).to_be_bytes().to_vec();
        body.extend((u32::from(window) << 12).to_be_bytes());
        body.extend((gaps.len() as u16 / 4).to_be_bytes());
        body.extend([0, 0]);
        body.extend(gaps);
        self.chunks(&chunk(SACK, 0, &body));
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_be_bytes(four.try_into().expect("four")))
}

fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() + 4) as u16;
    let mut chunk = [&[kind, flags][..], &length.to_be_bytes(), body].concat();
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

/// Type and body of the chunks of a valid packet.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = &packet[12..];
    std::iter::from_fn(move || {
        let &[kind, _, high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])).max(4);
        let body = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, body))
    })
}

/// RFC 9260 appendix A.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_that_is_played_by_hand_is_understood() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        for opening in [(Opening::Peer, Opening::Ours), (Opening::Negotiated, Opening::Negotiated)]
        {
            let mut world = World::new(opening.0, opening.1);
            let (stream, number) = if opening.0 == Opening::Peer { (1, 1) } else { (100, 0) };
            world.take(2, &[3, 0, 0, stream, number, 53, b'h', b'i']);
            assert_eq!(world.came_out, 2, "{opening:?}");
        }
    }
}
