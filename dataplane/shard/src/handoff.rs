//! Lanes between the shards of one data plane: packet references out, buffers back, orders both
//! ways.
//!
//! A forward's home shard receives; the shards that serve its other destinations get references to
//! the packets, send straight from the home's memory and give the buffers back. Nothing is copied
//! and no count is atomic: only the home counts its buffers, one for each shard it lent a packet
//! to.
//!
//! - packets: lossy. Full means the other shard is behind: dropped and counted, the home goes on.
//!   It tells the other shard later how many, for the figures of the destinations there.
//! - returns: as many slots as the home has buffers, so it can never be full.
//! - orders: RTCP among them may be lost; the rest must not, and what does not fit waits in the
//!   sender's backlog for the next turn.

use std::collections::VecDeque;

use ringway_abi::message::{DestinationKey, DestinationSpec, ForwardKey, Refusal};
use ringway_sfu::report::SourceReport;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::call::ShardLane;
use crate::egress::Outgoing;
use crate::slab::SlotId;

/// Packet references that may be under way between two shards. More lets a slow shard fall farther
/// behind before loss tells it; fewer loses bursts. One turn's receive budget times sixteen.
const PACKETS: usize = 4096;
/// Orders under way; commands are rare and the backlog takes what does not fit.
const ORDERS: usize = 256;

/// A reference to an RTP packet in the home's memory.
#[derive(Clone, Copy, Debug)]
pub struct Loan {
    /// The branch that sends it on.
    pub branch: SlotId,
    /// The buffer to give back.
    pub buffer: u32,
    /// The packet, in the home's pool.
    pub packet: Outgoing,
}

/// Text of at most 255 octets (RFC 3550 6.5), in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cname {
    len: u8,
    octets: [u8; 255],
}

impl Cname {
    /// The name; what is longer than 255 octets is cut.
    pub fn new(name: &[u8]) -> Self {
        let len = name.len().min(255);
        let mut octets = [0; 255];
        octets[..len].copy_from_slice(&name[..len]);
        Self { len: len as u8, octets }
    }

