//! The messages that travel in lanes: [`Command`] from the control plane to a shard, [`Event`]
//! back.
//!
//! Both are rkyv archives inside fixed-size lane slots; the reader checks every archive with
//! bytecheck on a private copy before it looks at a field. Text never appears here: names, JSON and
//! URLs stop at the control plane.
//!
//! Every command carries a `request` number that the answering [`Event::Done`] repeats. Commands
//! are idempotent by key: creating what exists with the same key succeeds and reports what is
//! there, so that a control plane that died between asking and hearing may simply ask again.
// The rkyv derives make public types whose fields have no documentation, and a resolver type that
// no attribute reaches. Everything written by hand in this file is documented.
#![allow(missing_docs)]

use std::net::{IpAddr, SocketAddr};

use crate::call::{CallCommand, CallEvent};
use rkyv::{Archive, Deserialize, Serialize};

/// Names a forward for as long as it exists, across restarts of either program. Chosen by the
/// control plane, never 0, unique in the appliance.
pub type ForwardKey = u64;

/// Names a destination of a forward, as [`ForwardKey`] names the forward.
pub type DestinationKey = u64;

/// What the control plane asks of a shard.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Bind the input of a forward and start to receive. Answered by [`Outcome::Forward`].
    CreateForward {
        /// Repeated by the answer.
        request: u64,
        /// The forward to create.
        spec: ForwardSpec,
    },
    /// Replace the input policy of a forward while it runs. Answered by [`Outcome::Forward`].
    UpdateForward {
        /// Repeated by the answer.
        request: u64,
        /// Which forward.
        forward: ForwardKey,
        /// The new policy; counters and latched source survive where the policy still admits them.
        policy: InputPolicy,
    },
    /// Stop receiving, close the sockets and drop all destinations. Answered by
    /// [`Outcome::Removed`], also when the forward was not there.
    RemoveForward {
        /// Repeated by the answer.
        request: u64,
        /// Which forward.
        forward: ForwardKey,
    },
    /// Add a destination, or replace the one with the same key. Answered by
    /// [`Outcome::Destination`]. Sent to the shard that owns the forward, whichever shard serves
    /// it.
    AddDestination {
        /// Repeated by the answer.
        request: u64,
        /// Which forward.
        forward: ForwardKey,
        /// The destination.
        spec: DestinationSpec,
    },
    /// Stop sending to a destination. Answered by [`Outcome::Removed`], also when it was not there.
    RemoveDestination {
        /// Repeated by the answer.
        request: u64,
        /// Which forward.
        forward: ForwardKey,
        /// Which destination.
        destination: DestinationKey,
    },
    /// Something about calls. Answered by [`Outcome::Accepted`], [`Outcome::Media`] or
    /// [`Outcome::Listening`].
    Call {
        /// Repeated by the answer.
        request: u64,
        /// What.
        call: CallCommand,
    },
    /// Report all forwards of this shard and their destinations: [`Event::ForwardIs`],
    /// [`Event::SourceIs`], [`Event::DestinationIs`], then [`Outcome::SnapshotEnd`].
    Snapshot {
        /// Repeated by the answers.
        request: u64,
    },
}

/// The input of a forward and how it is bound.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct ForwardSpec {
    /// The forward's name from now on.
    pub key: ForwardKey,
    /// Local address to receive on; an unspecified IPv6 address receives IPv4 too.
    pub address: IpAddr,
    /// Local RTP port; 0 lets the shard take a free one from the configured range.
    pub rtp_port: u16,
    /// Where RTCP is received.
    pub rtcp: RtcpInput,
    /// Who may send.
    pub policy: InputPolicy,
}

/// Where a forward receives RTCP.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum RtcpInput {
    /// On the RTP port (RFC 5761).
    Mux,
    /// On the port after the RTP port (RFC 3550 11).
    NextPort,
    /// On this port.
    Port(u16),
}

/// Who may send to a forward. A packet that the policy does not admit is dropped and counted.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct InputPolicy {
    /// Where packets may come from.
    pub source: SourcePolicy,
    /// The only SSRC admitted; `None` admits whatever the source sends.
    pub ssrc: Option<u32>,
}

/// Which remote addresses may send to a forward.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum SourcePolicy {
    /// Anyone at any time; the newest sender is where receiver reports go.
    Any,
    /// The first address that sends a valid packet, until it has been silent for
    /// `silence_ms`; then the next one.
    Latch {
        /// How long the latched source must be silent before another may take over, ms.
        silence_ms: u32,
    },
    /// Only this address; any port.
    Address(IpAddr),
    /// Only this address and port. RTCP is admitted from any port of the address.
    Exact(SocketAddr),
}

