//! All rooms, and a mailbox per participant.

use std::collections::BTreeMap;
use std::sync::Arc;

use ringway_room::calls::*;

/// See the module's description.
pub(crate) struct House {
    pub(crate) now_ms: u64,
    pub(crate) calls: Calls,
    pub(crate) told: BTreeMap<ParticipantSid, Vec<Notice>>,
    pub(crate) facts: Vec<Fact>,
    /// Effects, each shared one counted once.
    pub(crate) effects: usize,
}

impl House {
    pub(crate) fn new(config: Config) -> Self {
        let mut calls = Calls::new(config, [5, 6, 7, 8]);
        calls.handle_plane_joined(0, 2);
        Self { now_ms: 0, calls, told: BTreeMap::new(), facts: Vec::new(), effects: 0 }
    }

    pub(crate) fn pump(&mut self) {
        while let Some(effect) = self.calls.poll_effect() {
            self.effects += 1;
            match effect {
                Effect::ToParticipant(sid, notice) => {
                    self.told.entry(sid).or_default().push(notice);
                }
                Effect::ToParticipants(sids, notice) => {
                    assert!(sids.len() > 1, "a list of one");
                    for sid in sids {
                        self.told.entry(sid).or_default().push(notice.clone());
                    }
                }
                Effect::Fact(fact) => self.facts.push(fact),
            }
        }
    }

    /// Lets time go by, deadline by deadline.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end_ms = self.now_ms + ms;
        while let Some(at_ms) = self.calls.deadline().filter(|at_ms| *at_ms <= end_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.calls.handle_timeout(self.now_ms);
            self.pump();
        }
        self.now_ms = end_ms;
    }

    pub(crate) fn join(&mut self, join: Join) -> Result<Joined, Refusal> {
        let result = self.calls.join(self.now_ms, join);
        self.pump();
        result
    }

    /// Somebody in the room `hall` whose media is up.
    pub(crate) fn enter(&mut self, identity: &str) -> ParticipantSid {
        self.enter_as(wish(identity))
    }

    pub(crate) fn enter_as(&mut self, join: Join) -> ParticipantSid {
        let sid = self.join(join).expect("admitted").participant.sid;
        self.connect(sid);
        sid
    }

    pub(crate) fn connect(&mut self, sid: ParticipantSid) {
        let state = ConnectionState::Connected;
        self.ask(sid, Request::PeerConnection { primary: true, state });
    }

    pub(crate) fn ask(&mut self, sid: ParticipantSid, request: Request) -> bool {
        let known = self.calls.handle(self.now_ms, sid, request);
        self.pump();
        known
    }

    /// What somebody was told since the last time that this was asked.
    pub(crate) fn heard(&mut self, sid: ParticipantSid) -> Vec<Notice> {
        self.told.remove(&sid).unwrap_or_default()
    }

    /// Forgets all that was told.
    pub(crate) fn hush(&mut self) {
        self.told.clear();
        self.facts.clear();
        self.effects = 0;
    }

    /// Announces a track; its id.
    pub(crate) fn announce(&mut self, from: ParticipantSid, add: AddTrack) -> TrackSid {
        self.hush();
        self.ask(from, Request::AddTrack(Box::new(add)));
        let heard = self.heard(from);
        let published = heard.iter().find_map(|notice| match notice {
            Notice::TrackPublished { track, .. } => Some(track.sid),
            _ => None,
        });
        published.unwrap_or_else(|| panic!("not announced: {heard:?}"))
    }

    /// Announces a track and sends media.
    pub(crate) fn publish(&mut self, from: ParticipantSid, add: AddTrack) -> TrackSid {
        let mime = if add.kind == TrackKind::Audio { "audio/opus" } else { "video/VP8" };
        let cid = add.cid.clone();
        let track = self.announce(from, add);
        self.ask(from, Request::MediaPublished(Box::new(media(track, mime, &cid))));
        track
    }

    pub(crate) fn microphone(&mut self, from: ParticipantSid) -> TrackSid {
        self.publish(from, microphone("mic"))
    }

    pub(crate) fn camera(&mut self, from: ParticipantSid) -> TrackSid {
        self.publish(from, camera("cam"))
    }

    pub(crate) fn info(&mut self, sid: ParticipantSid) -> Arc<ParticipantInfo> {
        self.calls.participant(sid).expect("is there")
    }
}

