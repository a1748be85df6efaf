//! The machine that joins ICE, DTLS and SRTP.

use std::collections::VecDeque;
use std::mem;

use ringway_wire::sniff::{Protocol, sniff};
use ringway_wire::stun::StunView;

use super::media::{Media, SrtpPair};
use super::{Received, Transmit, TransportDrop, TransportEvent, TransportFailure};
use crate::dtls::{
    DtlsContext, DtlsDone, DtlsLink, DtlsRole, DtlsWork, Fingerprint, HashAlgorithm, Output,
};
use crate::ice::{ConsentChange, Heard, IceAgent, IceCredentials, Path, PathProtocol};
use crate::srtp::{PacketIndex, RtpParts, SealError, SrtpDrop, SrtpSealer};

/// Between the peer's credentials and its first check, and again between that and the end of the
/// handshake. Raised: clients behind a closed firewall wait longer before they try TCP. Lowered:
/// slow links fail.
pub const CONNECT_TIMEOUT_MS: u64 = 20_000;

const NS_PER_MS: u64 = 1_000_000;

/// Events that may wait for [`Transport::poll_event`]; further messages of the peer's are lost like
/// datagrams, what is said about the transport itself is kept.
const MAX_EVENTS: usize = 64;

/// What a transport is made of.
pub struct TransportConfig {
    /// Who answers and makes checks.
    pub ice: IceAgent,
    /// Our certificate and choices; one for the process.
    pub dtls: DtlsContext,
    /// The server waits (`a=setup:passive`), the client begins; see [`Transport::begin_dtls`].
    pub dtls_role: DtlsRole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for `connect_by_ns`, if that is set.
    Connecting,
    Connected,
    Ended,
}

/// One peer connection's transport.
pub struct Transport {
    ice: IceAgent,
    dtls: DtlsLink,
    media: Media,
    wanted: Option<Fingerprint>,
    state: State,
    heard: bool,
    connect_by_ns: Option<u64>,
    events: VecDeque<TransportEvent>,
}

impl Transport {
    /// A transport that waits for its peer.
    pub fn new(config: TransportConfig) -> Self {
        Self {
            ice: config.ice,
            dtls: DtlsLink::new(config.dtls, config.dtls_role),
            media: Media::None,
            wanted: None,
            state: State::Connecting,
            heard: false,
            connect_by_ns: None,
            events: VecDeque::new(),
        }
    }

    /// What checks for this transport have in front of the colon of their USERNAME.
    pub fn ufrag(&self) -> &[u8] {
        self.ice.ufrag()
    }

    /// What signalling said of the peer; also after an ICE restart. The fingerprint counts once: a
    /// session that is under way is not handed to another certificate.
    pub fn set_remote(&mut self, now_ns: u64, remote: &IceCredentials, fingerprint: Fingerprint) {
        self.ice.set_remote(remote);
        if self.wanted.is_none() {
            self.wanted = Some(fingerprint);
            if !self.heard {
                self.connect_by_ns = Some(now_ns + CONNECT_TIMEOUT_MS * NS_PER_MS);
            }
            self.verify();
        }
    }

    /// Makes this end the DTLS client, as the peer waits for one to begin: at once if there is a
    /// path, else with the first one. Too late when the peer has begun.
    pub fn begin_dtls(&mut self) {
        if self.state == State::Connecting
            && self.dtls.become_client()
            && self.ice.selected().is_some()
        {
            self.dtls.begin();
        }
    }

    /// Which end of DTLS this is.
    pub fn dtls_role(&self) -> DtlsRole {
        self.dtls.role()
    }

    /// An address of the peer from signalling; a lite agent needs none.
    pub fn add_remote_candidate(&mut self, path: Path) {
        self.ice.add_remote_candidate(path);
    }

    /// Makes a client use `path` from now on.
    pub fn nominate(&mut self, path: Path) {
        self.ice.nominate(path);
    }

    /// New credentials of ours: the old ones are refused at once, DTLS and media go on.
    pub fn restart_ice(&mut self, local: &IceCredentials) {
        self.ice.restart(local);
    }

    /// A TCP connection of the peer's ended.
    pub fn handle_path_closed(&mut self, path: &Path) {
        self.ice.handle_path_closed(path.remote, path.protocol, path.socket);
    }

