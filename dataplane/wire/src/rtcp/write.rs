//! Writers of RTCP packets into a buffer of the caller.
//!
//! Each writes one packet at the start of `out` and returns its length; a compound is several
//! calls, each with what the one before left free. They are written out here because the builders
//! of rtcp-types keep reports and entries in vectors. A compound that is not reduced-size begins
//! with a report and has a CNAME (RFC 3550 section 6.1): the caller sees to that.

use super::extended::{DELAY_SINCE, DelaySince, REFERENCE_TIME};
use super::feedback::{FIR_FORMAT, FirEntry, NACK_FORMAT, NackEntry, PLI_FORMAT, Pli};
use super::remb::{self, REMB_FORMAT};
use super::report::{
    CUMULATIVE_LOST_MAX, CUMULATIVE_LOST_MIN, ReceiverReport, ReportBlock, SenderReport,
};
use super::source::CNAME;
use super::twcc::TWCC_FORMAT;
use super::{
    EXTENDED_REPORT, GOODBYE, HEADER_BYTES, MAX_COUNT, PAYLOAD_FEEDBACK, RECEIVER_REPORT,
    SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};

/// The longest packet: its length field counts up to 2^16 words.
const MAX_PACKET_BYTES: usize = 4 << 16;

/// Why a packet could not be written. Nothing of it is in the buffer then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer is too small.
    #[error("an RTCP packet of {needed} bytes does not fit into {available}")]
    Room {
        /// Bytes of the packet.
        needed: usize,
        /// Bytes of the buffer.
        available: usize,
    },
    /// More entries, or bytes of text, than one packet can carry.
    #[error("{given} entries in one RTCP packet, at most {most} fit")]
    Count {
        /// How many were given.
        given: usize,
        /// How many one packet can carry.
        most: usize,
    },
}

/// Writes a sender report with up to 31 blocks (RFC 3550 section 6.4.1).
pub fn write_sender_report(
    out: &mut [u8],
    report: &SenderReport,
    blocks: &[ReportBlock],
) -> Result<usize, WriteError> {
    let count = five_bits(blocks.len())?;
    let mut packet = Frame::begin(out, SENDER_REPORT, count, 28 + 24 * blocks.len())?;
    packet.put(report.ssrc.to_be_bytes());
    packet.put(report.ntp.to_be_bytes());
    packet.put(report.rtp_timestamp.to_be_bytes());
    packet.put(report.packet_count.to_be_bytes());
    packet.put(report.octet_count.to_be_bytes());
    blocks.iter().for_each(|block| packet.put_block(block));
    Ok(packet.end())
}

/// Writes a receiver report with up to 31 blocks (RFC 3550 section 6.4.2).
pub fn write_receiver_report(
    out: &mut [u8],
    report: &ReceiverReport,
    blocks: &[ReportBlock],
) -> Result<usize, WriteError> {
    let count = five_bits(blocks.len())?;
    let mut packet = Frame::begin(out, RECEIVER_REPORT, count, 8 + 24 * blocks.len())?;
    packet.put(report.ssrc.to_be_bytes());
    blocks.iter().for_each(|block| packet.put_block(block));
    Ok(packet.end())
}

/// Writes a source description of one source with its canonical name, up to 255 bytes
/// (RFC 3550 section 6.5.1).
pub fn write_sdes_cname(out: &mut [u8], ssrc: u32, cname: &[u8]) -> Result<usize, WriteError> {
    let Ok(cname_len) = u8::try_from(cname.len()) else {
        return Err(WriteError::Count { given: cname.len(), most: usize::from(u8::MAX) });
    };
    // Header, SSRC, item header, text, and the null octet that ends the list.
    let len = (4 + 4 + 2 + cname.len() + 1).next_multiple_of(4);
    let mut packet = Frame::begin(out, SOURCE_DESCRIPTION, 1, len)?;
    packet.put(ssrc.to_be_bytes());
    packet.put([CNAME, cname_len]);
    packet.put_slice(cname);
    packet.rest().fill(0);
    Ok(len)
}

/// Writes a goodbye of up to 31 sources, without a reason (RFC 3550 section 6.6).
pub fn write_bye(out: &mut [u8], sources: &[u32]) -> Result<usize, WriteError> {
    let count = five_bits(sources.len())?;
    let mut packet = Frame::begin(out, GOODBYE, count, 4 + 4 * sources.len())?;
    sources.iter().for_each(|ssrc| packet.put(ssrc.to_be_bytes()));
    Ok(packet.end())
}

/// Writes an extended report with the time at which it is sent, 64-bit NTP (RFC 3611 section 4.4).
pub fn write_reference_time(out: &mut [u8], ssrc: u32, ntp: u64) -> Result<usize, WriteError> {
    let mut packet = Frame::begin(out, EXTENDED_REPORT, 0, 20)?;
    packet.put(ssrc.to_be_bytes());
    packet.put([REFERENCE_TIME, 0, 0, 2]);
    packet.put(ntp.to_be_bytes());
    Ok(packet.end())
}

