//! The watchdog: tells systemd that the shards turn, and stops telling it when one does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use anyhow::Context;

use crate::clocks;

/// A shard whose last turn is older than this hangs: turns end within milliseconds, and an idle
/// shard turns ten times a second.
const HANGS_NS: u64 = 2_000_000_000;

/// Keeps the watchdog running; dropping it ends the thread.
pub(crate) struct Watchdog {
    _running: Sender<()>,
}

/// Starts the thread that watches `beats`, one a shard, ns of the monotonic clock.
pub(crate) fn start(beats: Arc<[AtomicU64]>) -> anyhow::Result<Watchdog> {
    let asked = sd_notify::watchdog_enabled();
    // Half of what systemd waits, as sd_watchdog_enabled(3) advises; without systemd it only logs.
    let interval = asked.map_or(Duration::from_secs(1), |within| within / 2);
    let (running, stopped) = channel();
    std::thread::Builder::new()
        .name("watchdog".into())
        .spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                if let Some(shard) = hanging(&beats) {
                    tracing::error!(shard, "a shard hangs");
                } else if asked.is_some() {
                    let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                }
            }
        })
        .context("cannot start the thread of the watchdog")?;
    Ok(Watchdog { _running: running })
}

fn hanging(beats: &[AtomicU64]) -> Option<usize> {
    let now_ns = clocks::now().mono_ns;
    beats.iter().position(|beat| now_ns.saturating_sub(beat.load(Ordering::Relaxed)) > HANGS_NS)
}
