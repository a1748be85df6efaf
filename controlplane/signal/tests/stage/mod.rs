//! A session with everything around it played by the test: the room, the data plane, the client.

// Each test has its own copy and uses a part of it.
#![allow(dead_code)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use ringway_room::calls::{
    Admission, ClientInfo, DisconnectReason, Encryption, Grants, Joined, MediaMatch, Notice,
    OfferedMedia, ParticipantInfo, ParticipantKind, ParticipantSid, ParticipantState, Request,
    RoomInfo, RoomSid, RouteSettings, Subscribe, TrackCodec, TrackInfo, TrackKind, TrackSid,
};
use ringway_signal::client::Client;
use ringway_signal::join::Join;
use ringway_signal::plane::{
    Ask, Codec, Fingerprint, HashAlgorithm, PlaneInfo, ShardAddresses, SourceKey, SourceKind,
};
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::{Output, Session, Settings, Start, TrackSource, Way, World, proto};

/// What the room and other sessions would know.
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) matches: HashMap<String, Arc<TrackInfo>>,
    /// What a section of an unknown cid is that names this codec.
    pub(crate) backups: HashMap<&'static str, Arc<TrackInfo>>,
    pub(crate) sources: HashMap<TrackSid, Vec<TrackSource>>,
}

impl World for Around {
    fn match_media(&self, offered: &OfferedMedia<'_>) -> MediaMatch {
        let guess = || offered.mimes.iter().find_map(|mime| self.backups.get(*mime));
        let found = self.matches.get(offered.cid).or_else(guess);
        found.cloned().map_or(MediaMatch::Unknown, MediaMatch::Track)
    }

    fn sources(&self, track: TrackSid) -> Vec<TrackSource> {
        self.sources.get(&track).cloned().unwrap_or_default()
    }
}

/// What a session said, apart.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) client: Vec<Hears>,
    pub(crate) room: Vec<Request>,
    pub(crate) plane: Vec<Ask>,
    pub(crate) rest: Vec<Output>,
}

impl Said {
    /// The kinds of what was said, in short.
    pub(crate) fn kinds(&self) -> String {
        let first = |text: String| text.split(['(', ' ', '{']).next().unwrap_or("").to_owned();
        let mut kinds = String::new();
        self.client.iter().for_each(|it| write!(kinds, "<{} ", first(format!("{it:?}"))).unwrap());
        self.room.iter().for_each(|it| write!(kinds, "@{} ", first(format!("{it:?}"))).unwrap());
        self.plane.iter().for_each(|it| write!(kinds, "#{} ", first(format!("{it:?}"))).unwrap());
        self.rest.iter().for_each(|it| write!(kinds, "!{} ", first(format!("{it:?}"))).unwrap());
        kinds.trim_end().to_owned()
    }

    pub(crate) fn answer(&self) -> &proto::SessionDescription {
        let answer = |message: &Hears| matches!(message, Hears::Answer(_));
        match self.client.iter().find(|message| answer(message)) {
            Some(Hears::Answer(answer)) => answer,
            _ => panic!("no answer: {}", self.kinds()),
        }
    }

    pub(crate) fn offer(&self) -> &proto::SessionDescription {
        let offer = |message: &Hears| matches!(message, Hears::Offer(_));
        match self.client.iter().find(|message| offer(message)) {
            Some(Hears::Offer(offer)) => offer,
            _ => panic!("no offer: {}", self.kinds()),
        }
    }
}

pub(crate) struct Stage {
    pub(crate) session: Session,
    pub(crate) around: Around,
    pub(crate) now_ms: u64,
}

pub(crate) fn participant(number: u8) -> ParticipantSid {
    ParticipantSid::from_random([number; 12])
}

pub(crate) fn track_sid(number: u8) -> TrackSid {
    TrackSid::from_random([number; 12])
}

pub(crate) fn client(browser: &str, protocol: i32) -> Client {
    let info = proto::ClientInfo {
        sdk: 1,
        version: "2.21.0".into(),
        browser: browser.into(),
        protocol,
        ..proto::ClientInfo::default()
    };
    Client { info }
}

