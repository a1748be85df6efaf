//! Tracks that go back to their backup codec for everybody, so that their publisher encodes once.

use super::LiveRoom;
use crate::calls::turn::Turn;
use crate::calls::{BackupCodecPolicy, Notice, TrackInfo};
use crate::id::TrackSid;

impl LiveRoom {
    /// Media of a track's codec is there. If it is a backup codec, and the publisher does not want
    /// to send both for long, everybody receives it from now on; what nobody wants any more is
    /// given up as layers are.
    pub(super) fn regress(&mut self, turn: &mut Turn<'_>, sid: TrackSid, codec: usize) {
        let participants = self.participants.len();
        let Some(track) = self.tracks.get_mut(&sid) else { return };
        if codec == 0 || !regresses(turn, &track.info, participants) {
            return;
        }
        track.regressed = Some(codec);
        let Some(mime_type) = track.info.codecs.get(codec).map(|codec| codec.mime_type.clone())
        else {
            return;
        };
        let subscribers: Vec<_> = track.subscribers.iter().copied().collect();
        for subscriber in subscribers {
            if self.set_codec(turn, subscriber, sid, codec) {
                let mime_type = mime_type.clone();
                turn.tell(subscriber, Notice::ReceiveCodec { track: sid, mime_type });
            }
        }
    }
}

fn regresses(turn: &Turn<'_>, info: &TrackInfo, participants: usize) -> bool {
    let threshold = turn.config.codec_regression_threshold;
    match info.backup_codec_policy {
        BackupCodecPolicy::Simulcast => false,
        BackupCodecPolicy::Regression => true,
        BackupCodecPolicy::PreferRegression => threshold == 0 || participants < threshold,
    }
}