/// One destination of a forward.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct DestinationSpec {
    /// The destination's name from now on.
    pub key: DestinationKey,
    /// The shard that serves it; the control plane places by load.
    pub shard: u16,
    /// Where RTP goes. Must be of a family that the forward's input socket can send to.
    pub rtp: SocketAddr,
    /// Where RTCP goes; equal to `rtp` for rtcp-mux.
    pub rtcp: SocketAddr,
    /// What is rewritten on the way.
    pub rewrite: Rewrite,
}

/// What a destination has rewritten. All fields off: packets leave exactly as they came.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Rewrite {
    /// SSRC of all packets sent, RTCP included.
    pub ssrc: Option<u32>,
    /// Payload type of all packets sent (0–127).
    pub payload_type: Option<u8>,
    /// One unbroken sequence-number and timestamp line, whatever the source does: a source that
    /// restarts or is replaced continues where the last one ended. Loss stays visible as a gap.
    pub contiguous: bool,
}

/// What a shard says.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The end of a command.
    Done {
        /// The command's number.
        request: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// One forward of a snapshot.
    ForwardIs {
        /// The snapshot's number.
        request: u64,
        /// As it is bound now: ports are the real ones.
        spec: ForwardSpec,
        /// Where it is.
        bound: Bound,
    },
    /// One destination of a snapshot; follows its forward.
    DestinationIs {
        /// The snapshot's number.
        request: u64,
        /// The forward it belongs to.
        forward: ForwardKey,
        /// As it is served now.
        spec: DestinationSpec,
        /// Its record in the pages of shard `spec.shard`, see [`crate::stats`].
        stats_slot: u32,
    },
    /// The source that a forward follows: told when it changes, and in a snapshot after its
    /// forward.
    SourceIs {
        /// Which forward.
        forward: ForwardKey,
        /// The address that sends RTP.
        address: SocketAddr,
        /// Its SSRC.
        ssrc: u32,
    },
    /// Something about calls.
    Call(CallEvent),
    /// Events were lost because the lane was full: ask for a snapshot.
    Resync,
}

/// How a command ended.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Outcome {
    /// The forward receives.
    Forward(Bound),
    /// The destination is served.
    Destination {
        /// Its record in the pages of the shard that serves it, see [`crate::stats`].
        stats_slot: u32,
    },
    /// It is gone (or was never there).
    Removed,
    /// It was done.
    Accepted,
    /// Media of calls is received.
    Media {
        /// Where.
        udp: SocketAddr,
        /// SHA-256 of the data plane's certificate.
        fingerprint: [u8; 32],
    },
    /// TCP connections are taken.
    Listening {
        /// Where.
        tcp: SocketAddr,
    },
    /// All of the snapshot has been said.
    SnapshotEnd,
    /// It was not done.
    Refused {
        /// Why.
        reason: Refusal,
        /// The kernel's error number where the kernel refused, else 0.
        errno: i32,
    },
}

/// Where a forward receives.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub struct Bound {
    /// Local RTP address.
    pub rtp: SocketAddr,
    /// Local RTCP address; equal to `rtp` for rtcp-mux.
    pub rtcp: SocketAddr,
    /// Its record in the pages of the shard, see [`crate::stats`].
    pub stats_slot: u32,
}

/// Why a shard refused a command.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Refusal {
    /// The port is bound by someone else.
    PortInUse,
    /// The address is not one of this machine's.
    AddressNotAvailable,
    /// Ports below 1024 need CAP_NET_BIND_SERVICE.
    PermissionDenied,
    /// No port of the configured range is free.
    PortRangeExhausted,
    /// A forward with this key exists with another address or port.
    Conflict,
    /// No such forward on this shard.
    NoSuchForward,
    /// No such transport on this shard.
    NoSuchTransport,
    /// No such source on this shard.
    NoSuchSource,
    /// No such route on this shard.
    NoSuchRoute,
    /// No such shard.
    NoSuchShard,
    /// The destination's address family cannot be reached from the forward's socket.
    FamilyMismatch,
    /// The shard's table of forwards or destinations is full.
    TableFull,
    /// A value out of its range.
    Invalid,
    /// Any other answer of the kernel: see `errno`.
    Io,
}
