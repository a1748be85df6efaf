//! How well participants are connected: the worst score of all tracks that one sends and receives,
//! told to it and to those who receive from it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use indexmap::IndexSet;

use super::codecs;
use super::score::{BEST, Score, WINDOW_MS, grade, mos};
use super::speakers::{CHUNK, chosen};
use super::track::LiveTrack;
use super::{LiveParticipant, LiveRoom};
use crate::calls::turn::{Timer, Turn};
use crate::calls::{
    ConnectionQuality, ConnectionQualityInfo, Notice, TrackKind, TrackQuality, VideoQuality,
};
use crate::id::{ParticipantSid, TrackSid};

/// Who speaks one of these protocols is never told to be lost, as with LiveKit: such clients do not
/// know the word. WHIP has no number.
const WITHOUT_LOST: RangeInclusive<i32> = 1..=10;

impl LiveRoom {
    /// Tracks travelled like this in the last window.
    pub(crate) fn track_quality(&mut self, turn: &mut Turn<'_>, measured: &[TrackQuality]) {
        let mut concerned = IndexSet::new();
        for window in measured {
            let Some(track) = self.tracks.get_mut(&window.track) else { continue };
            let participant = self.participants.get_mut(&window.participant);
            let Some(participant) = participant else { continue };
            if participant.judge(turn.now_ms, track, window) {
                concerned.insert(window.participant);
            }
        }
        self.regrade(turn, concerned);
    }

    /// A track is muted or no longer is: nobody lacks anything of it, and later everybody may.
    pub(super) fn rejudge_muted(&mut self, turn: &mut Turn<'_>, sid: TrackSid) {
        let Some(track) = self.tracks.get_mut(&sid) else { return };
        if !track.info.muted {
            track.resumed_ms = turn.now_ms;
            return;
        }
        let mut relieved = Vec::new();
        for who in track.subscribers.iter().copied().chain([track.publisher]) {
            let score = self.participants.get_mut(&who).and_then(|p| p.scores.get_mut(&sid));
            if let Some(score) = score {
                score.mute();
                relieved.push(who);
            }
        }
        self.regrade(turn, relieved);
    }

    /// The publisher of a track was told to send other layers of the codec that counts.
    pub(super) fn rejudge_wanted(&mut self, now_ms: u64, sid: TrackSid, before: VideoQuality) {
        let track = self.tracks.get_mut(&sid).filter(|track| track.heeds_demand());
        let Some(track) = track else { return };
        let codec = track.active_codec();
        let told = track.demand.told(codec);
        if let Some(measured) = track.measured.get_mut(codec) {
            measured.note_missing(now_ms, &track.info, codec, told);
        }
        if before == VideoQuality::Off {
            track.resumed_ms = now_ms;
        } else if told == VideoQuality::Off
            && let Some(publisher) = self.participants.get_mut(&track.publisher)
            && let Some(score) = publisher.scores.get_mut(&sid)
        {
            score.idle();
        }
    }

