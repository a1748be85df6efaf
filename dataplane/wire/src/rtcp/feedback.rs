//! Feedback about pictures and packets: PLI and generic NACK (RFC 4585), FIR (RFC 5104).

use rtcp_types::{PayloadFeedback, RtcpPacketParser, TransportFeedback};

use super::{RawPacket, RtcpError};

/// Feedback format of a generic NACK (RFC 4585 section 6.2.1).
pub(super) const NACK_FORMAT: u8 = 1;
/// Feedback format of a picture loss indication (RFC 4585 section 6.3.1).
pub(super) const PLI_FORMAT: u8 = 1;
/// Feedback format of a full intra request (RFC 5104 section 4.3.1).
pub(super) const FIR_FORMAT: u8 = 4;

const SSRCS_BYTES: usize = 8;

/// A picture loss indication: the receiver asks for a key frame (RFC 4585 section 6.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pli {
    /// Who asks.
    pub sender_ssrc: u32,
    /// The stream asked for.
    pub media_ssrc: u32,
}

impl Pli {
    pub(super) fn read(raw: RawPacket<'_>) -> Result<Self, RtcpError> {
        // RFC 4585 6.3.1: "PLI does not require parameters. Therefore, the length field MUST be 2".
        if raw.body().len() != SSRCS_BYTES {
            return Err(RtcpError::Content);
        }
        let packet = PayloadFeedback::parse(raw.bytes())?;
        Ok(Self { sender_ssrc: packet.sender_ssrc(), media_ssrc: packet.media_ssrc() })
    }
}

/// A full intra request: a mixer or recorder asks for key frames (RFC 5104 section 4.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    entries: &'a [[u8; 8]],
}

/// One stream that a [`Fir`] asks for (RFC 5104 section 4.3.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream asked for.
    pub ssrc: u32,
    /// Grows with each new request; a repeated one keeps its number.
    pub sequence: u8,
}

/// The entries of a [`Fir`], in order.
pub type FirEntries<'a> = std::iter::Map<std::slice::Iter<'a, [u8; 8]>, fn(&[u8; 8]) -> FirEntry>;

impl<'a> Fir<'a> {
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        // RFC 5104 4.3.1.2: the media source "SHALL be set to 0"; the entries name the streams.
        let entries = control_information(raw)?;
        let packet = PayloadFeedback::parse(raw.bytes())?;
        Ok(Self { sender_ssrc: packet.sender_ssrc(), entries })
    }

    /// The streams asked for, at least one.
    pub fn entries(&self) -> FirEntries<'a> {
        self.entries.iter().map(|&[a, b, c, d, sequence, ..]| FirEntry {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence,
        })
    }
}

/// A generic NACK: the receiver asks for lost packets again (RFC 4585 section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nack<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    /// The stream that has gaps.
    pub media_ssrc: u32,
    entries: &'a [[u8; 4]],
}

/// Up to 17 lost packets: one, and a bit for each of the sixteen that follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NackEntry {
    /// Sequence number of a lost packet (PID).
    pub packet_id: u16,
    /// Bit i, lowest first, is set when `packet_id + i + 1` is lost too (BLP).
    pub bitmask: u16,
}

impl NackEntry {
    /// The sequence numbers of the lost packets.
    pub fn sequences(self) -> impl Iterator<Item = u16> {
        let following = (0..16).filter(move |bit| self.bitmask >> bit & 1 == 1).map(|bit| bit + 1);
        std::iter::once(0).chain(following).map(move |ahead| self.packet_id.wrapping_add(ahead))
    }
}

/// The entries of a [`Nack`], in order.
pub type NackEntries<'a> = std::iter::Map<std::slice::Iter<'a, [u8; 4]>, fn(&[u8; 4]) -> NackEntry>;

impl<'a> Nack<'a> {
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        let entries = control_information(raw)?;
        let packet = TransportFeedback::parse(raw.bytes())?;
        Ok(Self { sender_ssrc: packet.sender_ssrc(), media_ssrc: packet.media_ssrc(), entries })
    }

    /// The losses, at least one.
    pub fn entries(&self) -> NackEntries<'a> {
        self.entries.iter().map(|&[a, b, c, d]| NackEntry {
            packet_id: u16::from_be_bytes([a, b]),
            bitmask: u16::from_be_bytes([c, d]),
        })
    }
}

/// The entries of `N` bytes after the two SSRCs: at least one, and nothing left over. rtcp-types
/// would take padding for entries.
fn control_information<const N: usize>(raw: RawPacket<'_>) -> Result<&[[u8; N]], RtcpError> {
    match raw.body().get(SSRCS_BYTES..).unwrap_or_default().as_chunks() {
        ([], _) | (_, [_, ..]) => Err(RtcpError::Content),
        (entries, []) => Ok(entries),
    }
}
