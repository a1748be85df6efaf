//! The messages of calls: what the control plane asks of a shard about peer connections, and what
//! the shard says of them.
//!
//! A *transport* is one peer connection, a *source* is media that comes in over one, a *route* is a
//! source that goes out over one. Keys are chosen by the control plane, never 0, and unique; asking
//! again with a known key replaces. What hangs on a transport goes with it.
//!
//! A route may send a source that comes in on another shard, its home: the shards see to that
//! between them, and such a route ends with its source. A route may be asked for before the home
//! has heard of the source.
//!
//! Text is limited to what ICE and RTP put on the wire, in fixed room. Every command is answered by
//! `Done`: [`crate::message::Outcome::Accepted`], [`crate::message::Outcome::Media`],
//! [`crate::message::Outcome::Listening`], or refused.
// The rkyv derives make public types whose fields have no documentation.
#![allow(missing_docs)]

use std::net::{IpAddr, SocketAddr};

use rkyv::{Archive, Deserialize, Serialize};

pub use crate::network::Network;

/// Names a peer connection.
pub type TransportKey = u64;
/// Names media that comes in.
pub type SourceKey = u64;
/// Names media that goes out.
pub type RouteKey = u64;

/// Names a data track.
pub type DataTrackKey = u64;

/// The longest user name fragment; browsers use 4 to 16. RFC 8445 allows 256, which nobody sends.
pub const UFRAG_BYTES: usize = 32;
/// The longest ICE password; browsers use 22 to 32.
pub const PASSWORD_BYTES: usize = 64;
/// The longest mid or rid: what fits a one-byte header extension (RFC 8285 4.2).
pub const NAME_BYTES: usize = 16;
/// The longest certificate hash: SHA-512.
pub const FINGERPRINT_BYTES: usize = 64;
/// Part of an identity in one command; LiveKit's identities have at most 256 octets by default.
pub const IDENTITY_PART_BYTES: usize = 160;
/// The longest canonical name (RFC 3550 6.5.1) of a route. LiveKit's clients see a participant's
/// sid and a stream's name there, 16 and some 36 octets; each report repeats it.
pub const CNAME_BYTES: usize = 64;
/// The longest trailer of frames that a shard makes; LiveKit's clients look for 12 octets.
pub const TRAILER_BYTES: usize = 12;
/// The longest sid.
pub const SID_BYTES: usize = 32;
/// Payload types in one command.
pub const PAYLOADS: usize = 12;
/// Kinds of header extension, see [`ExtensionKind`].
pub const EXTENSION_KINDS: usize = 11;
/// Encodings of one source.
pub const LAYERS: usize = 3;
/// Temporal layers of one encoding.
pub const TEMPORALS: usize = 4;
/// Sources in one event of loudness.
pub const LEVELS: usize = 8;
/// Octets of what relays are made with in secret.
pub const RELAY_SECRET_BYTES: usize = 32;
/// Addresses that relays lead to.
pub const RELAY_ADDRESSES: usize = 9;
/// Networks that proxies in front of relays may be in.
pub const RELAY_PROXIES: usize = 12;
/// Part of a certificate or key in one command.
pub const TLS_PART_BYTES: usize = 200;

/// A few octets of text in fixed room.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    /// How many octets count.
    pub len: u8,
    /// They, and zeroes.
    pub bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// Nothing.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; N] };

    /// Takes `bytes` if there is room for them.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut text = Self::EMPTY;
        text.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        text.len = u8::try_from(bytes.len()).ok()?;
        Some(text)
    }

    /// The octets; nothing if the length is not to be believed.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

impl<const N: usize> std::fmt::Debug for Text<N> {
    /// Only the length: passwords must not reach logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} octets)", self.len)
    }
}

/// ICE credentials.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct IceCredentials {
    /// User name fragment.
    pub ufrag: Text<UFRAG_BYTES>,
    /// Password.
    pub password: Text<PASSWORD_BYTES>,
}

/// How a certificate was hashed (RFC 8122).
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum HashAlgorithm {
    /// 32 octets.
    Sha256,
    /// 48 octets.
    Sha384,
    /// 64 octets.
    Sha512,
}

