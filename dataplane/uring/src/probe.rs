//! What this machine's kernel lets us do, found out by doing it.
//!
//! Versions say little: distributions port features back, containers take them away. So a small
//! engine is started and made to receive and send.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use thiserror::Error;

use crate::address::Target;
use crate::batch::{Batch, Run};
use crate::bell::new_bell;
use crate::engine::{Engine, EngineConfig, EngineError, EngineKind};
use crate::pool::PoolTable;
use crate::socket::{BoundSocket, SocketOptions, bind};
use crate::tally::Tally;

/// The loopback answers within microseconds; this long only if the machine is stopped.
const PATIENCE: Duration = Duration::from_secs(2);

const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";

/// What the probe sends: more packets than one, so that a receive must survive the first.
const PACKETS: u16 = 3;
const PACKET_BYTES: u16 = 64;

/// What this machine can do.
#[derive(Debug)]
pub struct Probe {
    /// The running kernel.
    pub kernel: KernelVersion,
    /// Whether the io_uring engine works, and otherwise what it lacks.
    pub uring: Result<(), Missing>,
    /// Whether the plain engine works, and otherwise why.
    pub plain: Result<(), String>,
    /// Whether the kernel cuts one send into several packets (UDP_SEGMENT).
    pub gso: bool,
}

impl Probe {
    /// The engine that `auto` means.
    #[must_use]
    pub fn best(&self) -> EngineKind {
        if self.uring.is_ok() { EngineKind::Uring } else { EngineKind::Plain }
    }
}

/// A kernel's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// As the kernel writes it, for people.
    pub release: String,
}

impl KernelVersion {
    fn parse(release: &str) -> Self {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let mut next = || numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Self { major: next(), minor: next(), release: release.to_owned() }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.release)
    }
}

/// What io_uring lacks here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// A sysctl forbids it.
    #[error(
        "io_uring is switched off (kernel.io_uring_disabled={0}): run \
         `sysctl kernel.io_uring_disabled=0`"
    )]
    Disabled(u32),
    /// A sandbox forbids it.
    #[error(
        "io_uring is forbidden here (EPERM): let the container's or service's seccomp filter \
         allow io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Forbidden,
    /// Not built in, or a sandbox says so.
    #[error("this kernel has no io_uring (ENOSYS), or a seccomp filter hides it")]
    NotBuilt,
    /// Before Linux 6.1.
    #[error("io_uring here lacks SINGLE_ISSUER and DEFER_TASKRUN: needs Linux 6.1")]
    DeferTaskrun,
    /// Before Linux 5.11.
    #[error("io_uring here lacks waits with a deadline: needs Linux 5.11")]
    WaitArguments,
    /// Before Linux 5.17.
    #[error("io_uring here lacks sends that complete silently: needs Linux 5.17")]
    SilentSends,
    /// Before Linux 5.19.
    #[error("io_uring here lacks sparse tables of files: needs Linux 5.19")]
    SocketTable,
    /// Before Linux 5.19.
    #[error("io_uring here lacks rings of provided buffers: needs Linux 5.19")]
    BufferRings,
    /// Before Linux 6.0.
    #[error("io_uring here lacks multishot recvmsg: needs Linux 6.0")]
    MultishotReceive,
    /// The limit of locked memory.
    #[error(
        "io_uring may lock no more memory (limit {limit_bytes} bytes): raise `LimitMEMLOCK=` of \
         the service (or `ulimit -l`)"
    )]
    LockedMemory {
        /// `RLIMIT_MEMLOCK` of this process.
        limit_bytes: u64,
    },
    /// It starts, but packets do not come through.
    #[error("io_uring starts but does not work: {0}")]
    Broken(String),
}

impl Missing {
    /// Reads the error of `io_uring_setup`.
    pub(crate) fn from_setup(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM) => match disabled() {
                0 => Self::Forbidden,
                value => Self::Disabled(value),
            },
            Some(libc::ENOSYS) => Self::NotBuilt,
            Some(libc::EINVAL) => Self::DeferTaskrun,
            Some(libc::ENOMEM) => Self::locked_memory(),
            _ => Self::Broken(format!("io_uring_setup: {error}")),
        }
    }

    pub(crate) fn locked_memory() -> Self {
        let limit_bytes = getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX);
        Self::LockedMemory { limit_bytes }
    }
}

