//! The threads of the shards: started together, joined by control planes, stopped together.

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use anyhow::{Context, anyhow};
use ringway_abi::door::ShardLink;
use ringway_abi::pages::{PagesOwner, ShardPages};
use ringway_proto::dtls::{DtlsConfig, DtlsContext};
use ringway_shard::gateway::{self, ShardEnd};
use ringway_shard::handoff::{self, Peer};
use ringway_shard::shard::ShardConfig;
use ringway_uring::{PoolTable, SocketOptions, new_bell, ring_bell};
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::process::{Resource, getrlimit};
use rustix::thread::set_current_timer_slack;
use std::net::UdpSocket;

use crate::clocks;
use crate::config::Config;
use crate::cores;
use crate::gateway::{Bell, Gateway, Reception};
use crate::handshakes::{Handshakers, ShardEnds};
use crate::plan::{Plan, ShardPlan, engine_kind};
use crate::turn::Turn;

/// Joins and leaves under way to a shard; control planes come and go rarely.
const CONTROL_CHANGES: usize = 16;

/// What shards share: who sleeps, how to wake them, when they last turned.
pub(crate) struct Together {
    pub(crate) bells: Vec<Arc<OwnedFd>>,
    pub(crate) asleep: Vec<AtomicBool>,
    pub(crate) beats: Arc<[AtomicU64]>,
    pub(crate) stopping: AtomicBool,
    pub(crate) gateway: Bell,
}

impl Together {
    /// Wakes a shard if it sleeps, once per sleep: whoever clears the flag rings. What it is to see
    /// is in its lanes already, and a fence behind it.
    pub(crate) fn wake(&self, shard: usize) {
        let asleep = &self.asleep[shard];
        if asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::Relaxed) {
            ring_bell(&self.bells[shard]);
        }
    }
}

/// A control plane came or went.
pub(crate) enum ControlChange {
    /// Its lanes to this shard.
    Joined(ShardLink),
    /// Its lanes are void.
    Left,
}

/// What one shard's thread is started with.
pub(crate) struct Start {
    pub(crate) config: ShardConfig,
    pub(crate) plan: ShardPlan,
    pub(crate) pools: Arc<PoolTable>,
    pub(crate) options: SocketOptions,
    pub(crate) buffers: u32,
    pub(crate) coalesce_ns: u64,
    pub(crate) pad_octets: usize,
    pub(crate) hold_ns: u64,
    pub(crate) hold_from_permille: u32,
    pub(crate) dtls: DtlsContext,
    pub(crate) handshakes: ShardEnds,
    pub(crate) peers: Vec<Option<Peer<Arc<UdpSocket>>>>,
    pub(crate) gateway: ShardEnd,
    pub(crate) reception: Option<Reception>,
    pub(crate) pages: ShardPages,
    pub(crate) changes: Consumer<ControlChange>,
    pub(crate) together: Arc<Together>,
}

/// The running threads.
pub(crate) struct Shards {
    threads: Vec<JoinHandle<()>>,
    handshakers: Handshakers,
    together: Arc<Together>,
}

/// The ends through which control planes reach the shards.
pub(crate) struct Controls {
    changes: Vec<Producer<ControlChange>>,
    together: Arc<Together>,
}

