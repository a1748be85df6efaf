//! After warm-up a shard allocates nothing: not for packets, RTCP, loans, rubbish, nor ticks.
//!
//! Two shards in one thread, every kind of destination on both, and an allocator that counts.
// A global allocator is `unsafe` to write; this one only counts and passes on to the system's.
#![allow(unsafe_code)]

#[path = "calls/peer.rs"]
#[allow(dead_code)] // What the tests of calls need of it.
mod peer;
#[path = "calls/world.rs"]
#[allow(dead_code)]
mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_abi::message::{
    Command, DestinationSpec, ForwardSpec, InputPolicy, Rewrite, RtcpInput, SourcePolicy,
};
use ringway_abi::stats::{DestinationStats, ForwardStats};
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, Failure, SocketId};
use ringway_shard::handoff;
use ringway_shard::publish::Records;
use ringway_shard::shard::{Datagram, Shard, ShardConfig, TURN_PACKETS};
use ringway_shard::sockets::{OpenError, Opened, Sockets};
use ringway_wire::rtcp::{FirEntry, Pli, ReceiverReport, ReportBlock, SenderReport, write};

#[path = "allocations/calls.rs"]
mod calls;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // Fails only while the thread ends, when nothing is measured any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Sockets that are only numbers.
struct Numbers(u32);

impl Sockets for Numbers {
    type Handle = u32;

    fn open(&mut self, address: SocketAddr) -> Result<Opened<u32>, OpenError> {
        let id = self.adopt(&0)?;
        Ok(Opened { id, handle: id.slot(), address })
    }

    fn adopt(&mut self, _: &u32) -> Result<SocketId, OpenError> {
        self.0 += 1;
        Ok(SocketId::new(self.0 - 1, 1))
    }

    fn listen(&mut self, _: SocketAddr) -> Result<SocketAddr, OpenError> {
        Err(OpenError::NotAvailable)
    }

    fn close(&mut self, _: SocketId) {}
}

struct Unread;

impl Records for Unread {
    fn forward(&mut self, _: u32, _: &ForwardStats) {}
    fn destination(&mut self, _: u32, _: &DestinationStats) {}
}

const FORWARDS: u16 = 4;
const DESTINATIONS: u16 = 12;
const STREAM_SSRC: u32 = 0x5eed;

struct World {
    shards: Vec<Shard<u32>>,
    sockets: Vec<Numbers>,
    batch: Batch,
    failures: Vec<Failure>,
    packet: Vec<u8>,
    now: Now,
    turns: u64,
    /// Buffers that came back: every loan does.
    returned: u64,
    sequence: u16,
}

fn at(ip: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::from((ip, port))
}

fn source(forward: u16) -> SocketAddr {
    at([198, 51, 100, forward as u8], 4000)
}

fn destination(forward: u16, n: u16) -> SocketAddr {
    at([203, 0, 113, forward as u8], 6000 + 2 * n)
}

impl World {
    fn new() -> Self {
        let shards = handoff::mesh(2, 4096)
            .into_iter()
            .enumerate()
            .map(|(index, peers)| {
                let config = ShardConfig {
                    index: index as u16,
                    shards: 2,
                    forwards: 64,
                    destinations: 1024,
                    ports: (30_000, 39_999),
                    seed: 1,
                };
                Shard::new(config, peers)
            })
            .collect();
        let mut packet = vec![7; 1200];
        packet[..2].copy_from_slice(&[0x80, 96]);
        packet[8..12].copy_from_slice(&STREAM_SSRC.to_be_bytes());
        let mut world = Self {
            shards,
            sockets: vec![Numbers(0), Numbers(0)],
            batch: Batch::with_capacity(256, TURN_PACKETS * 8, 65_536),
            failures: Vec::with_capacity(256),
            packet,
            now: Now { mono_ns: 1 << 40, unix_ns: 1 << 60 },
            turns: 0,
            returned: 0,
            sequence: 0,
        };
        for forward in 0..FORWARDS {
            world.create(forward);
        }
        world
    }

