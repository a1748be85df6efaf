//! WHIP and WHEP: sessions without a connection.

use std::sync::Arc;

use ringway_room::calls::{DisconnectReason, ParticipantSid, Refusal, Request};
use ringway_signal::client::PROTOCOL;
use ringway_signal::oneshot::{Direct, OneShotAnswer, OneShotError, announcements, parse_offer};
use ringway_signal::proto::IceServer;
use ringway_signal::translate::join_of;
use ringway_signal::{Session, Start, Way};

use super::{Hub, Refused, Visitor};

/// A session that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// Names it from now on.
    pub participant: ParticipantSid,
    /// What goes back.
    pub answer: OneShotAnswer,
    /// STUN and TURN servers for the client.
    pub ice_servers: Vec<IceServer>,
}

/// Why a request about a session is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectError {
    /// Not let in.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Not met.
    #[error(transparent)]
    OneShot(#[from] OneShotError),
    /// HTTP 403: the token lets its bearer in, but not for this.
    #[error("the token does not allow to {0}")]
    Forbidden(&'static str),
    /// HTTP 404.
    #[error("there is no such session")]
    NotFound,
}

impl DirectError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Refused(refused) => refused.status,
            Self::OneShot(error) => error.status(),
            Self::Forbidden(_) => 403,
            Self::NotFound => 404,
        }
    }
}

impl From<Refusal> for DirectError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Hub {
    /// Somebody wants to send or to receive, with this offer.
    pub fn handle_direct(
        &mut self,
        now_ms: u64,
        direct: Direct,
        visitor: Visitor,
        offer: &str,
        seed: [u64; 4],
    ) -> Result<Created, DirectError> {
        let parsed = parse_offer(offer)?;
        let Visitor { claims, mut join, mut client } = visitor;
        // Such a client says nothing of itself, and needs none of what old clients need.
        if client.info.protocol == 0 {
            client.info.protocol = PROTOCOL;
        }
        let plane = self.open_plane()?;
        join.auto_subscribe = direct == Direct::Whep;
        let mut wish = join_of(&claims, &join, &client);
        // A player shows whatever comes, so whoever is hidden would not be.
        wish.auto_subscribe_hidden = false;
        let permission = wish.grants.permission();
        let (may, what) = match direct {
            Direct::Whip => (permission.can_publish, "publish"),
            Direct::Whep => (permission.can_subscribe, "subscribe"),
        };
        // Who may not join hears that first, from the room.
        if wish.grants.room_join && !may {
            return Err(DirectError::Forbidden(what));
        }
        let joined = self.admit(now_ms, &claims, wish);
        let joined = joined.inspect_err(|_| self.settle(now_ms))?;
        let sid = joined.participant.sid;
        let settings = Arc::clone(&self.settings);
        let obs = client.is_obs();
        let ice_servers = self.ice_servers(now_ms, sid, Way::Any);
        let joined = &joined;
        let start = Start {
            settings,
            plane,
            joined,
            join,
            client,
            way: Way::Any,
            ice_servers: Vec::new(),
            seed,
            now_ms,
        };
        self.enter(sid, Session::one_shot(start, direct), None);
        if direct == Direct::Whip {
            let tracks = announcements(&parsed, obs);
            self.converse(sid, |session, _| session.announce(tracks));
        }
        self.settle(now_ms);
        let answer = self.converse(sid, |session, view| session.handle_one_offer(offer, view));
        if !matches!(answer, Some(Ok(_))) {
            let reason = DisconnectReason::JoinFailure;
            self.calls.handle(now_ms, sid, Request::Leave { reason });
        }
        self.settle(now_ms);
        let answer = answer.ok_or(DirectError::NotFound)??;
        Ok(Created { participant: sid, answer, ice_servers })
    }

    /// The session of a participant, if it is also that identity's.
    fn direct(&mut self, participant: &str, identity: &str) -> Result<ParticipantSid, DirectError> {
        let sid = participant.parse().map_err(|_| DirectError::NotFound)?;
        let member = self.members.get(&sid).filter(|member| member.session.is_one_shot());
        let info = member.and_then(|_| self.calls.participant(sid));
        let own = info.is_some_and(|info| info.identity == identity);
        if own { Ok(sid) } else { Err(DirectError::NotFound) }
    }

    /// Candidates for the ICE session `etag`.
    pub fn handle_fragment(
        &mut self,
        now_ms: u64,
        participant: &str,
        identity: &str,
        etag: &str,
        text: &str,
    ) -> Result<(), DirectError> {
        let sid = self.direct(participant, identity)?;
        let heard = self.converse(sid, |session, _| session.handle_fragment(etag, text));
        self.settle(now_ms);
        Ok(heard.ok_or(DirectError::NotFound)??)
    }

    /// An ICE restart.
    pub fn handle_restart(
        &mut self,
        now_ms: u64,
        participant: &str,
        identity: &str,
        text: &str,
    ) -> Result<OneShotAnswer, DirectError> {
        let sid = self.direct(participant, identity)?;
        let heard = self.converse(sid, |session, _| session.handle_restart(text));
        self.settle(now_ms);
        Ok(heard.ok_or(DirectError::NotFound)??)
    }

    /// The session ends.
    pub fn handle_delete(
        &mut self,
        now_ms: u64,
        participant: &str,
        identity: &str,
    ) -> Result<(), DirectError> {
        let sid = self.direct(participant, identity)?;
        let reason = DisconnectReason::ClientInitiated;
        self.calls.handle(now_ms, sid, Request::Leave { reason });
        self.settle(now_ms);
        Ok(())
    }
}
