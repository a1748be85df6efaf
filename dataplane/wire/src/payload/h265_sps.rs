//! The sequence parameter set of H.265 (ITU-T H.265 7.3.2.2.1), as far as its pictures' size.

use super::rbsp::Rbsp;
use super::size::{Size, cropped};

/// H.265 7.4.3.2.1: `sps_max_sub_layers_minus1` goes no higher.
const MAX_HIGHER_SUB_LAYERS: u32 = 6;
/// H.265 7.3.3: bits of a profile, from `profile_space` to the one in front of the level.
const PROFILE_BITS: u32 = 88;
const LEVEL_BITS: u32 = 8;
/// H.265 7.4.3.2.1: 4:4:4. Higher ones are none.
const FULL_CHROMA: u32 = 3;

/// The size of the pictures that a set is for; `body` is what follows the header of its unit.
pub(super) fn size(body: &[u8]) -> Option<Size> {
    let mut bits = Rbsp::new(body);
    bits.skip(4)?;
    let higher = bits.take(3).filter(|higher| *higher <= MAX_HIGHER_SUB_LAYERS)?;
    bits.skip(1)?;
    skip_profiles(&mut bits, higher)?;
    bits.number()?;
    let chroma = bits.number().filter(|chroma| *chroma <= FULL_CHROMA)?;
    if chroma == FULL_CHROMA {
        bits.skip(1)?;
    }
    let across = bits.number()?;
    let down = bits.number()?;
    let mut cut = [0; 4];
    if bits.take(1)? == 1 {
        for side in &mut cut {
            *side = bits.number()?;
        }
    }
    let [left, right, top, bottom] = cut;
    // H.265 table 6-1, SubWidthC and SubHeightC.
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2 } else { 1 };
    Some((cropped(across, [left, right], unit_x)?, cropped(down, [top, bottom], unit_y)?))
}

/// H.265 7.3.3, `profile_tier_level`, of a stream with so many sub-layers above the lowest.
fn skip_profiles(bits: &mut Rbsp<'_>, higher: u32) -> Option<()> {
    bits.skip(PROFILE_BITS + LEVEL_BITS)?;
    if higher == 0 {
        return Some(());
    }
    let mut told = 0;
    for _ in 0..higher {
        told += PROFILE_BITS * bits.take(1)? + LEVEL_BITS * bits.take(1)?;
    }
    // Two bits also for each sub-layer that does not exist, up to the eighth.
    bits.skip(2 * (8 - higher) + told)
}
