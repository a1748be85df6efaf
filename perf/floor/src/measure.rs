//! How a row is measured: bursts by one pinned thread, its CPU time over its packets, while a
//! second core drains what was sent or refills what was read. Bursts end with everything read, so
//! no row is flattered by packets that the kernel dropped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringway_loadgen::kernel::{self, thread_cpu_ns};
use ringway_loadgen::receive::{ReceiveEngine, Receivers};

/// What all rows share.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// The core that is billed.
    pub core: usize,
    /// The core that drains or refills.
    pub other_core: usize,
    /// Receivers of a fan-out.
    pub receivers: usize,
    /// How long each row is measured.
    pub time: Duration,
}

/// Repeats `burst`, which returns its packets, and `settle` between bursts, which is not billed;
/// nanoseconds of CPU per packet.
pub fn per_packet_ns(
    time: Duration,
    mut burst: impl FnMut() -> io::Result<u64>,
    mut settle: impl FnMut(u64) -> io::Result<()>,
) -> io::Result<f64> {
    // The first bursts warm caches and grow the kernel's pools.
    for _ in 0..3 {
        let packets = burst()?;
        settle(packets)?;
    }
    let (mut packets, mut cpu_ns) = (0, 0);
    let began = Instant::now();
    while began.elapsed() < time {
        let before_ns = thread_cpu_ns();
        let count = burst()?;
        cpu_ns += thread_cpu_ns() - before_ns;
        packets += count;
        settle(count)?;
    }
    Ok(cpu_ns as f64 / packets.max(1) as f64)
}

/// Receivers on the other core that read everything that they get.
pub struct Drain {
    /// Where they listen.
    pub addresses: Vec<SocketAddr>,
    seen: Arc<AtomicU64>,
    target: u64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    /// Starts `receivers` of them on `core`.
    pub fn start(core: usize, receivers: usize) -> io::Result<Self> {
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (told, addresses) = std::sync::mpsc::channel();
        let (count, ended) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let any_port = vec![SocketAddr::from(([127, 0, 0, 1], 0)); receivers];
            let opened = kernel::pin(core)
                .and_then(|()| Receivers::bind(&any_port, ReceiveEngine::Auto))
                .and_then(|bound| Ok((bound.addresses()?, bound)));
            let mut bound = match opened {
                Ok((addresses, bound)) => {
                    let _ = told.send(Ok(addresses));
                    bound
                }
                Err(error) => return drop(told.send(Err(error))),
            };
            while !ended.load(Ordering::Relaxed) {
                match bound.drain(|_, _, _| {}) {
                    Ok(0) => std::hint::spin_loop(),
                    Ok(packets) => drop(count.fetch_add(packets as u64, Ordering::Release)),
                    Err(_) => return,
                }
            }
        });
        let addresses = addresses.recv().map_err(io::Error::other)??;
        Ok(Self { addresses, seen, target: 0, stop, thread: Some(thread) })
    }

    /// Waits until `packets` more have been read.
    pub fn settle(&mut self, packets: u64) -> io::Result<()> {
        self.target += packets;
        let began = Instant::now();
        while self.seen.load(Ordering::Acquire) < self.target {
            if began.elapsed() > Duration::from_secs(1) {
                let lost = self.target - self.seen.load(Ordering::Acquire);
                return Err(io::Error::other(format!("{lost} packets were not received")));
            }
            std::hint::spin_loop();
        }
        Ok(())
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