/// Writes an extended report that answers one of those (RFC 3611 section 4.5).
pub fn write_delay_since(
    out: &mut [u8],
    ssrc: u32,
    since: &DelaySince,
) -> Result<usize, WriteError> {
    let mut packet = Frame::begin(out, EXTENDED_REPORT, 0, 24)?;
    packet.put(ssrc.to_be_bytes());
    packet.put([DELAY_SINCE, 0, 0, 3]);
    packet.put(since.ssrc.to_be_bytes());
    packet.put(since.last_reference.to_be_bytes());
    packet.put(since.delay.to_be_bytes());
    Ok(packet.end())
}

/// Writes a picture loss indication (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut [u8], pli: &Pli) -> Result<usize, WriteError> {
    let mut packet = Frame::begin(out, PAYLOAD_FEEDBACK, PLI_FORMAT, 12)?;
    packet.put(pli.sender_ssrc.to_be_bytes());
    packet.put(pli.media_ssrc.to_be_bytes());
    Ok(packet.end())
}

/// Writes a full intra request; the media source is 0 as RFC 5104 section 4.3.1.2 demands, and at
/// least one entry is the caller's duty.
pub fn write_fir(
    out: &mut [u8],
    sender_ssrc: u32,
    entries: &[FirEntry],
) -> Result<usize, WriteError> {
    let mut packet = Frame::begin(out, PAYLOAD_FEEDBACK, FIR_FORMAT, 12 + 8 * entries.len())?;
    packet.put(sender_ssrc.to_be_bytes());
    packet.put([0; 4]);
    for entry in entries {
        packet.put(entry.ssrc.to_be_bytes());
        packet.put([entry.sequence, 0, 0, 0]);
    }
    Ok(packet.end())
}

/// Writes a generic NACK (RFC 4585 section 6.2.1); at least one entry is the caller's duty.
pub fn write_nack(
    out: &mut [u8],
    sender_ssrc: u32,
    media_ssrc: u32,
    entries: &[NackEntry],
) -> Result<usize, WriteError> {
    let mut packet = Frame::begin(out, TRANSPORT_FEEDBACK, NACK_FORMAT, 12 + 4 * entries.len())?;
    packet.put(sender_ssrc.to_be_bytes());
    packet.put(media_ssrc.to_be_bytes());
    for entry in entries {
        packet.put(entry.packet_id.to_be_bytes());
        packet.put(entry.bitmask.to_be_bytes());
    }
    Ok(packet.end())
}

/// What a transport-wide feedback packet says before its chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TwccHead {
    /// Who reports.
    pub sender_ssrc: u32,
    /// Some stream of the transport reported on.
    pub media_ssrc: u32,
    /// Sequence number of the first packet reported on.
    pub base_sequence: u16,
    /// Arrival that the first delta counts from, in 64 ms; 24 bits are written.
    pub reference_time: i32,
    /// Counts feedback packets.
    pub feedback_count: u8,
}

/// Writes transport-wide feedback. `deltas` has an entry for each packet from the base on, at most
/// 65535: `None` where it is missing, else how much later it came than the one before, in 250 µs.
///
/// Chunks of seven two-bit symbols are used, and runs where a status repeats more often than that.
pub fn write_twcc(
    out: &mut [u8],
    head: &TwccHead,
    deltas: &[Option<i16>],
) -> Result<usize, WriteError> {
    let most = usize::from(u16::MAX);
    if deltas.len() > most {
        return Err(WriteError::Count { given: deltas.len(), most });
    }
    let delta_bytes: usize = deltas.iter().map(|delta| usize::from(symbol(*delta))).sum();
    let chunks = TwccChunks { deltas }.count();
    let content = 20 + 2 * chunks + delta_bytes;
    let len = content.next_multiple_of(4);
    let mut packet = Frame::begin(out, TRANSPORT_FEEDBACK, TWCC_FORMAT, len)?;
    packet.put(head.sender_ssrc.to_be_bytes());
    packet.put(head.media_ssrc.to_be_bytes());
    packet.put(head.base_sequence.to_be_bytes());
    packet.put((deltas.len() as u16).to_be_bytes());
    let [_, reference_time @ ..] = head.reference_time.to_be_bytes();
    packet.put(reference_time);
    packet.put([head.feedback_count]);
    TwccChunks { deltas }.for_each(|chunk| packet.put(chunk.to_be_bytes()));
    for delta in deltas.iter().flatten() {
        match u8::try_from(*delta) {
            Ok(small) => packet.put([small]),
            Err(_) => packet.put(delta.to_be_bytes()),
        }
    }
    // RFC 3550 6.4.1: padding ends in a count of itself and has its bit in the header.
    if let Some((last, zeros)) = packet.rest().split_last_mut() {
        zeros.fill(0);
        *last = (len - content) as u8;
        packet.bytes[0] |= 0x20;
    }
    Ok(len)
}

