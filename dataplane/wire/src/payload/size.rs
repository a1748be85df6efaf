//! How large pictures are, read where a key frame begins: once for hundreds of packets.
//!
//! The only thing that is read behind what payload formats put in front: in the header of a VP8 key
//! frame, in the parameter sets of H.264 and H.265, and in the sequence header of AV1. End-to-end
//! encryption of LiveKit's clients leaves the first three in the clear, and they refuse AV1. What
//! somebody else encrypted gives no sizes, or some that mean nothing, but never harm.

use super::{Codec, av1, h264, h264_sps, h265, h265_sps, vp8, vp9};

/// Layers of one stream whose sizes are read.
pub const LAYERS: usize = 3;

/// Width and height, pixels.
pub type Size = (u16, u16);

/// The largest picture that is believed, pixels in one direction: the highest levels of H.264,
/// H.265 and AV1 that anybody uses, 6.2, allow hardly more.
const MAX_SIDE: u32 = 16_384;

/// In front of a VP8 key frame's size (RFC 6386 9.1): three octets of frame tag, a start code.
const VP8_TAG_BYTES: usize = 3;
const VP8_START: [u8; 3] = [0x9d, 0x01, 0x2a];
/// RFC 6386 9.1: the two bits above a size ask for it to be scaled, which decoders ignore.
const VP8_SIZE: u16 = 0x3fff;

/// The sizes of the spatial layers of the stream that `payload` begins a key frame of, the lowest
/// first; nothing where it does not tell.
pub fn sizes(codec: Codec, payload: &[u8]) -> [Option<Size>; LAYERS] {
    match codec {
        Codec::Vp8 => [of_vp8(payload), None, None],
        Codec::H264 => [h264::parameter_set(payload).and_then(h264_sps::size), None, None],
        Codec::H265 => [h265::parameter_set(payload).and_then(h265_sps::size), None, None],
        Codec::Av1 => [av1::size(payload), None, None],
        Codec::Vp9 => vp9::sizes(payload),
        _ => [None; LAYERS],
    }
}

fn of_vp8(payload: &[u8]) -> Option<Size> {
    let descriptor = vp8::Descriptor::read(payload).filter(|found| found.key_frame)?;
    let header = payload.get(usize::from(descriptor.len) + VP8_TAG_BYTES..)?;
    let size = header.strip_prefix(&VP8_START)?;
    let (&[a, b, c, d], _) = size.split_first_chunk()?;
    let [width, height] = [[a, b], [c, d]].map(|two| u16::from_le_bytes(two) & VP8_SIZE);
    (width > 0 && height > 0).then_some((width, height))
}

/// So many pixels in one direction, where a picture may have them.
pub(crate) fn side(pixels: u32) -> Option<u16> {
    let plausible = (1..=MAX_SIDE).contains(&pixels);
    u16::try_from(pixels).ok().filter(|_| plausible)
}

/// Pixels in one direction, of which so many units are cut off at both ends.
pub(super) fn cropped(pixels: u32, [first, last]: [u32; 2], unit: u32) -> Option<u16> {
    let cut = first.checked_add(last)?.checked_mul(unit)?;
    pixels.checked_sub(cut).and_then(side)
}

#[cfg(test)]
#[path = "size_tests.rs"]
mod tests;
