//! The network: datagrams under way, paths that lose, double, delay, reorder and cut them off, and
//! NATs that change their minds.

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
    /// How many of a thousand begin a burst: they are lost, and all that follow within
    /// [`Path::burst_ns`].
    pub burst_permille: u64,
    /// How long a burst lasts.
    pub burst_ns: u64,
    /// The longest that gets through, octets behind the headers of IP and UDP.
    pub most_bytes: usize,
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
        burst_permille: 0,
        burst_ns: 0,
        most_bytes: usize::MAX,
    };

    /// Nothing gets through.
    pub const DEAD: Self = Self { loss_permille: 1000, ..Self::PERFECT };

    /// Some path with up to 20 % loss.
    pub fn poor(random: &mut Random) -> Self {
        Self {
            loss_permille: random.below(201),
            double_permille: random.below(50),
            reorder_permille: random.below(100),
            held_ns: random.between(100_000, 5_000_000),
            delay_ns: random.between(10_000, 30_000_000),
            ..Self::PERFECT
        }
    }
}

/// All that is under way.
#[derive(Debug)]
pub struct Network {
    random: Random,
    /// From remote addresses, and to them.
    paths: HashMap<SocketAddr, (Path, Path)>,
    nats: Nats,
    /// Until when bursts last, by sender and receiver.
    bursts: HashMap<(SocketAddr, SocketAddr), u64>,
    /// Datagrams that were longer than their path takes.
    pub too_long: usize,
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
        Self {
            random: Random::new(seed),
            paths: HashMap::new(),
            nats: Nats::default(),
            bursts: HashMap::new(),
            too_long: 0,
            flight,
            queues: HashMap::new(),
            sent: 0,
        }
    }

    /// Sets the path to and from a remote address.
    pub fn set_path(&mut self, remote: SocketAddr, path: Path) {
        self.set_paths(remote, path, path);
    }

    /// Sets the path from a remote address, and the one to it.
    pub fn set_paths(&mut self, remote: SocketAddr, from: Path, to: Path) {
        self.paths.insert(remote, (from, to));
    }

    /// From now on a NAT shows `inner` as `outer`. What comes to where it was seen before is lost.
    pub fn rebind(&mut self, inner: SocketAddr, outer: SocketAddr) {
        self.nats.rebind(inner, outer);
    }

    fn path(&self, packet: &Packet) -> Path {
        let to = self.nats.inner(packet.to).unwrap_or(packet.to);
        let from = self.paths.get(&packet.from).map(|(from, _)| *from);
        from.or_else(|| self.paths.get(&to).map(|(_, to)| *to)).unwrap_or(Path::PERFECT)
    }

    /// Whether the path eats the datagram.
    fn loses(&mut self, now_ns: u64, packet: &Packet, path: &Path) -> bool {
        if packet.bytes.len() > path.most_bytes {
            self.too_long += 1;
            return true;
        }
        let burst_ns = self.bursts.entry((packet.from, packet.to)).or_default();
        if path.burst_permille > 0 && self.random.chance(path.burst_permille) {
            *burst_ns = now_ns + path.burst_ns;
        }
        now_ns < *burst_ns || self.random.chance(path.loss_permille)
    }

    /// Takes a datagram.
    pub fn send(&mut self, now_ns: u64, mut packet: Packet) {
        let path = self.path(&packet);
        if self.loses(now_ns, &packet, &path) {
            return;
        }
        packet.from = self.nats.outer(packet.from);
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
        while self.flight.peek().is_some_and(|Reverse((due_ns, ..))| *due_ns <= now_ns) {
            let Reverse((due_ns, _, mut packet)) = self.flight.pop()?;
            if let Some(to) = self.nats.inner(packet.to) {
                packet.to = to;
                return Some((due_ns, packet));
            }
        }
        None
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.flight.is_empty()
    }
}

/// Who is seen as whom.
#[derive(Debug, Default)]
struct Nats {
    /// By the address behind the NAT.
    outer: HashMap<SocketAddr, SocketAddr>,
    /// By the one before it; `None`: nobody any more.
    inner: HashMap<SocketAddr, Option<SocketAddr>>,
}

impl Nats {
    fn rebind(&mut self, inner: SocketAddr, outer: SocketAddr) {
        let before = self.outer.insert(inner, outer).unwrap_or(inner);
        self.inner.insert(before, None);
        self.inner.insert(outer, Some(inner));
    }

    fn outer(&self, inner: SocketAddr) -> SocketAddr {
        self.outer.get(&inner).copied().unwrap_or(inner)
    }

    /// Who gets what is sent to `outer`, if anybody does.
    fn inner(&self, outer: SocketAddr) -> Option<SocketAddr> {
        self.inner.get(&outer).copied().unwrap_or(Some(outer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 1000))
    }

    fn packet(from: u8, to: u8, len: usize) -> Packet {
        Packet { from: address(from), to: address(to), bytes: vec![0; len] }
    }

    fn arrived(network: &mut Network, now_ns: u64) -> Vec<(SocketAddr, SocketAddr)> {
        let all = std::iter::from_fn(|| network.arrived(now_ns));
        all.map(|(_, packet)| (packet.from, packet.to)).collect()
    }

    #[test]
    fn a_nat_forgets_where_somebody_was() {
        let mut network = Network::new(1);
        network.rebind(address(9), address(100));
        network.send(0, packet(9, 1, 1));
        network.send(0, packet(1, 100, 1));
        network.send(0, packet(1, 9, 1));
        let expect = vec![(address(100), address(1)), (address(1), address(9))];
        assert_eq!(arrived(&mut network, 1_000_000), expect);
        // What is under way to the old place is lost, too.
        network.send(1_000_000, packet(1, 100, 1));
        network.rebind(address(9), address(101));
        network.send(1_000_000, packet(1, 101, 1));
        network.send(1_000_000, packet(9, 1, 1));
        let expect = vec![(address(1), address(9)), (address(101), address(1))];
        assert_eq!(arrived(&mut network, 2_000_000), expect);
    }

    #[test]
    fn directions_differ_and_long_ones_are_cut_off() {
        let mut network = Network::new(1);
        let short = Path { most_bytes: 10, ..Path::PERFECT };
        network.set_paths(address(9), Path::DEAD, short);
        network.send(0, packet(9, 1, 1));
        network.send(0, packet(1, 9, 10));
        network.send(0, packet(1, 9, 11));
        assert_eq!(arrived(&mut network, 1_000_000), [(address(1), address(9))]);
        assert_eq!(network.too_long, 1);
    }

    #[test]
    fn bursts_lose_all_for_a_while() {
        let mut network = Network::new(1);
        let path = Path { burst_permille: 20, burst_ns: 50_000_000, ..Path::PERFECT };
        network.set_path(address(9), path);
        let mut came = Vec::new();
        for ms in 0..2_000_u64 {
            network.send(ms * 1_000_000, packet(9, 1, 1));
            came.push(!arrived(&mut network, ms * 1_000_000 + 500_000).is_empty());
        }
        let longest = came.split(|came| *came).map(<[bool]>::len).max().unwrap_or_default();
        let lost = came.iter().filter(|came| !**came).count();
        assert!(longest >= 50, "{longest} in a row");
        assert!((400..1800).contains(&lost), "{lost} lost");
    }
}
