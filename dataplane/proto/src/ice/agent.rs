//! One agent of any kind, with the paths and the consent of its peer.

use std::net::SocketAddr;
use std::time::Instant;

use ringway_wire::stun::StunView;

use super::client::ClientAgent;
use super::consent::Consent;
use super::credentials::IceKey;
use super::full::FullAgent;
use super::lite::{LiteAgent, nominate};
use super::paths::Paths;
use super::probe::Probe;
use super::{
    ConsentChange, IceCredentials, IceDrop, LocalAddress, NEVER_NS, NS_PER_MS, Path, PathProtocol,
};

/// How soon an answer that could not be written at once is tried again.
const RETRY_MS: u64 = 1;

/// What an authentic STUN message did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// A path by which nothing had come before: the caller's table of addresses gets it.
    pub learned: Option<Path>,
    /// A path that lost its place to that one.
    pub forgotten: Option<Path>,
    /// The path that is sent to from now on, if it changed.
    pub selected: Option<Path>,
    /// The peer was thought to be gone.
    pub consent: Option<ConsentChange>,
}

/// A STUN message to be sent: the first `len` bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StunTransmit {
    /// By this path.
    pub path: Path,
    /// Its length.
    pub len: usize,
}

enum Kind {
    Lite(Box<LiteAgent>),
    Full(Box<FullAgent>),
    Client(Box<ClientAgent>),
}

/// The ICE agent of one peer connection; sans-IO, in nanoseconds of a clock that never jumps.
pub struct IceAgent {
    kind: Kind,
    paths: Paths,
    consent: Consent,
    /// The peer's credentials; none of a client, which checks by itself.
    remote: Option<IceKey>,
    probe: Probe,
}

impl IceAgent {
    fn new(kind: Kind) -> Self {
        let (paths, consent) = (Paths::default(), Consent::default());
        Self { kind, paths, consent, remote: None, probe: Probe::default() }
    }

    /// The server's own responder: always controlled, sends no checks.
    pub fn lite(local: &IceCredentials) -> Self {
        Self::new(Kind::Lite(Box::new(LiteAgent::new(local))))
    }

    /// A full agent, controlled, with these sockets. `epoch` is any instant.
    pub fn full(local: &IceCredentials, locals: &[LocalAddress], epoch: Instant) -> Self {
        Self::new(Kind::Full(Box::new(FullAgent::new(local, locals, epoch))))
    }

    /// The controlling agent of a load generator. `seed` makes transaction ids and tie-breaker.
    pub fn client(local: &IceCredentials, seed: u64) -> Self {
        Self::new(Kind::Client(Box::new(ClientAgent::new(local, seed))))
    }

    /// What checks for this agent must have in front of the colon of their USERNAME.
    pub fn ufrag(&self) -> &[u8] {
        match &self.kind {
            Kind::Lite(agent) => agent.ufrag(),
            Kind::Full(agent) => agent.ufrag(),
            Kind::Client(agent) => agent.ufrag(),
        }
    }

    /// The peer's credentials, also after a restart.
    pub fn set_remote(&mut self, remote: &IceCredentials) {
        if !matches!(self.kind, Kind::Client(_)) {
            self.remote = Some(IceKey::new(remote));
        }
        match &mut self.kind {
            Kind::Lite(_) => {}
            Kind::Full(agent) => agent.set_remote(remote),
            Kind::Client(agent) => agent.set_remote(remote),
        }
    }

    /// An address of the peer from signalling. A lite agent does not need it; `socket` is the local
    /// one to send from, which a full agent chooses itself.
    pub fn add_remote_candidate(&mut self, path: Path) {
        match &mut self.kind {
            Kind::Lite(_) => {}
            Kind::Full(agent) => agent.add_remote_candidate(path.remote, path.protocol),
            Kind::Client(agent) => agent.add_remote_candidate(path),
        }
    }

    /// Makes a client use `path` from now on; of no effect on the others, who are controlled.
    pub fn nominate(&mut self, path: Path) {
        if let Kind::Client(agent) = &mut self.kind {
            agent.nominate(path);
        }
    }

    /// New credentials (RFC 8445 9): the old ones are refused at once. Paths stay in use until the
    /// peer nominates anew, so media flows on.
    pub fn restart(&mut self, local: &IceCredentials) {
        match &mut self.kind {
            Kind::Lite(agent) => agent.restart(local),
            Kind::Full(agent) => agent.restart(local),
            Kind::Client(agent) => agent.restart(local),
        }
    }

