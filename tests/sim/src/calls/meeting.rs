//! A plane with peers, and the control plane's commands to it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;

use ringway_abi::call::{
    CallCommand, Codec, DataOpening, DataSpec, EXTENSION_KINDS, Fingerprint, HashAlgorithm,
    IceCredentials, LAYERS, Layer, PAYLOADS, Payload, RouteSpec, Service, SourceKey, SourceKind,
    SourceSpec, Text, TransportKey, data_rights, feedback,
};
use ringway_abi::message::{Command, Outcome, Refusal};
use ringway_proto::sctp::{Association, Label, Opening};
use ringway_shard::call::Calls;
use ringway_wire::sniff::{Protocol, sniff};

use super::camera::Camera;
use super::frame::{Coding, TRAILER};
use super::microphone::Microphone;
use super::peer::{Peer, client_fingerprint, credentials, server_context};
use super::publisher::Publisher;
use super::stream::Stream;
use super::viewer::Viewer;
use crate::network::Path;
use crate::plane::{HOST_V4, Plane, Setup};

/// Payload type of VP8; its repetitions have the next.
pub const VP8: u8 = 96;
/// Payload type of H.264; its repetitions have the next.
pub const H264: u8 = 102;
/// Payload type of Opus.
pub const OPUS: u8 = 111;
/// Extension id of the mid.
pub const MID: u8 = 1;
/// Extension id of the rid.
pub const RID: u8 = 2;
/// Extension id of the repaired rid.
pub const RTX_RID: u8 = 3;
/// Extension id of the audio level.
pub const LEVEL: u8 = 4;

/// Canonical name of all that viewers get.
pub const CNAME: &[u8] = b"PA_1|camera";

/// Everything, as well as it comes.
pub const ALL: Service = Service { paused: false, max_layer: 2, max_temporal: 3, priority: 1 };

/// A call.
pub struct Meeting {
    /// The data plane.
    pub plane: Plane,
    /// Who publishes.
    pub publishers: Vec<Publisher>,
    /// Who watches.
    pub viewers: Vec<Viewer>,
    /// Where the first shard takes media; the ports of the others follow.
    pub server: SocketAddr,
    /// The shard that serves whoever joins next.
    pub shard: u16,
    /// What paths between the server and new peers do.
    pub path: Path,
    seed: u64,
    next_key: u64,
    /// By SSRC and number, a hash of the packet that had it.
    used: HashMap<(u32, u16), u64>,
    /// SSRCs of which nothing may be sent.
    paused: HashSet<u32>,
    credentials: HashMap<TransportKey, (String, String)>,
    /// The shards of transports, sources and routes.
    shards: HashMap<u64, u16>,
}

impl Meeting {
    /// A server on one shard, and nobody there. New peers get `path`.
    pub fn new(seed: u64, path: Path) -> Self {
        Self::spread(seed, path, 1)
    }

    /// The same on several shards.
    pub fn spread(seed: u64, path: Path, shards: u16) -> Self {
        let mut plane = Plane::new(Setup::new(seed, shards));
        for machine in &mut plane.machines {
            machine.shard.calls = Calls::new(Some(server_context()), seed);
            machine.shard.join_calls();
        }
        let server = SocketAddr::new(HOST_V4, 7882);
        let mut meeting = Self {
            plane,
            publishers: Vec::new(),
            viewers: Vec::new(),
            server,
            shard: 0,
            path,
            seed,
            next_key: 1,
            used: HashMap::new(),
            paused: HashSet::new(),
            credentials: HashMap::new(),
            shards: HashMap::new(),
        };
        for shard in 0..shards {
            let server = SocketAddr::new(HOST_V4, server.port() + shard);
            let open = CallCommand::OpenMedia { udp: server };
            let outcome = meeting.ask_shard(shard, open);
            assert!(matches!(outcome, Outcome::Media { udp, .. } if udp == server), "{outcome:?}");
        }
        meeting
    }

    /// One publisher of simulcast VP8 and sound, and one viewer of both, connected.
    pub fn watched(seed: u64, path: Path) -> Self {
        let mut meeting = Self::new(seed, path);
        meeting.add_publisher();
        meeting.add_viewer();
        let camera = meeting.publish(0, Coding::Vp8, 3, false);
        let sound = meeting.publish_sound(0);
        meeting.subscribe(0, camera);
        meeting.subscribe(0, sound);
        meeting.connect();
        meeting
    }

