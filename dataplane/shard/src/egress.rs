//! Egress: the packets of a turn become runs.
//!
//! All packets that a turn brought for one branch are cut into runs once: equal lengths, the last
//! may be shorter, as the kernel's segmentation offload wants them. Destinations that take packets
//! as they came share one list of pieces, each a whole packet in the receive buffer; a destination
//! with a rewrite gets its own twelve octets per packet from scratch memory, and the rest of the
//! packet from the receive buffer all the same. The payload is never copied.

use ringway_abi::counters::{Counter, run_counter};
use ringway_sfu::input::Mark;
pub use ringway_uring::{
    Batch, Failure, MAX_RUN_BYTES, MAX_SEGMENTS, Piece, Run, SCRATCH, SocketId, Target,
};

use crate::branch::{Branch, NIL, Served};
use crate::feedback;
use crate::handoff::Downstream;
use crate::shard::Counters;
use crate::slab::{Slab, SlotId};

/// Tag of a run that carries RTCP to the destination in the lower bits.
pub const TAG_RTCP: u32 = 1 << 31;
/// Tag of a run that goes to no destination.
pub const TAG_NONE: u32 = u32::MAX;

/// Octets of the header that a rewrite replaces.
const HEAD: u32 = 12;

/// A packet of this turn on its way to one branch.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing {
    /// Whose memory it is in.
    pub pool: u16,
    /// Where in that memory.
    pub offset: u32,
    /// Its length, bytes.
    pub len: u32,
    /// Its first twelve octets.
    pub head: [u8; 12],
    /// Payload octets.
    pub octets: u32,
    /// What destinations need to know.
    pub mark: Mark,
    /// The kernel's receive timestamp, ns.
    pub kernel_ns: u64,
    /// The branch's next packet.
    pub next: u32,
}

/// A cut of a branch's packets: indices into the gathered packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    first: usize,
    end: usize,
    segment: u16,
    bytes: u32,
}

/// A packet's delivery that the next [`Egress::take_deliveries`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The kernel's receive timestamp, ns.
    pub kernel_ns: u64,
    /// How many destinations it was sent to.
    pub destinations: u32,
}

/// A small datagram of our own making.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Socket it leaves from.
    pub socket: SocketId,
    /// Where it goes.
    pub to: Target,
    /// Its octets.
    pub octets: [u8; Own::MAX],
    /// How many of them.
    pub len: u8,
}

/// The packets of a turn and how far they have become runs.
#[derive(Debug)]
pub struct Egress {
    packets: Vec<Outgoing>,
    queue: Vec<SlotId>,
    /// Destinations of the queued branches: so many sends at least.
    fan_out: usize,
    own: Vec<Own>,
    /// Which branch of the queue is being sent.
    at: usize,
    /// Which of its destinations comes next, and whether its packets are gathered and cut.
    destination: usize,
    /// Which of its runs comes next, if it gets them in several batches.
    next_cut: usize,
    planned: bool,
    gathered: Vec<Outgoing>,
    cuts: Vec<Cut>,
    gathered_bytes: u64,
    gathered_octets: u64,
    deliveries: Vec<Delivery>,
}

impl Egress {
    /// Room for `packets` packets a turn and `branches` branches.
    pub fn new(packets: usize, branches: usize) -> Self {
        Self {
            packets: Vec::with_capacity(packets),
            queue: Vec::with_capacity(branches),
            fan_out: 0,
            own: Vec::with_capacity(64),
            at: 0,
            destination: 0,
            next_cut: 0,
            planned: false,
            gathered: Vec::with_capacity(packets),
            cuts: Vec::with_capacity(packets),
            gathered_bytes: 0,
            gathered_octets: 0,
            deliveries: Vec::with_capacity(packets * 4),
        }
    }

    /// Whether another packet fits into this turn.
    pub fn has_room(&self) -> bool {
        self.packets.len() < self.packets.capacity()
    }

    /// How many destinations wait for packets of this turn: so many sends at least.
    pub fn fan_out(&self) -> usize {
        self.fan_out
    }

    /// Queues a packet for a branch.
    pub fn push(&mut self, id: SlotId, branch: &mut Branch, mut packet: Outgoing) {
        assert!(self.has_room(), "a turn brought more packets than it has room for");
        packet.next = NIL;
        let index = self.packets.len() as u32;
        match branch.tail {
            NIL => branch.head = index,
            tail => self.packets[tail as usize].next = index,
        }
        branch.tail = index;
        self.packets.push(packet);
        self.queue_branch(id, branch);
    }

