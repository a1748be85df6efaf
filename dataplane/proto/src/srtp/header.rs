//! What of an SRTP packet is in the clear. Padding and payload are not looked at: they are
//! encrypted, so that `wire`'s view of the whole packet comes after the opening.

use ringway_wire::rtp::FIXED_HEADER_BYTES;

/// The clear part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClearHeader {
    /// Bytes of the header with CSRCs and extension; not more than the packet has.
    pub len: usize,
    pub sequence: u16,
    pub ssrc: u32,
}

impl ClearHeader {
    /// Checks everything before the payload (RFC 3550 5.1).
    pub(super) fn parse(packet: &[u8]) -> Option<Self> {
        let &[first, _, s0, s1, _, _, _, _, r0, r1, r2, r3] =
            packet.first_chunk::<FIXED_HEADER_BYTES>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut len = FIXED_HEADER_BYTES + 4 * usize::from(first & 0x0f);
        if first & 0x10 != 0 {
            let &[_, _, l0, l1] = packet.get(len..)?.first_chunk()?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        }
        (len <= packet.len()).then_some(Self {
            len,
            sequence: u16::from_be_bytes([s0, s1]),
            ssrc: u32::from_be_bytes([r0, r1, r2, r3]),
        })
    }
}

/// The SSRC of an SRTCP packet's first packet, which is in the clear (RFC 3711 3.4).
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    let &[first, _, _, _, r0, r1, r2, r3] = packet.first_chunk::<RTCP_CLEAR_BYTES>()?;
    (first >> 6 == 2).then_some(u32::from_be_bytes([r0, r1, r2, r3]))
}

/// Bytes at the start of an SRTCP packet that are never encrypted.
pub(super) const RTCP_CLEAR_BYTES: usize = 8;

/// RFC 3711 3.4: the flag "that indicates if the current SRTCP packet is encrypted", in front of
/// the 31 bits of the index.
pub(super) const RTCP_ENCRYPTED: u32 = 1 << 31;
