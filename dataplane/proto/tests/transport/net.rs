//! The network: two ends, a clock, and one seed that decides what happens to each datagram.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Instant;

use ringway_proto::dtls::{DtlsConfig, DtlsContext, DtlsRole, Fingerprint, HashAlgorithm};
use ringway_proto::ice::{IceAgent, IceCredentials, LocalAddress, Path, PathProtocol};
use ringway_proto::srtp::{OpenedRtp, PacketIndex, RtpParts};
use ringway_proto::transport::{Received, Transport, TransportConfig, TransportEvent};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What happens on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) loss_percent: u64,
    pub(crate) repeat_percent: u64,
    pub(crate) delay_ms: u64,
    /// Added to the delay at random, so that packets overtake each other.
    pub(crate) jitter_ms: u64,
    pub(crate) cut: bool,
}

struct Flying {
    at_ns: u64,
    to: Side,
    path: Path,
    bytes: Vec<u8>,
}

pub(crate) struct Net {
    pub(crate) now_ns: u64,
    pub(crate) weather: Weather,
    pub(crate) client: Transport,
    pub(crate) server: Transport,
    pub(crate) client_events: Vec<TransportEvent>,
    pub(crate) server_events: Vec<TransportEvent>,
    /// RTP that arrived, and where it came from.
    pub(crate) at_client: Vec<(Path, Vec<u8>)>,
    pub(crate) at_server: Vec<(Path, Vec<u8>)>,
    pub(crate) dropped: Vec<(Side, Received)>,
    /// Whether the server's DTLS is done on another thread.
    pub(crate) elsewhere: bool,
    flying: Vec<Flying>,
    random: u64,
}

pub(crate) fn credentials(name: &str) -> IceCredentials {
    let password = format!("{name}+the/password/of/one/end");
    IceCredentials::new(name.as_bytes(), password.as_bytes()).expect("valid credentials")
}

fn contexts() -> &'static [DtlsContext; 2] {
    static CONTEXTS: OnceLock<[DtlsContext; 2]> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        [0, 1].map(|_| DtlsContext::new(&DtlsConfig::default(), 1_800_000_000).expect("a context"))
    })
}

pub(crate) fn fingerprint(side: Side) -> Fingerprint {
    *contexts()[side as usize].fingerprint()
}

/// The same certificate by another hash.
pub(crate) fn other_fingerprint(side: Side, algorithm: HashAlgorithm) -> Fingerprint {
    Fingerprint::of(algorithm, contexts()[side as usize].certificate())
}

pub(crate) fn server_address() -> SocketAddr {
    ([203, 0, 113, 1], 7882).into()
}

/// The client's address on its network number `socket`.
pub(crate) fn client_address(socket: u32) -> SocketAddr {
    ([198, 51, 100, socket as u8 + 1], 50_000).into()
}

/// From the client's network number `socket` to the server.
pub(crate) fn to_server(socket: u32) -> Path {
    Path { remote: server_address(), protocol: PathProtocol::Udp, socket }
}

/// From the server to the client's network number `socket`.
pub(crate) fn to_client(socket: u32) -> Path {
    Path { remote: client_address(socket), protocol: PathProtocol::Udp, socket: 0 }
}

pub(crate) fn server(ice: IceAgent) -> Transport {
    let dtls = contexts()[Side::Server as usize].clone();
    Transport::new(TransportConfig { ice, dtls, dtls_role: DtlsRole::Server })
}

pub(crate) fn client(seed: u64) -> Transport {
    client_as(seed, DtlsRole::Client)
}

/// A client that may leave it to the server to begin.
pub(crate) fn client_as(seed: u64, dtls_role: DtlsRole) -> Transport {
    let ice = IceAgent::client(&credentials("client"), seed);
    let dtls = contexts()[Side::Client as usize].clone();
    Transport::new(TransportConfig { ice, dtls, dtls_role })
}

pub(crate) fn full_agent() -> IceAgent {
    let address = server_address();
    let local = LocalAddress { socket: 0, address, protocol: PathProtocol::Udp };
    IceAgent::full(&credentials("server"), &[local], Instant::now())
}

/// A full agent that does not know its address: the client sees another one.
pub(crate) fn full_agent_behind_nat() -> IceAgent {
    let address = ([192, 0, 0, 8], 7882).into();
    let local = LocalAddress { socket: 0, address, protocol: PathProtocol::Udp };
    let v6 = LocalAddress { address: "[100::1]:7882".parse().expect("an address"), ..local };
    IceAgent::full(&credentials("server"), &[v6, local], Instant::now())
}

impl Net {
    /// Both ends have not heard of each other yet.
    pub(crate) fn strangers(seed: u64, server_ice: IceAgent) -> Self {
        Self {
            now_ns: SECOND,
            weather: Weather { delay_ms: 20, ..Weather::default() },
            client: client(seed),
            server: server(server_ice),
            client_events: Vec::new(),
            server_events: Vec::new(),
            at_client: Vec::new(),
            at_server: Vec::new(),
            dropped: Vec::new(),
            elsewhere: false,
            flying: Vec::new(),
            random: seed,
        }
    }

