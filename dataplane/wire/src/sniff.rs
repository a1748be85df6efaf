//! What a datagram is, told from its first two bytes.
//!
//! RFC 7983 section 7 splits the first byte between the protocols that may share a port; RFC 5761
//! section 4 tells RTP from RTCP by the second. Nothing else is looked at: the answer names the
//! parser to ask, not a promise that it will succeed.

/// The protocol that a datagram claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// First byte 0–3 (RFC 7983): a STUN message, RFC 8489.
    Stun,
    /// First byte 16–19 (RFC 7983): ZRTP, RFC 6189.
    Zrtp,
    /// First byte 20–63 (RFC 7983): a DTLS record.
    Dtls,
    /// First byte 64–79 (RFC 7983): TURN ChannelData, RFC 8656.
    TurnChannel,
    /// First byte 128–191 and not RTCP: RTP, RFC 3550.
    Rtp,
    /// First byte 128–191, second byte 192–223 (RFC 5761): RTCP, RFC 3550.
    Rtcp,
    /// No protocol that shares ports with RTP, or fewer than two bytes.
    Unknown,
}

/// Tells what `datagram` claims to be.
#[inline]
pub fn sniff(datagram: &[u8]) -> Protocol {
    let [first, second, ..] = *datagram else {
        return Protocol::Unknown;
    };
    match first {
        128..=191 if is_rtcp_type(second) => Protocol::Rtcp,
        128..=191 => Protocol::Rtp,
        0..=3 => Protocol::Stun,
        16..=19 => Protocol::Zrtp,
        20..=63 => Protocol::Dtls,
        64..=79 => Protocol::TurnChannel,
        _ => Protocol::Unknown,
    }
}

/// Whether `second`, the second byte of a datagram that is RTP or RTCP, marks it as RTCP: the
/// packet types 192–223 (RFC 5761 section 4).
#[inline]
pub const fn is_rtcp_type(second: u8) -> bool {
    matches!(second, 192..=223)
}

/// Whether RTP packets of `payload_type` look like RTCP as soon as their marker is set: 64–95.
///
/// RFC 5761 section 4: "payload type values in the range 64-95 MUST NOT be used" where RTP and RTCP
/// share a port. Without the marker such a packet is still taken for RTP.
#[inline]
pub const fn payload_type_collides_with_rtcp(payload_type: u8) -> bool {
    matches!(payload_type, 64..=95)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(datagram: &[u8], expect: Protocol) {
        assert_eq!(sniff(datagram), expect, "{datagram:02x?}");
    }

    #[test]
    fn first_byte_decides_the_protocol() {
        let rows = [
            (0..=3, Protocol::Stun),
            (4..=15, Protocol::Unknown),
            (16..=19, Protocol::Zrtp),
            (20..=63, Protocol::Dtls),
            (64..=79, Protocol::TurnChannel),
            (80..=127, Protocol::Unknown),
            (128..=191, Protocol::Rtp),
            (192..=255, Protocol::Unknown),
        ];
        for (range, expect) in rows {
            for first in range {
                check(&[first, 96], expect);
            }
        }
    }

    #[test]
    fn second_byte_tells_rtcp_from_rtp() {
        for second in 0..=255u8 {
            let rtcp = (192..=223).contains(&second);
            check(&[0x80, second], if rtcp { Protocol::Rtcp } else { Protocol::Rtp });
            let collides = payload_type_collides_with_rtcp(second & 0x7f) && second & 0x80 != 0;
            assert_eq!(rtcp, collides);
        }
    }

    #[test]
    fn real_packets() {
        check(b"", Protocol::Unknown);
        check(&[0x80], Protocol::Unknown);
        check(&[0x80, 0xe1, 0x04, 0xc2], Protocol::Rtp); // Opus from ffmpeg, marker set
        check(&[0x80, 0xc8, 0x00, 0x06], Protocol::Rtcp); // sender report
        check(&[0x81, 0xca, 0x00, 0x06], Protocol::Rtcp); // SDES, reduced size
        check(&[0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42], Protocol::Stun); // binding request
        check(&[0x16, 0xfe, 0xfd], Protocol::Dtls); // handshake record
        check(&[0x40, 0x00, 0x00, 0x04], Protocol::TurnChannel);
    }
}
