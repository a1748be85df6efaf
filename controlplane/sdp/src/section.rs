//! One media section of a description, and the attributes that belong to its transport.

use crate::attributes::{Extmap, Msid, Rid, Simulcast, Source, SourceGroup};
use crate::candidate::Candidate;
use crate::fingerprint::Fingerprint;
use crate::payload::Payload;

/// What a section carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels.
    Application,
}

impl Kind {
    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Application => "application",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Audio, Self::Video, Self::Application].into_iter().find(|kind| kind.name() == name)
    }
}

/// Who sends, as the describer sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both sides.
    #[default]
    SendRecv,
    /// The describer.
    SendOnly,
    /// The other side.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The direction in which the describer sends and receives as said.
    pub const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        all.into_iter().find(|direction| direction.name() == name)
    }

    /// Whether the describer sends.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the describer receives.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same, as the other side sees it.
    pub const fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }
}

/// Who begins the DTLS handshake (`a=setup`, RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The describer does either.
    ActPass,
    /// The describer is the DTLS client.
    Active,
    /// The describer is the DTLS server.
    Passive,
    /// Nobody for now; WebRTC does not have it.
    HoldConn,
}

impl Setup {
    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
            Self::HoldConn => "holdconn",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [Self::ActPass, Self::Active, Self::Passive, Self::HoldConn];
        all.into_iter().find(|setup| setup.name() == name)
    }
}

/// What a section says of its ICE and DTLS. What stands at session level is copied into every
/// section that does not say it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransportAttributes {
    /// `ice-ufrag`; empty if it is missing.
    pub ufrag: String,
    /// `ice-pwd`; empty if it is missing.
    pub pwd: String,
    /// `ice-options`, such as `trickle`.
    pub ice_options: Vec<String>,
    /// Candidates that could be read; others are skipped.
    pub candidates: Vec<Candidate>,
    /// `end-of-candidates`: no more will come.
    pub end_of_candidates: bool,
    /// Certificate fingerprints.
    pub fingerprints: Vec<Fingerprint>,
    /// The DTLS role.
    pub setup: Option<Setup>,
}

/// One media section (`m=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it carries.
    pub kind: Kind,
    /// The port: 9 stands for "see ICE", 0 for rejected, or for "only bundled" in an offer.
    pub port: u16,
    /// The protocol, such as `UDP/TLS/RTP/SAVPF`.
    pub protocol: String,
    /// The format of an application section; empty otherwise.
    pub format: String,
    /// The mid; empty if it is missing.
    pub mid: String,
    /// Who sends.
    pub direction: Direction,
    /// Payload types in order of preference.
    pub payloads: Vec<Payload>,
    /// RTP header extensions.
    pub extensions: Vec<Extmap>,
    /// Packets with one-byte and two-byte extension headers may be mixed.
    pub extmap_allow_mixed: bool,
    /// Encodings with an id.
    pub rids: Vec<Rid>,
    /// The order of the encodings.
    pub simulcast: Option<Simulcast>,
    /// SSRCs with what is said of them.
    pub sources: Vec<Source>,
    /// How SSRCs belong together.
    pub source_groups: Vec<SourceGroup>,
    /// Streams and track.
    pub msids: Vec<Msid>,
    /// ICE and DTLS.
    pub transport: TransportAttributes,
    /// RTP and RTCP share the transport.
    pub rtcp_mux: bool,
    /// RTCP packets may stand alone (RFC 5506).
    pub rtcp_rsize: bool,
    /// Port 0 only until the section is bundled.
    pub bundle_only: bool,
    /// `sctp-port` of an application section.
    pub sctp_port: Option<u16>,
    /// Largest message of a data channel, in bytes; 0 says that there is no bound.
    pub max_message_bytes: Option<u64>,
}

impl Section {
    /// A section with nothing in it.
    pub fn new(kind: Kind, mid: &str) -> Self {
        let application = kind == Kind::Application;
        Self {
            kind,
            port: 9,
            protocol: if application { "UDP/DTLS/SCTP" } else { "UDP/TLS/RTP/SAVPF" }.to_owned(),
            format: if application { "webrtc-datachannel" } else { "" }.to_owned(),
            mid: mid.to_owned(),
            direction: Direction::SendRecv,
            payloads: Vec::new(),
            extensions: Vec::new(),
            extmap_allow_mixed: false,
            rids: Vec::new(),
            simulcast: None,
            sources: Vec::new(),
            source_groups: Vec::new(),
            msids: Vec::new(),
            transport: TransportAttributes::default(),
            rtcp_mux: false,
            rtcp_rsize: false,
            bundle_only: false,
            sctp_port: None,
            max_message_bytes: None,
        }
    }

    /// Whether the describer refuses the section, or has given it up.
    // RFC 8843 7.3.4: port 0 with `bundle-only` is not a rejection.
    pub fn is_rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// The first stream and track of the section, wherever they are written.
    pub fn msid(&self) -> Option<&Msid> {
        let old = || self.sources.iter().find_map(|source| source.msid.as_ref());
        self.msids.first().or_else(old)
    }

    /// The payload type's description.
    pub fn payload(&self, payload_type: u8) -> Option<&Payload> {
        self.payloads.iter().find(|payload| payload.payload_type == payload_type)
    }

    /// The retransmission payload type of each payload type.
    pub fn repairs(&self) -> [Option<u8>; 128] {
        let mut repairs = [None; 128];
        for payload in &self.payloads {
            let repaired = payload.associated().map(usize::from);
            let place = repaired.and_then(|number| repairs.get_mut(number));
            if let Some(place) = place.filter(|place| place.is_none()) {
                *place = Some(payload.payload_type);
            }
        }
        repairs
    }
}
