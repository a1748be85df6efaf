//! The shard: one core's world, and where each kind of input goes.
//!
//! The order of a turn is the binary's business (`turn.rs`); this file only knows what an arrival,
//! a loan or a failure means.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use ringway_abi::counters::Counter;
use ringway_abi::message::{DestinationKey, Event, ForwardKey};
use ringway_sfu::admission::{Admitted, Refused};
use ringway_wire::rtp::{RtpError, RtpView};
use ringway_wire::sniff::{self, Protocol};

use crate::branch::{Branch, NIL};
use crate::call::Calls;
use crate::clock::Now;
use crate::egress::{
    Batch, Egress, Failure, MAX_RUN_BYTES, Outgoing, SocketId, TAG_NONE, TAG_RTCP,
};
use crate::feedback;
use crate::handoff::{Loan, Order, Peer};
use crate::home::Home;
use crate::mailbox::Snapshot;
use crate::slab::{Slab, SlotId};
use crate::sockets::Sockets;

/// Packets that one turn takes in. More makes longer runs and longer turns; fewer answers commands
/// and other shards sooner.
pub const TURN_PACKETS: usize = 512;

/// Events that wait for the control plane to make room. One that never reads loses the rest, is
/// told so, and asks for a snapshot.
const EVENTS: usize = 4096;

/// A shard's own counters, before they are published.
#[derive(Debug)]
pub struct Counters {
    words: [u64; Counter::COUNT],
}

impl Default for Counters {
    fn default() -> Self {
        Self { words: [0; Counter::COUNT] }
    }
}

impl Counters {
    /// Adds `n`.
    pub fn add(&mut self, counter: Counter, n: u64) {
        let word = &mut self.words[counter as usize];
        *word = word.wrapping_add(n);
    }

    /// Takes back what was counted too early.
    pub fn subtract(&mut self, counter: Counter, n: u64) {
        let word = &mut self.words[counter as usize];
        *word = word.saturating_sub(n);
    }

    /// Sets a gauge.
    pub fn set(&mut self, counter: Counter, value: u64) {
        self.words[counter as usize] = value;
    }

    /// The value now.
    pub fn get(&self, counter: Counter) -> u64 {
        self.words[counter as usize]
    }

    /// All values in page order.
    pub fn words(&self) -> &[u64; Counter::COUNT] {
        &self.words
    }
}

/// What a shard is made with.
#[derive(Clone, Copy, Debug)]
pub struct ShardConfig {
    /// Its number.
    pub index: u16,
    /// How many there are.
    pub shards: u16,
    /// Most forwards at home here.
    pub forwards: u32,
    /// Most destinations served here.
    pub destinations: u32,
    /// Ports for forwards that name none: first and last.
    pub ports: (u16, u16),
    /// Where the choice of ports and SSRCs starts.
    pub seed: u64,
}

/// A datagram that the engine received.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Socket it came to.
    pub socket: SocketId,
    /// Its sender.
    pub from: SocketAddr,
    /// Buffer it lies in.
    pub buffer: u32,
    /// Where in the shard's pool.
    pub offset: u32,
    /// The kernel's receive timestamp, ns since the Unix epoch; 0 if unknown.
    pub kernel_ns: u64,
    /// The kernel had more of it than fits into a buffer.
    pub truncated: bool,
    /// Datagrams the kernel has dropped on this socket so far because its buffer was full; wraps.
    pub queue_drops: u32,
    /// Its octets.
    pub bytes: &'a [u8],
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketUse {
    Rtp(SlotId),
    Rtcp(SlotId),
    /// Peers of calls, by number of the media socket.
    Calls(u16),
}

/// A socket as the shard knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketState {
    pub(crate) socket_use: SocketUse,
    /// The kernel's count of drops that is in the counters already.
    queue_drops: u32,
}

/// Where a destination served here is to be found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) branch: SlotId,
    pub(crate) position: u32,
}

