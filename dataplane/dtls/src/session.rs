//! One peer's DTLS: takes datagrams and time, gives datagrams, a deadline and events.
//!
//! A server begins with nothing but this struct: AWS-LC's part is made with the first datagram that
//! could be a ClientHello, and made anew as long as none was acceptable. After the handshake it
//! stays until the session is dropped, as the peer may repeat its last flight when ours was lost;
//! drop a session only after something of the peer's arrived under the new keys.

use std::mem;

use crate::aws::{Connection, Progress, Reading};
use crate::datagrams::Datagrams;
use crate::filter::{Filter, Phase};
use crate::{
    Connected, Context, Drop, DropCounts, Event, Failure, Fingerprint, HashAlgorithm, SendError,
    SrtpKeys, SrtpProfile,
};

/// Longest datagram that is looked at, bytes. AWS-LC reads no longer ones.
pub const MAX_DATAGRAM_LEN: usize = 16 * 1024;
/// Longest message, bytes: with record and nonce and tag an Ethernet frame is full. Messages are
/// never cut; what is longer than the path allows is lost on the path.
pub const MAX_APPLICATION_DATA_LEN: usize = 1472 - 37;

/// Who speaks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Waits for a ClientHello: `a=setup:passive`.
    Server,
    /// Sends one: `a=setup:active`.
    Client,
}

enum State {
    /// A server without a connection.
    Waiting,
    Handshaking(Connection),
    Connected(Connection),
    Ended,
}

/// One DTLS session. All times are ns of one clock that never goes back.
pub struct Session {
    context: Context,
    role: Role,
    state: State,
    filter: Filter,
    drops: DropCounts,
    outbound: Datagrams,
    /// When the handshake is given up; 0 until it has begun.
    give_up_ns: u64,
    deadline_ns: Option<u64>,
    /// Why the last ClientHello was refused.
    refused: Option<&'static str>,
    connected: Option<Connected>,
    messages: Datagrams,
    ending: Option<Event<'static>>,
}

impl Session {
    /// Waits for a peer to begin.
    pub fn server(context: &Context) -> Self {
        Self::new(context, Role::Server)
    }

    /// Begins at once: the first datagram can be polled.
    pub fn client(context: &Context, now_ns: u64) -> Self {
        let mut session = Self::new(context, Role::Client);
        session.begin(now_ns);
        let connection = session.connection();
        session.step(now_ns, connection);
        session.settle(now_ns);
        session
    }

    fn new(context: &Context, role: Role) -> Self {
        Self {
            context: context.clone(),
            role,
            state: State::Waiting,
            filter: Filter::new(role),
            drops: DropCounts::default(),
            outbound: Datagrams::default(),
            give_up_ns: 0,
            deadline_ns: None,
            refused: None,
            connected: None,
            messages: Datagrams::default(),
            ending: None,
        }
    }

    /// Takes a datagram of the peer's. Only datagrams from addresses that ICE has authenticated
    /// belong here; see `filter.rs`.
    pub fn handle_datagram(&mut self, now_ns: u64, datagram: &[u8]) {
        if datagram.len() > MAX_DATAGRAM_LEN {
            return self.drops.count(Drop::TooLong);
        }
        match mem::replace(&mut self.state, State::Ended) {
            State::Waiting => self.first(now_ns, datagram),
            State::Handshaking(connection) => self.handshake(now_ns, connection, datagram),
            State::Connected(mut connection) => {
                self.filter.admit(datagram, connection.inbound(), &mut self.drops);
                if connection.inbound().is_empty() {
                    self.state = State::Connected(connection);
                } else {
                    self.read(now_ns, connection, datagram.len());
                }
            }
            State::Ended => self.drops.count(Drop::Ended),
        }
        self.settle(now_ns);
    }

