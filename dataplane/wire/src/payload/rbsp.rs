//! What units of H.264 and H.265 hold (their raw byte sequence payload), bit by bit.

/// Bits of a unit, without the octets that keep start codes out of it (H.264 7.4.1, H.265 7.4.2).
pub(super) struct Rbsp<'a> {
    rest: &'a [u8],
    octet: u8,
    /// Bits of `octet` that were not taken.
    left: u32,
    /// Octets of 0 before the next.
    zeroes: u32,
}

impl<'a> Rbsp<'a> {
    /// From the first octet behind a unit's header on.
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest, octet: 0, left: 0, zeroes: 0 }
    }

    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            let (&octet, rest) = self.rest.split_first()?;
            let (octet, rest) = match (octet, self.zeroes) {
                (3, 2..) => {
                    self.zeroes = 0;
                    rest.split_first().map(|(after, rest)| (*after, rest))?
                }
                _ => (octet, rest),
            };
            self.zeroes = if octet == 0 { self.zeroes + 1 } else { 0 };
            (self.octet, self.rest, self.left) = (octet, rest, 8);
        }
        self.left -= 1;
        Some(u32::from(self.octet >> self.left & 1))
    }

    /// Leaves out `count` bits.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(|_| ()))
    }

    /// The next `count` bits, at most 32.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.next()?))
    }

    /// H.264 9.1, H.265 9.2: an Exp-Golomb code. Those of more than 31 bits are of no use here.
    pub(super) fn number(&mut self) -> Option<u32> {
        let mut zeroes = 0;
        while self.next()? == 0 {
            zeroes += 1;
            if zeroes > 15 {
                return None;
            }
        }
        Some((1 << zeroes) - 1 + self.take(zeroes)?)
    }
}
