//! A call in full flow: a camera with three layers, another with three in one stream and a
//! microphone to many viewers, loss on both sides, every kind of feedback; and what strangers send
//! to the media socket.

use std::net::SocketAddr;

use ringway_abi::call::{
    self as abi, CallCommand, Fingerprint, IceCredentials, Layer, Payload, RouteSpec, Service,
    SourceKind, SourceSpec, Text,
};
use ringway_abi::counters::Counter;
use ringway_abi::message::Command;
use ringway_proto::dtls::{DtlsConfig, DtlsContext, DtlsRole};
use ringway_proto::ice::{self, IceAgent, Path, PathProtocol};
use ringway_proto::srtp::{PacketIndex, RtpParts};
use ringway_proto::transport::{Transport, TransportConfig};
use ringway_shard::call::Calls;
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, SCRATCH, SocketId};
use ringway_shard::handoff;
use ringway_shard::shard::{Datagram, Shard, ShardConfig};
use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};
use ringway_wire::ntp;
use ringway_wire::rtcp::{NackEntry, Pli, ReceiverReport, ReportBlock, SenderReport, write};
use ringway_wire::sniff::{Protocol, sniff};

use super::{ALLOCATIONS, Numbers, Unread};

const VIEWERS: usize = 12;
const VIDEO_SSRC: u32 = 1000;
const SOUND_SSRC: u32 = 2000;
const LAYERED_SSRC: u32 = 3000;
/// Repairs of the layered stream, one packet each.
const FEC_SSRC: u32 = 3001;
/// What follows the mandatory fields of a dependency descriptor: a structure of three spatial
/// layers (L3T1), for each a template of key frames and one of others.
const STRUCTURE: [u8; 24] = [
    0x80, 0x02, 0x22, 0x3a, 0xaa, 0x28, 0xa0, 0x82, 0x49, 0x04, 0xa0, 0x82, 0x50, 0x6b, 0x00, 0x03,
    0x21, 0x11, 0x11, 0x11, 0x21, 0x12, 0x11, 0x00,
];

const MS: u64 = 1_000_000;
const START_NS: u64 = 1 << 40;

fn server() -> SocketAddr {
    ([192, 0, 2, 1], 7882).into()
}

fn address(client: usize) -> SocketAddr {
    ([198, 51, 100, client as u8 + 1], 50_000).into()
}

fn ufrag(side: &str, client: usize) -> (String, String) {
    (format!("{side}{client}"), format!("{side}{client}/a+password+of+length"))
}

fn ice_credentials(side: &str, client: usize) -> ice::IceCredentials {
    let (ufrag, password) = ufrag(side, client);
    ice::IceCredentials::new(ufrag.as_bytes(), password.as_bytes()).expect("valid")
}

fn abi_credentials(side: &str, client: usize) -> IceCredentials {
    let (ufrag, password) = ufrag(side, client);
    let ufrag = Text::new(ufrag.as_bytes()).expect("room");
    IceCredentials { ufrag, password: Text::new(password.as_bytes()).expect("room") }
}

/// A shard with a call; the first client publishes, the others watch.
struct Call {
    shard: Shard<u32>,
    sockets: Numbers,
    batch: Batch,
    clients: Vec<Transport>,
    now: Now,
    turns: u64,
    /// Allocations that the shard made.
    allocations: u64,
    /// The last number that each viewer saw of its video.
    seen: Vec<u16>,
    sent: u64,
    /// Numbers of the publisher's streams, wraps counted: three layers, sound, three of RTX, and
    /// the one that holds layers.
    next: [u64; 9],
    layered_frame: u16,
    transport_sequence: u16,
}

