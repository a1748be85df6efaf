//! Between room and sessions: notices in, requests out, until nobody has anything to say.

use ringway_room::calls::{Effect, Notice, ParticipantSid};
use ringway_signal::plane::Ask;
use ringway_signal::wire::Outgoing;
use ringway_signal::{Output as Said, Session, Way, World, translate};

use super::held::Held;
use super::index::View;
use super::{Hub, Output};

impl Hub {
    /// Lets a session hear something.
    pub(super) fn converse<T>(
        &mut self,
        sid: ParticipantSid,
        hear: impl FnOnce(&mut Session, &dyn World) -> T,
    ) -> Option<T> {
        let member = self.members.get_mut(&sid)?;
        let view = View { calls: &self.calls, index: &self.index, participant: sid };
        let result = hear(&mut member.session, &view);
        self.talking.push_back(sid);
        Some(result)
    }

    /// Carries everything to where it belongs. Call it after every change of the domain.
    pub fn settle(&mut self, now_ms: u64) {
        loop {
            if let Some(sid) = self.talking.pop_front() {
                self.listen(now_ms, sid);
            } else if let Some(effect) = self.calls.poll_effect() {
                self.carry(now_ms, effect);
            } else {
                return;
            }
        }
    }

    fn carry(&mut self, now_ms: u64, effect: Effect) {
        match effect {
            Effect::ToParticipant(sid, notice) => self.tell(now_ms, sid, notice),
            Effect::ToParticipants(sids, notice) => self.tell_all(now_ms, &sids, &notice),
            Effect::Fact(fact) => {
                self.returning.hear(now_ms, &fact);
                self.outputs.push_back(Output::Fact(fact));
            }
        }
    }

    /// Tells somebody nothing of others for a while.
    pub(super) fn hold(&mut self, now_ms: u64, sid: ParticipantSid) {
        if let Some(member) = self.members.get_mut(&sid) {
            member.held = Some(Box::new(Held::new(now_ms)));
            self.talking.push_back(sid);
        }
    }

    /// Tells somebody who came back what was held for it, if it is time.
    pub(super) fn release_due(&mut self, now_ms: u64, sid: ParticipantSid) {
        let held = self.members.get(&sid).and_then(|member| member.held.as_ref());
        if held.is_some_and(|held| held.is_over(now_ms)) {
            self.release(now_ms, sid);
        }
    }

    /// Tells somebody what was held for it.
    pub(super) fn release(&mut self, now_ms: u64, sid: ParticipantSid) {
        let held = self.members.get_mut(&sid).and_then(|member| member.held.take());
        for notice in held.into_iter().flat_map(|held| held.into_notices()) {
            self.tell(now_ms, sid, notice);
        }
    }

    fn tell(&mut self, now_ms: u64, sid: ParticipantSid, mut notice: Notice) {
        let held = self.members.get_mut(&sid).and_then(|member| member.held.as_mut());
        if let Some(held) = held {
            match held.keep(sid, notice) {
                Some(now) => notice = now,
                None => return self.release_due(now_ms, sid),
            }
        }
        match &notice {
            Notice::Subscribe(subscribe) => self.index.subscribe(sid, subscribe.track.sid),
            Notice::Unsubscribe { track } => self.index.unsubscribe(sid, *track),
            _ => {}
        }
        self.converse(sid, |session, view| session.handle_notice(now_ms, notice, view));
    }

    /// The same for many is encoded once.
    fn tell_all(&mut self, now_ms: u64, sids: &[ParticipantSid], notice: &Notice) {
        if let Notice::ParticipantUpdate(all) = notice {
            // Those whom it is about may do something else from now on.
            for own in all.iter() {
                self.converse(own.sid, |session, _| session.handle_own_state(own));
            }
        }
        let message = translate::respond(notice, &self.settings.enabled_codecs);
        let shared = message.map(Outgoing::new);
        for sid in sids {
            // What the session wants to say goes first.
            self.listen(now_ms, *sid);
            let Some(member) = self.members.get(sid) else { continue };
            let whole = shared.as_ref().filter(|_| is_message_only(notice));
            match (whole, whole.and_then(Outgoing::message)) {
                (Some(outgoing), Some(message))
                    if member.held.is_none() && member.session.takes(message) =>
                {
                    if let Some(connection) = member.connection {
                        self.outputs.push_back(Output::Send(connection, outgoing.clone()));
                    }
                }
                _ => self.tell(now_ms, *sid, notice.clone()),
            }
        }
    }

