//! A checked view of an RTP packet (RFC 3550 section 5), over `rtp_rs::RtpReader`.
//!
//! The reader checks, in this order: twelve bytes, version 2, room for the CSRCs, for the extension
//! and its length, and a padding count between 1 and the size of the payload. That is everything
//! that RFC 3550 section A.1 asks of one packet alone; the tests below pin it row by row, since
//! forwarding hangs on it. This is for plain RTP: in SRTP the padding count is encrypted, so a
//! packet may be viewed only after it was opened.

use std::ops::Range;

use rtp_rs::{RtpReader, RtpReaderError};

/// Bytes of the RTP header without CSRCs and extension: the shortest packet.
pub const FIXED_HEADER_BYTES: usize = RtpReader::MIN_HEADER_LEN;

/// Why a datagram is not an RTP packet. Each variant is one drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// Fewer than [`FIXED_HEADER_BYTES`].
    #[error("shorter than an RTP header")]
    Short,
    /// The version field is not 2.
    #[error("not RTP version 2")]
    Version,
    /// CSRCs, extension or padding do not fit into the packet.
    #[error("RTP header or padding longer than the packet")]
    Header,
}

impl From<RtpReaderError> for RtpError {
    fn from(error: RtpReaderError) -> Self {
        match error {
            RtpReaderError::BufferTooShort(_) => Self::Short,
            RtpReaderError::UnsupportedVersion(_) => Self::Version,
            RtpReaderError::HeadersTruncated { .. } | RtpReaderError::PaddingLengthInvalid(_) => {
                Self::Header
            }
        }
    }
}

/// The header extension of a packet, as it stands (RFC 3550 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// "Defined by profile": 0xBEDE and 0x100n for those of RFC 8285.
    pub profile: u16,
    /// The data after the four bytes of profile and length; a multiple of 4 bytes, possibly none.
    pub data: &'a [u8],
}

/// An RTP packet all of whose lengths were checked.
#[derive(Debug)]
pub struct RtpView<'a> {
    reader: RtpReader<'a>,
    bytes: &'a [u8],
}

