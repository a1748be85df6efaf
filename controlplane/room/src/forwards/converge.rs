//! From what a shard has to what is wanted: the next commands of one forward, and their answers.

use std::cmp::Reverse;

use super::{Effect, Forwards, Timer};
use crate::entry::{DestinationStep, Entry, Failure, Here, Kind, Step};
use crate::id::ForwardId;
use crate::operation::{Rejection, RejectionKind};
use crate::plane::{Ask, Binding, Bound, Outcome, Reason, Refused, Served};
use crate::refusal;
use crate::spec::Policy;

/// How long after joining a data plane a port in use counts as one that is about to be free: its
/// killed predecessor's sockets are closed by the kernel in the background. Lower: forwards show
/// `failed` although nothing is wrong. Higher: a port that someone else took is told later.
const PORTS_FREED_WITHIN_MS: u64 = 1_000;

/// A command that has not been answered.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) shard: u16,
    pub(super) what: What,
}

/// What a command in flight was.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Snapshot,
    /// Removal of something that nobody knows.
    Stray,
    Create(ForwardId, Binding),
    Update(ForwardId, Policy),
    Remove(ForwardId),
    Add(ForwardId, Served),
    Drop(ForwardId, u64),
}

impl Forwards {
    fn can_send(&self, shard: u16) -> bool {
        self.open && self.shards.get(usize::from(shard)).is_some_and(|shard| shard.ready)
    }

