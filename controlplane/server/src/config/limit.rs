//! `limit`: what clients of calls may bring, and how much this machine takes. The names and the
//! defaults are LiveKit's; sizes are bytes of UTF-8.

use ringway_room::calls;
use ringway_signal::wire::MESSAGE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Shorter than this hardly any request is; LiveKit bounds nothing.
const MESSAGE_BYTES_LEAST: usize = 1024;
/// A client can make the server hold one message so long, whatever the configuration says.
const MESSAGE_BYTES_MOST: usize = 64 * 1024 * 1024;

/// Settings of all calls; 0 is no limit.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limit {
    /// Tracks that come in or go out; with as many nobody else gets in.
    pub num_tracks: usize,
    /// Bytes that come in or go out in a second; with as many nobody else gets in.
    pub bytes_per_sec: u64,
    /// Video tracks that one participant receives.
    pub subscription_limit_video: u32,
    /// Audio tracks that one participant receives.
    pub subscription_limit_audio: u32,
    /// Metadata of a room or a participant.
    pub max_metadata_size: usize,
    /// Attributes of a participant, keys and values together.
    pub max_attributes_size: usize,
    /// The name of a room.
    pub max_room_name_length: usize,
    /// The identity of a participant.
    pub max_participant_identity_length: usize,
    /// The name of a participant.
    pub max_participant_name_length: usize,
    /// The name that an application gives to an encoding of data tracks or schemas.
    pub max_data_track_custom_encoding_length: usize,
    /// The key of a data blob.
    pub max_data_blob_key_length: usize,
    /// All data blobs of one participant, keys and contents.
    pub max_data_blobs_size: usize,
    /// One message of signalling.
    pub signal_message_size_limit: usize,
}

impl Default for Limit {
    fn default() -> Self {
        let limits = calls::CallLimits::default();
        Self {
            num_tracks: limits.tracks,
            bytes_per_sec: limits.bytes_per_s,
            subscription_limit_video: limits.subscriptions_video,
            subscription_limit_audio: limits.subscriptions_audio,
            max_metadata_size: limits.metadata_bytes,
            max_attributes_size: limits.attributes_bytes,
            max_room_name_length: limits.room_name_bytes,
            max_participant_identity_length: limits.identity_bytes,
            max_participant_name_length: limits.name_bytes,
            max_data_track_custom_encoding_length: limits.data_encoding_bytes,
            max_data_blob_key_length: limits.blob_key_bytes,
            max_data_blobs_size: limits.blobs_bytes,
            signal_message_size_limit: MESSAGE_BYTES_MAX,
        }
    }
}

impl Limit {
    /// The same for the domain.
    pub(crate) fn apply(&self, limits: &mut calls::CallLimits) {
        limits.tracks = self.num_tracks;
        limits.bytes_per_s = self.bytes_per_sec;
        limits.subscriptions_video = self.subscription_limit_video;
        limits.subscriptions_audio = self.subscription_limit_audio;
        limits.metadata_bytes = self.max_metadata_size;
        limits.attributes_bytes = self.max_attributes_size;
        limits.room_name_bytes = self.max_room_name_length;
        limits.identity_bytes = self.max_participant_identity_length;
        limits.name_bytes = self.max_participant_name_length;
        limits.data_encoding_bytes = self.max_data_track_custom_encoding_length;
        limits.blob_key_bytes = self.max_data_blob_key_length;
        limits.blobs_bytes = self.max_data_blobs_size;
    }

    /// The longest message of signalling that is read.
    pub(crate) fn message_bytes(&self) -> usize {
        match self.signal_message_size_limit {
            0 => MESSAGE_BYTES_MOST,
            bytes => bytes.min(MESSAGE_BYTES_MOST),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.signal_message_size_limit {
            1..MESSAGE_BYTES_LEAST => Err(ConfigError::NeitherNoneNorAtLeast {
                key: "limit.signal_message_size_limit",
                least: MESSAGE_BYTES_LEAST,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_reaches_the_domain() {
        let yaml = "{num_tracks: 1, bytes_per_sec: 2, subscription_limit_video: 3, \
                    subscription_limit_audio: 4, max_metadata_size: 5, max_attributes_size: 6, \
                    max_room_name_length: 7, max_participant_identity_length: 8, \
                    max_participant_name_length: 9, \
                    max_data_track_custom_encoding_length: 10, max_data_blob_key_length: 11, \
                    max_data_blobs_size: 12}";
        let limit: Limit = ringway_settings::parse(yaml, "x.yaml".as_ref()).unwrap();
        let mut limits = calls::CallLimits::default();
        limit.apply(&mut limits);
        let expect = calls::CallLimits {
            tracks: 1,
            bytes_per_s: 2,
            subscriptions_video: 3,
            subscriptions_audio: 4,
            metadata_bytes: 5,
            attributes_bytes: 6,
            room_name_bytes: 7,
            identity_bytes: 8,
            name_bytes: 9,
            data_encoding_bytes: 10,
            blob_key_bytes: 11,
            blobs_bytes: 12,
            ..calls::CallLimits::default()
        };
        assert_eq!(limits, expect);
    }

    #[test]
    fn messages_are_bounded_even_without_a_limit() {
        let most = MESSAGE_BYTES_MOST;
        for (set, expect) in [
            (0, Some(most)),
            (1, None),
            (1023, None),
            (1024, Some(1024)),
            (most, Some(most)),
            (usize::MAX, Some(most)),
        ] {
            let limit = Limit { signal_message_size_limit: set, ..Limit::default() };
            let bytes = limit.check().ok().map(|()| limit.message_bytes());
            assert_eq!(bytes, expect, "{set}");
        }
    }

    #[test]
    fn defaults_change_nothing() {
        let mut limits = calls::CallLimits::default();
        Limit::default().apply(&mut limits);
        assert_eq!(limits, calls::CallLimits::default());
        assert_eq!((limits.tracks, limits.bytes_per_s), (0, 0), "off, as in LiveKit's code");
    }
}
