//! A room as clients and administrators are told of it.

use crate::calls::number::numbered;
use crate::id::RoomSid;

/// LiveKit's `RoomConfiguration`: what may be said about a room before it exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomConfig {
    /// How long it waits for its first participant, s; 0 is the server's default.
    pub empty_timeout_s: u32,
    /// How long it outlives its last participant, s; 0 is the server's default.
    pub departure_timeout_s: u32,
    /// How many may join; 0 is the server's default.
    pub max_participants: u32,
    /// The application's text.
    pub metadata: String,
    /// Least delay at the receivers, ms.
    pub min_playout_delay_ms: u32,
    /// Greatest delay at the receivers, ms; 0 with a least one is 10 s.
    pub max_playout_delay_ms: u32,
    /// Tracks of one participant share a stream.
    pub sync_streams: bool,
}

/// LiveKit's `Room`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// Its id.
    pub sid: RoomSid,
    /// Its name.
    pub name: String,
    /// How long it waits for its first participant, s.
    pub empty_timeout_s: u32,
    /// How long it outlives its last participant, s.
    pub departure_timeout_s: u32,
    /// How many may join; 0 is no limit.
    pub max_participants: u32,
    /// When it was created, Unix time, ms.
    pub created_at_ms: u64,
    /// The application's text.
    pub metadata: String,
    /// Who is there, without those that only serve the room.
    pub num_participants: u32,
    /// Who publishes.
    pub num_publishers: u32,
    /// Whether it is being recorded.
    pub active_recording: bool,
    /// Least delay at the receivers, ms.
    pub min_playout_delay_ms: u32,
    /// Greatest delay at the receivers, ms.
    pub max_playout_delay_ms: u32,
    /// Tracks of one participant share a stream.
    pub sync_streams: bool,
}

/// LiveKit's greatest delay where only the least is said, ms.
const MAX_PLAYOUT_DELAY_MS: u32 = 10_000;

impl RoomInfo {
    /// Sets the delays at the receivers, ms: 0 for both is off, 0 for `max` alone is far away.
    pub(crate) fn set_playout_delay(&mut self, min: u32, max: u32) {
        self.min_playout_delay_ms = min;
        self.max_playout_delay_ms = if min > 0 && max == 0 { MAX_PLAYOUT_DELAY_MS } else { max };
    }
}

numbered! {
    /// Why a room ended; numbers of the webhook `room_finished`.
    RoomEndReason {
        /// Not known.
        Unknown = 0,
        /// An administrator deleted it.
        ApiDelete = 1,
        /// Nobody came, or nobody was left.
        IdleTimeout = 2,
        /// The server stops.
        ServerShutdown = 3,
    }
}
