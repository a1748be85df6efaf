//! Repairs of lost RTP packets: FlexFEC as draft-ietf-payload-flexible-fec-scheme-03 has it, as far
//! as WebRTC senders use it. One repair is the exclusive or of some packets of one SSRC.
//!
//! [`Repair`] reads the payload of a repair packet; [`Recovery`] adds the packets that came to it,
//! until what is left is the one that did not. Which packets those are is
//! `ringway_sfu::call::repairs`' affair.

use crate::extension::{ExtensionKind, Located};
use crate::rtp::{FIXED_HEADER_BYTES, RtpView};

/// How far the last packet that a repair can protect lies behind the first: masks of 15, 31 and 63
/// bits follow each other.
pub const MAX_PROTECTED: usize = 15 + 31 + 63;

/// Octets before the mask: the recovery fields, one SSRC, its first sequence number.
const MASK_AT: usize = 18;

/// What senders write only when a packet leaves, behind the encoder of repairs: libwebrtc takes it
/// for zeroes on both sides.
const MUTABLE: [ExtensionKind; 2] = [ExtensionKind::TransportSequence, ExtensionKind::AbsSendTime];

/// Padding bit of an RTP header.
const PADDING: u8 = 0x20;

/// Why a payload is no repair that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlexFecError {
    /// It ends before its header does.
    #[error("shorter than its header")]
    Short,
    /// It repeats a packet.
    #[error("a retransmission")]
    Retransmission,
    /// It has rows and columns in place of a mask.
    #[error("a fixed mask")]
    Fixed,
    /// It protects packets of none or of several SSRCs.
    #[error("not one protected SSRC")]
    Sources,
    /// Its mask has no end, or protects nothing.
    #[error("an endless or empty mask")]
    Mask,
}

/// A repair whose lengths were checked.
// draft-ietf-payload-flexible-fec-scheme-03 4.2.2.1, with one SSRC:
//
//  0                   1                   2                   3
//  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
// |R|F|P|X|  CC   |M| PT recovery |        length recovery        |
// |                          TS recovery                          |
// |   SSRCCount   |                   reserved                    |
// |                             SSRC_i                            |
// |           SN base_i           |k|          Mask [0-14]        |
// |k|                   Mask [15-45] (optional)                   |
// |k|                                                             |
// +-+                   Mask [46-108] (optional)                  |
// |                                                               |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair<'a> {
    /// Whose packets it protects.
    pub ssrc: u32,
    /// The number that the lowest bit of the mask stands for.
    pub base: u16,
    /// The protected packets, by how far they lie behind `base`; never empty.
    pub mask: u128,
    fields: &'a [u8; 8],
    body: &'a [u8],
}

impl<'a> Repair<'a> {
    /// Reads the payload of a repair packet, its padding excluded.
    pub fn parse(payload: &'a [u8]) -> Result<Self, FlexFecError> {
        let (head, rest) = payload.split_first_chunk::<MASK_AT>().ok_or(FlexFecError::Short)?;
        let (fields, named) = head.split_first_chunk::<8>().ok_or(FlexFecError::Short)?;
        if fields[0] & 0x80 != 0 {
            return Err(FlexFecError::Retransmission);
        }
        if fields[0] & 0x40 != 0 {
            return Err(FlexFecError::Fixed);
        }
        let &[count, _, _, _, s0, s1, s2, s3, b0, b1] = named else {
            return Err(FlexFecError::Short);
        };
        if count != 1 {
            return Err(FlexFecError::Sources);
        }
        let (mask, body) = mask(rest)?;
        if mask == 0 {
            return Err(FlexFecError::Mask);
        }
        let ssrc = u32::from_be_bytes([s0, s1, s2, s3]);
        Ok(Self { ssrc, base: u16::from_be_bytes([b0, b1]), mask, fields, body })
    }