    /// Its octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Cname {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// RTCP of the source on its way to destinations.
#[derive(Clone, Copy, Debug)]
pub struct Downstream {
    /// The sender report, if there was one.
    pub report: Option<SourceReport>,
    /// SSRC that speaks.
    pub ssrc: u32,
    /// The source's name, if it told one.
    pub cname: Option<Cname>,
    /// The source says goodbye.
    pub bye: bool,
}

/// What shards tell each other about forwards.
#[derive(Debug)]
pub enum Order<H> {
    /// Home to server: serve this destination.
    Add {
        /// The control plane's request.
        request: u64,
        /// Which forward.
        forward: ForwardKey,
        /// The destination.
        spec: DestinationSpec,
        /// Socket to send RTP from.
        rtp: H,
        /// Socket to send RTCP from; `None` is the RTP socket.
        rtcp: Option<H>,
        /// Whether the sockets are IPv6.
        ipv6: bool,
    },
    /// Server to home: how that ended.
    Added {
        /// The control plane's request.
        request: u64,
        /// Which forward.
        forward: ForwardKey,
        /// Which destination.
        destination: DestinationKey,
        /// The branch and the destination's record, or why not.
        result: Result<(SlotId, u32), Refusal>,
    },
    /// Home to server: stop serving this destination.
    Remove {
        /// Which forward.
        forward: ForwardKey,
        /// Which destination.
        destination: DestinationKey,
    },
    /// Home to server: the forward is gone.
    RemoveAll {
        /// Which forward.
        forward: ForwardKey,
    },
    /// Home to server: RTCP of the source.
    Downstream {
        /// The branch.
        branch: SlotId,
        /// What the source said.
        downstream: Downstream,
    },
    /// Home to server: so many packets for all destinations of the branch did not fit into the
    /// lane.
    Dropped {
        /// The branch.
        branch: SlotId,
        /// Packets.
        packets: u64,
    },
    /// Home to server: a destination's receiver report.
    Reported {
        /// The branch.
        branch: SlotId,
        /// Which destination.
        destination: DestinationKey,
        /// What it said of our stream.
        block: ringway_wire::rtcp::ReportBlock,
    },
}

/// One shard's ends of the lanes to and from one other shard.
#[derive(Debug)]
pub struct Peer<H> {
    packets_out: Producer<Loan>,
    packets_in: Consumer<Loan>,
    returns_out: Producer<u32>,
    returns_in: Consumer<u32>,
    orders_out: Producer<Order<H>>,
    orders_in: Consumer<Order<H>>,
    backlog: VecDeque<Order<H>>,
    /// Loans that have not come back, and how many there may be.
    lent: usize,
    most_lent: usize,
    touched: bool,
    /// The lanes between the calls of both, until those take them.
    calls: Option<ShardLane>,
}

impl<H> Peer<H> {
    /// The ends of a pair of shards; `buffers` is how many receive buffers each has.
    pub fn pair(buffers: usize) -> (Self, Self) {
        let (a_packets, b_packets_in) = RingBuffer::new(PACKETS);
        let (b_packets, a_packets_in) = RingBuffer::new(PACKETS);
        let (a_returns, b_returns_in) = RingBuffer::new(buffers);
        let (b_returns, a_returns_in) = RingBuffer::new(buffers);
        let (a_orders, b_orders_in) = RingBuffer::new(ORDERS);
        let (b_orders, a_orders_in) = RingBuffer::new(ORDERS);
        let end = |packets_out, packets_in, returns_out, returns_in, orders_out, orders_in| Self {
            packets_out,
            packets_in,
            returns_out,
            returns_in,
            orders_out,
            orders_in,
            backlog: VecDeque::new(),
            lent: 0,
            // A shard that stands still must not sit on all buffers of one that works.
            most_lent: (buffers / 2).max(1),
            touched: false,
            calls: None,
        };
        let (a_calls, b_calls) = ShardLane::pair();
        let a = end(a_packets, a_packets_in, a_returns, a_returns_in, a_orders, a_orders_in);
        let b = end(b_packets, b_packets_in, b_returns, b_returns_in, b_orders, b_orders_in);
        (Self { calls: Some(a_calls), ..a }, Self { calls: Some(b_calls), ..b })
    }

    /// The lanes of calls, which only one can have.
    pub(crate) fn take_calls(&mut self) -> Option<ShardLane> {
        self.calls.take()
    }

    /// Lends a packet; `false` when the other shard is too far behind.
    pub fn lend(&mut self, loan: Loan) -> bool {
        self.touched = true;
        let lent = self.lent < self.most_lent && self.packets_out.push(loan).is_ok();
        self.lent += usize::from(lent);
        lent
    }

    /// A packet that the other shard lent.
    pub fn borrowed(&mut self) -> Option<Loan> {
        self.packets_in.pop().ok()
    }

    /// Gives a buffer back to the other shard.
    pub fn give_back(&mut self, buffer: u32) {
        self.touched = true;
        let given = self.returns_out.push(buffer).is_ok();
        assert!(given, "more buffers came back to a shard than it has");
    }

    /// A buffer that came back.
    pub fn returned(&mut self) -> Option<u32> {
        let buffer = self.returns_in.pop().ok()?;
        self.lent = self.lent.saturating_sub(1);
        Some(buffer)
    }

    /// Sends an order, at the latest when the other shard has room again.
    pub fn order(&mut self, order: Order<H>) {
        self.backlog.push_back(order);
        self.push_backlog();
    }

    /// Sends an order that may be lost; `false`: it was, as the other shard is far behind.
    pub fn order_lossy(&mut self, order: Order<H>) -> bool {
        self.touched = true;
        self.backlog.is_empty() && self.orders_out.push(order).is_ok()
    }

    /// Sends what waits in the backlog as far as there is room.
    pub fn push_backlog(&mut self) {
        while let Some(order) = self.backlog.pop_front() {
            self.touched = true;
            if let Err(rtrb::PushError::Full(order)) = self.orders_out.push(order) {
                self.backlog.push_front(order);
                return;
            }
        }
    }

    /// An order of the other shard.
    pub fn ordered(&mut self) -> Option<Order<H>> {
        self.orders_in.pop().ok()
    }

