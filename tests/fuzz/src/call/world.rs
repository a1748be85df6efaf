//! One shard's calls with a publisher and two subscribers, all connected.

use std::collections::HashMap;
use std::net::SocketAddr;

use ringway_abi::call::{
    CallCommand, Codec, DataOpening, DataSpec, EXTENSION_KINDS, Fingerprint, HashAlgorithm,
    IceCredentials, LAYERS, Layer, PAYLOADS, Payload, PlayoutBounds, RouteSpec, Service,
    SourceKind, SourceSpec, Text, data_rights, feedback,
};
use ringway_proto::dtls::{DtlsConfig, DtlsContext, DtlsRole};
use ringway_proto::ice::{self, IceAgent, Path, PathProtocol};
use ringway_proto::sctp::{Association, Incoming, Label, Opening};
use ringway_proto::srtp::{PacketIndex, RtpParts};
use ringway_proto::transport::{Received, Transport, TransportConfig, TransportEvent};
use ringway_shard::call::Calls;
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, SCRATCH, SocketId};
use ringway_shard::shard::Counters;
use ringway_shard::sockets::{OpenError, Opened, Sockets};
use ringway_wire::data_packet::DataPacketView;
use ringway_wire::data_track::DataTrackView;
use ringway_wire::rtcp::Compound;
use ringway_wire::rtp::RtpView;
use ringway_wire::sniff::{Protocol, sniff};

/// The publisher and two subscribers.
pub(super) const CLIENTS: usize = 3;
/// The client that has a channel of its own and gets bytes over it.
const BARE: usize = 2;
/// SSRCs of the camera's layers; those of repetitions are 10 more.
pub(super) const VIDEO_SSRC: u32 = 100;
/// SSRC of the microphone.
pub(super) const SOUND_SSRC: u32 = 200;
/// The control plane's names of camera and microphone.
pub(super) const SOURCES: [u64; 2] = [1, 2];

const MS: u64 = 1_000_000;
const START_NS: u64 = 1 << 40;
/// Datagrams that one step may set off: a turn of packets to two subscribers, and repetitions.
const SENT_MAX: usize = 600;
/// Inputs that one world lasts for.
const INPUTS_MAX: u32 = 2_000;

struct Numbers(u32);

impl Sockets for Numbers {
    type Handle = u32;

    fn open(&mut self, address: SocketAddr) -> Result<Opened<u32>, OpenError> {
        let id = self.adopt(&0)?;
        Ok(Opened { id, handle: 0, address })
    }

    fn adopt(&mut self, _: &u32) -> Result<SocketId, OpenError> {
        self.0 += 1;
        Ok(SocketId::new(self.0 - 1, 1))
    }

    fn listen(&mut self, _: SocketAddr) -> Result<SocketAddr, OpenError> {
        Err(OpenError::NotAvailable)
    }

    fn close(&mut self, _: SocketId) {}
}

pub(super) struct World {
    pub(super) clients: Vec<Transport>,
    data: Vec<Association>,
    /// Data messages that clients got since the input began.
    messages: usize,
    calls: Calls,
    counters: Counters,
    sockets: Numbers,
    batch: Batch,
    now: Now,
    /// By client and SSRC, the next number with wraps counted.
    next: HashMap<(usize, u32), u64>,
    /// By receiver, SSRC and number, the octets that had it.
    used: HashMap<(SocketAddr, u32, u16), Vec<u8>>,
    inputs: u32,
}

pub(super) fn server() -> SocketAddr {
    ([192, 0, 2, 1], 7882).into()
}

pub(super) fn address(client: usize) -> SocketAddr {
    ([198, 51, 100, client as u8 + 1], 50_000).into()
}

fn names(side: &str, client: usize) -> (String, String) {
    (format!("{side}{client}"), format!("{side}{client}/password+of+one+end"))
}

fn ice_credentials(side: &str, client: usize) -> ice::IceCredentials {
    let (ufrag, password) = names(side, client);
    ice::IceCredentials::new(ufrag.as_bytes(), password.as_bytes()).expect("valid")
}

