//! Clients of TURN over real sockets, between shards that are played here.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

use ringway_abi::call::{Network, RELAY_PROXIES, RelaySpec, TLS_PART_BYTES, Text};
use ringway_abi::counters::Counter;
use ringway_proto::turn::{TurnAnswer, TurnClient, TurnSecret, TurnStream};
use ringway_shard::gateway::{ConnectionId, FromShard, ToShard};
use ringway_shard::sockets::OpenError;
use ringway_uring::SocketOptions;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::tests::{PATIENCE, Stage, check, is_closed, until};

const SECRET: [u8; 32] = *b"a secret that nobody can guess..";
/// Good for longer than anybody will run this.
const USERNAME: &[u8] = b"99999999999:PA_anna";
const CERTIFICATE: &[u8] = include_bytes!("../../../../tests/data/turn.cert.pem");
const KEY: &[u8] = include_bytes!("../../../../tests/data/turn.key.pem");
const OPTIONS: SocketOptions =
    SocketOptions { receive_buffer_bytes: 1 << 20, send_buffer_bytes: 1 << 20 };
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const RECORD: [u8; 5] = [22, 254, 253, 9, 9];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Udp,
    Tcp,
    Tls,
}

fn media(port: u16) -> SocketAddr {
    SocketAddr::new(OURS, port)
}

fn spec(ports: [u16; 3]) -> RelaySpec {
    let mut addresses = [None; 9];
    addresses[0] = Some(OURS);
    RelaySpec {
        secret: Text::new(&SECRET).unwrap(),
        bind: Ipv4Addr::LOCALHOST.into(),
        udp_port: ports[0],
        tcp_port: ports[1],
        tls_port: ports[2],
        external_tls: false,
        relayed_ports: (30_000, 30_010),
        per_user: 12,
        addresses,
        proxied: false,
    }
}

fn bring_keys(stage: &mut Stage) {
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let mut first = true;
    for (place, whole) in [key.secret_der(), certificate.as_ref()].into_iter().enumerate() {
        for part in whole.chunks(TLS_PART_BYTES) {
            stage.reception.desk.keep_tls(place as u8, first, part).unwrap();
            first = false;
        }
    }
}

/// A stage with media ports 7000 of shard 0 and 7001 of shard 1, and where relays are reached.
fn stage() -> (Stage, [u16; 3]) {
    stage_with(&[], |spec| spec)
}

fn stage_with(
    proxies: &[Option<Network>],
    change: impl Fn(RelaySpec) -> RelaySpec,
) -> (Stage, [u16; 3]) {
    let mut stage = Stage::new(2);
    stage.reception.desk.keep_proxies(proxies);
    for shard in 0..2 {
        stage.say(shard, FromShard::Port { port: 7000 + shard as u16 });
    }
    bring_keys(&mut stage);
    let ports = until(|| {
        // Free a moment ago.
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tcp = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ports = [udp, tcp(), tcp()];
        stage.reception.desk.open(&change(spec(ports)), &OPTIONS).ok().map(|()| ports)
    });
    (stage, ports)
}

trait Bytes: Read + Write {}
impl<T: Read + Write> Bytes for T {}

/// A client's side of its way to the relay.
enum Line {
    Udp(UdpSocket),
    Stream(Box<dyn Bytes>, TurnStream),
}

impl Line {
    fn new(way: Way, ports: [u16; 3]) -> Self {
        let connect = |port| {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        };
        match way {
            Way::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.connect(("127.0.0.1", ports[0])).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                Self::Udp(socket)
            }
            Way::Tcp => Self::Stream(Box::new(connect(ports[1])), TurnStream::new()),
            Way::Tls => Self::Stream(Box::new(secured(connect(ports[2]))), TurnStream::new()),
        }
    }

    fn send(&mut self, message: &[u8]) {
        match self {
            Self::Udp(socket) => assert_eq!(socket.send(message).unwrap(), message.len()),
            Self::Stream(stream, _) => stream.write_all(message).unwrap(),
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut bytes = [0; 2048];
        match self {
            Self::Udp(socket) => {
                let len = socket.recv(&mut bytes).unwrap();
                bytes[..len].to_vec()
            }
            Self::Stream(stream, reader) => loop {
                if let Some(message) = reader.poll_message().unwrap() {
                    return message.to_vec();
                }
                let len = stream.read(&mut bytes).unwrap();
                assert!(len > 0, "the relay has hung up");
                assert_eq!(reader.put(&bytes[..len]), len);
            },
        }
    }
}

