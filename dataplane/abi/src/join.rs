//! The peer's side of the hand-over; the protocol is in [`crate::handover`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{SocketAddrUnix, SocketFlags};

use crate::handover::{self, Answer, JoinRefusal, Received, Role};
use crate::lane::{Receiver, Sender};
use crate::lanes;
use crate::listener;
use crate::message::{Command, Event};
use crate::pages::PagesView;
use crate::region::RegionError;

/// Why a data plane could not be joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody listens.
    #[error(
        "no data plane listens at {path}: start ringway-dataplane, or correct `socket` in both \
         configurations"
    )]
    NotRunning {
        /// The path.
        path: PathBuf,
    },
    /// The socket may not be opened.
    #[error(
        "this user may not open {path}: run as root, as the data plane's user, or as a member of \
         the socket's group"
    )]
    PermissionDenied {
        /// The path.
        path: PathBuf,
    },
    /// The data plane did not answer.
    #[error("the data plane at {path} did not answer within {timeout:?}")]
    Timeout {
        /// The path.
        path: PathBuf,
        /// How long was waited.
        timeout: Duration,
    },
    /// The data plane said no.
    #[error("the data plane at {path} refused: {reason}")]
    Refused {
        /// The path.
        path: PathBuf,
        /// Why.
        reason: JoinRefusal,
    },
    /// What answered does not speak the protocol, or ended.
    #[error("what listens at {path} is no data plane of this release: {what}")]
    Protocol {
        /// The path.
        path: PathBuf,
        /// What was wrong.
        what: &'static str,
    },
    /// The memory that it sent cannot be used.
    #[error("the data plane at {path} sent memory that cannot be used: {source}")]
    Region {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: RegionError,
    },
    /// The system said no.
    #[error("cannot talk to the data plane at {path} ({step}): {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The system call.
        step: &'static str,
        /// Its answer.
        source: io::Error,
    },
}

/// A data plane that was joined.
#[derive(Debug)]
pub struct Joined {
    /// What it tells everyone.
    pub pages: PagesView,
    /// The lanes, for [`Role::Control`].
    pub control: Option<ControlLink>,
    /// Keep it: closing it is leaving. Readable at its end only: the data plane is gone.
    pub socket: UnixStream,
}

/// What the control plane needs to steer.
#[derive(Debug)]
pub struct ControlLink {
    /// One for each shard, in shard order.
    pub shards: Vec<ControlLane>,
    /// Readable when a receiver of events slept and there are some; silence it with
    /// [`crate::bell::silence`].
    pub bell: OwnedFd,
}

/// The way to and from one shard.
pub struct ControlLane {
    /// Commands to the shard.
    pub commands: Sender<Command>,
    /// Events from the shard.
    pub events: Receiver<Event>,
    /// To ring with [`crate::bell::ring`] when `commands.reader_sleeps()`; one bell stands for all
    /// shards.
    pub bell: OwnedFd,
}

impl std::fmt::Debug for ControlLane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlLane").field("bell", &self.bell).finish_non_exhaustive()
    }
}

/// Joins the data plane that listens at `path`. Blocks, `timeout` at most for each of connecting
/// and being answered.
pub fn join(path: &Path, role: Role, timeout: Duration) -> Result<Joined, JoinError> {
    let protocol = |what| JoinError::Protocol { path: path.to_owned(), what };
    let region = |source| JoinError::Region { path: path.to_owned(), source };
    let socket = connect(path, timeout)?;
    let (answer, fds) = ask(path, &socket, role, timeout)?;
    let (shards, boot_id) = match answer {
        Answer::Refused(reason) => {
            return Err(JoinError::Refused { path: path.to_owned(), reason });
        }
        Answer::Welcome { shards, boot_id } => (shards, boot_id),
    };
    let expected = match role {
        Role::Observer => 1,
        Role::Control => 3 + usize::from(shards),
    };
    if fds.len() != expected {
        return Err(protocol("it sent another number of descriptors than belong to a welcome"));
    }
    let mut fds = fds.into_iter();
    let mut next = || fds.next().ok_or_else(|| protocol("it sent too few descriptors"));
    let pages = PagesView::join(next()?.as_fd()).map_err(region)?;
    let boot = pages.boot();
    if boot.boot_id != boot_id || boot.limits.shards != shards {
        return Err(region(RegionError::OtherBoot));
    }
    let control = match role {
        Role::Observer => None,
        Role::Control => {
            let lanes = lanes::join(next()?.as_fd(), shards, boot_id).map_err(region)?;
            let bell = next()?;
            let shards = lanes
                .into_iter()
                .map(|(commands, events)| Ok(ControlLane { commands, events, bell: next()? }))
                .collect::<Result<_, JoinError>>()?;
            Some(ControlLink { shards, bell })
        }
    };
    Ok(Joined { pages, control, socket: UnixStream::from(socket) })
}

fn connect(path: &Path, timeout: Duration) -> Result<OwnedFd, JoinError> {
    let failed = |step| move |errno: Errno| io_error(path, step, errno, timeout);
    // A timeout of 0 would mean "for ever" to the kernel.
    let wait = Some(timeout.max(Duration::from_millis(1)));
    let address = SocketAddrUnix::new(path).map_err(failed("address"))?;
    let socket = listener::socket(SocketFlags::empty()).map_err(failed("socket"))?;
    set_socket_timeout(&socket, Timeout::Send, wait).map_err(failed("SO_SNDTIMEO"))?;
    set_socket_timeout(&socket, Timeout::Recv, wait).map_err(failed("SO_RCVTIMEO"))?;
    rustix::net::connect(&socket, &address).map_err(failed("connect"))?;
    Ok(socket)
}

fn ask(
    path: &Path,
    socket: &OwnedFd,
    role: Role,
    timeout: Duration,
) -> Result<(Answer, Vec<OwnedFd>), JoinError> {
    let failed = |step| move |errno: Errno| io_error(path, step, errno, timeout);
    let protocol = |what| JoinError::Protocol { path: path.to_owned(), what };
    handover::send(socket, &handover::hello(role), &[]).map_err(failed("send"))?;
    let received = rustix::io::retry_on_intr(|| handover::receive(socket));
    let (packet, fds) = match received.map_err(failed("receive"))? {
        Received::Message(packet, fds) => (packet, fds),
        Received::Rubbish => return Err(protocol("its answer has another size")),
        Received::End => return Err(protocol("it closed the connection without an answer")),
    };
    let answer = handover::read_answer(&packet).ok_or(protocol("its answer makes no sense"))?;
    // The socket now only says when the data plane ends, and may take for ever to.
    set_socket_timeout(socket, Timeout::Recv, None).map_err(failed("SO_RCVTIMEO"))?;
    set_socket_timeout(socket, Timeout::Send, None).map_err(failed("SO_SNDTIMEO"))?;
    Ok((answer, fds))
}

fn io_error(path: &Path, step: &'static str, errno: Errno, timeout: Duration) -> JoinError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::CONNREFUSED => JoinError::NotRunning { path },
        Errno::ACCESS | Errno::PERM => JoinError::PermissionDenied { path },
        Errno::AGAIN | Errno::TIMEDOUT => JoinError::Timeout { path, timeout },
        errno => JoinError::Io { path, step, source: errno.into() },
    }
}
