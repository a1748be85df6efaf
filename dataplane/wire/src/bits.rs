//! Bits as header extensions and AV1 have them: the highest of an octet first.

/// Bits that are taken one after the other.
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    /// How many bits lie before the next.
    pub(crate) at: usize,
}

impl<'a> Bits<'a> {
    /// The bits of `data` from the bit `at` on.
    pub(crate) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at }
    }

    /// The next `count` bits, at most 32; `None` where there are fewer.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.at + count as usize;
        if end > 8 * self.data.len() {
            return None;
        }
        let mut value = 0_u64;
        let last = end.div_ceil(8);
        for octet in &self.data[self.at / 8..last] {
            value = value << 8 | u64::from(*octet);
        }
        value >>= 8 * last - end;
        self.at = end;
        Some((value & ((1_u64 << count) - 1)) as u32)
    }

    /// A number below `end` in as few bits as that needs (AV1 4.10.7, `ns`).
    pub(crate) fn take_below(&mut self, end: u32) -> Option<u32> {
        let width = u32::BITS - end.leading_zeros();
        let short = (1 << width) - end;
        let value = self.take(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.take(1)?)
    }
}
