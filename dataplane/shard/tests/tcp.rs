//! A call of a client that is connected by TCP: the gateway is played here, the shard is real, and
//! time is virtual.

use std::net::SocketAddr;
use std::time::Instant;

use ringway_abi::call::{
    CallCommand, CallEvent, Codec, Fingerprint, HashAlgorithm, IceCredentials as AbiCredentials,
    LAYERS, Layer, PAYLOADS, Payload, RouteSpec, Service, SourceKind, SourceSpec, Text,
};
use ringway_abi::counters::Counter;
use ringway_abi::message::{Command, Event, Outcome};
use ringway_proto::dtls::{DtlsConfig, DtlsContext, DtlsRole};
use ringway_proto::ice::{IceAgent, IceCredentials, Path, PathProtocol};
use ringway_proto::srtp::{PacketIndex, RtpParts};
use ringway_proto::transport::{Received, Transport, TransportConfig};
use ringway_shard::call::Calls;
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, SocketId};
use ringway_shard::gateway::{ConnectionId, FromShard, GatewayEnd, ToShard, pair};
use ringway_shard::shard::{Shard, ShardConfig};
use ringway_shard::sockets::{OpenError, Opened, Sockets};

const STEP_NS: u64 = 5_000_000;
const UNIX_S: u64 = 1_800_000_000;
const TRANSPORT: u64 = 77;
const PAYLOAD_TYPE: u8 = 111;

/// Sockets that are only numbers, and a gateway that only says yes.
struct Numbers(u32);

impl Sockets for Numbers {
    type Handle = u32;

    fn open(&mut self, address: SocketAddr) -> Result<Opened<u32>, OpenError> {
        let id = self.adopt(&0)?;
        Ok(Opened { id, handle: id.slot(), address })
    }

    fn adopt(&mut self, _: &u32) -> Result<SocketId, OpenError> {
        self.0 += 1;
        Ok(SocketId::new(self.0 - 1, 1))
    }

    fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, OpenError> {
        Ok(address)
    }

    fn close(&mut self, _: SocketId) {}
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn credentials(name: &str) -> (IceCredentials, AbiCredentials) {
    let password = format!("{name}+the/password/of/one/end");
    let text = "valid credentials";
    (
        IceCredentials::new(name.as_bytes(), password.as_bytes()).expect(text),
        AbiCredentials {
            ufrag: Text::new(name.as_bytes()).expect(text),
            password: Text::new(password.as_bytes()).expect(text),
        },
    )
}

/// The client's number for each of its connections, and the gateway's.
fn connection(number: u32) -> ConnectionId {
    ConnectionId(0x0001_0000 + number)
}

/// As the client's connection number `number` is seen.
fn remote(number: u32) -> SocketAddr {
    SocketAddr::new([198, 51, 100, 1].into(), 50_000 + number as u16)
}

fn to_server(number: u32) -> Path {
    Path { remote: address("203.0.113.1:7881"), protocol: PathProtocol::Tcp, socket: number }
}

struct World {
    shard: Shard<u32>,
    gateway: GatewayEnd,
    client: Transport,
    now: Now,
    batch: Batch,
    events: Vec<CallEvent>,
    /// What the shard told the gateway besides packets.
    told: Vec<FromShard>,
    /// RTP that came to the client, and over which connection.
    heard: Vec<(u32, Vec<u8>)>,
    /// Datagrams that the shard sent by UDP, and where to.
    by_udp: Vec<SocketAddr>,
    sequence: u16,
    /// The gateway reads nothing.
    gateway_stalled: bool,
}

impl World {
    /// A transport waits for its client, which has the server's TCP candidate.
    fn new(lite: bool) -> Self {
        let config = ShardConfig {
            index: 0,
            shards: 1,
            forwards: 1,
            destinations: 1,
            ports: (30_000, 30_010),
            seed: 1,
        };
        let context = || DtlsContext::new(&DtlsConfig::default(), UNIX_S).expect("a certificate");
        let mut shard: Shard<u32> = Shard::new(config, vec![None]);
        let (end, gateway) = pair();
        shard.calls = Calls::new(Some(context()), 1);
        shard.calls.join_gateway(end);
        shard.calls.allow_full_ice(Instant::now());
        let dtls = context();
        let hash = Text::new(dtls.fingerprint().bytes()).expect("a hash");
        let ice = IceAgent::client(&credentials("client").0, 9);
        let client = Transport::new(TransportConfig { ice, dtls, dtls_role: DtlsRole::Client });
        let now = Now { mono_ns: 1_000_000_000, unix_ns: UNIX_S * 1_000_000_000 };
        let mut world = Self {
            shard,
            gateway,
            client,
            now,
            batch: Batch::with_capacity(64, 256, 256 * 1024),
            events: Vec::new(),
            told: Vec::new(),
            heard: Vec::new(),
            by_udp: Vec::new(),
            sequence: 0,
            gateway_stalled: false,
        };
        let opened = world.ask(CallCommand::OpenMedia { udp: address("[::]:7882") });
        let Outcome::Media { fingerprint, .. } = opened else { panic!("{opened:?}") };
        let tcp = address("[::]:7881");
        assert_eq!(world.ask(CallCommand::Listen { tcp }), Outcome::Listening { tcp });
        let local = credentials("server").1;
        let (transport, trailer) = (TRANSPORT, Text::EMPTY);
        world.accept(CallCommand::OpenTransport { transport, local, lite, trailer });
        world.accept(CallCommand::SetRemote {
            transport: TRANSPORT,
            remote: credentials("client").1,
            fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, hash },
        });
        let server_hash = ringway_proto::dtls::Fingerprint::new(
            ringway_proto::dtls::HashAlgorithm::Sha256,
            &fingerprint,
        );
        let server_hash = server_hash.expect("a hash");
        world.client.set_remote(now.mono_ns, &credentials("server").0, server_hash);
        world
    }