/// The symbol of a delta, which is also how many octets it takes.
fn symbol(delta: Option<i16>) -> u8 {
    match delta {
        None => 0,
        Some(0..=255) => 1,
        Some(_) => 2,
    }
}

/// The chunks that describe deltas, in order.
struct TwccChunks<'a> {
    deltas: &'a [Option<i16>],
}

impl Iterator for TwccChunks<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let first = symbol(*self.deltas.first()?);
        let same = self.deltas.iter().take(0x1fff).take_while(|delta| symbol(**delta) == first);
        let run = same.count();
        let (taken, chunk) = if run > 7 {
            (run, u16::from(first) << 13 | run as u16)
        } else {
            let taken = self.deltas.len().min(7);
            let symbols = self.deltas[..taken].iter().enumerate();
            let bits = symbols
                .fold(0, |bits, (at, delta)| bits | u16::from(symbol(*delta)) << (12 - 2 * at));
            (taken, 0xc000 | bits)
        };
        self.deltas = &self.deltas[taken..];
        Some(chunk)
    }
}

/// Writes a bandwidth estimate for up to 255 streams (draft-alvestrand-rmcat-remb-03).
pub fn write_remb(
    out: &mut [u8],
    sender_ssrc: u32,
    bitrate_bps: u64,
    ssrcs: &[u32],
) -> Result<usize, WriteError> {
    let Ok(count) = u8::try_from(ssrcs.len()) else {
        return Err(WriteError::Count { given: ssrcs.len(), most: usize::from(u8::MAX) });
    };
    let mut packet = Frame::begin(out, PAYLOAD_FEEDBACK, REMB_FORMAT, 20 + 4 * ssrcs.len())?;
    packet.put(sender_ssrc.to_be_bytes());
    packet.put([0; 4]);
    packet.put(remb::NAME);
    packet.put([count]);
    packet.put(remb::exponent_and_mantissa(bitrate_bps));
    ssrcs.iter().for_each(|ssrc| packet.put(ssrc.to_be_bytes()));
    Ok(packet.end())
}

/// `count` as the five bits of a header.
fn five_bits(count: usize) -> Result<u8, WriteError> {
    if count > MAX_COUNT {
        return Err(WriteError::Count { given: count, most: MAX_COUNT });
    }
    Ok(count as u8)
}

/// One packet being written: its exact bytes, and how many of them are written.
struct Frame<'a> {
    bytes: &'a mut [u8],
    written: usize,
}

impl<'a> Frame<'a> {
    /// Takes `len` bytes of `out`, a multiple of four, and writes the header there.
    fn begin(
        out: &'a mut [u8],
        packet_type: u8,
        count: u8,
        len: usize,
    ) -> Result<Self, WriteError> {
        debug_assert!(len.is_multiple_of(4));
        if len > MAX_PACKET_BYTES {
            return Err(WriteError::Count { given: len / 4, most: MAX_PACKET_BYTES / 4 });
        }
        let available = out.len();
        let bytes = out.get_mut(..len).ok_or(WriteError::Room { needed: len, available })?;
        let mut frame = Self { bytes, written: 0 };
        frame.put([0x80 | count, packet_type]);
        frame.put(((len / 4 - 1) as u16).to_be_bytes());
        debug_assert_eq!(frame.written, HEADER_BYTES);
        Ok(frame)
    }

    fn put<const N: usize>(&mut self, field: [u8; N]) {
        self.put_slice(&field);
    }

    fn put_slice(&mut self, field: &[u8]) {
        self.bytes[self.written..self.written + field.len()].copy_from_slice(field);
        self.written += field.len();
    }

    fn put_block(&mut self, block: &ReportBlock) {
        self.put(block.ssrc.to_be_bytes());
        // RFC 3550 A.3: the 24 bits are clamped "at 0x7fffff for positive loss or 0x800000 for
        // negative loss".
        let lost = block.cumulative_lost.clamp(CUMULATIVE_LOST_MIN, CUMULATIVE_LOST_MAX);
        let [_, lost @ ..] = lost.to_be_bytes();
        self.put([block.fraction_lost]);
        self.put(lost);
        self.put(block.extended_highest_sequence.to_be_bytes());
        self.put(block.jitter.to_be_bytes());
        self.put(block.last_sr.to_be_bytes());
        self.put(block.delay_since_last_sr.to_be_bytes());
    }

    /// The bytes not written yet.
    fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.written..]
    }

    /// The length of the packet, all of which is written.
    fn end(self) -> usize {
        debug_assert_eq!(self.written, self.bytes.len());
        self.written
    }
}
