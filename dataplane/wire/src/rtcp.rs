//! RTCP compounds (RFC 3550 section 6): checked framing and typed views of the packets inside.
//!
//! [`Compound::parse`] checks the whole datagram once, so that walking it afterwards cannot fail.
//! The fixed fields of reports and feedback are read through the crate rtcp-types. Its compound
//! iterator is not used: it looks at the version of the first packet only, counts padding as
//! content, and allocates for source descriptions, while a hostile datagram may cost a shard
//! neither an allocation nor an unbounded walk. Its builders allocate too, hence [`mod@write`].
//!
//! Reduced-size RTCP (RFC 5506) is accepted: a compound need not begin with a report.

mod extended;
mod feedback;
mod remb;
mod report;
mod source;
mod twcc;
pub mod write;

pub use extended::{DelaySince, Extended};
pub use feedback::{Fir, FirEntries, FirEntry, Nack, NackEntries, NackEntry, Pli};
pub use remb::Remb;
pub use report::{ReceiverReport, ReportBlock, ReportBlocks, SenderReport};
pub use source::{Bye, Sdes, SdesChunk, SdesChunks, SdesItem, SdesItems};
pub use twcc::{DELTA_STEP_NS, REFERENCE_STEP_NS, Twcc, TwccArrival, TwccArrivals};

use crate::sniff::is_rtcp_type;

/// Packet type of a sender report (RFC 3550 section 6.4.1).
pub const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report (RFC 3550 section 6.4.2).
pub const RECEIVER_REPORT: u8 = 201;
/// Packet type of a source description (RFC 3550 section 6.5).
pub const SOURCE_DESCRIPTION: u8 = 202;
/// Packet type of a goodbye (RFC 3550 section 6.6).
pub const GOODBYE: u8 = 203;
/// Packet type of transport-layer feedback (RFC 4585 section 6.2).
pub const TRANSPORT_FEEDBACK: u8 = 205;
/// Packet type of payload-specific feedback (RFC 4585 section 6.3).
pub const PAYLOAD_FEEDBACK: u8 = 206;
/// Packet type of an extended report (RFC 3611 section 2).
pub const EXTENDED_REPORT: u8 = 207;

/// Packets in one compound. A full report of 31 sources is one packet, so honest compounds have a
/// handful and those of mixers a few dozen. Raised, a hostile datagram of 4-byte packets costs more
/// to walk; lowered, a mixer's compound is refused.
pub const MAX_PACKETS: usize = 64;

/// Report blocks, sources or chunks in one packet: its count field has five bits.
pub const MAX_COUNT: usize = 31;

const HEADER_BYTES: usize = 4;

/// Why a datagram is not an RTCP compound. All variants are one drop reason; they exist apart for
/// tests and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// Fewer bytes than one RTCP header.
    #[error("shorter than an RTCP header")]
    Short,
    /// A packet's version field is not 2.
    #[error("not RTCP version 2")]
    Version,
    /// The first packet's type is none of 192–223: this is not RTCP (RFC 5761 section 4).
    #[error("first packet has no RTCP packet type")]
    Type,
    /// The lengths of the packets do not add up to the datagram.
    #[error("RTCP packet lengths do not add up to the datagram")]
    Length,
    /// Padding before the last packet, or a padding count that cannot be.
    #[error("invalid RTCP padding")]
    Padding,
    /// More than [`MAX_PACKETS`] packets.
    #[error("more than {MAX_PACKETS} RTCP packets in one datagram")]
    TooMany,
    /// A packet is too short for what its header promises, or has fields that cannot be.
    #[error("RTCP packet too short for its own count or fields")]
    Content,
}

/// A datagram of one or more RTCP packets, all of which were checked (RFC 3550 section A.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks `bytes`, one whole datagram: the framing, then every packet of a known type.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RtcpError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RtcpError::Short);
        }
        let mut rest = bytes;
        let mut packets = 0;
        while !rest.is_empty() {
            let (packet, after) = RawPacket::split(rest)?;
            if packets == 0 && !is_rtcp_type(packet.packet_type()) {
                return Err(RtcpError::Type);
            }
            packets += 1;
            if packets > MAX_PACKETS {
                return Err(RtcpError::TooMany);
            }
            // RFC 3550 6.4.1: padding is added to the last packet of a compound only.
            if packet.padding > 0 && !after.is_empty() {
                return Err(RtcpError::Padding);
            }
            Packet::read(packet)?;
            rest = after;
        }
        Ok(Self { bytes })
    }

    /// The packets in the order of the datagram.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'a>> + use<'a> {
        // `parse` has read every packet once already, so none is left out here.
        self.raw_packets().filter_map(|packet| Packet::read(packet).ok())
    }

    /// The packets in the order of the datagram, as bytes.
    pub fn raw_packets(&self) -> RawPackets<'a> {
        RawPackets { rest: self.bytes }
    }

    /// Whether this is reduced-size RTCP: it does not begin with a report (RFC 5506 section 3.1).
    pub fn is_reduced_size(&self) -> bool {
        !matches!(self.bytes[1], SENDER_REPORT | RECEIVER_REPORT)
    }

    /// The whole datagram.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// The packets of a [`Compound`] as bytes, in order.