impl Shards {
    /// Starts them all, and waits until each has its engine.
    pub(crate) fn start(
        config: &Config,
        plan: &Plan,
        pages: &PagesOwner,
    ) -> anyhow::Result<(Self, Controls)> {
        let count = plan.shards.len();
        let pools = PoolTable::new(count as u16, config.buffers, config.buffer_bytes)
            .context("cannot allocate the receive buffers")?;
        let now_ns = clocks::now().mono_ns;
        let together = Arc::new(Together {
            bells: (0..count).map(|_| new_bell()).collect::<Result<_, _>>()?,
            asleep: (0..count).map(|_| AtomicBool::new(false)).collect(),
            beats: (0..count).map(|_| AtomicU64::new(now_ns)).collect(),
            stopping: AtomicBool::new(false),
            gateway: Bell::new()?,
        });
        let (handshakers, handshake_ends) =
            Handshakers::start(config.handshake_threads, &together)?;
        let (ends, gateway_ends): (Vec<ShardEnd>, _) = (0..count).map(|_| gateway::pair()).unzip();
        let (gateway, reception) = Gateway::new(together.clone(), gateway_ends)?;
        let mut reception = Some(reception);
        let mut shards = Self { threads: Vec::new(), handshakers, together: together.clone() };
        let mut changes = Vec::new();
        let (ready, started) = channel();
        let unix_s = clocks::now().unix_ns / 1_000_000_000;
        let dtls = DtlsContext::new(&DtlsConfig::default(), unix_s)
            .context("cannot make the certificate of calls")?;
        let peers = handoff::mesh(count, config.buffers as usize);
        let ends = ends.into_iter().zip(handshake_ends);
        let each = plan.shards.iter().zip(peers).zip(ends);
        for (index, ((shard_plan, peers), (end, handshakes))) in each.enumerate() {
            let (producer, consumer) = RingBuffer::new(CONTROL_CHANGES);
            changes.push(producer);
            let start = Start {
                config: shard_config(config, index, count)?,
                plan: *shard_plan,
                pools: pools.clone(),
                options: socket_options(config),
                buffers: config.buffers,
                coalesce_ns: u64::from(config.coalesce_us) * 1_000,
                pad_octets: config.pad_octets as usize,
                hold_ns: u64::from(config.hold_us) * 1_000,
                hold_from_permille: config.hold_busy_percent * 10,
                dtls: dtls.clone(),
                handshakes,
                peers,
                gateway: end,
                reception: reception.take(),
                pages: pages.shard(index as u16),
                changes: consumer,
                together: together.clone(),
            };
            let ready = ready.clone();
            let thread = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || run(start, &ready))
                .context("cannot start the thread of a shard")?;
            shards.threads.push(thread);
        }
        for _ in 0..count {
            started.recv().map_err(|_| anyhow!("a shard died while it started"))??;
        }
        shards.threads.push(gateway.start()?);
        Ok((shards, Controls { changes, together }))
    }

    /// How to wake each shard.
    pub(crate) fn bells(&self) -> Vec<Arc<OwnedFd>> {
        self.together.bells.clone()
    }

    /// When each shard last turned.
    pub(crate) fn beats(&self) -> Arc<[AtomicU64]> {
        self.together.beats.clone()
    }

    /// Ends them all and waits for it.
    pub(crate) fn stop(self) {
        self.together.stopping.store(true, Ordering::Release);
        self.together.bells.iter().for_each(ring_bell);
        self.together.gateway.ring();
        for thread in self.threads {
            // A panic has already ended the program.
            let _ = thread.join();
        }
        self.handshakers.stop();
    }
}

impl Controls {
    /// Gives each shard its lanes to a new control plane.
    pub(crate) fn join(&mut self, links: Vec<ShardLink>) {
        for (changes, link) in self.changes.iter_mut().zip(links) {
            if changes.push(ControlChange::Joined(link)).is_err() {
                tracing::error!("a shard does not take the new control plane");
            }
        }
        self.together.bells.iter().for_each(ring_bell);
    }

    /// Takes the lanes of the one that left away.
    pub(crate) fn leave(&mut self) {
        for changes in &mut self.changes {
            if changes.push(ControlChange::Left).is_err() {
                tracing::error!("a shard does not notice that the control plane left");
            }
        }
        self.together.bells.iter().for_each(ring_bell);
    }
}

fn run(start: Start, ready: &Sender<anyhow::Result<()>>) {
    let pinned = start.plan.core.map_or(Ok(()), cores::pin);
    // Sleeps end when they are due: the default slack of 50 µs is longer than most of them.
    if let Err(error) = set_current_timer_slack(NonZeroU64::new(1)) {
        tracing::warn!(%error, "cannot set the timer slack of a shard");
    }
    let turn = pinned.and_then(|()| Turn::new(start));
    match turn {
        Ok(mut turn) => {
            let _ = ready.send(Ok(()));
            turn.run();
        }
        Err(error) => {
            let _ = ready.send(Err(error));
        }
    }
}

fn shard_config(config: &Config, index: usize, count: usize) -> anyhow::Result<ShardConfig> {
    let mut seed = [0; 8];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
    Ok(ShardConfig {
        index: index as u16,
        shards: count as u16,
        forwards: config.max_forwards,
        destinations: config.max_destinations,
        ports: (config.port_range.first, config.port_range.last),
        seed: u64::from_ne_bytes(seed),
    })
}

fn socket_options(config: &Config) -> SocketOptions {
    SocketOptions {
        receive_buffer_bytes: config.receive_buffer_bytes as usize,
        send_buffer_bytes: config.send_buffer_bytes as usize,
    }
}

/// Sockets that calls may need: two for each address of the machine.
const CALL_SOCKETS: u32 = 128;

/// The engine's kind and its number of sockets: two for each forward at home, two for each forward
/// of another shard that this one serves, and those of calls.
pub(crate) fn engine_size(start: &Start) -> (ringway_uring::EngineKind, u32) {
    let forwards = start.config.forwards.saturating_mul(u32::from(start.config.shards));
    // Never more than this process may open; some are open already.
    let open_files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(64);
    let open_files = u32::try_from(open_files).unwrap_or(u32::MAX);
    let sockets = forwards.saturating_mul(2).min(1 << 18) + CALL_SOCKETS;
    (engine_kind(start.plan.engine), sockets.min(open_files))
}
