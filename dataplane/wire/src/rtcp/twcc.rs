//! Transport-wide feedback: when each packet of a transport arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use super::{RawPacket, RtcpError};

/// Feedback format of transport-wide congestion control.
pub(super) const TWCC_FORMAT: u8 = 15;

/// Octets before the chunks: two SSRCs, base, count, reference time and feedback count.
const FIXED_BYTES: usize = 16;

/// Nanoseconds of one step of the reference time.
pub const REFERENCE_STEP_NS: u64 = 64_000_000;

/// Nanoseconds of one step of a delta.
pub const DELTA_STEP_NS: u64 = 250_000;

/// What a chunk says of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    /// Did not arrive (yet).
    Missing = 0,
    /// Arrived; its delta is one octet, 0–63.75 ms.
    Small = 1,
    /// Arrived; its delta is two octets, signed.
    Large = 2,
}

impl Status {
    fn of(symbol: u16) -> Self {
        match symbol {
            1 => Self::Small,
            2 => Self::Large,
            // 3 is reserved: without a delta, so it tells nothing.
            _ => Self::Missing,
        }
    }

    const fn delta_bytes(self) -> usize {
        self as usize
    }
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwccArrival {
    /// Its transport-wide sequence number.
    pub sequence: u16,
    /// How much later than the arrival before it (the first: than the reference time), in
    /// [`DELTA_STEP_NS`].
    pub delta: i16,
}

/// A transport-wide feedback packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twcc<'a> {
    /// Who reports.
    pub sender_ssrc: u32,
    /// Some stream of the transport reported on.
    pub media_ssrc: u32,
    /// Sequence number of the first packet reported on.
    pub base_sequence: u16,
    /// Packets reported on.
    pub status_count: u16,
    /// Arrival that the first delta counts from, in [`REFERENCE_STEP_NS`]; 24 bits, signed.
    pub reference_time: i32,
    /// Counts feedback packets, modulo 256.
    pub feedback_count: u8,
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
}

impl<'a> Twcc<'a> {
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        let (fixed, rest) =
            raw.body().split_first_chunk::<FIXED_BYTES>().ok_or(RtcpError::Content)?;
        let word = |at: usize| {
            u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let status_count = word(8) as u16;
        let (chunks, deltas) = chunks_of(rest, status_count).ok_or(RtcpError::Content)?;
        Ok(Self {
            sender_ssrc: word(0),
            media_ssrc: word(4),
            base_sequence: (word(8) >> 16) as u16,
            status_count,
            reference_time: word(12) as i32 >> 8,
            feedback_count: fixed[15],
            chunks,
            deltas,
        })
    }

    /// The packets that arrived, in order of their sequence numbers. Costs as much as the datagram
    /// is long, however many packets it declares missing.
    pub fn arrivals(&self) -> TwccArrivals<'a> {
        TwccArrivals {
            chunks: self.chunks,
            deltas: self.deltas,
            sequence: self.base_sequence,
            left: self.status_count,
            symbols: Symbols::NONE,
        }
    }

    /// How many packets arrived.
    pub fn arrived(&self) -> usize {
        self.arrivals().count()
    }
}

/// Splits the chunks for `count` packets from the deltas, whose lengths must fit.
fn chunks_of(rest: &[u8], count: u16) -> Option<(&[[u8; 2]], &[u8])> {
    let words = rest.as_chunks::<2>().0;
    let mut left = usize::from(count);
    let mut used = 0;
    let mut delta_bytes = 0;
    while left > 0 {
        let symbols = Symbols::of(*words.get(used)?, left);
        left -= symbols.left;
        delta_bytes += symbols.delta_bytes();
        used += 1;
    }
    let (chunks, deltas) = rest.split_at_checked(2 * used)?;
    let (chunks, _) = chunks.as_chunks();
    // What stands behind the deltas pads to a whole word, with or without the padding bit.
    Some((chunks, deltas.get(..delta_bytes)?))
}

/// The symbols of one chunk (sections 3.1.3 and 3.1.4).
#[derive(Clone, Copy, Debug)]
struct Symbols {
    /// Two bits each, the first in the highest; a run repeats the first.
    bits: u32,
    run: bool,
    left: usize,
}

impl Symbols {
    const NONE: Self = Self { bits: 0, run: false, left: 0 };

    /// Reads a chunk of which at most `most` symbols count.
    fn of(chunk: [u8; 2], most: usize) -> Self {
        let word = u16::from_be_bytes(chunk);
        if word & 0x8000 == 0 {
            let bits = u32::from(word >> 13 & 0x03) << 30;
            return Self { bits, run: true, left: usize::from(word & 0x1fff).min(most) };
        }
        if word & 0x4000 != 0 {
            return Self { bits: u32::from(word) << 18, run: false, left: most.min(7) };
        }
        // One bit each: spread to two.
        let spread = (0..14).fold(0, |bits, bit| bits | u32::from(word >> bit & 1) << (2 * bit));
        Self { bits: spread << 4, run: false, left: most.min(14) }
    }

    fn first(&self) -> Status {
        Status::of((self.bits >> 30) as u16)
    }

    fn delta_bytes(self) -> usize {
        if self.run {
            return self.left * self.first().delta_bytes();
        }
        let symbol = |at: usize| Status::of((self.bits << (2 * at) >> 30) as u16);
        (0..self.left).map(|at| symbol(at).delta_bytes()).sum()
    }
}

/// The arrivals of a [`Twcc`], in order.
#[derive(Clone, Debug)]
pub struct TwccArrivals<'a> {
    chunks: &'a [[u8; 2]],
    deltas: &'a [u8],
    sequence: u16,
    left: u16,
    symbols: Symbols,
}

impl Iterator for TwccArrivals<'_> {
    type Item = TwccArrival;

    fn next(&mut self) -> Option<TwccArrival> {
        loop {
            if self.symbols.left == 0 {
                if self.left == 0 {
                    return None;
                }
                let (&chunk, rest) = self.chunks.split_first()?;
                self.chunks = rest;
                self.symbols = Symbols::of(chunk, usize::from(self.left));
                self.left -= self.symbols.left as u16;
                continue;
            }
            let status = self.symbols.first();
            if status == Status::Missing && self.symbols.run {
                // A run of missing packets is passed over in one step.
                self.sequence = self.sequence.wrapping_add(self.symbols.left as u16);
                self.symbols.left = 0;
                continue;
            }
            self.symbols.left -= 1;
            if !self.symbols.run {
                self.symbols.bits <<= 2;
            }
            let sequence = self.sequence;
            self.sequence = sequence.wrapping_add(1);
            let (delta, rest) = match (status, self.deltas) {
                (Status::Missing, _) => continue,
                (Status::Small, &[small, ref rest @ ..]) => (i16::from(small), rest),
                (Status::Large, &[high, low, ref rest @ ..]) => {
                    (i16::from_be_bytes([high, low]), rest)
                }
                _ => return None,
            };
            self.deltas = rest;
            return Some(TwccArrival { sequence, delta });
        }
    }
}
