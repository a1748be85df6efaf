//! `room`: how rooms are made and end, and what is spoken in them. The names are LiveKit's.

use ringway_room::calls;
use ringway_signal::{Settings, proto};
use serde::{Deserialize, Serialize};

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
    /// Codecs that may be used; empty: all that there are.
    pub enabled_codecs: Vec<EnabledCodec>,
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
            ..calls::Config::default()
        };
        if !self.enabled_codecs.is_empty() {
            config.enabled_codecs = self.enabled_codecs.iter().map(|c| c.mime.clone()).collect();
        }
        config
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
        let mut settings = Settings::default();
        room.apply(&mut settings);
        let lines: Vec<_> = settings.enabled_codecs.iter().map(|c| c.fmtp_line.as_str()).collect();
        assert_eq!(lines, ["", "profile-level-id=42001f"]);
    }

    #[test]
    fn defaults_change_nothing() {
        let mut settings = Settings::default();
        Room::default().apply(&mut settings);
        assert_eq!(settings, Settings::default());
        assert_eq!(Room::default().calls(), calls::Config::default());
    }
}