    /// Hears what a session says, and sets its timer.
    fn listen(&mut self, now_ms: u64, sid: ParticipantSid) {
        while let Some(said) =
            self.members.get_mut(&sid).and_then(|member| member.session.poll_output())
        {
            self.heed(now_ms, sid, said);
        }
        let Some(member) = self.members.get_mut(&sid) else { return };
        let held = member.held.as_ref().map(|held| held.until_ms);
        let deadline_ms = [member.session.deadline(), held].into_iter().flatten().min();
        if deadline_ms != member.deadline_ms {
            if let Some(old_ms) = member.deadline_ms {
                self.timers.remove(&(old_ms, sid));
            }
            if let Some(new_ms) = deadline_ms {
                self.timers.insert((new_ms, sid));
            }
            member.deadline_ms = deadline_ms;
        }
    }

    fn heed(&mut self, now_ms: u64, sid: ParticipantSid, said: Said) {
        let connection = self.members.get(&sid).and_then(|member| member.connection);
        match said {
            Said::Respond(message) => {
                if let Some(connection) = connection {
                    self.outputs.push_back(Output::Send(connection, Outgoing::new(*message)));
                }
            }
            Said::Room(request) => {
                self.calls.handle(now_ms, sid, request);
            }
            Said::Plane(ask) => self.command(sid, ask),
            Said::Published(track, source) => {
                self.index.publish(sid, track, source);
                for subscriber in self.index.subscribers(track) {
                    self.converse(subscriber, |session, view| session.handle_source(track, view));
                }
            }
            Said::Unpublished(track, source) => {
                self.index.unpublish(track, source);
                for subscriber in self.index.subscribers(track) {
                    self.converse(subscriber, |session, view| {
                        session.handle_source_gone(track, source, view);
                    });
                }
            }
            Said::Way(way) => self.prefer(now_ms, sid, way),
            Said::RefreshToken(claims) => {
                if let Some(connection) = connection {
                    self.outputs.push_back(Output::RefreshToken(connection, claims));
                }
            }
            Said::HangUp => self.hang_up(sid),
            Said::End => self.forget(sid),
        }
    }

    fn prefer(&mut self, now_ms: u64, sid: ParticipantSid, way: Way) {
        let room = self.members.get(&sid).map(|member| member.session.room());
        if let Some((room, info)) = room.zip(self.calls.participant(sid)) {
            self.ways.set(now_ms, room, info.identity.clone(), way);
        }
    }

    fn command(&mut self, sid: ParticipantSid, ask: Ask) {
        let Some(member) = self.members.get(&sid) else { return };
        let shard = member.session.shard();
        self.index.note(sid, &ask);
        self.outputs.push_back(Output::Plane(shard, ask));
    }

    /// The connection ends; the room need not be told what it wanted itself.
    fn hang_up(&mut self, sid: ParticipantSid) {
        let Some(member) = self.members.get_mut(&sid) else { return };
        if let Some(connection) = member.connection.take() {
            // It stays in the list until it is closed: see `Hub::handle_message`.
            self.outputs.push_back(Output::Close(connection));
        }
    }

    fn forget(&mut self, sid: ParticipantSid) {
        if let Some(member) = self.members.remove(&sid)
            && let Some(due_ms) = member.deadline_ms
        {
            self.timers.remove(&(due_ms, sid));
        }
        self.index.forget(sid);
    }
}

/// Whether a notice means nothing but its message to the session it is for.
fn is_message_only(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::ParticipantUpdate(_)
            | Notice::RoomUpdate(_)
            | Notice::SpeakersChanged(_)
            | Notice::ConnectionQuality(_)
            | Notice::StreamState { .. }
    )
}