pub(crate) fn joined() -> Joined {
    let info = |number: u8, identity: &str| {
        Arc::new(ParticipantInfo {
            sid: participant(number),
            identity: identity.into(),
            state: ParticipantState::Joining,
            tracks: Vec::new(),
            data_tracks: Vec::new(),
            metadata: String::new(),
            joined_at_ms: 1_700_000_000_123,
            name: String::new(),
            version: 1,
            region: "moon".into(),
            permission: Grants::default().permission(),
            is_publisher: false,
            kind: ParticipantKind::Standard,
            kind_details: Vec::new(),
            attributes: Default::default(),
            disconnect_reason: DisconnectReason::Unknown,
            client_protocol: ClientInfo::default().client_protocol,
            capabilities: Vec::new(),
        })
    };
    Joined {
        admission: Admission::New,
        participant: info(1, "me"),
        room: Arc::new(RoomInfo {
            sid: RoomSid::from_random([9; 12]),
            name: "room".into(),
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            max_participants: 0,
            created_at_ms: 1_700_000_000_000,
            metadata: String::new(),
            num_participants: 2,
            num_publishers: 0,
            active_recording: false,
            min_playout_delay_ms: 0,
            max_playout_delay_ms: 0,
            sync_streams: false,
        }),
        others: vec![info(2, "other")],
        shard: 0,
        sif_trailer: vec![1, 2, 3],
    }
}

pub(crate) fn start(join: Join, client: Client, joined: &Joined) -> Start<'_> {
    let shard = ShardAddresses {
        udp: vec!["192.0.2.1:7882".parse().unwrap()],
        tcp: vec!["192.0.2.1:7881".parse().unwrap()],
    };
    let fingerprint = Fingerprint { algorithm: HashAlgorithm::Sha256, digest: vec![7; 32] };
    Start {
        settings: Arc::new(Settings {
            unix_start_ms: 1_700_000_000_000,
            node_id: "ND_1".into(),
            region: "moon".into(),
            ..Settings::default()
        }),
        plane: Arc::new(PlaneInfo { fingerprint, shards: vec![shard], in_service: false }),
        joined,
        join,
        client,
        way: Way::Any,
        ice_servers: Vec::new(),
        seed: [1, 2, 3, 4],
        now_ms: 0,
    }
}

impl Stage {
    pub(crate) fn new(join: Join, client: Client) -> Self {
        Self::otherwise(join, client, |_| {})
    }

    /// One in a room that is otherwise.
    pub(crate) fn in_room(join: Join, client: Client, change: impl FnOnce(&mut RoomInfo)) -> Self {
        let mut joined = joined();
        change(Arc::make_mut(&mut joined.room));
        let session = Session::new(start(join, client, &joined));
        Self { session, around: Around::default(), now_ms: 0 }
    }

    /// One that begins otherwise.
    pub(crate) fn otherwise(
        join: Join,
        client: Client,
        change: impl FnOnce(&mut Start<'_>),
    ) -> Self {
        let joined = joined();
        let mut start = start(join, client, &joined);
        change(&mut start);
        let session = Session::new(start);
        Self { session, around: Around::default(), now_ms: 0 }
    }

    pub(crate) fn said(&mut self) -> Said {
        let mut said = Said::default();
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Respond(message) => said.client.push(*message),
                Output::Room(request) => said.room.push(request),
                Output::Plane(ask) => said.plane.push(ask),
                other => said.rest.push(other),
            }
        }
        said
    }

    pub(crate) fn begin(&mut self) -> Said {
        self.session.begin(self.now_ms, &self.around);
        self.said()
    }

    pub(crate) fn says(&mut self, message: Says) -> Said {
        self.session.handle_message(self.now_ms, Some(message), &self.around);
        self.said()
    }

    pub(crate) fn is_told(&mut self, notice: Notice) -> Said {
        self.session.handle_notice(self.now_ms, notice, &self.around);
        self.said()
    }

    /// Time passes.
    pub(crate) fn after(&mut self, ms: u64) -> Said {
        let end_ms = self.now_ms + ms;
        while let Some(due_ms) = self.session.deadline().filter(|due_ms| *due_ms <= end_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.session.handle_timeout(self.now_ms, &self.around);
        }
        self.now_ms = end_ms;
        self.said()
    }

    /// The room announces a track and matches `cid` to it.
    pub(crate) fn announce(&mut self, cid: &str, track: &Arc<TrackInfo>) -> Said {
        self.around.matches.insert(cid.into(), Arc::clone(track));
        self.is_told(Notice::TrackPublished { cid: cid.into(), track: Arc::clone(track) })
    }

    /// Somebody else's track with a source.
    pub(crate) fn has_source(&mut self, track: &TrackInfo, codec: Codec) {
        let source = SourceKey(u64::from(codec as u8) + 1000);
        let fmtp = String::new();
        let kind = match track.kind {
            TrackKind::Audio => SourceKind::Audio,
            _ => SourceKind::Camera,
        };
        let one = TrackSource { source, shard: 0, kind, codec, fmtp };
        self.around.sources.insert(track.sid, vec![one]);
    }

    pub(crate) fn subscribe(&mut self, track: &Arc<TrackInfo>) -> Said {
        self.is_told(Notice::Subscribe(Box::new(Subscribe {
            track: Arc::clone(track),
            publisher: participant(2),
            publisher_identity: "other".into(),
            min_playout_delay_ms: 0,
            max_playout_delay_ms: 0,
            settings: settings(2),
        })))
    }
}

