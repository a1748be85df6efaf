//! What a subscriber wants of a track, and how that is served.

use crate::calls::VideoQuality;
use crate::calls::number::numbered;
use crate::id::{DataTrackSid, ParticipantSid, TrackSid};

numbered! {
    /// Why a subscription failed.
    SubscriptionError {
        /// Not known.
        Unknown = 0,
        /// The subscriber cannot decode it.
        CodecUnsupported = 1,
        /// There is no such track.
        TrackNotFound = 2,
    }
}

numbered! {
    /// Whether a subscriber gets a stream at the moment.
    StreamState {
        /// It does.
        Active = 0,
        /// The server holds it back, for want of bandwidth.
        Paused = 1,
    }
}

/// LiveKit's `UpdateTrackSettings` without the tracks that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackSettings {
    /// The subscriber does not show it at the moment.
    pub disabled: bool,
    /// What is wanted, if no size is given.
    pub quality: VideoQuality,
    /// What is shown, pixels; 0 is not said.
    pub width: u32,
    /// What is shown, pixels; 0 is not said.
    pub height: u32,
    /// Pictures per second that are wanted; 0 is all.
    pub fps: u32,
    /// Who goes first when bandwidth is short, 1 to 255; 0 is not said.
    pub priority: u32,
}

impl Default for TrackSettings {
    fn default() -> Self {
        Self {
            disabled: false,
            quality: VideoQuality::High,
            width: 0,
            height: 0,
            fps: 0,
            priority: 0,
        }
    }
}

/// How a route is to be served: what [`TrackSettings`] come to for the track's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSettings {
    /// Send nothing.
    pub paused: bool,
    /// The highest spatial layer, 0 to 2.
    pub max_spatial: u8,
    /// The highest temporal layer, 0 to 3.
    pub max_temporal: u8,
    /// Who goes first when bandwidth is short, 1 to 255.
    pub priority: u8,
}

/// LiveKit's `TrackPermission`: which tracks of a publisher one participant may receive. One of
/// `sid` and `identity` says who.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackPermission {
    /// Who.
    pub sid: Option<ParticipantSid>,
    /// Who; wins over `sid` when it is not empty.
    pub identity: String,
    /// All tracks.
    pub all_tracks: bool,
    /// These tracks.
    pub tracks: Vec<TrackSid>,
    /// And these data tracks.
    pub data_tracks: Vec<DataTrackSid>,
}