impl<'a> RtpView<'a> {
    /// Checks `bytes`, one whole datagram.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtpError> {
        Ok(Self { reader: RtpReader::new(bytes)?, bytes })
    }

    /// The marker bit; what it means is the profile's affair.
    #[inline]
    pub fn marker(&self) -> bool {
        self.reader.mark()
    }

    /// The payload type, 0–127.
    #[inline]
    pub fn payload_type(&self) -> u8 {
        self.reader.payload_type()
    }

    /// The sequence number; [`crate::sequence`] compares two.
    #[inline]
    pub fn sequence(&self) -> u16 {
        u16::from(self.reader.sequence_number())
    }

    /// The timestamp, in units of the payload's clock.
    #[inline]
    pub fn timestamp(&self) -> u32 {
        self.reader.timestamp()
    }

    /// The synchronisation source.
    #[inline]
    pub fn ssrc(&self) -> u32 {
        self.reader.ssrc()
    }

    /// How many contributing sources the header lists, 0–15.
    #[inline]
    pub fn csrc_count(&self) -> usize {
        usize::from(self.reader.csrc_count())
    }

    /// The contributing sources.
    pub fn csrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.reader.csrc()
    }

    /// Bytes of the whole header: fixed part, CSRCs and extension.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.reader.payload_offset()
    }

    /// Where the payload lies in the datagram, padding excluded.
    #[inline]
    pub fn payload_range(&self) -> Range<usize> {
        self.header_len()..self.bytes.len() - self.padding()
    }

    /// The payload, padding excluded.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.reader.payload()
    }

    /// Bytes of padding at the end, its count byte included; 0 when the padding bit is clear.
    #[inline]
    pub fn padding(&self) -> usize {
        usize::from(self.reader.padding().unwrap_or(0))
    }

    /// The header extension, if there is one.
    #[inline]
    pub fn extension(&self) -> Option<Extension<'a>> {
        self.reader.extension().map(|(profile, data)| Extension { profile, data })
    }

    /// The whole datagram.
    #[inline]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Opus at 48 kHz from ffmpeg.
    const OPUS: [u8; 45] = [
        0x80, 0xe1, 0x04, 0xc2, 0xeb, 0xf7, 0x6c, 0x6e, 0xe5, 0x62, 0x3f, 0x3f, 0x98, 0xb0, 0x4d,
        0xcf, 0x2a, 0x01, 0xda, 0x72, 0x53, 0xa6, 0xc0, 0xed, 0x23, 0xcb, 0x2b, 0x84, 0x6f, 0x46,
        0xf1, 0xaf, 0x90, 0x37, 0x2d, 0x38, 0xc0, 0x84, 0xb8, 0x92, 0x76, 0x42, 0xdb, 0x1d, 0xae,
    ];

    // H.264 slice from ffmpeg, payload type 96.
    const H264: [u8; 29] = [
        0x80, 0xe0, 0x03, 0x61, 0x40, 0x1e, 0xb8, 0xc9, 0x16, 0x58, 0x8c, 0x53, 0x5c, 0x41, 0x32,
        0x5e, 0xcc, 0xe0, 0x00, 0x2c, 0xc7, 0x10, 0x18, 0x28, 0x4e, 0x74, 0x9e, 0x0b, 0x80,
    ];

    // Two CSRCs, a one-byte extension (RFC 8285) of one word, three bytes of payload, two of
    // padding.
    const FULL: [u8; 33] = [
        0xb2, 0x60, 0xff, 0xff, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, // fixed
        0, 0, 0, 7, 0, 0, 0, 8, // CSRCs
        0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0, // extension
        1, 2, 3, // payload
        0, 2, // padding
    ];

    #[derive(Debug, PartialEq)]
    struct Expect<'a> {
        marker: bool,
        payload_type: u8,
        sequence: u16,
        timestamp: u32,
        ssrc: u32,
        csrcs: &'a [u32],
        header_len: usize,
        payload: Range<usize>,
        padding: usize,
        extension: Option<Extension<'a>>,
    }

    fn check(bytes: &[u8], expect: Expect<'_>) {
        let view = RtpView::parse(bytes).expect("a valid packet");
        let csrcs: Vec<u32> = view.csrcs().collect();
        assert_eq!(view.csrc_count(), csrcs.len());
        assert_eq!(view.payload(), &bytes[view.payload_range()]);
        assert_eq!(view.bytes(), bytes);
        let found = Expect {
            marker: view.marker(),
            payload_type: view.payload_type(),
            sequence: view.sequence(),
            timestamp: view.timestamp(),
            ssrc: view.ssrc(),
            csrcs: &csrcs,
            header_len: view.header_len(),
            payload: view.payload_range(),
            padding: view.padding(),
            extension: view.extension(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn fields_of_real_packets() {
        check(
            &OPUS,
            Expect {
                marker: true,
                payload_type: 97,
                sequence: 1218,
                timestamp: 0xebf7_6c6e,
                ssrc: 0xe562_3f3f,
                csrcs: &[],
                header_len: 12,
                payload: 12..45,
                padding: 0,
                extension: None,
            },
        );
        check(
            &H264,
            Expect {
                marker: true,
                payload_type: 96,
                sequence: 865,
                timestamp: 0x401e_b8c9,
                ssrc: 0x1658_8c53,
                csrcs: &[],
                header_len: 12,
                payload: 12..29,
                padding: 0,
                extension: None,
            },
        );
    }

    #[test]
    fn fields_of_a_packet_with_everything() {
        check(
            &FULL,
            Expect {
                marker: false,
                payload_type: 96,
                sequence: 65535,
                timestamp: 1,
                ssrc: 0xdead_beef,
                csrcs: &[7, 8],
                header_len: 28,
                payload: 28..31,
                padding: 2,
                extension: Some(Extension { profile: 0xbede, data: &[0x10, 0xaa, 0, 0] }),
            },
        );
    }

    // `FULL` cut to `len` bytes, with `changes` made to it.
    fn refuse(len: usize, changes: &[(usize, u8)], expect: Result<(), RtpError>) {
        let mut bytes = FULL[..len].to_vec();
        for &(offset, byte) in changes {
            bytes[offset] = byte;
        }
        assert_eq!(RtpView::parse(&bytes).map(drop), expect, "{len} bytes, {changes:?}");
    }

    #[test]
    fn every_length_is_checked() {
        let header = Err(RtpError::Header);
        for len in 0..12 {
            refuse(len, &[], Err(RtpError::Short));
        }
        for first in [0x00, 0x40, 0xc0, 0x3f, 0xff] {
            refuse(33, &[(0, first)], Err(RtpError::Version));
        }
        refuse(12, &[(0, 0x80)], Ok(())); // no payload is no fault
        refuse(12, &[(0, 0x81)], header); // one CSRC claimed
        refuse(19, &[(0, 0x82)], header);
        refuse(20, &[(0, 0x82)], Ok(()));
        refuse(33, &[(0, 0x8f)], header); // fifteen CSRCs claimed
        refuse(23, &[(0, 0x92)], header); // extension header cut
        refuse(24, &[(0, 0x92)], header); // extension data absent
        refuse(27, &[(0, 0x92)], header);
        refuse(28, &[(0, 0x92)], Ok(()));
        refuse(24, &[(0, 0x92), (23, 0)], Ok(())); // an empty extension
        refuse(33, &[(22, 0xff), (23, 0xff)], header); // longer than any datagram
        refuse(12, &[(0, 0xa0), (11, 1)], header); // padding, but only a header
        refuse(28, &[], header);
        refuse(33, &[(32, 0)], header); // a count of 0 cannot include itself
        refuse(33, &[(32, 1)], Ok(()));
        refuse(33, &[(32, 5)], Ok(())); // nothing but padding
        refuse(33, &[(32, 6)], header); // padding that begins in the header
        refuse(33, &[(32, 255)], header);
    }
}