impl Call {
    fn new(hold_ns: u64) -> Self {
        let contexts = [0, 1]
            .map(|_| DtlsContext::new(&DtlsConfig::default(), 1_800_000_000).expect("a context"));
        let peers = handoff::mesh(1, 64).pop().expect("one shard");
        let config = ShardConfig {
            index: 0,
            shards: 1,
            forwards: 1,
            destinations: 1,
            ports: (30_000, 39_999),
            seed: 1,
        };
        let mut shard = Shard::new(config, peers);
        shard.calls = Calls::new(Some(contexts[0].clone()), 7);
        shard.calls.hold_sound(hold_ns, 50);
        for _ in 0..100 {
            shard.calls.observe_busy(1_000);
        }
        let clients = (0..=VIEWERS)
            .map(|client| {
                let ice = IceAgent::client(&ice_credentials("client", client), client as u64 + 1);
                let dtls = contexts[1].clone();
                let dtls_role = DtlsRole::Client;
                let mut transport = Transport::new(TransportConfig { ice, dtls, dtls_role });
                let fingerprint = *contexts[0].fingerprint();
                transport.set_remote(START_NS, &ice_credentials("server", client), fingerprint);
                transport.add_remote_candidate(path_to_server());
                transport
            })
            .collect();
        let mut call = Self {
            shard,
            sockets: Numbers(0),
            batch: Batch::with_capacity(256, 4096, 65_536),
            clients,
            now: Now { mono_ns: START_NS, unix_ns: 1 << 60 },
            turns: 0,
            allocations: 0,
            seen: vec![0; VIEWERS + 1],
            sent: 0,
            next: [100; 9],
            layered_frame: 0,
            transport_sequence: 0,
        };
        call.command(CallCommand::OpenMedia { udp: server() });
        for client in 0..=VIEWERS {
            call.open(client, contexts[1].fingerprint().bytes());
        }
        call.publish();
        for client in 1..=VIEWERS {
            call.subscribe(client);
        }
        call
    }

    fn command(&mut self, call: CallCommand) {
        self.shard.handle_peers(self.now, &mut self.sockets);
        self.shard.apply(Command::Call { request: 1, call }, &mut self.sockets);
        self.drain_events();
    }

    fn open(&mut self, client: usize, fingerprint: &[u8]) {
        let transport = client as u64 + 1;
        let local = abi_credentials("server", client);
        let trailer = Text::EMPTY;
        self.command(CallCommand::OpenTransport { transport, local, lite: true, trailer });
        let hash = Text::new(fingerprint).expect("room");
        let fingerprint = Fingerprint { algorithm: abi::HashAlgorithm::Sha256, hash };
        let remote = abi_credentials("client", client);
        self.command(CallCommand::SetRemote { transport, remote, fingerprint });
        let mut payloads = [Payload::UNUSED; abi::PAYLOADS];
        let feedback = abi::feedback::NACK | abi::feedback::PLI | abi::feedback::TRANSPORT_CC;
        let unused = Payload { feedback, ..Payload::UNUSED };
        let codec = abi::Codec::Vp8;
        payloads[0] =
            Payload { payload_type: 96, codec, rtx_payload_type: 97, clock_hz: 90_000, ..unused };
        let codec = abi::Codec::Opus;
        payloads[1] = Payload { payload_type: 111, codec, clock_hz: 48_000, ..unused };
        let codec = abi::Codec::Av1;
        payloads[2] = Payload { payload_type: 98, codec, clock_hz: 90_000, ..unused };
        self.command(CallCommand::SetPayloads { transport, first: true, payloads });
        let ids = [1, 2, 3, 4, 5, 6, 0, 0, 9, 0, 0];
        self.command(CallCommand::SetExtensions { transport, ids });
    }

    fn publish(&mut self) {
        let layer = |at: u32| Layer {
            ssrc: Some(VIDEO_SSRC + at),
            rtx_ssrc: Some(VIDEO_SSRC + 100 + at),
            ..Layer::ANY
        };
        let video = SourceSpec {
            source: 1,
            transport: 1,
            room: 1,
            kind: SourceKind::Camera,
            mid: Text::new(b"0").expect("room"),
            layers: [layer(0), layer(1), layer(2)],
            layer_count: 3,
            muted: false,
            encrypted: false,
        };
        self.command(CallCommand::AddSource(video));
        let layer = Layer { ssrc: Some(SOUND_SSRC), ..Layer::ANY };
        self.command(CallCommand::AddSource(SourceSpec {
            source: 2,
            kind: SourceKind::Audio,
            mid: Text::new(b"1").expect("room"),
            layers: [layer, Layer::ANY, Layer::ANY],
            layer_count: 1,
            ..video
        }));
        let (ssrc, fec_ssrc) = (Some(LAYERED_SSRC), Some(FEC_SSRC));
        let layer = Layer { ssrc, fec_ssrc, ..Layer::ANY };
        self.command(CallCommand::AddSource(SourceSpec {
            source: 3,
            mid: Text::new(b"2").expect("room"),
            layers: [layer, Layer::ANY, Layer::ANY],
            layer_count: 1,
            ..video
        }));
    }

