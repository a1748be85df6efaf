//! LiveKit's dialect: protobuf over `/rtc`.

use std::collections::HashSet;
use std::time::Duration;

use livekit_protocol::signal_request::Message as Says;
use livekit_protocol::signal_response::Message as Hears;
use livekit_protocol::{
    AddTrackRequest, LeaveRequest, ParticipantInfo, Ping, SessionDescription, SignalRequest,
    SignalResponse, SignalTarget, SimulcastCodec, TrackSource, TrackType, UpdateTrackSettings,
    VideoLayer, VideoQuality,
};
use prost::Message as _;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::agreement::{Agreement, Seat};
use super::conversation::Conversation;
use super::describe;
use crate::call::token::Account;
use crate::call::track::{MediaKind, News, PublishedTrack, Side};

/// A client says something at least this often; LiveKit gives up after 15 s.
const PING: Duration = Duration::from_secs(5);

/// A participant's conversation with a server that speaks LiveKit's signalling.
pub(super) struct LiveKit {
    url: String,
    account: Account,
    seat: Seat,
    agreement: Agreement,
    unconfirmed: usize,
    settled: HashSet<String>,
    says: Vec<Says>,
    over: bool,
}

impl LiveKit {
    pub(super) fn new(url: &str, account: &Account, seat: Seat) -> Self {
        let agreement = Agreement::new(&seat);
        Self {
            url: url.trim_end_matches('/').to_owned(),
            account: account.clone(),
            seat,
            unconfirmed: agreement.tracks().len(),
            agreement,
            settled: HashSet::new(),
            says: Vec::new(),
            over: false,
        }
    }

    fn handle(&mut self, message: Hears) {
        match message {
            Hears::Join(join) => {
                let info = join.server_info.unwrap_or_default();
                self.agreement.tell_joined(format!("{} protocol {}", info.version, info.protocol));
                self.settle_tracks(&join.other_participants);
                if self.seat.publishes {
                    self.add_tracks();
                }
                // Data alone needs no announcement.
                if self.seat.publishes && self.agreement.tracks().is_empty() {
                    self.offer();
                }
            }
            Hears::TrackPublished(_) => {
                self.unconfirmed = self.unconfirmed.saturating_sub(1);
                if self.unconfirmed == 0 {
                    self.offer();
                }
            }
            Hears::Answer(answer) => {
                if let Err(reason) = self.agreement.handle_answer(&answer.sdp) {
                    self.fail(reason);
                }
            }
            Hears::Offer(offer) => match self.agreement.handle_offer(&offer.sdp) {
                Ok(sdp) => self.says.push(Says::Answer(describing("answer", sdp, offer.id))),
                Err(reason) => self.fail(reason),
            },
            Hears::Trickle(trickle) => {
                let subscriber = trickle.target == SignalTarget::Subscriber as i32;
                let side = if subscriber { Side::Subscriber } else { Side::Publisher };
                if let Some(address) = describe::trickled_address(&trickle.candidate_init) {
                    self.agreement.add_address(side, address);
                }
            }
            Hears::Update(update) => self.settle_tracks(&update.participants),
            Hears::Leave(leave) => {
                let (reason, action) = (leave.reason, leave.action);
                self.fail(format!("the server ended it, reason {reason}, action {action}"));
            }
            _ => {}
        }
    }

    fn fail(&mut self, reason: String) {
        self.over = true;
        self.agreement.tell_failed(reason);
    }

    fn offer(&mut self) {
        self.says.push(Says::Offer(describing("offer", self.agreement.offer(), 1)));
    }

    fn add_tracks(&mut self) {
        for PublishedTrack { kind, cid, .. } in self.agreement.tracks() {
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
        let Some(video) = &self.seat.scenario.video else { return };
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
            if self.agreement.tracks().iter().any(|own| own.cid == track.name)
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
}

impl Conversation for LiveKit {
    fn opening(&self) -> Result<Request, Error> {
        let identity = format!("load-{}", self.seat.participant);
        let token = self
            .account
            .token(&self.seat.room, &identity)
            .map_err(|error| Error::Io(std::io::Error::other(error)))?;
        let (url, subscribes) = (&self.url, u8::from(self.seat.subscribes));
        let query = format!(
            "access_token={token}&protocol=16&sdk=go&version=2.0.0&auto_subscribe={subscribes}"
        );
        format!("{url}/rtc?{query}").into_client_request()
    }

    fn alive_every(&self) -> Duration {
        PING
    }

    fn handle_frame(&mut self, frame: Message) {
        if let Message::Binary(bytes) = frame
            && let Ok(SignalResponse { message: Some(message) }) = SignalResponse::decode(bytes)
        {
            self.handle(message);
        }
    }

    fn handle_alive(&mut self) {
        self.says.push(Says::PingReq(Ping::default()));
    }

    fn handle_leave(&mut self) {
        self.says.push(Says::Leave(LeaveRequest { reason: 1, ..LeaveRequest::default() }));
    }

    fn poll_frames(&mut self) -> Vec<Message> {
        let encode = |says| SignalRequest { message: Some(says) }.encode_to_vec();
        self.says.drain(..).map(|says| Message::Binary(encode(says).into())).collect()
    }

    fn poll_news(&mut self) -> Vec<News> {
        self.agreement.poll_news()
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

fn describing(kind: &str, sdp: String, id: u32) -> SessionDescription {
    SessionDescription { r#type: kind.into(), sdp, id, ..SessionDescription::default() }
}
