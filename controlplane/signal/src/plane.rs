//! What a session asks of the data plane and hears back, without the contract's layout. Only the
//! server's `link` translates these.
//!
//! Every shard has its own transports, and what comes in and goes out over them; a route may send
//! what comes in on another shard. Keys are random and never 0.
//!
//! Whoever sends an [`Ask`] numbers it; the answer comes as a [`PlaneEvent::Refused`] if it was not
//! carried out.

use std::net::SocketAddr;

pub use ringway_room::calls::Picture;
pub use ringway_sdp::{
    Codec, ExtensionKind, Feedback, Fingerprint, HashAlgorithm, MAX_CNAME_BYTES, MediaMap,
};

/// Names a peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportKey(pub u64);

/// Names media that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub u64);

/// Names media that goes out to one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey(pub u64);

/// Names a data track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataTrackKey(pub u64);

impl From<&ringway_room::calls::DataTrackSid> for DataTrackKey {
    fn from(sid: &ringway_room::calls::DataTrackSid) -> Self {
        Self(sid.key())
    }
}

/// What is asked of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Answer ICE checks with these credentials, and DTLS as the server unless
    /// [`Ask::BeginDtls`] follows.
    OpenTransport {
        /// Which.
        transport: TransportKey,
        /// The server's credentials.
        ice: IceCredentials,
        /// Only answer; else check too.
        lite: bool,
        /// What marks frames that the server makes.
        trailer: Vec<u8>,
    },
    /// Be the DTLS client, for which the client waits; before it is said who may connect.
    BeginDtls {
        /// Which.
        transport: TransportKey,
    },
    /// Who may connect. Also after the client has restarted ICE.
    SetRemote {
        /// Which.
        transport: TransportKey,
        /// The client's credentials.
        ice: IceCredentials,
        /// The client's certificate.
        fingerprint: Fingerprint,
    },
    /// An address that the client may be reached at, over UDP. Only told where the server makes
    /// checks.
    AddCandidate {
        /// Which.
        transport: TransportKey,
        /// Where.
        address: SocketAddr,
    },
    /// Replace the server's credentials; old ones are good until a check with new ones comes.
    RestartIce {
        /// Which.
        transport: TransportKey,
        /// The server's new credentials.
        ice: IceCredentials,
    },
    /// Drop a transport with its sources and routes.
    CloseTransport {
        /// Which.
        transport: TransportKey,
    },
    /// What payload types and extension ids mean from now on, in all sections.
    SetMedia {
        /// Which.
        transport: TransportKey,
        /// The bundle's map.
        media: Box<MediaMap>,
    },
    /// Take in media, or replace how it is taken in if the key is known.
    AddSource(Box<AddSource>),
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
    /// Send a source to a subscriber, or replace how if the key is known.
    AddRoute(Box<AddRoute>),
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
    /// Let a transport carry the participant's data, or change what it may.
    SetData(Box<SetData>),
    /// Take a subscriber's path for no wider than this: a simulation.
    LimitBandwidth {
        /// Which.
        transport: TransportKey,
        /// bits/s; `None`: as wide as it is.
        bps: Option<u64>,
    },
    /// Packets of the client's with this handle belong to a data track, or to none any more.
    SetDataTrack {
        /// Over which transport.
        transport: TransportKey,
        /// The client's name of it.
        handle: u16,
        /// Which.
        track: Option<DataTrackKey>,
    },
    /// Send a data track to the client under this handle, or no longer send what has it.
    SetDataRoute {
        /// Over which transport.
        transport: TransportKey,
        /// What the packets say.
        handle: u16,
        /// Which.
        track: Option<DataTrackKey>,
        /// The shard that its packets come in on.
        home: u16,
    },
    /// Send kept reliable messages of a participant again.
    ReplayData {
        /// To whom.
        transport: TransportKey,
        /// Whose: its sid.
        publisher: String,
        /// The number of the last one that arrived.
        after: u32,
    },
}