    /// Sends a command to the shard that it means and waits for its outcome.
    pub fn ask(&mut self, call: CallCommand) -> Outcome {
        let (new, of) = match call {
            CallCommand::OpenTransport { transport, .. } => (Some(transport), None),
            CallCommand::AddSource(spec) => (Some(spec.source), Some(spec.transport)),
            CallCommand::AddRoute(spec) => (Some(spec.route), Some(spec.transport)),
            CallCommand::SetRemote { transport, .. }
            | CallCommand::RestartIce { transport, .. }
            | CallCommand::SetPayloads { transport, .. }
            | CallCommand::SetExtensions { transport, .. }
            | CallCommand::NameData { transport, .. }
            | CallCommand::SetData(DataSpec { transport, .. })
            | CallCommand::SetDataTrack { transport, .. }
            | CallCommand::SetDataRoute { transport, .. }
            | CallCommand::CloseTransport { transport } => (None, Some(transport)),
            CallCommand::SetSource { source, .. } | CallCommand::RemoveSource { source } => {
                (None, Some(source))
            }
            CallCommand::SetRoute { route, .. } | CallCommand::RemoveRoute { route } => {
                (None, Some(route))
            }
            _ => (None, None),
        };
        let shard = of.map_or(self.shard, |key| self.shards.get(&key).copied().unwrap_or(0));
        if let Some(new) = new {
            self.shards.insert(new, shard);
        }
        self.ask_shard(shard, call)
    }

    /// Sends a command to a shard and waits for its outcome.
    pub fn ask_shard(&mut self, shard: u16, call: CallCommand) -> Outcome {
        let outcome = self.plane.ask(shard, |request| Command::Call { request, call });
        self.watch();
        outcome
    }

    /// Sends a command that must be accepted.
    pub fn command(&mut self, call: CallCommand) {
        assert_eq!(self.ask(call), Outcome::Accepted, "{call:?}");
    }

    /// Sends a command that must be refused.
    pub fn refused(&mut self, call: CallCommand) -> Refusal {
        match self.ask(call) {
            Outcome::Refused { reason, .. } => reason,
            other => panic!("{call:?}: {other:?}"),
        }
    }

    fn key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    /// Opens a transport and gives the client for it, with two networks.
    fn join(&mut self) -> (TransportKey, Peer) {
        let key = self.key();
        let names = (format!("client{key}"), format!("server{key}"));
        let local = ice(&names.1);
        let trailer = Text::new(TRAILER).expect("room");
        self.command(CallCommand::OpenTransport { transport: key, local, lite: true, trailer });
        self.set_remote(key, &names.0);
        self.command(CallCommand::SetPayloads {
            transport: key,
            first: true,
            payloads: payloads(),
        });
        let mut ids = [0; EXTENSION_KINDS];
        ids[..6].copy_from_slice(&[MID, RID, RTX_RID, LEVEL, 5, 6]);
        self.command(CallCommand::SetExtensions { transport: key, ids });
        let address = |network: u8| SocketAddr::from(([198, 51, 100 + network, key as u8], 50_000));
        let addresses = vec![address(0), address(1)];
        for address in &addresses {
            self.plane.network.set_path(*address, self.path);
        }
        let (client, server) = (names.0.as_str(), names.1.as_str());
        let seed = self.seed ^ key;
        let at = SocketAddr::new(HOST_V4, self.server.port() + self.shard);
        let peer = Peer::new(&self.plane, seed, addresses, at, (client, server));
        self.credentials.insert(key, names);
        (key, peer)
    }