    fn subscribe(&mut self, client: usize) {
        let tracks = [(1, 96, 97), (2, 111, u8::MAX), (3, 98, u8::MAX)];
        for (source, payload_type, rtx_payload_type) in tracks {
            let route = (client * 10 + source) as u64;
            self.command(CallCommand::AddRoute(RouteSpec {
                route,
                source: source as u64,
                home: 0,
                kind: if source == 1 { SourceKind::Camera } else { SourceKind::Audio },
                transport: client as u64 + 1,
                ssrc: 0x1_0000 + route as u32,
                rtx_ssrc: (source == 1).then_some(0x2_0000 + route as u32),
                payload_type,
                red_payload_type: u8::MAX,
                rtx_payload_type,
                mid: Text::new(b"0").expect("room"),
                cname: Text::new(b"PA_1|camera").expect("room"),
                service: service(2, 3),
                playout: None,
                encrypted: false,
                cut_trailer: false,
                announce: false,
            }));
        }
    }

    /// Counts what `run` allocates.
    fn count(&mut self, run: impl FnOnce(&mut Shard<u32>, &mut Numbers, Now, &mut Batch)) {
        let before = ALLOCATIONS.get();
        run(&mut self.shard, &mut self.sockets, self.now, &mut self.batch);
        self.allocations += ALLOCATIONS.get() - before;
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        let kernel_ns = self.now.unix_ns;
        self.count(|shard, _, now, _| {
            shard.handle_datagram(
                now,
                &Datagram {
                    socket: SocketId::new(0, 1),
                    from,
                    buffer: 0,
                    offset: 0,
                    kernel_ns,
                    truncated: false,
                    queue_drops: 0,
                    bytes,
                },
            );
        });
    }

    fn drain_events(&mut self) {
        while self.shard.next_event().is_some() {
            self.shard.event_sent();
        }
    }

    /// What a turn sends, and what clients have to say without being asked.
    fn turn(&mut self) {
        self.turns += 1;
        self.now.mono_ns += 10 * MS;
        self.now.unix_ns += 10 * MS;
        for client in 0..self.clients.len() {
            let now_ns = self.now.mono_ns;
            let transport = &mut self.clients[client];
            if transport.deadline(now_ns).is_some_and(|due_ns| due_ns <= now_ns) {
                transport.handle_timeout(now_ns);
            }
            transport.run_dtls(now_ns);
            let mut out = [0; 1500];
            while let Some(sent) = self.clients[client].poll_transmit(now_ns, &mut out) {
                self.receive(address(client), &out[..sent.len]);
            }
        }
        self.count(|shard, sockets, now, _| shard.handle_peers(now, sockets));
        if self.turns.is_multiple_of(2) {
            let ticks = self.turns / 2;
            self.count(|shard, _, now, _| shard.handle_tick(now, ticks, &mut Unread));
        }
        loop {
            let mut more = false;
            self.count(|shard, _, now, batch| more = shard.poll_transmit(now, batch));
            self.deliver();
            self.batch.clear();
            self.count(|shard, _, _, _| shard.take_deliveries(|_, _| {}));
            if !more {
                break;
            }
        }
        self.count(|shard, _, _, _| {
            shard.end_turn();
            while shard.next_event().is_some() {
                shard.event_sent();
            }
        });
    }

    /// Gives clients what was sent to them.
    fn deliver(&mut self) {
        for run in self.batch.runs() {
            let to = run.to.socket_addr();
            let Some(client) = (0..=VIEWERS).find(|client| address(*client) == to) else {
                panic!("{to} is sent to");
            };
            for piece in &self.batch.pieces()[run.first as usize..run.end as usize] {
                assert_eq!(piece.pool, SCRATCH);
                let octets = &self.batch.scratch()[piece.offset as usize..][..piece.len as usize];
                let segment = if run.segment == 0 { octets.len() } else { run.segment.into() };
                for datagram in octets.chunks(segment) {
                    self.sent += 1;
                    if sniff(datagram) == Protocol::Rtp && datagram[1] & 0x7f == 96 {
                        self.seen[client] = u16::from_be_bytes([datagram[2], datagram[3]]);
                    }
                    let mut datagram = datagram.to_vec();
                    let path = path_to_server();
                    self.clients[client].handle_datagram(self.now.mono_ns, path, &mut datagram);
                }
            }
        }
    }

