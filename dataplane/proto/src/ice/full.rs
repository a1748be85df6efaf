//! The full agent: the library `is`, for clients that ask for a peer which is not lite.
//!
//! Its checks allocate and it has no bound on addresses, so messages come to it only when their
//! integrity is right and their source has a place in [`Paths`]. It wants an `Instant`: `epoch` is
//! any, of which only differences count.
//!
//! Once a path is chosen and nothing is new, it rests: it sends no checks, and grants those of the
//! peer as a lite agent does, at a tenth of the cost. That the peer is still there shows in what
//! comes from it (`consent.rs`), for which its own checks are enough.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate, IceAgentEvent, IceCreds, Protocol, Sha1HmacProvider};
use ringway_wire::stun::{Class, MessageType, StunView};

use super::credentials::{IceKey, tag};
use super::paths::Paths;
use super::reply::{Reply, authenticate, grant, put_refusal};
use super::{
    IceCredentials, IceDrop, MAX_SOURCES, NEVER_NS, NS_PER_MS, Path, PathProtocol, StunTransmit,
};

/// Pairs of addresses that are checked. Raised: more checks in the first second. Lowered: a client
/// with many candidates may not get its best one.
const MAX_PAIRS: usize = 100;

/// Remote candidates that are taken from signalling.
const MAX_REMOTE_CANDIDATES: usize = 32;

/// How often a full agent without a deadline of its own is turned.
const IDLE_MS: u64 = 1000;

/// Checks and answers that go out at once. The library does one thing at a time and would wait for
/// 50 ms before the next: a client that joins would wait as long. Go's own agent checks all pairs
/// at once. Raised: more datagrams in one burst; lowered: with many candidates it takes longer to
/// connect.
const MOST_AT_ONCE: usize = 32;

/// How long the peer's first check is waited for. It knows our address as it was told; ours would
/// come from another one where a socket has several, and Go's agent waits for a second before it
/// believes in addresses that nobody told it.
const FIRST_WAIT_MS: u64 = 250;

/// How long it goes on checking after news. Raised: more checks in the first seconds. Lowered: a
/// better path may be found that the agent does not try.
const SETTLE_MS: u64 = 5000;

#[derive(Debug)]
struct AwsHmac;

impl Sha1HmacProvider for AwsHmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        tag(context.sign())
    }
}

/// One of our sockets, under the address that the library knows it by: one of each family that it
/// takes. What the peer is told may be another one, behind a NAT for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The caller's number for the socket; means nothing for TCP, where the peer connects.
    pub socket: u32,
    /// Any address that no other socket has.
    pub address: SocketAddr,
    /// How it is reached.
    pub protocol: PathProtocol,
}

pub(super) struct FullAgent {
    agent: is::IceAgent,
    local: IceKey,
    locals: Box<[LocalAddress]>,
    /// The peer's TCP connections.
    connections: Vec<Path>,
    reply: Reply,
    /// What the agent wants to send.
    outgoing: VecDeque<(Path, Vec<u8>)>,
    epoch: Instant,
    remote_candidates: usize,
    /// A path was nominated under these credentials.
    nominated: bool,
    /// From when on it rests; `None` where something is new since it was turned.
    rests_ns: Option<u64>,
    /// Until when the peer's first check under these credentials is waited for; 0: it came. `None`
    /// until it was turned.
    waits_ns: Option<u64>,
}

impl FullAgent {
    pub(super) fn new(local: &IceCredentials, locals: &[LocalAddress], epoch: Instant) -> Self {
        let mut agent = is::IceAgent::with_hmac(creds(local), &AwsHmac);
        agent.set_controlling(false);
        // Where both believe to be controlled, RFC 8445 7.3.1.1 has the larger number take control,
        // the library the smaller one: with pion, each could refuse the other for ever. So ours is
        // the smallest: the library takes control, and gives it back to whoever wants it.
        agent.set_control_tie_breaker(0);
        agent.set_max_candidate_pairs(MAX_PAIRS);
        for local in locals {
            if let Ok(candidate) = Candidate::host(local.address, protocol(local.protocol)) {
                agent.add_local_candidate(candidate);
            }
        }
        Self {
            agent,
            local: IceKey::new(local),
            locals: locals.into(),
            connections: Vec::new(),
            reply: Reply::default(),
            outgoing: VecDeque::new(),
            epoch,
            remote_candidates: 0,
            nominated: false,
            rests_ns: None,
            waits_ns: None,
        }
    }

