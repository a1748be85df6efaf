//! Looking into a running data plane: an observer of its shared pages. It costs the shards nothing.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringway_abi::{Boot, DEFAULT_SOCKET, Joined, Role, join};

use crate::client;
use crate::dev::layout::DevDirs;
use crate::top::rates::{Sample, ShardSample};

const SOCKET_VARIABLE: &str = "RINGWAY_SOCKET";
/// The data plane answers at once, or it is stuck.
const JOIN_PATIENCE: Duration = Duration::from_secs(2);

/// An observer's place at the data plane.
pub(crate) struct Observer {
    joined: Joined,
}

impl Observer {
    /// Joins the data plane at `socket`.
    pub(crate) fn join(socket: &Path) -> anyhow::Result<Self> {
        let joined = join(socket, Role::Observer, JOIN_PATIENCE)?;
        joined.socket.set_nonblocking(true)?;
        Ok(Self { joined })
    }

    /// What the data plane said when it started.
    pub(crate) fn boot(&self) -> &Boot {
        self.joined.pages.boot()
    }

    /// Whether that data plane still runs: its end of the socket is open.
    pub(crate) fn is_alive(&self) -> bool {
        let mut byte = [0];
        match (&self.joined.socket).read(&mut byte) {
            Ok(0) => false,
            Ok(_) => true,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// What the shards have published by now.
    pub(crate) fn sample(&self) -> Sample {
        let pages = &self.joined.pages;
        let shards = (0..self.boot().limits.shards).map(|shard| ShardSample {
            beat_ns: pages.beat_ns(shard),
            counters: pages.counters(shard),
            latency: pages.latency(shard),
        });
        Sample { shards: shards.collect(), taken_ns: monotonic_ns() }
    }
}

/// The clock that heartbeats are on.
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// The socket to join: as told, else that of the installed data plane, else that of `ringway dev`.
pub(crate) fn socket_path(told: Option<&Path>, url: &str) -> PathBuf {
    let variable = std::env::var_os(SOCKET_VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(path) = told.map(Path::to_path_buf).or(variable) {
        return path;
    }
    let dev = client::loopback_port(url).map(DevDirs::of_port).filter(DevDirs::is_in_use);
    dev.map_or_else(|| DEFAULT_SOCKET.into(), |dirs| dirs.socket())
}
