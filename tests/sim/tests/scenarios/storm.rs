//! Everything at once: forwards, destinations that come and go, strangers, rubbish, a kernel that
//! refuses, shards that stall, batches that are too small.

use std::collections::HashMap;
use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_abi::message::{Command, DestinationSpec, InputPolicy, Outcome, Rewrite, SourcePolicy};
use ringway_sim::judge::{at, destination, forward, is_rtp, rewritten, shift, view};
use ringway_sim::machine::BatchRoom;
use ringway_sim::network::Path;
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;

/// A forward, its home and who sends to it.
struct Street {
    key: u64,
    home: u16,
    source: Source,
}

/// A destination's life. Each has an address of its own, so that the log tells them apart.
struct Life {
    street: usize,
    spec: DestinationSpec,
    request: u64,
    slot: Option<u32>,
    /// Packets that its home had taken when it was known to be served.
    served: Option<usize>,
    removed: bool,
}

struct Storm {
    random: Random,
    plane: Plane,
    shards: u16,
    streets: Vec<Street>,
    lives: Vec<Life>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let shards = random.between(1, 4) as u16;
        let mut setup = Setup::new(seed, shards);
        setup.buffers = *random.pick(&[64, 256, 1024]);
        if random.chance(500) {
            setup.room = BatchRoom { runs: 3, pieces: 140, scratch: 900 };
        }
        let mut plane = Plane::new(setup);
        let streets = (0..random.between(1, 4))
            .map(|n| {
                let home = random.below(shards.into()) as u16;
                let port = 5000 + 10 * n as u16;
                let from = SocketAddr::new([198, 51, 100, n as u8].into(), 4000);
                let source = SourcePolicy::Latch { silence_ms: 100_000 };
                let source = *random.pick(&[source, SourcePolicy::Exact(from)]);
                let mut spec = forward(n + 1, SocketAddr::new([0; 4].into(), port));
                spec.policy = InputPolicy { source, ssrc: None };
                plane.create(home, spec).expect("a free port");
                let to = |port| SocketAddr::new([192, 0, 2, 1].into(), port);
                let mut source = Source::new(random.any(), from, to(port), to(port + 1));
                // Doubles would be told apart by nothing.
                let path = Path { double_permille: 0, ..Path::poor(&mut random) };
                plane.network.set_path(from, path);
                source.payload_type = 96 + n as u8;
                Street { key: n + 1, home, source }
            })
            .collect();
        Self { random, plane, shards, streets, lives: Vec::new() }
    }

    /// RTP of the source that the forward has taken.
    fn taken(&self, street: usize) -> Vec<Vec<u8>> {
        let source = &self.streets[street].source;
        ringway_sim::judge::rtp_taken(&self.plane, source.rtp, source.to_rtp)
    }

    fn add(&mut self) {
        let street = self.random.below(self.streets.len() as u64) as usize;
        let n = self.lives.len() as u16;
        let shard = self.random.below(self.shards.into()) as u16;
        let mut spec =
            destination(u64::from(n) + 1, shard, at(&format!("203.0.113.1:{}", 6000 + 2 * n)));
        spec.rewrite = Rewrite {
            ssrc: self.random.chance(400).then_some(u32::from(n) + 1),
            payload_type: self.random.chance(300).then_some(33),
            contiguous: self.random.chance(300),
        };
        let (home, forward) = (self.streets[street].home, self.streets[street].key);
        let told = spec.clone();
        let request = self.plane.submit(home, |request| Command::AddDestination {
            request,
            forward,
            spec: told,
        });
        self.lives.push(Life { street, spec, request, slot: None, served: None, removed: false });
    }

    fn remove(&mut self, life: usize) {
        let Life { street, spec, .. } = &self.lives[life];
        let (home, forward) = (self.streets[*street].home, self.streets[*street].key);
        let destination = spec.key;
        self.plane.submit(home, |request| Command::RemoveDestination {
            request,
            forward,
            destination,
        });
        self.lives[life].removed = true;
    }

    fn notice_answers(&mut self) {
        for life in 0..self.lives.len() {
            if self.lives[life].slot.is_some() {
                continue;
            }
            match self.plane.outcome(self.lives[life].request) {
                Some(Outcome::Destination { stats_slot }) => {
                    self.lives[life].slot = Some(stats_slot);
                    self.lives[life].served = Some(self.taken(self.lives[life].street).len());
                }
                Some(other) => panic!("a destination was refused: {other:?}"),
                None => {}
            }
        }
    }

    fn blow(&mut self) {
        match self.random.below(12) {
            0 | 1 if self.lives.len() < 60 => self.add(),
            2 if !self.lives.is_empty() => {
                let life = self.random.below(self.lives.len() as u64) as usize;
                let Life { slot, removed, .. } = &self.lives[life];
                if slot.is_some() && !*removed {
                    self.remove(life);
                }
            }
            3 => {
                let shard = self.random.below(self.shards.into()) as usize;
                // Stalls are short: packets wait in the lanes, none is lost.
                self.plane.machines[shard].stalled ^= true;
            }
            4 => self.plane.faults.permille = *self.random.pick(&[0, 0, 100]),
            5 => {
                let len = self.random.below(50) as usize;
                let mut bytes = self.random.bytes(len);
                if is_rtp(&bytes) {
                    bytes.truncate(11);
                }
                let street = self.random.below(self.streets.len() as u64) as usize;
                let Source { rtp, to_rtp, .. } = self.streets[street].source;
                self.plane.send(rtp, to_rtp, bytes);
            }
            6 => {
                let street = self.random.below(self.streets.len() as u64) as usize;
                let mut stranger = self.streets[street].source.clone();
                // Only once the source is known: a latch takes whoever comes first.
                if !self.taken(street).is_empty() {
                    stranger.rtp = at("198.51.100.99:4000");
                    stranger.send_audio(&mut self.plane, 100, 160);
                }
            }
            _ => {
                let street = self.random.below(self.streets.len() as u64) as usize;
                let packets = self.random.between(1, 12) as usize;
                self.streets[street].source.send_frame(&mut self.plane, packets, 3000);
                if self.random.chance(200) {
                    self.streets[street].source.send_report(&mut self.plane, 1 << 40);
                }
            }
        }
        self.plane.run_ms(self.random.below(4));
        self.notice_answers();
    }

    fn calm(&mut self) {
        self.plane.machines.iter_mut().for_each(|machine| machine.stalled = false);
        self.plane.settle();
        self.notice_answers();
    }

    /// A destination got one unbroken stretch of what its forward took, at least as long as it was
    /// surely served, and its record says so.
    fn judge(&mut self, life: usize, taken: &[Vec<u8>], log: &HashMap<SocketAddr, Vec<usize>>) {
        let Life { spec, slot, served, removed, .. } = &self.lives[life];
        let none = Vec::new();
        let of = |address| log.get(address).unwrap_or(&none).iter().map(|n| &self.plane.sent[*n]);
        let all: Vec<_> = of(&spec.rtp).collect();
        let served = served.expect("every destination was answered for");
        // A stalled shard loses what its lane cannot hold; nothing else makes gaps.
        let street = &self.streets[self.lives[life].street];
        let gaps = spec.shard != street.home
            && self.plane.counter(street.home, Counter::DropShardLane) > 0;
        // A removal overtakes packets that are still on their way to another shard.
        assert!(gaps || *removed || all.len() >= taken.len() - served, "{}", spec.rtp);
        let mut next = None;
        for sent in &all {
            let out = &sent.packet.bytes;
            let from = next.unwrap_or(0);
            let ours = |packet: &Vec<u8>| packet[12..] == out[12..];
            let found = taken[from..].iter().position(ours).expect("in order, from its forward");
            assert!(gaps || next.is_none() || found == 0, "{}: a gap of {found}", spec.rtp);
            let packet = &taken[from + found];
            if spec.rewrite.contiguous {
                let ssrc = spec.rewrite.ssrc.unwrap_or(view(packet).ssrc());
                let added = shift(packet, out, ssrc, &spec.rewrite);
                assert_eq!(added, (0, 0), "the source never broke its line");
            } else {
                assert!(*out == rewritten(packet, &spec.rewrite), "{}: {out:02x?}", spec.rtp);
            }
            next = Some(from + found + 1);
        }
        assert!(gaps || *removed || next.is_none_or(|next| next == taken.len()));
        if *removed {
            return;
        }
        let good = all.iter().filter(|sent| !sent.failed).count() as u64;
        let reports = of(&spec.rtcp).filter(|sent| !sent.failed).count() as u64;
        let failed =
            all.iter().chain(&of(&spec.rtcp).collect::<Vec<_>>()).filter(|s| s.failed).count();
        let (shard, slot) = (spec.shard, slot.expect("it was answered for"));
        let stats = self.plane.destination_stats(shard, slot);
        assert_eq!((stats.packets, stats.rtcp_packets), (good, reports), "{stats:?}");
        let missed = if gaps { self.plane.counter(street.home, Counter::DropShardLane) } else { 0 };
        let dropped = failed as u64..=failed as u64 + missed;
        assert!(dropped.contains(&stats.dropped), "{stats:?}, not {dropped:?}");
    }
}

#[test]
fn whatever_happens_packets_arrive_and_buffers_come_back() {
    for_seeds(250, |seed| {
        let mut storm = Storm::new(seed);
        storm.plane.faults.errno = 11;
        for _ in 0..300 {
            storm.blow();
        }
        storm.calm();
        let mut log: HashMap<SocketAddr, Vec<usize>> = HashMap::new();
        for (index, sent) in storm.plane.sent.iter().enumerate() {
            log.entry(sent.packet.to).or_default().push(index);
        }
        for street in 0..storm.streets.len() {
            let taken = storm.taken(street);
            for life in 0..storm.lives.len() {
                if storm.lives[life].street == street {
                    storm.judge(life, &taken, &log);
                }
            }
        }
        storm.plane.assert_no_leak();
        for street in &storm.streets {
            storm.plane.remove_forward(street.home, street.key);
        }
        storm.plane.settle();
        assert!(storm.plane.host.is_free());
        storm.plane.assert_no_leak();
    });
}