    pub(super) fn restart(&mut self, local: &IceCredentials) {
        self.local = IceKey::new(local);
        self.remote_candidates = 0;
        (self.nominated, self.rests_ns, self.waits_ns) = (false, None, None);
        self.agent.ice_restart(creds(local), true);
    }

    pub(super) fn set_remote(&mut self, remote: &IceCredentials) {
        self.rests_ns = None;
        self.agent.set_remote_credentials(creds(remote));
    }

    pub(super) fn add_remote_candidate(&mut self, address: SocketAddr, over: PathProtocol) {
        if self.remote_candidates < MAX_REMOTE_CANDIDATES
            && let Ok(candidate) = Candidate::host(address, protocol(over))
        {
            self.remote_candidates += 1;
            self.rests_ns = None;
            self.agent.add_remote_candidate(candidate);
        }
    }

    pub(super) fn ufrag(&self) -> &[u8] {
        self.local.ufrag()
    }

    /// Takes a message of `bytes` that came by `path`; tells whether that path was nominated.
    pub(super) fn handle(
        &mut self,
        now_ns: u64,
        path: Path,
        view: &StunView<'_>,
        bytes: &[u8],
        paths: &mut Paths,
    ) -> Result<bool, IceDrop> {
        let request = view.message_type() == MessageType::binding(Class::Request);
        if request && let Err(reason) = self.judge(view) {
            put_refusal(&mut self.reply, view, path, reason, &self.local);
            return Err(reason);
        }
        if request && !paths.contains(&path) && paths.len() == MAX_SOURCES {
            return Err(IceDrop::Refused);
        }
        if request && paths.selected() == Some(path) && self.rests(now_ns, paths) {
            let local = &self.local;
            self.reply.put(path, |out| grant(view.transaction(), &path, local, out));
            return Ok(false);
        }
        let destination = self.address_of(path).ok_or(IceDrop::Refused)?;
        if path.protocol == PathProtocol::Tcp && !self.connections.contains(&path) {
            // A new connection from the address of an old one is in its place.
            self.connections.retain(|known| known.remote != path.remote);
            self.connections.push(path);
        }
        let message = StunMessage::parse(bytes).map_err(|_| IceDrop::Refused)?;
        let proto = protocol(path.protocol);
        let packet = StunPacket { proto, source: path.remote, destination, message };
        if !self.agent.handle_packet(self.instant(now_ns), packet) {
            return Err(IceDrop::Unasked);
        }
        let nominates = request && view.use_candidate();
        if request && paths.selected() != Some(path) || nominates && !self.nominated {
            self.rests_ns = None;
        }
        self.nominated |= nominates;
        if request {
            self.waits_ns = Some(0);
        }
        // Other nominations come only out of here.
        self.turn(now_ns, paths);
        Ok(nominates)
    }

    // The library expects PRIORITY in every request, and so does RFC 8445 7.1.1.
    fn judge(&self, view: &StunView<'_>) -> Result<(), IceDrop> {
        authenticate(view, &self.local)?;
        if view.priority().is_none() { Err(IceDrop::Incomplete) } else { Ok(()) }
    }

    /// Whether all is settled.
    fn rests(&self, now_ns: u64, paths: &Paths) -> bool {
        self.nominated
            && paths.selected().is_some()
            && self.rests_ns.is_some_and(|rests_ns| rests_ns <= now_ns)
    }

