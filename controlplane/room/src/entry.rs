//! One forward: what is wanted, what its shard has, what is being asked, and the difference.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::operation::{Operation, Rejection, State, View};
use crate::plane::{Bound, Served};
use crate::spec::{Forward, Policy};

/// First pause before a refused command is tried again, doubled each time. Lower: a port that stays
/// taken costs more; higher: forwards are back later after a data plane that was killed, whose
/// sockets the kernel closes in the background, after its successor has started.
const RETRY_FIRST_MS: u64 = 10;
/// Longest such pause.
const RETRY_LAST_MS: u64 = 30_000;

/// A forward that is wanted, or was and still has something on a shard.
#[derive(Debug)]
pub(crate) struct Entry {
    /// `None`: to be removed.
    pub(crate) wanted: Option<Forward>,
    /// Its creation has been stored: refusals make it failed, not gone.
    pub(crate) accepted: bool,
    /// Where commands about it go.
    pub(crate) shard: u16,
    /// Its name towards shards, also when nothing is wanted any more.
    pub(crate) key: u64,
    /// The input as the shard has it.
    pub(crate) here: Option<Here>,
    /// The command about the input in flight.
    pub(crate) flight: Option<u64>,
    /// Why the input does not work.
    pub(crate) failure: Option<Failure>,
    /// Destinations as the shard has them, with their records, by key.
    pub(crate) served: HashMap<u64, (Served, u32)>,
    /// Commands about destinations in flight, by destination key.
    pub(crate) flights: HashMap<u64, u64>,
    /// Destinations that do not work.
    pub(crate) failures: HashMap<u64, Failure>,
    /// When the timer for trying again is due, if it is set.
    pub(crate) retry_timer_ms: Option<u64>,
    /// Destinations that may differ from what is wanted.
    pub(crate) dirty: BTreeSet<u64>,
    /// The operation being carried out.
    pub(crate) active: Option<Active>,
    /// Operations that wait for it.
    pub(crate) queue: VecDeque<Asked>,
}

/// An input as a shard has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here {
    pub(crate) address: IpAddr,
    pub(crate) bound: Bound,
    pub(crate) policy: Policy,
    pub(crate) source: Option<SocketAddr>,
}

/// A refusal and when to try again.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) retry_at_ms: u64,
    /// It is expected to pass by itself: the forward is pending, not failed.
    pub(crate) passing: bool,
    attempts: u32,
}

impl Failure {
    /// One more refusal after `before`.
    pub(crate) fn after(before: Option<&Self>, message: String, now_ms: u64) -> Self {
        let attempts = before.map_or(0, |failure| failure.attempts + 1);
        let pause_ms = RETRY_FIRST_MS.saturating_mul(1 << attempts.min(16)).min(RETRY_LAST_MS);
        Self { message, retry_at_ms: now_ms + pause_ms, passing: false, attempts }
    }
}

/// An operation and who asked for it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: u64,
    pub(crate) operation: Operation,
}

/// The operation that is being carried out.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) request: u64,
    pub(crate) kind: Kind,
    /// The input must be as wanted first.
    pub(crate) waits_for_input: bool,
    /// These destinations must be as wanted first.
    pub(crate) waits_for: HashSet<u64>,
    pub(crate) undo: Undo,
}

/// What an operation answers with when it ends.
#[derive(Debug)]
pub(crate) enum Kind {
    Create,
    Update,
    Delete,
    AddDestinations { keys: Vec<u64>, paths: HashMap<u64, String>, created: bool },
    UpdateDestination(u64),
    RemoveDestination,
}

/// How an operation that cannot be carried out is taken back.
#[derive(Debug)]
pub(crate) enum Undo {
    /// By wanting nothing.
    Forget,
    /// By wanting what was wanted before.
    Restore(Box<Forward>),
    /// Not at all: it is stored already.
    Stored,
}

/// What the input of a forward needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Update,
    Remove,
    /// The input is as wanted; see to the destinations.
    Ready,
    /// Wait for an answer or for the time to try again.
    Wait,
    /// Neither wanted nor there.
    Gone,
}

/// What a destination needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DestinationStep {
    Add(Served),
    Remove,
    Wait,
    Settled,
}

impl Entry {
    pub(crate) fn new(forward: Forward, accepted: bool) -> Self {
        Self {
            accepted,
            shard: forward.shard,
            key: forward.key,
            here: None,
            flight: None,
            failure: None,
            served: HashMap::new(),
            flights: HashMap::new(),
            failures: HashMap::new(),
            retry_timer_ms: None,
            dirty: forward.destinations.keys().copied().collect(),
            active: None,
            queue: VecDeque::new(),
            wanted: Some(forward),
        }
    }

    /// The forward, if clients may see it.
    pub(crate) fn visible(&self) -> Option<&Forward> {
        self.wanted.as_ref().filter(|_| self.accepted)
    }