    /// Sends a packet of the publisher's stream `stream`; `lost` packets only take a number.
    fn send(&mut self, stream: usize, fields: &HeadFields, payload: &[u8], lost: bool) {
        self.send_described(stream, fields, &[], payload, lost);
    }

    /// The same with a dependency descriptor, unless that is empty.
    fn send_described(
        &mut self,
        stream: usize,
        fields: &HeadFields,
        descriptor: &[u8],
        payload: &[u8],
        lost: bool,
    ) {
        let number = self.next[stream];
        self.next[stream] += 1;
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let mut header = [0; 100];
        let fields = HeadFields { sequence: number as u16, ..*fields };
        let mut head =
            HeadWriter::begin(&mut header, &fields, &[], HeadForm::TwoByte).expect("room");
        if !descriptor.is_empty() {
            head.put(9, descriptor);
        }
        head.put(6, &self.transport_sequence.to_be_bytes());
        head.put(4, &[0x80 | 20]);
        let len = head.end();
        let parts = RtpParts { header: &header[..len], payload, ..RtpParts::default() };
        let index = PacketIndex::new((number >> 16) as u32, number as u16);
        let mut out = [0; 1500];
        let sealed = self.clients[0].seal_rtp_into(index, &parts, &mut out);
        let len = sealed.expect("keys").expect("sealed");
        if !lost {
            self.receive(address(0), &out[..len]);
        } else if fields.ssrc == LAYERED_SSRC {
            self.repair(number as u16, &[parts.header, payload].concat());
        }
    }

    /// Sends what `packet` of the layered stream is recovered from.
    fn repair(&mut self, sequence: u16, packet: &[u8]) {
        let length = packet.len() as u16 - 12;
        let repair = [
            &[packet[0] & 0x3f, packet[1]][..],
            &length.to_be_bytes(),
            &packet[4..8],
            &[1, 0, 0, 0],
            &LAYERED_SSRC.to_be_bytes(),
            &sequence.to_be_bytes(),
            &[0xc0, 0],
            &packet[12..],
        ];
        let fields = HeadFields { payload_type: 115, ssrc: FEC_SSRC, ..HeadFields::default() };
        self.send(8, &fields, &repair.concat(), false);
    }

    fn rtcp(&mut self, client: usize, octets: &[u8]) {
        let mut out = [0; 1500];
        let sealed = self.clients[client].seal_rtcp_into(octets, &mut out);
        let len = sealed.expect("keys").expect("sealed");
        self.receive(address(client), &out[..len]);
    }

    /// A picture of each layer, a packet of sound; some are lost, and come again as RTX.
    fn media(&mut self) {
        let now_ms = self.now.mono_ns / MS;
        for layer in 0..3 {
            let key = self.turns.is_multiple_of(100);
            for packet in 0..=2 * layer {
                let mut payload = [7; 1000];
                let start = if packet == 0 { 0x10 } else { 0 };
                let picture = self.turns as u16 & 0x7fff;
                payload[..2].copy_from_slice(&[0x80 | start, 0xf0]);
                payload[2..4].copy_from_slice(&(0x8000 | picture).to_be_bytes());
                let temporal = [0, 2, 1, 2][self.turns as usize % 4];
                payload[4..7].copy_from_slice(&[
                    (picture / 4) as u8,
                    temporal << 6,
                    u8::from(!key),
                ]);
                let fields = HeadFields {
                    marker: packet == 2 * layer,
                    payload_type: 96,
                    timestamp: now_ms as u32 * 90,
                    ssrc: VIDEO_SSRC + layer as u32,
                    ..HeadFields::default()
                };
                let lost = (self.turns + packet as u64).is_multiple_of(9);
                let original = self.next[layer] as u16;
                self.send(layer, &fields, &payload, lost);
                if lost {
                    payload.copy_within(..998, 2);
                    payload[..2].copy_from_slice(&original.to_be_bytes());
                    let ssrc = fields.ssrc + 100;
                    let fields = HeadFields { payload_type: 97, ssrc, ..fields };
                    self.send(4 + layer, &fields, &payload, false);
                }
            }
        }
        let fields = HeadFields {
            payload_type: 111,
            timestamp: now_ms as u32 * 48,
            ssrc: SOUND_SSRC,
            ..HeadFields::default()
        };
        self.send(3, &fields, &[9; 80], self.turns.is_multiple_of(13));
    }

