//! AV1 payloads (AV1 RTP payload format, section 4): can a decoder begin here, and how large are
//! the pictures?

use super::size::{Size, side};
use crate::bits::Bits;

/// In the aggregation header (4.4).
const CONTINUES: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;
/// In the header of an OBU (AV1 5.3.2): a bit that is 0, four of type, and flags.
const TYPE: u8 = 0xf8;
const EXTENDED: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;
const SEQUENCE_HEADER: u8 = 1 << 3;

/// Elements looked at in one packet. The sequence header is the first one, or behind a temporal
/// delimiter that should not be there. Raised, a hostile packet of empty elements costs more.
const MAX_ELEMENTS: usize = 16;
/// AV1 4.10.5: octets of the longest LEB128.
const MAX_LEB128_BYTES: u32 = 8;
/// AV1 6.4.1: profiles above are reserved.
const MAX_PROFILE: u32 = 2;
/// AV1 5.5.1: levels above have a tier.
const LAST_LEVEL_WITHOUT_TIER: u32 = 7;

/// Whether the packet begins a coded video sequence: N is set and its first element is no
/// continuation. A sequence begins with a sequence header and a key frame, so a decoder can too.
///
/// The OBUs behind the header are not looked at: end-to-end encryption hides them.
#[inline]
pub fn begins_sequence(payload: &[u8]) -> bool {
    match payload {
        [header, _, ..] => header & (CONTINUES | NEW_SEQUENCE) == NEW_SEQUENCE,
        _ => false,
    }
}

/// The size of the largest pictures in the sequence that `payload` begins.
///
/// Frame headers may make pictures smaller (`frame_size_override_flag`). They are not read: the
/// flag lies behind fields that depend on all the rest of the sequence header, and where it
/// matters, for lower spatial layers, the dependency descriptor tells the sizes. In simulcast each
/// stream has an encoder, and with it a sequence header, of its own.
pub(super) fn size(payload: &[u8]) -> Option<Size> {
    let (&header, rest) = payload.split_first().filter(|_| begins_sequence(payload))?;
    elements(header, rest).find_map(sequence_header).and_then(size_of)
}

/// Section 4.3: W tells how many elements there are, or 0. Each follows its length, but for the
/// last one where W tells which that is.
fn elements(header: u8, mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let count = usize::from(header >> 4 & 3);
    let next = move |at| {
        let (element, after) = match at == count {
            true => (rest, [].as_slice()),
            false => split(rest)?,
        };
        rest = after;
        Some(element)
    };
    (1..=if count == 0 { MAX_ELEMENTS } else { count }).map_while(next)
}

/// What a length in LEB128 is in front of, and what follows that.
fn split(mut rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0;
    for at in 0..MAX_LEB128_BYTES {
        let (&octet, after) = rest.split_first()?;
        rest = after;
        len |= u64::from(octet & 0x7f) << (7 * at);
        if octet & 0x80 == 0 {
            return rest.split_at_checked(usize::try_from(len).ok()?);
        }
    }
    None
}

/// What the OBU `element` holds, if it is a sequence header.
fn sequence_header(element: &[u8]) -> Option<&[u8]> {
    let (&header, mut rest) = element.split_first()?;
    if header & TYPE != SEQUENCE_HEADER {
        return None;
    }
    if header & EXTENDED != 0 {
        rest = rest.get(1..)?;
    }
    // Senders should leave the size out: the element has one already.
    if header & HAS_SIZE == 0 { Some(rest) } else { split(rest).map(|(body, _)| body) }
}

/// AV1 5.5.1, `sequence_header_obu`.
fn size_of(body: &[u8]) -> Option<Size> {
    let mut bits = Bits::new(body, 0);
    bits.take(3).filter(|profile| *profile <= MAX_PROFILE)?;
    bits.take(1)?;
    let is_reduced = bits.take(1)? == 1;
    if is_reduced {
        bits.take(5)?;
    } else {
        skip_operating_points(&mut bits)?;
    }
    let [across, down] = [bits.take(4)? + 1, bits.take(4)? + 1];
    let [width, height] = [bits.take(across)? + 1, bits.take(down)? + 1];
    Some((side(width)?, side(height)?))
}

/// From `timing_info_present_flag` to the last operating point.
fn skip_operating_points(bits: &mut Bits<'_>) -> Option<()> {
    let mut delay_bits = None;
    if bits.take(1)? == 1 {
        // AV1 5.5.3, `timing_info`.
        bits.take(32)?;
        bits.take(32)?;
        if bits.take(1)? == 1 {
            skip_uvlc(bits)?;
        }
        if bits.take(1)? == 1 {
            // AV1 5.5.4, `decoder_model_info`.
            delay_bits = Some(bits.take(5)? + 1);
            bits.take(32)?;
            bits.take(10)?;
        }
    }
    let has_display_delays = bits.take(1)? == 1;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        if bits.take(5)? > LAST_LEVEL_WITHOUT_TIER {
            bits.take(1)?;
        }
        if let Some(count) = delay_bits
            && bits.take(1)? == 1
        {
            // AV1 5.5.5, `operating_parameters_info`.
            bits.take(count)?;
            bits.take(count)?;
            bits.take(1)?;
        }
        if has_display_delays && bits.take(1)? == 1 {
            bits.take(4)?;
        }
    }
    Some(())
}

/// AV1 4.10.3: an Exp-Golomb code. With 32 zeroes in front it has no further bits.
fn skip_uvlc(bits: &mut Bits<'_>) -> Option<()> {
    let mut zeroes = 0;
    while bits.take(1)? == 0 {
        zeroes += 1;
    }
    if zeroes < 32 { bits.take(zeroes).map(|_| ()) } else { Some(()) }
}