/// A certificate's hash.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How.
    pub algorithm: HashAlgorithm,
    /// The hash.
    pub hash: Text<FINGERPRINT_BYTES>,
}

/// What is asked about calls.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallCommand {
    /// Receive at this address, and tell the certificate's fingerprint. Again with the same
    /// address: what there is. With the port of a socket that is open for all addresses: what comes
    /// to this one is answered from it.
    OpenMedia {
        /// Where; port 0 takes any.
        udp: SocketAddr,
    },
    /// Take TCP connections of clients at this address, for all shards: shard 0 alone is asked.
    /// Again with the same address: what there is; with another one: that instead.
    Listen {
        /// Where; port 0 takes any.
        tcp: SocketAddr,
    },
    /// A part of what TLS of relays is done with, in DER; for the next [`CallCommand::Relay`].
    RelayTls {
        /// 0 is the private key, 1 our certificate, then those that vouch for it. Parts of the same
        /// place are joined.
        place: u8,
        /// Forget what was said before.
        first: bool,
        /// The part.
        part: Text<TLS_PART_BYTES>,
    },
    /// Where proxies in front of relays are; for the next [`CallCommand::Relay`].
    RelayProxies {
        /// The networks.
        networks: [Option<Network>; RELAY_PROXIES],
    },
    /// Relay TURN clients to media ports, those of all shards: shard 0 alone is asked. Again:
    /// change what is different.
    Relay(RelaySpec),
    /// Answer ICE checks with these credentials, and DTLS as its server unless
    /// [`CallCommand::BeginDtls`] follows.
    OpenTransport {
        /// Which.
        transport: TransportKey,
        /// Ours.
        local: IceCredentials,
        /// Only answer checks; else make them too.
        lite: bool,
        /// What frames that the shard makes for it end in, so that their receiver does not take
        /// them for encrypted ones.
        trailer: Text<TRAILER_BYTES>,
    },
    /// Who may connect; also after the client has restarted ICE.
    SetRemote {
        /// Which.
        transport: TransportKey,
        /// The client's.
        remote: IceCredentials,
        /// Of the client's certificate.
        fingerprint: Fingerprint,
    },
    /// An address that the client may be reached at, over UDP. Only of use where checks are made.
    AddCandidate {
        /// Which.
        transport: TransportKey,
        /// Where.
        address: SocketAddr,
    },
    /// Replace our credentials.
    RestartIce {
        /// Which.
        transport: TransportKey,
        /// Ours from now on.
        local: IceCredentials,
    },
    /// Drop a transport with its sources and routes.
    CloseTransport {
        /// Which.
        transport: TransportKey,
    },
    /// What payload types mean from now on. `first` forgets what was said before.
    SetPayloads {
        /// Which.
        transport: TransportKey,
        /// Begin anew.
        first: bool,
        /// The payload types; those above 127 are none.
        payloads: [Payload; PAYLOADS],
    },
    /// What extension ids mean from now on: by [`ExtensionKind`], 0 is none.
    SetExtensions {
        /// Which.
        transport: TransportKey,
        /// The ids.
        ids: [u8; EXTENSION_KINDS],
    },
    /// What RTCP to the peer must look like.
    SetRtcp {
        /// Which.
        transport: TransportKey,
        /// It takes packets that are no compounds (RFC 5506). Not so before it is said.
        reduced_size: bool,
    },
    /// Take in media, or replace how it is taken in.
    AddSource(SourceSpec),
    /// Mute or unmute.
    SetSource {
        /// Which.
        source: SourceKey,
        /// The publisher sends nothing that matters.
        muted: bool,
    },
    /// Drop media that comes in, and its routes.
    RemoveSource {
        /// Which.
        source: SourceKey,
    },
    /// Send a source to a subscriber, or replace how.
    AddRoute(RouteSpec),
    /// Serve a route otherwise.
    SetRoute {
        /// Which.
        route: RouteKey,
        /// How.
        service: Service,
    },
    /// Drop a route.
    RemoveRoute {
        /// Which.
        route: RouteKey,
    },
    /// A part of the identity that the next [`CallCommand::SetData`] of this transport means.
    NameData {
        /// Which.
        transport: TransportKey,
        /// Begin anew.
        first: bool,
        /// The part.
        part: Text<IDENTITY_PART_BYTES>,
    },
    /// Let a transport carry a participant's data, or change what it may.
    SetData(DataSpec),
    /// Packets of the peer's with this handle belong to a data track.
    SetDataTrack {
        /// Over which transport; it may carry data already.
        transport: TransportKey,
        /// What its packets say.
        handle: u16,
        /// Which; 0 is none any more.
        track: DataTrackKey,
    },
    /// Send a data track under this handle; it need not be there yet.
    SetDataRoute {
        /// Over which transport; it may carry data already.
        transport: TransportKey,
        /// What the packets shall say.
        handle: u16,
        /// Which; 0 is none any more.
        track: DataTrackKey,
        /// The shard that its packets come in on.
        home: u16,
    },
    /// Send kept reliable messages of a participant again, those after a number.
    ReplayData {
        /// To whom.
        transport: TransportKey,
        /// Whose: its sid.
        publisher: Text<SID_BYTES>,
        /// The last one that arrived.
        after: u32,
    },
    /// Take a subscriber's path for no wider than this, whatever its reports say.
    LimitBandwidth {
        /// Which.
        transport: TransportKey,
        /// bits/s; `None` takes the limit away.
        bps: Option<u64>,
    },
    /// The control plane is new and knows of nothing that is there: all keys are free again.
    /// Transports go on without it until their clients end them, or serve nobody any more, but not
    /// for longer than this.
    Disown {
        /// ms.
        linger_ms: u32,
    },
    /// Be the DTLS client of a transport: its peer waits for one to begin. To be said before the
    /// first [`CallCommand::SetRemote`].
    BeginDtls {
        /// Which.
        transport: TransportKey,
    },
}

