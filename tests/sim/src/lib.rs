//! The forwarder on one thread: real shards, a simulated kernel, a simulated network, a clock that
//! moves only when a scenario says so, and one seed for everything that is random.
//!
//! The shards are the ones of the data plane and turn in the same order as its binary does. What is
//! simulated is all around them, and it is stricter than the original: buffers are filled with
//! [`pool::FREED`] the moment they are free, a socket closed twice is an error, and an empty batch
//! that asks for more is an endless loop.
//!
//! - [`plane`]: the whole: shards, network, log, and a control plane in its simplest form.
//! - [`machine`]: one shard with what the engine and the turn loop are to it.
//! - [`pool`], [`sockets`], [`kernel`]: what the engine's parts are to a shard.
//! - [`network`]: paths that lose, double, delay and reorder, and NATs that move their clients.
//! - [`source`], [`judge`]: who sends, and what must have become of it.
//! - [`calls`]: the same with peers that speak ICE, DTLS and SRTP.
//! - [`seeds`], [`random`]: many runs, each repeatable.
#![forbid(unsafe_code)]

pub mod calls;
pub mod judge;
pub mod kernel;
pub mod machine;
pub mod network;
pub mod plane;
pub mod pool;
pub mod random;
pub mod seeds;
pub mod sockets;
pub mod source;
