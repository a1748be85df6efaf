//! Joining a room: what a client brings, and what it gets.

use std::fmt;
use std::sync::Arc;

use crate::calls::{
    Attributes, ClientInfo, Grants, ParticipantInfo, ParticipantKind, RoomConfig, RoomInfo,
};
use crate::id::ParticipantSid;

/// A wish to join, or to resume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The room's name: of the token, or of the request if the token names none.
    pub room: String,
    /// The token's `sub`.
    pub identity: String,
    /// The token's `name`.
    pub name: String,
    /// The metadata: the token's, or the client's own if it may change it.
    pub metadata: String,
    /// The token's attributes.
    pub attributes: Attributes,
    /// Metadata that the client brings besides its token: needs `canUpdateOwnMetadata`.
    pub own_metadata: Option<String>,
    /// Attributes that the client brings besides its token: need `canUpdateOwnMetadata`.
    pub own_attributes: Attributes,
    /// The token's `kind`.
    pub kind: ParticipantKind,
    /// The token's `kindDetails`.
    pub kind_details: Vec<i32>,
    /// The token's `video`.
    pub grants: Grants,
    /// The token's `roomConfig`.
    pub room_config: Option<RoomConfig>,
    /// The token's `roomPreset`; empty is none.
    pub room_preset: String,
    /// The token's `exp`, Unix time, s.
    pub token_expires_s: u64,
    /// What the client says about itself.
    pub client: ClientInfo,
    /// Subscribe to all tracks without being asked.
    pub auto_subscribe: bool,
    /// Those of hidden publishers among them.
    pub auto_subscribe_hidden: bool,
    /// The same for data tracks, but for those of hidden publishers.
    pub auto_subscribe_data: bool,
    /// The client says which size it shows: until it does, the lowest layer is sent.
    pub adaptive_stream: bool,
    /// The query's `publish`: a session that only publishes, under the identity
    /// `identity#publish`.
    pub publish_only: Option<String>,
    /// Resume a session rather than begin one.
    pub reconnect: Option<Reconnect>,
}

/// Which session is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The participant's id if the client said it; the identity decides otherwise.
    pub sid: Option<ParticipantSid>,
}

/// Whether a join was a first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A new session. Answer with `join`.
    New,
    /// The session goes on with all its tracks and subscriptions. Answer with `reconnect`, then a
    /// participant update of `participant`, `others` and these, then `room_update`.
    Resumed {
        /// Who left while the client could not hear it.
        departed: Vec<Arc<ParticipantInfo>>,
    },
}

/// A participant is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// How.
    pub admission: Admission,
    /// The participant itself. `participant.sid` names the session from now on.
    pub participant: Arc<ParticipantInfo>,
    /// The room.
    pub room: Arc<RoomInfo>,
    /// All others that are not hidden.
    pub others: Vec<Arc<ParticipantInfo>>,
    /// The shard that serves the participant.
    pub shard: u16,
    /// What marks frames that the server makes, one per room.
    pub sif_trailer: Vec<u8>,
}

/// Why a participant is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The token does not allow to join this room.
    NotAllowed,
    /// A publish-only session without the permission to publish.
    MayNotPublish,
    /// The client's own metadata or attributes without the permission to change them.
    MayNotUpdateMetadata,
    /// No identity.
    IdentityEmpty,
    /// The identity is too long.
    IdentityTooLong,
    /// No room is named.
    RoomNameEmpty,
    /// The room's name is too long.
    RoomNameTooLong,
    /// The participant's name is too long.
    NameTooLong,
    /// The metadata is too large.
    MetadataTooLarge,
    /// The attributes are too large.
    AttributesTooLarge,
    /// A text that the client says about itself is too long.
    ClientInfoTooLong,
    /// There is no such room, and joining does not make it.
    RoomNotFound,
    /// The token names a preset that does not exist.
    PresetNotFound,
    /// The token asks for a recording of the room that joining makes.
    NoEgress,
    /// The room is full.
    RoomFull,
    /// The machine is full.
    ServerFull,
    /// The data plane is away.
    Unavailable,
    /// A resume of a session that is no more: not an HTTP error, but a `leave` with reason
    /// STATE_MISMATCH and action RECONNECT as the only message.
    StateMismatch,
}

impl Refusal {
    /// The HTTP status of the refused upgrade. LiveKit's, but for a full room and for egress, where
    /// LiveKit has 500 and a client could not tell it from a failure.
    pub fn status(self) -> u16 {
        match self {
            Self::NotAllowed | Self::MayNotPublish | Self::MayNotUpdateMetadata => 401,
            // Clients show what stands beside this one.
            Self::NoEgress => 403,
            Self::RoomNotFound | Self::StateMismatch => 404,
            Self::PresetNotFound
            | Self::IdentityEmpty
            | Self::IdentityTooLong
            | Self::RoomNameEmpty
            | Self::RoomNameTooLong
            | Self::NameTooLong
            | Self::MetadataTooLarge
            | Self::AttributesTooLarge
            | Self::ClientInfoTooLong => 400,
            Self::RoomFull => 429,
            Self::ServerFull | Self::Unavailable => 503,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAllowed => "the token does not allow to join this room",
            Self::MayNotPublish => "the token does not allow to publish",
            Self::MayNotUpdateMetadata => "the token does not allow to set metadata or attributes",
            Self::IdentityEmpty => "identity cannot be empty",
            Self::IdentityTooLong => "the identity is too long",
            Self::RoomNameEmpty => "no room name",
            Self::RoomNameTooLong => "the room name is too long",
            Self::NameTooLong => "the participant name is too long",
            Self::MetadataTooLarge => "the metadata is too large",
            Self::AttributesTooLarge => "the attributes are too large",
            Self::ClientInfoTooLong => "the client's description of itself is too long",
            Self::RoomNotFound => "requested room does not exist",
            Self::PresetNotFound => "the room preset does not exist",
            Self::NoEgress => "the token asks for egress, which this server does not have",
            Self::RoomFull => "the room has reached its max_participants",
            Self::ServerFull => "the server has reached its limit of rooms, participants or media",
            Self::Unavailable => "the media server is starting or restarting, try again",
            Self::StateMismatch => "the session is no more, join again",
        })
    }
}

impl std::error::Error for Refusal {}
