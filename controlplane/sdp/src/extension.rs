//! The RTP header extensions that this server understands.

/// A header extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExtensionKind {
    /// Which section a packet belongs to (RFC 9143).
    Mid,
    /// Which encoding of a section (RFC 8852).
    Rid,
    /// Which encoding a retransmission repairs (RFC 8852).
    RepairedRid,
    /// Loudness (RFC 6464).
    AudioLevel,
    /// A number per packet of the whole transport.
    TransportCc,
    /// Where frames begin, and what depends on them.
    FrameMarking,
    /// Frames and layers of AV1, and of others that borrow it.
    DependencyDescriptor,
    /// When a frame was captured.
    AbsCaptureTime,
    /// When a packet was sent, within 64 s.
    AbsSendTime,
    /// How long the receiver shall wait before it plays.
    PlayoutDelay,
}

impl ExtensionKind {
    /// All of them; the place is the id in our offers, from 1.
    pub const ALL: [Self; 10] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::TransportCc,
        Self::FrameMarking,
        Self::DependencyDescriptor,
        Self::AbsCaptureTime,
        Self::AbsSendTime,
        Self::PlayoutDelay,
    ];

    /// The name in SDP.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Self::FrameMarking => "urn:ietf:params:rtp-hdrext:framemarking",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/\
                 #dependency-descriptor-rtp-header-extension"
            }
            Self::AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            Self::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
        }
    }

    /// The extension of that name.
    pub fn named(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }

    /// The id in our offers, 1..=14.
    pub fn offered_id(self) -> u8 {
        let place = Self::ALL.iter().position(|kind| *kind == self).unwrap_or_default();
        u8::try_from(place + 1).unwrap_or(u8::MAX)
    }
}

/// A header extension with the id that both sides use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NegotiatedExtension {
    /// The id on the wire, 1..=255; 15 and more need two-byte headers.
    pub id: u8,
    /// What it is.
    pub kind: ExtensionKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_are_one_to_one() {
        for kind in ExtensionKind::ALL {
            assert_eq!(ExtensionKind::named(kind.uri()), Some(kind));
            assert!((1..=14).contains(&kind.offered_id()));
        }
        assert_eq!(ExtensionKind::Mid.offered_id(), 1);
        assert_eq!(ExtensionKind::PlayoutDelay.offered_id(), 10);
        assert_eq!(ExtensionKind::named("urn:3gpp:video-orientation"), None);
    }
}