    fn ask(&mut self, call: CallCommand) -> Outcome {
        self.shard.apply(Command::Call { request: 1, call }, &mut Numbers(0));
        let mut outcome = None;
        self.take_events(|event| {
            if let Event::Done { outcome: done, .. } = event {
                outcome = Some(done);
            }
        });
        outcome.expect("every command is answered")
    }

    fn accept(&mut self, call: CallCommand) {
        assert_eq!(self.ask(call), Outcome::Accepted, "{call:?}");
    }

    fn take_events(&mut self, mut other: impl FnMut(Event)) {
        while let Some(event) = self.shard.next_event().cloned() {
            self.shard.event_sent();
            match event {
                Event::Call(event) => self.events.push(event),
                event => other(event),
            }
        }
    }

    /// Everything that either side has to do now, and a moment passes.
    fn step(&mut self) {
        self.client.handle_timeout(self.now.mono_ns);
        self.client.run_dtls(self.now.mono_ns);
        let mut out = [0; 2048];
        while let Some(sent) = self.client.poll_transmit(self.now.mono_ns, &mut out) {
            self.send(sent.path.socket, &out[..sent.len]);
        }
        self.shard.handle_gateway(self.now);
        self.shard.calls.handle_time(self.now, &mut self.shard.counters);
        loop {
            let more = self.shard.poll_transmit(self.now, &mut self.batch);
            self.by_udp.extend(self.batch.runs().iter().map(|run| run.to.socket_addr()));
            self.batch.clear();
            if !more {
                break;
            }
        }
        while !self.gateway_stalled
            && let Some((said, len)) = self.gateway.take(&mut out)
        {
            let FromShard::Packet { connection: by } = said else {
                self.told.push(said);
                continue;
            };
            let number = by.0 & 0xffff;
            assert_eq!(by, connection(number));
            let packet = &mut out[..len];
            let received = self.client.handle_datagram(self.now.mono_ns, to_server(number), packet);
            if let Received::Rtp(opened) = received {
                self.heard.push((number, out[..opened.len].to_vec()));
            }
        }
        self.take_events(|_| {});
        self.now.mono_ns += STEP_NS;
        self.now.unix_ns += STEP_NS;
    }

    fn send(&mut self, number: u32, packet: &[u8]) {
        let about = ToShard::Packet { connection: connection(number), remote: remote(number) };
        assert!(self.gateway.send_packet(about, packet));
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        for _ in 0..1_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("no {what} within {} s", 1_000 * STEP_NS / 1_000_000_000);
    }

    fn connect(&mut self) {
        self.client.add_remote_candidate(to_server(0));
        self.until("connection", |world| !world.events.is_empty());
        self.until("keys of the client", |world| world.client.is_connected());
    }

    /// The client's microphone is sent back to it.
    fn listen_to_oneself(&mut self) {
        let mut payloads = [Payload::UNUSED; PAYLOADS];
        payloads[0] = Payload {
            payload_type: PAYLOAD_TYPE,
            codec: Codec::Opus,
            rtx_payload_type: u8::MAX,
            feedback: 0,
            clock_hz: 48_000,
        };
        self.accept(CallCommand::SetPayloads { transport: TRANSPORT, first: true, payloads });
        let mut layers = [Layer::ANY; LAYERS];
        layers[0].ssrc = Some(7);
        self.accept(CallCommand::AddSource(SourceSpec {
            source: 5,
            transport: TRANSPORT,
            room: 1,
            kind: SourceKind::Audio,
            mid: Text::EMPTY,
            layers,
            layer_count: 1,
            muted: false,
            encrypted: false,
        }));
        self.accept(CallCommand::AddRoute(RouteSpec {
            route: 6,
            source: 5,
            home: 0,
            kind: SourceKind::Audio,
            transport: TRANSPORT,
            ssrc: 99,
            rtx_ssrc: None,
            payload_type: PAYLOAD_TYPE,
            red_payload_type: u8::MAX,
            rtx_payload_type: u8::MAX,
            mid: Text::EMPTY,
            cname: Text::EMPTY,
            service: Service { paused: false, max_layer: 2, max_temporal: 3, priority: 1 },
            playout: None,
            encrypted: false,
            cut_trailer: false,
            announce: false,
        }));
    }

