//! The shared-memory contract between the data plane and everything else.
//!
//! Two programs that share nothing else meet here: `ringway-dataplane` creates the memory and its
//! peers join it over a Unix socket. Everything read out of shared memory is an allegation: it is
//! bounded, copied once and validated before use, so that a hostile or dead peer costs its own lane
//! and nothing else.
//!
//! What is said:
//! - [`message`]: what the control plane asks of a shard and what a shard answers.
//! - [`counters`]: the one table of per-shard counters: page offset, Prometheus name, help text.
//! - [`stats`]: the records of one forward and one destination.
//! - [`latency`]: the histogram that everybody uses.
//! - [`boot`]: what one start of the data plane is.
//!
//! How it travels:
//! - [`lane`]: one writer, one reader, messages in order. [`page`]: one writer, any readers, the
//!   latest.
//! - [`pages`]: where every page is; [`bell`]: how a sleeping reader is woken.
//! - [`region`] and [`layout`]: the memory itself, and the numbers both sides must agree on.
//! - [`memory`]: words wherever they live, so that tests, loom and miri run the same algorithms.
//!
//! How it is handed over:
//! - [`handover`]: the protocol. [`door`]: the data plane's side. [`join()`]: everyone else's.
//!
//! Under `--cfg loom` only what loom judges is compiled: lanes, pages and what they need.

#[cfg(not(loom))]
pub mod bell;
#[cfg(not(loom))]
pub mod boot;
pub mod call;
pub mod counters;
#[cfg(not(loom))]
mod credentials;
#[cfg(not(loom))]
pub mod door;
#[cfg(not(loom))]
pub mod handover;
#[cfg(all(not(loom), any(test, feature = "fuzz")))]
pub mod hostile;
// Miri maps no shared memory.
#[cfg(all(test, not(any(loom, miri))))]
mod hostile_seeds;
#[cfg(not(loom))]
pub mod join;
pub mod lane;
#[cfg(not(loom))]
mod lanes;
#[cfg(not(loom))]
pub mod latency;
#[cfg(not(loom))]
pub mod layout;
#[cfg(not(loom))]
mod listener;
pub mod memory;
pub mod message;
mod network;
pub mod page;
#[cfg(not(loom))]
pub mod pages;
#[cfg(not(loom))]
pub mod region;
pub mod slot;
pub mod stats;
mod sync;

#[cfg(not(loom))]
pub use boot::{Boot, BootShard, EngineKind, Limits};
pub use counters::Counter;
#[cfg(not(loom))]
pub use door::{Door, DoorError, DoorEvent, ShardLink, StopHandle};
#[cfg(not(loom))]
pub use handover::{DEFAULT_SOCKET, JoinRefusal, Role};
#[cfg(not(loom))]
pub use join::{ControlLane, ControlLink, JoinError, Joined, join};
pub use lane::{Full, Invalid, Message, Receiver, Sender};
#[cfg(not(loom))]
pub use latency::latency_histogram;
pub use message::{Command, Event};
#[cfg(not(loom))]
pub use pages::{PagesOwner, PagesView, ShardPages};
#[cfg(not(loom))]
pub use region::RegionError;
pub use stats::{DestinationStats, ForwardStats};