    /// Whether anything waits to be read, or to be written.
    pub fn is_idle(&self) -> bool {
        self.packets_in.is_empty()
            && self.returns_in.is_empty()
            && self.orders_in.is_empty()
            && self.backlog.is_empty()
    }

    /// Whether anything was written since the last call: the other shard may need waking.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }
}

/// All shards' ends: `mesh(n)[i][j]` is what shard `i` holds toward shard `j`; `None` for itself.
pub fn mesh<H>(shards: usize, buffers: usize) -> Vec<Vec<Option<Peer<H>>>> {
    let mut ends: Vec<Vec<Option<Peer<H>>>> = Vec::with_capacity(shards);
    for shard in 0..shards {
        let mut own = Vec::with_capacity(shards);
        for earlier in &mut ends {
            let (near, far) = Peer::pair(buffers);
            earlier[shard] = Some(near);
            own.push(Some(far));
        }
        own.resize_with(shards, || None);
        ends.push(own);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::NIL;
    use ringway_sfu::input::Mark;

    #[test]
    fn orders_survive_a_full_lane() {
        let (mut a, mut b) = Peer::<()>::pair(4);
        for forward in 0..600 {
            a.order(Order::RemoveAll { forward });
        }
        assert!(!a.is_idle());
        let mut expect = 0;
        while expect < 600 {
            while let Some(Order::RemoveAll { forward }) = b.ordered() {
                assert_eq!(forward, expect);
                expect += 1;
            }
            a.push_backlog();
        }
        assert!(a.is_idle() && b.is_idle());
        assert!(a.take_touched());
        assert!(!a.take_touched());
    }

    #[test]
    fn a_shard_that_stands_still_holds_half_of_the_buffers_at_most() {
        let (mut home, mut other) = Peer::<()>::pair(8);
        let mark = Mark { epoch: 1, ssrc: 1, sequence: 0, timestamp: 0, now_ns: 0, clock_hz: None };
        let branch = SlotId { slot: 0, generation: 1 };
        let packet = Outgoing {
            pool: 0,
            offset: 0,
            len: 12,
            head: [0; 12],
            octets: 0,
            mark,
            kernel_ns: 0,
            next: NIL,
        };
        let loan = |buffer| Loan { branch, buffer, packet };
        let lent: Vec<bool> = (0..6).map(|buffer| home.lend(loan(buffer))).collect();
        assert_eq!(lent, [true, true, true, true, false, false]);
        // Taken is not yet given back.
        let taken = other.borrowed().expect("a loan");
        assert!(!home.lend(loan(6)));
        other.give_back(taken.buffer);
        assert_eq!(home.returned(), Some(0));
        assert!(home.lend(loan(7)) && !home.lend(loan(0)));
    }

    #[test]
    fn rtcp_for_a_shard_that_stands_still_is_lost_and_other_orders_are_not() {
        let (mut home, mut other) = Peer::<()>::pair(8);
        let downstream = Downstream { report: None, ssrc: 1, cname: None, bye: false };
        let branch = SlotId { slot: 0, generation: 1 };
        for _ in 0..1000 {
            home.order_lossy(Order::Downstream { branch, downstream });
        }
        home.order(Order::RemoveAll { forward: 7 });
        home.order_lossy(Order::Downstream { branch, downstream });
        let mut reports = 0;
        let mut removals = 0;
        for _ in 0..2 {
            while let Some(order) = other.ordered() {
                match order {
                    Order::RemoveAll { forward: 7 } => removals += 1,
                    _ => reports += 1,
                }
            }
            home.push_backlog();
        }
        assert_eq!((reports, removals), (ORDERS, 1));
        assert!(home.is_idle());
    }

    #[test]
    fn a_mesh_joins_every_pair_once() {
        let mut mesh = mesh::<()>(3, 4);
        mesh[0][2].as_mut().expect("a peer").give_back(7);
        assert_eq!(mesh[2][0].as_mut().expect("a peer").returned(), Some(7));
        assert!(mesh[1][1].is_none());
        assert!(mesh[2][1].as_mut().expect("a peer").returned().is_none());
    }
}
