//! The latency histogram of a shard: kernel receive to send submitted, in ns.
//!
//! Everybody uses the bounds of [`latency_histogram`], so that histograms of shards can be added.
//! It travels in HdrHistogram's V2 encoding, length first, in a page that the largest encoding
//! fits; what comes back is walked with bounds of its own before the library decodes it, because
//! the library trusts lengths and counts.

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};

const LOWEST_NS: u64 = 1;
/// 10 s. A packet that waits longer is in an outage, not in a percentile.
const HIGHEST_NS: u64 = 10_000_000_000;
/// Two digits: 1 %, finer than a measurement of this kind is.
const DIGITS: u8 = 2;

/// Counts of such a histogram: 28 halves of 128, see the test.
const COUNTS: usize = 28 * 128;
/// HdrHistogram V2: cookie, payload length, offset, digits, lowest, highest, ratio; big-endian.
const HEADER_BYTES: usize = 40;
const COOKIE: u32 = 0x1c84_9313;
/// A count is a varint of at most 9 bytes.
const MOST_BYTES: usize = HEADER_BYTES + COUNTS * 9;
/// More counts in one bucket than a shard can make in years; bounds sums over all of them in a u64.
const MOST_COUNT: u64 = 1 << 48;

/// Words of the latency page: the length in bytes, then the bytes.
pub const LATENCY_WORDS: usize = 1 + MOST_BYTES.div_ceil(8);

/// An empty latency histogram, in ns. Record with `saturating_record`.
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, DIGITS).expect("good bounds")
}

/// Turns histograms into words without allocating.
pub(crate) struct Encoder {
    serializer: V2Serializer,
    bytes: Vec<u8>,
    words: Vec<u64>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        let mut encoder = Self {
            serializer: V2Serializer::new(),
            bytes: Vec::with_capacity(MOST_BYTES),
            words: Vec::with_capacity(LATENCY_WORDS),
        };
        // The serializer reserves by the highest value it meets; meet it now, not on a shard's
        // turn.
        let mut highest = latency_histogram();
        highest.saturating_record(HIGHEST_NS);
        encoder.encode(&highest);
        encoder
    }

    /// The words of `histogram`.
    ///
    /// # Panics
    /// When it was not made by [`latency_histogram`]: a bug, for nobody could read it.
    pub(crate) fn encode(&mut self, histogram: &Histogram<u64>) -> &[u64] {
        assert!(
            (histogram.low(), histogram.high(), histogram.sigfig())
                == (LOWEST_NS, HIGHEST_NS, DIGITS),
            "publish histograms of latency_histogram() only"
        );
        self.bytes.clear();
        self.words.clear();
        self.serializer
            .serialize(histogram, &mut self.bytes)
            .expect("counts of a shard are far below 2^63 and a Vec takes all bytes");
        self.words.push(self.bytes.len() as u64);
        self.words.extend(self.bytes.chunks(8).map(|bytes| {
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(padded)
        }));
        &self.words
    }
}

