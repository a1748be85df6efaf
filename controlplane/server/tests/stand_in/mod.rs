//! A data plane without packets: the real door, lanes and pages, and tables in place of sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use ringway_abi::call::CallCommand;
use ringway_abi::message::{Bound, DestinationSpec, ForwardSpec, Outcome, Refusal, RtcpInput};
use ringway_abi::{
    Boot, BootShard, Command, Counter, DestinationStats, Door, DoorEvent, EngineKind, Event,
    ForwardStats, Limits, PagesOwner, ShardLink, ShardPages, StopHandle, bell, latency_histogram,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

/// One forward as it stands in the tables.
#[derive(Clone, Debug)]
pub(crate) struct There {
    pub(crate) shard: u16,
    pub(crate) spec: ForwardSpec,
    pub(crate) bound: Bound,
    pub(crate) destinations: BTreeMap<u64, (DestinationSpec, u32)>,
}

/// What all shards share.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) forwards: BTreeMap<u64, There>,
    /// Ports that other programs have.
    pub(crate) taken: BTreeSet<u16>,
    next_slot: u32,
}

pub(crate) struct StandIn {
    pub(crate) world: Arc<Mutex<World>>,
    /// Shards neither beat nor answer while this is set.
    pub(crate) hang: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    door: StopHandle,
    threads: Vec<JoinHandle<()>>,
}

struct Shard {
    index: u16,
    pages: ShardPages,
    links: mpsc::Receiver<ShardLink>,
    link: Option<ShardLink>,
    bell: Arc<OwnedFd>,
    world: Arc<Mutex<World>>,
}

impl StandIn {
    pub(crate) fn start(path: &Path, shards: u16) -> Self {
        let boot = Boot {
            pid: std::process::id(),
            boot_id: now_ns(),
            started_unix_ns: 1,
            version: "stand-in".to_owned(),
            limits: Limits { shards, forwards_per_shard: 64, destinations_per_shard: 1024 },
            port_first: 30_000,
            port_last: 30_100,
            shards: vec![BootShard { core: Some(1), engine: EngineKind::Plain }; shards.into()],
        };
        let pages = Arc::new(PagesOwner::create(&boot).unwrap());
        let bells: Vec<_> = (0..shards).map(|_| Arc::new(bell::bell().unwrap())).collect();
        let door = Door::bind(path, Arc::clone(&pages), bells.clone()).unwrap();
        let world = Arc::new(Mutex::new(World::default()));
        let (stop, hang) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for (index, bell) in (0..shards).zip(bells) {
            let (sender, links) = mpsc::channel();
            senders.push(sender);
            let (pages, world) = (pages.shard(index), Arc::clone(&world));
            let mut shard = Shard { index, pages, links, link: None, bell, world };
            let (stop, hang) = (Arc::clone(&stop), Arc::clone(&hang));
            threads.push(std::thread::spawn(move || shard.run(&stop, &hang)));
        }
        let stop_handle = door.stop_handle();
        threads.push(std::thread::spawn(move || {
            let on = |event| {
                if let DoorEvent::ControlJoined { shards, .. } = event {
                    for (sender, link) in senders.iter().zip(shards) {
                        // An error means that the shard has stopped.
                        let _ = sender.send(link);
                    }
                }
            };
            door.run(on).unwrap();
        }));
        Self { world, hang, stop, door: stop_handle, threads }
    }

