//! Data tracks: small frames of data that a participant publishes and others subscribe to.

use std::sync::Arc;

use crate::calls::Encryption;
use crate::id::{DataTrackSid, ParticipantSid};

/// LiveKit's `DataTrackInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataTrackInfo {
    /// Its id.
    pub sid: DataTrackSid,
    /// What its publisher's packets call it; never 0.
    pub handle: u16,
    /// Its name, unique among its publisher's data tracks.
    pub name: String,
    /// Encryption of frames between the ends.
    pub encryption: Encryption,
    /// What its frames are; `None`: it is not said.
    pub frame_encoding: Option<DataEncoding>,
    /// What describes its frames.
    pub schema: Option<DataSchema>,
}

/// How frames or schemas are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataEncoding {
    /// One of LiveKit's numbers.
    WellKnown(i32),
    /// The application's name for it.
    Custom(String),
}

/// LiveKit's `DataTrackSchemaId`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSchema {
    /// Its name.
    pub name: String,
    /// How it is written.
    pub encoding: Option<DataEncoding>,
}

/// LiveKit's `PublishDataTrackRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishDataTrack {
    /// As the client said it: 1 to 65535 is valid.
    pub handle: u32,
    /// Its name.
    pub name: String,
    /// Encryption of frames between the ends.
    pub encryption: Encryption,
    /// What its frames are.
    pub frame_encoding: Option<DataEncoding>,
    /// What describes its frames.
    pub schema: Option<DataSchema>,
}

/// What packets of a data track are called on their way to one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataTrackHandle {
    /// In the packets.
    pub handle: u16,
    /// The track.
    pub track: DataTrackSid,
    /// Whose it is.
    pub publisher: ParticipantSid,
    /// Whose it is.
    pub publisher_identity: Arc<str>,
    /// The shard that serves its publisher.
    pub shard: u16,
}