    /// What the input needs next.
    pub(crate) fn step(&self, now_ms: u64) -> Step {
        if self.flight.is_some() {
            return Step::Wait;
        }
        let resting = self.failure.as_ref().is_some_and(|f| f.retry_at_ms > now_ms);
        match (&self.wanted, &self.here) {
            (None, None) => Step::Gone,
            (_, None) if resting => Step::Wait,
            (Some(_), None) => Step::Create,
            (None, Some(_)) if resting => Step::Wait,
            (None, Some(_)) => Step::Remove,
            (Some(forward), Some(here)) if !here.is_bound_as(forward) => {
                if resting {
                    Step::Wait
                } else {
                    Step::Remove
                }
            }
            (Some(forward), Some(here)) if here.policy != forward.input.policy && !resting => {
                Step::Update
            }
            (Some(_), Some(_)) => Step::Ready,
        }
    }

    /// Whether the shard's input is what is wanted.
    pub(crate) fn input_settled(&self) -> bool {
        match (&self.wanted, &self.here) {
            (Some(forward), Some(here)) => {
                here.is_bound_as(forward) && here.policy == forward.input.policy
            }
            _ => false,
        }
    }

    /// What the destination `key` needs next, once the input is there.
    pub(crate) fn destination_step(&self, key: u64, now_ms: u64) -> DestinationStep {
        if self.flights.contains_key(&key) {
            return DestinationStep::Wait;
        }
        let wanted = self.wanted.as_ref().and_then(|forward| forward.destinations.get(&key));
        let resting = self.failures.get(&key).is_some_and(|f| f.retry_at_ms > now_ms);
        match (wanted.map(|d| d.served()), self.served.get(&key)) {
            (None, None) => DestinationStep::Settled,
            (Some(wanted), Some((served, _))) if wanted == *served => DestinationStep::Settled,
            _ if resting => DestinationStep::Wait,
            (Some(wanted), _) => DestinationStep::Add(wanted),
            (None, Some(_)) => DestinationStep::Remove,
        }
    }

    /// Forgets what the shard has: it has nothing, or must say again.
    pub(crate) fn forget_shard(&mut self) {
        self.here = None;
        self.flight = None;
        self.served.clear();
        self.flights.clear();
        self.mark_all();
    }

    /// All destinations, wanted or served, may differ.
    pub(crate) fn mark_all(&mut self) {
        if let Some(forward) = &self.wanted {
            self.dirty.extend(forward.destinations.keys().copied());
        }
        self.dirty.extend(self.served.keys().copied());
    }

    /// Destinations that differ between `before` and what is wanted may differ from the shard's.
    pub(crate) fn mark_changes(&mut self, before: &Forward) {
        let Some(now) = &self.wanted else { return };
        let differs = |key: &&u64| before.destinations.get(*key) != now.destinations.get(*key);
        self.dirty.extend(before.destinations.keys().filter(differs));
        self.dirty.extend(now.destinations.keys().filter(differs));
    }

    /// The earliest time after `now_ms` at which something refused may be tried again.
    pub(crate) fn retry_at_ms(&self, now_ms: u64) -> Option<u64> {
        let failures = self.failure.iter().chain(self.failures.values());
        failures.map(|failure| failure.retry_at_ms).filter(|at_ms| *at_ms > now_ms).min()
    }

    /// Whether an operation may wait for the shard to agree: not while the shard is refusing the
    /// forward, which stays wanted all the same.
    pub(crate) fn is_failed(&self) -> bool {
        self.lasting_failure().is_some() && self.here.is_none()
    }

    /// Why the input does not work, unless that is expected to pass by itself.
    fn lasting_failure(&self) -> Option<&Failure> {
        self.failure.as_ref().filter(|failure| !failure.passing)
    }

    /// How the forward fares.
    pub(crate) fn state(&self, joined: bool) -> State {
        if joined && self.lasting_failure().is_some() && !self.input_settled() {
            State::Failed
        } else if joined && self.input_settled() {
            State::Active
        } else {
            State::Pending
        }
    }

    /// The forward for a client.
    pub(crate) fn view(&self, joined: bool) -> Option<View> {
        let forward = self.wanted.as_ref()?;
        let slots = self.served.iter().map(|(key, (_, slot))| (*key, *slot)).collect();
        Some(View {
            forward: forward.clone(),
            state: self.state(joined),
            error: self.error(joined),
            source: self.here.and_then(|here| here.source),
            slot: self.here.map(|here| here.bound.slot),
            slots,
        })
    }

    fn error(&self, joined: bool) -> Option<String> {
        if !joined {
            return Some(Rejection::away().message);
        }
        if let Some(failure) = self.lasting_failure() {
            return Some(failure.message.clone());
        }
        let first = self.failures.values().map(|failure| &failure.message).min()?;
        let count = self.failures.len();
        Some(format!("{count} of its destinations are not served: {first}"))
    }
}

impl Here {
    fn is_bound_as(&self, forward: &Forward) -> bool {
        let input = &forward.input;
        let port = self.bound.rtp.port();
        self.address == input.address
            && (port == input.port || input.port == 0)
            && self.bound.rtcp.port() == input.rtcp.port(port)
    }
}
