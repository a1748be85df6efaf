//! How large pictures are, read where a key frame begins: once for hundreds of packets.
//!
//! The only thing that is read behind what payload formats put in front: in the header of a VP8 key
//! frame, and in the parameter set of H.264. End-to-end encryption of LiveKit's clients leaves both
//! in the clear. What somebody else encrypted gives sizes that mean nothing, but never harm.

use super::{Codec, h264, sps, vp8, vp9};

/// Layers of one stream whose sizes are read.
pub const LAYERS: usize = 3;

/// Width and height, pixels.
pub type Size = (u16, u16);

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
        Codec::H264 => [h264::parameter_set(payload).and_then(sps::size), None, None],
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