/// One core's world.
#[derive(Debug)]
pub struct Shard<H> {
    pub(crate) config: ShardConfig,
    pub(crate) homes: Slab<Home<H>>,
    pub(crate) home_of: HashMap<ForwardKey, SlotId>,
    pub(crate) branches: Slab<Branch>,
    pub(crate) branch_of: HashMap<ForwardKey, SlotId>,
    pub(crate) places: Slab<Place>,
    /// By socket; sparse, but small: the engine numbers its sockets from 0.
    pub(crate) uses: Vec<Option<SocketState>>,
    pub(crate) peers: Vec<Option<Peer<H>>>,
    pub(crate) egress: Egress,
    /// Calls.
    pub calls: Calls,
    /// When this turn began.
    pub(crate) now: Now,
    pub(crate) events: VecDeque<Event>,
    pub(crate) events_lost: bool,
    pub(crate) snapshot: Option<Snapshot>,
    pub(crate) next_port: u32,
    pub(crate) random: u64,
    /// Records whose owner is gone and that readers must see as free.
    pub(crate) freed_forwards: Vec<u32>,
    pub(crate) freed_destinations: Vec<u32>,
    retained: Vec<u32>,
    returned: Vec<u32>,
    borrowed: Vec<(u16, u32)>,
    /// What is counted here.
    pub counters: Counters,
}

impl<H: Clone> Shard<H> {
    /// An empty shard. `peers` holds its ends of the lanes to the other shards, `None` for itself.
    pub fn new(config: ShardConfig, peers: Vec<Option<Peer<H>>>) -> Self {
        assert_eq!(peers.len(), usize::from(config.shards), "one end of a lane for each shard");
        Self {
            homes: Slab::new(config.forwards),
            home_of: HashMap::new(),
            branches: Slab::new(config.forwards.saturating_mul(u32::from(config.shards))),
            branch_of: HashMap::new(),
            places: Slab::new(config.destinations),
            uses: Vec::new(),
            egress: Egress::new(TURN_PACKETS, TURN_PACKETS * 2),
            calls: Calls::new(None, config.seed),
            now: Now::default(),
            events: VecDeque::with_capacity(EVENTS),
            events_lost: false,
            snapshot: None,
            next_port: (config.seed >> 32) as u32,
            random: config.seed | 1,
            freed_forwards: Vec::new(),
            freed_destinations: Vec::new(),
            retained: Vec::with_capacity(TURN_PACKETS * usize::from(config.shards)),
            returned: Vec::with_capacity(TURN_PACKETS * 8),
            borrowed: Vec::with_capacity(TURN_PACKETS),
            counters: Counters::default(),
            peers,
            config,
        }
    }

    /// Arrivals that one turn takes. Where there are other shards it leaves room for what they
    /// lend, or a shard that is busy with its own forwards would starve theirs.
    pub fn arrivals_per_turn(&self) -> usize {
        if self.config.shards > 1 { TURN_PACKETS * 3 / 4 } else { TURN_PACKETS }
    }

    /// How many destinations on this shard wait for packets of this turn.
    pub fn fan_out(&self) -> usize {
        self.egress.fan_out() + self.calls.fan_out()
    }

    /// Whether this turn can take another arrival.
    pub fn has_room(&self) -> bool {
        self.egress.has_room() && self.calls.has_room()
    }

    /// Takes a datagram. The buffer must stay as it is until [`Shard::poll_transmit`] is done, and
    /// as long as [`Shard::take_retained`] says.
    pub fn handle_datagram(&mut self, now: Now, datagram: &Datagram<'_>) {
        self.counters.add(Counter::PacketsReceived, 1);
        self.counters.add(Counter::BytesReceived, datagram.bytes.len() as u64);
        let Some(Some(state)) = self.uses.get_mut(datagram.socket.slot() as usize) else {
            // The forward was removed while the datagram was under way.
            self.counters.add(Counter::DropNoForward, 1);
            return;
        };
        let socket_use = state.socket_use;
        let dropped = datagram.queue_drops.wrapping_sub(state.queue_drops);
        // Datagrams may arrive out of order where several were under way: never count backwards.
        if dropped != 0 && dropped < u32::MAX / 2 {
            state.queue_drops = datagram.queue_drops;
            self.counters.add(Counter::SocketOverflow, dropped.into());
        }
        // What no run can carry is as good as truncated.
        if datagram.truncated || datagram.bytes.len() > MAX_RUN_BYTES as usize {
            self.malformed(socket_use, Counter::DropTruncated);
            return;
        }
        if let SocketUse::Calls(socket) = socket_use {
            let Datagram { from, kernel_ns, bytes, .. } = *datagram;
            let counters = &mut self.counters;
            return self.calls.handle_datagram(now, socket, from, kernel_ns, bytes, counters);
        }
        match (socket_use, sniff::sniff(datagram.bytes)) {
            (SocketUse::Rtp(home), Protocol::Rtp) => self.handle_rtp(now, home, datagram),
            (SocketUse::Rtp(home) | SocketUse::Rtcp(home), Protocol::Rtcp) => {
                self.handle_rtcp(now, home, datagram);
            }
            (_, protocol) => {
                let reason = match (protocol, datagram.bytes) {
                    (_, [] | [_]) => Counter::DropShort,
                    // Nothing else that may share the port: RTP or RTCP of a version without one.
                    (Protocol::Unknown, _) => Counter::DropVersion,
                    _ => Counter::DropProtocol,
                };
                self.malformed(socket_use, reason);
            }
        }
    }

