//! The one interface to both engines.

use std::fmt;
use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::arrival::{Arrival, BufferId};
use crate::batch::{Batch, SocketId};
use crate::plain::Plain;
use crate::pool::PoolTable;
use crate::probe::Missing;
use crate::sender::Sender;
use crate::tally::{EngineTally, Failure, Tally};
use crate::uring::Uring;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// io_uring: needs Linux 6.1 and permission.
    Uring,
    /// `epoll`, `recvmmsg` and `sendmmsg`: works everywhere.
    Plain,
}

impl fmt::Display for EngineKind {
    /// As the configuration writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uring => "uring",
            Self::Plain => "plain",
        })
    }
}

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The receive buffers of all shards; runs may name pieces of any of them.
    pub pools: Arc<PoolTable>,
    /// The pool that this engine receives into. No other engine may use it at the same time.
    pub pool: u16,
    /// Ends a wait; from [`new_bell`](crate::new_bell).
    pub bell: Arc<OwnedFd>,
    /// Sockets attached at the same time. On io_uring at most the limit of open files.
    pub sockets: u32,
    /// Pieces that a batch may have without an allocation.
    pub batch_pieces: usize,
    /// Length of io_uring's completion queue. `None` computes one that cannot overflow; a short
    /// one costs speed, never packets.
    pub completion_entries: Option<u32>,
}

impl EngineConfig {
    /// A configuration with room for 1024 sockets and 65536 pieces.
    #[must_use]
    pub fn new(pools: Arc<PoolTable>, pool: u16, bell: Arc<OwnedFd>) -> Self {
        let (sockets, batch_pieces, completion_entries) = (1024, 65_536, None);
        Self { pools, pool, bell, sockets, batch_pieces, completion_entries }
    }
}