    /// Begins to recover a packet in `out`; `None` where there is no room for it.
    pub fn begin<'b>(&self, out: &'b mut [u8]) -> Option<Recovery<'b>> {
        let out = out.get_mut(..FIXED_HEADER_BYTES + self.body.len())?;
        let (fixed, body) = out.split_at_mut_checked(FIXED_HEADER_BYTES)?;
        let fields = self.fields;
        fixed.fill(0);
        fixed[..2].copy_from_slice(&fields[..2]);
        fixed[4..8].copy_from_slice(&fields[4..]);
        body.copy_from_slice(self.body);
        Some(Recovery { length: u16::from_be_bytes([fields[2], fields[3]]), out })
    }
}

/// The parts of the mask, their lowest bits first, and what follows.
fn mask(rest: &[u8]) -> Result<(u128, &[u8]), FlexFecError> {
    let short = FlexFecError::Short;
    // A set k ends the mask; what is left of each part has the first packet in its highest bit.
    let (part, rest) = rest.split_first_chunk::<2>().ok_or(short)?;
    let part = u16::from_be_bytes(*part);
    let mut mask = u128::from((part << 1).reverse_bits());
    if part >> 15 == 1 {
        return Ok((mask, rest));
    }
    let (part, rest) = rest.split_first_chunk::<4>().ok_or(short)?;
    let part = u32::from_be_bytes(*part);
    mask |= u128::from((part << 1).reverse_bits()) << 15;
    if part >> 31 == 1 {
        return Ok((mask, rest));
    }
    let (part, rest) = rest.split_first_chunk::<8>().ok_or(short)?;
    let part = u64::from_be_bytes(*part);
    mask |= u128::from((part << 1).reverse_bits()) << (15 + 31);
    if part >> 63 == 1 { Ok((mask, rest)) } else { Err(FlexFecError::Mask) }
}

/// A packet on its way back.
#[derive(Debug)]
pub struct Recovery<'a> {
    /// Octets behind the fixed header, of all packets that are not taken out yet.
    length: u16,
    out: &'a mut [u8],
}

impl Recovery<'_> {
    /// Takes a packet that came out of the repair: `packet` without its padding, of which it had
    /// `padding` octets, zeroes but for the last. `false` where the repair cannot have been made
    /// of it.
    pub fn add(&mut self, packet: &RtpView<'_>, located: &Located, padding: u8) -> bool {
        let bytes = packet.bytes();
        let len = bytes.len() + usize::from(padding);
        let Some(out) = self.out.get_mut(..len) else { return false };
        let length = u16::try_from(len - FIXED_HEADER_BYTES);
        let (Ok(length), 0) = (length, packet.padding()) else { return false };
        // draft-ietf-payload-flexible-fec-scheme-03 6.2: everything but version, sequence number
        // and SSRC, which the repair names.
        self.length ^= length;
        for fields in [0..2, 4..8, FIXED_HEADER_BYTES..bytes.len()] {
            xor(&mut out[fields.clone()], &bytes[fields]);
        }
        if padding > 0 {
            out[0] ^= PADDING;
            out[len - 1] ^= padding;
        }
        for place in MUTABLE.into_iter().filter_map(|kind| located.range(kind)) {
            if let (Some(out), Some(value)) = (out.get_mut(place.clone()), bytes.get(place)) {
                xor(out, value);
            }
        }
        true
    }

    /// The length of the packet, which is whole but for its mutable extensions: these are zeroes.
    /// `None` where what is left is no packet, because another one was missing too.
    pub fn end(self, ssrc: u32, sequence: u16) -> Option<usize> {
        let Self { length, out } = self;
        let len = FIXED_HEADER_BYTES + usize::from(length);
        // What one packet was longer than the others is nobody's but its own.
        if out.get(len..)?.iter().any(|octet| *octet != 0) {
            return None;
        }
        out[0] = out[0] & 0x3f | 0x80;
        out[2..4].copy_from_slice(&sequence.to_be_bytes());
        out[8..12].copy_from_slice(&ssrc.to_be_bytes());
        RtpView::parse(out.get(..len)?).ok()?;
        Some(len)
    }
}

fn xor(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

#[cfg(test)]
#[path = "flexfec_tests.rs"]
mod tests;
