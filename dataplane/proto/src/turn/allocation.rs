//! One allocation: whose it is, until when, and which of our addresses it may talk with.

use std::net::{IpAddr, SocketAddr};

use ringway_wire::stun::TransactionId;

use super::Client;
use super::credentials::LongTermKey;

/// Peers of one allocation: each is one of our own media addresses.
pub(super) const MAX_PEERS: usize = 16;

const NS_PER_S: u64 = 1_000_000_000;
/// RFC 8656 9: "the lifetime of a permission is [...] 300 seconds (= 5 minutes)".
const PERMISSION_NS: u64 = 300 * NS_PER_S;
/// RFC 8656 12: "channel bindings last for 10 minutes".
const CHANNEL_NS: u64 = 600 * NS_PER_S;

/// RFC 8656 7.2: the lifetime where the client asks for none or for less.
const DEFAULT_LIFETIME_S: u32 = 600;
/// RFC 8656 7.2: "It is RECOMMENDED that the server [...] use a maximum value of [...] 3600 seconds
/// (1 hour)".
const MAX_LIFETIME_S: u32 = 3600;

/// A client's relay.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Client,
    pub(super) username: Box<[u8]>,
    /// The part of the user name that allocations are counted by.
    pub(super) user: Box<[u8]>,
    pub(super) key: LongTermKey,
    /// What peers take for the client's address.
    pub(super) relayed: SocketAddr,
    /// Of the request that made it, should its answer be lost.
    pub(super) transaction: TransactionId,
    pub(super) lifetime_s: u32,
    pub(super) expires_ns: u64,
    permissions: Vec<(IpAddr, u64)>,
    peers: Vec<Peer>,
}

/// One of our addresses that the client talks with.
#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    channel: Option<(u16, u64)>,
    owner: Option<u16>,
}

/// Who asks for an allocation.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) client: Client,
    pub(super) username: &'a [u8],
    pub(super) user: &'a [u8],
    pub(super) key: LongTermKey,
    pub(super) transaction: TransactionId,
    pub(super) lifetime_s: Option<u32>,
}

impl Allocation {
    pub(super) fn new(now_ns: u64, request: &Request<'_>, relayed: SocketAddr) -> Self {
        let mut allocation = Self {
            client: request.client,
            username: request.username.into(),
            user: request.user.into(),
            key: request.key.clone(),
            relayed,
            transaction: request.transaction,
            lifetime_s: 0,
            expires_ns: 0,
            permissions: Vec::new(),
            peers: Vec::new(),
        };
        allocation.refresh(now_ns, request.lifetime_s);
        allocation
    }

    /// Prolongs it; not for a lifetime of 0, which ends it.
    pub(super) fn refresh(&mut self, now_ns: u64, wanted_s: Option<u32>) {
        let wanted_s = wanted_s.unwrap_or(DEFAULT_LIFETIME_S);
        self.lifetime_s = wanted_s.clamp(DEFAULT_LIFETIME_S, MAX_LIFETIME_S);
        self.expires_ns = now_ns + u64::from(self.lifetime_s) * NS_PER_S;
    }

    /// Lets packets pass from and to an address; `false`: there is no more room.
    pub(super) fn permit(&mut self, now_ns: u64, ip: IpAddr) -> bool {
        let until = now_ns + PERMISSION_NS;
        if let Some(known) = self.permissions.iter_mut().find(|known| known.0 == ip) {
            known.1 = until;
            return true;
        }
        if self.permissions.len() >= MAX_PEERS {
            self.permissions.retain(|known| known.1 > now_ns);
        }
        if self.permissions.len() >= MAX_PEERS {
            return false;
        }
        self.permissions.push((ip, until));
        true
    }

    /// Whether packets may pass.
    pub(super) fn permits(&self, now_ns: u64, ip: IpAddr) -> bool {
        self.permissions.iter().any(|(known, until)| *known == ip && *until > now_ns)
    }

    /// The number of a peer, which it keeps; `None`: there is no more room.
    pub(super) fn peer(&mut self, address: SocketAddr) -> Option<u8> {
        let known = self.peers.iter().position(|peer| peer.address == address);
        let at = known.unwrap_or(self.peers.len());
        if at == MAX_PEERS {
            return None;
        }
        if known.is_none() {
            self.peers.push(Peer { address, channel: None, owner: None });
        }
        u8::try_from(at).ok()
    }

    /// Binds a channel to a peer, or prolongs that. `None` when channel or peer are bound already,
    /// but not to each other.
    pub(super) fn bind(&mut self, now_ns: u64, channel: u16, peer: u8) -> Option<()> {
        let conflicts = |at: usize, bound: &Peer| {
            let live = bound.channel.filter(|(_, until)| *until > now_ns);
            live.is_some_and(|(number, _)| (at == usize::from(peer)) != (number == channel))
        };
        if self.peers.iter().enumerate().any(|(at, bound)| conflicts(at, bound)) {
            return None;
        }
        // A binding that has run out gives its number away.
        for other in &mut self.peers {
            other.channel = other.channel.filter(|(number, _)| *number != channel);
        }
        self.peers.get_mut(usize::from(peer))?.channel = Some((channel, now_ns + CHANNEL_NS));
        Some(())
    }

    /// The peer behind a channel.
    pub(super) fn peer_of_channel(&self, now_ns: u64, channel: u16) -> Option<u8> {
        let bound = |peer: &Peer| {
            peer.channel.is_some_and(|(number, until)| number == channel && until > now_ns)
        };
        self.peers.iter().position(bound).and_then(|at| u8::try_from(at).ok())
    }

    /// The channel of a peer.
    pub(super) fn channel(&self, now_ns: u64, peer: u8) -> Option<u16> {
        let (channel, until) = self.peers.get(usize::from(peer))?.channel?;
        (until > now_ns).then_some(channel)
    }

    /// The address of a peer.
    pub(super) fn address(&self, peer: u8) -> Option<SocketAddr> {
        self.peers.get(usize::from(peer)).map(|peer| peer.address)
    }

    /// How many peers there are: their numbers are below that.
    pub(super) fn peers(&self) -> u8 {
        self.peers.len() as u8
    }

    /// The caller's note about a peer.
    pub(super) fn owner(&mut self, peer: u8) -> Option<&mut Option<u16>> {
        self.peers.get_mut(usize::from(peer)).map(|peer| &mut peer.owner)
    }
}