/// What a transport may do with data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetData {
    /// Which.
    pub transport: TransportKey,
    /// The room that messages stay in.
    pub room: u64,
    /// The participant's identity.
    pub identity: String,
    /// And its sid.
    pub sid: String,
    /// Messages of the client are passed on.
    pub publishes: bool,
    /// Messages of others are sent over this transport.
    pub delivers: bool,
    /// It is an agent, which may transcribe.
    pub agent: bool,
    /// It gets metrics.
    pub metrics: bool,
    /// Others do not learn who it is.
    pub hidden: bool,
    /// It has no signalling: over a channel of its own it gets the bytes of user packets alone.
    pub bare: bool,
    /// Who opens the channels.
    pub opening: DataOpening,
    /// Senders wait for it while it takes at least so many bits a second; 0: for the fastest alone.
    pub slow_bps: u32,
}

/// Who opens data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataOpening {
    /// The client.
    Client,
    /// The data plane.
    Shard,
    /// Nobody: their ids are agreed.
    Negotiated,
}

/// ICE user name fragment and password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceCredentials {
    /// 4 to 256 characters of RFC 8445's alphabet.
    pub ufrag: String,
    /// 22 to 256 of them.
    pub pwd: String,
}

/// Media that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddSource {
    /// Over which transport.
    pub transport: TransportKey,
    /// Its name.
    pub source: SourceKey,
    /// Which room's loudest it is compared with.
    pub room: u64,
    /// What it shows.
    pub kind: SourceKind,
    /// The codec that was negotiated first; packets may carry another one of the media map.
    pub codec: Codec,
    /// The media section.
    pub mid: String,
    /// Up to 3, the lowest quality first; one without marks is whatever the mid brings.
    pub layers: Vec<Layer>,
    /// Begins muted.
    pub muted: bool,
    /// It is encrypted between its ends.
    pub encrypted: bool,
}

/// What a source shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Sound.
    Audio,
    /// A camera, or anything that moves.
    Camera,
    /// A screen, on which nothing may move for a while.
    Screen,
}

/// How a layer is told from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The section has only this one, whatever its ids.
    Only,
    /// By its id in a header extension.
    Rid(String),
    /// By SSRC, and those of what repairs it.
    Ssrc {
        /// Of the media.
        ssrc: u32,
        /// Of retransmissions.
        rtx: Option<u32>,
        /// Of FlexFEC repairs.
        fec: Option<u32>,
    },
}

/// Media that goes out to one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddRoute {
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
    /// That of retransmissions, if they have one.
    pub rtx_ssrc: Option<u32>,
    /// The payload type that the subscriber knows the source's codec by; for RED, what is inside.
    pub payload_type: u8,
    /// For RED, its own payload type; `None`: the subscriber gets what is inside.
    pub red_payload_type: Option<u8>,
    /// That of retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// The media section.
    pub mid: String,
    /// Canonical name of the SSRCs, as the description has it.
    pub cname: String,
    /// How it is served.
    pub service: Service,
    /// How long the receiver shall buffer; `None` says nothing.
    pub playout: Option<Playout>,
    /// What comes in is encrypted between its ends.
    pub encrypted: bool,
    /// The receiver does not know what clients append to pictures: it is cut off.
    pub cut_trailer: bool,
    /// The receiver learns of the track by packets: it gets some where none come.
    pub announce: bool,
}

/// How long a receiver of video shall buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playout {
    /// Least delay, ms.
    pub min_ms: u16,
    /// Greatest delay, ms.
    pub max_ms: u16,
    /// The least delay follows the receiver's jitter.
    pub adapts: bool,
}

/// How a route is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Send nothing.
    pub paused: bool,
    /// The highest spatial layer, 0 to 2.
    pub max_spatial: u8,
    /// The highest temporal layer, 0 to 3.
    pub max_temporal: u8,
    /// Who goes first when bandwidth is short, 1 to 255.
    pub priority: u8,
}

