//! Snapshots: a shard says what it has, and the difference to what is wanted becomes commands.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use super::converge::{Flight, What};
use super::{Effect, Forwards, Timer};
use crate::entry::Here;
use crate::plane::{Ask, Bound, Command, Served};
use crate::spec::Policy;

/// Entries of one snapshot that are listened to. A shard's tables are far smaller; whoever says
/// more is broken and must not fill our memory.
const SNAPSHOT_ENTRIES: usize = 1 << 20;

/// How long a shard may take to answer a command before it is asked for a snapshot instead.
const FLIGHT_TIMEOUT_MS: u64 = 5_000;

/// What is known of one shard.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// It has told what it has.
    pub(super) ready: bool,
    /// The snapshot being told.
    sync: Option<Sync>,
    /// Removals of what nobody knows, in flight.
    pub(super) strays: usize,
}

#[derive(Debug)]
struct Sync {
    request: u64,
    entries: usize,
    seen: HashMap<u64, Seen>,
    /// Events were lost while it was told: ask again afterwards.
    again: bool,
}

#[derive(Debug)]
struct Seen {
    here: Here,
    served: HashMap<u64, (Served, u32)>,
}

impl Forwards {
    /// Asks a shard for all it has. Answers to earlier commands no longer matter: the lane is in
    /// order, so the snapshot already holds what they would say.
    pub(super) fn begin_sync(&mut self, now_ms: u64, shard: u16) {
        self.flights.retain(|_, flight| flight.shard != shard);
        for id in self.on_shard(shard) {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.flight = None;
                entry.flights.clear();
            }
        }
        let request = self.send(now_ms, shard, Ask::Snapshot, What::Snapshot);
        if let Some(shard) = self.shards.get_mut(usize::from(shard)) {
            shard.ready = false;
            shard.strays = 0;
            shard.sync = Some(Sync { request, entries: 0, seen: HashMap::new(), again: false });
        }
    }

    /// Events of a shard were lost.
    pub(super) fn resync(&mut self, now_ms: u64, shard: u16) {
        match self.shards.get_mut(usize::from(shard)) {
            Some(Shard { sync: Some(sync), .. }) => sync.again = true,
            Some(_) => self.begin_sync(now_ms, shard),
            None => {}
        }
    }

    pub(super) fn note_forward(
        &mut self,
        shard: u16,
        request: u64,
        key: u64,
        address: IpAddr,
        policy: Policy,
        bound: Bound,
    ) {
        let Some(sync) = self.sync_of(shard, request) else { return };
        let here = Here { address, bound, policy, source: None };
        sync.seen.insert(key, Seen { here, served: HashMap::new() });
    }

    pub(super) fn note_destination(
        &mut self,
        shard: u16,
        request: u64,
        forward: u64,
        served: Served,
        slot: u32,
    ) {
        let Some(sync) = self.sync_of(shard, request) else { return };
        if let Some(seen) = sync.seen.get_mut(&forward) {
            seen.served.insert(served.key, (served, slot));
        }
    }

    fn sync_of(&mut self, shard: u16, request: u64) -> Option<&mut Sync> {
        let sync = self.shards.get_mut(usize::from(shard))?.sync.as_mut()?;
        sync.entries += 1;
        (sync.request == request && sync.entries <= SNAPSHOT_ENTRIES).then_some(sync)
    }

    /// The snapshot is complete: believe it.
    pub(super) fn end_sync(&mut self, now_ms: u64, index: u16) {
        let Some(shard) = self.shards.get_mut(usize::from(index)) else { return };
        let Some(mut sync) = shard.sync.take() else { return };
        if sync.again {
            return self.begin_sync(now_ms, index);
        }
        shard.ready = true;
        for id in self.on_shard(index) {
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            let source = entry.here.and_then(|here| here.source);
            entry.forget_shard();
            if let Some(seen) = sync.seen.remove(&entry.key) {
                let port = seen.here.bound.rtp.port();
                entry.here = Some(Here { source, ..seen.here });
                entry.served = seen.served;
                entry.failure = None;
                entry.mark_all();
                self.keep_port(now_ms, id, port);
            }
        }
        for key in sync.seen.into_keys() {
            self.send(now_ms, index, Ask::RemoveForward(key), What::Stray);
            if let Some(shard) = self.shards.get_mut(usize::from(index)) {
                shard.strays += 1;
            }
        }
        self.open_or_advance(now_ms, index);
    }

    /// A removal of something that nobody knew has ended.
    pub(super) fn end_stray(&mut self, now_ms: u64, index: u16) {
        if let Some(shard) = self.shards.get_mut(usize::from(index)) {
            shard.strays = shard.strays.saturating_sub(1);
        }
        if !self.open {
            self.open_or_advance(now_ms, index);
        }
    }

    /// Nothing is created before every shard has told what it has and dropped what nobody knows:
    /// a port may still be held by something that is about to go.
    fn open_or_advance(&mut self, now_ms: u64, index: u16) {
        let was_open = self.open;
        self.open = was_open || self.shards.iter().all(|shard| shard.ready && shard.strays == 0);
        let ids = match (was_open, self.open) {
            (true, _) => self.on_shard(index),
            (false, true) => self.entries.keys().copied().collect(),
            (false, false) => return,
        };
        for id in ids {
            self.advance(now_ms, id);
        }
    }

    /// A command was not answered: its answer, or the command, is lost. Ask what is there.
    pub(super) fn miss(&mut self, now_ms: u64, request: u64) {
        if let Some(flight) = self.flights.get(&request) {
            self.begin_sync(now_ms, flight.shard);
        }
    }

    /// Sends a command to a shard and remembers what it was.
    pub(super) fn send(&mut self, now_ms: u64, shard: u16, ask: Ask, what: What) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.flights.insert(request, Flight { shard, what });
        self.timers.push(Reverse((now_ms + FLIGHT_TIMEOUT_MS, Timer::Flight(request))));
        self.effects.push_back(Effect::Send(shard, Command { request, ask }));
        request
    }
}
