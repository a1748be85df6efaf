//! The gateway's lanes: what a shard and the thread that owns all TCP connections tell each other.
//!
//! TCP waits: for acknowledgements, for room, for readers. So no connection lives on a shard. The
//! gateway's thread accepts, cuts the streams into packets (RFC 4571) and hands these to the shard
//! that knows the peer; what a shard sends by TCP takes the lane back. A connection whose peer no
//! shard knows yet is offered to all of them: the one that accepts its check claims it. What TURN
//! clients send to a media port is such a connection, too, for the shard that has the port.
//!
//! - packets: lossy, in both directions. Full means that the other side is behind: dropped and
//!   counted, as on a network. A peer that does not read costs only itself.
//! - claims and ends of connections: must not be lost, and wait in the sender's backlog.
//!
//! [`connection`] is one connection's state, [`guests`] says how many there may be, [`waiting`]
//! keeps what a peer is behind with. The sockets themselves belong to the program.

use std::collections::VecDeque;
use std::net::SocketAddr;

use ringway_proto::turn::LinkId;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::egress::{Batch, Run, SCRATCH, SocketId};

pub mod connection;
pub mod guests;
pub mod waiting;

/// Packets under way in one direction between a shard and the gateway.
const PACKETS: usize = 4096;
/// Octets of them. Raised: a slow gateway delays media more before it drops; lowered: the burst of
/// a key frame to many TCP peers is lost.
const OCTETS: usize = 1 << 20;

/// Slots of sockets from here on are no sockets: they name connections.
const CONNECTIONS: u32 = 1 << 31;

/// The bit of a slot that tells links of relays from TCP connections.
const LINK_BIT: u32 = 15;
const _: () = assert!(LinkId::BITS == 16 + LINK_BIT);

/// TCP connections at once: as many as there are slots that name no links.
pub const MOST_CONNECTIONS: u32 = 1 << LINK_BIT;

/// Names a connection for as long as it lives, and for some time nothing after that: slot and
/// generation of the gateway's table, 16 bits of each. A connection is one of TCP, or what a TURN
/// client sends to one of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// What runs to this connection have in place of a socket.
    pub fn socket(self) -> SocketId {
        SocketId::new(CONNECTIONS | (self.0 & 0xffff), self.0 >> 16)
    }

    /// Names a link of a relay, in the upper half of the slots.
    pub fn of_link(link: LinkId) -> Self {
        Self(link.0 >> LINK_BIT << 16 | 1 << LINK_BIT | link.0 & ((1 << LINK_BIT) - 1))
    }

    /// The link that it names; `None` for TCP connections.
    pub fn link(self) -> Option<LinkId> {
        let named = self.0 & 1 << LINK_BIT != 0;
        named.then_some(LinkId(self.0 >> 16 << LINK_BIT | self.0 & ((1 << LINK_BIT) - 1)))
    }

    /// The connection behind such a socket; `None` for real ones.
    pub fn of_socket(socket: SocketId) -> Option<Self> {
        let named = socket.slot() & CONNECTIONS != 0;
        named.then(|| Self(socket.generation() << 16 | (socket.slot() & 0xffff)))
    }
}

/// What the gateway tells a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToShard {
    /// A packet came.
    Packet {
        /// By which connection.
        connection: ConnectionId,
        /// Whose.
        remote: SocketAddr,
    },
    /// A connection that the shard has claimed is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Whose.
        remote: SocketAddr,
    },
}

/// What a shard tells the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromShard {
    /// Send this.
    Packet {
        /// By which connection.
        connection: ConnectionId,
    },
    /// The peer passed a check: from now on all its packets are for this shard.
    Claim {
        /// Which.
        connection: ConnectionId,
        /// Whose, to be told again when it is gone already.
        remote: SocketAddr,
    },
    /// Nobody needs it any more.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Media is received at this UDP port of the shard's.
    Port {
        /// Which.
        port: u16,
    },
}

/// One side's ends of a pair of lanes.
#[derive(Debug)]
pub struct End<Out, In> {
    records_out: Producer<(Out, u16)>,
    octets_out: Producer<u8>,
    records_in: Consumer<(In, u16)>,
    octets_in: Consumer<u8>,
    backlog: VecDeque<Out>,
    touched: bool,
}

/// The shard's.
pub type ShardEnd = End<FromShard, ToShard>;
/// The gateway's.
pub type GatewayEnd = End<ToShard, FromShard>;

