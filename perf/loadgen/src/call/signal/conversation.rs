//! One participant's conversation with the server, sans-IO: messages in, messages and news out.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use livekit_protocol::signal_request::Message as Says;
use livekit_protocol::signal_response::Message as Hears;
use livekit_protocol::{
    AddTrackRequest, ParticipantInfo, SessionDescription, SignalTarget, SimulcastCodec,
    TrackSource, TrackType, UpdateTrackSettings, VideoLayer, VideoQuality,
};
use ringway_proto::dtls::Fingerprint;
use ringway_sdp::Description;

use super::describe::{self, LocalEnd};
use crate::call::random::Random;
use crate::call::scenario::CallScenario;
use crate::call::track::{MediaKind, News, PublishedTrack, Side};

/// One peer connection, as far as signalling has come.
struct Half {
    local: LocalEnd,
    remote: Option<Description>,
    trickled: Vec<SocketAddr>,
    told: bool,
}

impl Half {
    fn new(random: &mut Random, certificate: &Fingerprint) -> Self {
        let local = LocalEnd::new(random, certificate);
        Self { local, remote: None, trickled: Vec::new(), told: false }
    }
}

/// A participant's conversation.
pub(super) struct Conversation {
    participant: usize,
    scenario: Arc<CallScenario>,
    publishes: bool,
    publisher: Half,
    subscriber: Half,
    tracks: Vec<PublishedTrack>,
    unconfirmed: usize,
    settled: HashSet<String>,
    says: Vec<Says>,
    news: Vec<News>,
    over: bool,
}

impl Conversation {
    pub(super) fn new(
        participant: usize,
        publishes: bool,
        scenario: Arc<CallScenario>,
        certificate: &Fingerprint,
    ) -> Self {
        let mut random = Random::from_system();
        let mut tracks = Vec::new();
        let mut add = |kind, name: &str, simulcast: bool| {
            let ssrcs = (random.next_ssrc(), random.next_ssrc());
            let cid = format!("{name}-{}", random.word(12));
            tracks.push(PublishedTrack { kind, cid, ssrcs: (!simulcast).then_some(ssrcs) });
        };
        if publishes && scenario.audio.is_some() {
            add(MediaKind::Audio, "audio", false);
        }
        if let Some(video) = scenario.video.as_ref().filter(|_| publishes) {
            add(MediaKind::Video, "video", video.layers.len() > 1);
        }
        Self {
            participant,
            scenario,
            publishes,
            publisher: Half::new(&mut random, certificate),
            subscriber: Half::new(&mut random, certificate),
            unconfirmed: tracks.len(),
            tracks,
            settled: HashSet::new(),
            says: Vec::new(),
            news: Vec::new(),
            over: false,
        }
    }

    /// What is to be sent to the server.
    pub(super) fn poll_request(&mut self) -> Vec<Says> {
        std::mem::take(&mut self.says)
    }

    /// What the load should know.
    pub(super) fn poll_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Takes a message of the server's.
    pub(super) fn handle(&mut self, message: Hears) {
        match message {
            Hears::Join(join) => {
                let info = join.server_info.unwrap_or_default();
                let server = format!("{} protocol {}", info.version, info.protocol);
                self.news.push(News::Joined { participant: self.participant, server });
                self.settle_tracks(&join.other_participants);
                if self.publishes {
                    self.add_tracks();
                }
                // Data alone needs no announcement.
                if self.publishes && self.tracks.is_empty() {
                    self.offer();
                }
            }
            Hears::TrackPublished(_) => {
                self.unconfirmed = self.unconfirmed.saturating_sub(1);
                if self.unconfirmed == 0 {
                    self.offer();
                }
            }
            Hears::Answer(answer) => self.handle_answer(&answer),
            Hears::Offer(offer) => self.handle_offer(&offer),
            Hears::Trickle(trickle) => {
                let address = describe::trickled_address(&trickle.candidate_init);
                let subscriber = trickle.target == SignalTarget::Subscriber as i32;
                let side = if subscriber { Side::Subscriber } else { Side::Publisher };
                self.half(side).trickled.extend(address);
                self.tell_end(side);
            }
            Hears::Update(update) => self.settle_tracks(&update.participants),
            Hears::Leave(leave) => {
                let (reason, action) = (leave.reason, leave.action);
                let reason = format!("the server ended it, reason {reason}, action {action}");
                self.fail(reason);
            }
            _ => {}
        }
    }

