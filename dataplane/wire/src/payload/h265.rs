//! H.265 payloads (RFC 7798): can a decoder begin here, and where is its parameter set?

use super::Entry;
use super::aggregated::{self, units};

/// First and last type of pictures at which decoding can begin (IRAP).
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const FU_START: u8 = 0x80;
const FU_TYPE: u8 = 0x3f;

/// Whether a decoder can begin with `payload`. Streams whose units carry decoding order numbers
/// (sprop-max-don-diff above 0) are not negotiated and would not be read right.
#[inline]
pub fn entry(payload: &[u8]) -> Entry {
    let &[first, _, ref rest @ ..] = payload else { return Entry::None };
    match unit_type(first) {
        AGGREGATION => aggregated::entry(rest, |first| of_unit(unit_type(first))),
        FRAGMENTATION => match rest.first() {
            Some(header) if header & FU_START != 0 => of_unit(header & FU_TYPE),
            _ => Entry::None,
        },
        unit => of_unit(unit),
    }
}

/// RFC 7798 section 1.1.4: F, six bits of type, then layer and temporal id.
fn unit_type(first: u8) -> u8 {
    first >> 1 & 0x3f
}

fn of_unit(unit: u8) -> Entry {
    match unit {
        VPS | SPS => Entry::Full,
        unit if IRAP.contains(&unit) => Entry::Picture,
        _ => Entry::None,
    }
}

/// What the sequence parameter set in `payload` holds behind the header of its unit; of one in
/// fragments, what the first has of it. Sets of the layers of multi-layer extensions are not meant:
/// they are written in another way.
pub(super) fn parameter_set(payload: &[u8]) -> Option<&[u8]> {
    let (&header, rest) = payload.split_first_chunk::<2>()?;
    match unit_type(header[0]) {
        AGGREGATION => units(rest).find_map(set_of),
        FRAGMENTATION => {
            let (&fragment, rest) = rest.split_first()?;
            let begins_set = fragment & (FU_START | FU_TYPE) == FU_START | SPS;
            (begins_set && is_base_layer(header)).then_some(rest)
        }
        _ => set_of(payload),
    }
}

fn set_of(unit: &[u8]) -> Option<&[u8]> {
    let (&header, body) = unit.split_first_chunk::<2>()?;
    (unit_type(header[0]) == SPS && is_base_layer(header)).then_some(body)
}

/// RFC 7798 section 1.1.4: behind the type come six bits of layer.
fn is_base_layer([first, second]: [u8; 2]) -> bool {
    first & 1 == 0 && second >> 3 == 0
}
