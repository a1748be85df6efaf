//! A data plane reduced to its tables: it obeys, refuses, forgets and loses as the real one may.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use ringway_room::Forward;
use ringway_room::plane::{Ask, Binding, Bound, Command, Event, Outcome, Reason, Refused, Served};

/// What a test compares: input ports and policy, and the destinations, per forward and shard.
pub(crate) type Content = BTreeSet<String>;

struct There {
    binding: Binding,
    bound: Bound,
    destinations: BTreeMap<u64, (Served, u32)>,
}

pub(crate) struct Plane {
    tables: Vec<BTreeMap<u64, There>>,
    commands: Vec<VecDeque<Command>>,
    events: Vec<VecDeque<Event>>,
    next_slot: u32,
    pub(crate) destinations_max: usize,
}

pub(crate) fn expected(forward: &Forward) -> String {
    let binding = forward.binding();
    let destinations: BTreeMap<u64, Served> =
        forward.destinations.iter().map(|(key, d)| (*key, d.served())).collect();
    told(forward.shard, &binding, forward.input.port, &destinations)
}

fn told(shard: u16, binding: &Binding, port: u16, destinations: &BTreeMap<u64, Served>) -> String {
    let ports = (port, binding.rtcp.port(port));
    format!("{shard} {} {ports:?} {:?} {destinations:?}", binding.key, binding.policy)
}

impl Plane {
    pub(crate) fn new(shards: u16) -> Self {
        let shards = usize::from(shards);
        Self {
            tables: (0..shards).map(|_| BTreeMap::new()).collect(),
            commands: vec![VecDeque::new(); shards],
            events: vec![VecDeque::new(); shards],
            next_slot: 0,
            destinations_max: usize::MAX,
        }
    }

    pub(crate) fn shards(&self) -> u16 {
        self.tables.len() as u16
    }

    pub(crate) fn take(&mut self, shard: u16, command: Command) {
        self.commands[usize::from(shard)].push_back(command);
    }

    pub(crate) fn drop_lanes(&mut self) {
        self.commands.iter_mut().for_each(VecDeque::clear);
        self.events.iter_mut().for_each(VecDeque::clear);
    }

    pub(crate) fn is_idle(&self) -> bool {
        let commands = self.commands.iter().all(VecDeque::is_empty);
        commands && self.events.iter().all(VecDeque::is_empty)
    }

    pub(crate) fn lose_events(&mut self, shard: u8) {
        let shard = usize::from(shard) % self.events.len();
        self.events[shard].clear();
        self.events[shard].push_back(Event::Resync);
    }

    pub(crate) fn say(&mut self, shard: u8, count: usize) -> Vec<Event> {
        let shard = usize::from(shard) % self.events.len();
        let count = count.min(self.events[shard].len());
        self.events[shard].drain(..count).collect()
    }

    pub(crate) fn work(&mut self, shard: u8, count: usize, taken: &BTreeSet<u16>) {
        let shard = usize::from(shard) % self.commands.len();
        for _ in 0..count {
            let Some(command) = self.commands[shard].pop_front() else { return };
            let request = command.request;
            if command.ask == Ask::Snapshot {
                self.snapshot(shard, request);
            }
            let outcome = self.obey(shard, command.ask, taken);
            let outcome =
                outcome.unwrap_or_else(|reason| Outcome::Refused(Refused { reason, errno: 0 }));
            self.events[shard].push_back(Event::Done { request, outcome });
        }
    }

    pub(crate) fn content(&self) -> Content {
        let mut content = Content::new();
        for (shard, table) in self.tables.iter().enumerate() {
            for there in table.values() {
                let served = there.destinations.iter().map(|(key, d)| (*key, d.0)).collect();
                let port = there.bound.rtp.port();
                content.insert(told(shard as u16, &there.binding, port, &served));
            }
        }
        content
    }

    fn snapshot(&mut self, shard: usize, request: u64) {
        for (key, there) in &self.tables[shard] {
            let Binding { address, policy, .. } = there.binding;
            let bound = there.bound;
            let forward = *key;
            let event = Event::ForwardIs { request, key: forward, address, policy, bound };
            self.events[shard].push_back(event);
            for (served, slot) in there.destinations.values().copied() {
                let event = Event::DestinationIs { request, forward, served, slot };
                self.events[shard].push_back(event);
            }
        }
    }

    fn obey(&mut self, shard: usize, ask: Ask, taken: &BTreeSet<u16>) -> Result<Outcome, Reason> {
        let slot = self.next_slot;
        self.next_slot += 1;
        let served: usize =
            self.tables.iter().flat_map(|t| t.values()).map(|f| f.destinations.len()).sum();
        let full = served >= self.destinations_max;
        match ask {
            Ask::Snapshot => Ok(Outcome::SnapshotEnd),
            Ask::CreateForward(binding) => self.create(shard, binding, slot, taken),
            Ask::UpdateForward(key, policy) => {
                let there = self.tables[shard].get_mut(&key).ok_or(Reason::NoSuchForward)?;
                there.binding.policy = policy;
                Ok(Outcome::Forward(there.bound))
            }
            Ask::RemoveForward(key) => {
                self.tables[shard].remove(&key);
                Ok(Outcome::Removed)
            }
            Ask::AddDestination(key, served) => {
                assert!(usize::from(served.shard) < self.tables.len(), "no such shard");
                let there = self.tables[shard].get_mut(&key).ok_or(Reason::NoSuchForward)?;
                if full && !there.destinations.contains_key(&served.key) {
                    return Err(Reason::TableFull);
                }
                there.destinations.insert(served.key, (served, slot));
                Ok(Outcome::Destination(slot))
            }
            Ask::RemoveDestination(key, destination) => {
                if let Some(there) = self.tables[shard].get_mut(&key) {
                    there.destinations.remove(&destination);
                }
                Ok(Outcome::Removed)
            }
        }
    }

    fn create(
        &mut self,
        shard: usize,
        binding: Binding,
        slot: u32,
        taken: &BTreeSet<u16>,
    ) -> Result<Outcome, Reason> {
        if let Some(there) = self.tables[shard].get(&binding.key) {
            let same = binding.rtp_port == 0 || binding.rtp_port == there.bound.rtp.port();
            return if same { Ok(Outcome::Forward(there.bound)) } else { Err(Reason::Conflict) };
        }
        let mut used = taken.clone();
        for there in self.tables.iter().flat_map(|table| table.values()) {
            used.extend([there.bound.rtp.port(), there.bound.rtcp.port()]);
        }
        let fits = |port: u16| !used.contains(&port) && !used.contains(&binding.rtcp.port(port));
        let port = match binding.rtp_port {
            0 => (5000..5100).step_by(2).find(|port| fits(*port)),
            port => Some(port).filter(|port| fits(*port)),
        };
        let port = port.ok_or(Reason::PortInUse)?;
        let at = |port| SocketAddr::new(binding.address, port);
        let bound = Bound { rtp: at(port), rtcp: at(binding.rtcp.port(port)), slot };
        let binding = Binding { rtp_port: port, ..binding };
        self.tables[shard]
            .insert(binding.key, There { binding, bound, destinations: BTreeMap::new() });
        Ok(Outcome::Forward(bound))
    }
}