    /// Does what is due at [`Self::deadline`]. Earlier calls do nothing.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        if self.deadline_ns.is_none_or(|deadline_ns| now_ns < deadline_ns) {
            return;
        }
        match mem::replace(&mut self.state, State::Ended) {
            State::Waiting | State::Handshaking(_) if now_ns >= self.give_up_ns => {
                let (alert, refused) = (self.filter.alert, self.refused);
                self.fail(Failure::TimedOut { alert, refused });
            }
            State::Handshaking(mut connection) => match connection.handle_timeout(now_ns) {
                Progress::Failed(failure) => self.fail(failure),
                Progress::Waiting | Progress::Finished => {
                    self.state = State::Handshaking(connection);
                }
            },
            other => self.state = other,
        }
        self.settle(now_ns);
    }

    /// When [`Self::handle_timeout`] has something to do. It changes only within the other calls.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline_ns
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        self.outbound.pop()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        if let Some(connected) = self.connected.take() {
            return Some(Event::Connected(connected));
        }
        if self.messages.is_empty() {
            return self.ending.take();
        }
        self.messages.pop().map(Event::ApplicationData)
    }

    /// Seals `data` into one datagram, which can then be polled.
    ///
    /// # Errors
    /// There is no session, or `data` does not fit into a datagram.
    pub fn send_application_data(&mut self, now_ns: u64, data: &[u8]) -> Result<(), SendError> {
        let State::Connected(connection) = &mut self.state else {
            return Err(SendError::NotConnected);
        };
        if data.is_empty() || data.len() > MAX_APPLICATION_DATA_LEN {
            return Err(SendError::Length(data.len()));
        }
        let written = connection.write(now_ns, data);
        self.settle(now_ns);
        if written { Ok(()) } else { Err(SendError::NotConnected) }
    }

    /// Ends the session and, if it was connected, tells the peer: a last datagram can be polled. No
    /// event follows.
    pub fn close(&mut self, now_ns: u64) {
        if let State::Connected(connection) = &mut self.state {
            connection.shutdown(now_ns);
            self.outbound.append(connection.outbound());
        }
        self.state = State::Ended;
        self.settle(now_ns);
    }

    /// Whether keys are there and neither side has ended the session.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Our side of it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The fingerprint of the peer's certificate, with the algorithm that signalling named. Nothing
    /// unless connected.
    pub fn peer_fingerprint(&self, algorithm: HashAlgorithm) -> Option<Fingerprint> {
        let State::Connected(connection) = &self.state else { return None };
        Some(Fingerprint::of(algorithm, connection.peer_certificate()?))
    }

    /// What was thrown away so far.
    pub fn drops(&self) -> DropCounts {
        let mut drops = self.drops;
        let lost = self.outbound.lost() + self.messages.lost();
        drops.add(Drop::QueueFull, u32::try_from(lost).unwrap_or(u32::MAX));
        drops
    }

    /// A server without a connection gets a datagram.
    fn first(&mut self, now_ns: u64, datagram: &[u8]) {
        let mut admitted = Vec::new();
        self.filter.admit(datagram, &mut admitted, &mut self.drops);
        if admitted.is_empty() {
            self.state = State::Waiting;
            return;
        }
        self.begin(now_ns);
        let mut connection = self.connection();
        *connection.inbound() = admitted;
        self.step(now_ns, connection);
    }

    fn handshake(&mut self, now_ns: u64, mut connection: Connection, datagram: &[u8]) {
        self.filter.admit(datagram, connection.inbound(), &mut self.drops);
        if connection.inbound().is_empty() {
            self.state = State::Handshaking(connection);
            return;
        }
        self.step(now_ns, connection);
        // What was there before may have been a forgery that this datagram did not fit to.
        if matches!(self.state, State::Waiting) {
            self.first(now_ns, datagram);
        }
    }

    fn step(&mut self, now_ns: u64, mut connection: Connection) {
        match connection.handshake(now_ns) {
            Progress::Waiting => {
                if answered(&mut connection) {
                    self.filter.phase = Phase::Underway;
                }
                self.state = State::Handshaking(connection);
            }
            Progress::Finished => self.finish(now_ns, connection),
            Progress::Failed(failure) if self.filter.phase == Phase::Fresh => {
                // Nobody has proved anything yet, so nobody may end the session, and the alert that
                // AWS-LC wants sent would end an honest peer's.
                self.drops.count(Drop::Hello);
                if let Failure::Protocol(reason) = failure {
                    self.refused = Some(reason);
                }
                self.state = State::Waiting;
            }
            Progress::Failed(failure) => {
                self.outbound.append(connection.outbound());
                self.fail(failure);
            }
        }
    }

    fn finish(&mut self, now_ns: u64, mut connection: Connection) {
        let Some(certificate) = connection.peer_certificate() else {
            return self.fail(Failure::Protocol("the peer has no certificate"));
        };
        let peer_fingerprint = Fingerprint::of(HashAlgorithm::Sha256, certificate);
        let profile = connection.srtp_profile_id().and_then(SrtpProfile::from_id);
        let srtp = profile.and_then(|profile| {
            SrtpKeys::export(profile, |material| connection.export_srtp(material))
        });
        if profile.is_some() && srtp.is_none() {
            return self.fail(Failure::Protocol("SRTP keys cannot be exported"));
        }
        self.filter.phase = Phase::Finished;
        self.connected = Some(Connected { peer_fingerprint, srtp });
        // The datagram that finished the handshake may carry data behind it.
        self.read(now_ns, connection, MAX_DATAGRAM_LEN);
    }

    /// Takes all messages of at most `longest` bytes out of the connection.
    fn read(&mut self, now_ns: u64, mut connection: Connection, longest: usize) {
        loop {
            match connection.read(now_ns, longest, &mut self.messages) {
                Reading::Message => {}
                Reading::Empty => {
                    self.state = State::Connected(connection);
                    return;
                }
                Reading::Closed => {
                    // RFC 5246 7.2.1: the other party must answer with a close_notify of its own.
                    connection.shutdown(now_ns);
                    self.outbound.append(connection.outbound());
                    self.ending = Some(Event::Closed);
                    return;
                }
                Reading::Failed(failure) => {
                    self.outbound.append(connection.outbound());
                    return self.fail(failure);
                }
            }
        }
    }

    /// The state is `Ended` already.
    fn fail(&mut self, failure: Failure) {
        self.ending = Some(Event::Failed(failure));
    }

    fn begin(&mut self, now_ns: u64) {
        if self.give_up_ns == 0 {
            let timeout_ns = u64::from(self.context.config().handshake_timeout_ms) * 1_000_000;
            self.give_up_ns = now_ns + timeout_ns;
        }
    }

    fn connection(&self) -> Connection {
        let config = self.context.config();
        let (mtu, first_ms) = (config.mtu, config.first_retransmission_ms);
        Connection::new(self.context.shared(), self.role, mtu, first_ms)
    }

    /// Takes what the connection wants sent, and sets the deadline.
    fn settle(&mut self, now_ns: u64) {
        self.deadline_ns = match &mut self.state {
            State::Handshaking(connection) => {
                self.outbound.append(connection.outbound());
                let again_ns = connection.timeout_ns(now_ns).map(|left_ns| now_ns + left_ns);
                Some(again_ns.map_or(self.give_up_ns, |at_ns| at_ns.min(self.give_up_ns)))
            }
            State::Connected(connection) => {
                self.outbound.append(connection.outbound());
                None
            }
            State::Waiting if self.give_up_ns > 0 => Some(self.give_up_ns),
            State::Waiting | State::Ended => None,
        };
    }
}

/// Whether the connection has sent a message of the handshake: then it has accepted one.
fn answered(connection: &mut Connection) -> bool {
    connection.outbound().peek().is_some()
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match self.state {
            State::Waiting => "waiting",
            State::Handshaking(_) => "handshaking",
            State::Connected(_) => "connected",
            State::Ended => "ended",
        };
        let mut formatter = formatter.debug_struct("Session");
        formatter.field("role", &self.role).field("state", &state).finish_non_exhaustive()
    }
}