#[derive(Clone, Debug)]
pub struct RawPackets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for RawPackets<'a> {
    type Item = RawPacket<'a>;

    fn next(&mut self) -> Option<RawPacket<'a>> {
        let (packet, rest) = RawPacket::split(self.rest).ok()?;
        self.rest = rest;
        Some(packet)
    }
}

/// One RTCP packet whose header and padding were checked (RFC 3550 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPacket<'a> {
    bytes: &'a [u8],
    padding: usize,
}

impl<'a> RawPacket<'a> {
    /// The first packet of `bytes`, and what follows it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RtcpError> {
        let [first, _, length_high, length_low, ..] = *bytes else {
            return Err(if bytes.is_empty() { RtcpError::Short } else { RtcpError::Length });
        };
        if first >> 6 != 2 {
            return Err(RtcpError::Version);
        }
        // RFC 3550 6.4.1: "the length of this RTCP packet in 32-bit words minus one".
        let words = usize::from(u16::from_be_bytes([length_high, length_low])) + 1;
        let (packet, rest) = bytes.split_at_checked(4 * words).ok_or(RtcpError::Length)?;
        let padded = first & 0x20 != 0;
        let padding = if padded { usize::from(packet[packet.len() - 1]) } else { 0 };
        // RFC 3550 6.4.1: the count includes itself and "will be a multiple of four". Browsers pad
        // transport-wide feedback by one to three octets, so that must pass.
        let whole = padding.is_multiple_of(4) || packet[1] == TRANSPORT_FEEDBACK;
        let fits = whole && padding <= packet.len() - HEADER_BYTES;
        if padded && (padding == 0 || !fits) {
            return Err(RtcpError::Padding);
        }
        Ok((Self { bytes: packet, padding }, rest))
    }

    /// The packet type.
    pub fn packet_type(&self) -> u8 {
        self.bytes[1]
    }

    /// The five bits beside the padding bit: a count of reports, sources or chunks, or the format
    /// of feedback.
    pub fn count(&self) -> u8 {
        self.bytes[0] & 0x1f
    }

    /// The packet with header and padding.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the four bytes of the header, without the padding.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..self.bytes.len() - self.padding]
    }
}

/// One RTCP packet, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A sender report and what its sender received (RFC 3550 section 6.4.1).
    SenderReport(SenderReport, ReportBlocks<'a>),
    /// A receiver report (RFC 3550 section 6.4.2).
    ReceiverReport(ReceiverReport, ReportBlocks<'a>),
    /// A source description (RFC 3550 section 6.5).
    Sdes(Sdes<'a>),
    /// A goodbye (RFC 3550 section 6.6).
    Bye(Bye<'a>),
    /// A picture loss indication (RFC 4585 section 6.3.1).
    Pli(Pli),
    /// A full intra request (RFC 5104 section 4.3.1).
    Fir(Fir<'a>),
    /// A generic NACK (RFC 4585 section 6.2.1).
    Nack(Nack<'a>),
    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    Twcc(Twcc<'a>),
    /// A bandwidth estimate (draft-alvestrand-rmcat-remb-03).
    Remb(Remb<'a>),
    /// An extended report (RFC 3611).
    Extended(Extended<'a>),
    /// Any other packet: APP, unknown types. Only its framing was checked.
    Other(RawPacket<'a>),
}

impl<'a> Packet<'a> {
    /// Reads `raw` by its type.
    pub fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        match (raw.packet_type(), raw.count()) {
            (SENDER_REPORT, _) => {
                report::read_sender_report(raw).map(|(sr, blocks)| Self::SenderReport(sr, blocks))
            }
            (RECEIVER_REPORT, _) => report::read_receiver_report(raw)
                .map(|(rr, blocks)| Self::ReceiverReport(rr, blocks)),
            (SOURCE_DESCRIPTION, _) => Sdes::read(raw).map(Self::Sdes),
            (GOODBYE, _) => Bye::read(raw).map(Self::Bye),
            (PAYLOAD_FEEDBACK, feedback::PLI_FORMAT) => Pli::read(raw).map(Self::Pli),
            (PAYLOAD_FEEDBACK, feedback::FIR_FORMAT) => Fir::read(raw).map(Self::Fir),
            (TRANSPORT_FEEDBACK, feedback::NACK_FORMAT) => Nack::read(raw).map(Self::Nack),
            (TRANSPORT_FEEDBACK, twcc::TWCC_FORMAT) => Twcc::read(raw).map(Self::Twcc),
            (PAYLOAD_FEEDBACK, remb::REMB_FORMAT) => {
                Remb::read(raw).map(|remb| remb.map_or(Self::Other(raw), Self::Remb))
            }
            (EXTENDED_REPORT, _) => Extended::read(raw).map(Self::Extended),
            _ => Ok(Self::Other(raw)),
        }
    }
}

#[cfg(test)]
mod tests;