    /// Whether there is nothing more to say.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    fn fail(&mut self, reason: String) {
        self.over = true;
        self.news.push(News::Failed { participant: self.participant, reason });
    }

    fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Publisher => &mut self.publisher,
            Side::Subscriber => &mut self.subscriber,
        }
    }

    fn offer(&mut self) {
        let sdp = self.publisher.local.offer(&self.scenario, &self.tracks);
        self.says.push(Says::Offer(describing("offer", sdp, 1)));
    }

    fn add_tracks(&mut self) {
        for PublishedTrack { kind, cid, .. } in &self.tracks {
            let mut request = AddTrackRequest {
                cid: cid.clone(),
                name: cid.clone(),
                disable_red: true,
                ..AddTrackRequest::default()
            };
            match kind {
                MediaKind::Audio => {
                    request.r#type = TrackType::Audio as i32;
                    request.source = TrackSource::Microphone as i32;
                }
                MediaKind::Video => self.describe_video(&mut request),
            }
            self.says.push(Says::AddTrack(request));
        }
    }

    fn describe_video(&self, request: &mut AddTrackRequest) {
        let Some(video) = &self.scenario.video else { return };
        request.r#type = TrackType::Video as i32;
        request.source = TrackSource::Camera as i32;
        let count = video.layers.len();
        let layers = video.layers.iter().enumerate().map(|(at, layer)| VideoLayer {
            // The best one is HIGH, however many there are.
            quality: (VideoQuality::High as usize + 1 + at - count) as i32,
            width: layer.width,
            height: layer.height,
            bitrate: (layer.kbps * 1000.0) as u32,
            spatial_layer: at as i32,
            rid: layer.rid.clone(),
            ..VideoLayer::default()
        });
        request.layers = layers.collect();
        if let Some(top) = video.layers.last() {
            (request.width, request.height) = (top.width, top.height);
        }
        request.simulcast_codecs = vec![SimulcastCodec {
            codec: "vp8".into(),
            cid: request.cid.clone(),
            layers: request.layers.clone(),
            ..SimulcastCodec::default()
        }];
    }

    /// Asks for the best layer of every video track that is new.
    fn settle_tracks(&mut self, participants: &[ParticipantInfo]) {
        let tracks = participants.iter().flat_map(|participant| &participant.tracks);
        for track in tracks.filter(|track| track.r#type == TrackType::Video as i32) {
            // Also told of our own, which nobody sends us.
            if self.tracks.iter().any(|own| own.cid == track.name)
                || !self.settled.insert(track.sid.clone())
            {
                continue;
            }
            self.says.push(Says::TrackSetting(UpdateTrackSettings {
                track_sids: vec![track.sid.clone()],
                quality: VideoQuality::High as i32,
                width: track.width,
                height: track.height,
                ..UpdateTrackSettings::default()
            }));
        }
    }

    fn handle_answer(&mut self, answer: &SessionDescription) {
        match Description::parse(&answer.sdp) {
            Ok(description) => {
                let tracks = describe::outgoing(&description, &self.tracks);
                self.publisher.remote = Some(description);
                self.news.push(News::Publish { participant: self.participant, tracks });
                self.tell_end(Side::Publisher);
            }
            Err(error) => self.fail(format!("the server's answer: {error}")),
        }
    }

    fn handle_offer(&mut self, offer: &SessionDescription) {
        let parsed = Description::parse(&offer.sdp).and_then(|description| {
            let sdp = self.subscriber.local.answer(&description);
            Ok((Description::parse(&sdp)?, sdp, description))
        });
        match parsed {
            Ok((answer, sdp, description)) => {
                let tracks = describe::incoming(&description, &answer);
                self.news.push(News::Receive { participant: self.participant, tracks });
                self.subscriber.remote = Some(description);
                self.says.push(Says::Answer(describing("answer", sdp, offer.id)));
                self.tell_end(Side::Subscriber);
            }
            Err(error) => self.fail(format!("the server's offer: {error}")),
        }
    }

    /// Tells the load where to connect, once, as soon as it is known.
    fn tell_end(&mut self, side: Side) {
        let participant = self.participant;
        let half = self.half(side);
        let Some(description) = half.remote.as_ref().filter(|_| !half.told) else { return };
        if let Some(end) = half.local.join(description, &half.trickled) {
            half.told = true;
            self.news.push(News::Connect { participant, side, end });
        }
    }
}

fn describing(kind: &str, sdp: String, id: u32) -> SessionDescription {
    SessionDescription { r#type: kind.into(), sdp, id, ..SessionDescription::default() }
}
