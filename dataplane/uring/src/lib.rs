//! The kernel's side of the packet path: buffers, sockets, and two engines behind one interface.
//!
//! [`Engine`] gives packets from an address ([`Arrival`]) and takes runs of packets to an address
//! ([`Batch`]). It exists twice: on io_uring (multishot receive into a provided-buffer ring,
//! segmented sends) and on plain system calls (`epoll`, `recvmmsg`, `sendmmsg`). [`probe`] says
//! which of them this machine allows. Nothing here knows what a packet means.
//!
//! Street: `bind` → [`Engine::attach`] → [`Engine::wait`] → [`Engine::next_arrival`] → (the shard
//! decides) → [`Batch`] → [`Engine::send`] → [`Engine::release`].

mod address;
mod arrival;
mod batch;
mod bell;
mod buffers;
mod control;
mod engine;
mod filter;
mod gso;
mod listener;
mod outbox;
mod plain;
mod pool;
mod probe;
mod sender;
mod slots;
mod socket;
mod tally;
mod uring;

pub use address::Target;
pub use arrival::{Arrival, BufferId};
pub use batch::{
    Batch, MAX_RUN_BYTES, MAX_RUN_PIECES, MAX_SEGMENTS, Piece, Run, SCRATCH, SocketId,
};
pub use bell::{new_bell, ring_bell};
pub use engine::{Engine, EngineConfig, EngineError, EngineKind};
pub use listener::{BoundListener, listen, tune};
pub use pool::{MAX_BUFFERS, PoolError, PoolTable};
pub use probe::{KernelVersion, Missing, Probe, probe};
pub use socket::{BindError, BoundSocket, SocketOptions, bind, bind_beside, bind_with_reports};
pub use tally::{EngineTally, Failure, Tally};
