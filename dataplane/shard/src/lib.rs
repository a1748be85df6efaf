//! One core's world: forwards, destinations, and what becomes of each datagram.
//!
//! Sans-IO: the binary's turn loop feeds arrivals, commands and time in, and takes runs, events and
//! records out. `tests/sim` does the same with a simulated network. Only [`egress`] knows the
//! engines' batch type.
//!
//! - [`shard`]: the world, and where each kind of input goes.
//! - [`home`]: the input half of a forward, on the shard that owns its sockets.
//! - [`branch`]: the output half, on every shard that serves destinations of it.
//! - [`call`]: peer connections of calls, and what flows between them.
//! - [`egress`]: the packets of a turn become runs.
//! - [`mailbox`]: commands of the control plane, and the answers.
//! - [`handoff`]: lanes between shards: packet references one way, buffers back.
//! - [`gateway`]: lanes to and from the thread that owns TCP connections.
//! - [`feedback`]: RTCP in both directions.
//! - [`publish`]: records and counters become visible to other programs.
//! - [`ticks`]: when a shard ticks.
#![forbid(unsafe_code)]

pub mod branch;
pub mod call;
pub mod clock;
pub mod egress;
pub mod feedback;
pub mod gateway;
pub mod handoff;
pub mod home;
pub mod mailbox;
mod ports;
pub mod publish;
pub mod shard;
pub mod slab;
pub mod sockets;
pub mod ticks;