    /// A track that somebody receives is held back for want of bandwidth, or goes on.
    pub(super) fn rejudge_held_back(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        track: TrackSid,
        held_back: bool,
    ) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        if held_back {
            participant.score_of(turn.now_ms, track).hold_back();
            self.regrade(turn, [sid]);
        }
    }

    /// Wishes for the next look at everybody.
    pub(super) fn arm_quality(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::replace(&mut self.quality_armed, true) {
            turn.after(WINDOW_MS, Timer::Quality(self.sid()));
        }
    }

    /// Looks at those too of whom nothing is measured: who is alone, listens to silence or is muted
    /// is connected well as far as anybody knows, and clients that hear nothing show nothing.
    pub(super) fn check_quality(&mut self, turn: &mut Turn<'_>) {
        self.quality_armed = false;
        let everybody: Vec<_> = self.participants.keys().copied().collect();
        self.regrade(turn, everybody);
    }

    /// Tells whose connection is another one than was told. Who is not connected well is looked at
    /// again, since tracks that end or are muted may take the reason with them.
    fn regrade(&mut self, turn: &mut Turn<'_>, of: impl IntoIterator<Item = ParticipantSid>) {
        let (mut changed, mut impaired) = (Vec::new(), false);
        for sid in of {
            let participant = self.participants.get_mut(&sid).filter(|p| p.is_active());
            let Some(participant) = participant else { continue };
            let quality = participant.grade();
            impaired |= quality != ConnectionQuality::Excellent;
            if participant.quality.replace(quality) != Some(quality) {
                changed.extend(participant.quality_info());
            }
        }
        if impaired {
            self.arm_quality(turn);
        }
        self.send_quality(turn, &changed);
    }

    fn send_quality(&self, turn: &mut Turn<'_>, changed: &[ConnectionQualityInfo]) {
        for chunk in changed.chunks(CHUNK) {
            let sids: Vec<_> = chunk.iter().map(|info| info.participant).collect();
            for (mask, to) in self.audiences(&sids) {
                turn.tell_all(to, Notice::ConnectionQuality(Arc::new(chosen(chunk, mask))));
            }
        }
    }
}

impl LiveParticipant {
    /// Takes a window of a track, if it says something about the connection; whether the
    /// participant is concerned by it at all.
    fn judge(&mut self, now_ms: u64, track: &mut LiveTrack, window: &TrackQuality) -> bool {
        let wish = self.subscriptions.get(&window.track).filter(|wish| wish.is_served());
        let (flows, since_ms, missing) = if track.publisher == self.sid {
            let Some((wanted, missing)) = track.sent(now_ms, window.mime_type) else {
                return false;
            };
            (wanted, 0, missing)
        } else {
            let Some(wish) = wish else { return false };
            (wish.flows(), wish.resumed_ms(), f64::from(window.lacking_permille) / 1_000.0)
        };
        if flows && !track.info.muted {
            let since_ms = since_ms.max(track.resumed_ms);
            let score = self.score_of(now_ms, window.track);
            score.judge(now_ms, since_ms, window, &track.info, missing);
        }
        true
    }

    fn score_of(&mut self, now_ms: u64, track: TrackSid) -> &mut Score {
        self.scores.entry(track).or_insert_with(|| Score::new(now_ms))
    }

    fn points(&self) -> f64 {
        self.scores.values().map(Score::points).fold(BEST, f64::min)
    }

    /// In a word.
    fn grade(&self) -> ConnectionQuality {
        let knows_lost = !WITHOUT_LOST.contains(&self.client.protocol);
        match grade(self.points()) {
            ConnectionQuality::Lost if !knows_lost => ConnectionQuality::Poor,
            grade => grade,
        }
    }

    /// What others are told about its connection, if anything is known.
    pub(super) fn quality_info(&self) -> Option<ConnectionQualityInfo> {
        let quality = self.quality?;
        Some(ConnectionQualityInfo { participant: self.sid, quality, score: mos(self.points()) })
    }
}

impl LiveTrack {
    /// Whether its publisher is told which codecs and layers anybody wants.
    fn heeds_demand(&self) -> bool {
        self.info.kind == TrackKind::Video || self.info.codecs.len() > 1
    }

    /// Whether the publisher was asked for a codec, and how many layers of it were missing in the
    /// last window; nothing where it is not the codec that counts.
    fn sent(&mut self, now_ms: u64, mime_type: &str) -> Option<(bool, f64)> {
        if !self.heeds_demand() {
            return Some((true, 0.0));
        }
        let codec = self.active_codec();
        let others = self.info.codecs.len() > 1;
        if others && codecs::position(&self.info, mime_type) != Some(codec) {
            return None;
        }
        let missing = self.measured.get_mut(codec).map(|measured| measured.take_missing(now_ms));
        Some((self.demand.told(codec) != VideoQuality::Off, missing.unwrap_or(0.0)))
    }
}
