//! Who is told what about whom: participant updates, at once or gathered, and room updates.

use std::sync::Arc;

use super::{LiveParticipant, LiveRoom};
use crate::calls::turn::{Timer, Turn};
use crate::calls::{Notice, ParticipantInfo};
use crate::id::ParticipantSid;

/// LiveKit's pause between two updates about participants that do not publish. Longer: people
/// appear later. Shorter: a full house coming in costs everybody more messages.
const BATCH_INTERVAL_MS: u64 = 3_000;
/// LiveKit's pause between two updates of a room's counts.
const ROOM_UPDATE_INTERVAL_MS: u64 = 5_000;
/// For how long departures are remembered for those who resume. Longer than any client goes on
/// trying to resume; who was away for longer, and missed one that is forgotten, joins anew.
const DEPARTED_MS: u64 = 60_000;
/// How many departures are remembered.
const DEPARTED_MAX: usize = 1_000;
/// What a client heard last before its connection broke is not known better than this; LiveKit's.
const HEARD_MARGIN_MS: u64 = 3_000;

/// Somebody who left.
#[derive(Debug)]
pub(super) struct Departed {
    at_ms: u64,
    info: Arc<ParticipantInfo>,
}

impl LiveRoom {
    /// One participant as others see it.
    pub(crate) fn participant_info(&mut self, sid: ParticipantSid) -> Option<Arc<ParticipantInfo>> {
        let participant = self.participants.get_mut(&sid)?;
        let sids = std::mem::take(&mut participant.published);
        let tracks = sids.iter().filter_map(|sid| self.tracks.get(sid)).map(|track| &track.info);
        let info = participant.share(tracks);
        participant.published = sids;
        Some(info)
    }

    /// Everybody, or only those whom others may know of, but for `except`.
    pub(crate) fn participant_infos(
        &mut self,
        except: Option<ParticipantSid>,
        hidden: bool,
    ) -> Vec<Arc<ParticipantInfo>> {
        let wanted = self.participants.values().filter(|p| hidden || !p.is_hidden());
        let sids: Vec<_> = wanted.map(|p| p.sid).filter(|sid| Some(*sid) != except).collect();
        sids.into_iter().filter_map(|sid| self.participant_info(sid)).collect()
    }

    /// Tells everybody how a participant is now: at once if it publishes or if `at_once`, else
    /// with the next batch. A hidden participant alone is told.
    pub(super) fn announce(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, at_once: bool) {
        let Some(info) = self.participant_info(sid) else { return };
        let hidden = self.participants.get(&sid).is_none_or(|participant| participant.is_hidden());
        if hidden {
            let update = Arc::new(vec![info]);
            return turn.tell(sid, Notice::ParticipantUpdate(update));
        }
        self.announce_info(turn, info, at_once);
    }

    /// As [`LiveRoom::announce`], for a state that may be the last one.
    pub(super) fn announce_info(
        &mut self,
        turn: &mut Turn<'_>,
        info: Arc<ParticipantInfo>,
        at_once: bool,
    ) {
        if at_once || info.is_publisher {
            self.batch.shift_remove(&info.identity);
            let everybody = self.participants.keys().copied().collect();
            return turn.tell_all(everybody, Notice::ParticipantUpdate(Arc::new(vec![info])));
        }
        self.batch.insert(info.identity.clone(), info);
        if !self.batch_armed {
            self.batch_armed = true;
            turn.after(BATCH_INTERVAL_MS, Timer::Batch(self.sid()));
        }
    }

    /// Sends what was gathered, in pieces of about the configured size.
    pub(super) fn flush_batch(&mut self, turn: &mut Turn<'_>) {
        self.batch_armed = false;
        let gathered = std::mem::take(&mut self.batch);
        let everybody: Vec<ParticipantSid> = self.participants.keys().copied().collect();
        let mut piece = Vec::new();
        let mut bytes = 0;
        for (_, info) in gathered {
            let weight = weight(&info);
            if !piece.is_empty() && bytes + weight > turn.config.update_batch_bytes {
                let full = std::mem::take(&mut piece);
                turn.tell_all(everybody.clone(), Notice::ParticipantUpdate(Arc::new(full)));
                bytes = 0;
            }
            bytes += weight;
            piece.push(info);
        }
        if !piece.is_empty() {
            turn.tell_all(everybody, Notice::ParticipantUpdate(Arc::new(piece)));
        }
    }

    /// Tells those whose protocol knows no change of sessions that an identity's old session is
    /// over; the others see it in the new session's update.
    pub(super) fn announce_replaced(&mut self, turn: &mut Turn<'_>, info: Arc<ParticipantInfo>) {
        self.batch.shift_remove(&info.identity);
        let old = self.participants.values().filter(|p| p.client.protocol <= 11).map(|p| p.sid);
        turn.tell_all(old.collect(), Notice::ParticipantUpdate(Arc::new(vec![info])));
    }

