//! The domain of the control plane, sans-IO: what a forward is, which requests are valid, where a
//! forward lives, and how what is wanted becomes what the data plane does.
//!
//! Nothing here reads a clock, a socket, a file or a random device: `now_ms`, bytes and seeds are
//! arguments, and everything that should happen comes out as an [`Effect`].
//!
//! - [`draft`]: requests as a client writes them; [`validate`] and [`patch`] make [`spec`]s of
//!   them.
//! - [`plane`]: what the room asks of a shard and hears from it. Only the server's `link`
//!   translates these to the shared-memory contract.
//! - [`placement`]: which shard serves what.
//! - [`Forwards`]: the state machine.
//! - [`calls`]: rooms in which participants publish and subscribe, as LiveKit's clients know them.

#![forbid(unsafe_code)]

pub mod calls;
pub mod draft;
mod entry;
mod forwards;
pub mod id;
pub mod operation;
pub mod patch;
pub mod placement;
pub mod plane;
mod refusal;
pub mod spec;
pub mod validate;

pub use forwards::{Effect, Forwards, Page};
pub use id::{DestinationId, ForwardId};
pub use operation::{Counts, Operation, Rejection, RejectionKind, Reply, State, View};
pub use spec::{Destination, Forward};
pub use validate::{Invalid, Limits};