    fn set_remote(&mut self, key: TransportKey, client: &str) {
        let hash = Text::new(client_fingerprint().bytes()).expect("room");
        let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, hash };
        let remote = ice(client);
        self.command(CallCommand::SetRemote { transport: key, remote, fingerprint });
    }

    /// Somebody who will publish; the key of the transport.
    pub fn add_publisher(&mut self) -> TransportKey {
        let (key, peer) = self.join();
        self.publishers.push(Publisher::new(key, peer));
        key
    }

    /// Somebody who will watch; the key of the transport.
    pub fn add_viewer(&mut self) -> TransportKey {
        let (key, peer) = self.join();
        self.viewers.push(Viewer::new(key, peer));
        key
    }

    /// Lets viewer `at`, who is connected, have data channels; waits until they are open.
    pub fn open_data(&mut self, at: usize) {
        let transport = self.viewers[at].key;
        let part = Text::new(format!("member {at}").as_bytes()).expect("room");
        self.command(CallCommand::NameData { transport, first: true, part });
        self.command(CallCommand::SetData(DataSpec {
            transport,
            room: 1,
            sid: Text::new(format!("PA_{at}").as_bytes()).expect("room"),
            rights: data_rights::PUBLISH | data_rights::DELIVER,
            opening: DataOpening::Client,
            slow_bps: 0,
        }));
        let now_ns = self.plane.now_ns();
        self.viewers[at].peer.data = Some(Association::new(now_ns, Opening::Ours));
        for _ in 0..60_000 {
            let data = self.viewers[at].peer.data.as_ref();
            if data.is_some_and(|data| data.is_open(Label::Reliable)) {
                return;
            }
            self.step();
        }
        panic!("the channels of viewer {at} do not open");
    }

    /// Viewer `at` sends a message, if its own SCTP takes it.
    pub fn say(&mut self, at: usize, label: Label, message: &[u8]) -> bool {
        let now_ns = self.plane.now_ns();
        let data = self.viewers[at].peer.data.as_mut().expect("data channels");
        data.send(now_ns, label, message, true).is_ok()
    }

    /// Publishes a camera of `layers` encodings.
    pub fn publish(&mut self, at: usize, coding: Coding, layers: u8, by_rid: bool) -> SourceKey {
        let source = self.key() ^ self.seed << 8;
        let mid = format!("m{}", self.publishers[at].cameras.len());
        let camera = Camera::new(source, &mid, coding, layers, by_rid);
        self.command(CallCommand::AddSource(camera_spec(&camera, self.publishers[at].key)));
        self.publishers[at].cameras.push(camera);
        source
    }

    /// Publishes a microphone.
    pub fn publish_sound(&mut self, at: usize) -> SourceKey {
        let source = self.key() ^ self.seed << 8;
        let microphone = Microphone::new(source);
        let spec = sound_spec(&microphone, self.publishers[at].key);
        self.command(CallCommand::AddSource(spec));
        self.publishers[at].microphones.push(microphone);
        source
    }

    /// Routes a source to viewer `at`; the place of the stream among the viewer's.
    pub fn subscribe(&mut self, at: usize, source: SourceKey) -> usize {
        let route = self.key();
        let coding = self.coding(source);
        let rtx_ssrc = coding.map(|_| 0x3000_0000 | route as u32);
        let spec = self.route_spec(at, source, route, 0x2000_0000 | route as u32, rtx_ssrc);
        self.command(CallCommand::AddRoute(spec));
        let ssrcs = (spec.ssrc, spec.rtx_ssrc);
        let streams = &mut self.viewers[at].streams;
        streams.push(Stream::new(route, ssrcs, coding, spec.payload_type));
        streams.len() - 1
    }

    /// How a source is packed; `None` for sound.
    pub fn coding(&self, source: SourceKey) -> Option<Coding> {
        let mut cameras = self.publishers.iter().flat_map(|publisher| &publisher.cameras);
        cameras.find(|camera| camera.source == source).map(|camera| camera.coding)
    }

    /// How `source` is sent to viewer `at`.
    pub fn route_spec(
        &self,
        at: usize,
        source: SourceKey,
        route: u64,
        ssrc: u32,
        rtx_ssrc: Option<u32>,
    ) -> RouteSpec {
        let (payload_type, rtx_payload_type) = match self.coding(source) {
            Some(Coding::Vp8) => (VP8, VP8 + 1),
            Some(Coding::H264) => (H264, H264 + 1),
            None => (OPUS, u8::MAX),
        };
        RouteSpec {
            route,
            source,
            home: self.shards.get(&source).copied().unwrap_or(0),
            kind: match self.coding(source) {
                Some(_) => SourceKind::Camera,
                None => SourceKind::Audio,
            },
            transport: self.viewers[at].key,
            ssrc,
            rtx_ssrc,
            payload_type,
            red_payload_type: u8::MAX,
            rtx_payload_type,
            mid: Text::new(b"0").expect("room"),
            cname: Text::new(CNAME).expect("room"),
            service: ALL,
            playout: None,
            encrypted: false,
            cut_trailer: false,
            announce: false,
        }
    }

    /// Serves a stream otherwise.
    pub fn serve(&mut self, at: usize, stream: usize, service: Service) {
        let stream = &self.viewers[at].streams[stream];
        let (route, ssrcs) = (stream.route, [Some(stream.ssrc), stream.rtx_ssrc]);
        for ssrc in ssrcs.into_iter().flatten() {
            self.paused.remove(&ssrc);
        }
        self.command(CallCommand::SetRoute { route, service });
        if service.paused {
            self.paused.extend(ssrcs.into_iter().flatten());
        }
    }

    /// A NAT shows somebody under another port from now on, and nobody is told.
    pub fn rebind(&mut self, inner: SocketAddr) {
        let port = 40_000 + (self.key() % 10_000) as u16;
        self.plane.network.rebind(inner, SocketAddr::new(inner.ip(), port));
    }

    /// Restarts ICE of viewer `at` with other credentials.
    pub fn restart_ice(&mut self, at: usize) {
        let key = self.viewers[at].key;
        let (client, server) = self.credentials[&key].clone();
        let names = (format!("{client}x"), format!("{server}x"));
        self.command(CallCommand::RestartIce { transport: key, local: ice(&names.1) });
        self.set_remote(key, &names.0);
        self.viewers[at].peer.restart_ice(&self.plane, (&names.0, &names.1));
        self.credentials.insert(key, names);
    }

    /// One step of the clock for everybody.
    pub fn step(&mut self) {
        self.plane.step();
        self.watch();
        for publisher in &mut self.publishers {
            publisher.step(&mut self.plane);
        }
        for viewer in &mut self.viewers {
            viewer.step(&mut self.plane);
        }
    }

    /// Steps for `ms` milliseconds.
    pub fn run_ms(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    /// Steps until everybody is connected.
    pub fn connect(&mut self) {
        for _ in 0..15_000 {
            let mut peers = self.publishers.iter().map(|publisher| &publisher.peer);
            let viewers = self.viewers.iter().all(|viewer| viewer.peer.is_connected());
            if viewers && peers.all(Peer::is_connected) {
                return;
            }
            self.step();
        }
        panic!("not everybody gets connected");
    }

    /// Lets publishers stop, and viewers ask for what they lack.
    pub fn drain(&mut self) {
        for publisher in &mut self.publishers {
            let encodings = publisher.cameras.iter_mut().flat_map(|camera| &mut camera.encodings);
            encodings.for_each(|encoding| encoding.running = false);
            publisher.microphones.iter_mut().for_each(|microphone| microphone.running = false);
        }
        self.run_ms(900);
    }

    /// What left the server: no number stands for two packets, and nothing is sent that is paused.
    fn watch(&mut self) {
        self.plane.taken.clear();
        for sent in self.plane.sent.drain(..) {
            if sniff(&sent.packet.bytes) != Protocol::Rtp {
                continue;
            }
            // Padding is sealed too, so the header must do.
            let head = sent.packet.bytes.first_chunk::<12>().expect("a header");
            let sequence = u16::from_be_bytes([head[2], head[3]]);
            let ssrc = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
            assert!(!self.paused.contains(&ssrc), "{ssrc:x} is paused, {sequence} is sent");
            let mut hasher = DefaultHasher::new();
            sent.packet.bytes.hash(&mut hasher);
            let hash = hasher.finish();
            let before = *self.used.entry((ssrc, sequence)).or_insert(hash);
            assert_eq!(before, hash, "number {sequence} of {ssrc:x} stands for two packets");
        }
    }
}

