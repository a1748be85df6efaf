//! One client's connection: its addresses, its transport, and what came over it.

use std::net::SocketAddr;
use std::sync::OnceLock;

use ringway_proto::dtls::{DtlsConfig, DtlsContext, DtlsRole, Fingerprint, HashAlgorithm};
use ringway_proto::ice::{IceAgent, IceCredentials, Path, PathProtocol};
use ringway_proto::sctp::{Association, Incoming};
use ringway_proto::srtp::{PacketIndex, RtpParts};
use ringway_proto::transport::{
    Received, Transport, TransportConfig, TransportDrop, TransportEvent,
};
use ringway_wire::rtp::RtpView;

use crate::plane::Plane;

/// Certificates are made once: of the server and of all clients.
fn contexts() -> &'static [DtlsContext; 2] {
    static CONTEXTS: OnceLock<[DtlsContext; 2]> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        [0, 1].map(|_| DtlsContext::new(&DtlsConfig::default(), 1_763_000_000).expect("a context"))
    })
}

/// The server's.
pub fn server_context() -> DtlsContext {
    contexts()[0].clone()
}

/// The hash of all clients' certificate.
pub fn client_fingerprint() -> &'static Fingerprint {
    contexts()[1].fingerprint()
}

/// Text credentials for ICE.
pub fn credentials(ufrag: &str) -> (String, String) {
    (ufrag.to_owned(), format!("{ufrag}/password+of+one+end"))
}

fn ice_credentials(ufrag: &str) -> IceCredentials {
    let (ufrag, password) = credentials(ufrag);
    IceCredentials::new(ufrag.as_bytes(), password.as_bytes()).expect("valid credentials")
}

/// A client.
pub struct Peer {
    /// Its addresses, one for each network that it can use.
    pub addresses: Vec<SocketAddr>,
    /// Its transport.
    pub transport: Transport,
    /// RTP that came and was opened.
    pub rtp: Vec<Vec<u8>>,
    /// RTCP that came and was opened.
    pub rtcp: Vec<Vec<u8>>,
    /// What could not be taken.
    pub drops: Vec<TransportDrop>,
    /// What its transport said.
    pub events: Vec<TransportEvent>,
    /// Its data channels, if it has any.
    pub data: Option<Association>,
    /// When messages came over them, ms, and they.
    pub messages: Vec<(u64, Incoming)>,
    /// Its data channels hear, but say nothing any more.
    pub mute: bool,
    /// A copy of what was sent last, as it left.
    pub last_sent: Vec<u8>,
    server: SocketAddr,
}

impl Peer {
    /// A client at `addresses` whose ufrag is `ours`, to talk to `theirs` at `server`.
    pub fn new(
        plane: &Plane,
        seed: u64,
        addresses: Vec<SocketAddr>,
        server: SocketAddr,
        (ours, theirs): (&str, &str),
    ) -> Self {
        let ice = IceAgent::client(&ice_credentials(ours), seed);
        let dtls = contexts()[1].clone();
        let config = TransportConfig { ice, dtls, dtls_role: DtlsRole::Client };
        let mut transport = Transport::new(config);
        let fingerprint = contexts()[0].fingerprint();
        assert_eq!(fingerprint.algorithm(), HashAlgorithm::Sha256);
        transport.set_remote(plane.now_ns(), &ice_credentials(theirs), *fingerprint);
        let mut peer = Self {
            addresses,
            transport,
            rtp: Vec::new(),
            rtcp: Vec::new(),
            drops: Vec::new(),
            events: Vec::new(),
            data: None,
            messages: Vec::new(),
            mute: false,
            last_sent: Vec::new(),
            server,
        };
        peer.transport.add_remote_candidate(peer.path(0));
        peer
    }

    /// The way to the server over network `network`.
    pub fn path(&self, network: u32) -> Path {
        Path { remote: self.server, protocol: PathProtocol::Udp, socket: network }
    }

    /// Uses another network from now on.
    pub fn change_network(&mut self, network: u32) {
        let path = self.path(network);
        self.transport.nominate(path);
    }

