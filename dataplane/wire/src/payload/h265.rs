//! H.265 payloads (RFC 7798): can a decoder begin here?

use super::Entry;

/// First and last type of pictures at which decoding can begin (IRAP).
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const VPS: u8 = 32;
const SPS: u8 = 33;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const FU_START: u8 = 0x80;

/// Aggregated units looked at in one packet; see `h264.rs`.
const MAX_UNITS: usize = 16;

/// Whether a decoder can begin with `payload`. Streams whose units carry decoding order numbers
/// (sprop-max-don-diff above 0) are not negotiated and would not be read right.
#[inline]
pub fn entry(payload: &[u8]) -> Entry {
    let &[first, _, ref rest @ ..] = payload else { return Entry::None };
    match unit_type(first) {
        AGGREGATION => aggregated(rest),
        FRAGMENTATION => match rest.first() {
            Some(header) if header & FU_START != 0 => of_unit(header & 0x3f),
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

/// RFC 7798 section 4.4.2: each unit follows its length in two octets.
fn aggregated(mut rest: &[u8]) -> Entry {
    let mut found = Entry::None;
    for _ in 0..MAX_UNITS {
        let Some((&len, after)) = rest.split_first_chunk::<2>() else { break };
        let len = usize::from(u16::from_be_bytes(len));
        let Some((unit, after)) = after.split_at_checked(len) else { break };
        match unit.first().map(|&first| of_unit(unit_type(first))) {
            Some(Entry::Full) => return Entry::Full,
            Some(Entry::Picture) => found = Entry::Picture,
            _ => {}
        }
        rest = after;
    }
    found
}