    /// Takes one datagram that came by `path`; media is opened in place.
    #[inline]
    pub fn handle_datagram(&mut self, now_ns: u64, path: Path, datagram: &mut [u8]) -> Received {
        if self.state == State::Ended {
            return Received::Dropped(TransportDrop::Ended);
        }
        let received = match sniff(datagram) {
            Protocol::Rtp => {
                self.open(now_ns, path, |media| media.opener.open_rtp(datagram).map(Received::Rtp))
            }
            Protocol::Rtcp => self
                .open(now_ns, path, |media| media.opener.open_rtcp(datagram).map(Received::Rtcp)),
            Protocol::Stun => StunView::parse(datagram)
                .map_err(TransportDrop::Stun)
                .and_then(|view| self.handle_view(now_ns, path, &view, datagram)),
            Protocol::Dtls => self.handle_dtls(path, datagram),
            _ => Err(TransportDrop::Protocol),
        };
        received.unwrap_or_else(Received::Dropped)
    }

    /// Takes one datagram of RTP that came by `path`, and opens it into the start of `out`, which
    /// must have its length; the datagram stays as it is. What it holds afterwards counts only
    /// where [`Received::Rtp`] comes back.
    #[inline]
    pub fn handle_rtp_into(
        &mut self,
        now_ns: u64,
        path: Path,
        datagram: &[u8],
        out: &mut [u8],
    ) -> Received {
        if self.state == State::Ended {
            return Received::Dropped(TransportDrop::Ended);
        }
        self.open(now_ns, path, |media| {
            media.opener.open_rtp_into(datagram, out).map(Received::Rtp)
        })
        .unwrap_or_else(Received::Dropped)
    }

    /// Takes media that came by a path that leads nowhere yet: if this peer sealed it, the path is
    /// learned, and checked; else `None`, and nothing has changed but the datagram.
    pub fn handle_moved(
        &mut self,
        now_ns: u64,
        path: Path,
        datagram: &mut [u8],
    ) -> Option<(Received, Heard)> {
        if self.state != State::Connected || path.protocol != PathProtocol::Udp {
            return None;
        }
        let opener = &mut self.media.open_mut()?.opener;
        let received = match sniff(datagram) {
            Protocol::Rtp => opener.open_rtp(datagram).map(Received::Rtp),
            Protocol::Rtcp => opener.open_rtcp(datagram).map(Received::Rtcp),
            _ => return None,
        };
        let received = received.ok()?;
        let heard = self.ice.handle_moved(now_ns, path);
        if let Some(change) = heard.consent {
            self.handle_consent(change);
        }
        Some((received, heard))
    }

    /// Whether media or reports of SSRC `ssrc` came from this peer before.
    pub fn has_heard(&self, ssrc: u32) -> bool {
        self.media.open().is_some_and(|media| media.opener.has_heard(ssrc))
    }

    fn open(
        &mut self,
        now_ns: u64,
        path: Path,
        open: impl FnOnce(&mut SrtpPair) -> Result<Received, SrtpDrop>,
    ) -> Result<Received, TransportDrop> {
        let media = self.media.open_mut().ok_or(TransportDrop::NoKeys)?;
        if !self.ice.is_known(&path) {
            return Err(TransportDrop::Source);
        }
        let received = open(media).map_err(TransportDrop::Srtp)?;
        if let Some(change) = self.ice.heard(now_ns) {
            self.handle_consent(change);
        }
        Ok(received)
    }

    /// Takes a STUN message that was read already, to find this transport by its ufrag; `view` is
    /// of
    /// `datagram`.
    pub fn handle_stun(
        &mut self,
        now_ns: u64,
        path: Path,
        view: &StunView<'_>,
        datagram: &[u8],
    ) -> Received {
        if self.state == State::Ended {
            return Received::Dropped(TransportDrop::Ended);
        }
        self.handle_view(now_ns, path, view, datagram).unwrap_or_else(Received::Dropped)
    }

    fn handle_view(
        &mut self,
        now_ns: u64,
        path: Path,
        view: &StunView<'_>,
        datagram: &[u8],
    ) -> Result<Received, TransportDrop> {
        let heard =
            self.ice.handle_stun(now_ns, path, view, datagram).map_err(TransportDrop::Ice)?;
        if !self.heard {
            self.heard = true;
            if self.state == State::Connecting {
                self.connect_by_ns = Some(now_ns + CONNECT_TIMEOUT_MS * NS_PER_MS);
            }
        }
        if let Some(change) = heard.consent {
            self.handle_consent(change);
        }
        if let Some(path) = heard.selected {
            self.handle_selected(path);
        }
        Ok(Received::Stun(heard))
    }

