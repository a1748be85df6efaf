//! All conversations of this server: the room's domain, one session per participant, and who is
//! connected how. Sans-IO: it is told what arrives and says what should happen.
//!
//! [`super::task`] runs it. What goes to the data plane and comes from it is in the words of
//! `ringway_signal::plane`.

mod deliver;
mod direct;
mod held;
mod index;
mod media;
mod returning;
mod unmet;
mod ways;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use ringway_room::calls::{
    Calls, Config, DisconnectReason, Fact, LeaveAction, ParticipantSid, Refusal, Request,
    TokenClaims, TrackSid,
};
use ringway_signal::client::Client;
use ringway_signal::grants::Claims;
use ringway_signal::join::Join;
use ringway_signal::plane::{Ask, Level, PlaneInfo};
use ringway_signal::proto::IceServer;
use ringway_signal::proto::signal_request::Message;
use ringway_signal::translate::{self, join_of};
use ringway_signal::wire::Outgoing;
use ringway_signal::{Session, Settings, Start, Way};

use super::relays::Relays;
pub use direct::{Created, DirectError};
use held::Held;
use index::Index;
use returning::Returning;
use ways::Ways;

/// One signalling connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Somebody at the door.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// What its token says.
    pub claims: Claims,
    /// What it asks for.
    pub join: Join,
    /// What it is.
    pub client: Client,
}

/// What should happen.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send over a connection.
    Send(ConnectionId, Outgoing),
    /// Mint a token and send it over a connection.
    RefreshToken(ConnectionId, Box<TokenClaims>),
    /// Close a connection once everything is sent.
    Close(ConnectionId),
    /// Command a shard.
    Plane(u16, Ask),
    /// Something that webhooks and counters want to know.
    Fact(Fact),
}

/// Why somebody is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    /// A sentence.
    pub message: String,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        // LiveKit's statuses, which clients know.
        let status = match refusal {
            Refusal::MayNotPublish | Refusal::MayNotUpdateMetadata => 401,
            other => other.status(),
        };
        Self { status, message: refusal.to_string() }
    }
}

struct Member {
    session: Session,
    connection: Option<ConnectionId>,
    deadline_ms: Option<u64>,
    /// It came back and is not told of others yet.
    held: Option<Box<Held>>,
}

/// All conversations.
pub struct Hub {
    calls: Calls,
    settings: Arc<Settings>,
    relays: Relays,
    plane: Option<Arc<PlaneInfo>>,
    /// Nobody is let in any more.
    stopping: bool,
    members: HashMap<ParticipantSid, Member>,
    connections: HashMap<ConnectionId, ParticipantSid>,
    index: Index,
    ways: Ways,
    returning: Returning,
    /// Who speaks, by shard and the data plane's name of the room.
    speaking: HashMap<(u16, u64), Vec<TrackSid>>,
    /// The same as far as it was told, where the list has not ended.
    heard: HashMap<(u16, u64), Vec<Level>>,
    /// When sessions want to be called.
    timers: BTreeSet<(u64, ParticipantSid)>,
    /// Sessions that have something to say.
    talking: VecDeque<ParticipantSid>,
    outputs: VecDeque<Output>,
}

