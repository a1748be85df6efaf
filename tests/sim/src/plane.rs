//! The whole data plane, its network and its clock, and a control plane in its simplest form.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use ringway_abi::counters::Counter;
use ringway_abi::message::{
    Bound, Command, DestinationSpec, Event, ForwardKey, ForwardSpec, Outcome, Refusal,
};
use ringway_abi::stats::{DestinationStats, ForwardStats};
use ringway_shard::clock::Now;
use ringway_shard::handoff;
use ringway_shard::shard::ShardConfig;

use crate::kernel::{Faults, Sent};
use crate::machine::{Around, BatchRoom, Machine, Taken, Waiting};
use crate::network::{Network, Packet};
use crate::pool::Pool;
use crate::random::Random;
use crate::sockets::Host;

/// The host's IPv4 address.
pub const HOST_V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
/// The host's IPv6 address.
pub const HOST_V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Where the monotonic clock starts.
const START_NS: u64 = 1_000_000_000_000;
/// What the wall clock is ahead of it.
const EPOCH_NS: u64 = 1_763_000_000_000_000_000;
/// One step of the clock.
pub const STEP_NS: u64 = 1_000_000;

/// How a plane is built.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Seed of everything random.
    pub seed: u64,
    /// Shards.
    pub shards: u16,
    /// Receive buffers of each.
    pub buffers: usize,
    /// Longest datagram that fits into one.
    pub payload_bytes: usize,
    /// Sockets of each shard.
    pub sockets: usize,
    /// Forwards of each shard.
    pub forwards: u32,
    /// Destinations of each shard.
    pub destinations: u32,
    /// Ports for forwards that name none.
    pub ports: (u16, u16),
    /// How much fits into a batch.
    pub room: BatchRoom,
}

impl Setup {
    /// A plane of `shards` shards, everything else as usual.
    pub const fn new(seed: u64, shards: u16) -> Self {
        Self {
            seed,
            shards,
            buffers: 1024,
            payload_bytes: 2000,
            sockets: 1024,
            forwards: 64,
            destinations: 4096,
            ports: (30_000, 39_999),
            room: BatchRoom::USUAL,
        }
    }
}

/// The data plane, its network and its clock.
pub struct Plane {
    /// The shards.
    pub machines: Vec<Machine>,
    /// The network.
    pub network: Network,
    /// The host's ports.
    pub host: Host,
    /// What the kernel refuses to send.
    pub faults: Faults,
    /// All that was handed to the kernel, in order.
    pub sent: Vec<Sent>,
    /// All that shards were handed, in order.
    pub taken: Vec<Taken>,
    /// What arrived at remote addresses.
    pub mail: HashMap<SocketAddr, Vec<(u64, Packet)>>,
    pools: Vec<Pool>,
    now_ns: u64,
    next_request: u64,
    outcomes: HashMap<u64, Outcome>,
    /// Events that answer no command.
    pub news: Vec<(usize, Event)>,
}

impl Plane {
    /// An empty data plane.
    pub fn new(setup: Setup) -> Self {
        let machines = handoff::mesh(usize::from(setup.shards), setup.buffers)
            .into_iter()
            .enumerate()
            .map(|(index, peers)| {
                let config = ShardConfig {
                    index: index as u16,
                    shards: setup.shards,
                    forwards: setup.forwards,
                    destinations: setup.destinations,
                    ports: setup.ports,
                    seed: setup.seed ^ ((index as u64) << 32),
                };
                Machine::new(config, peers, setup.sockets, setup.room)
            })
            .collect();
        let random = Random::new(setup.seed ^ 0xfa17);
        Self {
            machines,
            network: Network::new(setup.seed),
            host: Host::new(vec![HOST_V4, HOST_V6]),
            faults: Faults { permille: 0, errno: 0, random },
            sent: Vec::new(),
            taken: Vec::new(),
            mail: HashMap::new(),
            pools: (0..setup.shards)
                .map(|_| Pool::new(setup.buffers, setup.payload_bytes))
                .collect(),
            now_ns: START_NS,
            next_request: 1,
            outcomes: HashMap::new(),
            news: Vec::new(),
        }
    }