    /// Signalling is done, nothing was sent.
    pub(crate) fn new(seed: u64, server_ice: IceAgent) -> Self {
        let mut net = Self::strangers(seed, server_ice);
        net.server.set_remote(net.now_ns, &credentials("client"), fingerprint(Side::Client));
        net.client.set_remote(net.now_ns, &credentials("server"), fingerprint(Side::Server));
        net.client.add_remote_candidate(to_server(0));
        net
    }

    /// Connected over a lite agent, and quiet.
    pub(crate) fn connected(seed: u64) -> Self {
        let mut net = Self::new(seed, IceAgent::lite(&credentials("server")));
        net.run(SECOND);
        assert!(net.client.is_connected() && net.server.is_connected());
        net.client_events.clear();
        net.server_events.clear();
        net
    }

    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        // SplitMix64: near seeds give unlike numbers.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % below
    }

    /// Lets `for_ns` pass.
    pub(crate) fn run(&mut self, for_ns: u64) {
        let until_ns = self.now_ns + for_ns;
        self.settle();
        loop {
            let due = [
                self.client.deadline(self.now_ns),
                self.server.deadline(self.now_ns),
                self.flying.iter().map(|flying| flying.at_ns).min(),
            ];
            let next_ns = due.into_iter().flatten().min().unwrap_or(u64::MAX);
            if next_ns > until_ns {
                break;
            }
            // Never stuck: a deadline that stays in the past still moves the clock.
            self.now_ns = next_ns.max(self.now_ns + 1000);
            self.deliver();
            self.client.handle_timeout(self.now_ns);
            self.server.handle_timeout(self.now_ns);
            self.settle();
        }
        self.now_ns = until_ns;
    }

    fn deliver(&mut self) {
        while let Some(at) = self.flying.iter().position(|flying| flying.at_ns <= self.now_ns) {
            let Flying { to, path, bytes, .. } = self.flying.remove(at);
            self.arrive(to, path, bytes);
            self.settle();
        }
    }

    /// Gives a datagram to one end at once.
    pub(crate) fn arrive(&mut self, to: Side, path: Path, mut bytes: Vec<u8>) -> Received {
        let (transport, arrived) = match to {
            Side::Client => (&mut self.client, &mut self.at_client),
            Side::Server => (&mut self.server, &mut self.at_server),
        };
        let received = transport.handle_datagram(self.now_ns, path, &mut bytes);
        match received {
            Received::Rtp(OpenedRtp { len, .. }) => arrived.push((path, bytes[..len].to_vec())),
            Received::Dropped(_) => self.dropped.push((to, received)),
            _ => {}
        }
        received
    }

    /// Everything that either end has to do now.
    fn settle(&mut self) {
        self.client.run_dtls(self.now_ns);
        if self.elsewhere {
            while let Some(work) = self.server.poll_dtls_work(self.now_ns) {
                assert!(self.server.poll_dtls_work(self.now_ns).is_none(), "one at a time");
                let done = std::thread::spawn(move || work.run()).join().expect("no panic");
                self.server.handle_dtls_done(done);
            }
        }
        self.server.run_dtls(self.now_ns);
        let mut out = [0; 1500];
        while let Some(sent) = self.client.poll_transmit(self.now_ns, &mut out) {
            assert_eq!(sent.path.remote, server_address());
            self.launch(Side::Server, to_client(sent.path.socket), out[..sent.len].to_vec());
        }
        while let Some(sent) = self.server.poll_transmit(self.now_ns, &mut out) {
            let socket = (0..8).find(|socket| client_address(*socket) == sent.path.remote);
            // Answers to strangers go nowhere.
            if let Some(socket) = socket {
                self.launch(Side::Client, to_server(socket), out[..sent.len].to_vec());
            }
        }
        self.client_events.extend(std::iter::from_fn(|| self.client.poll_event()));
        self.server_events.extend(std::iter::from_fn(|| self.server.poll_event()));
    }

    fn launch(&mut self, to: Side, path: Path, bytes: Vec<u8>) {
        let times = 1 + u64::from(self.roll(100) < self.weather.repeat_percent);
        for _ in 0..times {
            if self.weather.cut || self.roll(100) < self.weather.loss_percent {
                continue;
            }
            let jitter_ms = self.roll(self.weather.jitter_ms + 1);
            let at_ns = self.now_ns + (self.weather.delay_ms + jitter_ms) * MS;
            self.flying.push(Flying { at_ns, to, path, bytes: bytes.clone() });
        }
    }

    /// Sends RTP packet number `index` from one end, by its path of the moment.
    pub(crate) fn send_rtp(&mut self, from: Side, index: u64) {
        let mut header = [0x80, 111, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7];
        header[2..4].copy_from_slice(&(index as u16).to_be_bytes());
        let transport = if from == Side::Client { &self.client } else { &self.server };
        let parts = RtpParts { header: &header, payload: b"sound", ..RtpParts::default() };
        let index = PacketIndex::new((index >> 16) as u32, index as u16);
        let mut out = [0; 1500];
        let sealed = transport.seal_rtp_into(index, &parts, &mut out).expect("keys");
        let len = sealed.expect("sealed");
        let sent = transport.send_path().expect("a path");
        let (to, path) = match from {
            Side::Client => (Side::Server, to_client(sent.socket)),
            Side::Server => {
                let known = |socket: &u32| client_address(*socket) == sent.remote;
                (Side::Client, to_server((0..8).find(known).expect("one of ours")))
            }
        };
        self.launch(to, path, out[..len].to_vec());
    }
}
