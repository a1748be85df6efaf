//! `room`: how rooms are made and end, and what is spoken in them. The names are LiveKit's.

use std::collections::BTreeMap;

use ringway_room::calls;
use ringway_signal::{Settings, proto};
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Settings of all rooms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Room {
    /// Joining makes a room that does not exist.
    pub auto_create: bool,
    /// How long a room waits for its first participant, s.
    pub empty_timeout: u32,
    /// How long a room outlives its last participant, s.
    pub departure_timeout: u32,
    /// For rooms that do not say it themselves; 0 is no limit.
    pub max_participants: u32,
    /// Administrators may unmute tracks.
    pub enable_remote_unmute: bool,
    /// Participants of one room on one shard before newcomers go to another; 0 is no limit.
    pub participants_per_shard: u32,
    /// Tracks of one participant share a stream.
    pub sync_streams: bool,
    /// How long receivers of video shall buffer.
    pub playout_delay: PlayoutDelay,
    /// Bytes of one message about several participants, about.
    pub update_batch_target_size: usize,
    /// Presets, for the claim `roomPreset` and for rooms that are made over the API.
    pub room_configurations: BTreeMap<String, RoomConfiguration>,
    /// Codecs that may be used; empty: all that there are.
    pub enabled_codecs: Vec<EnabledCodec>,
}

/// Bounds on what receivers of video buffer, ms.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlayoutDelay {
    /// They are told.
    pub enabled: bool,
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

/// A preset: LiveKit's `RoomConfiguration`. What is left out, 0 or empty is as for all rooms.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoomConfiguration {
    /// The preset's name; its key counts.
    pub name: String,
    /// How long a room waits for its first participant, s.
    pub empty_timeout: u32,
    /// How long a room outlives its last participant, s.
    pub departure_timeout: u32,
    /// How many may join.
    pub max_participants: u32,
    /// The application's text.
    pub metadata: String,
    /// Least delay at the receivers, ms.
    pub min_playout_delay: u32,
    /// Greatest delay at the receivers, ms.
    pub max_playout_delay: u32,
    /// Tracks of one participant share a stream.
    pub sync_streams: bool,
}

/// A codec that may be used.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnabledCodec {
    /// Such as `video/VP8`.
    pub mime: String,
    /// Its format parameters, where it has several forms.
    pub fmtp_line: String,
}

impl Default for Room {
    fn default() -> Self {
        let calls = calls::Config::default();
        Self {
            auto_create: calls.auto_create,
            empty_timeout: calls.empty_timeout_s,
            departure_timeout: calls.departure_timeout_s,
            max_participants: calls.max_participants,
            enable_remote_unmute: calls.enable_remote_unmute,
            participants_per_shard: calls.participants_per_shard,
            sync_streams: calls.sync_streams,
            playout_delay: PlayoutDelay::default(),
            update_batch_target_size: calls.update_batch_bytes,
            room_configurations: BTreeMap::new(),
            enabled_codecs: Vec::new(),
        }
    }
}

impl Room {
    /// The same for the domain.
    pub(crate) fn calls(&self) -> calls::Config {
        let mut config = calls::Config {
            auto_create: self.auto_create,
            empty_timeout_s: self.empty_timeout,
            departure_timeout_s: self.departure_timeout,
            max_participants: self.max_participants,
            enable_remote_unmute: self.enable_remote_unmute,
            participants_per_shard: self.participants_per_shard,
            sync_streams: self.sync_streams,
            update_batch_bytes: self.update_batch_target_size,
            presets: self.room_configurations.iter().map(preset).collect(),
            ..calls::Config::default()
        };
        if self.playout_delay.enabled {
            config.min_playout_delay_ms = self.playout_delay.min;
            config.max_playout_delay_ms = self.playout_delay.max;
        }
        if !self.enabled_codecs.is_empty() {
            config.enabled_codecs = self.enabled_codecs.iter().map(|c| c.mime.clone()).collect();
        }
        config
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let delays = self.room_configurations.values();
        let delays = delays.map(|preset| (preset.min_playout_delay, preset.max_playout_delay));
        let all = (self.playout_delay.min, self.playout_delay.max);
        // Without a greatest one the least is enough.
        let crossed = |(min, max): (u32, u32)| max > 0 && min > max;
        if delays.chain([all]).any(crossed) { Err(ConfigError::PlayoutDelay) } else { Ok(()) }
    }

    /// The same for the conversations.
    pub(crate) fn apply(&self, settings: &mut Settings) {
        if !self.enabled_codecs.is_empty() {
            let codec = |codec: &EnabledCodec| proto::Codec {
                mime: codec.mime.clone(),
                fmtp_line: codec.fmtp_line.clone(),
            };
            settings.enabled_codecs = self.enabled_codecs.iter().map(codec).collect();
        }
    }
}

fn preset((name, one): (&String, &RoomConfiguration)) -> (String, calls::RoomConfig) {
    let config = calls::RoomConfig {
        empty_timeout_s: one.empty_timeout,
        departure_timeout_s: one.departure_timeout,
        max_participants: one.max_participants,
        metadata: one.metadata.clone(),
        min_playout_delay_ms: one.min_playout_delay,
        max_playout_delay_ms: one.max_playout_delay,
        sync_streams: one.sync_streams,
    };
    (name.clone(), config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_rooms_and_conversations() {
        let yaml = "{auto_create: false, empty_timeout: 1, departure_timeout: 2, \
                    max_participants: 3, enabled_codecs: [{mime: audio/opus}, \
                    {mime: video/H264, fmtp_line: profile-level-id=42001f}]}";
        let room: Room = ringway_settings::parse(yaml, "x.yaml".as_ref()).unwrap();
        let calls = room.calls();
        let numbers = (calls.empty_timeout_s, calls.departure_timeout_s, calls.max_participants);
        assert_eq!((calls.auto_create, numbers), (false, (1, 2, 3)));
        assert_eq!(calls.enabled_codecs, ["audio/opus", "video/H264"]);
        assert_eq!(calls.max_playout_delay_ms, 0);
        let mut settings = Settings::default();
        room.apply(&mut settings);
        let lines: Vec<_> = settings.enabled_codecs.iter().map(|c| c.fmtp_line.as_str()).collect();
        assert_eq!(lines, ["", "profile-level-id=42001f"]);
    }

    #[test]
    fn presets_and_delays_reach_rooms() {
        let yaml = "{sync_streams: true, playout_delay: {enabled: true, min: 1, max: 2}, \
                    update_batch_target_size: 3, room_configurations: {small: \
                    {max_participants: 4, metadata: m, min_playout_delay: 5, \
                    max_playout_delay: 6}}}";
        let room: Room = ringway_settings::parse(yaml, "x.yaml".as_ref()).unwrap();
        let calls = room.calls();
        let delays = (calls.min_playout_delay_ms, calls.max_playout_delay_ms);
        assert_eq!((calls.sync_streams, delays, calls.update_batch_bytes), (true, (1, 2), 3));
        let small = &calls.presets["small"];
        assert_eq!((small.max_participants, small.metadata.as_str()), (4, "m"));
        assert_eq!((small.min_playout_delay_ms, small.max_playout_delay_ms), (5, 6));
    }

    #[test]
    fn defaults_change_nothing() {
        let mut settings = Settings::default();
        Room::default().apply(&mut settings);
        assert_eq!(settings, Settings::default());
        assert_eq!(Room::default().calls(), calls::Config::default());
    }
}