    fn handle_dtls(&mut self, path: Path, datagram: &[u8]) -> Result<Received, TransportDrop> {
        // Forged records can end a handshake, so only those who passed a check may speak at all.
        if !self.ice.is_known(&path) {
            return Err(TransportDrop::Source);
        }
        let kept = self.dtls.handle_datagram(datagram);
        if kept { Ok(Received::Dtls) } else { Err(TransportDrop::DtlsBacklog) }
    }

    fn handle_selected(&mut self, path: Path) {
        match self.state {
            State::Connected => self.tell(TransportEvent::PathChanged(path)),
            State::Connecting if self.dtls.role() == DtlsRole::Client => self.dtls.begin(),
            State::Connecting | State::Ended => {}
        }
    }

    fn handle_consent(&mut self, change: ConsentChange) {
        match change {
            ConsentChange::Disconnected => self.tell(TransportEvent::Disconnected),
            ConsentChange::Recovered => self.tell(TransportEvent::Recovered),
            ConsentChange::Failed => self.fail(TransportFailure::Silent),
        }
    }

    /// What DTLS has to do, if it has: the caller runs it here or elsewhere and brings back what
    /// comes out. One piece of work is out at a time.
    pub fn poll_dtls_work(&mut self, now_ns: u64) -> Option<DtlsWork> {
        self.dtls.poll_work(now_ns)
    }

    /// Whether the work that [`Self::poll_dtls_work`] has belongs to a handshake, which costs up to
    /// a millisecond; what comes later is as quick as a packet of media.
    pub fn wants_handshake(&self) -> bool {
        self.dtls.wants_handshake()
    }

    /// Takes back work that was done.
    pub fn handle_dtls_done(&mut self, done: DtlsDone) {
        for output in self.dtls.handle_done(done) {
            match output {
                Output::Connected { fingerprint, keys } => {
                    if matches!(self.media, Media::None) {
                        self.media = Media::Held { keys, fingerprint };
                        self.verify();
                    }
                }
                Output::Identified(found) => self.compare(found),
                Output::Data(data) => {
                    // Before the comparison it is a stranger who speaks.
                    if self.state == State::Connected && self.events.len() < MAX_EVENTS {
                        self.events.push_back(TransportEvent::Data(data));
                    }
                }
                Output::Closed => self.end(TransportEvent::Closed),
                Output::Failed(failure) => self.fail(TransportFailure::Dtls(failure)),
            }
        }
    }

    /// Does all the work of DTLS that there is, on the spot.
    pub fn run_dtls(&mut self, now_ns: u64) {
        while let Some(work) = self.poll_dtls_work(now_ns) {
            self.handle_dtls_done(work.run());
        }
    }

    /// Compares as soon as both fingerprints are there.
    fn verify(&mut self) {
        let (Media::Held { fingerprint, .. }, Some(wanted)) = (&self.media, &self.wanted) else {
            return;
        };
        match (wanted.algorithm(), fingerprint.algorithm()) {
            // RFC 8122 5: hash functions that are no longer good must not be used.
            (HashAlgorithm::Sha1, _) => self.fail(TransportFailure::Fingerprint),
            (wanted, found) if wanted == found => {
                let found = *fingerprint;
                self.compare(Some(found));
            }
            (wanted, _) => self.dtls.identify(wanted),
        }
    }

    /// RFC 8827 6.5: what is not the certificate of the signalling ends the session, before a key
    /// was used.
    fn compare(&mut self, found: Option<Fingerprint>) {
        if found.is_none() || found != self.wanted {
            return self.fail(TransportFailure::Fingerprint);
        }
        match mem::replace(&mut self.media, Media::None) {
            Media::Held { keys, .. } => {
                let role = self.dtls.role();
                self.media = Media::Open(keys.map(|keys| Box::new(SrtpPair::new(&keys, role))));
            }
            other => self.media = other,
        }
        if self.state == State::Connecting
            && let Some(path) = self.ice.send_path()
        {
            self.state = State::Connected;
            self.connect_by_ns = None;
            self.tell(TransportEvent::Connected { profile: self.media.profile(), path });
        }
    }

