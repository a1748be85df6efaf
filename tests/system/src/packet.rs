//! RTP packets that carry a number, so that whoever receives them knows which are missing.

/// SSRC of numbered packets unless a test says otherwise.
pub const SSRC: u32 = 0x6b7a_11e5;

/// Payload type of numbered packets.
pub const PAYLOAD_TYPE: u8 = 96;

/// Smallest numbered packet: RTP header, mark, number.
pub const BYTES_MIN: usize = 28;

/// Timestamp units between two packets: one video frame at 30 fps and 90 kHz.
const TICKS: u32 = 3000;

const MARK: &[u8; 8] = b"numbered";

/// Packet `number` of a stream, `bytes` long.
///
/// # Panics
/// When `bytes` are fewer than [`BYTES_MIN`].
pub fn numbered(number: u64, ssrc: u32, bytes: usize) -> Vec<u8> {
    assert!(bytes >= BYTES_MIN, "{bytes} bytes hold no number");
    let mut packet = Vec::with_capacity(bytes);
    packet.extend([0x80, PAYLOAD_TYPE]);
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number as u32).wrapping_mul(TICKS).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(MARK);
    packet.extend(number.to_be_bytes());
    packet.extend((packet.len()..bytes).map(|at| (at as u8) ^ (number as u8)));
    packet
}

/// Which number a packet carries; `None` if it is none of ours or not as it was sent.
pub fn number(packet: &[u8]) -> Option<u64> {
    let mark: &[u8; 8] = packet.get(12..20)?.try_into().ok()?;
    let number = u64::from_be_bytes(packet.get(20..BYTES_MIN)?.try_into().ok()?);
    let filled = packet[BYTES_MIN..].iter().enumerate();
    let intact = filled.map(|(at, byte)| (at + BYTES_MIN, byte));
    let intact = intact.into_iter().all(|(at, byte)| *byte == (at as u8) ^ (number as u8));
    (mark == MARK && intact).then_some(number)
}

/// The header fields of an RTP packet that a rewrite may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// SSRC.
    pub ssrc: u32,
}

/// The header of a packet of at least twelve bytes.
pub fn header(packet: &[u8]) -> Option<Header> {
    Some(Header {
        payload_type: packet.get(1)? & 0x7f,
        sequence: u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?),
        timestamp: u32::from_be_bytes(packet.get(4..8)?.try_into().ok()?),
        ssrc: u32::from_be_bytes(packet.get(8..12)?.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_damage_shows() {
        for (value, bytes) in [(0, 28), (7, 200), (u64::MAX, 1200)] {
            let mut packet = numbered(value, SSRC, bytes);
            assert_eq!((packet.len(), number(&packet)), (bytes, Some(value)));
            let expect = Header {
                payload_type: PAYLOAD_TYPE,
                sequence: value as u16,
                timestamp: (value as u32).wrapping_mul(TICKS),
                ssrc: SSRC,
            };
            assert_eq!(header(&packet), Some(expect));
            let last = packet.len() - 1;
            packet[last] ^= 1;
            assert!(number(&packet) != Some(value), "a damaged byte goes unseen");
        }
        assert_eq!(number(&[0x80; 20]), None);
        assert_eq!(number(&[]), None);
    }
}
