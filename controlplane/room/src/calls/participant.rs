//! A participant as others are told of it.

use std::sync::Arc;

use crate::calls::number::numbered;
use crate::calls::{Attributes, DataTrackInfo, Permission, TrackInfo};
use crate::id::ParticipantSid;

numbered! {
    /// How far a participant has come.
    ParticipantState {
        /// The join is being answered.
        Joining = 0,
        /// Signalling stands.
        Joined = 1,
        /// Media stands.
        Active = 2,
        /// It is gone.
        Disconnected = 3,
    }
}

numbered! {
    /// What a participant is.
    ParticipantKind {
        /// A person's client.
        Standard = 0,
        /// Media from outside.
        Ingress = 1,
        /// A recorder.
        Egress = 2,
        /// A telephone.
        Sip = 3,
        /// An agent.
        Agent = 4,
        /// A bridge to another network.
        Connector = 7,
        /// A bridge to another protocol.
        Bridge = 8,
    }
}

numbered! {
    /// Why a participant is gone.
    DisconnectReason {
        /// Not known.
        Unknown = 0,
        /// It left.
        ClientInitiated = 1,
        /// Somebody joined with its identity.
        DuplicateIdentity = 2,
        /// The server stops.
        ServerShutdown = 3,
        /// An administrator removed it.
        ParticipantRemoved = 4,
        /// An administrator deleted the room.
        RoomDeleted = 5,
        /// It resumed what the server no longer has.
        StateMismatch = 6,
        /// It never became active.
        JoinFailure = 7,
        /// It moved to another server.
        Migration = 8,
        /// Its signalling connection ended.
        SignalClose = 9,
        /// The room ended because nobody else was there.
        RoomClosed = 10,
        /// A called person did not answer.
        UserUnavailable = 11,
        /// A called person refused.
        UserRejected = 12,
        /// A telephone line failed.
        SipTrunkFailure = 13,
        /// Its media connection was lost.
        ConnectionTimeout = 14,
        /// Media could not be carried.
        MediaFailure = 15,
        /// An agent failed.
        AgentError = 16,
    }
}

/// LiveKit's `ParticipantInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantInfo {
    /// Its id.
    pub sid: ParticipantSid,
    /// Who it is: unique in the room.
    pub identity: String,
    /// How far it has come.
    pub state: ParticipantState,
    /// What it publishes.
    pub tracks: Vec<Arc<TrackInfo>>,
    /// The data tracks among that.
    pub data_tracks: Vec<Arc<DataTrackInfo>>,
    /// The application's text.
    pub metadata: String,
    /// When it joined, Unix time, ms.
    pub joined_at_ms: u64,
    /// How it is called.
    pub name: String,
    /// Raised with every change; the higher one of two is the newer one.
    pub version: u32,
    /// Where the server is that serves it; empty is not said.
    pub region: String,
    /// What it may do.
    pub permission: Permission,
    /// Whether it publishes anything.
    pub is_publisher: bool,
    /// What it is.
    pub kind: ParticipantKind,
    /// LiveKit's numbers of what is special about its kind.
    pub kind_details: Vec<i32>,
    /// The application's keys and values.
    pub attributes: Attributes,
    /// Why it is gone, if it is.
    pub disconnect_reason: DisconnectReason,
    /// The number of the protocol between clients.
    pub client_protocol: i32,
    /// LiveKit's numbers of what its client can do.
    pub capabilities: Vec<i32>,
}
