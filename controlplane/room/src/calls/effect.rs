//! What should happen because of what a room decided.

use std::sync::Arc;

use crate::calls::{Notice, ParticipantInfo, RoomEndReason, RoomInfo, TrackInfo};
use crate::id::ParticipantSid;

/// One thing to carry out, in the order in which they come.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell one participant's session.
    ToParticipant(ParticipantSid, Notice),
    /// Tell many sessions the same: encode it once.
    ToParticipants(Vec<ParticipantSid>, Notice),
    /// Something that webhooks and counters want to know.
    Fact(Fact),
}

/// What happened, in the words of LiveKit's webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `room_started`.
    RoomStarted(Arc<RoomInfo>),
    /// `room_finished`.
    RoomFinished(Arc<RoomInfo>, RoomEndReason),
    /// `participant_joined`: it became active.
    ParticipantJoined(Arc<RoomInfo>, Arc<ParticipantInfo>),
    /// `participant_left`.
    ParticipantLeft(Arc<RoomInfo>, Arc<ParticipantInfo>),
    /// `participant_connection_aborted`: it left without having been active.
    ParticipantAborted(Arc<RoomInfo>, Arc<ParticipantInfo>),
    /// `track_published`.
    TrackPublished(Arc<RoomInfo>, Arc<ParticipantInfo>, Arc<TrackInfo>),
    /// `track_unpublished`.
    TrackUnpublished(Arc<RoomInfo>, Arc<ParticipantInfo>, Arc<TrackInfo>),
}