    /// Queues RTCP of the source for a branch; a newer report replaces one that still waits.
    pub fn push_downstream(&mut self, id: SlotId, branch: &mut Branch, downstream: Downstream) {
        branch.downstream = Some(downstream);
        self.queue_branch(id, branch);
    }

    /// Queues a datagram of our own; `false` when there are too many this turn.
    pub fn push_own(&mut self, own: Own) -> bool {
        let room = self.own.len() < self.own.capacity();
        if room {
            self.own.push(own);
        }
        room
    }

    fn queue_branch(&mut self, id: SlotId, branch: &mut Branch) {
        if !branch.queued {
            branch.queued = true;
            self.fan_out += branch.served.len();
            self.queue.push(id);
        }
    }

    /// Fills `batch`. `true`: send it and call again, there is more. After `false` (send that batch
    /// too) the turn's packets are done with and their buffers may be released.
    pub fn poll_transmit(
        &mut self,
        now_ns: u64,
        branches: &mut Slab<Branch>,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        while let Some(own) = self.own.last() {
            if !push_datagram(batch, own.socket, own.to, own.octets(), TAG_NONE) {
                return true;
            }
            count_run(counters, 1, own.len.into(), 1);
            counters.add(Counter::RtcpSent, 1);
            self.own.pop();
        }
        while let Some(&id) = self.queue.get(self.at) {
            let Some(branch) = branches.get_mut(id) else {
                self.next_branch();
                continue;
            };
            if !self.planned {
                self.plan(branch);
            }
            if self.send_branch(now_ns, branch, batch, counters) {
                return true;
            }
            branch.head = NIL;
            branch.tail = NIL;
            branch.downstream = None;
            branch.queued = false;
            self.next_branch();
        }
        self.packets.clear();
        self.queue.clear();
        self.fan_out = 0;
        self.at = 0;
        false
    }

    /// What the batches since the last call delivered, for the latency histogram.
    pub fn take_deliveries(&mut self, mut record: impl FnMut(Delivery)) {
        for delivery in self.deliveries.drain(..) {
            record(delivery);
        }
    }

    fn next_branch(&mut self) {
        self.at += 1;
        self.destination = 0;
        self.next_cut = 0;
        self.planned = false;
    }

    /// Gathers a branch's packets and cuts them into runs.
    fn plan(&mut self, branch: &Branch) {
        self.gathered.clear();
        let mut at = branch.head;
        while let Some(packet) = self.packets.get(at as usize) {
            self.gathered.push(*packet);
            at = packet.next;
        }
        self.gathered_bytes = self.gathered.iter().map(|p| u64::from(p.len)).sum();
        self.gathered_octets = self.gathered.iter().map(|p| u64::from(p.octets)).sum();
        cut(&self.gathered, &mut self.cuts);
        self.planned = true;
    }

    /// Sends the gathered packets to the branch's destinations from the current one on. `true` when
    /// the batch is full.
    fn send_branch(
        &mut self,
        now_ns: u64,
        branch: &mut Branch,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        let mut whole = 0;
        let mut shared = None;
        let mut full = false;
        while self.destination < branch.served.len() {
            if self.next_cut == 0 && self.fits_whole(batch) {
                self.send_whole(branch, batch, &mut shared);
                send_downstream(now_ns, branch, self.destination, batch, counters);
                whole += 1;
            } else if self.next_cut == 0 && !batch.is_empty()
                || !self.send_part(now_ns, branch, batch, counters)
            {
                full = true;
                break;
            }
            self.destination += 1;
            self.next_cut = 0;
        }
        if whole > 0 && !self.gathered.is_empty() {
            for cut in &self.cuts {
                count_run(counters, cut.end - cut.first, cut.bytes.into(), whole.into());
            }
            self.deliver(whole);
        }
        full
    }

    /// Whether all that goes to one destination fits: at worst every packet is rewritten, and there
    /// is one datagram of RTCP.
    fn fits_whole(&self, batch: &Batch) -> bool {
        let packets = self.gathered.len();
        let scratch = packets * HEAD as usize + feedback::MAX_DOWNSTREAM;
        batch.has_room(self.cuts.len() + 1, packets * 2 + 1, scratch)
    }