    /// The time, ns on the monotonic clock.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        Now { mono_ns: self.now_ns, unix_ns: self.now_ns + EPOCH_NS }
    }

    /// Puts a datagram into the network.
    pub fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.network.send(self.now_ns, Packet { from, to, bytes });
    }

    /// One step of the clock: what is due arrives, every shard turns once.
    pub fn step(&mut self) {
        self.now_ns += STEP_NS;
        while let Some((due_ns, packet)) = self.network.arrived(self.now_ns) {
            if !self.host.has(packet.to.ip()) {
                self.mail.entry(packet.to).or_default().push((due_ns, packet));
            } else if let Some((shard, socket)) = self.host.receiver(packet.to) {
                let kernel_ns = due_ns + EPOCH_NS;
                self.machines[shard].queue.push_back(Waiting { socket, kernel_ns, packet });
            }
        }
        self.turn_all();
    }

    /// Every shard that is not stalled turns once.
    pub fn turn_all(&mut self) {
        for index in 0..self.machines.len() {
            let now = self.now();
            let machine = &mut self.machines[index];
            if machine.stalled {
                continue;
            }
            machine.turn(&mut Around {
                now,
                pools: &mut self.pools,
                host: &mut self.host,
                network: &mut self.network,
                faults: &mut self.faults,
                log: &mut self.sent,
                taken: &mut self.taken,
            });
            if machine.lane_events != usize::MAX {
                // The scenario reads the lane itself.
                continue;
            }
            while let Some(event) = machine.events.pop_front() {
                match event {
                    Event::Done { request, outcome } => {
                        let before = self.outcomes.insert(request, outcome);
                        assert!(before.is_none(), "command {request} ended twice");
                    }
                    news => self.news.push((index, news)),
                }
            }
        }
    }

    /// Steps for `ms` milliseconds.
    pub fn run_ms(&mut self, ms: u64) {
        (0..ms * 1_000_000 / STEP_NS).for_each(|_| self.step());
    }

    /// Steps until nothing is under way anywhere.
    pub fn settle(&mut self) {
        for _ in 0..20_000 {
            self.step();
            let busy = |machine: &Machine| !machine.stalled && !machine.is_idle();
            if self.network.is_idle() && !self.machines.iter().any(busy) {
                // What was given back in the last turn is taken in the next.
                self.step();
                return;
            }
        }
        panic!("the plane does not come to rest");
    }

    /// Sends a command without waiting; its number.
    pub fn submit(&mut self, shard: u16, command: impl FnOnce(u64) -> Command) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        self.machines[usize::from(shard)].commands.push_back(command(request));
        request
    }

    /// How a command ended, if it has.
    pub fn outcome(&self, request: u64) -> Option<Outcome> {
        self.outcomes.get(&request).copied()
    }

    /// Sends a command and steps until it has ended.
    pub fn ask(&mut self, shard: u16, command: impl FnOnce(u64) -> Command) -> Outcome {
        let request = self.submit(shard, command);
        for _ in 0..1000 {
            if let Some(outcome) = self.outcome(request) {
                return outcome;
            }
            self.step();
        }
        panic!("command {request} never ended");
    }

    /// Creates a forward.
    pub fn create(&mut self, shard: u16, spec: ForwardSpec) -> Result<Bound, Refusal> {
        match self.ask(shard, |request| Command::CreateForward { request, spec }) {
            Outcome::Forward(bound) => Ok(bound),
            Outcome::Refused { reason, .. } => Err(reason),
            other => panic!("not an answer to CreateForward: {other:?}"),
        }
    }

    /// Adds a destination to a forward of `shard`; its record's slot.
    pub fn add(
        &mut self,
        shard: u16,
        forward: ForwardKey,
        spec: DestinationSpec,
    ) -> Result<u32, Refusal> {
        match self.ask(shard, |request| Command::AddDestination { request, forward, spec }) {
            Outcome::Destination { stats_slot } => Ok(stats_slot),
            Outcome::Refused { reason, .. } => Err(reason),
            other => panic!("not an answer to AddDestination: {other:?}"),
        }
    }

    /// Removes a destination.
    pub fn remove(&mut self, shard: u16, forward: ForwardKey, destination: u64) {
        let outcome =
            self.ask(shard, |request| Command::RemoveDestination { request, forward, destination });
        assert_eq!(outcome, Outcome::Removed);
    }

    /// Removes a forward.
    pub fn remove_forward(&mut self, shard: u16, forward: ForwardKey) {
        let outcome = self.ask(shard, |request| Command::RemoveForward { request, forward });
        assert_eq!(outcome, Outcome::Removed);
    }

    /// Takes a snapshot: what the shard says it has, in no order.
    pub fn snapshot(&mut self, shard: u16) -> Vec<Event> {
        self.news.clear();
        let outcome = self.ask(shard, |request| Command::Snapshot { request });
        assert_eq!(outcome, Outcome::SnapshotEnd);
        std::mem::take(&mut self.news).into_iter().map(|(_, event)| event).collect()
    }

    /// A counter of a shard.
    pub fn counter(&self, shard: u16, counter: Counter) -> u64 {
        self.machines[usize::from(shard)].shard.counters.get(counter)
    }

    /// The record of a forward, published just now.
    pub fn forward_stats(&mut self, shard: u16, slot: u32) -> ForwardStats {
        let now = self.now();
        let machine = &mut self.machines[usize::from(shard)];
        machine.publish(now);
        machine.pages.forwards.get(&slot).copied().unwrap_or_default()
    }

    /// The record of a destination, published just now.
    pub fn destination_stats(&mut self, shard: u16, slot: u32) -> DestinationStats {
        let now = self.now();
        let machine = &mut self.machines[usize::from(shard)];
        machine.publish(now);
        machine.pages.destinations.get(&slot).copied().unwrap_or_default()
    }

    /// All that was handed to the kernel for `to`, in order.
    pub fn sent_to(&self, to: SocketAddr) -> Vec<&Sent> {
        self.sent.iter().filter(|sent| sent.packet.to == to).collect()
    }

    /// Takes what arrived at a remote address.
    pub fn take_mail(&mut self, at: SocketAddr) -> Vec<(u64, Packet)> {
        self.mail.remove(&at).unwrap_or_default()
    }

    /// At rest every buffer is free again.
    pub fn assert_no_leak(&self) {
        for (shard, pool) in self.pools.iter().enumerate() {
            assert_eq!(pool.free(), pool.buffers(), "free buffers of shard {shard}");
        }
    }
}
