//! Peers whose address changed without their knowledge: a NAT gave them another port. Their media
//! is known by its seal.
//!
//! Anybody can send datagrams that look like it, and each costs a look at the connections of its
//! host, so there is a bound on those.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ringway_abi::counters::Counter;
use ringway_proto::ice::{Heard, Path, PathProtocol};
use ringway_proto::transport::Received;
use ringway_wire::sniff::Protocol;

use super::Calls;
use crate::clock::Now;
use crate::shard::Counters;
use crate::slab::SlotId;

/// Datagrams from unknown addresses that are looked at between two rounds of upkeep, 20 ms. Raised:
/// a flood of them takes more of the shard; lowered: where a whole office moves at once, some
/// come back only with their checks.
const LOOKS: u32 = 100;
/// Seals that are tried for one of them. Several connections of a host can use one SSRC: browsers
/// report with 1 where they send nothing.
const TRIES: usize = 8;
/// Connections of a host that are looked through for one of them.
const CONNECTIONS: usize = 256;

/// Which connections a host has.
#[derive(Debug, Default)]
pub(super) struct Movers {
    hosts: BTreeSet<(IpAddr, u64)>,
    looks: u32,
}

impl Movers {
    /// A connection has a path to `host`.
    pub(super) fn add(&mut self, host: IpAddr, id: SlotId) {
        self.hosts.insert((host, id.bits()));
    }

    /// It has none any more.
    pub(super) fn remove(&mut self, host: IpAddr, id: SlotId) {
        self.hosts.remove(&(host, id.bits()));
    }

    /// Allows as many looks as before.
    pub(super) fn renew(&mut self) {
        self.looks = 0;
    }

    fn of(&self, host: IpAddr) -> impl Iterator<Item = SlotId> + '_ {
        let range = (host, 0)..=(host, u64::MAX);
        self.hosts.range(range).take(CONNECTIONS).map(|(_, id)| SlotId::from_bits(*id))
    }
}

impl Calls {
    /// Takes a datagram that came by an unknown path; what is nobody's is counted.
    pub(super) fn handle_stranger(
        &mut self,
        now: Now,
        path: Path,
        protocol: Protocol,
        kernel_ns: u64,
        bytes: &[u8],
        counters: &mut Counters,
    ) {
        match self.take_moved(now, path, protocol, bytes) {
            Some((id, received, heard)) => {
                self.learn(id, heard);
                self.mark_dirty(id);
                self.handle_received(now, id, kernel_ns, received, None, counters);
            }
            None => counters.add(Counter::DropSource, 1),
        }
    }

    fn take_moved(
        &mut self,
        now: Now,
        path: Path,
        protocol: Protocol,
        bytes: &[u8],
    ) -> Option<(SlotId, Received, Heard)> {
        let at = match protocol {
            Protocol::Rtp => 8,
            Protocol::Rtcp => 4,
            _ => return None,
        };
        if path.protocol != PathProtocol::Udp || self.movers.looks >= LOOKS {
            return None;
        }
        let ssrc = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
        self.movers.looks += 1;
        let mut tries = 0;
        for id in self.movers.of(path.remote.ip()) {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            if tries == TRIES || !session.transport.has_heard(ssrc) {
                continue;
            }
            tries += 1;
            let datagram = self.datagram.get_mut(..bytes.len())?;
            datagram.copy_from_slice(bytes);
            let moved = session.transport.handle_moved(now.mono_ns, path, datagram);
            if let Some((received, heard)) = moved {
                return Some((id, received, heard));
            }
        }
        None
    }

    /// Keeps the hosts up with what a transport knows: `path` leads to it, or no longer does.
    pub(super) fn note_host(&mut self, id: SlotId, path: SocketAddr) {
        let host = path.ip();
        let known = self.sessions.get(id).is_some_and(|session| {
            session.transport.known_paths().any(|path| path.remote.ip() == host)
        });
        match known {
            true => self.movers.add(host, id),
            false => self.movers.remove(host, id),
        }
    }
}
