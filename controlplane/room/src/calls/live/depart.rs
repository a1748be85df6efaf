//! Going away: leaving, being removed, losing the connection; and the end of the room.

use std::sync::Arc;

use super::announce::Delta;
use super::{LiveParticipant, LiveRoom};
use crate::calls::turn::{Timer, Turn};
use crate::calls::{DisconnectReason, Fact, LeaveAction, Notice, ParticipantInfo, RoomEndReason};
use crate::id::ParticipantSid;

/// LiveKit's patience after a failed peer connection. Longer: people who are gone stay in the room
/// as frozen pictures. Shorter: a change of networks loses the session.
const DEPARTURE_MS: u64 = 5_000;

impl LiveParticipant {
    /// It is removed so much later, unless its media comes back; `told_first` as in the struct.
    pub(super) fn depart_after(&mut self, turn: &mut Turn<'_>, delay_ms: u64, told_first: bool) {
        self.departs_at_ms = Some(turn.now_ms.saturating_add(delay_ms));
        self.told_first = told_first;
        turn.after(delay_ms, Timer::Departure(self.sid));
    }
}

impl LiveRoom {
    /// The client leaves.
    pub(super) fn leave(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        reason: DisconnectReason,
    ) {
        self.expel(turn, sid, reason, LeaveAction::Disconnect);
    }

    /// A peer connection failed: the client may resume for a while.
    pub(super) fn failed(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        participant.depart_after(turn, DEPARTURE_MS, false);
        turn.tell(sid, Notice::CloseSignal);
    }

    /// The client closed a peer connection. As a rule it says next why it leaves, and could not if
    /// its signalling were closed here: LiveKit only notices 15 s later, when ICE fails.
    pub(super) fn closed(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        if participant.departs_at_ms.is_none() {
            participant.depart_after(turn, DEPARTURE_MS, true);
        }
    }

    /// The signalling connection ended. Who has media may resume as long as that lasts.
    pub(super) fn signal_closed(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        participant.signal_closed_ms.get_or_insert(turn.now_ms);
        if !participant.connected {
            self.expel(turn, sid, DisconnectReason::SignalClose, LeaveAction::Disconnect);
        }
    }

    /// A participant had its time to come back, or to say why it goes. One whose client can be told
    /// to come back is not told to go, since that is for good: its network may let media through
    /// in a moment.
    pub(super) fn check_departure(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get(&sid) else { return };
        if participant.departs_at_ms.is_none_or(|at_ms| at_ms > turn.now_ms) {
            return;
        }
        match participant.told_first && participant.signal_closed_ms.is_none() {
            true => self.failed(turn, sid),
            false => {
                let reason = DisconnectReason::ConnectionTimeout;
                self.expel(turn, sid, reason, LeaveAction::Disconnect);
            }
        }
    }

    /// Ends a session and tells the others.
    pub(crate) fn expel(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        reason: DisconnectReason,
        action: LeaveAction,
    ) {
        let publisher = self.participants.get(&sid).is_some_and(|p| p.is_publisher());
        let Some((info, hidden)) = self.remove(turn, sid, reason, action) else { return };
        if !hidden {
            self.remember(turn.now_ms, Arc::clone(&info));
            self.announce_info(turn, info, publisher);
        }
    }

    /// Ends a session without telling the others; its last state, and whether it was hidden.
    pub(super) fn remove(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        reason: DisconnectReason,
        action: LeaveAction,
    ) -> Option<(Arc<ParticipantInfo>, bool)> {
        self.participants.get(&sid)?;
        self.end_subscriptions(turn, sid);
        self.end_publications(turn, sid);
        let mut participant = self.participants.swap_remove(&sid)?;
        self.identities.remove(&participant.identity);
        turn.index.participants.remove(&sid);
        self.speakers.remove(&sid);
        let recording = self.info.active_recording;
        self.count(Delta {
            participants: -i32::from(participant.counts()),
            publishers: 0,
            recorders: -i32::from(participant.is_recorder()),
        });
        let was_active = participant.is_active();
        let info = participant.farewell(reason);
        turn.tell(sid, Notice::Leave { reason, action });
        let room = self.share_info();
        turn.fact(match was_active {
            true => Fact::ParticipantLeft(room, Arc::clone(&info)),
            false => Fact::ParticipantAborted(room, Arc::clone(&info)),
        });
        self.room_changed(turn, recording != self.info.active_recording);
        self.idle_since_ms = turn.now_ms;
        self.arm_idle(turn);
        Some((info, participant.is_hidden()))
    }

    /// When the room ends if nobody that counts comes; none while somebody is there.
    pub(crate) fn ends_at_ms(&self) -> Option<u64> {
        if self.info.num_participants > 0 {
            return None;
        }
        let timeout_s = match self.visited {
            true => self.info.departure_timeout_s,
            false => self.info.empty_timeout_s,
        };
        Some(self.idle_since_ms.saturating_add(u64::from(timeout_s) * 1000))
    }

    /// Wakes up when the room may end.
    pub(crate) fn arm_idle(&self, turn: &mut Turn<'_>) {
        if let Some(at_ms) = self.ends_at_ms() {
            turn.after(at_ms.saturating_sub(turn.now_ms), Timer::Idle(self.sid()));
        }
    }

    /// Ends all sessions, telling each of its own end only.
    pub(crate) fn expel_all(
        &mut self,
        turn: &mut Turn<'_>,
        reason: DisconnectReason,
        action: LeaveAction,
    ) {
        let room = self.share_info();
        let participants = std::mem::take(&mut self.participants);
        for (sid, mut participant) in participants {
            turn.index.participants.remove(&sid);
            let tracks: Vec<_> =
                participant.published.drain(..).filter_map(|t| self.tracks.remove(&t)).collect();
            let was_active = participant.is_active();
            let info = participant.farewell(reason);
            for track in tracks {
                turn.index.tracks.remove(&track.info.sid);
                let (room, info) = (Arc::clone(&room), Arc::clone(&info));
                turn.fact(Fact::TrackUnpublished(room, info, track.info));
            }
            turn.tell(sid, Notice::Leave { reason, action });
            let room = Arc::clone(&room);
            turn.fact(match was_active {
                true => Fact::ParticipantLeft(room, info),
                false => Fact::ParticipantAborted(room, info),
            });
        }
        self.identities.clear();
        self.tracks.clear();
        self.data_tracks.clear();
        self.awaited.clear();
        self.batch.clear();
        self.departed.clear();
        self.forgotten_ms = None;
        self.speakers.clear();
        self.recorders = 0;
        self.served = 0;
        self.info.num_participants = 0;
        self.info.num_publishers = 0;
        self.info.active_recording = false;
        self.shared = None;
        self.idle_since_ms = turn.now_ms;
    }

    /// Ends the room.
    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>, why: RoomEndReason) {
        let reason = match why {
            RoomEndReason::ApiDelete => DisconnectReason::RoomDeleted,
            RoomEndReason::IdleTimeout => DisconnectReason::RoomClosed,
            RoomEndReason::ServerShutdown => DisconnectReason::ServerShutdown,
            RoomEndReason::Unknown => DisconnectReason::Unknown,
        };
        // LiveKit's DISCONNECT would end the calls of whoever restarts the server for good. It can
        // afford that, as it waits for hours until everybody has left.
        let action = match why {
            RoomEndReason::ServerShutdown => LeaveAction::Reconnect,
            _ => LeaveAction::Disconnect,
        };
        self.expel_all(turn, reason, action);
        turn.fact(Fact::RoomFinished(self.info(), why));
    }
}