    /// Lets the agent work; tells whether another path was selected.
    pub(super) fn turn(&mut self, now_ns: u64, paths: &mut Paths) -> bool {
        if self.rests(now_ns, paths) || self.waits(now_ns) {
            return false;
        }
        let mut changed = false;
        for _ in 0..MOST_AT_ONCE {
            let before = self.outgoing.len();
            self.agent.handle_timeout(self.instant(now_ns));
            changed |= self.take_outgoing(paths);
            if self.outgoing.len() == before {
                break;
            }
        }
        self.rests_ns.get_or_insert(now_ns + SETTLE_MS * NS_PER_MS);
        changed
    }

    /// Whether it leaves the first check to the peer.
    fn waits(&mut self, now_ns: u64) -> bool {
        now_ns < *self.waits_ns.get_or_insert(now_ns + FIRST_WAIT_MS * NS_PER_MS)
    }

    /// Takes what the agent says; tells whether another path was selected.
    fn take_outgoing(&mut self, paths: &mut Paths) -> bool {
        let mut changed = false;
        while let Some(transmit) = self.agent.poll_transmit() {
            let path = self.path_of(transmit.proto, transmit.source, transmit.destination);
            self.outgoing.extend(path.map(|path| (path, transmit.contents.to_vec())));
        }
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { proto, source, destination } = event
                && let Some(path) = self.path_of(proto, source, destination)
            {
                changed |= paths.select(path);
                (self.nominated, self.rests_ns) = (true, None);
            }
        }
        changed
    }

    pub(super) fn deadline(&mut self, now_ns: u64, paths: &Paths) -> u64 {
        if self.rests(now_ns, paths) && !self.reply.is_waiting() {
            return NEVER_NS;
        }
        if let Some(until_ns) = self.waits_ns.filter(|until_ns| now_ns < *until_ns) {
            return until_ns;
        }
        let idle_ns = now_ns + IDLE_MS * NS_PER_MS;
        let Some(at) = self.agent.poll_timeout() else { return now_ns };
        u64::try_from(at.saturating_duration_since(self.epoch).as_nanos())
            .unwrap_or(idle_ns)
            .min(idle_ns)
    }

    pub(super) fn poll_transmit(&mut self, out: &mut [u8]) -> Option<StunTransmit> {
        if let Some((path, len)) = self.reply.take(out) {
            return Some(StunTransmit { path, len });
        }
        loop {
            let (path, message) = self.outgoing.pop_front()?;
            let len = message.len();
            if let Some(out) = out.get_mut(..len) {
                out.copy_from_slice(&message);
                return Some(StunTransmit { path, len });
            }
        }
    }

    fn instant(&self, now_ns: u64) -> Instant {
        self.epoch + Duration::from_nanos(now_ns)
    }

    /// A TCP connection ended.
    pub(super) fn handle_path_closed(&mut self, path: &Path) {
        self.connections.retain(|known| known != path);
    }

    fn address_of(&self, path: Path) -> Option<SocketAddr> {
        let same = |local: &&LocalAddress| {
            local.protocol == path.protocol
                && local.address.is_ipv4() == path.remote.is_ipv4()
                && (local.socket == path.socket || path.protocol == PathProtocol::Tcp)
        };
        self.locals.iter().find(same).map(|local| local.address)
    }

    fn path_of(&self, proto: Protocol, source: SocketAddr, remote: SocketAddr) -> Option<Path> {
        if proto != Protocol::Udp {
            return self.connections.iter().find(|known| known.remote == remote).copied();
        }
        let same = |local: &&LocalAddress| {
            local.address == source
                && local.protocol == PathProtocol::Udp
                // The library pairs the families with each other, too.
                && source.is_ipv4() == remote.is_ipv4()
        };
        let socket = self.locals.iter().find(same)?.socket;
        Some(Path { remote, protocol: PathProtocol::Udp, socket })
    }
}

fn creds(credentials: &IceCredentials) -> IceCreds {
    // The characters were checked: they are ASCII.
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    IceCreds { ufrag: text(credentials.ufrag()), pass: text(credentials.password()) }
}

fn protocol(protocol: PathProtocol) -> Protocol {
    match protocol {
        PathProtocol::Udp => Protocol::Udp,
        PathProtocol::Tcp => Protocol::Tcp,
    }
}
