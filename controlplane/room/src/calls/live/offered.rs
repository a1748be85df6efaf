//! Which track an offered media section carries. Pure look-ups: nothing is changed here.

use std::sync::Arc;

use super::track::PendingTrack;
use super::{LiveParticipant, LiveRoom, codecs};
use crate::calls::{MediaMatch, OfferedMedia, TrackInfo};
use crate::id::ParticipantSid;

/// A track that an offered section may carry though the client calls the media otherwise.
struct Guess {
    /// Since when its media is waited for.
    since_ms: u64,
    info: Arc<TrackInfo>,
}

impl LiveRoom {
    /// See [`crate::calls::Calls::match_media`].
    pub(crate) fn match_media(
        &self,
        participant: ParticipantSid,
        offered: &OfferedMedia<'_>,
    ) -> MediaMatch {
        let Some(participant) = self.participants.get(&participant) else {
            return MediaMatch::Unknown;
        };
        let mut published = participant.published.iter().filter_map(|sid| self.tracks.get(sid));
        if let Some(track) = published.find(|track| track.is_called(offered.cid)) {
            return MediaMatch::Track(Arc::clone(&track.info));
        }
        if participant.abandoned.iter().any(|gone| gone == offered.cid) {
            return MediaMatch::Abandoned;
        }
        let mut pending = participant.free_pending(offered);
        if let Some(info) =
            pending.find(|one| one.is_called(offered.cid)).and_then(PendingTrack::front)
        {
            return MediaMatch::Track(Arc::new(info.clone()));
        }
        // A browser may change a track's id when it is added to the connection. What was announced
        // first is offered first; of two in the same instant LiveKit takes the new track.
        let (new, other) = (participant.guess_pending(offered), self.guess(participant, offered));
        let other_first =
            |new: &Guess| other.as_ref().is_some_and(|other| other.since_ms < new.since_ms);
        let new = new.filter(|new| !other_first(new));
        match new.or(other) {
            Some(guess) => MediaMatch::Track(guess.info),
            None => MediaMatch::Unknown,
        }
    }

    /// A published track that waits for the media of another codec, and the section names that
    /// codec. The track comes with the section's cid noted, so that its codec is found by it.
    fn guess(&self, participant: &LiveParticipant, offered: &OfferedMedia<'_>) -> Option<Guess> {
        let published = participant.published.iter().filter_map(|sid| self.tracks.get(sid));
        let guesses = published.filter_map(|track| {
            // Sections that the room has not been told of yet may carry the codec already.
            let sections = offered.claimed.iter().filter(|sid| **sid == track.info.sid).count();
            let told = track.info.codecs.iter().filter(|codec| !codec.mid.is_empty()).count();
            let at = track.info.codecs.iter().position(|codec| {
                let named = |mime: &&str| codecs::is_mime(mime, &codec.mime_type);
                codec.mid.is_empty() && !codec.cid.is_empty() && offered.mimes.iter().any(named)
            });
            let at = at.filter(|_| sections <= told)?;
            Some((track, at))
        });
        let (track, at) = guesses.min_by_key(|(track, _)| track.codecs_since_ms)?;
        let mut info = track.info.as_ref().clone();
        offered.cid.clone_into(&mut info.codecs[at].sdp_cid);
        Some(Guess { since_ms: track.codecs_since_ms, info: Arc::new(info) })
    }
}

impl LiveParticipant {
    /// Announced tracks that no section carries yet.
    fn free_pending(&self, offered: &OfferedMedia<'_>) -> impl Iterator<Item = &PendingTrack> {
        self.pending.iter().filter(move |pending| {
            let free = |info: &TrackInfo| !offered.claimed.contains(&info.sid);
            !pending.queued && pending.front().is_some_and(free)
        })
    }

    fn guess_pending(&self, offered: &OfferedMedia<'_>) -> Option<Guess> {
        self.free_pending(offered).find_map(|pending| {
            let info = pending.front().filter(|info| info.kind == offered.kind)?;
            Some(Guess { since_ms: pending.since_ms, info: Arc::new(info.clone()) })
        })
    }
}