    /// The next datagram to send, written into `out`, which should have room for 1500 bytes.
    pub fn poll_transmit(&mut self, now_ns: u64, out: &mut [u8]) -> Option<Transmit> {
        if self.state != State::Ended
            && let Some(sent) = self.ice.poll_transmit(now_ns, out)
        {
            return Some(Transmit { path: sent.path, len: sent.len });
        }
        let path = self.ice.send_path()?;
        self.dtls.poll_transmit(out).map(|len| Transmit { path, len })
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        let event = self.events.pop_front();
        if event.is_some() && self.events.is_empty() {
            self.events = VecDeque::new();
        }
        event
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn deadline(&mut self, now_ns: u64) -> Option<u64> {
        let ice = (self.state != State::Ended).then(|| self.ice.deadline(now_ns)).flatten();
        [ice, self.dtls.deadline(), self.connect_by_ns].into_iter().flatten().min()
    }

    /// Lets time pass. Work, datagrams and events may be there afterwards.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        self.dtls.handle_timeout(now_ns);
        if self.state == State::Ended {
            return;
        }
        let before = self.ice.selected();
        while let Some(change) = self.ice.handle_timeout(now_ns) {
            self.handle_consent(change);
        }
        let selected = self.ice.selected();
        if let Some(path) = selected.filter(|_| selected != before) {
            self.handle_selected(path);
        }
        if self.connect_by_ns.is_some_and(|by_ns| by_ns <= now_ns) {
            let failure = match self.heard {
                true => TransportFailure::Unfinished,
                false => TransportFailure::Unreached,
            };
            self.fail(failure);
        }
    }

    /// Sends a message over DTLS: an SCTP packet. False when it was dropped, as datagrams are.
    pub fn send_data(&mut self, data: &[u8]) -> bool {
        self.state == State::Connected && self.dtls.send(data)
    }

    /// The same on the spot: what is to be sent is in `out`. `None` when that cannot be: then
    /// [`Self::send_data`] does.
    pub fn seal_data(&mut self, now_ns: u64, data: &[u8], out: &mut [u8]) -> Option<Transmit> {
        if self.state != State::Connected {
            return None;
        }
        let path = self.ice.send_path()?;
        self.dtls.seal(now_ns, data, out).map(|len| Transmit { path, len })
    }

    /// Ends the transport and tells the peer: poll the work and the last datagrams. No event
    /// follows.
    pub fn close(&mut self) {
        if self.state != State::Ended {
            self.state = State::Ended;
            self.connect_by_ns = None;
            self.media = Media::None;
            self.dtls.close();
        }
    }

    fn fail(&mut self, failure: TransportFailure) {
        self.end(TransportEvent::Failed(failure));
    }

    fn end(&mut self, event: TransportEvent) {
        if self.state != State::Ended {
            self.close();
            self.tell(event);
        }
    }

    fn tell(&mut self, event: TransportEvent) {
        self.events.push_back(event);
    }

    /// Where to send, once anything was heard.
    pub fn send_path(&self) -> Option<Path> {
        self.ice.send_path()
    }

    /// The nominated path's address and protocol.
    pub fn selected(&self) -> Option<(std::net::SocketAddr, PathProtocol)> {
        self.ice.selected().map(|path| (path.remote, path.protocol))
    }

    /// All paths that lead here, for the caller's table of addresses.
    pub fn known_paths(&self) -> impl Iterator<Item = Path> + '_ {
        self.ice.known()
    }

    /// Whether the peer is the right one and keys are in use.
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Whether something authentic came from the peer within the last `window_ns`.
    pub fn is_heard(&self, now_ns: u64, window_ns: u64) -> bool {
        self.ice.is_heard(now_ns, window_ns)
    }

    /// Whether nothing will ever come of it any more.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// What seals for the peer, for callers that seal many packets.
    pub fn sealer(&self) -> Option<&SrtpSealer> {
        self.media.open().map(|media| &media.sealer)
    }

    /// Seals an RTP packet into the start of `out`; `None` while there are no keys.
    pub fn seal_rtp_into(
        &self,
        index: PacketIndex,
        parts: &RtpParts<'_>,
        out: &mut [u8],
    ) -> Option<Result<usize, SealError>> {
        Some(self.sealer()?.seal_parts_into(index, parts, out))
    }

    /// Seals an RTCP packet into the start of `out`; `None` while there are no keys.
    pub fn seal_rtcp_into(
        &mut self,
        rtcp: &[u8],
        out: &mut [u8],
    ) -> Option<Result<usize, SealError>> {
        Some(self.media.open_mut()?.sealer.seal_rtcp_into(rtcp, out))
    }

    /// Forgets an SSRC that the peer no longer sends, so that its place is free.
    pub fn remove_stream(&mut self, ssrc: u32) {
        if let Some(media) = self.media.open_mut() {
            media.opener.remove(ssrc);
        }
    }
}
