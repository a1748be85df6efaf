//! The other end of a transport of the shard's: a client that sends and keeps what it gets.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::OnceLock;

use ringway_abi::call as abi;
use ringway_proto::dtls::{DtlsConfig, DtlsContext, DtlsRole, Fingerprint};
use ringway_proto::ice::{IceAgent, IceCredentials, Path, PathProtocol};
use ringway_proto::sctp::{Association, Incoming};
use ringway_proto::srtp::{PacketIndex, RtpParts, SrtpDrop};
use ringway_proto::transport::{
    Received, Transport, TransportConfig, TransportDrop, TransportEvent,
};
use ringway_wire::rtp::RtpView;

/// Where the shard receives.
pub(crate) fn server_address() -> SocketAddr {
    ([203, 0, 113, 1], 7882).into()
}

pub(crate) fn contexts() -> &'static [DtlsContext; 2] {
    static CONTEXTS: OnceLock<[DtlsContext; 2]> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        [0, 1].map(|_| DtlsContext::new(&DtlsConfig::default(), 1_800_000_000).expect("a context"))
    })
}

/// A client.
pub(crate) struct Peer {
    pub(crate) key: u64,
    pub(crate) address: SocketAddr,
    server: SocketAddr,
    pub(crate) transport: Transport,
    /// Its data channels, if it has any, and what came over them.
    pub(crate) data: Option<Association>,
    pub(crate) messages: Vec<Incoming>,
    /// RTP that came, opened.
    pub(crate) packets: Vec<Vec<u8>>,
    /// RTCP datagrams that came, opened.
    pub(crate) rtcp: Vec<Vec<u8>>,
    /// Packets that came once more as the same octets.
    pub(crate) repeated: usize,
    /// Indices of the packets that came: none may come twice under one SSRC.
    seen: HashMap<(u32, u64), Vec<u8>>,
}

fn names(key: u64, side: &str) -> (String, String) {
    (format!("{side}{key}"), format!("the+password+of+{side}+{key}"))
}

/// Credentials of one side of transport `key`, as the contract has them.
pub(crate) fn abi_credentials(key: u64, side: &str) -> abi::IceCredentials {
    let (ufrag, password) = names(key, side);
    abi::IceCredentials {
        ufrag: abi::Text::new(ufrag.as_bytes()).expect("short"),
        password: abi::Text::new(password.as_bytes()).expect("short"),
    }
}

fn credentials(key: u64, side: &str) -> IceCredentials {
    let (ufrag, password) = names(key, side);
    IceCredentials::new(ufrag.as_bytes(), password.as_bytes()).expect("valid")
}

/// The clients' certificate, as the contract has it.
pub(crate) fn abi_fingerprint() -> abi::Fingerprint {
    let hash = contexts()[1].fingerprint().bytes();
    let algorithm = abi::HashAlgorithm::Sha256;
    abi::Fingerprint { algorithm, hash: abi::Text::new(hash).expect("32 octets") }
}

impl Peer {
    pub(crate) fn new(key: u64, now_ns: u64) -> Self {
        Self::towards(key, now_ns, server_address(), *contexts()[0].fingerprint())
    }

    /// A client that waits for the shard to begin DTLS.
    pub(crate) fn waiting(key: u64, now_ns: u64) -> Self {
        let wanted = *contexts()[0].fingerprint();
        Self::with_role(key, now_ns, server_address(), wanted, DtlsRole::Server)
    }

    /// A client of the server at `server` that has the certificate with that fingerprint.
    pub(crate) fn towards(key: u64, now_ns: u64, server: SocketAddr, wanted: Fingerprint) -> Self {
        Self::with_role(key, now_ns, server, wanted, DtlsRole::Client)
    }

