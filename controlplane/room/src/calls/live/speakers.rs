//! Who speaks: levels of tracks become speakers, and those who receive a speaker are told.

use std::cmp::Ordering;
use std::sync::Arc;

use indexmap::IndexMap;

use super::LiveRoom;
use crate::calls::turn::{Timer, Turn};
use crate::calls::{AudioLevel, Notice, SpeakerInfo, TrackSource};
use crate::id::ParticipantSid;

/// LiveKit's steps of a level: small changes are not worth a message.
const LEVEL_STEPS: f32 = 8.0;
/// LiveKit's level of a simulated speaker.
const PRETENCE_LEVEL: f32 = 0.9;
/// How long a simulated speaker speaks at most, s.
const PRETENCE_S_MAX: u32 = 3_600;
/// People that one message is about, at most: one bit each tells who receives them.
pub(super) const CHUNK: usize = 64;

impl LiveRoom {
    /// Tracks are as loud as this now.
    pub(crate) fn audio_levels(&mut self, turn: &mut Turn<'_>, levels: &[AudioLevel]) {
        let mut concerned: IndexMap<ParticipantSid, ()> = IndexMap::new();
        for level in levels {
            let Some(track) = self.tracks.get_mut(&level.track) else { continue };
            let speaks = level.active && !track.info.muted && level.level.is_finite();
            track.level = speaks.then(|| level.level.clamp(0.0, 1.0));
            concerned.insert(track.publisher, ());
        }
        let concerned: Vec<_> = concerned.into_keys().collect();
        self.level_changed(turn, &concerned);
    }

    /// Tracks of these have become louder, or quieter, or fewer.
    pub(super) fn level_changed(&mut self, turn: &mut Turn<'_>, publishers: &[ParticipantSid]) {
        let mut changed = Vec::new();
        for sid in publishers {
            let level = self.level_of(*sid).map(|l| (l * LEVEL_STEPS).ceil() / LEVEL_STEPS);
            if self.speakers.get(sid).copied() == level {
                continue;
            }
            match level {
                Some(level) => self.speakers.insert(*sid, level),
                None => self.speakers.remove(sid),
            };
            let (active, level) = (level.is_some(), level.unwrap_or(0.0));
            changed.push(SpeakerInfo { sid: *sid, level, active });
        }
        let louder = |a: &SpeakerInfo, b: &SpeakerInfo| {
            b.level.partial_cmp(&a.level).unwrap_or(Ordering::Equal)
        };
        changed.sort_by(louder);
        for chunk in changed.chunks(CHUNK) {
            let sids: Vec<_> = chunk.iter().map(|speaker| speaker.sid).collect();
            for (mask, to) in self.audiences(&sids) {
                let speakers = Arc::new(chosen(chunk, mask));
                turn.tell_all(to, Notice::SpeakersChanged(speakers));
            }
        }
    }

    /// Tells that a participant speaks, whatever is heard of it, for so long.
    pub(super) fn pretend_to_speak(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        seconds: u32,
    ) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        let for_ms = u64::from(seconds.min(PRETENCE_S_MAX)) * 1000;
        let ends_ms = turn.now_ms.saturating_add(for_ms);
        // One timer at a time, however often a client wishes for this.
        if participant.pretends_until_ms.replace(ends_ms).is_none() {
            turn.after(for_ms, Timer::Pretence(sid));
        }
        self.tell_speaker(turn, SpeakerInfo { sid, level: PRETENCE_LEVEL, active: true });
    }

    /// A participant may have pretended for long enough; then it speaks as loud as it does.
    pub(super) fn check_pretence(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        let Some(ends_ms) = participant.pretends_until_ms else { return };
        if ends_ms > turn.now_ms {
            return turn.after(ends_ms - turn.now_ms, Timer::Pretence(sid));
        }
        participant.pretends_until_ms = None;
        let level = self.speakers.get(&sid).copied();
        let (active, level) = (level.is_some(), level.unwrap_or(0.0));
        self.tell_speaker(turn, SpeakerInfo { sid, level, active });
    }

    fn tell_speaker(&self, turn: &mut Turn<'_>, speaker: SpeakerInfo) {
        let speakers = Arc::new(vec![speaker]);
        for (_, to) in self.audiences(&[speaker.sid]) {
            turn.tell_all(to, Notice::SpeakersChanged(Arc::clone(&speakers)));
        }
    }

    /// How loud somebody speaks. Microphones alone count: who shares a film does not speak, and
    /// layouts that follow the speaker must not go there.
    fn level_of(&self, sid: ParticipantSid) -> Option<f32> {
        let participant = self.participants.get(&sid)?;
        let tracks = participant.published.iter().filter_map(|track| self.tracks.get(track));
        let voices = tracks.filter(|track| track.info.source == TrackSource::Microphone);
        voices.filter_map(|track| track.level).reduce(f32::max)
    }

    /// Who is told about whom: each of `about` (at most [`CHUNK`]) and those who receive a track
    /// of it, put together where they are told about the same ones. Bit i is `about[i]`.
    pub(super) fn audiences(&self, about: &[ParticipantSid]) -> IndexMap<u64, Vec<ParticipantSid>> {
        let mut masks: IndexMap<ParticipantSid, u64> = IndexMap::new();
        for (bit, sid) in about.iter().enumerate() {
            let Some(participant) = self.participants.get(sid) else { continue };
            let mut tell = |to: ParticipantSid| *masks.entry(to).or_default() |= 1 << bit;
            tell(*sid);
            let tracks = participant.published.iter().filter_map(|track| self.tracks.get(track));
            tracks.flat_map(|track| &track.subscribers).copied().for_each(tell);
        }
        let mut groups: IndexMap<u64, Vec<ParticipantSid>> = IndexMap::new();
        for (sid, mask) in masks {
            groups.entry(mask).or_default().push(sid);
        }
        groups
    }
}

/// Those of `all` whose bit is set.
pub(super) fn chosen<T: Copy>(all: &[T], mask: u64) -> Vec<T> {
    let is_set = |(bit, _): &(usize, &T)| mask & (1 << bit) != 0;
    all.iter().enumerate().filter(is_set).map(|(_, item)| *item).collect()
}