pub(crate) fn settings(max_spatial: u8) -> RouteSettings {
    RouteSettings { paused: false, max_spatial, max_temporal: 3, priority: 1 }
}

pub(crate) fn track(number: u8, kind: TrackKind, mime: &str) -> Arc<TrackInfo> {
    let codec = TrackCodec { mime_type: mime.into(), ..TrackCodec::default() };
    Arc::new(TrackInfo {
        sid: track_sid(number),
        kind,
        name: String::new(),
        muted: false,
        width: 640,
        height: 360,
        simulcast: false,
        source: ringway_room::calls::TrackSource::Unknown,
        layers: Vec::new(),
        mime_type: mime.into(),
        mid: String::new(),
        codecs: vec![codec],
        stereo: false,
        disable_dtx: false,
        disable_red: false,
        encryption: Encryption::None,
        stream: "camera".into(),
        version: Default::default(),
        audio_features: Vec::new(),
        backup_codec_policy: ringway_room::calls::BackupCodecPolicy::PreferRegression,
        packet_trailer_features: Vec::new(),
    })
}

/// One section of a client's description.
pub(crate) struct Line {
    pub(crate) kind: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) cid: &'static str,
    pub(crate) rids: &'static str,
}

pub(crate) fn line(
    kind: &'static str,
    direction: &'static str,
    cid: &'static str,
    rids: &'static str,
) -> Line {
    Line { kind, direction, cid, rids }
}

/// A description as Chromium has it, as far as it matters.
pub(crate) fn description(version: u32, ufrag: &str, setup: &str, lines: &[Line]) -> String {
    let mids: Vec<String> = (0..lines.len()).map(|mid| mid.to_string()).collect();
    let digest = vec!["0A"; 32].join(":");
    let mut sdp = format!(
        "v=0\r\no=- 4611731400430051336 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
         a=group:BUNDLE {}\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
        mids.join(" ")
    );
    for (mid, line) in lines.iter().enumerate() {
        let media = match line.kind {
            "application" => "application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "audio" => "audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8",
            _ => "video 9 UDP/TLS/RTP/SAVPF 96 97 98 99",
        };
        write!(
            sdp,
            "m={media}\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:0123456789abcdef01234567\r\na=ice-options:trickle\r\n\
             a=fingerprint:sha-256 {digest}\r\na=setup:{setup}\r\na=mid:{mid}\r\n"
        )
        .unwrap();
        if line.kind == "application" {
            sdp.push_str("a=sctp-port:5000\r\na=max-message-size:262144\r\n");
            continue;
        }
        write!(sdp, "a={}\r\na=rtcp-mux\r\na=rtcp-rsize\r\n", line.direction).unwrap();
        sdp.push_str("a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n");
        if line.kind == "audio" {
            sdp.push_str(
                "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n\
                 a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
                 a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n\
                 a=fmtp:63 111/111\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n",
            );
        } else {
            sdp.push_str(
                "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                 a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n\
                 a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n\
                 a=rtcp-fb:96 ccm fir\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                 a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:98 VP9/90000\r\n\
                 a=rtcp-fb:98 nack\r\na=rtcp-fb:98 nack pli\r\na=fmtp:98 profile-id=0\r\n\
                 a=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n",
            );
        }
        if !line.cid.is_empty() {
            write!(sdp, "a=msid:stream {}\r\n", line.cid).unwrap();
        }
        for rid in line.rids.split(';').filter(|rid| !rid.is_empty()) {
            write!(sdp, "a=rid:{rid} send\r\n").unwrap();
        }
        if !line.rids.is_empty() {
            write!(sdp, "a=simulcast:send {}\r\n", line.rids).unwrap();
        }
    }
    sdp
}

pub(crate) fn sd(kind: &str, id: u32, sdp: String) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.into(), sdp, id, ..Default::default() }
}