/// The ends of a shard and of the gateway.
pub fn pair() -> (ShardEnd, GatewayEnd) {
    let (shard_records, gateway_records_in) = RingBuffer::new(PACKETS);
    let (shard_octets, gateway_octets_in) = RingBuffer::new(OCTETS);
    let (gateway_records, shard_records_in) = RingBuffer::new(PACKETS);
    let (gateway_octets, shard_octets_in) = RingBuffer::new(OCTETS);
    (
        End::new(shard_records, shard_octets, shard_records_in, shard_octets_in),
        End::new(gateway_records, gateway_octets, gateway_records_in, gateway_octets_in),
    )
}

impl<Out, In> End<Out, In> {
    fn new(
        records_out: Producer<(Out, u16)>,
        octets_out: Producer<u8>,
        records_in: Consumer<(In, u16)>,
        octets_in: Consumer<u8>,
    ) -> Self {
        let (backlog, touched) = (VecDeque::new(), false);
        Self { records_out, octets_out, records_in, octets_in, backlog, touched }
    }

    /// Passes a packet on; `false`: it was dropped, the other side is behind.
    pub fn send_packet(&mut self, about: Out, packet: &[u8]) -> bool {
        let Ok(len) = u16::try_from(packet.len()) else { return false };
        self.touched = true;
        // The record last: whoever sees it finds its octets.
        self.backlog.is_empty()
            && !self.records_out.is_full()
            && self.octets_out.push_entire_slice(packet).is_ok()
            && self.records_out.push((about, len)).is_ok()
    }

    /// Says something that must not be lost, at the latest when there is room again.
    pub fn say(&mut self, what: Out) {
        self.backlog.push_back(what);
        self.push_backlog();
    }

    /// Says what waits in the backlog as far as there is room.
    pub fn push_backlog(&mut self) {
        while let Some(what) = self.backlog.pop_front() {
            self.touched = true;
            if let Err(rtrb::PushError::Full((what, _))) = self.records_out.push((what, 0)) {
                self.backlog.push_front(what);
                return;
            }
        }
    }

    /// What the other side said next, and how many octets of a packet are in `out` now. What does
    /// not fit there is dropped: the packet is empty then.
    pub fn take(&mut self, out: &mut [u8]) -> Option<(In, usize)> {
        let (what, len) = self.records_in.pop().ok()?;
        let len = usize::from(len);
        if let Some(room) = out.get_mut(..len) {
            let whole = self.octets_in.pop_entire_slice(room).is_ok();
            assert!(whole, "the octets of a packet are in the lane before its record");
            return Some((what, len));
        }
        if let Ok(chunk) = self.octets_in.read_chunk(len) {
            chunk.commit_all();
        }
        Some((what, 0))
    }

    /// Whether the other side said something that was not taken yet.
    pub fn has_news(&self) -> bool {
        !self.records_in.is_empty()
    }

    /// Whether something that must not be lost waits for room.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether anything was said since the last call: the other side may need waking.
    pub fn take_touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }
}

/// What did not fit into the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Packets.
    pub packets: u64,
    /// Their octets.
    pub bytes: u64,
}

impl ShardEnd {
    /// Takes the runs to connections out of a batch and passes their packets on.
    pub fn divert(&mut self, batch: &mut Batch) -> Lost {
        let mut lost = Lost::default();
        batch.retain_runs(|run, pieces, scratch| {
            let Some(connection) = ConnectionId::of_socket(run.socket) else { return true };
            for piece in pieces.iter().filter(|piece| piece.pool == SCRATCH) {
                let octets = scratch.get(piece.offset as usize..).unwrap_or(&[]);
                let octets = octets.get(..piece.len as usize).unwrap_or(&[]);
                for packet in octets.chunks(segment(run)) {
                    if !self.send_packet(FromShard::Packet { connection }, packet) {
                        lost.packets += 1;
                        lost.bytes += packet.len() as u64;
                    }
                }
            }
            false
        });
        lost
    }
}

