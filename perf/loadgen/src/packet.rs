//! The packets of the generator: an RTP header, then who sent it, which it is, and when it was due.
//!
//! Layout after the 12-byte RTP header, big endian: magic `u32`, input `u32`, counter `u64`, due
//! time `u64` in CLOCK_MONOTONIC nanoseconds, then filling. The due time is the *scheduled* one, so
//! a generator that falls behind shows up as latency instead of hiding it.

const MAGIC: u32 = 0x5257_4c47;
const RTP_BYTES: usize = 12;

/// The shortest packet that holds header and stamp.
pub const MIN_PACKET_BYTES: usize = RTP_BYTES + 24;

/// What a packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// RTP sequence number.
    pub sequence: u16,
    /// Input that sent it.
    pub input: u32,
    /// Packets that the input sent before.
    pub counter: u64,
    /// When it was due, CLOCK_MONOTONIC.
    pub due_ns: u64,
}

/// The RTP fields that stay the same, or change once a frame.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Payload type.
    pub payload_type: u8,
    /// Last packet of its frame.
    pub marker: bool,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP SSRC.
    pub ssrc: u32,
}

/// Writes header and stamp to the front of `packet` and leaves the rest as it is.
pub fn write(packet: &mut [u8], header: Header, stamp: Stamp) {
    packet[0] = 0x80;
    packet[1] = header.payload_type | if header.marker { 0x80 } else { 0 };
    packet[2..4].copy_from_slice(&stamp.sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    packet[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
    packet[12..16].copy_from_slice(&MAGIC.to_be_bytes());
    packet[16..20].copy_from_slice(&stamp.input.to_be_bytes());
    packet[20..28].copy_from_slice(&stamp.counter.to_be_bytes());
    packet[28..36].copy_from_slice(&stamp.due_ns.to_be_bytes());
}

/// Reads a stamp back; `None` for anything that is not a packet of this generator.
pub fn read(packet: &[u8]) -> Option<Stamp> {
    let head: &[u8; MIN_PACKET_BYTES] = packet.first_chunk()?;
    if head[0] >> 6 != 2 || word(head, 12)? != MAGIC {
        return None;
    }
    Some(Stamp {
        sequence: u16::from_be_bytes([head[2], head[3]]),
        input: word(head, 16)?,
        counter: u64::from(word(head, 20)?) << 32 | u64::from(word(head, 24)?),
        due_ns: u64::from(word(head, 28)?) << 32 | u64::from(word(head, 32)?),
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// Whether the RTP marker bit is set.
pub fn is_marked(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|byte| byte & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamp_survives_the_wire() {
        for (sequence, input, counter, due_ns, marker) in [
            (0, 0, 0, 0, false),
            (65_535, 999, u64::MAX, u64::MAX - 1, true),
            (7, 1, 1 << 33, 1 << 40, true),
        ] {
            let stamp = Stamp { sequence, input, counter, due_ns };
            let header = Header { payload_type: 96, marker, timestamp: 5, ssrc: 1000 };
            let mut packet = [0; MIN_PACKET_BYTES];
            write(&mut packet, header, stamp);
            assert_eq!(read(&packet), Some(stamp));
            assert_eq!(is_marked(&packet), marker);
            assert_eq!(packet[1] & 0x7f, 96);
        }
    }

    #[test]
    fn foreign_packets_are_refused() {
        let mut packet = [0; MIN_PACKET_BYTES];
        assert_eq!(read(&packet), None);
        packet[12..16].copy_from_slice(&MAGIC.to_be_bytes());
        assert_eq!(read(&packet), None, "RTP version 0");
        packet[0] = 0x80;
        assert!(read(&packet).is_some());
        assert_eq!(read(&packet[..MIN_PACKET_BYTES - 1]), None);
    }
}
