//! The clocks of the kernel; the only place of this program that reads them or sleeps by them.

use ringway_shard::clock::Now;
use std::time::Duration;

use rustix::thread::nanosleep;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Both clocks.
pub(crate) fn now() -> Now {
    Now { mono_ns: read(ClockId::Monotonic), unix_ns: unix_ns() }
}

/// The wall clock, ns since the Unix epoch.
pub(crate) fn unix_ns() -> u64 {
    read(ClockId::Realtime)
}

/// CPU time of the calling thread, ns.
pub(crate) fn thread_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// Sleeps for a moment of less than a second; a signal may end it early.
pub(crate) fn sleep(time: Duration) {
    let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    let _ = nanosleep(&time);
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
