//! What the room asks of a shard and what it hears back, in the room's own words.
//!
//! The shared-memory contract has the same shapes; keeping them apart lets the domain be tested
//! without a data plane and lets the contract change its layout alone.

use std::net::{IpAddr, SocketAddr};

use crate::spec::{Policy, Rtcp};

/// What is asked of a shard. Every command carries a number that the answer repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Repeated by the answer.
    pub request: u64,
    /// What is asked.
    pub ask: Ask,
}

/// The kinds of command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Bind an input and receive.
    CreateForward(Binding),
    /// Replace who may send.
    UpdateForward(u64, Policy),
    /// Drop a forward and all its destinations.
    RemoveForward(u64),
    /// Add or replace a destination of a forward.
    AddDestination(u64, Served),
    /// Drop a destination of a forward.
    RemoveDestination(u64, u64),
    /// Say all forwards and destinations.
    Snapshot,
}

/// An input as a shard binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The forward's key.
    pub key: u64,
    /// Local address.
    pub address: IpAddr,
    /// Local RTP port; 0 lets the shard choose.
    pub rtp_port: u16,
    /// Where RTCP is received.
    pub rtcp: Rtcp,
    /// Who may send.
    pub policy: Policy,
}

/// A destination as a shard serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The destination's key.
    pub key: u64,
    /// The shard that sends.
    pub shard: u16,
    /// Where RTP goes.
    pub rtp: SocketAddr,
    /// Where RTCP goes.
    pub rtcp: SocketAddr,
    /// SSRC rewrite.
    pub ssrc: Option<u32>,
    /// Payload type rewrite.
    pub payload_type: Option<u8>,
    /// Sequence number rewrite.
    pub contiguous: bool,
}

/// Where a forward receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Local RTP address.
    pub rtp: SocketAddr,
    /// Local RTCP address.
    pub rtcp: SocketAddr,
    /// Its record in the shard's pages.
    pub slot: u32,
}

/// What a shard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command ended.
    Done {
        /// The command's number.
        request: u64,
        /// How.
        outcome: Outcome,
    },
    /// One forward of a snapshot.
    ForwardIs {
        /// The snapshot's number.
        request: u64,
        /// Its key.
        key: u64,
        /// The address it was bound with.
        address: IpAddr,
        /// Who may send.
        policy: Policy,
        /// Where it receives.
        bound: Bound,
    },
    /// One destination of a snapshot.
    DestinationIs {
        /// The snapshot's number.
        request: u64,
        /// Its forward's key.
        forward: u64,
        /// As it is served.
        served: Served,
        /// Its record in the pages of the shard that serves it.
        slot: u32,
    },
    /// A forward follows another source.
    SourceIs {
        /// Its key.
        forward: u64,
        /// Who sends now.
        address: SocketAddr,
    },
    /// Events were lost.
    Resync,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The forward receives.
    Forward(Bound),
    /// The destination is served; its record in the pages of its shard.
    Destination(u32),
    /// Gone, or never there.
    Removed,
    /// The snapshot is complete.
    SnapshotEnd,
    /// Not done.
    Refused(Refused),
}

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// The kernel's error number, or 0.
    pub errno: i32,
}

/// Reasons to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Someone else has the port.
    PortInUse,
    /// Not an address of this machine.
    AddressNotAvailable,
    /// A privileged port.
    PermissionDenied,
    /// No free port in the configured range.
    PortRangeExhausted,
    /// The key exists with another address or port.
    Conflict,
    /// No such forward there.
    NoSuchForward,
    /// No such shard.
    NoSuchShard,
    /// The destination cannot be reached from the input's address family.
    FamilyMismatch,
    /// The shard's tables are full.
    TableFull,
    /// A value out of its range.
    Invalid,
    /// The kernel said no.
    Io,
}
