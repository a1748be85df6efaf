//! The sequence parameter set of H.264 (ITU-T H.264 7.3.2.1.1), as far as its pictures' size.

use super::rbsp::Rbsp;
use super::size::{Size, cropped};

/// Profiles whose parameter sets tell a chroma format.
const CHROMA_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// H.264 7.4.2.1.1: most reference frames in a cycle of picture order.
const MAX_CYCLE: u32 = 255;

/// The size of the pictures that the unit `sps` is for.
pub(super) fn size(sps: &[u8]) -> Option<Size> {
    let mut bits = Rbsp::new(sps.get(1..)?);
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.number()?;
    let chroma = if CHROMA_PROFILES.contains(&profile) { read_chroma(&mut bits)? } else { 1 };
    bits.number()?;
    skip_order(&mut bits)?;
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
    let width = cropped(across.checked_mul(16)?, [left, right], unit_x)?;
    Some((width, cropped(down.checked_mul(16 * fields)?, [top, bottom], unit_y)?))
}

/// The chroma format of profiles that tell it, and what they tell with it.
fn read_chroma(bits: &mut Rbsp<'_>) -> Option<u32> {
    let chroma = bits.number()?;
    // Three planes on their own are cut as pictures without colour are.
    let apart = chroma == 3 && bits.take(1)? == 1;
    bits.number()?;
    bits.number()?;
    bits.take(1)?;
    if bits.take(1)? == 1 {
        for list in 0..if chroma == 3 { 12 } else { 8 } {
            if bits.take(1)? == 1 {
                skip_scaling(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(if apart { 0 } else { chroma })
}

/// H.264 7.3.2.1.1.1: a list ends early where its next value would be 0.
fn skip_scaling(bits: &mut Rbsp<'_>, count: u32) -> Option<()> {
    let (mut last, mut next) = (8_u32, 8_u32);
    for _ in 0..count {
        if next != 0 {
            let code = bits.number()?;
            // H.264 9.1.1: odd codes are positive.
            let step = code.div_ceil(2);
            let step = if code % 2 == 1 { step } else { 256 - step % 256 };
            next = (last + step) % 256;
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

fn skip_order(bits: &mut Rbsp<'_>) -> Option<()> {
    match bits.number()? {
        0 => bits.number().map(|_| ()),
        1 => {
            bits.take(1)?;
            bits.number()?;
            bits.number()?;
            let cycle = bits.number().filter(|cycle| *cycle <= MAX_CYCLE)?;
            (0..cycle).try_for_each(|_| bits.number().map(|_| ()))
        }
        _ => Some(()),
    }
}
