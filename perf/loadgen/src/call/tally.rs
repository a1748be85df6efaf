//! What all subscribers counted together.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use ringway_proto::transport::TransportDrop;

/// Anything slower is recorded as this.
const MAX_LATENCY_NS: u64 = 10_000_000_000;

/// Counts and latencies.
pub struct Tally {
    /// Whether the measured part is on.
    pub is_open: bool,
    /// From the sender's hand-over to the kernel to the kernel's arrival, in the measured part.
    pub latency: Histogram<u64>,
    /// Media packets, each counted once, in the measured part.
    pub delivered: u64,
    /// Those of them with a stamp.
    pub stamped: u64,
    /// Stamped ones that were of the best layer, or speech.
    pub best: u64,
    /// Packets on repair streams, in the whole run.
    pub repairs: u64,
    /// Packets without payload, which servers send to probe, in the whole run.
    pub padding: u64,
    /// Packets of streams that signalling did not name, in the whole run.
    pub foreign: u64,
    /// Datagrams that could not be used, by reason, in the whole run.
    pub dropped: HashMap<TransportDrop, u64>,
    /// NACK packets sent, in the whole run.
    pub nacks: u64,
    /// The kernel gave no arrival times, so ours were taken.
    pub own_clock: bool,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            is_open: false,
            latency: Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("valid bounds"),
            delivered: 0,
            stamped: 0,
            best: 0,
            repairs: 0,
            padding: 0,
            foreign: 0,
            dropped: HashMap::new(),
            nacks: 0,
            own_clock: false,
        }
    }
}