    /// A picture of three layers in one stream, of two packets each.
    fn layered_media(&mut self) {
        let key = self.turns.is_multiple_of(100);
        for layer in 0..3_u8 {
            self.layered_frame = self.layered_frame.wrapping_add(1);
            for part in 0..2_u8 {
                let template = 2 * layer + u8::from(!key);
                let [high, low] = self.layered_frame.to_be_bytes();
                let mut descriptor = [0; 27];
                descriptor[..3].copy_from_slice(&[0x80 >> part | template, high, low]);
                descriptor[3..].copy_from_slice(&STRUCTURE);
                let begins = key && layer == 0 && part == 0;
                let descriptor = if begins { &descriptor[..] } else { &descriptor[..3] };
                let mut payload = [7; 700];
                payload[0] = 0x10 | u8::from(begins) << 3;
                let fields = HeadFields {
                    marker: layer == 2 && part == 1,
                    payload_type: 98,
                    timestamp: (self.now.mono_ns / MS) as u32 * 90,
                    ssrc: LAYERED_SSRC,
                    ..HeadFields::default()
                };
                let lost = !begins && (self.turns + u64::from(layer)).is_multiple_of(17);
                self.send_described(7, &fields, descriptor, &payload, lost);
            }
        }
    }

    fn publisher_reports(&mut self) {
        let mut out = [0; 200];
        for ssrc in [VIDEO_SSRC, VIDEO_SSRC + 1, VIDEO_SSRC + 2, SOUND_SSRC] {
            let ntp = ntp::from_unix_ns(self.now.unix_ns);
            let report = SenderReport { ssrc, ntp, rtp_timestamp: 1, ..SenderReport::default() };
            let len = write::write_sender_report(&mut out, &report, &[]).expect("room");
            self.rtcp(0, &out[..len]);
        }
    }

    /// NACKs, key frames, reports and estimates of every viewer.
    fn feedback(&mut self) {
        for client in 1..=VIEWERS {
            let mut out = [0; 400];
            let video = 0x1_0000 + (client * 10 + 1) as u32;
            let block = ReportBlock { ssrc: video, last_sr: 1, ..ReportBlock::default() };
            let report = ReceiverReport { ssrc: 1 };
            let mut len = write::write_receiver_report(&mut out, &report, &[block]).expect("room");
            let packet_id = self.seen[client].wrapping_sub(30);
            for media_ssrc in [video, video + 1, video + 2] {
                let entry = NackEntry { packet_id, bitmask: 0x00ff };
                len += write::write_nack(&mut out[len..], 1, media_ssrc, &[entry]).expect("room");
            }
            if self.turns.is_multiple_of(5) {
                let pli = Pli { sender_ssrc: 1, media_ssrc: video };
                len += write::write_pli(&mut out[len..], &pli).expect("room");
                len += write::write_remb(&mut out[len..], 1, 3_000_000, &[video]).expect("room");
            }
            self.rtcp(client, &out[..len]);
        }
    }

    fn flow(&mut self, turns: u64) {
        for _ in 0..turns {
            self.media();
            self.layered_media();
            if self.turns.is_multiple_of(3) {
                self.feedback();
            }
            if self.turns.is_multiple_of(50) {
                self.publisher_reports();
            }
            if self.turns.is_multiple_of(40) {
                let max_layer = (self.turns / 40 % 3) as u8;
                let service = service(max_layer, (self.turns / 80 % 4) as u8);
                for route in [11, 13] {
                    let call = CallCommand::SetRoute { route, service };
                    self.shard.apply(Command::Call { request: 1, call }, &mut self.sockets);
                }
            }
            self.turn();
        }
    }

    fn connect(&mut self) {
        for _ in 0..200 {
            self.turn();
        }
        assert!(self.clients.iter().all(Transport::is_connected));
    }
}