/// What is known of the data plane when it is joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneInfo {
    /// Of the DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Where each shard is reached.
    pub shards: Vec<ShardAddresses>,
    /// It had run for a while when it was joined: it may have had calls, whose clients come back.
    pub in_service: bool,
}

/// Where a shard is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardAddresses {
    /// Over UDP, the best first.
    pub udp: Vec<SocketAddr>,
    /// Over TCP, the best first.
    pub tcp: Vec<SocketAddr>,
}

/// What a shard says.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaneEvent {
    /// Media can flow.
    Connected {
        /// Which.
        transport: TransportKey,
        /// Where the client is.
        remote: SocketAddr,
        /// Over TCP rather than UDP.
        tcp: bool,
    },
    /// Nothing flows any more; ICE may be restarted.
    Failed {
        /// Which.
        transport: TransportKey,
        /// In words, for the log.
        reason: &'static str,
    },
    /// The client closed a transport: nothing flows any more.
    Closed {
        /// Which.
        transport: TransportKey,
    },
    /// Which layers a source sends.
    SourceLayers {
        /// Which.
        source: SourceKey,
        /// Bit 0 is the lowest layer.
        live: u8,
        /// What its packets carry.
        codec: Option<Codec>,
        /// What the pictures of each layer are like.
        pictures: [Picture; 3],
    },
    /// A route is paused or goes on.
    RouteState {
        /// Which.
        route: RouteKey,
        /// Held back for want of bandwidth.
        paused: bool,
    },
    /// Who speaks in a room, of those whom this shard serves: all who do, perhaps in several parts.
    Levels {
        /// Which shard says so.
        shard: u16,
        /// Which.
        room: u64,
        /// The list begins.
        first: bool,
        /// The list ends.
        last: bool,
        /// The loudest first.
        speakers: Vec<Level>,
    },
    /// The number of a client's last reliable message, some time after it has come.
    DataHeard {
        /// Over which transport.
        transport: TransportKey,
        /// The number.
        sequence: u32,
    },
    /// How well media travelled in the last 5 s.
    Quality(Vec<Travelled>),
    /// A command was not carried out.
    Refused {
        /// What it was about.
        subject: Subject,
        /// In words, for the log.
        reason: &'static str,
    },
}

/// How loud a source is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Which.
    pub source: SourceKey,
    /// 0 is silence, 1 the loudest.
    pub level: f32,
}

/// How well media travelled between the server and one client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Travelled {
    /// A source or a route.
    pub subject: Subject,
    /// Packets that should have come in the window.
    pub expected: u32,
    /// Of those, lost and not repaired.
    pub lost: u32,
    /// Something came from the client, whatever it was.
    pub heard: bool,
    /// Of a route: layers that it lacks for want of bandwidth, ‰ of a layer.
    pub lacking_permille: u16,
}

/// What a word of the plane is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A peer connection.
    Transport(TransportKey),
    /// Media that comes in.
    Source(SourceKey),
    /// Media that goes out.
    Route(RouteKey),
}

impl Ask {
    /// What the command is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::OpenTransport { transport, .. }
            | Self::BeginDtls { transport }
            | Self::SetRemote { transport, .. }
            | Self::AddCandidate { transport, .. }
            | Self::RestartIce { transport, .. }
            | Self::CloseTransport { transport }
            | Self::SetMedia { transport, .. }
            | Self::LimitBandwidth { transport, .. } => Subject::Transport(*transport),
            Self::ReplayData { transport, .. }
            | Self::SetDataTrack { transport, .. }
            | Self::SetDataRoute { transport, .. } => Subject::Transport(*transport),
            Self::SetData(set) => Subject::Transport(set.transport),
            Self::AddSource(add) => Subject::Source(add.source),
            Self::SetSource { source, .. } | Self::RemoveSource { source } => {
                Subject::Source(*source)
            }
            Self::AddRoute(add) => Subject::Route(add.route),
            Self::SetRoute { route, .. } | Self::RemoveRoute { route } => Subject::Route(*route),
        }
    }
}
