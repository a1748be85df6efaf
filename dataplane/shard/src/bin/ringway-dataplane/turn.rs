//! The turn: the one loop of a shard, and the only file that knows its order.
//!
//! 1. Let packets gather for a moment where they come fast enough that this saves wake-ups, then
//!    sleep until something arrives, the bell rings or something is due; not at all while there is
//!    work.
//! 2. Read the clocks, once.
//! 3. Take arrivals, and where many destinations wait for them also what came meanwhile: the rest
//!    of a frame makes its runs longer. Then what other shards sent, handshakes that were done, and
//!    commands.
//! 4. Where the last tick is old enough: publish a stripe of the records, report to a share of the
//!    sources.
//! 5. Wake the shards that were handed something, so that they send it meanwhile. Send. After that
//!    every byte of this turn is free again.
//! 6. Release buffers, wake the shards that get some back, hand out handshakes, tell the control
//!    plane.
//! 7. Now and then look for receiver reports, which wake nobody, for the next turn.
//!
//! Nothing here allocates per packet; only commands do.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use ringway_abi::counters::Counter;
use ringway_abi::door::ShardLink;
use ringway_abi::latency::latency_histogram;
use ringway_abi::pages::ShardPages;
use ringway_shard::call::Calls;
use ringway_shard::clock::Now;
use ringway_shard::feedback::MAX_DOWNSTREAM;
use ringway_shard::shard::{Datagram, Shard, TURN_PACKETS};
use ringway_shard::ticks::Ticks;
use ringway_uring::{
    Batch, BufferId, Engine, EngineConfig, Failure, SocketOptions, Tally, ring_bell,
};
use rtrb::Consumer;
use std::net::UdpSocket;

use crate::clocks;
use crate::coalesce::Coalesce;
use crate::gateway::Reception;
use crate::handshakes::ShardEnds;
use crate::kernel::Kernel;
use crate::shards::{ControlChange, Start, Together, engine_size};

/// Runs in one batch. More saves system calls; fewer lets arrivals in sooner while a large fan-out
/// is sent, and buffers go back sooner.
const BATCH_RUNS: usize = 256;
/// Pieces in one batch: a whole turn's packets with a header of their own, several times.
const BATCH_PIECES: usize = TURN_PACKETS * 8;
/// Scratch octets in one batch: headers of as many packets, RTCP, and what is sealed for the
/// subscribers of calls. More would leave the core's cache before it is sent.
const BATCH_SCRATCH: usize = 512 * 1024;
const _: () = assert!(
    BATCH_PIECES > TURN_PACKETS * 2 && BATCH_SCRATCH >= TURN_PACKETS * 12 + MAX_DOWNSTREAM,
    "one destination's share of the largest turn fits into an empty batch"
);

/// Destinations that must wait for a turn's packets before it looks for more of them. A look costs
/// a quarter of a send: lower makes calls with two ends dearer, higher gives small rooms short
/// runs.
const GATHER_FAN_OUT: usize = 8;

/// Commands taken in one turn: each may open sockets, and media waits meanwhile.
const TURN_COMMANDS: usize = 16;
/// Between two looks for receiver reports, which go along with turns. They come once a second from
/// every peer: a wake-up for each costs ten times what the report itself does. Higher makes the
/// turns that take them longer, lower makes more looks.
const REPORTS_NS: u64 = 10_000_000;
/// Ticks between two publications of the latency histogram, which costs some 10 µs.
const LATENCY_TICKS: u64 = 10;

/// One shard with all it needs to turn.
pub(crate) struct Turn {
    shard: Shard<Arc<UdpSocket>>,
    engine: Engine,
    options: SocketOptions,
    index: usize,
    buffers: u32,
    together: Arc<Together>,
    pages: ShardPages,
    changes: Consumer<ControlChange>,
    control: Option<ShardLink>,
    handshakes: ShardEnds,
    reception: Option<Reception>,
    batch: Batch,
    failures: Vec<Failure>,
    arrivals: Vec<BufferId>,
    tally: Tally,
    coalesce: Coalesce,
    latency: Histogram<u64>,
    ticks: Ticks,
    packets_at_tick: u64,
    /// No packet came or went between the last two ticks.
    idle: bool,
    /// When the last tick was, and the thread's CPU time then.
    busy: (u64, u64),
    /// When the last look for receiver reports was.
    reports_ns: u64,
}

