//! Changes to the fixed header of an RTP packet: what a route does to the packets that it carries.
//!
//! Only the first twelve bytes are touched, so the payload is shared by all receivers and each has
//! its own copy of the header at most. Offsets in sequence numbers and timestamps wrap (RFC 3550
//! section 5.1 lets both start anywhere). The marker, the version and the padding, extension and
//! CSRC bits stay as they came.

use crate::rtp::FIXED_HEADER_BYTES;

/// The changes that a route makes to an RTP header (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderRewrite {
    /// The SSRC to write; `None` keeps the sender's.
    pub ssrc: Option<u32>,
    /// The payload type to write, 0–127; `None` keeps the sender's.
    pub payload_type: Option<u8>,
    /// Added to the sequence number, modulo 2^16.
    pub sequence_delta: u16,
    /// Added to the timestamp, modulo 2^32.
    pub timestamp_delta: u32,
}

impl HeaderRewrite {
    /// Whether every packet stays as it came, so that the received header may be sent unchanged.
    #[inline]
    pub const fn is_identity(&self) -> bool {
        self.ssrc.is_none()
            && self.payload_type.is_none()
            && self.sequence_delta == 0
            && self.timestamp_delta == 0
    }

    /// Rewrites `header`, the first twelve bytes of a packet that was parsed, in place.
    #[inline]
    pub fn apply(&self, header: &mut [u8; FIXED_HEADER_BYTES]) {
        if let Some(payload_type) = self.payload_type {
            header[1] = header[1] & 0x80 | payload_type & 0x7f;
        }
        let sequence = u16::from_be_bytes([header[2], header[3]]).wrapping_add(self.sequence_delta);
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        let timestamp = u32::from_be_bytes([header[4], header[5], header[6], header[7]])
            .wrapping_add(self.timestamp_delta);
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        if let Some(ssrc) = self.ssrc {
            header[8..12].copy_from_slice(&ssrc.to_be_bytes());
        }
    }

    /// The rewritten copy of `header`; the received packet stays as it is for the next route.
    #[inline]
    pub fn copy(&self, header: &[u8; FIXED_HEADER_BYTES]) -> [u8; FIXED_HEADER_BYTES] {
        let mut copy = *header;
        self.apply(&mut copy);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Opus from ffmpeg, but with marker, padding, extension and two CSRCs claimed.
    const HEADER: [u8; 12] =
        [0xb2, 0xe1, 0x04, 0xc2, 0xeb, 0xf7, 0x6c, 0x6e, 0xe5, 0x62, 0x3f, 0x3f];

    fn check(rewrite: HeaderRewrite, expect: [u8; 12]) {
        assert_eq!(rewrite.copy(&HEADER), expect, "{rewrite:?}");
        let mut header = HEADER;
        rewrite.apply(&mut header);
        assert_eq!(header, expect, "{rewrite:?}");
        assert_eq!(rewrite.is_identity(), rewrite == HeaderRewrite::default());
    }

    fn changed(range: std::ops::Range<usize>, bytes: &[u8]) -> [u8; 12] {
        let mut header = HEADER;
        header[range].copy_from_slice(bytes);
        header
    }

    #[test]
    fn each_field_changes_only_itself() {
        let none = HeaderRewrite::default();
        check(none, HEADER);
        check(HeaderRewrite { ssrc: Some(0x0102_0304), ..none }, changed(8..12, &[1, 2, 3, 4]));
        check(HeaderRewrite { ssrc: Some(0), ..none }, changed(8..12, &[0; 4]));
        check(HeaderRewrite { payload_type: Some(0), ..none }, changed(1..2, &[0x80]));
        check(HeaderRewrite { payload_type: Some(127), ..none }, changed(1..2, &[0xff]));
        check(HeaderRewrite { payload_type: Some(0xff), ..none }, changed(1..2, &[0xff]));
        check(HeaderRewrite { sequence_delta: 1, ..none }, changed(2..4, &[0x04, 0xc3]));
        check(HeaderRewrite { sequence_delta: 0xfb3e, ..none }, changed(2..4, &[0, 0]));
        check(HeaderRewrite { timestamp_delta: 0x1408_9392, ..none }, changed(4..8, &[0, 0, 0, 0]));
    }

    #[test]
    fn an_absent_marker_stays_absent() {
        let mut header = HEADER;
        header[1] = 0x61;
        HeaderRewrite { payload_type: Some(0xe0), ..Default::default() }.apply(&mut header);
        assert_eq!(header[1], 0x60);
    }
}
