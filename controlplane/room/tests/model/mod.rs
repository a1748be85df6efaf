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
    /// Commands that found their lane full, as the link keeps them.
    waiting: Vec<VecDeque<Command>>,
    commands: Vec<VecDeque<Command>>,
    events: Vec<VecDeque<Event>>,
    /// How much each shard's lanes hold.
    rooms: Vec<Room>,
    /// Shards that lost events and have not said so yet.
    lost: Vec<bool>,
    next_slot: u32,
    pub(crate) destinations_max: usize,
}

/// How much the lanes of a shard hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) commands: usize,
    pub(crate) events: usize,
}

impl Room {
    pub(crate) const ENDLESS: Self = Self { commands: usize::MAX, events: usize::MAX };
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
            waiting: vec![VecDeque::new(); shards],
            commands: vec![VecDeque::new(); shards],
            events: vec![VecDeque::new(); shards],
            rooms: vec![Room::ENDLESS; shards],
            lost: vec![false; shards],
            next_slot: 0,
            destinations_max: usize::MAX,
        }
    }

    pub(crate) fn shards(&self) -> u16 {
        self.tables.len() as u16
    }

    pub(crate) fn take(&mut self, shard: u16, command: Command) {
        let shard = usize::from(shard);
        self.waiting[shard].push_back(command);
        self.fill(shard);
    }

    /// From now on the lanes of a shard hold so much; what is in them stays.
    pub(crate) fn narrow(&mut self, shard: u8, room: Room) {
        let shard = usize::from(shard) % self.rooms.len();
        self.rooms[shard] = room;
        self.fill(shard);
    }

    /// What waits goes into the lane as far as there is room, in order.
    fn fill(&mut self, shard: usize) {
        let room = self.rooms[shard].commands.saturating_sub(self.commands[shard].len());
        let count = room.min(self.waiting[shard].len());
        self.commands[shard].extend(self.waiting[shard].drain(..count));
    }

    /// A shard never waits: what does not fit is lost, and it says so when there is room.
    fn tell(&mut self, shard: usize, event: Event) {
        if self.events[shard].len() < self.rooms[shard].events {
            self.events[shard].push_back(event);
        } else {
            self.lost[shard] = true;
        }
    }

    pub(crate) fn drop_lanes(&mut self) {
        self.waiting.iter_mut().for_each(VecDeque::clear);
        self.commands.iter_mut().for_each(VecDeque::clear);
        self.events.iter_mut().for_each(VecDeque::clear);
        self.lost.fill(false);
    }

    pub(crate) fn is_idle(&self) -> bool {
        let queues = self.waiting.iter().chain(&self.commands);
        let quiet = self.events.iter().all(VecDeque::is_empty) && !self.lost.contains(&true);
        queues.into_iter().all(VecDeque::is_empty) && quiet
    }

    pub(crate) fn lose_events(&mut self, shard: u8) {
        let shard = usize::from(shard) % self.events.len();
        self.events[shard].clear();
        self.events[shard].push_back(Event::Resync);
    }

    pub(crate) fn say(&mut self, shard: u8, count: usize) -> Vec<Event> {
        let shard = usize::from(shard) % self.events.len();
        let count = count.min(self.events[shard].len());
        let said = self.events[shard].drain(..count).collect();
        if self.events[shard].is_empty() && std::mem::take(&mut self.lost[shard]) {
            self.events[shard].push_back(Event::Resync);
        }
        said
    }

    pub(crate) fn work(&mut self, shard: u8, count: usize, taken: &BTreeSet<u16>) {
        let shard = usize::from(shard) % self.commands.len();
        for _ in 0..count {
            let Some(command) = self.commands[shard].pop_front() else { return };
            self.fill(shard);
            let request = command.request;
            if command.ask == Ask::Snapshot {
                self.snapshot(shard, request);
                continue;
            }
            let outcome = self.obey(shard, command.ask, taken);
            let outcome =
                outcome.unwrap_or_else(|reason| Outcome::Refused(Refused { reason, errno: 0 }));
            self.tell(shard, Event::Done { request, outcome });
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

    /// A snapshot is told piece by piece as there is room, so nothing of it is lost.
    fn snapshot(&mut self, shard: usize, request: u64) {
        let mut told = Vec::new();
        if std::mem::take(&mut self.lost[shard]) {
            told.push(Event::Resync);
        }
        for (key, there) in &self.tables[shard] {
            let Binding { address, policy, .. } = there.binding;
            let bound = there.bound;
            let forward = *key;
            told.push(Event::ForwardIs { request, key: forward, address, policy, bound });
            for (served, slot) in there.destinations.values().copied() {
                told.push(Event::DestinationIs { request, forward, served, slot });
            }
        }
        told.push(Event::Done { request, outcome: Outcome::SnapshotEnd });
        self.events[shard].extend(told);
    }

    fn obey(&mut self, shard: usize, ask: Ask, taken: &BTreeSet<u16>) -> Result<Outcome, Reason> {
        let slot = self.next_slot;
        self.next_slot += 1;
        let served: usize =
            self.tables.iter().flat_map(|t| t.values()).map(|f| f.destinations.len()).sum();
        let full = served >= self.destinations_max;
        match ask {
            Ask::Snapshot => unreachable!("told piece by piece"),
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