    /// Restarts ICE with other credentials on both sides.
    pub fn restart_ice(&mut self, plane: &Plane, (ours, theirs): (&str, &str)) {
        self.transport.restart_ice(&ice_credentials(ours));
        let fingerprint = contexts()[0].fingerprint();
        self.transport.set_remote(plane.now_ns(), &ice_credentials(theirs), *fingerprint);
    }

    /// Whether media can flow.
    pub fn is_connected(&self) -> bool {
        self.transport.is_connected()
    }

    /// Takes what has arrived, and sends what the transport has to say.
    pub fn step(&mut self, plane: &mut Plane) {
        let now_ns = plane.now_ns();
        for network in 0..self.addresses.len() {
            for (_, packet) in plane.take_mail(self.addresses[network]) {
                let path = Path { remote: packet.from, ..self.path(network as u32) };
                self.receive(now_ns, path, packet.bytes);
            }
        }
        if self.transport.deadline(now_ns).is_some_and(|due_ns| due_ns <= now_ns) {
            self.transport.handle_timeout(now_ns);
        }
        self.transport.run_dtls(now_ns);
        self.send_waiting(plane);
        while let Some(event) = self.transport.poll_event() {
            match (event, &mut self.data) {
                (TransportEvent::Data(packet), Some(data)) => {
                    data.handle_packet(now_ns, &packet);
                    let messages = std::iter::from_fn(|| data.poll_message());
                    self.messages.extend(messages.map(|message| (now_ns / 1_000_000, message)));
                }
                (event, _) => self.events.push(event),
            }
        }
        let Some(data) = &mut self.data else { return };
        if data.deadline().is_some_and(|due_ns| due_ns <= now_ns) {
            data.handle_timeout(now_ns);
        }
        while let Some(packet) = self.data.as_mut().and_then(|data| data.poll_packet()) {
            if !self.mute {
                self.transport.send_data(&packet);
                self.transport.run_dtls(now_ns);
                self.send_waiting(plane);
            }
        }
    }

    fn send_waiting(&mut self, plane: &mut Plane) {
        let mut out = [0; 1500];
        while let Some(sent) = self.transport.poll_transmit(plane.now_ns(), &mut out) {
            let from = self.addresses[sent.path.socket as usize];
            plane.send(from, sent.path.remote, out[..sent.len].to_vec());
        }
    }

    fn receive(&mut self, now_ns: u64, path: Path, mut bytes: Vec<u8>) {
        match self.transport.handle_datagram(now_ns, path, &mut bytes) {
            Received::Rtp(opened) => {
                bytes.truncate(opened.len);
                self.rtp.push(bytes);
            }
            Received::Rtcp(len) => {
                bytes.truncate(len);
                self.rtcp.push(bytes);
            }
            Received::Dropped(reason) => self.drops.push(reason),
            // What comes behind the last flight needs its keys.
            Received::Dtls => self.transport.run_dtls(now_ns),
            Received::Stun(_) => {}
        }
    }

    /// Seals a packet, the `number`th of its SSRC with wraps counted, and sends it.
    pub fn send_rtp(&mut self, plane: &mut Plane, number: u64, packet: &[u8]) {
        let header_len = RtpView::parse(packet).expect("valid RTP").header_len();
        let (header, payload) = packet.split_at(header_len);
        let parts = RtpParts { header, payload, ..RtpParts::default() };
        let index = PacketIndex::new((number >> 16) as u32, number as u16);
        let mut out = vec![0; packet.len() + 64];
        let Some(sealed) = self.transport.seal_rtp_into(index, &parts, &mut out) else { return };
        out.truncate(sealed.expect("sealed"));
        self.last_sent.clone_from(&out);
        self.send(plane, out);
    }

    /// Seals RTCP and sends it.
    pub fn send_rtcp(&mut self, plane: &mut Plane, rtcp: &[u8]) {
        let mut out = vec![0; rtcp.len() + 64];
        let Some(sealed) = self.transport.seal_rtcp_into(rtcp, &mut out) else { return };
        out.truncate(sealed.expect("sealed"));
        self.send(plane, out);
    }

    /// Sends octets as they are.
    pub fn send(&mut self, plane: &mut Plane, bytes: Vec<u8>) {
        if let Some(path) = self.transport.send_path() {
            plane.send(self.addresses[path.socket as usize], path.remote, bytes);
        }
    }
}