pub(super) fn abi_credentials(side: &str, client: usize) -> IceCredentials {
    let (ufrag, password) = names(side, client);
    let ufrag = Text::new(ufrag.as_bytes()).expect("room");
    IceCredentials { ufrag, password: Text::new(password.as_bytes()).expect("room") }
}

fn to_server() -> Path {
    Path { remote: server(), protocol: PathProtocol::Udp, socket: 0 }
}

impl World {
    pub(super) fn new() -> Self {
        let contexts = [0, 1]
            .map(|_| DtlsContext::new(&DtlsConfig::default(), 1_800_000_000).expect("a context"));
        let clients = (0..CLIENTS).map(|client| {
            let ice = IceAgent::client(&ice_credentials("client", client), client as u64 + 1);
            let (dtls, dtls_role) = (contexts[1].clone(), DtlsRole::Client);
            let mut transport = Transport::new(TransportConfig { ice, dtls, dtls_role });
            let theirs = ice_credentials("server", client);
            transport.set_remote(START_NS, &theirs, *contexts[0].fingerprint());
            transport.add_remote_candidate(to_server());
            transport
        });
        let mut world = Self {
            clients: clients.collect(),
            data: (0..CLIENTS).map(|_| Association::new(START_NS, Opening::Ours)).collect(),
            messages: 0,
            calls: Calls::new(Some(contexts[0].clone()), 7),
            counters: Counters::default(),
            sockets: Numbers(0),
            batch: Batch::with_capacity(256, 4096, 65_536),
            now: Now { mono_ns: START_NS, unix_ns: 1 << 60 },
            next: HashMap::new(),
            used: HashMap::new(),
            inputs: 0,
        };
        world.command(CallCommand::OpenMedia { udp: server() });
        for client in 0..CLIENTS {
            let transport = client as u64 + 1;
            let local = abi_credentials("server", client);
            let trailer = Text::new(b"twelve bytes").expect("room");
            world.command(CallCommand::OpenTransport { transport, local, lite: true, trailer });
            let hash = Text::new(contexts[1].fingerprint().bytes()).expect("room");
            let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, hash };
            let remote = abi_credentials("client", client);
            world.command(CallCommand::SetRemote { transport, remote, fingerprint });
        }
        (0..CLIENTS).for_each(|client| world.set_data(client, 0xf));
        (0..300).for_each(|_| world.pass(10));
        assert!(world.clients.iter().all(Transport::is_connected));
        assert!(world.data.iter().all(|data| data.is_open(Label::Reliable)));
        world.data[BARE].open_own();
        world.pump_data(BARE);
        (0..10).for_each(|_| world.pass(10));
        assert!(world.data[BARE].is_open(Label::Own));
        world
    }

    pub(super) fn is_fresh_enough(&self) -> bool {
        let connected = self.clients.iter().all(Transport::is_connected);
        let open = |data: &Association| data.is_open(Label::Reliable);
        self.inputs < INPUTS_MAX && connected && self.data.iter().all(open)
    }

    /// Data messages that clients got since the input began.
    #[cfg(test)]
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    /// Packets of media that went out since the input began.
    #[cfg(test)]
    pub(super) fn sent(&self) -> usize {
        self.used.len()
    }

    /// Sources and routes as every input finds them.
    pub(super) fn begin(&mut self) {
        self.inputs += 1;
        self.used.clear();
        self.messages = 0;
        for client in 0..CLIENTS {
            let transport = client as u64 + 1;
            let bare = if client == BARE { data_rights::BARE } else { 0 };
            self.set_data(client, data_rights::PUBLISH | data_rights::DELIVER | bare);
            let track = u64::from(client == 0);
            self.command(CallCommand::SetDataTrack { transport, handle: 1, track });
            let track = u64::from(client == 1);
            self.command(CallCommand::SetDataRoute { transport, handle: 9, track, home: 0 });
        }
        for client in 0..CLIENTS as u64 {
            let transport = client + 1;
            let payloads = payloads();
            self.command(CallCommand::SetPayloads { transport, first: true, payloads });
            let mut ids = [0; EXTENSION_KINDS];
            ids.iter_mut().zip(1..).for_each(|(id, number)| *id = number);
            self.command(CallCommand::SetExtensions { transport, ids });
            self.command(CallCommand::SetRtcp { transport, reduced_size: client == 1 });
        }
        for spec in [camera(), microphone()] {
            self.command(CallCommand::AddSource(spec));
        }
        for subscriber in 1..CLIENTS {
            for source in SOURCES {
                self.command(CallCommand::AddRoute(route(subscriber, source)));
            }
        }
        self.turn();
    }

    /// Nothing is left of the input.
    pub(super) fn end(&mut self) {
        for source in SOURCES {
            self.command(CallCommand::RemoveSource { source });
        }
        self.pass(20);
        assert_eq!(self.calls.fan_out(), 0);
    }

    /// A source as it was, with another kind, other layers and other SSRCs.
    pub(super) fn changed_source(&self, source: u64, b: u8, c: u8, names: &[u8]) -> CallCommand {
        let mut spec = if source == SOURCES[0] { camera() } else { microphone() };
        spec.layer_count = b >> 4;
        spec.muted = b & 1 == 1;
        spec.transport = 1 + u64::from(b >> 2 & 1);
        for (at, layer) in spec.layers.iter_mut().enumerate() {
            if c >> at & 1 == 1 {
                layer.ssrc = layer.ssrc.map(|ssrc| ssrc ^ u32::from(c >> 4));
                layer.rid = Text::new(names.get(at..=at).unwrap_or(&[])).unwrap_or(Text::EMPTY);
            }
        }
        CallCommand::AddSource(spec)
    }

    pub(super) fn command(&mut self, command: CallCommand) {
        let _ = self.calls.apply(self.now, command, &mut self.sockets);
    }

    pub(super) fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        let (now, counters) = (self.now, &mut self.counters);
        self.calls.handle_datagram(now, 0, from, now.unix_ns, bytes, counters);
    }

    /// Seals an RTP packet of which only the sequence number is not the caller's, `skip` numbers
    /// after the last of its SSRC.
    pub(super) fn send_rtp(&mut self, client: usize, packet: &mut [u8], skip: u16) {
        let Ok(view) = RtpView::parse(packet) else { return };
        let (ssrc, header_len) = (view.ssrc(), view.header_len());
        let number = self.next.entry((client, ssrc)).or_insert(65_000);
        *number += 1 + u64::from(skip);
        let number = *number;
        packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        let (header, payload) = packet.split_at(header_len);
        let parts = RtpParts { header, payload, ..RtpParts::default() };
        let index = PacketIndex::new((number >> 16) as u32, number as u16);
        let mut out = [0; 2000];
        if let Some(Ok(len)) = self.clients[client].seal_rtp_into(index, &parts, &mut out) {
            self.receive(address(client), &out[..len]);
        }
    }

    pub(super) fn send_rtcp(&mut self, client: usize, rtcp: &[u8]) {
        let mut out = [0; 2000];
        if let Some(Ok(len)) = self.clients[client].seal_rtcp_into(rtcp, &mut out) {
            self.receive(address(client), &out[..len]);
        }
    }

    /// Tells what a client may do with data.
    pub(super) fn set_data(&mut self, client: usize, rights: u8) {
        let transport = client as u64 + 1;
        let part = Text::new(identity(client).as_bytes()).expect("room");
        self.command(CallCommand::NameData { transport, first: true, part });
        self.command(CallCommand::SetData(DataSpec {
            transport,
            room: 1,
            sid: Text::new(sid(client).as_bytes()).expect("room"),
            rights,
            opening: DataOpening::Client,
            slow_bps: if client == 0 { 0 } else { 100_000 },
        }));
    }

    /// A client sends a message, if its SCTP takes it.
    pub(super) fn send_data(&mut self, client: usize, label: Label, message: &[u8]) {
        let _ = self.data[client].send(self.now.mono_ns, label, message, false);
        self.pump_data(client);
    }

    /// What a client's SCTP has to say goes to the shard.
    fn pump_data(&mut self, client: usize) {
        let now_ns = self.now.mono_ns;
        let mut datagrams = Vec::new();
        while let Some(packet) = self.data[client].poll_packet() {
            let transport = &mut self.clients[client];
            transport.send_data(&packet);
            transport.run_dtls(now_ns);
            let mut out = [0; 1500];
            while let Some(sent) = transport.poll_transmit(now_ns, &mut out) {
                datagrams.push(out[..sent.len].to_vec());
            }
        }
        for datagram in datagrams {
            self.receive(address(client), &datagram);
        }
    }

    /// A message that a client got comes from somebody else who is there, and says so.
    fn judge_message(&mut self, client: usize, message: &Incoming) {
        self.messages += 1;
        if message.label == Label::DataTrack {
            DataTrackView::parse(&message.payload).expect("what is sent on is a packet of a track");
            return;
        }
        if message.label == Label::Own {
            // Bytes of an application's, of which nobody knows anything.
            return assert_eq!(client, BARE);
        }
        DataPacketView::parse(&message.payload).expect("what is sent on is a data packet");
        let mut others = (0..CLIENTS).filter(|other| *other != client);
        let signed = |other: usize| {
            let (sid, len) = (sid(other), message.payload.len());
            message.payload.windows(sid.len()).any(|part| part == sid.as_bytes()) && len > 0
        };
        assert!(others.any(signed), "{client} got what nobody sent");
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now.mono_ns += ms * MS;
        self.now.unix_ns += ms * MS;
        let now_ns = self.now.mono_ns;
        for client in 0..CLIENTS {
            let transport = &mut self.clients[client];
            if transport.deadline(now_ns).is_some_and(|due_ns| due_ns <= now_ns) {
                transport.handle_timeout(now_ns);
            }
            transport.run_dtls(now_ns);
            let mut out = [0; 1500];
            while let Some(sent) = self.clients[client].poll_transmit(now_ns, &mut out) {
                self.receive(address(client), &out[..sent.len]);
            }
            if self.data[client].deadline().is_some_and(|due_ns| due_ns <= now_ns) {
                self.data[client].handle_timeout(now_ns);
            }
            self.pump_data(client);
        }
        self.calls.handle_time(self.now, &mut self.counters);
        self.turn();
    }

    /// Gives everybody what the turn sends, and judges it.
    pub(super) fn turn(&mut self) {
        let mut sent = 0;
        loop {
            let more = self.calls.poll_transmit(self.now, &mut self.batch, &mut self.counters);
            for (to, datagram) in datagrams(&self.batch) {
                sent += 1;
                self.judge(to, datagram);
            }
            assert!(!more || !self.batch.is_empty(), "nothing fits into an empty batch");
            self.batch.clear();
            self.calls.take_deliveries(|_| {});
            if !more {
                break;
            }
        }
        assert!(sent <= SENT_MAX, "{sent} datagrams in a turn");
        while self.calls.poll_event().is_some() {}
        // Its acknowledgements are heard with the next turn.
        (0..CLIENTS).for_each(|client| self.pump_data(client));
    }

    fn judge(&mut self, to: SocketAddr, mut datagram: Vec<u8>) {
        let Some(client) = (0..CLIENTS).find(|client| address(*client) == to) else { return };
        if sniff(&datagram) == Protocol::Rtp {
            // Padding is sealed too, so the header must do.
            let head = datagram.first_chunk::<12>().expect("a header");
            let ssrc = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
            let key = (to, ssrc, u16::from_be_bytes([head[2], head[3]]));
            let before = self.used.entry(key).or_insert_with(|| datagram.clone());
            assert!(*before == datagram, "{key:?} stands for two packets");
        }
        let now_ns = self.now.mono_ns;
        match self.clients[client].handle_datagram(now_ns, to_server(), &mut datagram) {
            Received::Rtp(opened) => {
                RtpView::parse(&datagram[..opened.len]).expect("what is sent on is RTP");
            }
            Received::Rtcp(len) => {
                Compound::parse(&datagram[..len]).expect("what is said is RTCP");
            }
            _ => {}
        }
        self.clients[client].run_dtls(now_ns);
        while let Some(event) = self.clients[client].poll_event() {
            let TransportEvent::Data(packet) = event else { continue };
            self.data[client].handle_packet(now_ns, &packet);
            while let Some(message) = self.data[client].poll_message() {
                self.judge_message(client, &message);
            }
        }
    }
}