/// How the control plane tells of a camera.
pub fn camera_spec(camera: &Camera, transport: TransportKey) -> SourceSpec {
    let mut layers = [Layer::ANY; LAYERS];
    for (layer, encoding) in layers.iter_mut().zip(&camera.encodings) {
        if camera.by_rid {
            layer.rid = Text::new(encoding.rid.as_bytes()).expect("room");
        } else {
            (layer.ssrc, layer.rtx_ssrc) = (Some(encoding.ssrc), Some(encoding.rtx_ssrc));
        }
    }
    SourceSpec {
        source: camera.source,
        transport,
        room: 1,
        kind: SourceKind::Camera,
        mid: Text::new(camera.mid.as_bytes()).expect("room"),
        layers,
        layer_count: camera.encodings.len() as u8,
        muted: false,
        encrypted: false,
    }
}

/// How the control plane tells of a microphone.
pub fn sound_spec(microphone: &Microphone, transport: TransportKey) -> SourceSpec {
    let mut layers = [Layer::ANY; LAYERS];
    layers[0].ssrc = Some(microphone.ssrc);
    SourceSpec {
        source: microphone.source,
        transport,
        room: 1,
        kind: SourceKind::Audio,
        mid: Text::new(b"a").expect("room"),
        layers,
        layer_count: 1,
        muted: false,
        encrypted: false,
    }
}

fn ice(ufrag: &str) -> IceCredentials {
    let (ufrag, password) = credentials(ufrag);
    IceCredentials {
        ufrag: Text::new(ufrag.as_bytes()).expect("room"),
        password: Text::new(password.as_bytes()).expect("room"),
    }
}

fn payloads() -> [Payload; PAYLOADS] {
    let video = feedback::NACK | feedback::PLI;
    let payload = |payload_type, codec, clock_hz, rtx: bool| Payload {
        payload_type,
        codec,
        rtx_payload_type: if rtx { payload_type + 1 } else { u8::MAX },
        feedback: if rtx { video } else { feedback::NACK },
        clock_hz,
    };
    let mut payloads = [Payload::UNUSED; PAYLOADS];
    payloads[0] = payload(VP8, Codec::Vp8, 90_000, true);
    payloads[1] = payload(H264, Codec::H264, 90_000, true);
    payloads[2] = payload(OPUS, Codec::Opus, 48_000, false);
    payloads
}
