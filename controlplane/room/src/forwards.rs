//! All forwards: what is wanted, what the shards have, and the commands that close the gap.
//!
//! Input comes through `handle_*`: operations of clients, the life and the words of the data plane,
//! time. Output is a queue of [`Effect`]s, read with [`Forwards::poll_effect`].
//!
//! Whoever carries out effects must make every [`Effect::Store`] and [`Effect::Forget`] durable
//! before any [`Effect::Send`] or [`Effect::Answer`] that comes out with or after it: that is what
//! makes a 201 a promise, and a deletion final even if the control plane dies next.
//!
//! One operation per forward is carried out at a time, others wait in its queue; a command in
//! flight is a state, and nothing blocks. A forward that exists is never given up: what a shard
//! refuses is tried again, and what a shard has beyond that is removed.

mod converge;
mod operate;
mod sync;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use crate::entry::{Asked, Entry};
use crate::id::ForwardId;
use crate::operation::{Counts, Operation, Rejection, Reply, State, View};
use crate::placement::{self, Load};
use crate::plane::{Command, Event};
use crate::spec::Forward;
use crate::validate::Limits;
use converge::Flight;
use sync::Shard;

/// How long an operation may take before its client is told that nobody answered.
pub(crate) const ANSWER_TIMEOUT_MS: u64 = 5_000;

/// Destinations on one page of [`Forwards::list`], after which the page ends with the forward that
/// crossed the line: bounds the size of an answer when forwards are large.
pub(crate) const PAGE_DESTINATIONS: usize = 10_000;

/// What should happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Make this forward durable, replacing what is stored under its id.
    Store(Box<Forward>),
    /// Make it durable that this forward is no more.
    Forget(ForwardId),
    /// Send a command to a shard, in order.
    Send(u16, Command),
    /// Answer a client's request.
    Answer(u64, Result<Reply, Rejection>),
}

/// A part of the list of forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The forwards, in the order of their ids.
    pub forwards: Vec<View>,
    /// Ask for what comes after this one, if there is more.
    pub next: Option<ForwardId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Answer(ForwardId, u64),
    Flight(u64),
    Retry(ForwardId),
}

/// The state machine, see the module's description.
#[derive(Debug)]
pub struct Forwards {
    limits: Limits,
    entries: BTreeMap<ForwardId, Entry>,
    ids: HashMap<u64, ForwardId>,
    /// Empty while the data plane is away.
    shards: Vec<Shard>,
    /// When the data plane joined.
    joined_ms: u64,
    loads: Vec<Load>,
    /// All shards have told what they have and dropped what nobody knows: commands may go out.
    open: bool,
    flights: HashMap<u64, Flight>,
    next_request: u64,
    timers: BinaryHeap<Reverse<(u64, Timer)>>,
    effects: VecDeque<Effect>,
}

impl Forwards {
    /// Takes up what was stored. The data plane counts as away until it joins.
    pub fn new(limits: Limits, stored: impl IntoIterator<Item = Forward>) -> Self {
        let entries: BTreeMap<_, _> =
            stored.into_iter().map(|forward| (forward.id, Entry::new(forward, true))).collect();
        Self {
            limits,
            ids: entries.iter().map(|(id, entry)| (entry.key, *id)).collect(),
            entries,
            shards: Vec::new(),
            joined_ms: 0,
            loads: Vec::new(),
            open: false,
            flights: HashMap::new(),
            next_request: 1,
            timers: BinaryHeap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Takes a client's operation; [`Effect::Answer`] with `request` ends it.
    pub fn handle_operation(&mut self, now_ms: u64, request: u64, operation: Operation) {
        let id = operation.forward();
        self.timers.push(Reverse((now_ms + ANSWER_TIMEOUT_MS, Timer::Answer(id, request))));
        let asked = Asked { request, operation };
        match self.entries.get_mut(&id) {
            Some(entry) => entry.queue.push_back(asked),
            None => self.start(now_ms, asked),
        }
        self.advance(now_ms, id);
    }

    /// The data plane is there with so many shards, which may or may not know forwards.
    pub fn handle_joined(&mut self, now_ms: u64, shards: u16) {
        self.handle_lost(now_ms);
        self.shards = (0..shards).map(|_| Shard::default()).collect();
        self.joined_ms = now_ms;
        self.loads = vec![Load::default(); usize::from(shards)];
        self.replace_homeless();
        self.count_loads();
        for shard in 0..shards {
            self.begin_sync(now_ms, shard);
        }
    }

    /// The data plane is gone, or out of reach.
    pub fn handle_lost(&mut self, now_ms: u64) {
        self.shards.clear();
        self.loads.clear();
        self.open = false;
        self.flights.clear();
        let ids: Vec<ForwardId> = self.entries.keys().copied().collect();
        for id in ids {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.forget_shard();
            entry.failure = None;
            entry.failures.clear();
            self.abandon(now_ms, id);
            self.advance(now_ms, id);
        }
    }

    /// A shard said something.
    pub fn handle_event(&mut self, now_ms: u64, shard: u16, event: Event) {
        match event {
            Event::Done { request, outcome } => self.handle_done(now_ms, shard, request, outcome),
            Event::ForwardIs { request, key, address, policy, bound } => {
                self.note_forward(shard, request, key, address, policy, bound);
            }
            Event::DestinationIs { request, forward, served, slot } => {
                self.note_destination(shard, request, forward, served, slot);
            }
            Event::SourceIs { forward, address } => {
                let id = self.ids.get(&forward);
                let entry = id.and_then(|id| self.entries.get_mut(id));
                if let Some(here) = entry.and_then(|entry| entry.here.as_mut()) {
                    here.source = Some(address);
                }
            }
            Event::Resync => self.resync(now_ms, shard),
        }
    }

    /// How busy each shard's thread was of late, ‰ of the wall time. Steers placement.
    pub fn handle_loads(&mut self, busy_permille: &[u32]) {
        for (load, busy) in self.loads.iter_mut().zip(busy_permille) {
            load.busy_permille = *busy;
            load.placed = 0;
        }
        self.count_loads();
    }

    /// Time has come to `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        while let Some(Reverse((at_ms, timer))) = self.timers.peek().copied() {
            if at_ms > now_ms {
                return;
            }
            self.timers.pop();
            match timer {
                Timer::Answer(id, request) => self.time_out(now_ms, id, request),
                Timer::Flight(request) => self.miss(now_ms, request),
                Timer::Retry(id) => self.retry(now_ms, id),
            }
        }
    }

