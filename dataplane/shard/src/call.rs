//! Calls on one core: peer connections, what comes in over them and to whom it goes.
//!
//! The street of a packet: [`ingress`] finds the connection by address (or the ufrag of a check),
//! opens the packet, and prepares it once for its source; it is kept in the source's history, and
//! [`outlet`] seals it from there for every subscriber, so that the seal is the only copy per
//! subscriber. Where a source's subscribers are on several shards, [`mirror`] brings its packets to
//! the others over [`lanes`]. What is lost on the way in is made up for by [`redundancy`] or
//! [`recovery`]. [`data`] passes messages of data channels on, [`data_tracks`] packets
//! of data tracks. [`rtcp`] is the way back, [`round_trips`] its length, [`tcp`] the way of peers
//! that cannot use UDP, [`movers`] are those whose NAT moves them. [`upkeep`] does what is due,
//! [`due`] knows when; [`commands`] is what the control plane asks; [`disowned`] are the transports
//! of a control plane that is gone.
//!
//! Sans-IO like the rest of the shard. All keys of the control plane are found through maps, all
//! state lies in slabs.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use ringway_abi::call::CallEvent;
use ringway_proto::dtls::DtlsContext;
use ringway_proto::history::HistoryPool;
use ringway_proto::ice::Path;
use ringway_sfu::call::demux::SourceKey;
use ringway_sfu::call::speakers::{SpeakerSettings, Speakers};

use crate::egress::Delivery;
use crate::gateway::{ConnectionId, ShardEnd};
use crate::slab::{Slab, SlotId};
use crate::sockets::MediaSocket;

mod blanks;
mod commands;
mod data;
mod data_end;
mod data_tracks;
mod disowned;
mod due;
mod handshakes;
mod hold;
mod ingress;
mod lanes;
mod levels;
mod mirror;
mod movers;
mod outlet;
mod padding;
mod quality;
mod recovery;
mod redundancy;
mod round_trips;
mod rtcp;
mod session;
mod spent;
mod stamps;
mod stream;
mod subscription;
mod tcp;
mod upkeep;

use handshakes::Handshakes;
pub use handshakes::{Handshake, HandshakeDone};
pub use lanes::ShardLane;
pub use padding::MOST_OCTETS as MOST_PADDING_OCTETS;
use session::Session;
use stream::Stream;
use subscription::Subscription;

/// Transports on one shard. Raised, the tables grow; lowered, a busy core refuses clients that it
/// could serve.
const TRANSPORTS: u32 = 16_384;
/// Sources on one shard.
const SOURCES: u32 = 16_384;
/// Routes on one shard.
const ROUTES: u32 = 262_144;
/// Blocks of history that all sources share: 64 MiB, of which only what is used becomes resident.
/// Three layers of a camera at 1.5 Mbit/s hold about 80 for their second.
const HISTORY_BLOCKS: u32 = 16_384;
/// Events that wait for the lane to the control plane.
const EVENTS: usize = 4_096;
/// The longest datagram that is taken from a media socket.
const MAX_DATAGRAM_BYTES: usize = 2_048;
/// Packets of sources that one turn takes: what is sealed for a turn must not take so long that
/// the socket overflows meanwhile.
const TURN_PACKETS: usize = 1_024;

/// One room as far as a shard knows it: who is loud.
struct Room {
    speakers: Speakers,
    sources: u32,
}

/// All calls of one shard.
pub struct Calls {
    dtls: Option<DtlsContext>,
    handshakes: Handshakes,
    /// Any instant: what full ICE counts from. Without it all agents are lite.
    epoch: Option<Instant>,
    pub(crate) sockets: Vec<MediaSocket>,
    /// The lanes to and from the gateway, which has the TCP connections.
    gateway: Option<ShardEnd>,
    /// Connections that are of no more use once this batch is on its way.
    closing: Vec<ConnectionId>,
    sessions: Slab<Session>,
    session_of: HashMap<u64, SlotId>,
    by_ufrag: HashMap<Box<[u8]>, SlotId>,
    by_path: HashMap<Path, SlotId>,
    movers: movers::Movers,
    /// The last one found by path: packets come in bursts of one peer.
    latest: Option<(Path, SlotId)>,
    streams: Slab<Stream>,
    stream_of: HashMap<u64, SlotId>,
    subscriptions: Slab<Subscription>,
    subscription_of: HashMap<u64, SlotId>,
    rooms: HashMap<u64, Room>,
    data: data::Data,
    /// The lanes to and from the other shards.
    others: lanes::Others,
    data_tracks: data_tracks::DataTracks,
    pool: HistoryPool,
    events: VecDeque<CallEvent>,
    /// Sessions whose requests come behind a receiver report.
    bundlers: u32,
    /// Sessions with something of their own to send.
    dirty: Vec<SlotId>,
    /// Sessions of a control plane that is gone may be among them.
    any_disowned: bool,
    /// Streams with packets of this turn, and how many packets they have together.
    touched: Vec<SlotId>,
    queued: usize,
    /// Octets that may be added to a packet so that its frame leaves in one run.
    most_padding: usize,
    /// Sound that waits for other sound.
    hold: hold::Hold,
    /// Packets that subscribers want again: subscription and the number that it sees.
    wanted: Vec<(SlotId, u16)>,
    /// Subscriptions that get silence, black or padding for a while, and which of them are due.
    fading: Vec<SlotId>,
    due: Vec<SlotId>,
    /// How far the turn's packets have been sent: stream, route, packet.
    at: outlet::Cursor,
    deliveries: Vec<Delivery>,
    /// The datagram at hand, to be opened in place.
    datagram: Box<[u8]>,
    /// The packet at hand that came by TCP.
    packet: Box<[u8]>,
    /// The SCTP packet at hand.
    sctp_packet: Vec<u8>,
    next_upkeep_ns: u64,
    next_check_ns: u64,
    /// Before, upkeep has nothing to do, unless somebody is dirty.
    due_ns: u64,
    /// By slot of a session: nothing is due before, ns. Kept apart, so that a look at hundreds of
    /// them takes a few cache lines.
    calm_until_ns: Vec<u64>,
    /// Checks so far.
    checks: u32,
    random: u64,
}

