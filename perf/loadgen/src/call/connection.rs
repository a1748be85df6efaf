//! One peer connection: a socket of its own, connected to the server, and what protects it.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use ringway_proto::dtls::{DtlsContext, DtlsRole};
use ringway_proto::ice::{IceAgent, Path, PathProtocol};
use ringway_proto::sctp::{Association, Label, Opening};
use ringway_proto::srtp::{PacketIndex, RtpParts, SrtpOpener, SrtpProfile, SrtpSealer};
use ringway_proto::transport::{
    Received, Transport, TransportConfig, TransportDrop, TransportEvent,
};

use super::intake;
use super::random::Random;
use super::sctp::QuietSctp;
use super::track::RemoteEnd;
use crate::kernel;

/// Per socket. Larger survives longer pauses of the generator, smaller costs less memory.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;

/// The longest datagram that is sent.
pub const MAX_DATAGRAM_BYTES: usize = 1500;

enum Security {
    /// ICE and DTLS.
    Negotiated(Box<Transport>),
    /// Keys that both ends were told: the floor has no signalling.
    Fixed { opener: Box<SrtpOpener>, sealer: Box<SrtpSealer> },
}

/// A peer connection.
pub struct Connection {
    socket: UdpSocket,
    path: Path,
    security: Security,
    sctp: QuietSctp,
    /// Data channels, where the scenario has messages: who opens them, and they.
    opening: Option<Opening>,
    data: Option<Box<Association>>,
    messages: VecDeque<Vec<u8>>,
    profile: Option<SrtpProfile>,
    connected: bool,
    failure: Option<String>,
    /// Datagrams that the kernel did not take.
    pub send_errors: u64,
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// RTP: bytes of the packet and of its header, and the SSRC.
    Rtp {
        /// Bytes of the packet.
        len: usize,
        /// Bytes of its header.
        header_len: usize,
        /// The SSRC.
        ssrc: u32,
    },
    /// RTCP, and its bytes.
    Rtcp(usize),
    /// Something of ICE or DTLS.
    Control,
    /// Nothing to go on with.
    Dropped(TransportDrop),
}

impl Connection {
    /// A connection to the server's end, which begins at once; with data channels if somebody
    /// opens them.
    pub fn open(
        end: &RemoteEnd,
        context: &DtlsContext,
        opening: Option<Opening>,
        random: &mut Random,
        now_ns: u64,
    ) -> io::Result<Self> {
        let socket = kernel::bound(([0, 0, 0, 0], 0).into(), RECEIVE_BUFFER_BYTES)?;
        socket.connect(end.address)?;
        intake::stamp_arrivals(&socket)?;
        let path = Path { remote: end.address, protocol: PathProtocol::Udp, socket: 0 };
        let mut transport = Transport::new(TransportConfig {
            ice: IceAgent::client(&end.local, random.next_number()),
            dtls: context.clone(),
            dtls_role: DtlsRole::Client,
        });
        transport.set_remote(now_ns, &end.remote, end.fingerprint);
        transport.add_remote_candidate(path);
        let mut this = Self::new(socket, path, Security::Negotiated(Box::new(transport)), random);
        this.opening = opening;
        this.settle(now_ns);
        Ok(this)
    }

    /// A connection with `remote` whose keys are known; to send, the socket must be connected.
    pub fn fixed(
        socket: UdpSocket,
        remote: SocketAddr,
        opener: SrtpOpener,
        sealer: SrtpSealer,
        random: &mut Random,
    ) -> io::Result<Self> {
        intake::stamp_arrivals(&socket)?;
        let path = Path { remote, protocol: PathProtocol::Udp, socket: 0 };
        let profile = sealer.profile();
        let security = Security::Fixed { opener: Box::new(opener), sealer: Box::new(sealer) };
        let mut this = Self::new(socket, path, security, random);
        (this.connected, this.profile) = (true, Some(profile));
        Ok(this)
    }

    fn new(socket: UdpSocket, path: Path, security: Security, random: &mut Random) -> Self {
        let sctp = QuietSctp::new(random.next_ssrc());
        let (profile, failure) = (None, None);
        Self {
            socket,
            path,
            security,
            sctp,
            opening: None,
            data: None,
            messages: VecDeque::new(),
            profile,
            connected: false,
            failure,
            send_errors: 0,
        }
    }

    /// Its socket.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Whether media can be sent and received.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// What protects the media.
    pub fn profile(&self) -> Option<SrtpProfile> {
        self.profile
    }

