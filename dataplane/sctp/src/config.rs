//! What the user of an association decides.

/// An association's numbers. Times are nanoseconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our verification tag: random, not 0.
    pub tag: u32,
    /// Our first TSN: random.
    pub initial_tsn: u32,
    /// The longest packet, bytes. 1,191 are left of IPv6's 1,280 by IPv6, UDP, TURN and DTLS.
    pub mtu: usize,
    /// Bytes that may be here without having been taken. The longest message must fit in.
    pub receive_window: usize,
    /// DATA chunks that may be here without having been taken. Raised: tiny chunks cost memory
    /// beyond the window; lowered: bursts of small messages are dropped and sent again.
    pub max_undelivered_chunks: usize,
    /// The longest message either way, bytes.
    pub max_message_bytes: usize,
    /// What may wait to be sent, bytes.
    pub max_buffered_bytes: usize,
    /// Stream ids both ways are below this.
    pub streams: u16,
    /// The retransmission timeout until a round trip is measured.
    pub rto_initial_ns: u64,
    /// The least retransmission timeout. Lowered, peers that delay their SACKs get things twice.
    pub rto_min_ns: u64,
    /// The longest. Raised, an association takes longer to come back after an outage.
    pub rto_max_ns: u64,
    /// How long nothing is sent until we ask whether the peer is there.
    pub heartbeat_ns: u64,
    /// A peer that acknowledges nothing for so long is gone.
    pub dead_after_ns: u64,
    /// Announce that DTLS protects packets well enough (RFC 9653).
    pub zero_checksum: bool,
}

const MS: u64 = 1_000_000;

impl Config {
    /// The defaults, with two random numbers.
    pub fn new(tag: u32, initial_tsn: u32) -> Self {
        Self {
            // RFC 9260 3.3.2: the Initiate Tag is not 0.
            tag: tag.max(1),
            initial_tsn,
            mtu: 1_191,
            receive_window: 400_000,
            max_undelivered_chunks: 4_096,
            max_message_bytes: 262_144,
            max_buffered_bytes: 2_000_000,
            streams: 1_024,
            rto_initial_ns: 500 * MS,
            rto_min_ns: 100 * MS,
            rto_max_ns: 10_000 * MS,
            heartbeat_ns: 30_000 * MS,
            dead_after_ns: 120_000 * MS,
            zero_checksum: true,
        }
    }
}

/// How a message is sent. The default is ordered and reliable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// It does not wait for those before it.
    pub unordered: bool,
    /// How often each of its chunks is repeated; `None`: until it arrives.
    pub max_retransmissions: Option<u16>,
    /// How long it is worth anything, from now on.
    pub lifetime_ns: Option<u64>,
}
