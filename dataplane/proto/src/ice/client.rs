//! The controlling agent of our own load generator: just enough to connect to a server's host
//! candidates and to stay connected.
//!
//! It checks every candidate that it is given, nominates the first that answers (or the one that
//! it is told to), repeats that check as consent (RFC 7675), and answers the checks of a full peer.
//! There is no gathering, no pairing by priority and no role change: as the offerer's side of a
//! lite peer it is always controlling (RFC 8445 6.1.1).

use ringway_wire::stun::{
    Class, IceRole, MessageType, StunRoomError, StunView, StunWriter, TransactionId,
};

use super::credentials::IceKey;
use super::paths::Paths;
use super::reply::{Reply, authenticate, grant, put_refusal, role_conflict};
use super::{IceCredentials, IceDrop, NS_PER_MS, Path, StunTransmit};

/// Candidates of the server that are checked; further ones are ignored.
const MAX_CANDIDATES: usize = 8;

/// Between two checks of a candidate that has not answered yet.
const CHECK_INTERVAL_MS: u64 = 100;

/// The same after [`EAGER_CHECKS`] of them.
const SLOW_CHECK_INTERVAL_MS: u64 = 1000;
const EAGER_CHECKS: u32 = 20;

/// Between two checks of a candidate that answers; libwebrtc's figure on a stable path.
const CONSENT_INTERVAL_MS: u64 = 2500;

/// The same while the latest check is not answered: on a lossy path several may be lost in a row.
const DOUBT_INTERVAL_MS: u64 = 500;

/// Requests of one candidate whose answers are still taken.
const OPEN_TRANSACTIONS: usize = 8;

// RFC 8445 5.1.2.1: type preference 126 for host candidates, then local preference and component.
const PRIORITY: u32 = 126 << 24 | 65535 << 8 | 255;

struct Candidate {
    path: Path,
    /// Numbers of the latest requests, and whether each nominated.
    open: [Option<(u64, bool)>; OPEN_TRANSACTIONS],
    sent: u32,
    due_ns: u64,
    answered: bool,
}

pub(super) struct ClientAgent {
    local: IceKey,
    remote: Option<IceKey>,
    candidates: Vec<Candidate>,
    nominated: Option<Path>,
    /// Makes transaction ids: an answer is signed, so they need not be secret.
    seed: u64,
    counter: u64,
    reply: Reply,
}

impl ClientAgent {
    pub(super) fn new(local: &IceCredentials, seed: u64) -> Self {
        Self {
            local: IceKey::new(local),
            remote: None,
            candidates: Vec::new(),
            nominated: None,
            seed,
            counter: 0,
            reply: Reply::default(),
        }
    }

    pub(super) fn restart(&mut self, local: &IceCredentials) {
        self.local = IceKey::new(local);
        self.remote = None;
        for candidate in &mut self.candidates {
            candidate.answered = false;
            candidate.sent = 0;
            candidate.due_ns = 0;
            candidate.open = Default::default();
        }
    }

    pub(super) fn set_remote(&mut self, remote: &IceCredentials) {
        self.remote = Some(IceKey::new(remote));
    }

    pub(super) fn add_remote_candidate(&mut self, path: Path) {
        let known = self.candidates.iter().any(|candidate| candidate.path == path);
        if !known && self.candidates.len() < MAX_CANDIDATES {
            let open = Default::default();
            self.candidates.push(Candidate { path, open, sent: 0, due_ns: 0, answered: false });
        }
    }

    /// Nominates `path` from the next check on, as a client does that changed its network.
    pub(super) fn nominate(&mut self, path: Path) {
        self.add_remote_candidate(path);
        self.nominated = Some(path);
        if let Some(candidate) = self.candidates.iter_mut().find(|other| other.path == path) {
            candidate.due_ns = 0;
        }
    }

    pub(super) fn ufrag(&self) -> &[u8] {
        self.local.ufrag()
    }

    pub(super) fn handle(
        &mut self,
        now_ns: u64,
        path: Path,
        view: &StunView<'_>,
        paths: &mut Paths,
    ) -> Result<bool, IceDrop> {
        let message_type = view.message_type();
        if message_type == MessageType::binding(Class::Request) {
            self.handle_request(path, view).map(|()| false)
        } else if message_type == MessageType::binding(Class::Success) {
            self.handle_answer(now_ns, path, view, paths)
        } else {
            Err(IceDrop::Unasked)
        }
    }

