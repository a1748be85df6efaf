//! The clocks of the kernel; the only place of this program that reads them.

use ringway_shard::clock::Now;
use rustix::time::{ClockId, clock_gettime};

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

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