/// A wish to join the room `hall` with a current client.
pub(crate) fn wish(identity: &str) -> Join {
    Join {
        room: "hall".to_owned(),
        identity: identity.to_owned(),
        name: format!("name of {identity}"),
        metadata: String::new(),
        attributes: Attributes::new(),
        own_metadata: None,
        own_attributes: Attributes::new(),
        kind: ParticipantKind::Standard,
        kind_details: Vec::new(),
        grants: Grants { room_join: true, room: "hall".to_owned(), ..Grants::default() },
        room_config: None,
        room_preset: String::new(),
        token_expires_s: 0,
        client: ClientInfo { sdk: Sdk::Js, protocol: 17, ..ClientInfo::default() },
        auto_subscribe: true,
        auto_subscribe_hidden: true,
        auto_subscribe_data: false,
        adaptive_stream: false,
        publish_only: None,
        reconnect: None,
    }
}

pub(crate) fn microphone(cid: &str) -> AddTrack {
    AddTrack {
        cid: cid.to_owned(),
        name: "microphone".to_owned(),
        kind: TrackKind::Audio,
        source: TrackSource::Microphone,
        width: 0,
        height: 0,
        muted: false,
        layers: Vec::new(),
        codecs: Vec::new(),
        sid: None,
        stereo: false,
        disable_dtx: false,
        disable_red: false,
        encryption: Encryption::None,
        stream: String::new(),
        backup_codec_policy: BackupCodecPolicy::PreferRegression,
        audio_features: Vec::new(),
        packet_trailer_features: Vec::new(),
    }
}

/// A camera with three layers.
pub(crate) fn camera(cid: &str) -> AddTrack {
    AddTrack {
        name: "camera".to_owned(),
        kind: TrackKind::Video,
        source: TrackSource::Camera,
        width: 1280,
        height: 720,
        layers: layers(),
        codecs: vec![AnnouncedCodec {
            codec: "vp8".to_owned(),
            cid: cid.to_owned(),
            layers: Vec::new(),
            mode: LayerMode::Unused,
        }],
        ..microphone(cid)
    }
}

pub(crate) fn layers() -> Vec<VideoLayer> {
    let sizes = [(320, 180), (640, 360), (1280, 720)];
    let layer = |(quality, (width, height))| VideoLayer {
        quality,
        width,
        height,
        bitrate_bps: width * 1000,
        ssrc: 0,
        spatial_layer: 0,
        rid: String::new(),
        repair_ssrc: 0,
    };
    let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
    qualities.into_iter().zip(sizes).map(layer).collect()
}

pub(crate) fn media(track: TrackSid, mime_type: &str, sdp_cid: &str) -> MediaPublished {
    MediaPublished {
        track,
        mime_type: mime_type.to_owned(),
        mid: "0".to_owned(),
        sdp_cid: sdp_cid.to_owned(),
        layers: Vec::new(),
        simulcast: false,
        mode: None,
    }
}

/// Tracks that somebody was told to subscribe to.
pub(crate) fn subscribed(heard: &[Notice]) -> Vec<TrackSid> {
    let track = |notice: &Notice| match notice {
        Notice::Subscribe(subscribe) => Some(subscribe.track.sid),
        _ => None,
    };
    heard.iter().filter_map(track).collect()
}

/// Tracks that somebody was told to drop.
pub(crate) fn unsubscribed(heard: &[Notice]) -> Vec<TrackSid> {
    let track = |notice: &Notice| match notice {
        Notice::Unsubscribe { track } => Some(*track),
        _ => None,
    };
    heard.iter().filter_map(track).collect()
}

/// Participants in the updates that somebody was told, in order.
pub(crate) fn updates(heard: &[Notice]) -> Vec<Arc<ParticipantInfo>> {
    let list = |notice: &Notice| match notice {
        Notice::ParticipantUpdate(infos) => Some(infos.as_ref().clone()),
        _ => None,
    };
    heard.iter().filter_map(list).flatten().collect()
}

/// The answer to a request.
pub(crate) fn response(heard: &[Notice]) -> Option<RequestReason> {
    heard.iter().find_map(|notice| match notice {
        Notice::RequestResponse { reason, .. } => Some(*reason),
        _ => None,
    })
}

/// The end that somebody was told.
pub(crate) fn left(heard: &[Notice]) -> Option<(DisconnectReason, LeaveAction)> {
    heard.iter().find_map(|notice| match notice {
        Notice::Leave { reason, action } => Some((*reason, *action)),
        _ => None,
    })
}
