//! Coming in: joins, resumes, and becoming active.

use std::sync::Arc;

use super::announce::Delta;
use super::{LiveParticipant, LiveRoom};
use crate::calls::turn::{Timer, Turn};
use crate::calls::{
    Admission, DisconnectReason, Fact, Join, Joined, LeaveAction, ParticipantKind,
    ParticipantState, Refusal,
};
use crate::id::ParticipantSid;

/// LiveKit's patience with a participant whose media never connects.
const ACTIVE_TIMEOUT_MS: u64 = 60_000;
/// How long a resumed session may take to connect again before its client is told to try once
/// more: the SDKs' own limit for that.
const RESUME_TIMEOUT_MS: u64 = 15_000;
/// From here on clients take tracks in the first offer.
const FAST_START_PROTOCOL: i32 = 8;

impl LiveRoom {
    /// Whether `join` may come in; `identity` is the one that it would have.
    pub(crate) fn admits(&self, join: &Join, identity: &str) -> Result<(), Refusal> {
        let present = self.sid_of(identity).and_then(|sid| self.participants.get(&sid));
        if let Some(reconnect) = join.reconnect {
            let same = |p: &LiveParticipant| reconnect.sid.is_none_or(|sid| sid == p.sid);
            let up_to_date = |p: &LiveParticipant| self.remembers_since(p.signal_closed_ms);
            return match present.filter(|p| same(p) && up_to_date(p)) {
                Some(_) => Ok(()),
                None => Err(Refusal::StateMismatch),
            };
        }
        let limit = self.info.max_participants;
        // Who takes the place of a session of the same identity needs no further place.
        let taken = present.filter(|p| p.counts()).map_or(0, |_| 1);
        let newcomer = join.would_count();
        if newcomer && limit > 0 && self.info.num_participants - taken >= limit {
            return Err(Refusal::RoomFull);
        }
        Ok(())
    }

    /// Takes in a new session that [`LiveRoom::admits`].
    pub(crate) fn join(&mut self, turn: &mut Turn<'_>, join: Join, shard: u16) -> Option<Joined> {
        let sid = ParticipantSid::from_random(turn.random.bytes());
        let region = turn.config.region.clone();
        let participant = LiveParticipant::new(sid, shard, region, join, turn.unix_ms());
        let replaced = self.replace(turn, &participant);
        let delta = Delta {
            participants: i32::from(participant.counts()),
            publishers: 0,
            recorders: i32::from(participant.is_recorder()),
        };
        let recording = self.info.active_recording;
        let fast = participant.client.protocol >= FAST_START_PROTOCOL;
        self.visited |= participant.counts();
        turn.index.participants.insert(sid, self.sid());
        self.identities.insert(participant.identity.clone(), sid);
        self.participants.insert(sid, participant);
        self.count(delta);
        turn.after(ACTIVE_TIMEOUT_MS, Timer::Active(sid));
        let info = self.participant_info(sid)?;
        let joined = Joined {
            admission: Admission::New,
            participant: info,
            room: self.share_info(),
            others: self.participant_infos(Some(sid), false),
            shard,
            sif_trailer: self.sif_trailer.clone(),
        };
        self.refresh_token(turn, sid);
        self.announce(turn, sid, replaced);
        self.room_changed(turn, recording != self.info.active_recording);
        if fast {
            self.subscribe_to_existing(turn, sid);
        }
        Some(joined)
    }

    /// Ends the session whose identity comes again, and what others have not heard of an earlier
    /// one; true if there was one. Others see the change in the new session's first update, unless
    /// it is hidden.
    fn replace(&mut self, turn: &mut Turn<'_>, by: &LiveParticipant) -> bool {
        let mut last = self.batch.get(&by.identity).cloned();
        if let Some(old) = self.sid_of(&by.identity) {
            let reason = DisconnectReason::DuplicateIdentity;
            last = match self.remove(turn, old, reason, LeaveAction::Disconnect) {
                Some((info, false)) => Some(info),
                _ => last,
            };
        }
        let Some(last) = last else { return false };
        self.remember(turn.now_ms, Arc::clone(&last));
        match by.is_hidden() {
            true => self.announce_info(turn, last, true),
            false => self.announce_replaced(turn, last),
        }
        true
    }

    /// Takes up a session that [`LiveRoom::admits`].
    pub(crate) fn resume(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) -> Option<Joined> {
        let participant = self.participants.get_mut(&sid)?;
        let shard = participant.shard;
        let closed_ms = participant.signal_closed_ms.take();
        if participant.departs_at_ms.is_some() {
            participant.depart_after(turn, RESUME_TIMEOUT_MS, true);
        }
        let client = self.participants.get(&sid)?;
        let joined = Joined {
            admission: Admission::Resumed { departed: self.departed_since(client, closed_ms) },
            participant: self.participant_info(sid)?,
            room: self.share_info(),
            others: self.participant_infos(Some(sid), false),
            shard,
            sif_trailer: self.sif_trailer.clone(),
        };
        self.send_token(turn, sid);
        Some(joined)
    }

    /// A peer connection is up.
    pub(super) fn connected(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, primary: bool) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        participant.connected = true;
        participant.departs_at_ms = None;
        participant.told_first = false;
        if !primary || participant.is_active() {
            return;
        }
        participant.state = ParticipantState::Active;
        participant.touch();
        self.arm_quality(turn);
        self.announce(turn, sid, false);
        if let Some(info) = self.participant_info(sid) {
            let room = self.share_info();
            turn.fact(Fact::ParticipantJoined(room, info));
        }
        self.subscribe_to_existing(turn, sid);
        self.subscribe_to_existing_data(turn, sid);
    }

    /// A participant had its time to become active.
    pub(super) fn check_active(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        if self.participants.get(&sid).is_some_and(|participant| !participant.is_active()) {
            self.expel(turn, sid, DisconnectReason::JoinFailure, LeaveAction::Disconnect);
        }
    }
}

impl Join {
    /// The identity that a session has after this join.
    pub(crate) fn full_identity(&self) -> String {
        match &self.publish_only {
            Some(publish) => format!("{}#{publish}", self.identity),
            None => self.identity.clone(),
        }
    }

    /// As [`LiveParticipant::counts`].
    fn would_count(&self) -> bool {
        let grants = &self.grants;
        let serves = matches!(self.kind, ParticipantKind::Agent | ParticipantKind::Egress);
        !(serves || grants.agent || grants.recorder)
    }
}
