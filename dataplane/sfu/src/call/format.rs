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

/// What feedback a payload type's sender understands (RFC 4585 section 4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Generic NACK: it sends again what was lost.
    pub nack: bool,
    /// Picture loss indication.
    pub pli: bool,
    /// Full intra request (RFC 5104 section 4.3.1).
    pub fir: bool,
    /// Arrival times by transport-wide numbers.
    pub transport_cc: bool,
}

impl Feedback {
    const NONE: Self = Self { nack: false, pli: false, fir: false, transport_cc: false };
}

/// The payload types of one transport.
#[derive(Clone, Debug)]
pub struct Formats {
    table: [Option<Format>; 128],
    feedback: [Feedback; 128],
    transport_cc: bool,
}

impl Default for Formats {
    fn default() -> Self {
        Self { table: [None; 128], feedback: [Feedback::NONE; 128], transport_cc: false }
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

    /// Says what feedback the sender of `payload_type` understands.
    pub fn set_feedback(&mut self, payload_type: u8, feedback: Feedback) {
        if let Some(place) = self.feedback.get_mut(usize::from(payload_type)) {
            *place = feedback;
            self.transport_cc |= feedback.transport_cc;
        }
    }

    /// What feedback the sender of `payload_type` understands.
    #[inline]
    pub fn feedback(&self, payload_type: u8) -> Feedback {
        self.feedback.get(usize::from(payload_type)).copied().unwrap_or_default()
    }

    /// Whether arrivals of any payload type are to be reported. The numbers are the transport's, so
    /// that those of all its packets count then.
    #[inline]
    pub fn has_transport_cc(&self) -> bool {
        self.transport_cc
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
