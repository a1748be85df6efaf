//! Several units of H.264 or H.265 in one packet: each follows its length in two octets (RFC 6184
//! section 5.7.1, RFC 7798 section 4.4.2).

use super::Entry;

/// Units looked at in one packet. Key frames have their parameter sets in front; raised, a hostile
/// packet of empty units costs more.
const MAX_UNITS: usize = 16;

/// The units in what follows the header of a packet.
pub(super) fn units(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next = move |_| {
        let (&len, after) = rest.split_first_chunk::<2>()?;
        let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(len)))?;
        rest = after;
        Some(unit)
    };
    (0..MAX_UNITS).map_while(next)
}

/// Whether a decoder can begin with one of them; `of_first` judges a unit by its first octet.
pub(super) fn entry(rest: &[u8], of_first: impl Fn(u8) -> Entry) -> Entry {
    let mut found = Entry::None;
    for unit in units(rest) {
        match unit.first().map(|first| of_first(*first)) {
            Some(Entry::Full) => return Entry::Full,
            Some(Entry::Picture) => found = Entry::Picture,
            _ => {}
        }
    }
    found
}
