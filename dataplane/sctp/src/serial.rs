//! Arithmetic on numbers that wrap: TSNs of 32 bits, stream sequence numbers of 16 (RFC 9260 1.6).

/// How far `to` lies ahead of `from`; negative when behind.
#[inline]
pub(crate) const fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// Whether `a` comes after `b`.
#[inline]
pub(crate) const fn newer(a: u32, b: u32) -> bool {
    distance(b, a) > 0
}

/// The number with its wraps counted that ends in `number` and is nearest to `near`.
#[inline]
pub(crate) const fn extend(near: u64, number: u32) -> u64 {
    near.wrapping_add_signed(distance(near as u32, number) as i64)
}

/// The same for stream sequence numbers.
#[inline]
pub(crate) const fn extend_short(near: u64, number: u16) -> u64 {
    near.wrapping_add_signed(number.wrapping_sub(near as u16) as i16 as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_across_the_wrap() {
        for (from, to, expect) in [
            (0, 0, 0),
            (0, 1, 1),
            (u32::MAX, 0, 1),
            (0, u32::MAX, -1),
            (u32::MAX - 9, 10, 20),
            (0, (1 << 31) - 1, i32::MAX),
            (0, 1 << 31, i32::MIN),
        ] {
            assert_eq!(distance(from, to), expect, "{from} to {to}");
            assert_eq!(newer(to, from), expect > 0, "{from} to {to}");
        }
    }

    #[test]
    fn wraps_are_counted_both_ways() {
        let base = 1_u64 << 32;
        for (near, number, expect) in [
            (base, 5, base + 5),
            (base + 5, u32::MAX, base - 1),
            (2 * base - 1, 0, 2 * base),
            (2 * base + 3, u32::MAX - 1, 2 * base - 2),
        ] {
            assert_eq!(extend(near, number), expect);
        }
        for (near, number, expect) in
            [(65_536, 65_535, 65_535), (131_071, 0, 131_072), (65_536, 7, 65_543)]
        {
            assert_eq!(extend_short(near, number), expect);
        }
    }
}
