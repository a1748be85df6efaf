//! The sequence parameter set of H.264 (ITU-T H.264 7.3.2.1.1), as far as its pictures' size.

use super::size::Size;

/// Profiles whose parameter sets tell a chroma format.
const CHROMA_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// The largest picture that is believed, pixels in one direction: level 6.2 allows no more.
const MAX_SIDE: u32 = 16_384;
/// H.264 7.4.2.1.1: most reference frames in a cycle of picture order.
const MAX_CYCLE: u32 = 255;

/// The size of the pictures that the unit `sps` is for.
pub(super) fn size(sps: &[u8]) -> Option<Size> {
    let mut bits = Bits { rest: sps.get(1..)?, octet: 0, left: 0, zeroes: 0 };
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.number()?;
    let chroma = if CHROMA_PROFILES.contains(&profile) { bits.chroma()? } else { 1 };
    bits.number()?;
    bits.skip_order()?;
    bits.number()?;
    bits.take(1)?;
    let across = bits.number()?.checked_add(1)?;
    let down = bits.number()?.checked_add(1)?;
    // Of pictures in two fields a unit of height counts twice.
    let fields = 2 - bits.take(1)?;
    if fields == 2 {
        bits.take(1)?;
    }
    bits.take(1)?;
    let mut cut = [0; 4];
    if bits.take(1)? == 1 {
        for side in &mut cut {
            *side = bits.number()?;
        }
    }
    let [left, right, top, bottom] = cut;
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = fields * if chroma == 1 { 2 } else { 1 };
    let width = side(across, 16, left.checked_add(right)?, unit_x)?;
    Some((width, side(down, 16 * fields, top.checked_add(bottom)?, unit_y)?))
}

/// Pixels in one direction: so many blocks of `block`, of which so many units are cut off.
fn side(blocks: u32, block: u32, cut: u32, unit: u32) -> Option<u16> {
    let pixels = blocks.checked_mul(block)?.checked_sub(cut.checked_mul(unit)?)?;
    let plausible = (1..=MAX_SIDE).contains(&pixels);
    u16::try_from(pixels).ok().filter(|_| plausible)
}

/// Bits of a unit, without the octets that keep start codes out of it (H.264 7.4.1).
struct Bits<'a> {
    rest: &'a [u8],
    octet: u8,
    /// Bits of `octet` that were not taken.
    left: u32,
    /// Octets of 0 before the next.
    zeroes: u32,
}

impl Bits<'_> {
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

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | self.next()?))
    }

    /// H.264 9.1: an Exp-Golomb code. Those of more than 31 bits are of no use here.
    fn number(&mut self) -> Option<u32> {
        let mut zeroes = 0;
        while self.next()? == 0 {
            zeroes += 1;
            if zeroes > 15 {
                return None;
            }
        }
        Some((1 << zeroes) - 1 + self.take(zeroes)?)
    }

    /// The chroma format of profiles that tell it, and what they tell with it.
    fn chroma(&mut self) -> Option<u32> {
        let chroma = self.number()?;
        // Three planes on their own are cut as pictures without colour are.
        let apart = chroma == 3 && self.take(1)? == 1;
        self.number()?;
        self.number()?;
        self.take(1)?;
        if self.take(1)? == 1 {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if self.take(1)? == 1 {
                    self.skip_scaling(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Some(if apart { 0 } else { chroma })
    }

    /// H.264 7.3.2.1.1.1: a list ends early where its next value would be 0.
    fn skip_scaling(&mut self, count: u32) -> Option<()> {
        let (mut last, mut next) = (8_u32, 8_u32);
        for _ in 0..count {
            if next != 0 {
                let code = self.number()?;
                // H.264 9.1.1: odd codes are positive.
                let step = code.div_ceil(2);
                let step = if code % 2 == 1 { step } else { 256 - step % 256 };
                next = (last + step) % 256;
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }

    fn skip_order(&mut self) -> Option<()> {
        match self.number()? {
            0 => self.number().map(|_| ()),
            1 => {
                self.take(1)?;
                self.number()?;
                self.number()?;
                let cycle = self.number().filter(|cycle| *cycle <= MAX_CYCLE)?;
                (0..cycle).try_for_each(|_| self.number().map(|_| ()))
            }
            _ => Some(()),
        }
    }
}
