//! A shard's calls, their clients, and a network that delivers at once.

use std::net::SocketAddr;

use ringway_abi::call::{
    CallCommand, CallEvent, Codec, Layer, PAYLOADS, Payload, RouteSpec, Service, SourceKind,
    SourceSpec, Text, feedback,
};
use ringway_abi::message::Outcome;
use ringway_shard::call::Calls;
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, SocketId};
use ringway_shard::shard::Counters;
use ringway_shard::sockets::{OpenError, Opened, Sockets};

use crate::peer::{Peer, abi_credentials, abi_fingerprint, contexts, server_address};

pub(crate) const MS: u64 = 1_000_000;

/// Payload types that all peers use.
pub(crate) const OPUS: u8 = 111;
pub(crate) const VP8: u8 = 96;
pub(crate) const VP8_RTX: u8 = 97;
pub(crate) const H264: u8 = 102;
pub(crate) const PCMU: u8 = 0;

/// What payloads end in that the shard has made up.
pub(crate) const TRAILER: &[u8] = b"made by SFU!";

/// The shard's calls and their clients.
pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) calls: Calls,
    pub(crate) counters: Counters,
    pub(crate) peers: Vec<Peer>,
    pub(crate) events: Vec<CallEvent>,
    batch: Batch,
}

struct Ports;

impl Sockets for Ports {
    type Handle = ();

    fn open(&mut self, address: SocketAddr) -> Result<Opened<()>, OpenError> {
        Ok(Opened { id: SocketId::new(0, 1), handle: (), address })
    }

    fn adopt(&mut self, (): &()) -> Result<SocketId, OpenError> {
        Err(OpenError::TableFull)
    }

    fn listen(&mut self, _: SocketAddr) -> Result<SocketAddr, OpenError> {
        Err(OpenError::NotAvailable)
    }

    fn close(&mut self, _: SocketId) {}
}

/// Any payload type with all feedback.
pub(crate) fn payload(payload_type: u8, codec: Codec, rtx: Option<u8>, clock_hz: u32) -> Payload {
    let feedback = feedback::NACK | feedback::PLI | feedback::FIR | feedback::TRANSPORT_CC;
    let rtx_payload_type = rtx.unwrap_or(u8::MAX);
    Payload { payload_type, codec, rtx_payload_type, feedback, clock_hz }
}

/// What peers agree on unless a test says otherwise.
pub(crate) fn usual_payloads() -> [Payload; PAYLOADS] {
    let mut payloads = [Payload::UNUSED; PAYLOADS];
    payloads[0] = payload(OPUS, Codec::Opus, None, 48_000);
    payloads[1] = payload(VP8, Codec::Vp8, Some(VP8_RTX), 90_000);
    payloads[2] = payload(H264, Codec::H264, None, 90_000);
    payloads[3] = payload(PCMU, Codec::Pcmu, None, 8_000);
    payloads
}

/// Served in full.
pub(crate) const ALL: Service =
    Service { paused: false, max_layer: 2, max_temporal: 3, priority: 1 };

/// A source of one layer with a known SSRC.
pub(crate) fn source(key: u64, transport: u64, kind: SourceKind, ssrc: u32) -> SourceSpec {
    let mut layers = [Layer::ANY; 3];
    layers[0] =
        Layer { rid: Text::EMPTY, ssrc: Some(ssrc), rtx_ssrc: Some(ssrc + 1), fec_ssrc: None };
    SourceSpec {
        source: key,
        transport,
        room: 1,
        kind,
        mid: Text::new(b"0").expect("short"),
        layers,
        layer_count: 1,
        muted: false,
        encrypted: false,
    }
}

/// A route under `ssrc`, with RTX under the next one where there is a payload type for it.
pub(crate) fn route(
    key: u64,
    source: u64,
    transport: u64,
    payload_type: u8,
    ssrc: u32,
) -> RouteSpec {
    RouteSpec {
        route: key,
        source,
        home: 0,
        kind: match payload_type {
            OPUS | PCMU => SourceKind::Audio,
            _ => SourceKind::Camera,
        },
        transport,
        ssrc,
        rtx_ssrc: (payload_type == VP8).then_some(ssrc + 1),
        payload_type,
        red_payload_type: u8::MAX,
        rtx_payload_type: if payload_type == VP8 { VP8_RTX } else { u8::MAX },
        mid: Text::EMPTY,
        cname: Text::new(b"PA_1|camera").expect("room"),
        service: ALL,
        playout: None,
        encrypted: false,
        cut_trailer: false,
        announce: false,
    }
}