    fn malformed(&mut self, socket_use: SocketUse, reason: Counter) {
        self.counters.add(reason, 1);
        if let SocketUse::Rtp(id) | SocketUse::Rtcp(id) = socket_use
            && let Some(home) = self.homes.get_mut(id)
        {
            home.input.counts.malformed += 1;
        }
    }

    fn handle_rtp(&mut self, now: Now, id: SlotId, datagram: &Datagram<'_>) {
        let rtp = match RtpView::parse(datagram.bytes) {
            Ok(rtp) => rtp,
            Err(error) => return self.malformed(SocketUse::Rtp(id), drop_reason(error)),
        };
        let Some(home) = self.homes.get_mut(id) else {
            self.counters.add(Counter::DropNoForward, 1);
            return;
        };
        let from = canonical(datagram.from);
        let arrival_ns = now.mono_of(datagram.kernel_ns);
        let accepted = match home.input.handle_rtp(arrival_ns, from, &rtp, datagram.bytes.len()) {
            Ok(accepted) => accepted,
            Err(refused) => return self.counters.add(refusal_reason(refused), 1),
        };
        if accepted.source != Admitted::Same {
            let source =
                Event::SourceIs { forward: home.spec.key, address: from, ssrc: rtp.ssrc() };
            push_event(&mut self.events, &mut self.events_lost, &mut self.counters, source);
        }
        let head = *datagram.bytes.first_chunk::<12>().expect("a parsed packet has a header");
        let kernel_ns = if datagram.kernel_ns == 0 { now.unix_ns } else { datagram.kernel_ns };
        let packet = Outgoing {
            pool: self.config.index,
            offset: datagram.offset,
            len: datagram.bytes.len() as u32,
            head,
            octets: rtp.payload_range().len() as u32,
            mark: accepted.mark,
            kernel_ns,
            next: NIL,
        };
        for remote in &mut home.remotes {
            let loan = Loan { branch: remote.branch, buffer: datagram.buffer, packet };
            let peer = self.peers[usize::from(remote.shard)].as_mut();
            if peer.is_some_and(|peer| peer.lend(loan)) {
                self.retained.push(datagram.buffer);
                self.counters.add(Counter::HandedOver, 1);
            } else {
                self.counters.add(Counter::DropShardLane, 1);
                remote.untold_drops += 1;
            }
        }
        if let Some(branch_id) = home.branch
            && let Some(branch) = self.branches.get_mut(branch_id)
        {
            self.egress.push(branch_id, branch, packet);
        }
    }

    /// Takes what other shards sent: orders, buffers that come back, and loans while there is room.
    pub fn handle_peers<S: Sockets<Handle = H>>(&mut self, now: Now, sockets: &mut S) {
        self.now = now;
        for index in 0..self.peers.len() {
            let Some(mut peer) = self.peers[index].take() else { continue };
            peer.push_backlog();
            while self.returned.len() < self.returned.capacity()
                && let Some(buffer) = peer.returned()
            {
                self.returned.push(buffer);
            }
            while let Some(order) = peer.ordered() {
                self.handle_order(now, index as u16, &mut peer, order, sockets);
            }
            while self.egress.has_room() && self.borrowed.len() < self.borrowed.capacity() {
                let Some(loan) = peer.borrowed() else { break };
                self.borrowed.push((index as u16, loan.buffer));
                self.handle_loan(&loan);
            }
            self.peers[index] = Some(peer);
        }
        self.calls.handle_shards(now, &mut self.counters);
    }