/// How TURN clients are relayed (RFC 8656).
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelaySpec {
    /// What credentials are made from, [`RELAY_SECRET_BYTES`] long.
    pub secret: Text<RELAY_SECRET_BYTES>,
    /// The local address of all ports.
    pub bind: IpAddr,
    /// UDP port; 0 is none.
    pub udp_port: u16,
    /// TCP port; 0 is none.
    pub tcp_port: u16,
    /// Port of TLS over TCP; 0 is none.
    pub tls_port: u16,
    /// Somebody in front of that port has ended TLS already.
    pub external_tls: bool,
    /// First and last of the ports that clients get for their own, which are never opened.
    pub relayed_ports: (u16, u16),
    /// Relays of one user.
    pub per_user: u16,
    /// The addresses of this machine that clients are told, the best first.
    pub addresses: [Option<IpAddr>; RELAY_ADDRESSES],
    /// Who connects to the port of TLS is a proxy that says in a PROXY header whose connection it
    /// passes on: those of [`CallCommand::RelayProxies`], everybody else is refused there.
    pub proxied: bool,
}

/// What a transport may do with data.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSpec {
    /// Which.
    pub transport: TransportKey,
    /// The room that messages stay in.
    pub room: u64,
    /// The participant's sid.
    pub sid: Text<SID_BYTES>,
    /// Bits of [`data_rights`].
    pub rights: u8,
    /// Who opens the channels.
    pub opening: DataOpening,
    /// Who sends to it reliably waits while it takes at least so many bits a second; 0: for the
    /// fastest receiver alone.
    pub slow_bps: u32,
}

/// Bits of [`DataSpec::rights`].
pub mod data_rights {
    /// Messages of the peer are passed on.
    pub const PUBLISH: u8 = 1;
    /// Messages of others are sent over this transport.
    pub const DELIVER: u8 = 2;
    /// It is an agent, which may transcribe.
    pub const AGENT: u8 = 4;
    /// It gets metrics.
    pub const METRICS: u8 = 8;
    /// Others do not learn who it is.
    pub const HIDDEN: u8 = 16;
    /// It has no signalling: over a channel of its own it gets the bytes of user packets alone.
    pub const BARE: u8 = 32;
}

/// Who opens data channels.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum DataOpening {
    /// The client.
    Client,
    /// The shard.
    Shard,
    /// Nobody: their ids are agreed.
    Negotiated,
}

