//! What payload types mean on one transport.

use ringway_wire::payload::Codec;

/// What a payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Media.
    Media {
        /// The codec.
        codec: Codec,
        /// Clock of its timestamps, Hz.
        clock_hz: u32,
    },
    /// Repetitions of packets of another payload type (RFC 4588).
    Rtx {
        /// That payload type.
        media: u8,
    },
}

/// The payload types of one transport.
#[derive(Clone, Debug)]
pub struct Formats {
    table: [Option<Format>; 128],
}

impl Default for Formats {
    fn default() -> Self {
        Self { table: [None; 128] }
    }
}

impl Formats {
    /// Gives `payload_type`, 0–127, a meaning; `false` for another number.
    pub fn insert(&mut self, payload_type: u8, format: Format) -> bool {
        match self.table.get_mut(usize::from(payload_type)) {
            Some(place) => {
                *place = Some(format);
                true
            }
            None => false,
        }
    }

    /// What `payload_type` means.
    #[inline]
    pub fn get(&self, payload_type: u8) -> Option<Format> {
        self.table.get(usize::from(payload_type)).copied().flatten()
    }

    /// Codec and clock of `payload_type`, where it carries media.
    #[inline]
    pub fn media(&self, payload_type: u8) -> Option<(Codec, u32)> {
        match self.get(payload_type)? {
            Format::Media { codec, clock_hz } => Some((codec, clock_hz)),
            Format::Rtx { .. } => None,
        }
    }
}