    /// Dies: everything it knew is gone.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.door.stop();
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shard {
    fn run(&mut self, stop: &AtomicBool, hang: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if !hang.load(Ordering::Relaxed) {
                self.turn();
            }
            // Also the pace of heartbeats: no test waits for this to pass.
            let pause = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], Some(&pause)).unwrap();
            bell::silence(&self.bell);
            if let Some(link) = &mut self.link {
                link.commands.awake();
            }
        }
    }

    fn turn(&mut self) {
        if let Some(link) = self.links.try_iter().last() {
            self.link = Some(link);
        }
        self.pages.beat(now_ns());
        let mut histogram = latency_histogram();
        histogram.record_n(20_000, 99).unwrap();
        histogram.record(400_000).unwrap();
        self.pages.publish_latency(&histogram);
        let mut counters = [0; Counter::COUNT];
        counters[Counter::PacketsReceived as usize] = 100;
        counters[Counter::DropShort as usize] = 3;
        self.pages.publish_counters(&counters);
        let Some(mut link) = self.link.take() else { return };
        loop {
            while let Some(command) = link.commands.try_receive() {
                self.obey(&mut link, command.unwrap());
            }
            if link.commands.prepare_sleep() {
                break;
            }
            link.commands.awake();
        }
        if link.events.reader_sleeps() {
            bell::ring(&*link.bell);
        }
        self.link = Some(link);
    }

    fn obey(&mut self, link: &mut ShardLink, command: Command) {
        let world = Arc::clone(&self.world);
        let mut world = world.lock().unwrap();
        let (request, outcome) = match command {
            Command::CreateForward { request, spec } => (request, self.create(&mut world, spec)),
            Command::UpdateForward { request, forward, policy } => {
                let there = world.forwards.get_mut(&forward).unwrap();
                there.spec.policy = policy;
                (request, Outcome::Forward(there.bound))
            }
            Command::RemoveForward { request, forward } => {
                world.forwards.remove(&forward);
                (request, Outcome::Removed)
            }
            Command::AddDestination { request, forward, spec } => {
                (request, self.add(&mut world, forward, spec))
            }
            Command::RemoveDestination { request, forward, destination } => {
                world.forwards.get_mut(&forward).unwrap().destinations.remove(&destination);
                (request, Outcome::Removed)
            }
            Command::Call { request, call: CallCommand::OpenMedia { udp } } => {
                let outcome = match world.taken.contains(&udp.port()) {
                    true => Outcome::Refused { reason: Refusal::PortInUse, errno: 0 },
                    false => Outcome::Media { udp, fingerprint: [7; 32] },
                };
                (request, outcome)
            }
            Command::Call { request, call: CallCommand::Listen { tcp } } => {
                (request, Outcome::Listening { tcp })
            }
            Command::Call { request, .. } => (request, Outcome::Accepted),
            Command::Snapshot { request } => {
                for there in world.forwards.values().filter(|there| there.shard == self.index) {
                    let (spec, bound, forward) = (there.spec.clone(), there.bound, there.spec.key);
                    say(link, &Event::ForwardIs { request, spec, bound });
                    for (spec, stats_slot) in there.destinations.values().cloned() {
                        say(link, &Event::DestinationIs { request, forward, spec, stats_slot });
                    }
                }
                (request, Outcome::SnapshotEnd)
            }
        };
        say(link, &Event::Done { request, outcome });
    }

    fn create(&mut self, world: &mut World, mut spec: ForwardSpec) -> Outcome {
        let refused = |reason| Outcome::Refused { reason, errno: 0 };
        if spec.rtp_port == 0 {
            spec.rtp_port = 30_000 + 2 * world.next_slot as u16;
        }
        let rtcp_port = match spec.rtcp {
            RtcpInput::Mux => spec.rtp_port,
            RtcpInput::NextPort => spec.rtp_port + 1,
            RtcpInput::Port(port) => port,
        };
        if world.taken.contains(&spec.rtp_port) || world.taken.contains(&rtcp_port) {
            return refused(Refusal::PortInUse);
        }
        if spec.address.to_string() == "192.0.2.1" {
            return refused(Refusal::AddressNotAvailable);
        }
        let slot = world.slot();
        let at = |port| SocketAddr::new(spec.address, port);
        let bound = Bound { rtp: at(spec.rtp_port), rtcp: at(rtcp_port), stats_slot: slot };
        let stats = ForwardStats {
            key: spec.key,
            packets: 10,
            bytes: 1000,
            fraction_lost: 64,
            ssrc: 7,
            last_packet_ns: 1_700_000_000_000_000_000,
            ..ForwardStats::default()
        };
        self.pages.publish_forward(slot, &stats);
        let shard = self.index;
        let there = There { shard, spec, bound, destinations: BTreeMap::new() };
        world.forwards.insert(there.spec.key, there);
        Outcome::Forward(bound)
    }

    fn add(&mut self, world: &mut World, forward: u64, spec: DestinationSpec) -> Outcome {
        let slot = world.slot();
        let key = spec.key;
        if spec.shard == self.index {
            let stats = DestinationStats {
                key,
                forward,
                packets: 9,
                round_trip_us: 410,
                last_report_ns: 1_700_000_001_000_000_000,
                ..DestinationStats::default()
            };
            self.pages.publish_destination(slot, &stats);
        }
        let there = world.forwards.get_mut(&forward).unwrap();
        there.destinations.insert(key, (spec, slot));
        Outcome::Destination { stats_slot: slot }
    }
}

impl World {
    fn slot(&mut self) -> u32 {
        self.next_slot += 1;
        self.next_slot - 1
    }
}

fn say(link: &mut ShardLink, event: &Event) {
    while link.events.try_send(event).is_err() {
        if link.events.reader_sleeps() {
            bell::ring(&*link.bell);
        }
        std::thread::yield_now();
        if link.events.is_closed() {
            return;
        }
    }
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
