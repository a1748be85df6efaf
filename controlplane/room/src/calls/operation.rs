//! What an administrator may ask of rooms: LiveKit's RoomService without its transport. Whether
//! the token allows it is for the caller to know.

use std::fmt;

use crate::calls::{Attributes, Permission, RoomConfig};

/// LiveKit's `CreateRoomRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateRoom {
    /// The room's name.
    pub name: String,
    /// A preset of the configuration; empty is none.
    pub preset: String,
    /// What differs from the preset and the defaults.
    pub config: RoomConfig,
    /// The shard that it is to live on, however large it gets; none leaves it to the placement.
    pub shard: Option<u16>,
}

/// LiveKit's `UpdateParticipantRequest`, without who it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateParticipant {
    /// The new metadata, if any.
    pub metadata: Option<String>,
    /// The new permission, if any: replaces the whole old one.
    pub permission: Option<Permission>,
    /// The new name, if any.
    pub name: Option<String>,
    /// Keys to set; an empty value removes the key.
    pub attributes: Attributes,
}

/// Why an administrator's request was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationError {
    /// There is no such room.
    RoomNotFound,
    /// There is no such participant in the room.
    ParticipantNotFound,
    /// There is no such track of the participant.
    TrackNotFound,
    /// There is no such preset.
    PresetNotFound,
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
    /// The server does not let administrators unmute.
    RemoteUnmuteDisabled,
    /// The machine has as many rooms as it may.
    TooManyRooms,
    /// The data plane is away, or has no such shard.
    Unavailable,
}

impl OperationError {
    /// The code of a Twirp error.
    pub fn twirp_code(self) -> &'static str {
        match self {
            Self::RoomNotFound | Self::ParticipantNotFound | Self::TrackNotFound => "not_found",
            Self::PresetNotFound
            | Self::RoomNameEmpty
            | Self::RoomNameTooLong
            | Self::NameTooLong
            | Self::MetadataTooLarge
            | Self::AttributesTooLarge => "invalid_argument",
            Self::RemoteUnmuteDisabled => "failed_precondition",
            Self::TooManyRooms => "resource_exhausted",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoomNotFound => "requested room does not exist",
            Self::ParticipantNotFound => "participant does not exist",
            Self::TrackNotFound => "track is not found",
            Self::PresetNotFound => "the room preset does not exist",
            Self::RoomNameEmpty => "no room name",
            Self::RoomNameTooLong => "the room name is too long",
            Self::NameTooLong => "the participant name is too long",
            Self::MetadataTooLarge => "the metadata is too large",
            Self::AttributesTooLarge => "the attributes are too large",
            Self::RemoteUnmuteDisabled => "remote unmute not enabled",
            Self::TooManyRooms => "the server has reached its limit of rooms",
            Self::Unavailable => "the media server is starting or restarting, try again",
        })
    }
}

impl std::error::Error for OperationError {}
