//! Sender reports, receiver reports and their blocks (RFC 3550 section 6.4).
//!
//! The reports are small values of their own; the blocks stay in the datagram and are read one by
//! one. Profile-specific extensions after the blocks are accepted and left alone.

use rtcp_types::{RtcpPacketParser, RtcpParseError};

use super::{RawPacket, RtcpError};

const BLOCK_BYTES: usize = rtcp_types::ReportBlock::EXPECTED_SIZE;
const SENDER_BODY_BYTES: usize = 24;
const RECEIVER_BODY_BYTES: usize = 4;

/// The largest and smallest count of lost packets that a block can carry: 24 bits, signed.
pub(super) const CUMULATIVE_LOST_MAX: i32 = (1 << 23) - 1;
/// See [`CUMULATIVE_LOST_MAX`].
pub(super) const CUMULATIVE_LOST_MIN: i32 = -(1 << 23);

/// What a sender says of its own stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderReport {
    /// The stream.
    pub ssrc: u32,
    /// When the report was sent, 64-bit NTP; [`crate::ntp`] reads it.
    pub ntp: u64,
    /// The same instant on the stream's RTP clock.
    pub rtp_timestamp: u32,
    /// RTP packets sent so far, modulo 2^32.
    pub packet_count: u32,
    /// Payload bytes sent so far, headers and padding excluded, modulo 2^32.
    pub octet_count: u32,
}

/// Who sent a receiver report (RFC 3550 section 6.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverReport {
    /// The SSRC of the reporter.
    pub ssrc: u32,
}

/// What a receiver says of one stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Part of the packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost in all: 24 bits, negative where duplicates outnumber losses.
    pub cumulative_lost: i32,
    /// The highest sequence number received, wraps in the upper half.
    pub extended_highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report received; 0 if none was.
    pub last_sr: u32,
    /// How long ago that was, in 1/65536 s.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    fn read(bytes: &[u8; BLOCK_BYTES]) -> Self {
        let block = match rtcp_types::ReportBlock::parse(bytes) {
            Ok(block) => block,
            Err(error) => unreachable!("{BLOCK_BYTES} bytes are always a block: {error}"),
        };
        Self {
            ssrc: block.ssrc(),
            fraction_lost: block.fraction_lost(),
            // The 24 bits are signed (RFC 3550 6.4.1); shifting up and down extends the sign.
            cumulative_lost: (block.cumulative_lost() << 8) as i32 >> 8,
            extended_highest_sequence: block.extended_sequence_number(),
            jitter: block.interarrival_jitter(),
            last_sr: block.last_sender_report_timestamp(),
            delay_since_last_sr: block.delay_since_last_sender_report_timestamp(),
        }
    }
}

/// The blocks of a report, up to 31, read from the datagram as they are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportBlocks<'a> {
    blocks: &'a [[u8; BLOCK_BYTES]],
}

impl<'a> ReportBlocks<'a> {
    /// How many blocks there are.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ReportBlock> + use<'a> {
        self.blocks.iter().map(ReportBlock::read)
    }

    /// The `count` blocks at `offset` in `body`.
    fn at(body: &'a [u8], offset: usize, count: u8) -> Result<Self, RtcpError> {
        let end = offset + usize::from(count) * BLOCK_BYTES;
        let bytes = body.get(offset..end).ok_or(RtcpError::Content)?;
        Ok(Self { blocks: bytes.as_chunks().0 })
    }
}

impl From<RtcpParseError> for RtcpError {
    fn from(error: RtcpParseError) -> Self {
        match error {
            RtcpParseError::UnsupportedVersion(_) => Self::Version,
            RtcpParseError::InvalidPadding => Self::Padding,
            _ => Self::Content,
        }
    }
}

pub(super) fn read_sender_report(
    raw: RawPacket<'_>,
) -> Result<(SenderReport, ReportBlocks<'_>), RtcpError> {
    // The blocks first: rtcp-types would take padding for blocks.
    let blocks = ReportBlocks::at(raw.body(), SENDER_BODY_BYTES, raw.count())?;
    let packet = rtcp_types::SenderReport::parse(raw.bytes())?;
    let report = SenderReport {
        ssrc: packet.ssrc(),
        ntp: packet.ntp_timestamp(),
        rtp_timestamp: packet.rtp_timestamp(),
        packet_count: packet.packet_count(),
        octet_count: packet.octet_count(),
    };
    Ok((report, blocks))
}

pub(super) fn read_receiver_report(
    raw: RawPacket<'_>,
) -> Result<(ReceiverReport, ReportBlocks<'_>), RtcpError> {
    let blocks = ReportBlocks::at(raw.body(), RECEIVER_BODY_BYTES, raw.count())?;
    let packet = rtcp_types::ReceiverReport::parse(raw.bytes())?;
    Ok((ReceiverReport { ssrc: packet.ssrc() }, blocks))
}
