//! The codecs that this server forwards.

use crate::section::Kind;

/// A codec, without its parameters. RTX is none: it is a property of the codec that it repairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Opus.
    Opus,
    /// Opus with earlier frames repeated (RFC 2198).
    Red,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// AV1.
    Av1,
    /// FlexFEC-03: repairs, from publishers only.
    FlexFec,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Opus,
        Self::Red,
        Self::Pcmu,
        Self::Pcma,
        Self::Vp8,
        Self::Vp9,
        Self::H264,
        Self::H265,
        Self::Av1,
        Self::FlexFec,
    ];

    /// Sound or pictures.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Opus | Self::Red | Self::Pcmu | Self::Pcma => Kind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1 | Self::FlexFec => {
                Kind::Video
            }
        }
    }

    /// The encoding's name in `rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Red => "red",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
            Self::H265 => "H265",
            Self::Av1 => "AV1",
            Self::FlexFec => "flexfec-03",
        }
    }

    /// The MIME type, as LiveKit's messages have it.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Red => "audio/red",
            Self::Pcmu => "audio/PCMU",
            Self::Pcma => "audio/PCMA",
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::H265 => "video/H265",
            Self::Av1 => "video/AV1",
            Self::FlexFec => "video/flexfec-03",
        }
    }

    /// The codec of a MIME type, or of a bare name such as `vp8`; whatever the case.
    pub fn named(mime: &str) -> Option<Self> {
        let is = |codec: &Self| {
            codec.mime().eq_ignore_ascii_case(mime) || codec.name().eq_ignore_ascii_case(mime)
        };
        Self::ALL.into_iter().find(is)
    }

    /// Clock rate, in hertz.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus | Self::Red => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
            _ => 90_000,
        }
    }

    /// Channels as `rtpmap` has them. RFC 7587 7: always 2 for Opus.
    pub const fn channels(self) -> u8 {
        match self {
            Self::Opus | Self::Red => 2,
            _ => 1,
        }
    }
}