/// What a payload type carries.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// 0 to 127; another number fills a place that is not used.
    pub payload_type: u8,
    /// The codec.
    pub codec: Codec,
    /// Payload type of its retransmissions; above 127 is none.
    pub rtx_payload_type: u8,
    /// What the receiver of feedback wants, bits of [`feedback`].
    pub feedback: u8,
    /// Clock of its timestamps, Hz.
    pub clock_hz: u32,
}

impl Payload {
    /// Fills a place that is not used.
    pub const UNUSED: Self = Self {
        payload_type: u8::MAX,
        codec: Codec::Opus,
        rtx_payload_type: u8::MAX,
        feedback: 0,
        clock_hz: 0,
    };
}

/// Bits of [`Payload::feedback`].
pub mod feedback {
    /// Generic NACK (RFC 4585).
    pub const NACK: u8 = 1;
    /// Picture loss (RFC 4585).
    pub const PLI: u8 = 2;
    /// Full intra request (RFC 5104).
    pub const FIR: u8 = 4;
    /// Transport-wide congestion control.
    pub const TRANSPORT_CC: u8 = 8;
    /// Receiver's estimate of the bitrate.
    pub const REMB: u8 = 16;
}

/// The codecs that a shard can tell frames of.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum Codec {
    /// Opus.
    Opus,
    /// Redundant audio (RFC 2198).
    Red,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// AV1.
    Av1,
}

/// Places of [`CallCommand::SetExtensions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum ExtensionKind {
    /// RFC 9143.
    Mid,
    /// RFC 8852.
    Rid,
    /// RFC 8852.
    RepairedRid,
    /// RFC 6464.
    AudioLevel,
    /// When it was sent.
    AbsSendTime,
    /// A number per packet of the transport.
    TransportSequence,
    /// When it was captured.
    AbsCaptureTime,
    /// Bounds of the receiver's buffer.
    PlayoutDelay,
    /// Frames and layers.
    DependencyDescriptor,
    /// How the camera was held.
    VideoOrientation,
    /// RFC 9626.
    FrameMarking,
}

/// What a source shows.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum SourceKind {
    /// Sound.
    Audio,
    /// A camera.
    Camera,
    /// A screen, on which nothing may move for a while.
    Screen,
}

/// One encoding of a source. Without rid and SSRC: whatever the mid brings.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its id in a header extension.
    pub rid: Text<NAME_BYTES>,
    /// Its SSRC.
    pub ssrc: Option<u32>,
    /// That of its retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// That of its FlexFEC repairs.
    pub fec_ssrc: Option<u32>,
}

impl Layer {
    /// Told from others by nothing.
    pub const ANY: Self = Self { rid: Text::EMPTY, ssrc: None, rtx_ssrc: None, fec_ssrc: None };
}

/// Media that comes in.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// Its name.
    pub source: SourceKey,
    /// Over which transport.
    pub transport: TransportKey,
    /// Which room's loudest it is compared with.
    pub room: u64,
    /// What it shows.
    pub kind: SourceKind,
    /// The media section; may be empty where SSRCs say all.
    pub mid: Text<NAME_BYTES>,
    /// Encodings, the lowest quality first.
    pub layers: [Layer; LAYERS],
    /// How many of them count, 1 to 3.
    pub layer_count: u8,
    /// The publisher sends nothing that matters.
    pub muted: bool,
    /// What comes in is encrypted between its ends: only its headers can be read.
    pub encrypted: bool,
}