/// The histogram in `words`, if there is one.
pub(crate) fn decode(words: &[u64]) -> Option<Histogram<u64>> {
    let (length, words) = words.split_first()?;
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = usize::try_from(*length).ok().filter(|length| *length <= bytes.len())?;
    bytes.truncate(length);
    if !plausible(&bytes) {
        return None;
    }
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

/// Whether `bytes` are a header of ours and counts that stay within the histogram.
fn plausible(bytes: &[u8]) -> bool {
    let Some((header, mut counts)) = bytes.split_at_checked(HEADER_BYTES) else {
        return false;
    };
    if header != expected_header(counts.len()) {
        return false;
    }
    let mut index = 0;
    while !counts.is_empty() {
        let Some((encoded, rest)) = varint(counts) else {
            return false;
        };
        counts = rest;
        let magnitude = encoded / 2 + encoded % 2;
        // Zigzag: odd is negative and skips that many empty counts, even is one count.
        let (skipped, most) = match encoded % 2 {
            1 => (magnitude, COUNTS as u64),
            _ => (1, MOST_COUNT),
        };
        if magnitude > most {
            return false;
        }
        index += skipped;
        if index > COUNTS as u64 {
            return false;
        }
    }
    true
}

pub(crate) fn expected_header(payload: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[0..4].copy_from_slice(&COOKIE.to_be_bytes());
    header[4..8].copy_from_slice(&(payload as u32).to_be_bytes());
    header[12..16].copy_from_slice(&u32::from(DIGITS).to_be_bytes());
    header[16..24].copy_from_slice(&LOWEST_NS.to_be_bytes());
    header[24..32].copy_from_slice(&HIGHEST_NS.to_be_bytes());
    header[32..40].copy_from_slice(&1f64.to_be_bytes());
    header
}

/// The LEB128 number at the start of `bytes` (the ninth byte whole) and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (n, byte) in bytes.iter().enumerate().take(9) {
        let last = n == 8 || byte & 0x80 == 0;
        let bits = if n == 8 { *byte } else { byte & 0x7f };
        value |= u64::from(bits) << (7 * n);
        if last {
            return Some((value, &bytes[n + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_give_the_counts_that_the_page_is_made_for() {
        assert_eq!(latency_histogram().distinct_values(), COUNTS);
    }

    #[test]
    fn histograms_round_trip() {
        let mut encoder = Encoder::new();
        let mut histogram = latency_histogram();
        assert_eq!(decode(encoder.encode(&histogram)), Some(histogram.clone()));
        let values = if cfg!(miri) { 3 } else { 3000 };
        for n in 0..values {
            histogram.saturating_record_n(n * n * 1201 + 1, 1 << (n % 40));
        }
        histogram.saturating_record(u64::MAX);
        assert_eq!(decode(encoder.encode(&histogram)), Some(histogram));
    }

    #[test]
    fn the_largest_histogram_fits_and_nothing_is_allocated_for_it() {
        let mut encoder = Encoder::new();
        let mut histogram = latency_histogram();
        let step = if cfg!(miri) { 500 } else { 1 };
        let mut value = 1;
        while value < HIGHEST_NS {
            histogram.saturating_record_n(value, MOST_COUNT);
            value = histogram.highest_equivalent(value) + step;
        }
        let before = (encoder.bytes.as_ptr(), encoder.words.as_ptr());
        assert!(encoder.encode(&histogram).len() <= LATENCY_WORDS);
        assert_eq!((encoder.bytes.as_ptr(), encoder.words.as_ptr()), before);
    }

    #[test]
    fn rubbish_is_refused_before_the_library_sees_it() {
        let check = |payload: &[u8], fits: bool| {
            let mut bytes = expected_header(payload.len()).to_vec();
            bytes.extend(payload);
            assert_eq!(plausible(&bytes), fits, "{payload:?}");
            let words: Vec<u64> = std::iter::once(bytes.len() as u64)
                .chain(bytes.chunks(8).map(|chunk| {
                    let mut padded = [0; 8];
                    padded[..chunk.len()].copy_from_slice(chunk);
                    u64::from_le_bytes(padded)
                }))
                .collect();
            assert_eq!(decode(&words).is_some(), fits, "{payload:?}");
        };
        check(&[], true);
        check(&[2, 4, 6], true);
        check(&[0x80], false);
        // -3584: exactly past the last count, which is allowed; -3585 is not.
        check(&[0xff, 0x37], true);
        check(&[0x81, 0x38], false);
        check(&[0xff, 0x37, 2], false);
        // The most negative number and the largest count.
        check(&[0xff; 9], false);
        check(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], false);
        assert!(decode(&[]).is_none());
        assert!(decode(&[u64::MAX, 1, 2]).is_none());
        assert!(decode(&[8, 1, 2]).is_none());
    }
}