fn identity(client: usize) -> String {
    format!("client {client}")
}

fn sid(client: usize) -> String {
    format!("PA_{client}")
}

fn datagrams(batch: &Batch) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut found = Vec::new();
    for run in batch.runs() {
        let to = run.to.socket_addr();
        for piece in &batch.pieces()[run.first as usize..run.end as usize] {
            assert_eq!(piece.pool, SCRATCH);
            let octets = &batch.scratch()[piece.offset as usize..][..piece.len as usize];
            let segment = if run.segment == 0 { octets.len() } else { run.segment.into() };
            found.extend(octets.chunks(segment).map(|datagram| (to, datagram.to_vec())));
        }
    }
    found
}

pub(super) fn payloads() -> [Payload; PAYLOADS] {
    let codecs = [
        (96, Codec::Vp8, 90_000),
        (98, Codec::H264, 90_000),
        (100, Codec::Vp9, 90_000),
        (102, Codec::H265, 90_000),
        (104, Codec::Av1, 90_000),
        (111, Codec::Opus, 48_000),
        (63, Codec::Red, 48_000),
        (0, Codec::Pcmu, 8_000),
    ];
    let mut payloads = [Payload::UNUSED; PAYLOADS];
    for (place, (payload_type, codec, clock_hz)) in payloads.iter_mut().zip(codecs) {
        let rtx_payload_type = if clock_hz == 90_000 { payload_type + 1 } else { u8::MAX };
        let feedback = feedback::NACK | feedback::PLI | feedback::TRANSPORT_CC;
        *place = Payload { payload_type, codec, rtx_payload_type, feedback, clock_hz };
    }
    payloads
}

