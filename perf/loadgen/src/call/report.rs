//! What a run of a call measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The result of one run, as `ringway-load` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallReport {
    /// Scenario.
    pub scenario: String,
    /// What the server calls itself.
    pub server: String,
    /// What protects the media.
    pub srtp_profile: String,
    /// Participants that took part, those of a storm included.
    pub participants: u64,
    /// Length of the window.
    pub seconds: f64,
    /// From the first join to the moment when everybody received everything, in seconds.
    pub join_seconds: f64,
    /// Packets per second that the server had to send.
    pub load_pps: f64,
    /// Packets that the publishers sent in the window, all layers.
    pub sent: u64,
    /// Packets that the receivers should have got by what was sent in the best layers.
    pub wanted: u64,
    /// Packets that they should have got by sequence numbers.
    pub expected: u64,
    /// Packets that they got of those, each counted once.
    pub received: u64,
    /// `expected` less `received`.
    pub lost: u64,
    /// `lost` as a part of `expected`.
    pub loss: f64,
    /// Packets that came only after they were asked for.
    pub repaired: u64,
    /// Packets that came more than once, in the whole run.
    pub duplicates: u64,
    /// Packets that came after a later one, in the whole run.
    pub reordered: u64,
    /// Packets of streams that signalling did not name, in the whole run.
    pub foreign: u64,
    /// Datagrams that could not be used, by reason, in the whole run.
    pub dropped: BTreeMap<String, u64>,
    /// Packets without payload, in the whole run.
    pub padding: u64,
    /// Media packets that arrived between the edges of the window, each counted once.
    pub delivered: u64,
    /// The part of them that was of the best layer, or speech.
    pub best: f64,
    /// NACKs that receivers sent, in the whole run.
    pub nacks: u64,
    /// Packets that publishers sent again, in the whole run.
    pub repairs: u64,
    /// Key frames that were asked for, in the whole run.
    pub key_frames: u64,
    /// Median latency, from the sender's hand-over to the kernel to the kernel's arrival, µs.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// The generator's own use of its core in the window, spinning not counted.
    pub busy: f64,
    /// CPU time of the generator in the window, spinning included, in microseconds.
    pub cpu_us: f64,
    /// Frames that left more than 1 ms late.
    pub late_frames: u64,
    /// The largest delay of a frame by the generator itself, in microseconds.
    pub max_late_us: f64,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
    /// The generator was the bottleneck: do not trust the figures.
    pub saturated: bool,
    /// What went wrong for single participants.
    pub failures: Vec<String>,
    /// How the storm went, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storm: Option<StormReport>,
}

/// How a storm went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StormReport {
    /// Participants that were to come.
    pub participants: u64,
    /// Those that the server let in.
    pub joined: u64,
    /// Those whose media connection came up.
    pub connected: u64,
    /// Those that received everything there was.
    pub receiving: u64,
    /// From the first join to the last who received everything, in seconds.
    pub seconds: f64,
}