    fn handle_request(&mut self, path: Path, view: &StunView<'_>) -> Result<(), IceDrop> {
        let judged = authenticate(view, &self.local)
            .and_then(|()| if role_conflict(view, true) { Err(IceDrop::Role) } else { Ok(()) });
        if let Err(reason) = judged {
            put_refusal(&mut self.reply, view, path, reason, &self.local);
            return Err(reason);
        }
        let local = &self.local;
        self.reply.put(path, |out| grant(view.transaction(), &path, local, out));
        Ok(())
    }

    /// Tells whether the answered request nominated its path.
    fn handle_answer(
        &mut self,
        now_ns: u64,
        path: Path,
        view: &StunView<'_>,
        paths: &mut Paths,
    ) -> Result<bool, IceDrop> {
        let remote = self.remote.as_ref().ok_or(IceDrop::Unasked)?;
        let number = number_of(view.transaction(), self.seed).ok_or(IceDrop::Unasked)?;
        // RFC 8445 7.2.5.2.1: the answer must come from where the request went.
        let candidate = self.candidates.iter_mut().find(|candidate| candidate.path == path);
        let candidate = candidate.ok_or(IceDrop::Unasked)?;
        let open =
            candidate.open.iter_mut().find(|open| matches!(open, Some((n, _)) if *n == number));
        let open = open.ok_or(IceDrop::Unasked)?;
        if !view.signed().is_some_and(|signed| remote.verify(&signed)) {
            return Err(IceDrop::Integrity);
        }
        let nominated = open.take().is_some_and(|(_, nominated)| nominated);
        candidate.answered = true;
        let chosen = *self.nominated.get_or_insert(path) == path;
        // A chosen path whose check did not say so is checked again at once.
        let wait_ms = if chosen && !nominated { 0 } else { CONSENT_INTERVAL_MS };
        candidate.due_ns = now_ns + wait_ms * NS_PER_MS;
        let current = nominated && chosen;
        if current {
            paths.select(path);
        }
        Ok(current)
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        self.remote.as_ref()?;
        self.candidates.iter().map(|candidate| candidate.due_ns).min()
    }

    pub(super) fn poll_transmit(&mut self, now_ns: u64, out: &mut [u8]) -> Option<StunTransmit> {
        if let Some((path, len)) = self.reply.take(out) {
            return Some(StunTransmit { path, len });
        }
        self.remote.as_ref()?;
        let at = self.candidates.iter().position(|candidate| candidate.due_ns <= now_ns)?;
        let single = self.candidates.len() == 1;
        let candidate = self.candidates.get_mut(at)?;
        let nominate = self.nominated.map_or(single, |nominated| nominated == candidate.path);
        let number = self.counter;
        self.counter += 1;
        candidate.open.rotate_right(1);
        candidate.open[0] = Some((number, nominate));
        candidate.sent = candidate.sent.saturating_add(1);
        let interval_ms = match (candidate.answered, candidate.sent) {
            (true, _) => DOUBT_INTERVAL_MS,
            (false, 0..=EAGER_CHECKS) => CHECK_INTERVAL_MS,
            (false, _) => SLOW_CHECK_INTERVAL_MS,
        };
        candidate.due_ns = now_ns + interval_ms * NS_PER_MS;
        let path = candidate.path;
        if nominate && single {
            self.nominated = Some(path);
        }
        let len = self.write_check(number, nominate, out).ok()?;
        Some(StunTransmit { path, len })
    }

    fn write_check(
        &self,
        number: u64,
        nominate: bool,
        out: &mut [u8],
    ) -> Result<usize, StunRoomError> {
        let Some(remote) = &self.remote else { return Ok(0) };
        let message_type = MessageType::binding(Class::Request);
        let mut writer = StunWriter::new(out, message_type, transaction_of(number, self.seed));
        writer
            .username(remote.ufrag(), self.local.ufrag())
            .priority(PRIORITY)
            .role(IceRole::Controlling(self.seed));
        if nominate {
            writer.use_candidate();
        }
        writer.integrity(|message| remote.sign(message)).fingerprint().finish()
    }
}

fn transaction_of(number: u64, seed: u64) -> TransactionId {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&(number ^ seed).to_be_bytes());
    id[8..].copy_from_slice(&(seed as u32).to_be_bytes());
    TransactionId(id)
}

fn number_of(transaction: TransactionId, seed: u64) -> Option<u64> {
    let (number, check) = transaction.0.split_first_chunk::<8>()?;
    (*check == (seed as u32).to_be_bytes()).then(|| u64::from_be_bytes(*number) ^ seed)
}