impl Turn {
    /// Builds the engine and the world, on the thread that will turn them.
    pub(crate) fn new(start: Start) -> anyhow::Result<Self> {
        let (kind, sockets) = engine_size(&start);
        let index = usize::from(start.config.index);
        let bell = start.together.bells[index].clone();
        let mut config = EngineConfig::new(start.pools, start.config.index, bell);
        config.sockets = sockets;
        config.batch_pieces = BATCH_PIECES;
        let engine = Engine::new(kind, config).context("cannot start the engine of a shard")?;
        let mut shard = Shard::new(start.config, start.peers);
        shard.calls = Calls::new(Some(start.dtls), start.config.seed);
        shard.join_calls();
        shard.calls.limit_padding(start.pad_octets);
        shard.calls.hold_sound(start.hold_ns, start.hold_from_permille);
        shard.calls.hand_out_handshakes();
        shard.calls.join_gateway(start.gateway);
        shard.calls.allow_full_ice(Instant::now());
        Ok(Self {
            shard,
            engine,
            options: start.options,
            index,
            buffers: start.buffers,
            together: start.together,
            pages: start.pages,
            changes: start.changes,
            control: None,
            handshakes: start.handshakes,
            reception: start.reception,
            batch: Batch::with_capacity(BATCH_RUNS, BATCH_PIECES, BATCH_SCRATCH),
            failures: Vec::with_capacity(BATCH_RUNS),
            arrivals: Vec::with_capacity(TURN_PACKETS),
            tally: Tally::default(),
            coalesce: Coalesce::new(start.coalesce_ns),
            latency: latency_histogram(),
            ticks: Ticks::default(),
            packets_at_tick: 0,
            idle: false,
            busy: (0, 0),
            reports_ns: 0,
        })
    }

    /// Turns until the program stops.
    pub(crate) fn run(&mut self) {
        while !self.together.stopping.load(Ordering::Relaxed) {
            self.sleep();
            let now = clocks::now();
            self.take_arrivals(now);
            self.gather(now);
            self.coalesce.observe(now.mono_ns, self.arrivals.len());
            self.shard.handle_gateway(now);
            let (engine, options) = (&mut self.engine, &self.options);
            let mut kernel = Kernel { engine, options, reception: None };
            self.shard.handle_peers(now, &mut kernel);
            self.handshakes.take_back(&mut self.shard.calls);
            self.take_commands();
            if self.ticks.is_due(now.mono_ns) {
                self.tick(now);
            }
            self.wake_peers();
            self.send(now);
            self.release();
            self.wake_peers();
            self.handshakes.hand_out(now, &mut self.shard.calls);
            self.tell_control();
            self.look_for_reports(now);
            self.shard.counters.add(Counter::Turns, 1);
        }
        self.shard.publish_all(clocks::now(), &mut self.pages);
        self.pages.publish_counters(self.shard.counters.words());
    }

    /// Waits for work. Whoever brings some looks at the flags only after it has brought it, and
    /// this looks for work only after it has set them: one of the two sees the other.
    fn sleep(&mut self) {
        if let Some(rest) = self.coalesce.rest(|| clocks::now().mono_ns) {
            clocks::sleep(rest);
        }
        let asleep = &self.together.asleep[self.index];
        asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let lane_idle = self.control.as_mut().is_none_or(|c| c.commands.prepare_sleep());
        let lanes_idle = self.shard.peers_idle() && self.shard.calls.gateway_idle();
        let idle = lane_idle && lanes_idle && self.changes.is_empty() && self.handshakes.is_idle();
        let wait = if idle {
            let now_ns = clocks::now().mono_ns;
            let held_until_ns = self.shard.calls.held_until().unwrap_or(u64::MAX);
            let until_ns = self.ticks.sleep_until(self.shard.due_ns(self.idle));
            let look_ns = self.look_ns().unwrap_or(u64::MAX);
            Duration::from_nanos(until_ns.min(held_until_ns).min(look_ns).saturating_sub(now_ns))
        } else {
            Duration::ZERO
        };
        self.look(wait);
        self.together.asleep[self.index].store(false, Ordering::Relaxed);
        if let Some(control) = &mut self.control {
            control.commands.awake();
        }
    }

    fn look(&mut self, wait: Duration) {
        if let Err(error) = self.engine.wait(Some(wait)) {
            panic!("the engine of shard {} cannot wait: {error}", self.index);
        }
    }

    /// By when somebody must look for receiver reports, where they may be more than that.
    fn look_ns(&self) -> Option<u64> {
        self.shard.calls.bundles_requests().then_some(self.reports_ns + REPORTS_NS)
    }

    fn look_for_reports(&mut self, now: Now) {
        if now.mono_ns < self.reports_ns + REPORTS_NS {
            return;
        }
        self.reports_ns = now.mono_ns;
        if let Err(error) = self.engine.look_at_resting() {
            panic!("the engine of shard {} cannot receive: {error}", self.index);
        }
    }

    fn take_arrivals(&mut self, now: Now) {
        while self.arrivals.len() < self.shard.arrivals_per_turn()
            && self.shard.has_room()
            && let Some(arrival) = self.engine.next_arrival()
        {
            let datagram = Datagram {
                socket: arrival.socket,
                from: arrival.from,
                buffer: arrival.buffer.0,
                offset: arrival.offset,
                kernel_ns: arrival.kernel_ns,
                truncated: arrival.truncated,
                queue_drops: arrival.queue_drops,
                bytes: self.engine.bytes(&arrival),
            };
            self.shard.handle_datagram(now, &datagram);
            self.arrivals.push(arrival.buffer);
        }
    }