/// Media that goes out.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// Its name.
    pub route: RouteKey,
    /// What.
    pub source: SourceKey,
    /// The shard that it comes in on.
    pub home: u16,
    /// What it shows.
    pub kind: SourceKind,
    /// Over which transport.
    pub transport: TransportKey,
    /// The SSRC that the subscriber sees.
    pub ssrc: u32,
    /// That of retransmissions.
    pub rtx_ssrc: Option<u32>,
    /// Payload type of the media.
    pub payload_type: u8,
    /// Payload type of RED, where the subscriber takes it; above 127 is none.
    pub red_payload_type: u8,
    /// Payload type of retransmissions; above 127 is none.
    pub rtx_payload_type: u8,
    /// The media section.
    pub mid: Text<NAME_BYTES>,
    /// Canonical name of the SSRCs, as signalled; empty: none is told.
    pub cname: Text<CNAME_BYTES>,
    /// How it is served.
    pub service: Service,
    /// How long the receiver shall buffer.
    pub playout: Option<PlayoutBounds>,
    /// What comes in is encrypted between its ends.
    pub encrypted: bool,
    /// The receiver does not know what clients append to pictures: it is cut off.
    pub cut_trailer: bool,
    /// The receiver learns of the track by packets: it gets silence or padding for a while, until
    /// the source sends anything.
    pub announce: bool,
}

/// How long a receiver of video shall buffer.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutBounds {
    /// Least delay, ms.
    pub min_ms: u16,
    /// Greatest delay, ms.
    pub max_ms: u16,
    /// The least delay follows the jitter that the receiver reports.
    pub adapts: bool,
}

/// How a route is served.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Send nothing.
    pub paused: bool,
    /// The highest layer.
    pub max_layer: u8,
    /// The highest temporal layer.
    pub max_temporal: u8,
    /// Who goes first when bandwidth is short, 255 before 1.
    pub priority: u8,
}

/// What a shard says about calls.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEvent {
    /// Media can flow.
    Connected {
        /// Which.
        transport: TransportKey,
        /// Where the client is.
        remote: SocketAddr,
        /// Over TCP.
        tcp: bool,
    },
    /// Nothing flows any more.
    Ended {
        /// Which.
        transport: TransportKey,
        /// Why.
        reason: EndReason,
    },
    /// Which layers a source sends. Again with every change of that, and of their pictures.
    SourceLayers {
        /// Which.
        source: SourceKey,
        /// Bit 0 is the lowest.
        live: u8,
        /// What they carry.
        codec: Option<Codec>,
        /// What their pictures are like, the lowest first; also of layers that are not live now.
        pictures: [Picture; LAYERS],
    },
    /// A route is held back for want of bandwidth, or goes on.
    RouteState {
        /// Which.
        route: RouteKey,
        /// Held back.
        paused: bool,
    },
    /// Who speaks in a room: all who do, in as many events as it takes. What was told last counts.
    Levels {
        /// Which.
        room: u64,
        /// The list begins.
        first: bool,
        /// The list ends.
        last: bool,
        /// How many count.
        count: u8,
        /// The loudest first.
        levels: [Level; LEVELS],
    },
    /// The number of a peer's last reliable message, told within a second of its change.
    DataHeard {
        /// Which.
        transport: TransportKey,
        /// The number.
        sequence: u32,
    },
    /// How well media travelled lately. Not told of what is muted, or has not begun.
    Quality {
        /// Source or route.
        subject: Subject,
        /// Packets that should have come. 0: none did, or of a route: its receiver has reported
        /// nothing of what it was sent for long.
        expected: u32,
        /// Of those, lost and not repaired.
        lost: u32,
        /// Something came from the peer, whatever it was.
        heard: bool,
        /// Of a route: layers that it lacks for want of bandwidth, ‰ of a layer, on average.
        lacking_permille: u16,
    },
}

/// What the pictures of a layer are like, as they come.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pixels; 0 is not known.
    pub width: u16,
    /// Pixels; 0 is not known.
    pub height: u16,
    /// Pictures in a second for who gets up to each temporal layer; 0 is not known.
    pub fps: [u8; TEMPORALS],
}

/// What a report is about.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Media that comes in.
    Source(SourceKey),
    /// Media that goes out.
    Route(RouteKey),
}

/// How loud a source is.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Which.
    pub source: SourceKey,
    /// 0 is silence, 255 the loudest.
    pub level: u8,
}

/// Why a transport ended.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[rkyv(derive(Debug))]
pub enum EndReason {
    /// The client closed it.
    Closed,
    /// No check ever came.
    Unreached,
    /// Checks came, DTLS did not finish.
    Unfinished,
    /// It fell silent.
    Silent,
    /// Another certificate than announced.
    Fingerprint,
    /// DTLS gave up, or offered no profile that we have.
    Dtls,
}
