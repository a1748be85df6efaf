//! A home: the input half of a forward, on the shard that owns its sockets, and the register of its
//! destinations on all shards.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ringway_abi::message::{
    Bound, DestinationKey, DestinationSpec, ForwardSpec, InputPolicy, SourcePolicy,
};
use ringway_sfu::admission::{Origin, Policy};
use ringway_sfu::input::Input;
use ringway_sfu::report::Reported;

use crate::egress::SocketId;
use crate::handoff::Cname;
use crate::shard::canonical;
use crate::slab::SlotId;

/// A socket of a forward.
#[derive(Debug)]
pub struct Port<H> {
    /// Its name on this shard.
    pub id: SocketId,
    /// What another shard needs to send from it.
    pub handle: H,
}

/// A destination as its home knows it, whichever shard serves it.
#[derive(Debug)]
pub struct Registered {
    /// As the control plane asked.
    pub spec: DestinationSpec,
    /// Its record in the pages of shard `spec.shard`; `None` until that shard has answered.
    pub slot: Option<u32>,
    /// What it last reported.
    pub reported: Option<Reported>,
}

/// Another shard that serves destinations of this forward.
#[derive(Clone, Copy, Debug)]
pub struct Remote {
    /// Which shard.
    pub shard: u16,
    /// Its branch.
    pub branch: SlotId,
    /// Packets that the lane to it had no room for and that it has not been told of.
    pub untold_drops: u64,
}

/// The input half of a forward.
#[derive(Debug)]
pub struct Home<H> {
    /// As the control plane asked, with the real ports.
    pub spec: ForwardSpec,
    /// Where it receives.
    pub bound: Bound,
    /// RTP socket.
    pub rtp: Port<H>,
    /// RTCP socket; `None` when RTCP shares the RTP socket.
    pub rtcp: Option<Port<H>>,
    /// Who sends and what came.
    pub input: Input,
    /// The branch on this shard, if it serves destinations itself.
    pub branch: Option<SlotId>,
    /// The other shards that serve destinations.
    pub remotes: Vec<Remote>,
    /// All destinations.
    pub registered: HashMap<DestinationKey, Registered>,
    /// Whose RTCP comes from this address.
    pub by_address: HashMap<SocketAddr, DestinationKey>,
    /// Our SSRC in reports to the source.
    pub ssrc: u32,
    /// Our name in reports to the source.
    pub cname: Cname,
    /// When the source was last asked for a key frame, ns.
    pub asked_key_frame_ns: u64,
    /// Number of the last FIR sent (RFC 5104 4.3.1).
    pub fir_number: u8,
}

impl<H> Home<H> {
    /// Whether RTCP shares the RTP port.
    pub fn mux(&self) -> bool {
        self.rtcp.is_none()
    }

    /// The socket RTCP leaves from.
    pub fn rtcp_socket(&self) -> SocketId {
        self.rtcp.as_ref().map_or(self.rtp.id, |port| port.id)
    }

    /// Whether the sockets are IPv6.
    pub fn ipv6(&self) -> bool {
        self.bound.rtp.is_ipv6()
    }

    /// Whether the forward's sockets can send to `address`.
    pub fn reaches(&self, address: SocketAddr) -> bool {
        match (self.bound.rtp.ip(), address) {
            (IpAddr::V4(_), SocketAddr::V4(_)) => true,
            (IpAddr::V6(_), SocketAddr::V6(_)) => true,
            // Only a socket bound to the unspecified address speaks both.
            (IpAddr::V6(ip), SocketAddr::V4(_)) => ip == Ipv6Addr::UNSPECIFIED,
            (IpAddr::V4(_), SocketAddr::V6(_)) => false,
        }
    }

    /// Puts a destination into the register.
    pub fn register(&mut self, spec: DestinationSpec, slot: Option<u32>) {
        let reported = self.unregister(spec.key).and_then(|before| before.reported);
        self.by_address.insert(canonical(spec.rtp), spec.key);
        self.by_address.insert(canonical(spec.rtcp), spec.key);
        self.registered.insert(spec.key, Registered { spec, slot, reported });
    }

    /// Takes a destination out of the register.
    pub fn unregister(&mut self, key: DestinationKey) -> Option<Registered> {
        let registered = self.registered.remove(&key)?;
        for address in [registered.spec.rtp, registered.spec.rtcp].map(canonical) {
            // Another destination may have taken the address over.
            if self.by_address.get(&address) == Some(&key) {
                self.by_address.remove(&address);
            }
        }
        Some(registered)
    }

    /// The other shard's branch, if it serves destinations.
    pub fn remote(&self, shard: u16) -> Option<&Remote> {
        self.remotes.iter().find(|remote| remote.shard == shard)
    }
}

/// The contract's policy as the forwarding logic has it.
pub fn policy(policy: InputPolicy) -> Policy {
    let origin = match policy.source {
        SourcePolicy::Any => Origin::Any,
        SourcePolicy::Latch { silence_ms } => {
            Origin::Latch { silence_ns: u64::from(silence_ms) * 1_000_000 }
        }
        SourcePolicy::Address(ip) => Origin::Address(ip.to_canonical()),
        SourcePolicy::Exact(address) => {
            Origin::Exact(SocketAddr::new(address.ip().to_canonical(), address.port()))
        }
    };
    Policy { origin, ssrc: policy.ssrc }
}
