//! Arithmetic on numbers that wrap: RTP sequence numbers (16 bits) and timestamps (32 bits).
//!
//! RFC 1982 section 3.2: of two serial numbers the one is newer that lies less than half the number
//! space ahead. Numbers exactly half the space apart have no order; here neither is newer.

/// How far `to` lies ahead of `from`; negative when behind, `i16::MIN` when half the space apart.
#[inline]
pub const fn distance(from: u16, to: u16) -> i16 {
    to.wrapping_sub(from) as i16
}

/// Whether sequence number `a` comes after `b`.
#[inline]
pub const fn newer(a: u16, b: u16) -> bool {
    distance(b, a) > 0
}

/// How far timestamp `to` lies ahead of `from`, in timestamp units; negative when behind,
/// `i32::MIN` when half the space apart.
#[inline]
pub const fn timestamp_distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// Whether timestamp `a` comes after `b`.
#[inline]
pub const fn timestamp_newer(a: u32, b: u32) -> bool {
    timestamp_distance(b, a) > 0
}

/// The highest sequence number of a stream, with its wraps counted.
///
/// Extended numbers begin one full 32-bit cycle above the first sequence number, so that packets
/// older than the first have numbers too, and so that the low 32 bits are the "extended highest
/// sequence number received" of RFC 3550 section 6.4.1 (its cycle count starts at zero).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedSequence {
    highest: u64,
}

impl ExtendedSequence {
    /// A stream that begins with sequence number `first`.
    pub const fn new(first: u16) -> Self {
        Self { highest: (1 << 32) + first as u64 }
    }

    /// The highest extended number so far.
    #[inline]
    pub const fn highest(self) -> u64 {
        self.highest
    }

    /// The highest number as receiver reports carry it (RFC 3550 section 6.4.1).
    #[inline]
    pub const fn reported(self) -> u32 {
        self.highest as u32
    }

    /// The extended number of `sequence`: the one nearest to the highest, across a wrap either way.
    #[inline]
    pub const fn extend(self, sequence: u16) -> u64 {
        self.highest.wrapping_add_signed(distance(self.highest as u16, sequence) as i64)
    }

    /// Like [`Self::extend`], and remembers the number when it is the highest.
    #[inline]
    pub const fn advance(&mut self, sequence: u16) -> u64 {
        let extended = self.extend(sequence);
        if extended > self.highest {
            self.highest = extended;
        }
        extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_ordered_across_the_wrap() {
        let check = |from, to, expect| {
            assert_eq!(distance(from, to), expect, "{from} to {to}");
            assert_eq!(newer(to, from), expect > 0, "{from} to {to}");
        };
        check(0, 0, 0);
        check(0, 1, 1);
        check(1, 0, -1);
        check(65535, 0, 1);
        check(0, 65535, -1);
        check(65000, 500, 1036);
        check(0, 32767, 32767);
        check(0, 32768, i16::MIN);
        check(32768, 0, i16::MIN);
        check(0, 32769, -32767);
    }

    #[test]
    fn timestamps_are_ordered_across_the_wrap() {
        let check = |from, to, expect| {
            assert_eq!(timestamp_distance(from, to), expect, "{from} to {to}");
            assert_eq!(timestamp_newer(to, from), expect > 0, "{from} to {to}");
        };
        check(0, 0, 0);
        check(u32::MAX, 2999, 3000);
        check(2999, u32::MAX, -3000);
        check(0, 1 << 31, i32::MIN);
        check(0, (1 << 31) - 1, i32::MAX);
    }

    #[test]
    fn wraps_are_counted_both_ways() {
        let cycle = 1 << 16;
        let base = 1u64 << 32;
        // (sequence number that arrives, its extended number, highest afterwards)
        let rows = [
            (65534, base + 65534, base + 65534),
            (65535, base + 65535, base + 65535),
            (1, base + cycle + 1, base + cycle + 1),
            (0, base + cycle, base + cycle + 1),
            (65533, base + 65533, base + cycle + 1),
            (30000, base + cycle + 30000, base + cycle + 30000),
            (60000, base + cycle + 60000, base + cycle + 60000),
            (10, base + 2 * cycle + 10, base + 2 * cycle + 10),
        ];
        let mut stream = ExtendedSequence::new(65534);
        for (sequence, extended, highest) in rows {
            assert_eq!(stream.advance(sequence), extended, "{sequence}");
            assert_eq!(stream.highest(), highest, "{sequence}");
        }
        assert_eq!(stream.reported(), (2 << 16) + 10);
    }

    #[test]
    fn packets_before_the_first_have_numbers() {
        let stream = ExtendedSequence::new(0);
        assert_eq!(stream.extend(65535), (1 << 32) - 1);
        assert_eq!(stream.reported(), 0);
    }
}
