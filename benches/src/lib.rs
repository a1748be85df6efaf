//! What the benchmarks share: packets as senders make them, and a shard with a forward.
#![forbid(unsafe_code)]

pub mod stream;
pub mod street;
