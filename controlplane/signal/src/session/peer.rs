//! One peer connection: its ends, and the commands that bring the data plane where they are.

use std::net::SocketAddr;

use ringway_sdp::{
    Candidate, CandidateAddress, CandidateTransport, Capabilities, CapabilityOptions, DataOptions,
    Description, Gates, Kind, LocalTransport, MediaMap, Origin, Purpose, RemoteTransport,
    host_candidates,
};

use crate::plane::{Ask, IceCredentials, PlaneInfo, TransportKey};
use crate::random::Random;
use crate::settings::Settings;
use crate::way::Way;

/// What we say of data channels: RFC 8841's usual port, and LiveKit's bound.
pub(super) const DATA: DataOptions = DataOptions { sctp_port: 5000, max_message_bytes: 65_535 };

/// Candidates of a client. Raised: a client has the server send checks to more addresses that it
/// makes up; lowered: one with many networks is not found.
const CANDIDATES_MAX: usize = 32;

/// What a peer connection is made from.
pub(super) struct Basis<'a> {
    pub(super) settings: &'a Settings,
    pub(super) plane: &'a PlaneInfo,
    pub(super) gates: &'a Gates,
    pub(super) shard: u16,
    pub(super) lite: bool,
    pub(super) tcp: bool,
    pub(super) way: Way,
    pub(super) playout_delay: bool,
    pub(super) trailer: &'a [u8],
}

/// One peer connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: TransportKey,
    pub(super) local: LocalTransport,
    pub(super) capabilities: Capabilities,
    /// The client's end, once it has said it.
    pub(super) remote: Option<RemoteTransport>,
    /// The client's last description: its offer, or its answer.
    pub(super) theirs: Option<Description>,
    /// Our last description.
    pub(super) ours: Option<Description>,
    origin: Origin,
    media: Option<MediaMap>,
    /// Where the client may reach us, of which it may be told a part.
    reachable: Vec<Candidate>,
    /// Where the client may be reached: told to the data plane, or to be told with its credentials.
    candidates: Vec<SocketAddr>,
    opened: bool,
    /// What marks frames that the server makes, for the data plane.
    trailer: Vec<u8>,
}

impl Peer {
    pub(super) fn new(basis: &Basis<'_>, purpose: Purpose, random: &mut Random) -> Self {
        let addresses = basis.plane.shards.get(usize::from(basis.shard));
        let (udp, tcp) = addresses.map_or((&[][..], &[][..]), |at| (&at.udp, &at.tcp));
        let ice = random.ice();
        let enabled = basis.settings.for_sdp();
        // Who is not known to use TCP shall try where there is nothing else.
        let tcp = if basis.tcp || udp.is_empty() { tcp } else { &[] };
        let reachable = host_candidates(udp, tcp);
        let capabilities = Capabilities::new(&CapabilityOptions {
            purpose,
            enabled: &enabled,
            gates: basis.gates,
            send_side_estimate: false,
            playout_delay: basis.playout_delay,
            flexfec: basis.settings.flexfec,
            // Subscribers of an offer that names it may stumble; who offers it can decode it.
            h264_high: purpose != Purpose::Subscriber,
        });
        let mut peer = Self {
            key: TransportKey(random.key()),
            local: LocalTransport {
                ufrag: ice.ufrag,
                pwd: ice.pwd,
                fingerprint: basis.plane.fingerprint.clone(),
                lite: basis.lite,
                begins: None,
                candidates: Vec::new(),
            },
            capabilities,
            remote: None,
            theirs: None,
            ours: None,
            origin: Origin::new(random.next()),
            media: None,
            reachable,
            candidates: Vec::new(),
            opened: false,
            trailer: basis.trailer.to_vec(),
        };
        peer.choose(basis.way);
        peer
    }

    /// Tells the client from now on of all ways to reach us, or only of those over TCP, if there
    /// are any. What a relay reaches is UDP.
    pub(super) fn choose(&mut self, way: Way) {
        let is_tcp = |one: &&Candidate| one.transport != CandidateTransport::Udp;
        let some = self.reachable.iter().filter(is_tcp).cloned();
        let some: Vec<Candidate> = if way == Way::Tcp { some.collect() } else { Vec::new() };
        self.local.candidates = if some.is_empty() { self.reachable.clone() } else { some };
    }

    /// The origin of the next description.
    pub(super) fn next_origin(&mut self) -> Origin {
        let origin = self.origin;
        self.origin = origin.next();
        origin
    }

