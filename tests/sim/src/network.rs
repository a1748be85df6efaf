//! The network: datagrams under way, and paths that lose, double, delay and reorder them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;

use crate::random::Random;

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// Its octets.
    pub bytes: Vec<u8>,
}

/// What a path does to datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// How many of a thousand are lost.
    pub loss_permille: u64,
    /// How many of a thousand come twice.
    pub double_permille: u64,
    /// How many of a thousand are held back by [`Path::held_ns`].
    pub reorder_permille: u64,
    /// How long those are held back.
    pub held_ns: u64,
    /// How long the others take.
    pub delay_ns: u64,
    /// How much longer at most, by chance; they come in order all the same, as from a queue.
    pub jitter_ns: u64,
}

impl Path {
    /// Takes a moment, and does nothing else.
    pub const PERFECT: Self = Self {
        loss_permille: 0,
        double_permille: 0,
        reorder_permille: 0,
        held_ns: 0,
        delay_ns: 100_000,
        jitter_ns: 0,
    };

    /// Some path with up to 20 % loss.
    pub fn poor(random: &mut Random) -> Self {
        Self {
            loss_permille: random.below(201),
            double_permille: random.below(50),
            reorder_permille: random.below(100),
            held_ns: random.between(100_000, 5_000_000),
            delay_ns: random.between(10_000, 30_000_000),
            jitter_ns: 0,
        }
    }
}

/// All that is under way.
#[derive(Debug)]
pub struct Network {
    random: Random,
    paths: HashMap<SocketAddr, Path>,
    /// By due time, then by the order of sending: a perfect path keeps order.
    flight: BinaryHeap<Reverse<(u64, u64, Packet)>>,
    /// When the last one left each queue, by sender and receiver.
    queues: HashMap<(SocketAddr, SocketAddr), u64>,
    sent: u64,
}

impl Network {
    /// A network of perfect paths.
    pub fn new(seed: u64) -> Self {
        let flight = BinaryHeap::new();
        let (paths, queues) = (HashMap::new(), HashMap::new());
        Self { random: Random::new(seed), paths, flight, queues, sent: 0 }
    }

    /// Sets the path to and from a remote address.
    pub fn set_path(&mut self, remote: SocketAddr, path: Path) {
        self.paths.insert(remote, path);
    }

    /// Takes a datagram.
    pub fn send(&mut self, now_ns: u64, packet: Packet) {
        let of = |address| self.paths.get(address).copied();
        let path = of(&packet.from).or_else(|| of(&packet.to)).unwrap_or(Path::PERFECT);
        if self.random.chance(path.loss_permille) {
            return;
        }
        let copies = if self.random.chance(path.double_permille) { 2 } else { 1 };
        for _ in 0..copies {
            let held = self.random.chance(path.reorder_permille);
            let mut due_ns = now_ns + path.delay_ns;
            if path.jitter_ns > 0 {
                due_ns += self.random.below(path.jitter_ns);
                let last_ns = self.queues.entry((packet.from, packet.to)).or_default();
                due_ns = due_ns.max(*last_ns);
                *last_ns = due_ns;
            }
            due_ns += if held { path.held_ns } else { 0 };
            self.flight.push(Reverse((due_ns, self.sent, packet.clone())));
            self.sent += 1;
        }
    }

    /// The next datagram that has arrived by `now_ns`.
    pub fn arrived(&mut self, now_ns: u64) -> Option<(u64, Packet)> {
        let Reverse((due_ns, ..)) = self.flight.peek()?;
        if *due_ns > now_ns {
            return None;
        }
        self.flight.pop().map(|Reverse((due_ns, _, packet))| (due_ns, packet))
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.flight.is_empty()
    }
}
