//! What the generator writes into payloads: who sent it, and when.
//!
//! The stamp stands behind the codec's own descriptor, so it survives whatever a server rewrites,
//! and inside the encryption, so reading it proves that keys and payload are right.

/// Bytes of a stamp.
pub const STAMP_BYTES: usize = 20;
/// Bytes between a video packet's descriptor and its stamp: the frame header of a key frame.
pub const VIDEO_OFFSET: usize = 10;
/// Bytes between the start of an audio payload and its stamp: Opus's table of contents.
pub const AUDIO_OFFSET: usize = 1;

const MAGIC: [u8; 4] = *b"RWcl";

/// A stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStamp {
    /// Number of the publisher.
    pub publisher: u16,
    /// Video layer, 0 the lowest; 255 is audio.
    pub layer: u8,
    /// Layers that the publisher has.
    pub layers: u8,
    /// Counts the frames of the track; all layers of a picture have the same number.
    pub frame: u32,
    /// CLOCK_REALTIME when it was handed to the kernel, ns.
    pub sent_ns: u64,
}

/// The `layer` of an audio stamp.
pub const AUDIO_LAYER: u8 = 255;

impl CallStamp {
    /// Writes the stamp at the start of `out`; nothing where there is no room.
    pub fn write(&self, out: &mut [u8]) {
        let Some(out) = out.get_mut(..STAMP_BYTES) else { return };
        out[..4].copy_from_slice(&MAGIC);
        out[4..6].copy_from_slice(&self.publisher.to_be_bytes());
        (out[6], out[7]) = (self.layer, self.layers);
        out[8..12].copy_from_slice(&self.frame.to_be_bytes());
        out[12..20].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads a stamp at the start of `bytes`.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (publisher, rest) = rest.split_first_chunk()?;
        let (&[layer, layers], rest) = rest.split_first_chunk()?;
        let (frame, rest) = rest.split_first_chunk()?;
        let sent_ns = u64::from_be_bytes(*rest.first_chunk()?);
        (*magic == MAGIC).then(|| Self {
            publisher: u16::from_be_bytes(*publisher),
            layer,
            layers,
            frame: u32::from_be_bytes(*frame),
            sent_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_back() {
        let stamp =
            CallStamp { publisher: 513, layer: 2, layers: 3, frame: 70_000, sent_ns: u64::MAX - 5 };
        let mut bytes = [0xff; STAMP_BYTES + 4];
        stamp.write(&mut bytes);
        assert_eq!(CallStamp::read(&bytes), Some(stamp));
        assert_eq!(CallStamp::read(&bytes[..STAMP_BYTES - 1]), None);
        bytes[0] ^= 1;
        assert_eq!(CallStamp::read(&bytes), None);
        stamp.write(&mut bytes[..3]);
    }
}
