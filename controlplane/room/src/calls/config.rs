//! What an operator decides about rooms: the sections `room`, `limit`, `audio` and `video` of
//! LiveKit's configuration, with its defaults.

use std::collections::BTreeMap;

use crate::calls::RoomConfig;
use crate::placement;

/// Settings of all rooms. Names and defaults are those of `livekit.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Unix time when `now_ms` was 0, ms: what makes a wall clock of the monotonic one.
    pub unix_start_ms: u64,
    /// `region`: where this server is, as clients are told; empty is not said.
    pub region: String,
    /// `room.auto_create`: joining makes a room that does not exist.
    pub auto_create: bool,
    /// `room.empty_timeout`: how long a room waits for its first participant, s.
    pub empty_timeout_s: u32,
    /// `room.departure_timeout`: how long a room outlives its last participant, s.
    pub departure_timeout_s: u32,
    /// `room.max_participants`: for rooms that do not say it themselves; 0 is no limit.
    pub max_participants: u32,
    /// `room.enable_remote_unmute`: whether an administrator may unmute a participant's track.
    pub enable_remote_unmute: bool,
    /// `room.sync_streams`: tracks of one participant share a stream, for all rooms.
    pub sync_streams: bool,
    /// `room.playout_delay`: least delay at the receivers, ms; 0 with `max` 0 is off.
    pub min_playout_delay_ms: u32,
    /// `room.playout_delay`: greatest delay at the receivers, ms; 0 with a least one is 10 s.
    pub max_playout_delay_ms: u32,
    /// `room.update_batch_target_size`: bytes of one participant update, about.
    pub update_batch_bytes: usize,
    /// `room.room_configurations`: presets that `room_preset` and the claim `roomPreset` name.
    pub presets: BTreeMap<String, RoomConfig>,
    /// `room.enabled_codecs`, as MIME types, for instance `video/VP8`.
    pub enabled_codecs: Vec<String>,
    /// `video.dynacast_pause_delay`: how long an unwanted layer is still asked for, ms.
    pub dynacast_pause_ms: u64,
    /// `video.codec_regression_threshold`: in rooms with fewer participants a track whose publisher
    /// leaves it to us is sent in its backup codec only, once somebody needs that; 0 is all rooms.
    pub codec_regression_threshold: usize,
    /// Participants of one room that one shard serves before newcomers go to another; 0 is no
    /// limit. Ours.
    pub participants_per_shard: u32,
    /// `enable_data_tracks`: whether participants may publish any.
    pub data_tracks: bool,
    /// `enable_participant_data_blob`: whether participants may leave data blobs for others.
    pub data_blobs: bool,
    /// `limit`: sizes and numbers that clients may not exceed.
    pub limits: CallLimits,
}

impl Default for Config {
    fn default() -> Self {
        let codecs = [
            "audio/PCMU",
            "audio/PCMA",
            "audio/opus",
            "audio/red",
            "video/VP8",
            "video/H264",
            "video/VP9",
            "video/AV1",
            "video/H265",
            "video/rtx",
        ];
        Self {
            unix_start_ms: 0,
            region: String::new(),
            auto_create: true,
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            max_participants: 0,
            enable_remote_unmute: false,
            sync_streams: false,
            min_playout_delay_ms: 0,
            max_playout_delay_ms: 0,
            update_batch_bytes: 128 * 1024,
            presets: BTreeMap::new(),
            enabled_codecs: codecs.map(str::to_owned).to_vec(),
            dynacast_pause_ms: 5_000,
            codec_regression_threshold: 5,
            participants_per_shard: placement::ROOM_SHARE,
            data_tracks: true,
            data_blobs: false,
            limits: CallLimits::default(),
        }
    }
}

/// Bounds on what clients bring. Sizes are bytes of UTF-8; 0 is no limit where LiveKit says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// `limit.max_room_name_length`; 0 is no limit.
    pub room_name_bytes: usize,
    /// `limit.max_participant_identity_length`; 0 is no limit.
    pub identity_bytes: usize,
    /// `limit.max_participant_name_length`; 0 is no limit.
    pub name_bytes: usize,
    /// `limit.max_metadata_size`; 0 is no limit.
    pub metadata_bytes: usize,
    /// `limit.max_attributes_size`, keys and values together; 0 is no limit.
    pub attributes_bytes: usize,
    /// `limit.max_data_track_custom_encoding_length`; 0 is no limit.
    pub data_encoding_bytes: usize,
    /// `limit.max_data_blob_key_length`; 0 is no limit.
    pub blob_key_bytes: usize,
    /// `limit.max_data_blobs_size`: all of one participant, keys and contents; 0 is no limit.
    pub blobs_bytes: usize,
    /// `limit.subscription_limit_video`: per participant; 0 is no limit.
    pub subscriptions_video: u32,
    /// `limit.subscription_limit_audio`: per participant; 0 is no limit.
    pub subscriptions_audio: u32,
    /// `limit.num_tracks`: tracks that come in or go out on this machine; reached, joins get 503 as
    /// at LiveKit. 0 is no limit.
    pub tracks: usize,
    /// `limit.bytes_per_sec`: the same of bytes of media in a second.
    pub bytes_per_s: u64,
    /// Rooms on this machine. Ours: without it one token could fill the memory.
    pub rooms: usize,
    /// Participants on this machine; reached, joins get 503 as LiveKit's node limits do.
    pub participants: usize,
    /// Tracks that one participant announced and has not sent yet. LiveKit's number.
    pub pending_tracks: usize,
    /// Requests that wait for one cid. LiveKit's number.
    pub queued_per_cid: usize,
    /// Tracks that one participant publishes or announced. Ours: bounds what one update about it
    /// carries. Far more than any bridge has.
    pub published_tracks: usize,
    /// Tracks that one participant may name in wishes and settings before they exist. Ours.
    pub awaited_tracks: usize,
    /// Names of one participant's tracks together. Ours, for the same reason: each may be a
    /// document of the application's.
    pub track_names_bytes: usize,
    /// Bytes of any other single text of a request: cids, streams, what clients say of themselves.
    /// Ours.
    pub text_bytes: usize,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            room_name_bytes: 256,
            identity_bytes: 256,
            name_bytes: 256,
            metadata_bytes: 512 * 1024,
            attributes_bytes: 64 * 1024,
            data_encoding_bytes: 32,
            blob_key_bytes: 256,
            blobs_bytes: 64_000,
            subscriptions_video: 0,
            subscriptions_audio: 0,
            tracks: 0,
            bytes_per_s: 0,
            rooms: 100_000,
            participants: 100_000,
            pending_tracks: 20,
            queued_per_cid: 3,
            published_tracks: 1_024,
            awaited_tracks: 1_024,
            track_names_bytes: 512 * 1024,
            text_bytes: 1_024,
        }
    }
}

/// Whether `size` is within `limit`, where 0 is no limit.
pub(crate) fn within(size: usize, limit: usize) -> bool {
    limit == 0 || size <= limit
}