    fn send_whole(&self, branch: &mut Branch, batch: &mut Batch, shared: &mut Option<u32>) {
        let rtp = branch.rtp;
        let served = &mut branch.served[self.destination];
        if served.needs_header() {
            for cut in &self.cuts {
                push_rewritten_run(batch, rtp, served, cut, &self.gathered);
            }
        } else {
            let base = *shared.get_or_insert_with(|| push_pieces(batch, &self.gathered));
            for cut in &self.cuts {
                push_run(batch, rtp, served, cut, base + cut.first as u32, 1);
            }
        }
        let counts = &mut served.state.counts;
        counts.packets += self.gathered.len() as u64;
        counts.bytes += self.gathered_bytes;
        counts.octets += self.gathered_octets;
    }

    /// Sends run by run to a destination whose share of the turn is more than an empty batch holds:
    /// packets whose lengths form no runs. `false` when some are left for the next batch.
    fn send_part(
        &mut self,
        now_ns: u64,
        branch: &mut Branch,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        let rtp = branch.rtp;
        let served = &mut branch.served[self.destination];
        while let Some(cut) = self.cuts.get(self.next_cut) {
            let packets = &self.gathered[cut.first..cut.end];
            if !batch.has_room(1, packets.len() * 2, packets.len() * HEAD as usize) {
                assert!(!batch.is_empty(), "a batch holds at least one run");
                return false;
            }
            if served.needs_header() {
                push_rewritten_run(batch, rtp, served, cut, &self.gathered);
            } else {
                let first = push_pieces(batch, packets);
                push_run(batch, rtp, served, cut, first, 1);
            }
            let counts = &mut served.state.counts;
            counts.packets += packets.len() as u64;
            counts.bytes += u64::from(cut.bytes);
            counts.octets += packets.iter().map(|packet| u64::from(packet.octets)).sum::<u64>();
            count_run(counters, packets.len(), cut.bytes.into(), 1);
            self.next_cut += 1;
        }
        if branch.downstream.is_some() && !batch.has_room(1, 1, feedback::MAX_DOWNSTREAM) {
            assert!(!batch.is_empty(), "a batch holds at least one report");
            return false;
        }
        send_downstream(now_ns, branch, self.destination, batch, counters);
        self.deliver(1);
        true
    }

    fn deliver(&mut self, destinations: u32) {
        for packet in &self.gathered {
            if self.deliveries.len() == self.deliveries.capacity() {
                // Only a turn of many full batches comes here; the histogram loses some, nothing
                // allocates.
                return;
            }
            self.deliveries.push(Delivery { kernel_ns: packet.kernel_ns, destinations });
        }
    }
}

impl Own {
    /// Octets of the longest one: a receiver report of one block and our name, 32 + 36.
    pub const MAX: usize = 80;

    /// A datagram of at most [`Own::MAX`] octets.
    pub fn new(socket: SocketId, to: Target, octets: &[u8]) -> Self {
        let mut own = Self { socket, to, octets: [0; Self::MAX], len: octets.len() as u8 };
        own.octets[..octets.len()].copy_from_slice(octets);
        own
    }

    fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

/// Cuts packets into runs: all of one length but the last, which may be shorter and ends the run.
fn cut(packets: &[Outgoing], cuts: &mut Vec<Cut>) {
    cuts.clear();
    let mut first = 0;
    while let Some(packet) = packets.get(first) {
        let segment = packet.len;
        let mut end = first + 1;
        let mut bytes = segment;
        while let Some(packet) = packets.get(end) {
            let fits = packet.len <= segment
                && end - first < MAX_SEGMENTS
                && bytes + packet.len <= MAX_RUN_BYTES;
            if !fits {
                break;
            }
            bytes += packet.len;
            end += 1;
            if packet.len < segment {
                break;
            }
        }
        let segment = if end - first > 1 { segment as u16 } else { 0 };
        cuts.push(Cut { first, end, segment, bytes });
        first = end;
    }
}

/// Queues a piece per packet, each a whole packet; the index of the first.
fn push_pieces(batch: &mut Batch, packets: &[Outgoing]) -> u32 {
    let base = batch.pieces().len() as u32;
    for packet in packets {
        batch.push_piece(Piece { pool: packet.pool, offset: packet.offset, len: packet.len });
    }
    base
}

fn push_rewritten_run(
    batch: &mut Batch,
    socket: SocketId,
    served: &mut Served,
    cut: &Cut,
    gathered: &[Outgoing],
) {
    let first = batch.pieces().len() as u32;
    for packet in &gathered[cut.first..cut.end] {
        let head = served.header_rewrite(&packet.mark).copy(&packet.head);
        let piece = batch.push_scratch(&head).expect("room was asked for");
        batch.push_piece(piece);
        // A packet without payload or extension is all head; a piece of nothing keeps two per
        // packet.
        batch.push_piece(Piece {
            pool: packet.pool,
            offset: packet.offset + HEAD,
            len: packet.len - HEAD,
        });
    }
    push_run(batch, socket, served, cut, first, 2);
}

fn push_run(
    batch: &mut Batch,
    socket: SocketId,
    served: &Served,
    cut: &Cut,
    first: u32,
    pieces_per_packet: u32,
) {
    let packets = (cut.end - cut.first) as u32;
    batch.push_run(Run {
        socket,
        to: served.rtp,
        first,
        end: first + packets * pieces_per_packet,
        segment: cut.segment,
        packets: packets as u16,
        bytes: cut.bytes,
        tag: served.slot,
    });
}

/// Queues the source's RTCP, if any waits, for one destination of a branch.
fn send_downstream(
    now_ns: u64,
    branch: &mut Branch,
    destination: usize,
    batch: &mut Batch,
    counters: &mut Counters,
) {
    let Some(downstream) = &branch.downstream else { return };
    let served = &mut branch.served[destination];
    let mut octets = [0; feedback::MAX_DOWNSTREAM];
    let len = feedback::write_downstream(&mut octets, downstream, &mut served.state, now_ns);
    if len > 0 {
        let socket = if served.mux { branch.rtp } else { branch.rtcp };
        push_datagram(batch, socket, served.rtcp, &octets[..len], served.slot | TAG_RTCP);
        served.state.counts.rtcp_packets += 1;
        count_run(counters, 1, len as u64, 1);
        counters.add(Counter::RtcpSent, 1);
    }
}

/// Queues a datagram from scratch memory; `false` when the batch is full.
pub(crate) fn push_datagram(
    batch: &mut Batch,
    socket: SocketId,
    to: Target,
    octets: &[u8],
    tag: u32,
) -> bool {
    if !batch.has_room(1, 1, octets.len()) {
        return false;
    }
    let Some(piece) = batch.push_scratch(octets) else { return false };
    let Some(first) = batch.push_piece(piece) else { return false };
    batch.push_run(Run {
        socket,
        to,
        first,
        end: first + 1,
        segment: 0,
        packets: 1,
        bytes: octets.len() as u32,
        tag,
    })
}

pub(crate) fn count_run(counters: &mut Counters, packets: usize, bytes: u64, times: u64) {
    counters.add(Counter::Sends, times);
    counters.add(run_counter(packets), times);
    counters.add(Counter::PacketsSent, packets as u64 * times);
    counters.add(Counter::BytesSent, bytes * times);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lengths: &[u32], expect: &[(usize, usize, u16)]) {
        let mark = Mark { epoch: 1, ssrc: 1, sequence: 0, timestamp: 0, now_ns: 0, clock_hz: None };
        let packets: Vec<Outgoing> = lengths
            .iter()
            .map(|&len| Outgoing {
                pool: 0,
                offset: 0,
                len,
                head: [0; 12],
                octets: 0,
                mark,
                kernel_ns: 0,
                next: NIL,
            })
            .collect();
        let mut cuts = Vec::new();
        cut(&packets, &mut cuts);
        let got: Vec<_> = cuts.iter().map(|cut| (cut.first, cut.end, cut.segment)).collect();
        assert_eq!(got, expect, "{lengths:?}");
    }

    #[test]
    fn cuts() {
        check(&[], &[]);
        check(&[100], &[(0, 1, 0)]);
        check(&[100, 100], &[(0, 2, 100)]);
        check(&[100, 100, 40], &[(0, 3, 100)]);
        check(&[100, 100, 40, 100], &[(0, 3, 100), (3, 4, 0)]);
        check(&[100, 100, 40, 40], &[(0, 3, 100), (3, 4, 0)]);
        check(&[40, 100, 100], &[(0, 1, 0), (1, 3, 100)]);
        check(&[160; 65], &[(0, 64, 160), (64, 65, 0)]);
        check(&[1400; 50], &[(0, 46, 1400), (46, 50, 1400)]);
    }
}