    fn with_role(
        key: u64,
        now_ns: u64,
        server: SocketAddr,
        wanted: Fingerprint,
        dtls_role: DtlsRole,
    ) -> Self {
        let ice = IceAgent::client(&credentials(key, "client"), key);
        let dtls = contexts()[1].clone();
        let mut transport = Transport::new(TransportConfig { ice, dtls, dtls_role });
        transport.set_remote(now_ns, &credentials(key, "server"), wanted);
        transport.add_remote_candidate(Path {
            remote: server,
            protocol: PathProtocol::Udp,
            socket: 0,
        });
        Self {
            key,
            address: ([198, 51, 100, key as u8], 50_000).into(),
            server,
            transport,
            data: None,
            messages: Vec::new(),
            packets: Vec::new(),
            rtcp: Vec::new(),
            repeated: 0,
            seen: HashMap::new(),
        }
    }

    /// Takes a datagram of the shard's.
    pub(crate) fn take(&mut self, now_ns: u64, mut bytes: Vec<u8>) {
        let path = Path { remote: self.server, protocol: PathProtocol::Udp, socket: 0 };
        let sealed = bytes.clone();
        match self.transport.handle_datagram(now_ns, path, &mut bytes) {
            Received::Rtp(opened) => {
                let twice = self.seen.insert((opened.ssrc, opened.index), sealed);
                assert_eq!(twice, None, "an index of {} was used twice", opened.ssrc);
                bytes.truncate(opened.len);
                self.packets.push(bytes);
            }
            Received::Rtcp(len) => {
                bytes.truncate(len);
                self.rtcp.push(bytes);
            }
            Received::Stun(_) | Received::Dtls => {}
            Received::Dropped(TransportDrop::Srtp(SrtpDrop::Replayed))
                if self.seen.values().any(|known| *known == sealed) =>
            {
                self.repeated += 1;
            }
            Received::Dropped(reason) => panic!("peer {} dropped: {reason}", self.key),
        }
    }

    /// Datagrams that it has to send by itself.
    pub(crate) fn poll(&mut self, now_ns: u64) -> Vec<Vec<u8>> {
        if self.transport.deadline(now_ns).is_some_and(|at_ns| at_ns <= now_ns) {
            self.transport.handle_timeout(now_ns);
        }
        self.transport.run_dtls(now_ns);
        self.poll_data(now_ns);
        let mut out = [0; 2048];
        let mut datagrams = Vec::new();
        while let Some(sent) = self.transport.poll_transmit(now_ns, &mut out) {
            datagrams.push(out[..sent.len].to_vec());
        }
        datagrams
    }

    fn poll_data(&mut self, now_ns: u64) {
        while let Some(event) = self.transport.poll_event() {
            let TransportEvent::Data(packet) = event else { continue };
            let Some(data) = &mut self.data else { continue };
            data.handle_packet(now_ns, &packet);
            self.messages.extend(std::iter::from_fn(|| data.poll_message()));
        }
        let Some(data) = &mut self.data else { return };
        if data.deadline().is_some_and(|at_ns| at_ns <= now_ns) {
            data.handle_timeout(now_ns);
        }
        while let Some(packet) = data.poll_packet() {
            self.transport.send_data(&packet);
            self.transport.run_dtls(now_ns);
        }
    }

    /// Seals an RTP packet that is less than 2^16 packets after its SSRC's first.
    pub(crate) fn seal(&self, packet: &[u8]) -> Vec<u8> {
        let view = RtpView::parse(packet).expect("RTP");
        let (header, payload) = packet.split_at(view.header_len());
        let parts = RtpParts { header, payload, ..RtpParts::default() };
        let mut out = vec![0; packet.len() + 64];
        let index = PacketIndex::new(0, view.sequence());
        let len = self.transport.seal_rtp_into(index, &parts, &mut out).expect("keys");
        out.truncate(len.expect("sealed"));
        out
    }

    /// Seals RTCP.
    pub(crate) fn seal_rtcp(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = vec![0; packet.len() + 64];
        let len = self.transport.seal_rtcp_into(packet, &mut out).expect("keys");
        out.truncate(len.expect("sealed"));
        out
    }

    /// Takes what came since the last call.
    pub(crate) fn take_packets(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.packets)
    }
}