    /// Neither wanted nor on any shard, as far as anybody can tell.
    pub(super) fn is_gone(&self, id: ForwardId) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let known = !self.is_joined() || self.can_send(entry.shard);
        known && entry.step(0) == Step::Gone
    }

    /// Sends what brings the shard nearer to what is wanted.
    pub(super) fn converge(&mut self, now_ms: u64, id: ForwardId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (shard, key) = (entry.shard, entry.key);
        if !self.can_send(shard) {
            return;
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (ask, what) = match (entry.step(now_ms), &entry.wanted) {
            (Step::Create, Some(forward)) => {
                let binding = forward.binding();
                (Ask::CreateForward(binding), What::Create(id, binding))
            }
            (Step::Update, Some(forward)) => {
                let policy = forward.input.policy;
                (Ask::UpdateForward(key, policy), What::Update(id, policy))
            }
            (Step::Remove, _) => (Ask::RemoveForward(key), What::Remove(id)),
            (Step::Ready, _) => return self.converge_destinations(now_ms, id),
            _ => return,
        };
        let request = self.send(now_ms, shard, ask, what);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.flight = Some(request);
        }
    }

    fn converge_destinations(&mut self, now_ms: u64, id: ForwardId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let (shard, forward) = (entry.shard, entry.key);
        if entry.input_settled()
            && let Some(active) = &mut entry.active
        {
            active.waits_for_input = false;
        }
        for key in std::mem::take(&mut entry.dirty) {
            let Some(entry) = self.entries.get_mut(&id) else { return };
            let (ask, what) = match entry.destination_step(key, now_ms) {
                DestinationStep::Add(served) => {
                    (Ask::AddDestination(forward, served), What::Add(id, served))
                }
                DestinationStep::Remove => {
                    (Ask::RemoveDestination(forward, key), What::Drop(id, key))
                }
                DestinationStep::Wait => continue,
                DestinationStep::Settled => {
                    entry.failures.remove(&key);
                    if let Some(active) = &mut entry.active {
                        active.waits_for.remove(&key);
                    }
                    continue;
                }
            };
            let request = self.send(now_ms, shard, ask, what);
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.flights.insert(key, request);
            }
        }
    }

    /// A shard says how a command ended.
    pub(super) fn handle_done(&mut self, now_ms: u64, shard: u16, request: u64, outcome: Outcome) {
        // Not ours, or from before a snapshot was asked for.
        let Some(flight) = self.flights.get(&request).filter(|flight| flight.shard == shard) else {
            return;
        };
        let what = flight.what;
        self.flights.remove(&request);
        match (what, outcome) {
            (What::Snapshot, Outcome::SnapshotEnd) => self.end_sync(now_ms, shard),
            (What::Stray, _) => self.end_stray(now_ms, shard),
            (What::Create(id, binding), Outcome::Forward(bound)) => {
                self.created(now_ms, id, binding, bound);
            }
            (What::Update(id, policy), Outcome::Forward(_)) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.flight = None;
                    entry.failure = None;
                    entry.here.iter_mut().for_each(|here| here.policy = policy);
                }
                self.advance(now_ms, id);
            }
            (What::Remove(id), Outcome::Removed) => self.removed(now_ms, id),
            (What::Add(id, served), Outcome::Destination(slot)) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.flights.remove(&served.key);
                    entry.served.insert(served.key, (served, slot));
                    entry.failures.remove(&served.key);
                    entry.dirty.insert(served.key);
                }
                self.advance(now_ms, id);
            }
            (What::Drop(id, key), Outcome::Removed) => {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.flights.remove(&key);
                    entry.served.remove(&key);
                    entry.dirty.insert(key);
                }
                self.advance(now_ms, id);
            }
            (What::Snapshot, _) => {
                // Refused: try again when it would have timed out.
                self.flights.insert(request, Flight { shard, what });
            }
            (what, Outcome::Refused(refused)) => self.refused(now_ms, what, refused),
            // An answer to another question: the shard and we no longer mean the same.
            (_, _) => self.begin_sync(now_ms, shard),
        }
    }

    fn created(&mut self, now_ms: u64, id: ForwardId, binding: Binding, bound: Bound) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let here = Here { address: binding.address, bound, policy: binding.policy, source: None };
        entry.flight = None;
        entry.here = Some(here);
        entry.mark_all();
        if !self.keep_port(now_ms, id, bound.rtp.port()) {
            return self.advance(now_ms, id);
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.wanted.is_some() && !entry.input_settled() {
            // The shard bound something else than was asked: going round at full speed helps no
            // one.
            let message = format!("the data plane bound {} instead", bound.rtp);
            self.fail_input(now_ms, id, message);
        } else {
            entry.failure = None;
        }
        self.advance(now_ms, id);
    }

    /// A forward that left its port to the shard keeps the one it got, from now on and for good.
    /// False: it must not have that port, and its creation has been taken back.
    pub(super) fn keep_port(&mut self, now_ms: u64, id: ForwardId, port: u16) -> bool {
        let wanted = self.entries.get_mut(&id).and_then(|entry| entry.wanted.as_mut());
        let Some(forward) = wanted.filter(|forward| forward.input.port == 0) else { return true };
        forward.input.port = port;
        let input = forward.input;
        let Some(other) = self.collision(id, &input) else { return true };
        // The port is free only because the forward that owns it cannot have it just now.
        let message = format!("the port chosen belongs to forward {other}: try again");
        let kind = RejectionKind::Conflict;
        let rejection = Rejection::new(kind, "no_free_port", message, Some("input.port"));
        self.undo(now_ms, id, rejection);
        false
    }

    fn removed(&mut self, now_ms: u64, id: ForwardId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            for request in entry.flights.values() {
                self.flights.remove(request);
            }
            entry.forget_shard();
        }
        self.advance(now_ms, id);
    }

    fn refused(&mut self, now_ms: u64, what: What, refused: Refused) {
        match what {
            What::Create(id, _) | What::Update(id, _) | What::Remove(id) => {
                self.input_refused(now_ms, id, what, refused);
            }
            What::Add(id, Served { key, .. }) | What::Drop(id, key) => {
                self.destination_refused(now_ms, id, key, refused);
            }
            What::Snapshot | What::Stray => {}
        }
    }

    fn input_refused(&mut self, now_ms: u64, id: ForwardId, what: What, refused: Refused) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.flight = None;
        if refused.reason == Reason::NoSuchForward {
            return self.vanished(now_ms, id);
        }
        if let (Reason::Conflict, What::Create(..)) = (refused.reason, what) {
            // It is there with other ports: ask what the shard has, then replace it.
            let shard = entry.shard;
            return self.resync(now_ms, shard);
        }
        let Some(forward) = &entry.wanted else {
            self.fail_input(now_ms, id, format!("the data plane keeps it: {:?}", refused.reason));
            return self.advance(now_ms, id);
        };
        let rejection = refusal::of_input(refused, forward);
        let message = rejection.message.clone();
        let own_fault = match (&entry.active, what) {
            (Some(active), What::Create(..)) => matches!(active.kind, Kind::Create),
            (Some(active), What::Update(..)) => {
                matches!(active.kind, Kind::Update) && active.waits_for_input
            }
            _ => false,
        };
        let young = now_ms.saturating_sub(self.joined_ms) < PORTS_FREED_WITHIN_MS;
        if own_fault {
            self.undo(now_ms, id, rejection);
        } else if young && refused.reason == Reason::PortInUse {
            self.wait_for_port(now_ms, id, message);
        } else {
            self.fail_input(now_ms, id, message);
        }
        self.advance(now_ms, id);
    }

    /// The port is most likely about to be free: tries again soon, and operations go on waiting.
    fn wait_for_port(&mut self, now_ms: u64, id: ForwardId, message: String) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let mut failure = Failure::after(entry.failure.as_ref(), message, now_ms);
        failure.passing = true;
        let retry_at_ms = failure.retry_at_ms;
        entry.failure = Some(failure);
        self.wake_for_retry(id, retry_at_ms);
    }

    /// The shard does not have what we thought it has.
    fn vanished(&mut self, now_ms: u64, id: ForwardId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        for request in entry.flights.values() {
            self.flights.remove(request);
        }
        entry.forget_shard();
        if entry.wanted.is_some() {
            self.fail_input(now_ms, id, "the data plane lost it".to_owned());
        }
        self.advance(now_ms, id);
    }

    /// Notes that the input does not work; operations no longer wait for it.
    fn fail_input(&mut self, now_ms: u64, id: ForwardId, message: String) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let failure = Failure::after(entry.failure.as_ref(), message, now_ms);
        let retry_at_ms = failure.retry_at_ms;
        entry.failure = Some(failure);
        if entry.accepted
            && let Some(active) = &mut entry.active
        {
            active.waits_for_input = false;
            active.waits_for.clear();
        }
        self.wake_for_retry(id, retry_at_ms);
    }

    fn destination_refused(&mut self, now_ms: u64, id: ForwardId, key: u64, refused: Refused) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.flights.remove(&key);
        if refused.reason == Reason::NoSuchForward && entry.here.is_some() {
            return self.vanished(now_ms, id);
        }
        let wanted = entry.wanted.as_ref().and_then(|forward| {
            let index = forward.destinations.get_index_of(&key)?;
            Some((index, forward.destinations[index]))
        });
        let rejection = wanted.map(|(index, destination)| {
            let path = destination_path(entry, key, index);
            refusal::of_destination(refused, &destination, &path)
        });
        match rejection {
            Some(rejection) if entry.active.as_ref().is_some_and(|a| a.blames(key)) => {
                self.undo(now_ms, id, rejection);
            }
            rejection => {
                let message = match rejection {
                    Some(rejection) => rejection.message,
                    None => format!("the data plane keeps a destination: {:?}", refused.reason),
                };
                let failure = Failure::after(entry.failures.get(&key), message, now_ms);
                let retry_at_ms = failure.retry_at_ms;
                entry.failures.insert(key, failure);
                if entry.accepted
                    && let Some(active) = &mut entry.active
                {
                    active.waits_for.remove(&key);
                }
                self.wake_for_retry(id, retry_at_ms);
            }
        }
        self.advance(now_ms, id);
    }

    /// One timer per forward is enough: it looks at all that was refused.
    fn wake_for_retry(&mut self, id: ForwardId, retry_at_ms: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.retry_timer_ms.is_none_or(|set_ms| retry_at_ms < set_ms) {
            entry.retry_timer_ms = Some(retry_at_ms);
            self.timers.push(Reverse((retry_at_ms, Timer::Retry(id))));
        }
    }

    /// Tries again what was refused and is due.
    pub(super) fn retry(&mut self, now_ms: u64, id: ForwardId) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.retry_timer_ms = None;
        let due = entry.failures.iter().filter(|(_, failure)| failure.retry_at_ms <= now_ms);
        entry.dirty.extend(due.map(|(key, _)| *key));
        self.advance(now_ms, id);
        let next_ms = self.entries.get(&id).and_then(|entry| entry.retry_at_ms(now_ms));
        if let Some(next_ms) = next_ms {
            self.wake_for_retry(id, next_ms);
        }
    }

    /// Queues the forward for the store.
    pub(super) fn store(&mut self, id: ForwardId) {
        let forward = self.entries.get(&id).and_then(|entry| entry.wanted.clone());
        if let Some(forward) = forward {
            self.effects.push_back(Effect::Store(Box::new(forward)));
        }
    }
}

/// Where the request that is being carried out spoke of the destination.
fn destination_path(entry: &Entry, key: u64, index: usize) -> String {
    match entry.active.as_ref().map(|active| &active.kind) {
        Some(Kind::AddDestinations { paths, .. }) => paths.get(&key).cloned().unwrap_or_default(),
        Some(Kind::Create) => format!("destinations[{index}]"),
        _ => String::new(),
    }
}