    /// Lets calls reach those of the other shards. Once, before any call.
    pub fn join_calls(&mut self) {
        let lanes = self.peers.iter_mut().map(|peer| peer.as_mut().and_then(Peer::take_calls));
        self.calls.join_shards(self.config.index, lanes.collect());
    }

    fn handle_loan(&mut self, loan: &Loan) {
        let Some(branch) = self.branches.get_mut(loan.branch) else {
            // Removed since the packet was lent; the buffer goes back all the same.
            return self.counters.add(Counter::DropNoForward, 1);
        };
        self.egress.push(loan.branch, branch, loan.packet);
    }

    fn handle_order<S: Sockets<Handle = H>>(
        &mut self,
        now: Now,
        from: u16,
        peer: &mut Peer<H>,
        order: Order<H>,
        sockets: &mut S,
    ) {
        match order {
            Order::Add { request, forward, spec, rtp, rtcp, ipv6 } => {
                let destination = spec.key;
                let place = crate::mailbox::Attach { forward, home: from, ipv6 };
                let result = self.attach(place, spec, sockets, |sockets| {
                    let rtp = sockets.adopt(&rtp)?;
                    match rtcp.as_ref().map(|rtcp| sockets.adopt(rtcp)) {
                        None => Ok((rtp, rtp)),
                        Some(Ok(rtcp)) => Ok((rtp, rtcp)),
                        Some(Err(error)) => {
                            sockets.close(rtp);
                            Err(error)
                        }
                    }
                });
                peer.order(Order::Added { request, forward, destination, result });
            }
            Order::Added { request, forward, destination, result } => {
                self.attached(from, request, forward, destination, result);
            }
            Order::Remove { forward, destination } => {
                self.detach(forward, destination, sockets);
            }
            Order::RemoveAll { forward } => self.remove_branch(forward, sockets),
            Order::Downstream { branch: id, downstream } => {
                if let Some(branch) = self.branches.get_mut(id) {
                    self.egress.push_downstream(id, branch, downstream);
                }
            }
            Order::Dropped { branch, packets } => {
                let served = self.branches.get_mut(branch).map(|branch| &mut branch.served);
                for served in served.into_iter().flatten() {
                    served.state.counts.dropped += packets;
                }
            }
            Order::Reported { branch, destination, block } => {
                self.handle_reported(now, branch, destination, &block);
            }
        }
    }

    pub(crate) fn handle_reported(
        &mut self,
        now: Now,
        branch: SlotId,
        destination: DestinationKey,
        block: &ringway_wire::rtcp::ReportBlock,
    ) {
        let Some(branch) = self.branches.get_mut(branch) else { return };
        let Some(position) = branch.position(destination) else { return };
        branch.served[position].state.handle_report(block, now.mono_ns);
    }

    /// Fills `batch` with what this turn sends. `true`: hand it to the kernel and call again. After
    /// `false` (hand that one over too), call [`Shard::end_turn`].
    pub fn poll_transmit(&mut self, now: Now, batch: &mut Batch) -> bool {
        let counters = &mut self.counters;
        let more = self.egress.poll_transmit(now.mono_ns, &mut self.branches, batch, counters)
            || self.calls.poll_transmit(now, batch, counters);
        self.calls.divert(batch, counters);
        more
    }

    /// Takes what came by TCP.
    pub fn handle_gateway(&mut self, now: Now) {
        self.calls.handle_gateway(now, &mut self.counters);
    }

    /// Reports each packet that the batches since the last call carried: the kernel's receive
    /// timestamp and to how many destinations.
    pub fn take_deliveries(&mut self, mut record: impl FnMut(u64, u32)) {
        self.egress.take_deliveries(|delivery| record(delivery.kernel_ns, delivery.destinations));
        self.calls.take_deliveries(|delivery| record(delivery.kernel_ns, delivery.destinations));
    }

    /// Takes the runs that the kernel refused: they were counted as sent when they were queued.
    pub fn handle_failures(&mut self, failures: &[Failure]) {
        for failure in failures {
            let packets = u64::from(failure.packets);
            self.counters.add(failure_reason(failure.errno), packets);
            self.counters.subtract(Counter::PacketsSent, packets);
            self.counters.subtract(Counter::BytesSent, failure.bytes.into());
            if failure.tag == TAG_NONE {
                continue;
            }
            let Some(place) = self.places.at(failure.tag & !TAG_RTCP) else { continue };
            let Some(branch) = self.branches.get_mut(place.branch) else { continue };
            let Some(served) = branch.served.get_mut(place.position as usize) else { continue };
            let counts = &mut served.state.counts;
            counts.dropped += packets;
            if failure.tag & TAG_RTCP == 0 {
                counts.packets = counts.packets.saturating_sub(packets);
                counts.bytes = counts.bytes.saturating_sub(failure.bytes.into());
            } else {
                self.counters.subtract(Counter::RtcpSent, packets);
                counts.rtcp_packets = counts.rtcp_packets.saturating_sub(packets);
            }
        }
    }