impl std::fmt::Debug for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calls")
            .field("transports", &self.sessions.len())
            .field("sources", &self.streams.len())
            .field("routes", &self.subscriptions.len())
            .finish_non_exhaustive()
    }
}

impl Calls {
    /// No calls yet. Without `dtls` there never will be any. Nothing is allocated before the first
    /// transport.
    pub fn new(dtls: Option<DtlsContext>, seed: u64) -> Self {
        Self {
            dtls,
            handshakes: Handshakes::default(),
            epoch: None,
            sockets: Vec::new(),
            gateway: None,
            closing: Vec::new(),
            sessions: Slab::new(TRANSPORTS),
            session_of: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_path: HashMap::new(),
            movers: movers::Movers::default(),
            latest: None,
            streams: Slab::new(SOURCES),
            stream_of: HashMap::new(),
            subscriptions: Slab::new(ROUTES),
            subscription_of: HashMap::new(),
            rooms: HashMap::new(),
            data: data::Data::default(),
            others: lanes::Others::default(),
            data_tracks: data_tracks::DataTracks::default(),
            pool: HistoryPool::new(0),
            events: VecDeque::new(),
            bundlers: 0,
            dirty: Vec::new(),
            any_disowned: false,
            touched: Vec::new(),
            queued: 0,
            most_padding: MOST_PADDING_OCTETS,
            hold: hold::Hold::default(),
            wanted: Vec::new(),
            fading: Vec::new(),
            due: Vec::new(),
            at: outlet::Cursor::default(),
            deliveries: Vec::new(),
            datagram: Box::new([]),
            packet: Box::new([]),
            sctp_packet: Vec::new(),
            next_upkeep_ns: 0,
            next_check_ns: 0,
            due_ns: 0,
            calm_until_ns: Vec::new(),
            checks: 0,
            random: seed | 1,
        }
    }

    /// Lets clients ask for an agent that makes checks; `epoch` is any instant.
    pub fn allow_full_ice(&mut self, epoch: Instant) {
        self.epoch = Some(epoch);
    }

    /// Lets at most `octets` be added to a packet so that its frame leaves in one run; 0: packets
    /// leave as long as they came. More than [`MOST_PADDING_OCTETS`] are never added.
    pub fn limit_padding(&mut self, octets: usize) {
        self.most_padding = octets.min(MOST_PADDING_OCTETS);
    }

    /// Whether anything is open.
    pub fn is_idle(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Whether another packet fits into this turn.
    pub fn has_room(&self) -> bool {
        self.queued < TURN_PACKETS
    }

    /// How many subscriptions wait for packets of this turn.
    pub fn fan_out(&self) -> usize {
        let routes = |id: &SlotId| self.streams.get(*id).map_or(0, Stream::fan_out);
        self.touched.iter().map(routes).sum()
    }

    /// Whether what a peer asks for may look like a receiver report that can wait: one that sends
    /// no reduced-size RTCP puts a report in front of everything.
    pub fn bundles_requests(&self) -> bool {
        self.bundlers > 0
    }

    /// The next thing that the control plane wants to know.
    pub fn poll_event(&mut self) -> Option<CallEvent> {
        self.events.pop_front()
    }

    fn tell(&mut self, event: CallEvent) {
        // What does not fit is as lost as in a full lane; the reader of stale state asks again.
        if self.events.len() < EVENTS {
            self.events.push_back(event);
        }
    }

    fn mark_dirty(&mut self, id: SlotId) {
        if let Some(session) = self.sessions.get_mut(id)
            && !std::mem::replace(&mut session.dirty, true)
        {
            self.dirty.push(id);
        }
        self.alarm(id.slot);
    }

    fn next_random(&mut self) -> u64 {
        // xorshift64*: numbers that need not be secret.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn join_room(&mut self, room: u64, source: u64) {
        let room = self.rooms.entry(room).or_insert_with(|| Room {
            speakers: Speakers::new(SpeakerSettings::default()),
            sources: 0,
        });
        room.sources += 1;
        room.speakers.add_source(SourceKey(source));
    }

    fn leave_room(&mut self, room_key: u64, source: u64) {
        let Some(room) = self.rooms.get_mut(&room_key) else { return };
        room.sources -= 1;
        room.speakers.remove_source(SourceKey(source));
        if room.sources == 0 {
            self.rooms.remove(&room_key);
        }
    }
}