fn secured(stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "turn.test".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

struct Guest {
    line: Line,
    turn: TurnClient,
}

impl Guest {
    fn new(way: Way, ports: [u16; 3]) -> Self {
        let password = TurnSecret::new(&SECRET).password(USERNAME);
        Self { line: Line::new(way, ports), turn: TurnClient::new(USERNAME, &password) }
    }

    fn ask(&mut self, question: impl Fn(&mut TurnClient) -> Vec<u8>) -> TurnAnswer {
        loop {
            self.line.send(&question(&mut self.turn));
            let answer = self.turn.handle_answer(&self.line.receive()).expect("an answer");
            if answer.code != 401 {
                assert!(answer.signed);
                return answer;
            }
        }
    }

    /// An allocation with a channel to a media port.
    fn bound(way: Way, ports: [u16; 3], port: u16) -> (Self, SocketAddr) {
        let mut guest = Self::new(way, ports);
        let made = guest.ask(TurnClient::allocate);
        assert_eq!(made.code, 0);
        assert_eq!(guest.ask(|turn| turn.bind(0x4000, media(port))).code, 0);
        (guest, made.relayed.expect("a relayed address"))
    }

    fn send(&mut self, packet: &[u8]) {
        self.line.send(&TurnClient::channel_data(0x4000, packet));
    }

    fn receive(&mut self) -> Vec<u8> {
        let message = self.line.receive();
        assert_eq!(message[..2], [0x40, 0]);
        let len = usize::from(u16::from_be_bytes([message[2], message[3]]));
        message[4..4 + len].to_vec()
    }
}

/// The next packet that a shard hears, by which connection, and from whom.
fn heard(stage: &mut Stage, shard: usize) -> (ConnectionId, SocketAddr, Vec<u8>) {
    match stage.hear(shard) {
        (ToShard::Packet { connection, remote }, packet) => (connection, remote, packet),
        (closed, _) => panic!("{closed:?}"),
    }
}

#[test]
fn a_client_talks_with_the_shard_that_has_the_port() {
    let (mut stage, ports) = stage();
    for way in [Way::Udp, Way::Tcp, Way::Tls] {
        let (mut guest, relayed) = Guest::bound(way, ports, 7001);
        assert_eq!(relayed.ip(), OURS);
        // Nobody knows it yet: only its checks pass.
        guest.send(&RECORD);
        guest.send(&check());
        let (connection, remote, packet) = heard(&mut stage, 1);
        assert_eq!((remote, packet), (relayed, check()), "{way:?}");
        stage.say(1, FromShard::Claim { connection, remote });
        assert!(stage.shards[1].send_packet(FromShard::Packet { connection }, b"answer"));
        stage.together.gateway.wake();
        assert_eq!(guest.receive(), b"answer");
        for size in [1, 5, 1200] {
            let packet = vec![22; size];
            guest.send(&packet);
            assert_eq!(heard(&mut stage, 1), (connection, relayed, packet.clone()));
            assert!(stage.shards[1].send_packet(FromShard::Packet { connection }, &packet));
            stage.together.gateway.wake();
            assert_eq!(guest.receive(), packet);
        }
        until(|| (stage.count(Counter::TurnAllocations) == 1).then_some(()));
        // Its end is the shard's to know, whoever made it.
        match way {
            Way::Udp => assert_eq!(guest.ask(|turn| turn.refresh(0)).code, 0),
            Way::Tcp | Way::Tls => drop(guest),
        }
        let closed = ToShard::Closed { connection, remote: relayed };
        assert_eq!(stage.hear(1), (closed, Vec::new()), "{way:?}");
        until(|| (stage.count(Counter::TurnAllocations) == 0).then_some(()));
        let mut out = [0; 2048];
        assert!(stage.shards[0].take(&mut out).is_none(), "it is none of shard 0's business");
    }
    // Claims of what is gone are told so.
    let connection = ConnectionId(0x0001_8000);
    stage.say(0, FromShard::Claim { connection, remote: media(1) });
    assert_eq!(stage.hear(0).0, ToShard::Closed { connection, remote: media(1) });
}

/// A stage whose port of TLS is for proxies of `ip` alone.
fn proxied(ip: [u8; 4], external_tls: bool) -> (Stage, [u16; 3]) {
    let mut proxies = [None; RELAY_PROXIES];
    proxies[3] = Some(Network { ip: ip.into(), bits: 8 });
    stage_with(&proxies, |spec| RelaySpec { proxied: true, external_tls, ..spec })
}

/// A proxy's connection that has said `header`.
fn passed_on(port: u16, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(header).unwrap();
    stream
}

#[test]
fn a_proxy_says_whose_connection_it_passes_on() {
    const V2: &[u8] =
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xc3\x50\0\x50";
    const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 50000 80\r\n";
    let client = Some(SocketAddr::from(([192, 0, 2, 7], 50_000)));
    for external_tls in [false, true] {
        let (stage, ports) = proxied([127, 0, 0, 0], external_tls);
        for (header, expect) in [(V1, client), (V2, client), (b"PROXY UNKNOWN\r\n", None)] {
            let stream = passed_on(ports[2], header);
            let own = stream.local_addr().unwrap();
            let bytes: Box<dyn Bytes> = match external_tls {
                true => Box::new(stream),
                false => Box::new(secured(stream)),
            };
            let password = TurnSecret::new(&SECRET).password(USERNAME);
            let turn = TurnClient::new(USERNAME, &password);
            let mut guest = Guest { line: Line::Stream(bytes, TurnStream::new()), turn };
            let made = guest.ask(TurnClient::allocate);
            assert_eq!((made.code, made.mapped), (0, Some(expect.unwrap_or(own))), "{header:?}");
        }
        // A client that nobody introduces; one that begins to; others' ports are as ever.
        for bytes in [&RECORD[..], b"PROXY TCP4 nobody\r\n", &[0x16; 60]] {
            let mut stream = passed_on(ports[2], bytes);
            until(|| is_closed(&mut stream).then_some(()));
        }
        assert_eq!(Guest::new(Way::Tcp, ports).ask(TurnClient::allocate).code, 0);
        drop(stage);
    }
    let (_stage, ports) = proxied([10, 0, 0, 0], true);
    let mut stranger = passed_on(ports[2], V1);
    until(|| is_closed(&mut stranger).then_some(()));
}

#[test]
fn only_media_ports_are_reached() {
    let (mut stage, ports) = stage();
    let mut guest = Guest::new(Way::Udp, ports);
    assert_eq!(guest.ask(TurnClient::allocate).code, 0);
    for (peer, bind, permit) in [
        (media(7000), 0, 0),
        (media(22), 403, 0),
        (SocketAddr::from(([127, 0, 0, 1], 7000)), 403, 403),
        (SocketAddr::from(([192, 0, 2, 1], 7000)), 403, 403),
    ] {
        assert_eq!(guest.ask(|turn| turn.bind(0x4000, peer)).code, bind, "{peer}");
        assert_eq!(guest.ask(|turn| turn.permit(peer)).code, permit, "{peer}");
    }
    // The last one is heard, the others are not.
    for port in [22, 7002, 7000] {
        let message = guest.turn.indication(media(port), &check());
        guest.line.send(&message);
    }
    let (connection, _, _) = heard(&mut stage, 0);
    assert!(stage.shards[0].take(&mut [0; 2048]).is_none());
    assert_eq!(stage.count(Counter::DropTurn), 2);
    // A shard that knows it no more lets others have it.
    stage.say(0, FromShard::Claim { connection, remote: media(1) });
    stage.say(0, FromShard::Close { connection });
    until(|| {
        guest.send(&RECORD);
        (stage.count(Counter::DropTurn) > 3).then_some(())
    });
}

#[test]
fn ports_and_secrets_change_while_it_runs() {
    let (mut stage, ports) = stage();
    let (mut guest, _) = Guest::bound(Way::Udp, ports, 7000);
    let mut other = spec([ports[0], 0, ports[2]]);
    other.secret = Text::new(&[1; 32]).unwrap();
    stage.reception.desk.open(&other, &OPTIONS).unwrap();
    until(|| TcpStream::connect(("127.0.0.1", ports[1])).is_err().then_some(()));
    // What there is stays.
    guest.send(&check());
    assert_eq!(heard(&mut stage, 0).2, check());
    assert_eq!(guest.ask(|turn| turn.refresh(600)).code, 0);
    // The old secret is of no use to those who come.
    let mut late = Guest::new(Way::Udp, ports);
    for _ in 0..2 {
        late.line.send(&late.turn.allocate());
        let answer = late.turn.handle_answer(&late.line.receive()).expect("an answer");
        assert_eq!(answer.code, 401);
    }
    for (broken, why) in [
        (RelaySpec { secret: Text::EMPTY, ..other }, "no secret"),
        (RelaySpec { addresses: [None; 9], ..other }, "no address"),
        (RelaySpec { relayed_ports: (2, 1), ..other }, "no ports"),
        (RelaySpec { per_user: 0, ..other }, "nobody may"),
    ] {
        let refused = stage.reception.desk.open(&broken, &OPTIONS);
        assert_eq!(refused, Err(OpenError::Invalid), "{why}");
    }
    stage.reception.desk.keep_tls(0, true, b"no key").unwrap();
    assert_eq!(stage.reception.desk.keep_tls(2, false, b"out of order"), Err(OpenError::Invalid));
    stage.reception.desk.keep_tls(1, false, b"no certificate").unwrap();
    let refused = stage.reception.desk.open(&other, &OPTIONS);
    assert_eq!(refused, Err(OpenError::Invalid));
}

#[test]
fn connections_that_speak_something_else_are_closed() {
    let (mut stage, ports) = stage();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x4f; 200], &[22; 200]] {
        for port in &ports[1..] {
            let mut client = TcpStream::connect(("127.0.0.1", *port)).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(bytes).unwrap();
            // TLS says why first.
            until(|| is_closed(&mut client).then_some(()));
        }
    }
    // A check is none of TURN's messages, but STUN: it is answered, up to a bound.
    let mut client = Line::new(Way::Tcp, ports);
    for _ in 0..32 {
        client.send(&check());
        assert_eq!(client.receive()[..2], [1, 1]);
    }
    client.send(&check());
    let Line::Stream(mut stream, _) = client else { panic!("TCP is a stream") };
    assert!(!matches!(stream.read(&mut [0; 16]), Ok(1..)));
    assert_eq!(stage.count(Counter::TurnAllocations), 0);
}