    /// When a tick has something to do, ns; 0: as soon as it may. `idle`: no packets pass.
    pub fn due_ns(&self, idle: bool) -> u64 {
        let forwards = !(self.homes.is_empty() && self.branches.is_empty());
        if forwards && !idle { 0 } else { self.calls.due_ns() }
    }

    /// The turn's packets are sent: loans go back to their shards.
    pub fn end_turn(&mut self) {
        for (shard, buffer) in self.borrowed.drain(..) {
            if let Some(peer) = &mut self.peers[usize::from(shard)] {
                peer.give_back(buffer);
            }
        }
    }

    /// Buffers of this turn's arrivals that other shards hold now, each as often as it was lent:
    /// to be taken before the arrivals are released.
    pub fn take_retained(&mut self, mut retain: impl FnMut(u32)) {
        self.retained.drain(..).for_each(&mut retain);
    }

    /// Buffers that other shards gave back.
    pub fn take_returned(&mut self, mut release: impl FnMut(u32)) {
        self.returned.drain(..).for_each(&mut release);
    }

    /// Which other shards may need waking.
    pub fn take_touched(&mut self, mut touched: impl FnMut(u16)) {
        for (index, peer) in self.peers.iter_mut().enumerate() {
            let called = self.calls.take_shard_touched(index as u16);
            if peer.as_mut().is_some_and(Peer::take_touched) || called {
                touched(index as u16);
            }
        }
    }

    /// Whether the lanes to and from other shards are empty, so that the shard may sleep.
    pub fn peers_idle(&self) -> bool {
        self.peers.iter().flatten().all(Peer::is_idle) && self.calls.shards_idle()
    }

    pub(crate) fn set_use(&mut self, socket: SocketId, socket_use: Option<SocketUse>) {
        let index = socket.slot() as usize;
        if index >= self.uses.len() {
            self.uses.resize(index + 1, None);
        }
        self.uses[index] = socket_use.map(|socket_use| SocketState { socket_use, queue_drops: 0 });
    }

    /// The next number of the shard's own random line, for SSRCs and ports.
    pub(crate) fn next_random(&mut self) -> u64 {
        // xorshift64*: unpredictable enough for identifiers that RFC 3550 wants random, and
        // repeatable from the seed. Nothing secret hangs on it.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn handle_rtcp(&mut self, now: Now, id: SlotId, datagram: &Datagram<'_>) {
        feedback::handle_rtcp(self, now, id, datagram);
    }
}

/// Queues an event, or remembers that one was lost.
pub(crate) fn push_event(
    events: &mut VecDeque<Event>,
    lost: &mut bool,
    counters: &mut Counters,
    event: Event,
) {
    if events.len() < EVENTS {
        events.push_back(event);
    } else {
        *lost = true;
        counters.add(Counter::EventsLost, 1);
    }
}

/// Addresses compare equal whichever family the socket is of.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(ip.into(), address.port()),
        // As it is: a link-local address is nothing without its scope.
        IpAddr::V6(_) => address,
    }
}

fn drop_reason(error: RtpError) -> Counter {
    match error {
        RtpError::Short => Counter::DropShort,
        RtpError::Version => Counter::DropVersion,
        RtpError::Header => Counter::DropHeader,
    }
}

pub(crate) fn refusal_reason(refused: Refused) -> Counter {
    match refused {
        Refused::Source => Counter::DropSource,
        Refused::Ssrc => Counter::DropSsrc,
    }
}

fn failure_reason(errno: i32) -> Counter {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(errno) {
        Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM => Counter::DropSendBuffer,
        Errno::NETUNREACH
        | Errno::HOSTUNREACH
        | Errno::CONNREFUSED
        | Errno::HOSTDOWN
        | Errno::NETDOWN => Counter::DropUnreachable,
        _ => Counter::DropSendError,
    }
}
