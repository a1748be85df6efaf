//! One shard, and what the engine and the turn loop are to it in the data plane.
//!
//! The order of [`Machine::turn`] is that of `turn.rs` of the data plane's binary.

use std::collections::{HashMap, VecDeque};

use ringway_abi::message::{Command, Event};
use ringway_abi::stats::{DestinationStats, ForwardStats};
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, Failure, SocketId};
use ringway_shard::handoff::Peer;
use ringway_shard::publish::Records;
use ringway_shard::shard::{Datagram, Shard, ShardConfig, TURN_PACKETS};
use ringway_shard::ticks::Ticks;

use crate::kernel::{Faults, Sent, Wire};
use crate::network::{Network, Packet};
use crate::pool::Pool;
use crate::sockets::{Desk, Handle, Host, Table};

/// Commands taken in one turn.
const TURN_COMMANDS: usize = 16;

/// How much fits into a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRoom {
    /// Runs.
    pub runs: usize,
    /// Pieces.
    pub pieces: usize,
    /// Octets of scratch memory.
    pub scratch: usize,
}

impl BatchRoom {
    /// As much as in the data plane's binary.
    pub const USUAL: Self = Self { runs: 256, pieces: TURN_PACKETS * 8, scratch: 64 * 1024 };
}

/// A datagram that waits in a socket's receive queue.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The socket.
    pub socket: SocketId,
    /// The kernel's receive timestamp, ns since the Unix epoch.
    pub kernel_ns: u64,
    /// The datagram.
    pub packet: Packet,
}

/// A datagram that a shard was handed.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Which shard.
    pub shard: usize,
    /// The datagram; `packet.to` is the address it was sent to.
    pub packet: Packet,
    /// When it was handed over, ns.
    pub at_ns: u64,
    /// When the kernel had it, ns.
    pub kernel_mono_ns: u64,
}

/// Records as a reader of the pages would see them.
#[derive(Debug, Default)]
pub struct Pages {
    /// Of forwards, by slot.
    pub forwards: HashMap<u32, ForwardStats>,
    /// Of destinations, by slot.
    pub destinations: HashMap<u32, DestinationStats>,
}

impl Records for Pages {
    fn forward(&mut self, slot: u32, stats: &ForwardStats) {
        self.forwards.insert(slot, *stats);
    }

    fn destination(&mut self, slot: u32, stats: &DestinationStats) {
        self.destinations.insert(slot, *stats);
    }
}

/// What shards share.
pub(crate) struct Around<'a> {
    pub(crate) now: Now,
    pub(crate) pools: &'a mut [Pool],
    pub(crate) host: &'a mut Host,
    pub(crate) network: &'a mut Network,
    pub(crate) faults: &'a mut Faults,
    pub(crate) log: &'a mut Vec<Sent>,
    pub(crate) taken: &'a mut Vec<Taken>,
}

/// One shard with its engine.
pub struct Machine {
    /// The shard.
    pub shard: Shard<Handle>,
    /// Its sockets.
    pub table: Table,
    /// What waits to be received.
    pub queue: VecDeque<Waiting>,
    /// What the control plane asks.
    pub commands: VecDeque<Command>,
    /// What it told the control plane.
    pub events: VecDeque<Event>,
    /// Events that the lane to the control plane holds.
    pub lane_events: usize,
    /// Does not turn.
    pub stalled: bool,
    /// Its records.
    pub pages: Pages,
    /// Packets delivered, by the kernel's receive timestamp: what the latency histogram is fed.
    pub deliveries: u64,
    index: usize,
    batch: Batch,
    batches: u64,
    failures: Vec<Failure>,
    arrivals: Vec<u32>,
    ticks: Ticks,
}

