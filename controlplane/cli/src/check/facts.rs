//! What `ringway check` looks at: plain values, read by [`super::reader`] and judged by
//! [`super::findings`].

use ringway_uring::Missing;

/// Everything about this machine that matters. None and empty mean that it could not be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// `uname -r`.
    pub(super) kernel: String,
    /// What io_uring lacks, if anything.
    pub(super) uring: Option<Result<(), Missing>>,
    /// Why plain system calls do not work, if they do not.
    pub(super) plain: Option<Result<(), String>>,
    /// Whether the kernel cuts runs of packets.
    pub(super) segmentation: Option<bool>,
    /// Whose limits `memlock_bytes` and `open_files` are.
    pub(super) limits_of: String,
    pub(super) memlock_bytes: Limit,
    pub(super) open_files: Limit,
    pub(super) rmem_max_bytes: Option<u64>,
    pub(super) wmem_max_bytes: Option<u64>,
    pub(super) backlog: Option<u64>,
    /// Ports that the kernel gives to clients.
    pub(super) local_ports: Option<(u16, u16)>,
    /// Ports that it keeps from them.
    pub(super) reserved_ports: Vec<(u16, u16)>,
    pub(super) cpus: Vec<u16>,
    pub(super) isolated: Vec<u16>,
    pub(super) nohz_full: Vec<u16>,
    /// One of each kind in use.
    pub(super) governors: Vec<String>,
    /// Content of the file: `always [madvise] never`.
    pub(super) huge_pages: Option<String>,
    /// Vulnerability and state.
    pub(super) mitigations: Vec<(String, String)>,
    pub(super) irqbalance: bool,
    pub(super) cards: Vec<Card>,
    pub(super) clocksource: Option<String>,
    /// Whether something keeps the clock right.
    pub(super) clock_kept_by: Option<String>,
}

/// What the data plane is configured to use.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Cores of the shards, as configured or as `auto` chooses.
    pub(super) cores: Vec<u16>,
    pub(super) buffers: u64,
    pub(super) receive_buffer_bytes: u64,
    pub(super) send_buffer_bytes: u64,
    pub(super) max_forwards: u64,
    pub(super) ports: (u16, u16),
    /// Ranges of the UDP ports of calls; each shard takes one.
    pub(super) media_ports: Vec<(u16, u16)>,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Limit {
    #[default]
    Unknown,
    Unlimited,
    At(u64),
}

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) name: String,
    /// `tx-udp-segmentation`.
    pub(super) udp_segmentation: Offload,
    /// `generic-receive-offload`.
    pub(super) receive_offload: Offload,
}

/// A feature of a network card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Offload {
    #[default]
    Unknown,
    On,
    Off,
    /// Off, and the driver cannot do otherwise.
    OffFixed,
}
