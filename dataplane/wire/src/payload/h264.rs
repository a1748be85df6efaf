//! H.264 payloads (RFC 6184): can a decoder begin here?
//!
//! The sequence parameter set is what a decoder needs first, and senders put it in front of every
//! key frame. A picture without it tells less: the parameter sets may have come another way.

use super::Entry;

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;

/// Aggregated units looked at in one packet. Key frames have their parameter sets in front; raised,
/// a hostile packet of empty units costs more.
const MAX_UNITS: usize = 16;

/// Whether a decoder can begin with `payload`.
#[inline]
pub fn entry(payload: &[u8]) -> Entry {
    let Some((&first, rest)) = payload.split_first() else { return Entry::None };
    match first & 0x1f {
        STAP_A => aggregated(rest),
        FU_A => match rest.first() {
            Some(header) if header & FU_START != 0 => of_unit(header & 0x1f),
            _ => Entry::None,
        },
        unit => of_unit(unit),
    }
}

fn of_unit(unit: u8) -> Entry {
    match unit {
        SPS => Entry::Full,
        IDR => Entry::Picture,
        _ => Entry::None,
    }
}

fn aggregated(rest: &[u8]) -> Entry {
    let mut found = Entry::None;
    for unit in units(rest) {
        match unit.first().map(|first| of_unit(first & 0x1f)) {
            Some(Entry::Full) => return Entry::Full,
            Some(Entry::Picture) => found = Entry::Picture,
            _ => {}
        }
    }
    found
}

/// RFC 6184 section 5.7.1: each unit follows its length in two octets.
fn units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next = move |_| {
        let (&len, after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(len)))?;
        rest = after;
        Some(unit)
    };
    (0..MAX_UNITS).map_while(next)
}

/// The sequence parameter set in `payload`, where it lies in one piece.
pub(super) fn parameter_set(payload: &[u8]) -> Option<&[u8]> {
    let is_set = |unit: &&[u8]| unit.first().is_some_and(|first| first & 0x1f == SPS);
    match payload.split_first()? {
        (first, rest) if first & 0x1f == STAP_A => units(rest).find(is_set),
        _ => Some(payload).filter(is_set),
    }
}
