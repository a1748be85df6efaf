//! What a payload tells a forwarder: whether a decoder can begin with it, which temporal layer it
//! belongs to, and where its descriptor ends.
//!
//! Only the octets that payload formats put in front of the coded data are read, never deeper:
//! end-to-end encrypted media keep exactly those in the clear. [`size`] alone reads on, where a key
//! frame begins.

mod aggregated;
pub mod av1;
pub mod h264;
mod h264_sps;
pub mod h265;
mod h265_sps;
pub mod opus;
mod rbsp;
pub mod red;
pub mod size;
pub mod vp8;
pub mod vp9;

/// A codec that payload types may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, RFC 7587.
    Opus,
    /// Redundant audio, RFC 2198.
    Red,
    /// G.711 µ-law, RFC 3551.
    Pcmu,
    /// G.711 A-law, RFC 3551.
    Pcma,
    /// VP8, RFC 7741.
    Vp8,
    /// VP9, RFC 9628.
    Vp9,
    /// H.264, RFC 6184.
    H264,
    /// H.265, RFC 7798.
    H265,
    /// AV1, the Alliance for Open Media's RTP payload format.
    Av1,
}

impl Codec {
    /// Whether it is a video codec, which has key frames.
    pub const fn is_video(self) -> bool {
        matches!(self, Self::Vp8 | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1)
    }
}

/// Whether a decoder that has seen nothing yet can begin with a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// It cannot.
    #[default]
    None,
    /// It can: the first packet of a key frame, parameter sets included where the codec has them.
    Full,
    /// An H.264 or H.265 picture that needs no other, but without parameter sets: it can if it got
    /// them another way.
    Picture,
}

/// What was read of one payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// Whether a decoder can begin here.
    pub entry: Entry,
    /// First packet of its frame, where the payload format says so; where it does not, `None`: then
    /// a new timestamp tells.
    pub frame_start: Option<bool>,
    /// Temporal layer, 0 where the payload format does not say.
    pub temporal: u8,
    /// The frame needs only temporal layer 0, so a receiver may step up with it.
    pub layer_sync: bool,
    /// The VP8 descriptor, whose numbers a forwarder rewrites.
    pub vp8: Option<vp8::Descriptor>,
    /// The VP9 descriptor, which tells the layers of a stream that has several.
    pub vp9: Option<vp9::Descriptor>,
}

/// Reads what `payload` tells. A payload that cannot be read tells nothing, as one with empty
/// hands: it is forwarded like any other and never begins anything.
#[inline]
pub fn inspect(codec: Codec, payload: &[u8]) -> Inspected {
    match codec {
        Codec::Vp8 => vp8::Descriptor::read(payload).map(inspect_vp8).unwrap_or_default(),
        Codec::Vp9 => vp9::Descriptor::read(payload).map(inspect_vp9).unwrap_or_default(),
        Codec::H264 => Inspected { entry: h264::entry(payload), ..Inspected::default() },
        Codec::H265 => Inspected { entry: h265::entry(payload), ..Inspected::default() },
        Codec::Av1 => {
            let entry = if av1::begins_sequence(payload) { Entry::Full } else { Entry::None };
            Inspected { entry, ..Inspected::default() }
        }
        Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => {
            Inspected { entry: Entry::Full, frame_start: Some(true), ..Inspected::default() }
        }
    }
}

fn inspect_vp8(descriptor: vp8::Descriptor) -> Inspected {
    Inspected {
        entry: if descriptor.key_frame { Entry::Full } else { Entry::None },
        frame_start: Some(descriptor.frame_start),
        temporal: descriptor.temporal.unwrap_or(0),
        layer_sync: descriptor.layer_sync,
        vp8: Some(descriptor),
        vp9: None,
    }
}

fn inspect_vp9(descriptor: vp9::Descriptor) -> Inspected {
    Inspected {
        entry: if descriptor.is_key_frame() { Entry::Full } else { Entry::None },
        frame_start: Some(descriptor.begins_picture()),
        temporal: descriptor.layer.map_or(0, |layer| layer.temporal),
        // Its U bit is another promise than VP8's Y: about what follows the frame.
        layer_sync: false,
        vp8: None,
        vp9: Some(descriptor),
    }
}

#[cfg(test)]
#[path = "payload/tests.rs"]
mod tests;
