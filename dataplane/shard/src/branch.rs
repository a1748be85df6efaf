//! A branch: the output half of a forward on one shard, the destinations that this shard serves.

use std::net::SocketAddr;

use ringway_abi::message::{DestinationKey, DestinationSpec, ForwardKey};
use ringway_sfu::destination::{Destination, Rewrite};
use ringway_wire::rtp_rewrite::HeaderRewrite;

use crate::egress::{SocketId, Target};
use crate::handoff::Downstream;

/// End of a list of packets.
pub const NIL: u32 = u32::MAX;

/// A destination as this shard serves it.
#[derive(Debug)]
pub struct Served {
    /// The control plane's name for it.
    pub key: DestinationKey,
    /// What the control plane asked for.
    pub spec: DestinationSpec,
    /// Its slot in the shard's table: its record in the pages, and the tag of its runs.
    pub slot: u32,
    /// Where its RTP goes.
    pub rtp: Target,
    /// Where its RTCP goes.
    pub rtcp: Target,
    /// Whether RTCP leaves from the RTP socket.
    pub mux: bool,
    /// Its forwarding state.
    pub state: Destination,
}

impl Served {
    /// Whether a packet needs a header of its own.
    pub fn needs_header(&self) -> bool {
        !self.state.rewrite().is_identity()
    }

    /// How a packet leaves.
    pub fn header_rewrite(&mut self, mark: &ringway_sfu::input::Mark) -> HeaderRewrite {
        self.state.header_rewrite(mark)
    }
}

/// The output half of a forward on one shard.
#[derive(Debug)]
pub struct Branch {
    /// Which forward.
    pub forward: ForwardKey,
    /// The shard that owns the forward's sockets.
    pub home: u16,
    /// Socket that RTP leaves from.
    pub rtp: SocketId,
    /// Socket that RTCP leaves from.
    pub rtcp: SocketId,
    /// Whether the sockets are IPv6: IPv4 destinations are then written as mapped addresses.
    pub ipv6: bool,
    /// Destinations, in no order.
    pub served: Vec<Served>,
    /// First packet of this turn, an index into the turn's packets.
    pub head: u32,
    /// Last packet of this turn.
    pub tail: u32,
    /// RTCP of the source that waits for the end of the turn.
    pub downstream: Option<Downstream>,
    /// Whether the branch is on the turn's list.
    pub queued: bool,
}

impl Branch {
    /// A branch without destinations.
    pub fn new(forward: ForwardKey, home: u16, rtp: SocketId, rtcp: SocketId, ipv6: bool) -> Self {
        Self {
            forward,
            home,
            rtp,
            rtcp,
            ipv6,
            served: Vec::new(),
            head: NIL,
            tail: NIL,
            downstream: None,
            queued: false,
        }
    }

    /// The position of a destination.
    pub fn position(&self, key: DestinationKey) -> Option<usize> {
        self.served.iter().position(|served| served.key == key)
    }

    /// The address to hand to the kernel for `address`, on this branch's sockets.
    pub fn target(&self, address: SocketAddr) -> Target {
        target(address, self.ipv6)
    }
}

/// The address to hand to the kernel for `address` on an IPv6 or IPv4 socket.
pub fn target(address: SocketAddr, ipv6: bool) -> Target {
    match address {
        SocketAddr::V4(v4) if ipv6 => {
            Target::from(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
        }
        _ => Target::from(address),
    }
}

/// The contract's rewrite as the forwarding logic has it.
pub fn rewrite(rewrite: ringway_abi::message::Rewrite) -> Rewrite {
    Rewrite {
        ssrc: rewrite.ssrc,
        payload_type: rewrite.payload_type,
        contiguous: rewrite.contiguous,
    }
}