    /// Why it ended, if it did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Takes a datagram; media is opened in place.
    pub fn handle_datagram(&mut self, now_ns: u64, datagram: &mut [u8]) -> Opened {
        match &mut self.security {
            Security::Negotiated(transport) => {
                match transport.handle_datagram(now_ns, self.path, datagram) {
                    Received::Rtp(rtp) => {
                        Opened::Rtp { len: rtp.len, header_len: rtp.header_len, ssrc: rtp.ssrc }
                    }
                    Received::Rtcp(len) => Opened::Rtcp(len),
                    Received::Dropped(reason) => {
                        // A refused check may have an answer.
                        self.settle(now_ns);
                        Opened::Dropped(reason)
                    }
                    _ => {
                        self.settle(now_ns);
                        Opened::Control
                    }
                }
            }
            Security::Fixed { opener, .. } => match opener.open_rtp(datagram) {
                Ok(rtp) => Opened::Rtp { len: rtp.len, header_len: rtp.header_len, ssrc: rtp.ssrc },
                Err(reason) => Opened::Dropped(TransportDrop::Srtp(reason)),
            },
        }
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        let Security::Negotiated(transport) = &mut self.security else { return };
        self.sctp.handle_timeout(now_ns);
        if let Some(data) = &mut self.data
            && data.deadline().is_some_and(|due_ns| due_ns <= now_ns)
        {
            data.handle_timeout(now_ns);
        }
        if transport.deadline(now_ns).is_some_and(|due_ns| due_ns <= now_ns) {
            transport.handle_timeout(now_ns);
        }
        self.settle(now_ns);
    }

    /// Everything that ICE, DTLS and SCTP have to do now.
    fn settle(&mut self, now_ns: u64) {
        let Security::Negotiated(transport) = &mut self.security else { return };
        let mut out = [0; MAX_DATAGRAM_BYTES];
        loop {
            transport.run_dtls(now_ns);
            while let Some(event) = transport.poll_event() {
                match event {
                    TransportEvent::Connected { profile, .. } => {
                        (self.connected, self.profile) = (true, profile);
                        let data = self.opening.map(|opening| Association::new(now_ns, opening));
                        self.data = data.map(Box::new);
                    }
                    TransportEvent::Data(packet) => match &mut self.data {
                        Some(data) => {
                            data.handle_packet(now_ns, &packet);
                            while let Some(message) = data.poll_message() {
                                self.messages.push_back(message.payload);
                            }
                        }
                        None => self.sctp.handle_packet(now_ns, &packet),
                    },
                    TransportEvent::Closed => self.failure = Some("the server closed it".into()),
                    TransportEvent::Failed(failure) => self.failure = Some(failure.to_string()),
                    _ => {}
                }
            }
            while let Some(packet) = self.sctp.poll_transmit() {
                transport.send_data(&packet);
            }
            while let Some(packet) = self.data.as_mut().and_then(|data| data.poll_packet()) {
                transport.send_data(&packet);
            }
            transport.run_dtls(now_ns);
            let mut sent = false;
            while let Some(datagram) = transport.poll_transmit(now_ns, &mut out) {
                sent = true;
                // What is lost here comes again.
                let _ = self.socket.send(&out[..datagram.len]);
            }
            if !sent {
                return;
            }
        }
    }

    /// Whether its data channel is open.
    pub fn can_send_data(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.is_open(Label::Reliable))
    }

    /// Sends a reliable message; false if it cannot be taken.
    pub fn send_message(&mut self, now_ns: u64, message: &[u8]) -> bool {
        let Some(data) = &mut self.data else { return false };
        let taken = data.send(now_ns, Label::Reliable, message, false).is_ok();
        self.settle(now_ns);
        taken
    }

    /// The next message that came.
    pub fn poll_message(&mut self) -> Option<Vec<u8>> {
        self.messages.pop_front()
    }

    /// Seals an RTP packet into `out`; its length.
    pub fn seal(&self, index: PacketIndex, parts: &RtpParts<'_>, out: &mut [u8]) -> Option<usize> {
        match &self.security {
            Security::Negotiated(transport) => transport.seal_rtp_into(index, parts, out)?.ok(),
            Security::Fixed { sealer, .. } => sealer.seal_parts_into(index, parts, out).ok(),
        }
    }

    /// Sends sealed packets that lie one after the other; all are `segment` bytes long, the last
    /// may be shorter.
    pub fn send_run(&mut self, run: &[u8], segment: usize) {
        if intake::send_segments(&self.socket, run, segment).is_err() {
            self.send_errors += 1;
        }
    }

    /// Seals and sends an RTCP packet.
    pub fn send_rtcp(&mut self, rtcp: &[u8]) {
        let mut out = [0; MAX_DATAGRAM_BYTES];
        let sealed = match &mut self.security {
            Security::Negotiated(transport) => transport.seal_rtcp_into(rtcp, &mut out),
            // The floor has no use for reports.
            Security::Fixed { .. } => None,
        };
        if let Some(Ok(len)) = sealed
            && self.socket.send(&out[..len]).is_err()
        {
            self.send_errors += 1;
        }
    }
}