    fn create(&mut self, forward: u16) {
        let spec = ForwardSpec {
            key: u64::from(forward) + 1,
            address: [0, 0, 0, 0].into(),
            rtp_port: 5000 + 2 * forward,
            rtcp: RtcpInput::NextPort,
            policy: InputPolicy { source: SourcePolicy::Latch { silence_ms: 60_000 }, ssrc: None },
        };
        let command = Command::CreateForward { request: 1, spec };
        self.shards[0].apply(command, &mut self.sockets[0]);
        for n in 0..DESTINATIONS {
            let rtp = destination(forward, n);
            let rewrite = Rewrite {
                ssrc: (n % 3 == 1).then_some(n.into()),
                payload_type: (n % 3 == 1).then_some(5),
                contiguous: n % 3 == 2,
            };
            let rtcp = at([203, 0, 113, forward as u8], rtp.port() + 1);
            let spec = DestinationSpec { key: n.into(), shard: n % 2, rtp, rtcp, rewrite };
            let spec = DestinationSpec { key: spec.key + 1, ..spec };
            let forward = u64::from(forward) + 1;
            let command = Command::AddDestination { request: 1, forward, spec };
            self.shards[0].apply(command, &mut self.sockets[0]);
        }
    }

    fn receive(&mut self, buffer: u32, socket: u32, from: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram {
            socket: SocketId::new(socket, 1),
            from,
            buffer,
            offset: buffer * 2048,
            kernel_ns: self.now.unix_ns,
            truncated: false,
            queue_drops: 0,
            bytes,
        };
        self.shards[0].handle_datagram(self.now, &datagram);
    }

    /// A frame for each forward; now and then a jump, other lengths, rubbish, a stranger.
    fn receive_media(&mut self) {
        let mut packet = std::mem::take(&mut self.packet);
        if self.turns.is_multiple_of(50) {
            self.sequence = self.sequence.wrapping_add(10_000);
        }
        for n in 0..10_u16 {
            self.sequence = self.sequence.wrapping_add(1);
            packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&(self.turns as u32 * 3000).to_be_bytes());
            let len = match self.turns % 3 {
                0 => 1200,
                1 => 100 + 100 * usize::from(n),
                _ => 1200 - 100 * usize::from(n),
            };
            for forward in 0..FORWARDS {
                let buffer = u32::from(n * FORWARDS + forward);
                self.receive(buffer, u32::from(forward) * 2, source(forward), &packet[..len]);
            }
        }
        self.receive(100, 0, source(9), &packet);
        self.receive(101, 0, source(0), &packet[..5]);
        self.receive(102, 1, source(0), &[0x80, 201, 0, 9]);
        self.packet = packet;
    }

    fn receive_reports(&mut self) {
        let mut out = [0; 256];
        for forward in 0..FORWARDS {
            let report = SenderReport { ssrc: STREAM_SSRC, ntp: self.turns, ..Default::default() };
            let mut len = write::write_sender_report(&mut out, &report, &[]).expect("room");
            len += write::write_sdes_cname(&mut out[len..], STREAM_SSRC, b"name").expect("room");
            len += write::write_bye(&mut out[len..], &[STREAM_SSRC]).expect("room");
            self.receive(200, u32::from(forward) * 2 + 1, source(forward), &out[..len]);
            for n in 0..DESTINATIONS {
                let block = ReportBlock {
                    ssrc: if n % 3 == 1 { n.into() } else { STREAM_SSRC },
                    ..ReportBlock::default()
                };
                let report = ReceiverReport { ssrc: 1 };
                let mut len =
                    write::write_receiver_report(&mut out, &report, &[block]).expect("room");
                let pli = Pli { sender_ssrc: 1, media_ssrc: 2 };
                len += write::write_pli(&mut out[len..], &pli).expect("room");
                let entry = FirEntry { ssrc: 2, sequence: 3 };
                len += write::write_fir(&mut out[len..], 1, &[entry]).expect("room");
                let from = destination(forward, n);
                self.receive(201, u32::from(forward) * 2 + 1, from, &out[..len]);
            }
        }
    }

    /// What the turn loop of the data plane does, for both shards.
    fn turn(&mut self) {
        self.turns += 1;
        self.now.mono_ns += 5_000_000;
        self.now.unix_ns += 5_000_000;
        self.receive_media();
        if self.turns.is_multiple_of(7) {
            self.receive_reports();
        }
        for (shard, sockets) in self.shards.iter_mut().zip(&mut self.sockets) {
            shard.handle_peers(self.now, sockets);
            if self.turns.is_multiple_of(4) {
                shard.handle_tick(self.now, self.turns / 4, &mut Unread);
            }
            loop {
                let more = shard.poll_transmit(self.now, &mut self.batch);
                if self.turns.is_multiple_of(5)
                    && let Some(run) = self.batch.runs().first()
                {
                    let (tag, packets) = (run.tag, run.packets);
                    self.failures.push(Failure { tag, packets, bytes: run.bytes, errno: 11 });
                }
                self.batch.clear();
                shard.take_deliveries(|_, _| {});
                shard.handle_failures(&self.failures);
                self.failures.clear();
                if !more {
                    break;
                }
            }
            shard.take_retained(|_| {});
            let returned = &mut self.returned;
            shard.take_returned(|_| *returned += 1);
            shard.end_turn();
            shard.take_touched(|_| {});
            while shard.next_event().is_some() {
                shard.event_sent();
            }
        }
    }
}