/// The sysctl that switches io_uring off: 1 for processes outside of a group, 2 for all.
fn disabled() -> u32 {
    let text = std::fs::read_to_string(SYSCTL).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

/// Finds out what this machine can do. Takes a few milliseconds and leaves nothing behind.
#[must_use]
pub fn probe() -> Probe {
    let kernel = KernelVersion::parse(&rustix::system::uname().release().to_string_lossy());
    let uring = attempt(EngineKind::Uring);
    let plain = attempt(EngineKind::Plain);
    let gso = *uring.as_ref().or(plain.as_ref()).unwrap_or(&false);
    Probe {
        kernel,
        uring: uring.map(drop).map_err(|error| match error {
            Fault::Missing(missing) => missing,
            Fault::Other(why) => Missing::Broken(why),
        }),
        plain: plain.map(drop).map_err(|error| match error {
            Fault::Missing(missing) => missing.to_string(),
            Fault::Other(why) => why,
        }),
        gso,
    }
}

enum Fault {
    Missing(Missing),
    Other(String),
}

impl From<EngineError> for Fault {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Missing(missing) => Self::Missing(missing),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Other(why)
    }
}

/// Starts an engine, lets it send packets to itself, and says whether they went as one message.
fn attempt(kind: EngineKind) -> Result<bool, Fault> {
    let pools = PoolTable::new(1, 8, 2048).map_err(|error| error.to_string())?;
    let bell = new_bell().map_err(|error| format!("eventfd: {error}"))?;
    let config = EngineConfig { sockets: 2, batch_pieces: 8, ..EngineConfig::new(pools, 0, bell) };
    let mut engine = Engine::new(kind, config)?;
    let bound = bind_loopback()?;
    let socket = engine
        .attach(bound.socket, true)
        .map_err(|error| format!("attaching a socket: {error}"))?;

    let mut batch = Batch::with_capacity(1, 1, 1024);
    let bytes = PACKETS * PACKET_BYTES;
    let piece = batch.push_scratch(&vec![7; bytes.into()]).expect("room for the probe");
    let first = batch.push_piece(piece).expect("room for the probe");
    let run = Run {
        socket,
        to: Target::from(bound.local),
        first,
        end: first + 1,
        segment: PACKET_BYTES,
        packets: PACKETS,
        bytes: bytes.into(),
        tag: 0,
    };
    assert!(batch.push_run(run), "room for the probe");
    let (mut failures, mut tally) = (Vec::new(), Tally::default());
    engine.send(&mut batch, &mut failures, &mut tally);
    if let Some(failure) = failures.first() {
        let error = io::Error::from_raw_os_error(failure.errno);
        return Err(format!("sending over the loopback: {error}").into());
    }
    receive(&mut engine)?;
    Ok(tally.gso_fallbacks == 0)
}

fn bind_loopback() -> Result<BoundSocket, String> {
    let options = SocketOptions { receive_buffer_bytes: 65_536, send_buffer_bytes: 65_536 };
    bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &options)
        .or_else(|_| bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), &options))
        .map_err(|error| error.to_string())
}

fn receive(engine: &mut Engine) -> Result<(), Fault> {
    let deadline = Instant::now() + PATIENCE;
    let mut received = 0;
    while received < PACKETS {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("{received} of {PACKETS} packets came through the loopback").into());
        }
        engine.wait(Some(left)).map_err(|error| format!("waiting: {error}"))?;
        if engine.receive_refusal().is_some() {
            return Err(Fault::Missing(Missing::MultishotReceive));
        }
        while let Some(arrival) = engine.next_arrival() {
            received += u16::from(engine.bytes(&arrival) == [7; PACKET_BYTES as usize]);
            engine.release(arrival.buffer);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_are_read() {
        let rows = [
            ("6.18.44-fc-v669", 6, 18),
            ("5.10.0-28-amd64", 5, 10),
            ("6.1", 6, 1),
            ("6.12+", 6, 12),
            ("", 0, 0),
        ];
        for (release, major, minor) in rows {
            let version = KernelVersion::parse(release);
            assert_eq!((version.major, version.minor), (major, minor), "{release}");
        }
    }

    #[test]
    fn setup_errors_name_what_is_missing() {
        let rows = [
            (libc::ENOSYS, Missing::NotBuilt),
            (libc::EINVAL, Missing::DeferTaskrun),
            (libc::ENOMEM, Missing::locked_memory()),
        ];
        for (errno, expect) in rows {
            assert_eq!(Missing::from_setup(&io::Error::from_raw_os_error(errno)), expect);
        }
    }

    #[test]
    fn the_plain_engine_works_everywhere() {
        let probe = probe();
        assert_eq!(probe.plain, Ok(()));
        assert_eq!(probe.best() == EngineKind::Uring, probe.uring.is_ok());
    }
}