impl Hub {
    /// Nobody is there. `seed` comes from the system's random device.
    pub fn new(settings: Settings, config: Config, seed: [u64; 4]) -> Self {
        Self {
            calls: Calls::new(config, seed),
            settings: Arc::new(settings),
            relays: Relays::default(),
            plane: None,
            stopping: false,
            members: HashMap::new(),
            connections: HashMap::new(),
            index: Index::default(),
            ways: Ways::default(),
            returning: Returning::default(),
            speaking: HashMap::new(),
            heard: HashMap::new(),
            timers: BTreeSet::new(),
            talking: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Tells clients of these TURN servers, too.
    pub fn set_relays(&mut self, relays: Relays) {
        self.relays = relays;
    }

    /// STUN and TURN servers for a participant who comes now, and shall reach us in this way.
    fn ice_servers(&self, now_ms: u64, sid: ParticipantSid, way: Way) -> Vec<IceServer> {
        let unix_s = (self.settings.unix_start_ms + now_ms) / 1000;
        let mut servers = self.relays.of(&sid.to_string(), unix_s, way == Way::Relay);
        servers.extend_from_slice(&self.settings.ice_servers);
        servers
    }

    /// The domain, for reading and for administrators; call [`Hub::settle`] after changing it.
    pub fn calls(&mut self) -> &mut Calls {
        &mut self.calls
    }

    /// Whether somebody would be let in, for `/validate`.
    pub fn validate(&self, visitor: &Visitor) -> Result<(), Refused> {
        let join = join_of(&visitor.claims, &visitor.join, &visitor.client);
        match self.admits(&visitor.claims, &join) {
            Ok(()) | Err(Refusal::StateMismatch) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        self.open_plane()?;
        Ok(())
    }

    /// Somebody comes over a connection. If let in, the first [`Output::Send`] for the connection
    /// is the answer: join, reconnect, or leave. `seed` comes from the system's random device.
    pub fn handle_join(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        visitor: Visitor,
        seed: [u64; 4],
    ) -> Result<(), Refused> {
        let Visitor { claims, join, client } = visitor;
        let plane = self.open_plane()?;
        let resumes = join.reconnect.is_some();
        let joined = match self.admit(now_ms, &claims, join_of(&claims, &join, &client)) {
            Ok(joined) => joined,
            Err(Refusal::StateMismatch) => {
                self.send_away(connection, &client);
                self.settle(now_ms);
                return Ok(());
            }
            Err(refusal) => {
                self.settle(now_ms);
                return Err(refusal.into());
            }
        };
        let sid = joined.participant.sid;
        let known = self.members.contains_key(&sid);
        self.connect(sid, connection);
        let (room, identity) = (joined.room.sid.key(), &joined.participant.identity);
        let way = self.ways.of(now_ms, room, identity);
        let ice_servers = self.ice_servers(now_ms, sid, way);
        if resumes && known {
            self.release(now_ms, sid);
            self.converse(sid, |session, view| {
                session.handle_resumed(now_ms, &joined, join, client, ice_servers, view);
            });
        } else {
            let settings = Arc::clone(&self.settings);
            // Only this SDK loses what it hears too early.
            let loses = client.is_js();
            let joined = &joined;
            let start =
                Start { settings, plane, joined, join, client, way, ice_servers, seed, now_ms };
            let session = Session::new(start);
            self.enter(sid, session, Some(connection));
            self.settle(now_ms);
            self.converse(sid, |session, view| session.begin(now_ms, view));
            self.settle(now_ms);
            let returns = self.returning.is(now_ms, &joined.room.name, identity);
            if loses && returns {
                self.hold(now_ms, sid);
            }
        }
        self.settle(now_ms);
        Ok(())
    }

    fn enter(&mut self, sid: ParticipantSid, session: Session, connection: Option<ConnectionId>) {
        self.members.insert(sid, Member { session, connection, deadline_ms: None, held: None });
        self.talking.push_back(sid);
    }

    /// The connection is the participant's from now on; an older one is closed.
    fn connect(&mut self, sid: ParticipantSid, connection: ConnectionId) {
        self.connections.insert(connection, sid);
        let Some(member) = self.members.get_mut(&sid) else { return };
        if let Some(old) = member.connection.replace(connection) {
            self.connections.remove(&old);
            self.outputs.push_back(Output::Close(old));
        }
    }

    /// A session that is no more: the client shall begin a new one.
    fn send_away(&mut self, connection: ConnectionId, client: &Client) {
        let reason = DisconnectReason::StateMismatch;
        let leave = translate::leave(client, reason, LeaveAction::Reconnect);
        self.outputs.push_back(Output::Send(connection, Outgoing::new(leave)));
        self.outputs.push_back(Output::Close(connection));
    }

    /// A message came over a connection; `None` is one that no version of the protocol knows.
    ///
    /// Who leaves closes its peer connections in the same moment, and the data plane may tell of
    /// that first. Then we have hung up before we hear the farewell, and it counts all the same,
    /// unless the client has come back meanwhile.
    pub fn handle_message(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        message: Option<Message>,
    ) {
        let Some(sid) = self.connections.get(&connection).copied() else { return };
        let Some(member) = self.members.get(&sid) else { return };
        let is_late = member.connection != Some(connection);
        let is_farewell = matches!(message, Some(Message::Leave(_)));
        if is_late && (member.connection.is_some() || !is_farewell) {
            return;
        }
        self.converse(sid, |session, view| session.handle_message(now_ms, message, view));
        self.settle(now_ms);
    }

    /// A connection is closed, by whomever.
    pub fn handle_closed(&mut self, now_ms: u64, connection: ConnectionId) {
        let Some(sid) = self.connections.remove(&connection) else { return };
        let member = self.members.get_mut(&sid);
        let current = member.filter(|member| member.connection == Some(connection));
        if let Some(member) = current {
            member.connection = None;
            self.calls.handle(now_ms, sid, Request::SignalClosed);
        }
        self.settle(now_ms);
    }

    /// Time has come to `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.calls.handle_timeout(now_ms);
        while let Some((due_ms, sid)) = self.timers.first().copied()
            && due_ms <= now_ms
        {
            self.timers.pop_first();
            if let Some(member) = self.members.get_mut(&sid) {
                member.deadline_ms = None;
            }
            self.release_due(now_ms, sid);
            self.converse(sid, |session, view| session.handle_timeout(now_ms, view));
        }
        self.settle(now_ms);
    }

    /// When [`Hub::handle_timeout`] is due, at the latest, ms.
    pub fn deadline(&self) -> Option<u64> {
        let first = self.timers.first().map(|(due_ms, _)| *due_ms);
        [first, self.calls.deadline()].into_iter().flatten().min()
    }

    /// What should happen next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        self.members.len()
    }

    /// The data plane, if somebody may come in.
    fn open_plane(&self) -> Result<Arc<PlaneInfo>, Refusal> {
        let plane = self.plane.clone().filter(|_| !self.stopping);
        plane.ok_or(Refusal::Unavailable)
    }

    /// Ends everything because the server stops, and lets nobody in any more.
    pub fn shut_down(&mut self, now_ms: u64) {
        self.stopping = true;
        self.calls.shut_down(now_ms);
        self.settle(now_ms);
    }
}