fn camera() -> SourceSpec {
    let layer = |at: u32| Layer {
        rid: Text::new(&[b"qhf"[at as usize]]).expect("room"),
        ssrc: Some(VIDEO_SSRC + at),
        rtx_ssrc: Some(VIDEO_SSRC + 10 + at),
        fec_ssrc: Some(VIDEO_SSRC + 20 + at),
    };
    SourceSpec {
        source: SOURCES[0],
        transport: 1,
        room: 1,
        kind: SourceKind::Camera,
        mid: Text::new(b"0").expect("room"),
        layers: [layer(0), layer(1), layer(2)],
        layer_count: 3,
        muted: false,
        encrypted: false,
    }
}

fn microphone() -> SourceSpec {
    let layer = Layer { ssrc: Some(SOUND_SSRC), ..Layer::ANY };
    SourceSpec {
        source: SOURCES[1],
        kind: SourceKind::Audio,
        mid: Text::new(b"1").expect("room"),
        layers: [layer; LAYERS],
        layer_count: 1,
        ..camera()
    }
}

pub(super) fn route(subscriber: usize, source: u64) -> RouteSpec {
    let route = 10 * subscriber as u64 + source;
    let video = source == SOURCES[0];
    RouteSpec {
        route,
        source,
        home: 0,
        kind: if video { SourceKind::Camera } else { SourceKind::Audio },
        transport: subscriber as u64 + 1,
        ssrc: 0x1000 + route as u32,
        rtx_ssrc: video.then_some(0x2000 + route as u32),
        payload_type: if video { 96 } else { 111 },
        red_payload_type: if subscriber == 1 && !video { 63 } else { u8::MAX },
        rtx_payload_type: if video { 97 } else { u8::MAX },
        mid: Text::new(b"0").expect("room"),
        cname: Text::new(b"PA_1|camera").expect("room"),
        service: Service { paused: false, max_layer: 2, max_temporal: 3, priority: 1 },
        playout: video.then_some(PlayoutBounds { min_ms: 0, max_ms: 100, adapts: true }),
        encrypted: false,
        cut_trailer: video,
        announce: false,
    }
}