    /// Takes the STUN message `view`, made of `bytes`, that came by `path`.
    ///
    /// An answer waits for [`Self::poll_transmit`], a refusal too: poll in either case.
    pub fn handle_stun(
        &mut self,
        now_ns: u64,
        path: Path,
        view: &StunView<'_>,
        bytes: &[u8],
    ) -> Result<Heard, IceDrop> {
        let before = self.paths.selected();
        let found = match &self.remote {
            Some(remote) => self.probe.is_answer(path, view, remote),
            None => false,
        };
        let nominated = found
            || match &mut self.kind {
                Kind::Lite(agent) => agent.handle(path, view)?,
                Kind::Full(agent) => agent.handle(now_ns, path, view, bytes, &mut self.paths)?,
                Kind::Client(agent) => agent.handle(now_ns, path, view, &mut self.paths)?,
            };
        let consent = self.consent.heard(now_ns);
        let learned = self.paths.learn(path);
        nominate(&mut self.paths, path, nominated);
        let selected = self.paths.selected().filter(|_| self.paths.selected() != before);
        let (learned, forgotten) = learned.unzip();
        Ok(Heard { learned, forgotten: forgotten.flatten(), selected, consent })
    }

    /// Media that only the peer can have sealed came by a path that passed no check: it is heard
    /// there from now on, and sent to as soon as it answers a check. For UDP: who opens a TCP
    /// connection checks it first.
    pub fn handle_moved(&mut self, now_ns: u64, path: Path) -> Heard {
        let consent = self.consent.heard(now_ns);
        if self.paths.contains(&path) {
            return Heard { consent, ..Heard::default() };
        }
        if let Some(remote) = &self.remote {
            // Signed by whoever knows the password: nobody else can tell it beforehand.
            self.probe.begin(now_ns, path, &remote.sign(&now_ns.to_be_bytes()));
        }
        let (learned, forgotten) = self.paths.learn(path).unzip();
        Heard { learned, forgotten: forgotten.flatten(), selected: None, consent }
    }

    /// Something else that only the peer can have sent came: media that was opened.
    pub fn heard(&mut self, now_ns: u64) -> Option<ConsentChange> {
        self.consent.heard(now_ns)
    }

    /// Whether something authentic came within the last `window_ns`.
    pub fn is_heard(&self, now_ns: u64, window_ns: u64) -> bool {
        self.consent.is_heard(now_ns, window_ns)
    }

    /// Writes the next message that is due into `out`.
    pub fn poll_transmit(&mut self, now_ns: u64, out: &mut [u8]) -> Option<StunTransmit> {
        let due = self.probe.deadline().is_some_and(|due_ns| due_ns <= now_ns);
        if due && let Some(sent) = self.poll_probe(now_ns, out) {
            return Some(sent);
        }
        match &mut self.kind {
            Kind::Lite(agent) => {
                agent.reply().take(out).map(|(path, len)| StunTransmit { path, len })
            }
            Kind::Full(agent) => agent.poll_transmit(out),
            Kind::Client(agent) => agent.poll_transmit(now_ns, out),
        }
    }

    fn poll_probe(&mut self, now_ns: u64, out: &mut [u8]) -> Option<StunTransmit> {
        let local = match &self.kind {
            Kind::Lite(agent) => agent.ufrag(),
            Kind::Full(agent) => agent.ufrag(),
            Kind::Client(agent) => agent.ufrag(),
        };
        let remote = self.remote.as_ref()?;
        let sent = self.probe.poll_transmit(now_ns, remote, local, out);
        sent.map(|(path, len)| StunTransmit { path, len })
    }

    /// When [`Self::handle_timeout`] and [`Self::poll_transmit`] want to be called next; `None`
    /// when only a message can change anything.
    pub fn deadline(&mut self, now_ns: u64) -> Option<u64> {
        let agent = match &mut self.kind {
            Kind::Lite(agent) if agent.is_waiting() => now_ns + RETRY_MS * NS_PER_MS,
            Kind::Lite(_) => NEVER_NS,
            Kind::Full(agent) => agent.deadline(now_ns, &self.paths),
            Kind::Client(agent) => agent.deadline().unwrap_or(NEVER_NS),
        };
        let consent = self.consent.deadline().unwrap_or(NEVER_NS);
        let due = agent.min(consent).min(self.probe.deadline().unwrap_or(NEVER_NS));
        (due != NEVER_NS).then_some(due)
    }

    /// Lets time pass. Call until it gives `None`: a late sleeper hears of every step.
    pub fn handle_timeout(&mut self, now_ns: u64) -> Option<ConsentChange> {
        if let Kind::Full(agent) = &mut self.kind {
            agent.turn(now_ns, &mut self.paths);
        }
        self.consent.handle_timeout(now_ns)
    }

    /// The nominated path.
    pub fn selected(&self) -> Option<Path> {
        self.paths.selected()
    }

    /// Where to send: the nominated path, before there is one the path of the latest check.
    pub fn send_path(&self) -> Option<Path> {
        self.paths.send_path()
    }

    /// Whether an authenticated check came by `path`.
    pub fn is_known(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    /// All paths that passed a check, the latest first.
    pub fn known(&self) -> impl Iterator<Item = Path> + '_ {
        self.paths.iter()
    }

    /// A TCP connection ended; the next check chooses another path.
    pub fn handle_path_closed(&mut self, remote: SocketAddr, protocol: PathProtocol, socket: u32) {
        let path = Path { remote, protocol, socket };
        if let Kind::Full(agent) = &mut self.kind {
            agent.handle_path_closed(&path);
        }
        self.paths.remove(&path);
    }
}