/// An RTP packet without extensions.
pub(crate) fn rtp(
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x80, 0x80 | payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// One packet with a whole VP8 frame under picture id `id`.
pub(crate) fn vp8(id: u16, key: bool) -> Vec<u8> {
    let [high, low] = (0x8000 | id).to_be_bytes();
    vec![0x90, 0x80, high, low, u8::from(!key), 1, 2, 3, 4]
}

impl World {
    /// `peers` clients, 1 and up, that are not connected yet.
    pub(crate) fn strangers(peers: u64) -> Self {
        let now = Now { mono_ns: 1_000 * MS, unix_ns: 1_800_000_000_000 * MS };
        let mut world = Self {
            now,
            calls: Calls::new(Some(contexts()[0].clone()), 7),
            counters: Counters::default(),
            peers: Vec::new(),
            events: Vec::new(),
            batch: Batch::with_capacity(256, 4096, 512 * 1024),
        };
        world.ask(CallCommand::OpenMedia { udp: server_address() });
        for key in 1..=peers {
            world.open(key);
        }
        world
    }

    /// `peers` clients that are connected.
    pub(crate) fn connected(peers: u64) -> Self {
        let mut world = Self::strangers(peers);
        world.pass(500);
        let connected = |event: &&CallEvent| matches!(event, CallEvent::Connected { .. });
        assert_eq!(world.events.iter().filter(connected).count() as u64, peers);
        world.events.clear();
        world
    }

    /// Opens transport `key` with a client that waits for the shard to begin DTLS.
    pub(crate) fn open_waiting(&mut self, transport: u64) {
        self.open(transport);
        self.ask(CallCommand::BeginDtls { transport });
        let now_ns = self.now.mono_ns;
        *self.peer(transport) = Peer::waiting(transport, now_ns);
    }

    /// Opens transport `key` with a client that wants to connect.
    pub(crate) fn open(&mut self, transport: u64) {
        let local = abi_credentials(transport, "server");
        let trailer = Text::new(TRAILER).expect("room");
        self.ask(CallCommand::OpenTransport { transport, local, lite: true, trailer });
        let remote = abi_credentials(transport, "client");
        let fingerprint = abi_fingerprint();
        self.ask(CallCommand::SetRemote { transport, remote, fingerprint });
        let payloads = usual_payloads();
        self.ask(CallCommand::SetPayloads { transport, first: true, payloads });
        self.peers.push(Peer::new(transport, self.now.mono_ns));
    }

    /// Asks the shard for something that it must accept.
    pub(crate) fn ask(&mut self, command: CallCommand) {
        let (answer, _) = self.calls.apply(self.now, command, &mut Ports);
        assert!(matches!(answer, Ok(Outcome::Accepted | Outcome::Media { .. })), "{command:?}");
    }

    pub(crate) fn peer(&mut self, key: u64) -> &mut Peer {
        self.peers.iter_mut().find(|peer| peer.key == key).expect("a known peer")
    }

    /// Lets the shard take a datagram from a client.
    pub(crate) fn arrive(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.arrive_late(from, bytes, 0);
    }

    /// Lets the shard take a datagram that the kernel has had for so long.
    fn arrive_late(&mut self, from: SocketAddr, bytes: &[u8], ms: u64) {
        let (now, counters) = (self.now, &mut self.counters);
        let kernel_ns = now.unix_ns - ms * 1_000_000;
        self.calls.handle_datagram(now, 0, from, kernel_ns, bytes, counters);
    }

    /// A client sends an RTP packet.
    pub(crate) fn send(&mut self, key: u64, packet: &[u8]) {
        let peer = self.peer(key);
        let (from, sealed) = (peer.address, peer.seal(packet));
        self.arrive(from, &sealed);
        self.settle();
    }

    /// A client sends RTCP.
    pub(crate) fn send_rtcp(&mut self, key: u64, packet: &[u8]) {
        self.send_rtcp_late(key, packet, 0);
    }

    /// A client has sent RTCP so long ago, and the shard looks only now.
    pub(crate) fn send_rtcp_late(&mut self, key: u64, packet: &[u8], ms: u64) {
        let peer = self.peer(key);
        let (from, sealed) = (peer.address, peer.seal_rtcp(packet));
        self.arrive_late(from, &sealed, ms);
        self.settle();
    }

    /// Lets time pass, a few milliseconds at once.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.settle();
        for _ in 0..ms.div_ceil(5) {
            self.now.mono_ns += 5 * MS;
            self.now.unix_ns += 5 * MS;
            self.settle();
        }
    }

    /// Delivers until nobody has anything to send.
    pub(crate) fn settle(&mut self) {
        self.calls.handle_time(self.now, &mut self.counters);
        self.calls.handle_shards(self.now, &mut self.counters);
        loop {
            let mut moved = false;
            for at in 0..self.peers.len() {
                let address = self.peers[at].address;
                for datagram in self.peers[at].poll(self.now.mono_ns) {
                    self.arrive(address, &datagram);
                    moved = true;
                }
            }
            loop {
                let more = self.calls.poll_transmit(self.now, &mut self.batch, &mut self.counters);
                moved |= self.deliver();
                if !more {
                    break;
                }
            }
            self.calls.take_deliveries(|_| {});
            self.events.extend(std::iter::from_fn(|| self.calls.poll_event()));
            if !moved {
                return;
            }
        }
    }

    /// A turn of the shard alone: what it sends goes nowhere. Gives the packets.
    #[allow(dead_code)] // Only `allocations.rs` has no use for peers.
    pub(crate) fn turn(&mut self) -> usize {
        let mut packets = 0;
        self.now.mono_ns += MS;
        self.now.unix_ns += MS;
        self.calls.handle_time(self.now, &mut self.counters);
        loop {
            let more = self.calls.poll_transmit(self.now, &mut self.batch, &mut self.counters);
            packets += self.batch.runs().iter().map(|run| usize::from(run.packets)).sum::<usize>();
            self.batch.clear();
            self.calls.take_deliveries(|_| {});
            if !more {
                break;
            }
        }
        while self.calls.poll_event().is_some() {}
        packets
    }

    fn deliver(&mut self) -> bool {
        let mut datagrams = Vec::new();
        for run in self.batch.runs() {
            let pieces = &self.batch.pieces()[run.first as usize..run.end as usize];
            let octets: Vec<u8> = pieces
                .iter()
                .flat_map(|p| &self.batch.scratch()[p.offset as usize..][..p.len as usize])
                .copied()
                .collect();
            let segment = if run.segment == 0 { octets.len() } else { run.segment.into() };
            for datagram in octets.chunks(segment.max(1)) {
                datagrams.push((run.to.socket_addr(), datagram.to_vec()));
            }
        }
        self.batch.clear();
        for (to, datagram) in &datagrams {
            if let Some(peer) = self.peers.iter_mut().find(|peer| peer.address == *to) {
                peer.take(self.now.mono_ns, datagram.clone());
            }
        }
        !datagrams.is_empty()
    }
}
