//! Data blobs: kept by the room for as long as their owner is in it.

use std::sync::Arc;

use super::LiveRoom;
use super::change::respond;
use super::data_tracks::is_named_well;
use crate::calls::config::within;
use crate::calls::turn::Turn;
use crate::calls::{Asked, DataBlob, DataBlobKey, Notice, RequestReason};
use crate::id::ParticipantSid;

/// Blobs of one participant; LiveKit bounds their bytes only. Raised: one participant can make
/// lookups slower; lowered: who has many data tracks cannot describe them all.
const BLOBS_MAX: usize = 1_024;

type Refused = (RequestReason, &'static str);

impl LiveRoom {
    /// A participant leaves a blob for others.
    pub(super) fn store_data_blob(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        request_id: u32,
        key: Option<DataBlobKey>,
        contents: Vec<u8>,
    ) {
        match self.add_data_blob(turn, from, key, contents) {
            Ok(key) => turn.tell(from, Notice::DataBlobStored { request_id, key }),
            Err(refused) => respond(turn, from, request_id, refused, Asked::DataBlob),
        }
    }

    fn add_data_blob(
        &mut self,
        turn: &Turn<'_>,
        from: ParticipantSid,
        key: Option<DataBlobKey>,
        contents: Vec<u8>,
    ) -> Result<DataBlobKey, Refused> {
        let limits = &turn.config.limits;
        if !turn.config.data_blobs {
            return Err((RequestReason::NotAllowed, "data blobs are off on this server"));
        }
        let invalid = |message| Err((RequestReason::InvalidRequest, message));
        let Some(key) = key.filter(|key| key.bytes() != 0) else {
            return invalid("a data blob needs a key");
        };
        if !within(key.bytes(), limits.blob_key_bytes) {
            return invalid("the key of the data blob is too long");
        }
        let custom = match &key {
            DataBlobKey::Schema(schema) => &schema.encoding,
            DataBlobKey::Generic(_) => &None,
        };
        if !is_named_well(custom, limits.data_encoding_bytes) {
            return invalid("the encoding of the schema has no name, or one that is too long");
        }
        if contents.is_empty() {
            return invalid("the data blob is empty");
        }
        let Some(participant) = self.participants.get_mut(&from) else {
            return Err((RequestReason::NotFound, ""));
        };
        let blob = DataBlob { key, contents };
        // What it replaces counts too, as with LiveKit: its Rust SDK expects that a large schema
        // can be left only once.
        let before = &participant.data_blobs;
        let bytes = before.iter().fold(blob.bytes(), |sum, other| sum + other.bytes());
        let others = before.iter().filter(|other| other.key != blob.key).count();
        if others >= BLOBS_MAX || !within(bytes, limits.blobs_bytes) {
            return Err((RequestReason::LimitExceeded, "too much in data blobs"));
        }
        let key = blob.key.clone();
        participant.data_blobs.retain(|other| other.key != key);
        participant.data_blobs.push(Arc::new(blob));
        Ok(key)
    }

    /// A participant asks for a blob of another's, or of its own.
    pub(super) fn get_data_blob(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        request_id: u32,
        owner: &str,
        key: Option<&DataBlobKey>,
    ) {
        let owner = self.participants.values().find(|participant| participant.identity == owner);
        let found = match (key, owner) {
            (None, _) => Err((RequestReason::InvalidRequest, "a data blob needs a key")),
            (Some(_), None) => Err((RequestReason::NotFound, "no participant is called so")),
            (Some(key), Some(owner)) => {
                let found = owner.data_blobs.iter().find(|blob| blob.key == *key);
                found.ok_or((RequestReason::NotFound, "the participant has no such data blob"))
            }
        };
        match found {
            Ok(blob) => {
                let blob = Arc::clone(blob);
                turn.tell(from, Notice::DataBlob { request_id, blob });
            }
            Err(refused) => respond(turn, from, request_id, refused, Asked::DataBlob),
        }
    }
}