    /// When [`Forwards::handle_timeout`] is due, at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// What should happen next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether the data plane has joined.
    pub fn is_joined(&self) -> bool {
        !self.shards.is_empty()
    }

    /// One forward.
    pub fn get(&self, id: ForwardId) -> Option<View> {
        let entry = self.entries.get(&id).filter(|entry| entry.visible().is_some())?;
        entry.view(self.is_joined())
    }

    /// Up to `limit` forwards whose id comes after `after`.
    pub fn list(&self, after: Option<ForwardId>, limit: usize) -> Page {
        let start = after.map_or(Unbounded, Excluded);
        let mut forwards: Vec<View> = Vec::new();
        let mut destinations = 0;
        let rest = self.entries.range((start, Unbounded));
        for (_, entry) in rest.filter(|(_, entry)| entry.visible().is_some()) {
            if forwards.len() == limit || destinations >= PAGE_DESTINATIONS {
                let next = forwards.last().map(|view| view.forward.id);
                return Page { forwards, next };
            }
            if let Some(view) = entry.view(self.is_joined()) {
                destinations += view.forward.destinations.len();
                forwards.push(view);
            }
        }
        Page { forwards, next: None }
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.entries.values() {
            let Some(forward) = entry.visible() else { continue };
            let state = entry.state(self.is_joined());
            let index = State::ALL.iter().position(|s| *s == state).unwrap_or(0);
            counts.forwards[index] += 1;
            counts.destinations += forward.destinations.len();
        }
        counts
    }

    /// Does for one forward all that can be done now: commands, answers, waiting operations.
    fn advance(&mut self, now_ms: u64, id: ForwardId) {
        let mut queue = VecDeque::new();
        loop {
            self.converge(now_ms, id);
            let gone = self.is_gone(id);
            self.settle(id, gone);
            match self.entries.get_mut(&id) {
                Some(_) if gone => {
                    if let Some(mut entry) = self.entries.remove(&id) {
                        self.ids.remove(&entry.key);
                        queue.append(&mut entry.queue);
                    }
                }
                Some(entry) if entry.active.is_some() || entry.wanted.is_none() => {
                    queue.append(&mut entry.queue);
                    entry.queue = queue;
                    return;
                }
                Some(entry) => queue.append(&mut entry.queue),
                None => {}
            }
            let Some(next) = queue.pop_front() else { return };
            self.start(now_ms, next);
        }
    }

    /// Puts forwards and destinations whose shard no longer exists on one that does.
    fn replace_homeless(&mut self) {
        let shards = self.shards.len();
        for entry in self.entries.values_mut() {
            let Some(forward) = entry.wanted.as_mut() else { continue };
            let mut moved = false;
            if usize::from(forward.shard) >= shards {
                forward.shard = placement::forward(&mut self.loads);
                entry.shard = forward.shard;
                moved = true;
            }
            let mut counts = counts_of(forward, shards);
            for destination in forward.destinations.values_mut() {
                if usize::from(destination.shard) >= shards {
                    destination.shard =
                        placement::destination(forward.shard, &mut counts, &mut self.loads);
                    moved = true;
                }
            }
            if moved && entry.accepted {
                self.effects.push_back(Effect::Store(Box::new(forward.clone())));
            }
        }
    }

    fn count_loads(&mut self) {
        self.loads.iter_mut().for_each(|load| load.total = 0);
        for forward in self.entries.values().filter_map(|entry| entry.wanted.as_ref()) {
            let served = forward.destinations.values().map(|destination| destination.shard);
            for shard in std::iter::once(forward.shard).chain(served) {
                if let Some(load) = self.loads.get_mut(usize::from(shard)) {
                    load.total += 1;
                }
            }
        }
    }

    /// Keys of all forwards whose commands go to `shard`.
    fn on_shard(&self, shard: u16) -> BTreeSet<ForwardId> {
        let there = self.entries.iter().filter(|(_, entry)| entry.shard == shard);
        there.map(|(id, _)| *id).collect()
    }

    fn answer(&mut self, request: u64, result: Result<Reply, Rejection>) {
        self.effects.push_back(Effect::Answer(request, result));
    }
}

/// Destinations of `forward` per shard.
fn counts_of(forward: &Forward, shards: usize) -> Vec<u32> {
    let mut counts = vec![0; shards];
    for destination in forward.destinations.values() {
        if let Some(count) = counts.get_mut(usize::from(destination.shard)) {
            *count += 1;
        }
    }
    counts
}