    fn speak(&mut self, number: u32) {
        self.sequence += 1;
        let mut header = [0x80, PAYLOAD_TYPE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&(u32::from(self.sequence) * 960).to_be_bytes());
        let parts = RtpParts { header: &header, payload: b"sound", ..RtpParts::default() };
        let mut out = [0; 1500];
        let index = PacketIndex::new(0, self.sequence);
        let sealed = self.client.seal_rtp_into(index, &parts, &mut out);
        let len = sealed.expect("keys").expect("sealed");
        self.send(number, &out[..len]);
    }

    /// So many packets there and back.
    fn talk(&mut self, number: u32, packets: usize) {
        self.heard.clear();
        for _ in 0..packets {
            self.speak(number);
            self.step();
        }
        self.until("sound", |world| world.heard.len() == packets);
        for (by, packet) in &self.heard {
            assert_eq!(
                (*by, &packet[8..12], &packet[12..]),
                (number, &[0, 0, 0, 99][..], &b"sound"[..])
            );
        }
    }
}

#[test]
fn a_call_over_tcp() {
    for lite in [true, false] {
        let mut world = World::new(lite);
        world.connect();
        let connected = CallEvent::Connected { transport: TRANSPORT, remote: remote(0), tcp: true };
        assert_eq!(world.events, [connected], "lite {lite}");
        let claim = FromShard::Claim { connection: connection(0), remote: remote(0) };
        assert_eq!(world.told, [FromShard::Port { port: 7882 }, claim]);
        world.listen_to_oneself();
        world.talk(0, 50);
        assert!(world.by_udp.is_empty(), "{:?}", world.by_udp);
        assert_eq!(world.shard.counters.get(Counter::DropTcpLane), 0);

        world.told.clear();
        world.accept(CallCommand::CloseTransport { transport: TRANSPORT });
        world.step();
        // DTLS's last word first, then the end.
        assert_eq!(world.told, [FromShard::Close { connection: connection(0) }]);
    }
}

#[test]
fn a_connection_that_breaks_is_replaced_by_another() {
    for lite in [true, false] {
        let mut world = World::new(lite);
        world.connect();
        world.listen_to_oneself();
        world.talk(0, 5);
        world.told.clear();
        let (connection, remote) = (connection(0), remote(0));
        world.gateway.say(ToShard::Closed { connection, remote });
        world.step();
        // What comes under its name afterwards is a stranger's.
        world.heard.clear();
        world.speak(0);
        (0..10).for_each(|_| world.step());
        assert_eq!(world.heard, []);
        world.client.nominate(to_server(1));
        world.until("claim", |world| !world.told.is_empty());
        (0..10).for_each(|_| world.step());
        world.talk(1, 5);
    }
}

/// What finds no room in the lane is lost and counted; the shard goes on.
#[test]
fn a_gateway_that_stands_still_costs_packets() {
    let mut world = World::new(true);
    world.connect();
    world.listen_to_oneself();
    world.talk(0, 5);
    let lost = |world: &World| world.shard.counters.get(Counter::DropTcpLane);
    world.gateway_stalled = true;
    for _ in 0..200 {
        // Many at once: the client must not fall silent meanwhile.
        (0..200).for_each(|_| world.speak(0));
        world.step();
        if lost(&world) > 0 {
            break;
        }
    }
    let lost_before = lost(&world);
    assert!(lost_before > 0);
    world.speak(0);
    world.step();
    assert!(lost(&world) > lost_before);
    world.gateway_stalled = false;
    (0..10).for_each(|_| world.step());
    world.talk(0, 5);
}

#[test]
fn strangers_are_not_claimed() {
    let mut world = World::new(true);
    world.connect();
    world.told.clear();
    let refused = |world: &World| world.shard.counters.get(Counter::DropSource);
    let before = refused(&world);
    // Media of an address that passed no check, and a check for nobody.
    world.speak(3);
    let mut check = vec![0; 20];
    check[1] = 1;
    check[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    world.send(3, &check);
    world.step();
    assert_eq!(refused(&world) - before, 2);
    assert_eq!(world.told, []);
}

/// Full ICE over UDP: the shard itself checks the address that signalling told.
#[test]
fn a_full_agent_asks_first() {
    let client = address("198.51.100.9:50000");
    for (lite, expect) in [(true, false), (false, true)] {
        let mut world = World::new(lite);
        world.accept(CallCommand::AddCandidate { transport: TRANSPORT, address: client });
        (0..100).for_each(|_| world.step());
        let mapped = address("[::ffff:198.51.100.9]:50000");
        assert_eq!(world.by_udp.contains(&mapped), expect, "{:?}", world.by_udp);
    }
}