/// Why an engine cannot start.
#[derive(Debug, Error)]
pub enum EngineError {
    /// io_uring is missing something.
    #[error("{0}; or set `engine: plain`")]
    Missing(#[from] Missing),
    /// The configuration names a pool that is not there or has a user.
    #[error("receive pool {0} does not exist or belongs to another engine")]
    Pool(u16),
    /// More sockets than a process may open.
    #[error(
        "room for {asked} sockets, but this process may open {limit} files: raise \
         `LimitNOFILE=` of the service (or `ulimit -n`), or lower `max_forwards`"
    )]
    Sockets {
        /// Sockets asked for.
        asked: u32,
        /// The limit of open files.
        limit: u64,
    },
    /// A system call that should not fail.
    #[error("{step}: {source}")]
    Kernel {
        /// What was tried.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Receives packets from sockets and sends runs of packets to addresses, on one thread.
///
/// It belongs to the thread that made it. After construction, sending, waiting and receiving
/// allocate nothing.
pub struct Engine {
    sender: Sender,
    pools: Arc<PoolTable>,
    bell: Arc<OwnedFd>,
    inner: Inner,
}

enum Inner {
    Uring(Box<Uring>),
    Plain(Box<Plain>),
}

/// Calls the same method of whichever engine it is.
macro_rules! forward {
    ($inner:expr, $engine:ident => $call:expr) => {
        match $inner {
            Inner::Uring($engine) => $call,
            Inner::Plain($engine) => $call,
        }
    };
}

impl Engine {
    /// Starts an engine on the calling thread, which is the only one that can use it.
    pub fn new(kind: EngineKind, config: EngineConfig) -> Result<Self, EngineError> {
        let (pools, bell) = (Arc::clone(&config.pools), Arc::clone(&config.bell));
        let sender = Sender::new(config.batch_pieces);
        let inner = match kind {
            EngineKind::Uring => Inner::Uring(Box::new(Uring::new(config)?)),
            EngineKind::Plain => Inner::Plain(Box::new(Plain::new(config)?)),
        };
        Ok(Self { sender, pools, bell, inner })
    }

    /// Which engine this is.
    #[must_use]
    pub fn kind(&self) -> EngineKind {
        match self.inner {
            Inner::Uring(_) => EngineKind::Uring,
            Inner::Plain(_) => EngineKind::Plain,
        }
    }

    /// The bell that ends [`wait`](Self::wait).
    #[must_use]
    pub fn bell(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.bell)
    }

    /// Adds a socket to send from, and to receive from if `receive`. One socket may be attached
    /// to several engines, of which one receives.
    ///
    /// # Errors
    /// `ErrorKind::QuotaExceeded` if the engine is full; otherwise what the kernel says.
    pub fn attach(&mut self, socket: Arc<UdpSocket>, receive: bool) -> io::Result<SocketId> {
        forward!(&mut self.inner, engine => engine.attach(socket, receive))
    }

    /// Adds a socket whose packets wake nobody: they arrive with
    /// [`look_at_resting`](Self::look_at_resting) alone.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_resting(&mut self, socket: Arc<UdpSocket>) -> io::Result<SocketId> {
        forward!(&mut self.inner, engine => engine.attach_resting(socket))
    }

    /// Takes what came to resting sockets, without sleeping. Arrivals may be pending after it.
    pub fn look_at_resting(&mut self) -> io::Result<()> {
        forward!(&mut self.inner, engine => engine.look_at_resting())
    }

    /// A socket that was attached.
    #[must_use]
    pub fn socket(&self, id: SocketId) -> Option<&Arc<UdpSocket>> {
        forward!(&self.inner, engine => engine.socket(id))
    }

    /// Removes a socket. Nothing arrives from it any more, runs to it fail with `EBADF`, and the
    /// kernel closes it when the last `Arc` goes. An unknown or stale id is ignored.
    pub fn detach(&mut self, socket: SocketId) {
        forward!(&mut self.inner, engine => engine.detach(socket));
    }

    /// Hands all runs to the kernel and clears the batch; never blocks. On return the kernel
    /// needs none of the bytes any more. What it refuses is told in `failures`, which grows only
    /// if its capacity is below the number of runs.
    ///
    /// Refused segmentation is no failure: the run is sent again packet by packet.
    ///
    /// # Panics
    /// If a piece lies outside of its pool, or the kernel takes no submissions any more.
    pub fn send(&mut self, batch: &mut Batch, failures: &mut Vec<Failure>, tally: &mut Tally) {
        if batch.is_empty() {
            batch.clear();
            return;
        }
        let Self { sender, pools, inner, .. } = self;
        forward!(inner, engine => sender.send(&mut **engine, pools, batch, failures, tally));
    }

    /// Sleeps until a packet arrives, the bell rings, or the time is over (`None`: never; zero:
    /// only looks). Returns at once while arrivals are pending. May return early.
    pub fn wait(&mut self, until: Option<Duration>) -> io::Result<()> {
        forward!(&mut self.inner, engine => engine.wait(until))
    }

    /// The next packet that came in. Its buffer must be released.
    pub fn next_arrival(&mut self) -> Option<Arrival> {
        forward!(&mut self.inner, engine => engine.next_arrival())
    }

    /// The payload of an arrival.
    ///
    /// # Panics
    /// If its buffer is not held any more.
    #[must_use]
    pub fn bytes(&self, arrival: &Arrival) -> &[u8] {
        forward!(&self.inner, engine => engine.buffers().bytes(arrival))
    }

    /// The payload of an arrival, to be changed in place.
    ///
    /// # Panics
    /// If its buffer is not held any more.
    pub fn bytes_mut(&mut self, arrival: &Arrival) -> &mut [u8] {
        forward!(&mut self.inner, engine => engine.buffers_mut().bytes_mut(arrival))
    }

    /// Holds a buffer once more.
    ///
    /// # Panics
    /// If nobody holds it.
    pub fn retain(&mut self, buffer: BufferId) {
        forward!(&mut self.inner, engine => engine.buffers_mut().retain(buffer));
    }

    /// Lets go of a buffer; the last holder gives it back to the kernel.
    ///
    /// # Panics
    /// If nobody holds it.
    pub fn release(&mut self, buffer: BufferId) {
        forward!(&mut self.inner, engine => engine.release(buffer));
    }

    /// Buffers that nobody holds. At 0 the kernel keeps what arrives until its own buffers are
    /// full.
    #[must_use]
    pub fn buffers_free(&self) -> u32 {
        forward!(&self.inner, engine => engine.buffers().free())
    }

    /// What was counted since the start.
    #[must_use]
    pub fn tally(&self) -> EngineTally {
        forward!(&self.inner, engine => engine.tally())
    }

    /// The error with which the kernel refused to receive at all, if it did. Probing asks.
    pub(crate) fn receive_refusal(&self) -> Option<i32> {
        match &self.inner {
            Inner::Uring(engine) => engine.receive_refusal(),
            Inner::Plain(_) => None,
        }
    }
}