impl Machine {
    pub(crate) fn new(
        config: ShardConfig,
        peers: Vec<Option<Peer<Handle>>>,
        sockets: usize,
        room: BatchRoom,
    ) -> Self {
        Self {
            shard: Shard::new(config, peers),
            table: Table::new(sockets),
            queue: VecDeque::new(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
            lane_events: usize::MAX,
            stalled: false,
            pages: Pages::default(),
            deliveries: 0,
            index: usize::from(config.index),
            batch: Batch::with_capacity(room.runs, room.pieces, room.scratch),
            batches: 0,
            failures: Vec::new(),
            arrivals: Vec::new(),
            ticks: Ticks::default(),
        }
    }

    /// Whether a turn would find nothing to do but its tick.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.commands.is_empty() && self.shard.peers_idle()
    }

    /// Publishes all records.
    pub fn publish(&mut self, now: Now) {
        self.shard.publish_all(now, &mut self.pages);
    }

    pub(crate) fn turn(&mut self, around: &mut Around<'_>) {
        self.take_arrivals(around);
        let now = around.now;
        let (shard, host, table) = (self.index, &mut *around.host, &mut self.table);
        let mut desk = Desk { shard, host, table };
        self.shard.handle_peers(now, &mut desk);
        for command in self.commands.drain(..self.commands.len().min(TURN_COMMANDS)) {
            self.shard.apply(command, &mut desk);
        }
        // Not along with what came, as the binary does: what is due has nothing else to wait for.
        if self.ticks.sleep_until(self.shard.due_ns(false)) <= now.mono_ns {
            self.shard.handle_tick(now, self.ticks.count(), &mut self.pages);
            self.ticks.end(now.mono_ns);
        }
        self.send(around);
        self.release(&mut around.pools[self.index]);
        self.shard.take_touched(|_| {});
        while self.events.len() < self.lane_events
            && let Some(event) = self.shard.next_event()
        {
            self.events.push_back(event.clone());
            self.shard.event_sent();
        }
    }

    fn take_arrivals(&mut self, around: &mut Around<'_>) {
        while self.arrivals.len() < self.shard.arrivals_per_turn()
            && self.shard.has_room()
            && let Some(waiting) = self.queue.front()
        {
            if self.table.address(waiting.socket).is_none() {
                // The engine gives nothing from a socket that was closed.
                self.queue.pop_front();
                continue;
            }
            let pool = &mut around.pools[self.index];
            let Some((buffer, offset, len)) = pool.receive(&waiting.packet.bytes) else { return };
            let waiting = self.queue.pop_front().expect("it was there");
            let datagram = Datagram {
                socket: waiting.socket,
                from: waiting.packet.from,
                buffer,
                offset,
                kernel_ns: waiting.kernel_ns,
                truncated: len < waiting.packet.bytes.len(),
                queue_drops: 0,
                bytes: pool.octets(offset, len as u32),
            };
            self.shard.handle_datagram(around.now, &datagram);
            self.arrivals.push(buffer);
            around.taken.push(Taken {
                shard: self.index,
                packet: waiting.packet,
                at_ns: around.now.mono_ns,
                kernel_mono_ns: around.now.mono_of(waiting.kernel_ns),
            });
        }
    }

    fn send(&mut self, around: &mut Around<'_>) {
        loop {
            let more = self.shard.poll_transmit(around.now, &mut self.batch);
            assert!(!more || !self.batch.is_empty(), "nothing fits into an empty batch");
            if !self.batch.is_empty() {
                let mut wire = Wire {
                    now_ns: around.now.mono_ns,
                    shard: self.index,
                    pools: around.pools,
                    host: around.host,
                    network: around.network,
                    faults: around.faults,
                    log: around.log,
                };
                wire.send(self.batches, &self.table, &mut self.batch, &mut self.failures);
                self.batches += 1;
                let deliveries = &mut self.deliveries;
                self.shard
                    .take_deliveries(|_, destinations| *deliveries += u64::from(destinations));
                self.shard.handle_failures(&self.failures);
                self.failures.clear();
            }
            if !more {
                return;
            }
        }
    }

    fn release(&mut self, pool: &mut Pool) {
        self.shard.take_retained(|buffer| pool.retain(buffer));
        self.arrivals.drain(..).for_each(|buffer| pool.release(buffer));
        self.shard.take_returned(|buffer| pool.release(buffer));
        self.shard.end_turn();
    }
}
