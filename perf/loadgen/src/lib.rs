//! Synthetic senders and receivers that load a forwarder and measure what comes out of it.
//!
//! One thread does it all, pinned by its caller to a core of its own: it sends every input's frames
//! when they are due, drains every receiver's socket with real reads, and counts. It spins instead
//! of sleeping, so that neither its pacing nor its latency figures contain its own wake-ups, and so
//! that a server is not billed for waking it.
//!
//! `run` is the loop, `scenario` the load as data, `report` what was measured. `ring` and `kernel`
//! are shared with `perf/floor`, which has to reach the kernel by the same shortest way. `call`
//! holds the participants of calls; everything else here is about plain RTP.

pub mod call;
pub mod kernel;
pub mod packet;
pub mod ports;
pub mod receive;
pub mod report;
pub mod ring;
pub mod run;
pub mod scenario;
pub mod schedule;
pub mod send;
pub mod track;
