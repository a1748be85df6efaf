//! What signalling and the load tell each other.

use std::net::SocketAddr;

use ringway_proto::dtls::Fingerprint;
use ringway_proto::ice::IceCredentials;
use ringway_proto::srtp::SrtpProfile;

/// Which of a participant's two peer connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that it sends on.
    Publisher,
    /// The one that it receives on.
    Subscriber,
}

/// Sound or pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// Opus.
    Audio,
    /// VP8.
    Video,
}

/// The server's end of a peer connection, and our own credentials for it.
#[derive(Clone, Debug)]
pub struct RemoteEnd {
    /// Ours.
    pub local: IceCredentials,
    /// The server's.
    pub remote: IceCredentials,
    /// Of the server's certificate.
    pub fingerprint: Fingerprint,
    /// Where it receives.
    pub address: SocketAddr,
}

/// Ids of header extensions of a section, 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// The section's mid.
    pub mid: u8,
    /// The layer's rid.
    pub rid: u8,
    /// The rid of what is sent again.
    pub repaired_rid: u8,
    /// Audio level.
    pub audio_level: u8,
    /// Transport-wide sequence number.
    pub transport_sequence: u8,
    /// Absolute send time.
    pub send_time: u8,
}

/// A track that a participant publishes.
#[derive(Clone, Debug)]
pub struct PublishedTrack {
    /// What it carries.
    pub kind: MediaKind,
    /// The client's id of it.
    pub cid: String,
    /// SSRCs of the stream and of its repairs; `None` for simulcast.
    pub ssrcs: Option<(u32, u32)>,
}

/// A section that we send in.
#[derive(Clone, Debug)]
pub struct OutgoingTrack {
    /// What it carries.
    pub kind: MediaKind,
    /// Its mid.
    pub mid: String,
    /// SSRCs of the stream and of its repairs, where signalling named them; simulcast goes by rid.
    pub ssrcs: Option<(u32, u32)>,
    /// Payload type.
    pub payload_type: u8,
    /// Payload type of what is sent again, if that was agreed on.
    pub rtx_payload_type: Option<u8>,
    /// Header extensions.
    pub extensions: ExtensionIds,
}

/// A stream that the server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingTrack {
    /// What it carries.
    pub kind: MediaKind,
    /// The SSRC.
    pub ssrc: u32,
    /// The SSRC of what is sent again.
    pub rtx_ssrc: Option<u32>,
    /// Payload type.
    pub payload_type: u8,
    /// Payload type of what is sent again.
    pub rtx_payload_type: Option<u8>,
    /// Whether lost packets may be asked for.
    pub nack: bool,
    /// Whether bandwidth estimates are wanted.
    pub remb: bool,
    /// Id of the transport-wide sequence number, where the server wants feedback on it; else 0.
    pub transport_sequence: u8,
}

/// From signalling to the load.
#[derive(Clone, Debug)]
pub enum News {
    /// The server let a participant in.
    Joined {
        /// Its number.
        participant: usize,
        /// What the server calls itself.
        server: String,
    },
    /// A peer connection can be made.
    Connect {
        /// The participant's number.
        participant: usize,
        /// Which connection.
        side: Side,
        /// Where to.
        end: RemoteEnd,
    },
    /// What may be sent on the publisher connection.
    Publish {
        /// The participant's number.
        participant: usize,
        /// Sections.
        tracks: Vec<OutgoingTrack>,
    },
    /// What comes on the subscriber connection now.
    Receive {
        /// The participant's number.
        participant: usize,
        /// All streams.
        tracks: Vec<IncomingTrack>,
    },
    /// A participant was refused, or its signalling ended.
    Failed {
        /// Its number.
        participant: usize,
        /// Why.
        reason: String,
    },
}

/// The name of a profile in RFC 5764 and RFC 7714.
pub fn profile_name(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::AeadAes128Gcm => "AEAD_AES_128_GCM",
        SrtpProfile::AeadAes256Gcm => "AEAD_AES_256_GCM",
        SrtpProfile::Aes128CmSha1_80 => "AES128_CM_SHA1_80",
    }
}
