//! The sending half of the kernel: runs become datagrams.
//!
//! Segments are cut as `UDP_SEGMENT` cuts them: the pieces of a run are one stretch of octets, cut
//! every `segment` octets; the last may be shorter.

use std::net::SocketAddr;

use ringway_shard::egress::{Batch, Failure, Run, SCRATCH};

use crate::network::{Network, Packet};
use crate::pool::Pool;
use crate::random::Random;
use crate::sockets::{Host, Table};

/// A datagram that a shard handed to the kernel.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When, ns.
    pub at_ns: u64,
    /// Which shard.
    pub shard: usize,
    /// Which batch of that shard, counted up.
    pub batch: u64,
    /// Which run of the batch.
    pub run: usize,
    /// The datagram as it left.
    pub packet: Packet,
    /// The kernel refused it.
    pub failed: bool,
}

/// Runs that the kernel refuses.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How many of a thousand runs.
    pub permille: u64,
    /// With which error.
    pub errno: i32,
    /// Chooses them.
    pub random: Random,
}

/// All that sending needs.
pub(crate) struct Wire<'a> {
    pub(crate) now_ns: u64,
    pub(crate) shard: usize,
    pub(crate) pools: &'a [Pool],
    pub(crate) host: &'a Host,
    pub(crate) network: &'a mut Network,
    pub(crate) faults: &'a mut Faults,
    pub(crate) log: &'a mut Vec<Sent>,
}

impl Wire<'_> {
    /// Sends a batch and clears it.
    pub(crate) fn send(
        &mut self,
        number: u64,
        table: &Table,
        batch: &mut Batch,
        failures: &mut Vec<Failure>,
    ) {
        for (index, run) in batch.runs().iter().enumerate() {
            let socket = table.address(run.socket).expect("runs leave from open sockets");
            let to = destination(socket, run.to.socket_addr());
            let from = self.host.sender(socket, to);
            let failed = self.faults.random.chance(self.faults.permille);
            if failed {
                let (tag, packets, errno) = (run.tag, run.packets, self.faults.errno);
                failures.push(Failure { tag, packets, bytes: run.bytes, errno });
            }
            for bytes in self.datagrams(batch, run) {
                let packet = Packet { from, to, bytes };
                if !failed {
                    self.network.send(self.now_ns, packet.clone());
                }
                let (at_ns, shard, batch) = (self.now_ns, self.shard, number);
                self.log.push(Sent { at_ns, shard, batch, run: index, packet, failed });
            }
        }
        batch.clear();
    }

    fn datagrams(&self, batch: &Batch, run: &Run) -> Vec<Vec<u8>> {
        let mut octets = Vec::new();
        for piece in &batch.pieces()[run.first as usize..run.end as usize] {
            octets.extend_from_slice(match piece.pool {
                SCRATCH => &batch.scratch()[piece.offset as usize..][..piece.len as usize],
                pool => self.pools[usize::from(pool)].octets(piece.offset, piece.len),
            });
        }
        let segment = match run.segment {
            0 => octets.len(),
            segment => usize::from(segment),
        };
        let datagrams: Vec<Vec<u8>> = octets.chunks(segment).map(<[u8]>::to_vec).collect();
        assert_eq!(datagrams.len(), usize::from(run.packets), "packets of {run:?}");
        datagrams
    }
}

/// The address as the peer knows it; the family must be one that the socket takes.
fn destination(socket: SocketAddr, to: SocketAddr) -> SocketAddr {
    assert_eq!(socket.is_ipv6(), to.is_ipv6(), "{to} from a socket of {socket}");
    let canonical = SocketAddr::new(to.ip().to_canonical(), to.port());
    assert!(
        canonical.is_ipv6() == to.is_ipv6() || socket.ip().is_unspecified(),
        "only a socket of [::] speaks IPv4, not {socket}"
    );
    canonical
}
