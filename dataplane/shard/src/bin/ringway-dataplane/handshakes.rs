//! The threads that do DTLS handshakes, so that no shard waits for elliptic curves.
//!
//! Each shard has a ring to each thread and one back. A shard that brings work wakes the thread; a
//! thread that has done some rings the shard's bell if it sleeps. What finds no room in a ring
//! waits at its shard.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::thread::{JoinHandle, Thread};

use anyhow::Context;
use ringway_shard::call::{Calls, Handshake, HandshakeDone};
use ringway_shard::clock::Now;
use ringway_uring::ring_bell;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::shards::Together;

/// Steps of one shard that may be at one thread. Raised, memory for steps that wait anyhow;
/// lowered, a thread runs dry while the shard is busy sending.
const STEPS_OUT: usize = 256;

/// How much these threads give way to shards that share their core. At 10 a shard that wakes runs
/// first, and handshakes still get a tenth of a core that is full.
const NICE: i32 = 10;

/// A shard's end of its rings to one thread.
struct ShardEnd {
    thread: Thread,
    work: Producer<Handshake>,
    done: Consumer<HandshakeDone>,
    out: usize,
}

/// A shard's ends of all its rings.
pub(crate) struct ShardEnds {
    ends: Vec<ShardEnd>,
    next: usize,
}

/// A thread's end of its rings to one shard.
struct ThreadEnd {
    shard: usize,
    work: Consumer<Handshake>,
    done: Producer<HandshakeDone>,
}

/// The running threads.
pub(crate) struct Handshakers {
    threads: Vec<JoinHandle<()>>,
}

impl Handshakers {
    /// Starts `count` threads; gives each shard's ends.
    pub(crate) fn start(
        count: u16,
        together: &Arc<Together>,
    ) -> anyhow::Result<(Self, Vec<ShardEnds>)> {
        let shards = together.bells.len();
        let mut all: Vec<ShardEnds> =
            (0..shards).map(|_| ShardEnds { ends: Vec::new(), next: 0 }).collect();
        let mut threads = Vec::new();
        for index in 0..count {
            let (mut of_thread, mut of_shards) = (Vec::new(), Vec::new());
            for shard in 0..shards {
                let (work_in, work) = RingBuffer::new(STEPS_OUT);
                let (done, done_out) = RingBuffer::new(STEPS_OUT);
                of_thread.push(ThreadEnd { shard, work, done });
                of_shards.push((work_in, done_out));
            }
            let together = together.clone();
            let thread = std::thread::Builder::new()
                .name(format!("handshake-{index}"))
                .spawn(move || run(of_thread, &together))
                .context("cannot start a thread for handshakes")?;
            for (shard, (work, done)) in all.iter_mut().zip(of_shards) {
                let thread = thread.thread().clone();
                shard.ends.push(ShardEnd { thread, work, done, out: 0 });
            }
            threads.push(thread);
        }
        Ok((Self { threads }, all))
    }

    /// Waits for them, once they were told to stop.
    pub(crate) fn stop(self) {
        for thread in self.threads {
            thread.thread().unpark();
            // A panic has already ended the program.
            let _ = thread.join();
        }
    }
}

impl ShardEnds {
    /// Whether nothing was done that the shard has not taken back.
    pub(crate) fn is_idle(&self) -> bool {
        self.ends.iter().all(|end| end.done.is_empty())
    }

    /// Takes back what was done.
    pub(crate) fn take_back(&mut self, calls: &mut Calls) {
        for end in &mut self.ends {
            while let Ok(step) = end.done.pop() {
                end.out -= 1;
                calls.handle_handshake(step);
            }
        }
    }

    /// Hands out what waits, to each thread in turn, as long as there is room.
    pub(crate) fn hand_out(&mut self, now: Now, calls: &mut Calls) {
        let count = self.ends.len();
        loop {
            let mut turn = (0..count).map(|step| (self.next + step) % count);
            // No more than fit into the ring back, so that a thread never waits.
            let Some(at) = turn.find(|at| self.ends[*at].out < STEPS_OUT) else { return };
            let Some(step) = calls.poll_handshake(now) else { return };
            let end = &mut self.ends[at];
            assert!(end.work.push(step).is_ok(), "a ring has room for what may be out");
            end.out += 1;
            end.thread.unpark();
            self.next = at + 1;
        }
    }
}

fn run(mut ends: Vec<ThreadEnd>, together: &Together) {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "cannot lower the priority of handshakes");
    }
    while !together.stopping.load(Ordering::Relaxed) {
        let mut worked = false;
        for end in &mut ends {
            // One step of each shard in turn.
            let Ok(step) = end.work.pop() else { continue };
            worked = true;
            assert!(end.done.push(step.run()).is_ok(), "the shard counts what is out");
            wake(together, end.shard);
        }
        if !worked {
            std::thread::park();
        }
    }
}

/// Rings a shard's bell if it sleeps: whoever clears the flag rings.
fn wake(together: &Together, shard: usize) {
    fence(Ordering::SeqCst);
    let asleep = &together.asleep[shard];
    if asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::Relaxed) {
        ring_bell(&together.bells[shard]);
    }
}
