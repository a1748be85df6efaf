//! The shared-memory contract between the data plane and everything else.
//!
//! Two programs that share nothing else meet here: `ringway-dataplane` creates the memory and its
//! peers join it over a Unix socket. Everything read out of shared memory is an allegation: it is
//! bounded, copied once and validated before use, so that a hostile or dead peer costs its own lane
//! and nothing else.
//!
//! - [`message`]: what the control plane asks of a shard and what a shard answers.
//! - [`counters`]: the one table of per-shard counters: page offset, Prometheus name, help text.
//! - [`stats`]: the records of one forward and one destination.

pub mod counters;
pub mod message;
pub mod stats;