    /// Remembers somebody who left, for those who cannot hear it now.
    pub(super) fn remember(&mut self, now_ms: u64, info: Arc<ParticipantInfo>) {
        while self.departed.len() >= DEPARTED_MAX
            || self.departed.front().is_some_and(|d| d.at_ms + DEPARTED_MS < now_ms)
        {
            let forgotten = self.departed.pop_front().map(|departed| departed.at_ms);
            self.forgotten_ms = self.forgotten_ms.max(forgotten);
        }
        // Who became hidden and then left is gone once.
        self.departed.retain(|departed| departed.info.sid != info.sid);
        self.departed.push_back(Departed { at_ms: now_ms, info });
    }

    /// Whether everybody is still remembered who left since a client's connection ended at
    /// `closed_ms`. What ended unnoticed ended a short time ago.
    pub(super) fn remembers_since(&self, closed_ms: Option<u64>) -> bool {
        let heard_ms = closed_ms.map_or(u64::MAX, |ms| ms.saturating_sub(HEARD_MARGIN_MS));
        self.forgotten_ms.is_none_or(|forgotten_ms| forgotten_ms < heard_ms)
    }

    /// Who left since a client could last hear of it, and did not come back; for a client whose
    /// protocol knows no change of sessions also the old sessions of those who did. `closed_ms`
    /// is when its connection ended, if that was noticed.
    pub(super) fn departed_since(
        &self,
        client: &LiveParticipant,
        closed_ms: Option<u64>,
    ) -> Vec<Arc<ParticipantInfo>> {
        let protocol = client.client.protocol;
        let since_ms = closed_ms.map_or(0, |ms| ms.saturating_sub(HEARD_MARGIN_MS));
        let missed = self.departed.iter().filter(|departed| departed.at_ms >= since_ms);
        // Who became hidden left for the others, not for itself.
        let others = missed.filter(|departed| departed.info.identity != client.identity);
        let gone = others.filter(|departed| {
            protocol <= 11 && !self.participants.contains_key(&departed.info.sid)
                || !self.is_visible(&departed.info.identity)
        });
        gone.map(|departed| Arc::clone(&departed.info)).collect()
    }

    fn is_visible(&self, identity: &str) -> bool {
        let present = self.identities.get(identity).and_then(|sid| self.participants.get(sid));
        present.is_some_and(|participant| !participant.is_hidden())
    }

    /// The room's counts have changed: tells everybody soon, or now.
    pub(super) fn room_changed(&mut self, turn: &mut Turn<'_>, at_once: bool) {
        self.shared = None;
        if at_once {
            self.update_armed = false;
            return self.send_room_update(turn);
        }
        if !self.update_armed {
            self.update_armed = true;
            turn.after(ROOM_UPDATE_INTERVAL_MS, Timer::RoomUpdate(self.sid()));
        }
    }

    pub(super) fn send_room_update(&mut self, turn: &mut Turn<'_>) {
        let everybody = self.participants.keys().copied().collect();
        let info = self.share_info();
        turn.tell_all(everybody, Notice::RoomUpdate(info));
    }

    /// Replaces the application's text.
    pub(crate) fn set_metadata(&mut self, turn: &mut Turn<'_>, metadata: String) {
        if self.info.metadata != metadata {
            self.info.metadata = metadata;
            self.room_changed(turn, true);
        }
    }

    /// Counts again what is told about the room, and says whether that changed.
    pub(super) fn count(&mut self, delta: Delta) {
        let shift = |count: &mut u32, by: i32| *count = count.saturating_add_signed(by);
        shift(&mut self.info.num_participants, delta.participants);
        shift(&mut self.info.num_publishers, delta.publishers);
        shift(&mut self.recorders, delta.recorders);
        self.info.active_recording = self.recorders > 0;
        self.shared = None;
    }

    /// One fresh token, and a wish to be woken for the next one.
    pub(super) fn refresh_token(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        /// LiveKit's: half the shortest life of such a token.
        const INTERVAL_MS: u64 = 300_000;
        self.send_token(turn, sid);
        if self.participants.contains_key(&sid) {
            turn.after(INTERVAL_MS, Timer::Refresh(sid));
        }
    }

    /// One fresh token.
    pub(super) fn send_token(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        if let Some(participant) = self.participants.get(&sid) {
            let claims = participant.claims(turn.unix_ms());
            turn.tell(sid, Notice::RefreshToken(Box::new(claims)));
        }
    }
}

/// How counts of a room change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delta {
    pub(super) participants: i32,
    pub(super) publishers: i32,
    pub(super) recorders: i32,
}

/// Bytes of a participant in an update, about.
fn weight(info: &ParticipantInfo) -> usize {
    const FIXED: usize = 160;
    const PER_TRACK: usize = 320;
    const PER_DATA_TRACK: usize = 96;
    let attributes: usize = info.attributes.iter().map(|(k, v)| k.len() + v.len() + 8).sum();
    let texts = info.identity.len() + info.name.len() + info.metadata.len();
    let data_tracks = info.data_tracks.len() * PER_DATA_TRACK;
    FIXED + texts + attributes + info.tracks.len() * PER_TRACK + data_tracks
}
