//! H.264 payloads (RFC 6184): can a decoder begin here?
//!
//! The sequence parameter set is what a decoder needs first, and senders put it in front of every
//! key frame. A picture without it tells less: the parameter sets may have come another way.

use super::Entry;
use super::aggregated::{self, units};

const IDR: u8 = 5;
const SPS: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;

/// Whether a decoder can begin with `payload`.
#[inline]
pub fn entry(payload: &[u8]) -> Entry {
    let Some((&first, rest)) = payload.split_first() else { return Entry::None };
    match first & 0x1f {
        STAP_A => aggregated::entry(rest, |first| of_unit(first & 0x1f)),
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

/// The sequence parameter set in `payload`, where it lies in one piece.
pub(super) fn parameter_set(payload: &[u8]) -> Option<&[u8]> {
    let is_set = |unit: &&[u8]| unit.first().is_some_and(|first| first & 0x1f == SPS);
    match payload.split_first()? {
        (first, rest) if first & 0x1f == STAP_A => units(rest).find(is_set),
        _ => Some(payload).filter(is_set),
    }
}