fn service(max_layer: u8, max_temporal: u8) -> Service {
    Service { paused: false, max_layer, max_temporal, priority: 1 }
}

fn path_to_server() -> Path {
    Path { remote: server(), protocol: PathProtocol::Udp, socket: 0 }
}

#[test]
fn a_call_in_full_flow_allocates_nothing() {
    full_flow(0);
}

#[test]
fn nor_does_one_whose_sound_waits() {
    let call = full_flow(2 * MS);
    assert!(call.shard.counters.get(Counter::HeldPackets) > 1000);
}

fn full_flow(hold_ns: u64) -> Call {
    let mut call = Call::new(hold_ns);
    call.connect();
    call.flow(600);
    assert!(call.allocations > 0, "the allocator counts");
    let (sent, rtcp) = (call.sent, call.shard.counters.get(Counter::RtcpSent));
    let recovered = call.shard.counters.get(Counter::FecRecovered);
    call.allocations = 0;
    call.flow(1200);
    let packets = 1200 * VIEWERS as u64;
    // First that something was measured at all: sound and more to each viewer.
    assert!(call.sent - sent > 3 * packets, "{} packets", call.sent - sent);
    assert!(call.shard.counters.get(Counter::RtcpSent) - rtcp > 500);
    assert!(call.shard.counters.get(Counter::FecRecovered) - recovered > 200);
    assert_eq!(call.allocations, 0, "allocations in 1200 turns");
    call
}

/// A check of `client`'s with something changed, and what comes of it.
fn check(name: &str, known: bool) -> Vec<u8> {
    let ours = ice::IceCredentials::new(b"stranger", b"a+password+nobody+was+told");
    let mut agent = IceAgent::client(&ours.expect("valid"), 9);
    let theirs = if known { "server1" } else { name };
    let theirs = ice::IceCredentials::new(theirs.as_bytes(), b"not+what+it+ought+to+be");
    agent.set_remote(&theirs.expect("valid"));
    agent.add_remote_candidate(path_to_server());
    let mut out = vec![0; 500];
    let sent = agent.poll_transmit(1, &mut out).expect("a check");
    out.truncate(sent.len);
    out
}

#[test]
fn strangers_cost_nothing_that_lasts() {
    let mut call = Call::new(0);
    call.connect();
    call.flow(50);
    let media = {
        let mut packet = vec![7; 1000];
        packet[..2].copy_from_slice(&[0x80, 96]);
        packet
    };
    let dtls = [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0][..], &[1; 256]].concat();
    // What, from where, under which reason it is counted, and how many answers it gets.
    let stranger: SocketAddr = ([203, 0, 113, 9], 9).into();
    let rows: [(&str, Vec<u8>, SocketAddr, Counter, u64); 8] = [
        ("a check for nobody", check("nobody", false), stranger, Counter::DropSource, 0),
        ("a check with a wrong password", check("", true), stranger, Counter::DropSource, 1),
        ("DTLS", dtls.clone(), stranger, Counter::DropSource, 0),
        ("media", media.clone(), stranger, Counter::DropSource, 0),
        ("RTCP", vec![0x80, 201, 0, 1, 0, 0, 0, 1], stranger, Counter::DropSource, 0),
        ("media under a peer's address", media, address(1), Counter::DropSource, 0),
        ("nothing", Vec::new(), stranger, Counter::DropSource, 0),
        ("something else", vec![0x40; 100], address(1), Counter::DropProtocol, 0),
    ];
    for (what, bytes, from, reason, answers) in rows {
        let counted = call.shard.counters.get(reason);
        call.allocations = 0;
        for _ in 0..1000 {
            call.receive(from, &bytes);
        }
        assert_eq!(call.allocations, 0, "{what}");
        assert_eq!(call.shard.counters.get(reason) - counted, 1000, "{what}");
        let mut sent = 0;
        call.count(|shard, _, now, batch| while shard.poll_transmit(now, batch) {});
        for run in call.batch.runs() {
            sent += u64::from(run.packets);
        }
        call.batch.clear();
        // However many came in a turn, one answer at most leaves with it.
        assert_eq!((call.allocations, sent), (0, answers), "{what}");
    }
}