    /// Takes what came since the arrivals were taken, again and again until nothing did. A frame's
    /// packets come one after the other, and the first one has woken this thread.
    fn gather(&mut self, now: Now) {
        while self.shard.fan_out() >= GATHER_FAN_OUT {
            let before = self.arrivals.len();
            self.look(Duration::ZERO);
            self.take_arrivals(now);
            if self.arrivals.len() == before {
                return;
            }
        }
    }

    fn take_commands(&mut self) {
        while let Ok(change) = self.changes.pop() {
            self.shard.reset_events();
            self.control = match change {
                ControlChange::Joined(link) => Some(link),
                ControlChange::Left => None,
            };
        }
        for _ in 0..TURN_COMMANDS {
            let Some(control) = &mut self.control else { return };
            match control.commands.try_receive() {
                None => return,
                Some(Ok(command)) => {
                    let (engine, options) = (&mut self.engine, &self.options);
                    let reception = self.reception.as_mut();
                    let mut kernel = Kernel { engine, options, reception };
                    self.shard.apply(command, &mut kernel);
                }
                Some(Err(_)) => self.shard.handle_invalid_command(),
            }
        }
    }

    fn tick(&mut self, now: Now) {
        self.shard.handle_tick(now, self.ticks.count(), &mut self.pages);
        let engine = self.engine.tally();
        let busy_ns = clocks::thread_ns();
        self.note_busy(now, busy_ns);
        let counters = &mut self.shard.counters;
        counters.set(Counter::BusyNs, busy_ns);
        counters.set(Counter::Syscalls, engine.syscalls);
        counters.set(Counter::Wakeups, engine.wakeups);
        counters.set(Counter::ReceiveStalls, engine.receive_stalls);
        counters.set(Counter::GsoFallbacks, self.tally.gso_fallbacks);
        counters.set(Counter::BuffersFree, self.engine.buffers_free().into());
        counters.set(Counter::BuffersTotal, self.buffers.into());
        if self.index == 0 {
            self.together.gateway.report(counters);
        }
        let packets = counters.get(Counter::PacketsReceived) + counters.get(Counter::PacketsSent);
        self.pages.publish_counters(counters.words());
        if self.ticks.count().is_multiple_of(LATENCY_TICKS) {
            self.pages.publish_latency(&self.latency);
        }
        self.pages.beat(now.mono_ns);
        self.together.beats[self.index].store(now.mono_ns, Ordering::Relaxed);
        self.idle = packets == self.packets_at_tick;
        self.packets_at_tick = packets;
        self.ticks.end(now.mono_ns);
    }

    /// Tells the calls how busy this thread was since the last tick.
    fn note_busy(&mut self, now: Now, busy_ns: u64) {
        let (then_ns, then_busy_ns) = std::mem::replace(&mut self.busy, (now.mono_ns, busy_ns));
        let elapsed_ns = now.mono_ns.saturating_sub(then_ns).max(1);
        let permille = busy_ns.saturating_sub(then_busy_ns) * 1_000 / elapsed_ns;
        self.shard.calls.observe_busy(permille.min(1_000) as u32);
    }

    fn send(&mut self, now: Now) {
        loop {
            let more = self.shard.poll_transmit(now, &mut self.batch);
            if !self.batch.is_empty() {
                self.engine.send(&mut self.batch, &mut self.failures, &mut self.tally);
            }
            // What went by TCP was taken out of the batch, which may be empty now.
            let (latency, mut sent_ns) = (&mut self.latency, None);
            self.shard.take_deliveries(|kernel_ns, destinations| {
                let sent_ns = *sent_ns.get_or_insert_with(clocks::unix_ns);
                let ns = sent_ns.saturating_sub(kernel_ns);
                latency.saturating_record_n(ns, destinations.into());
            });
            if !self.failures.is_empty() {
                self.shard.handle_failures(&self.failures);
                self.failures.clear();
            }
            if !more {
                return;
            }
        }
    }

    fn release(&mut self) {
        let engine = &mut self.engine;
        self.shard.take_retained(|buffer| engine.retain(BufferId(buffer)));
        for buffer in self.arrivals.drain(..) {
            engine.release(buffer);
        }
        self.shard.take_returned(|buffer| engine.release(BufferId(buffer)));
        self.shard.end_turn();
    }

    fn wake_peers(&mut self) {
        let together = &self.together;
        let mut fenced = false;
        self.shard.take_touched(|peer| {
            if !fenced {
                fence(Ordering::SeqCst);
                fenced = true;
            }
            together.wake(usize::from(peer));
        });
        if self.shard.calls.take_gateway_touched() {
            together.gateway.wake();
        }
    }

    fn tell_control(&mut self) {
        let Some(control) = &mut self.control else { return };
        let mut told = false;
        while let Some(event) = self.shard.next_event() {
            if control.events.try_send(event).is_err() {
                break;
            }
            self.shard.event_sent();
            told = true;
        }
        if told && control.events.reader_sleeps() {
            ring_bell(&control.bell);
        }
    }
}