#[test]
fn nothing_is_allocated_after_warm_up() {
    let mut world = World::new();
    // Long enough for a report upstream from every forward and a jump in every line.
    (0..1500).for_each(|_| world.turn());
    let sent = world.shards[0].counters.get(Counter::PacketsSent);
    let lent = world.shards[0].counters.get(Counter::HandedOver);
    let rtcp: Vec<u64> = world.shards.iter().map(|s| s.counters.get(Counter::RtcpSent)).collect();
    let returned = world.returned;
    let before = ALLOCATIONS.get();
    (0..5000).for_each(|_| world.turn());
    let allocations = ALLOCATIONS.get() - before;
    // First that something was measured at all.
    assert!(before > 0, "the allocator counts");
    let packets = 5000 * 10 * u64::from(FORWARDS);
    let [home, other] = &world.shards[..] else { panic!("two shards") };
    assert!(home.counters.get(Counter::PacketsSent) - sent > packets * 6 * 9 / 10);
    assert_eq!(home.counters.get(Counter::HandedOver) - lent, packets);
    assert_eq!(world.returned - returned, packets);
    for (shard, before) in [home, other].into_iter().zip(rtcp) {
        assert!(shard.counters.get(Counter::RtcpSent) - before > 10_000);
    }
    assert_eq!(allocations, 0, "allocations in 5000 turns");
}

#[test]
fn nor_for_packets_of_calls() {
    use ringway_abi::call::{CallCommand, SourceKind};
    use world::{OPUS, VP8, route, rtp, source, vp8};

    let mut world = world::World::connected(3);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddSource(source(11, 1, SourceKind::Camera, 600)));
    for subscriber in [2, 3] {
        let key = subscriber * 10;
        world.ask(CallCommand::AddRoute(route(key, 10, subscriber, OPUS, 900)));
        world.ask(CallCommand::AddRoute(route(key + 1, 11, subscriber, VP8, 910)));
    }
    let publisher = world.peer(1);
    let from = publisher.address;
    let sealed: Vec<Vec<u8>> = (0..4000_u16)
        .flat_map(|at| {
            let video = vp8(at, at == 0);
            let sound = rtp(OPUS, 500, at, 960 * u32::from(at), &[7; 80]);
            [sound, rtp(VP8, 600, at, 3000 * u32::from(at), &video)]
        })
        .map(|packet| publisher.seal(&packet))
        .collect();
    let mut before = 0;
    let mut sent = 0;
    for (at, pair) in sealed.chunks(2).enumerate() {
        if at == 1500 {
            before = ALLOCATIONS.get();
            sent = 0;
        }
        pair.iter().for_each(|datagram| world.arrive(from, datagram));
        sent += world.turn();
    }
    let allocations = ALLOCATIONS.get() - before;
    assert!(sent >= 2500 * 4, "{sent} packets");
    assert_eq!(allocations, 0, "allocations in 2500 turns");
}