    fn ice(&self) -> IceCredentials {
        IceCredentials { ufrag: self.local.ufrag.clone(), pwd: self.local.pwd.clone() }
    }

    /// Before our first description goes out: the client's checks may be faster than its answer.
    pub(super) fn open(&mut self) -> Option<Ask> {
        if std::mem::replace(&mut self.opened, true) {
            return None;
        }
        let (ice, trailer) = (self.ice(), self.trailer.clone());
        Some(Ask::OpenTransport { transport: self.key, ice, lite: self.local.lite, trailer })
    }

    /// New credentials of ours.
    pub(super) fn restart(&mut self, random: &mut Random) -> Option<Ask> {
        if !self.opened {
            return None;
        }
        let ice = random.ice();
        self.local.ufrag.clone_from(&ice.ufrag);
        self.local.pwd.clone_from(&ice.pwd);
        Some(Ask::RestartIce { transport: self.key, ice })
    }

    /// Takes the client's end and the meaning of numbers; only what changed is told.
    pub(super) fn take(&mut self, remote: RemoteTransport, media: MediaMap) -> Vec<Ask> {
        let mut asks = self.take_remote(remote);
        if self.media.as_ref() != Some(&media) {
            asks.push(Ask::SetMedia { transport: self.key, media: Box::new(media.clone()) });
            self.media = Some(media);
        }
        asks
    }

    /// Takes the client's end alone.
    pub(super) fn take_remote(&mut self, remote: RemoteTransport) -> Vec<Ask> {
        let restarted = self.remote.as_ref().is_some_and(|before| remote.has_restarted(before));
        let same = self
            .remote
            .as_ref()
            .is_some_and(|before| !restarted && before.fingerprint == remote.fingerprint);
        if restarted {
            // Those of before belong to the credentials of before.
            self.candidates.clear();
        }
        let ice = IceCredentials { ufrag: remote.ufrag.clone(), pwd: remote.pwd.clone() };
        let (transport, fingerprint) = (self.key, remote.fingerprint.clone());
        let first = self.remote.is_none();
        let told = remote.candidates.clone();
        let mut asks = Vec::new();
        if self.local.begins.is_none() {
            let begins = remote.is_begun_by_us(None) == Ok(true);
            self.local.begins = Some(begins);
            asks.extend(begins.then_some(Ask::BeginDtls { transport }));
        }
        self.remote = Some(remote);
        if !same {
            asks.push(Ask::SetRemote { transport, ice, fingerprint });
        }
        if first {
            let early = self.candidates.iter();
            asks.extend(early.map(|address| Ask::AddCandidate { transport, address: *address }));
        }
        asks.extend(told.iter().filter_map(|candidate| self.add_candidate(candidate)));
        asks
    }

    /// Takes a candidate of the client's. A lite server has no use for any, neither has one that is
    /// reached over TCP alone: there it is the client that connects.
    pub(super) fn add_candidate(&mut self, candidate: &Candidate) -> Option<Ask> {
        let CandidateAddress::Ip(ip) = candidate.address else { return None };
        let address = SocketAddr::new(ip, candidate.port);
        let of_others = self.remote.as_ref().is_some_and(|remote| {
            candidate.ufrag.as_ref().is_some_and(|ufrag| *ufrag != remote.ufrag)
        });
        let uses_udp = self.reachable.iter().any(|one| one.transport == CandidateTransport::Udp);
        if self.local.lite
            || !uses_udp
            || of_others
            || candidate.transport != CandidateTransport::Udp
            || candidate.component != 1
            || candidate.port == 0
            || self.candidates.len() >= CANDIDATES_MAX
            || self.candidates.contains(&address)
        {
            return None;
        }
        self.candidates.push(address);
        self.remote.as_ref()?;
        Some(Ask::AddCandidate { transport: self.key, address })
    }

    /// Whether the data plane knows it.
    pub(super) fn is_open(&self) -> bool {
        self.opened
    }

    /// Whether it has data channels, as far as we have said.
    pub(super) fn has_data(&self) -> bool {
        let sections = self.ours.iter().flat_map(|ours| &ours.sections);
        { sections }.any(|section| section.kind == Kind::Application && !section.is_rejected())
    }

    pub(super) fn close(&mut self) -> Option<Ask> {
        std::mem::take(&mut self.opened).then_some(Ask::CloseTransport { transport: self.key })
    }
}