fn segment(run: &Run) -> usize {
    match run.segment {
        0 => run.bytes.max(1) as usize,
        segment => usize::from(segment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::{Piece, Target};

    fn remote() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 9))
    }

    fn to_shard(number: u32) -> ToShard {
        ToShard::Packet { connection: ConnectionId(number), remote: remote() }
    }

    #[test]
    fn connections_are_told_from_sockets() {
        for number in [0, 1, 0xffff, 0x1_0000, 0xffff_ffff] {
            let id = ConnectionId(number);
            assert_eq!(ConnectionId::of_socket(id.socket()), Some(id));
        }
        assert_eq!(ConnectionId::of_socket(SocketId::new(70_000, 7)), None);
    }

    #[test]
    fn links_are_told_from_tcp_connections() {
        for number in [0, 1, 0x7fff, 0x8000, 0x1_2345, 0x7fff_ffff] {
            let id = ConnectionId::of_link(LinkId(number));
            assert_eq!(id.link(), Some(LinkId(number)), "{number:x}");
        }
        assert_eq!(ConnectionId(0xffff_7fff).link(), None);
    }

    #[test]
    fn packets_arrive_whole_and_in_order() {
        let (mut shard, mut gateway) = pair();
        let mut out = [0; 2048];
        // Many times around both rings.
        for round in 0..2_000_u32 {
            let packet = vec![round as u8; round as usize % 1500 + 1];
            assert!(gateway.send_packet(to_shard(round), &packet));
            assert!(shard.has_news() && gateway.take_touched() && !gateway.take_touched());
            assert_eq!(shard.take(&mut out), Some((to_shard(round), packet.len())));
            assert_eq!(&out[..packet.len()], packet);
            assert!(!shard.has_news() && shard.take(&mut out).is_none());
        }
    }

    #[test]
    fn a_packet_without_room_is_skipped_whole() {
        let (mut shard, mut gateway) = pair();
        assert!(gateway.send_packet(to_shard(1), &[1; 100]));
        assert!(gateway.send_packet(to_shard(2), &[2; 10]));
        let mut out = [0; 50];
        assert_eq!(shard.take(&mut out), Some((to_shard(1), 0)));
        assert_eq!(shard.take(&mut out), Some((to_shard(2), 10)));
        assert_eq!(out[..10], [2; 10]);
    }

    #[test]
    fn a_full_lane_drops_packets_and_keeps_the_rest() {
        let (mut shard, mut gateway) = pair();
        let id = ConnectionId(7);
        let sent = (0..2000)
            .filter(|_| shard.send_packet(FromShard::Packet { connection: id }, &[0; 1000]))
            .count();
        assert_eq!(sent, OCTETS / 1000);
        let small = (0..2 * PACKETS)
            .filter(|_| shard.send_packet(FromShard::Packet { connection: id }, &[]))
            .count();
        assert_eq!(sent + small, PACKETS);
        shard.say(FromShard::Close { connection: id });
        assert!(shard.has_backlog());
        // What comes later does not overtake it.
        assert!(gateway.take(&mut [0; 1000]).is_some());
        assert!(!shard.send_packet(FromShard::Packet { connection: id }, &[]));
        shard.push_backlog();
        let mut last = None;
        let mut packets = 1;
        while let Some((what, _)) = gateway.take(&mut [0; 1000]) {
            packets += usize::from(matches!(what, FromShard::Packet { .. }));
            last = Some(what);
        }
        assert_eq!(last, Some(FromShard::Close { connection: id }));
        assert_eq!(packets, PACKETS);
    }

    #[test]
    fn runs_to_connections_leave_the_batch_packet_by_packet() {
        let (mut shard, mut gateway) = pair();
        let mut batch = Batch::with_capacity(8, 8, 1000);
        let id = ConnectionId(0x0003_0005);
        let mut run = |socket, octets: &[u8], segment: u16, packets| {
            let piece: Piece = batch.push_scratch(octets).expect("room");
            let first = batch.push_piece(piece).expect("room");
            let bytes = octets.len() as u32;
            let to = Target::from(remote());
            let end = first + 1;
            let run = Run { socket, to, first, end, segment, packets, bytes, tag: 0 };
            assert!(batch.push_run(run));
        };
        run(SocketId::new(3, 1), &[9; 30], 0, 1);
        run(id.socket(), &[1, 1, 1, 2, 2, 2, 3], 3, 3);
        run(id.socket(), &[4, 4], 0, 1);
        run(SocketId::new(4, 1), &[9; 30], 0, 1);
        assert_eq!(shard.divert(&mut batch), Lost::default());
        let left: Vec<u32> = batch.runs().iter().map(|run| run.socket.slot()).collect();
        assert_eq!(left, [3, 4]);
        let mut out = [0; 10];
        for packet in [&[1, 1, 1][..], &[2, 2, 2], &[3], &[4, 4]] {
            let expect = (FromShard::Packet { connection: id }, packet.len());
            assert_eq!(gateway.take(&mut out), Some(expect));
            assert_eq!(&out[..packet.len()], packet);
        }
        assert!(!gateway.has_news());
    }
}
