//! What the client asks.

use livekit_protocol as proto;
use livekit_protocol::request_response::{Reason, Request as Echo};
use livekit_protocol::signal_request::Message as Asked;
use livekit_protocol::signal_response::Message;
use ringway_room::calls::{Request, TrackSettings, TrackSid};
use ringway_sdp::Candidate;

use super::{Session, World};
use crate::pong;
use crate::translate::{self, Translated};

impl Session {
    /// A decoded message; `None` is one that no version of the protocol knows.
    pub fn handle_message(&mut self, now_ms: u64, message: Option<Asked>, world: &dyn World) {
        if self.over {
            return;
        }
        let Some(message) = message else {
            self.ignored.unknown += 1;
            return;
        };
        if let Asked::Leave(leave) = &message {
            self.returns = leave.reason() == proto::DisconnectReason::UnknownReason;
        }
        match translate::request(message) {
            Translated::Room(request) => self.ask_room(request),
            Translated::NoSuchTrack(message) => self.refuse_track(message),
            Translated::Other(message) => self.handle_other(now_ms, message, world),
        }
    }

    fn handle_other(&mut self, now_ms: u64, message: Asked, world: &dyn World) {
        match message {
            Asked::Offer(offer) => {
                self.answer_held_offer(now_ms, world);
                self.handle_offer(now_ms, &offer, world);
            }
            Asked::Answer(answer) => self.handle_answer(now_ms, &answer, world),
            Asked::Trickle(trickle) => {
                self.handle_trickle(trickle);
                // Candidates are looked for once an offer is applied.
                self.answer_held_offer(now_ms, world);
            }
            Asked::AddTrack(add) => self.handle_add_track(add),
            Asked::SyncState(state) => self.handle_sync_state(&state),
            Asked::Simulate(wish) => self.handle_simulate(now_ms, wish),
            other => match pong::answer(&other, self.settings.unix_start_ms.saturating_add(now_ms))
            {
                Some(pong) => self.respond(pong),
                None => self.ignored.unknown += 1,
            },
        }
    }

    /// An ICE-lite server has no use for candidates; a broken one is refused all the same.
    fn handle_trickle(&mut self, trickle: proto::TrickleRequest) {
        let init = serde_json::from_str::<serde_json::Value>(&trickle.candidate_init);
        let Ok(serde_json::Value::Object(init)) = init else {
            let message = "the candidate is not a JSON object".to_owned();
            let reason = Reason::UnclassifiedError;
            return self.respond_to_request(0, reason, message, Echo::Trickle(trickle));
        };
        let line = init.get("candidate").and_then(serde_json::Value::as_str).unwrap_or_default();
        let for_subscriber = trickle.target == proto::SignalTarget::Subscriber as i32;
        let peer = match &mut self.subscriber {
            Some(subscriber) if for_subscriber => subscriber,
            _ => &mut self.publisher,
        };
        let candidate = Candidate::parse(line).ok();
        match candidate.and_then(|candidate| peer.add_candidate(&candidate)) {
            Some(ask) => self.ask_plane(ask),
            None => self.ignored.candidates += 1,
        }
    }

    fn refuse_track(&mut self, message: Asked) {
        self.ignored.no_such_track += 1;
        let echo = match message {
            Asked::Mute(mute) => Echo::Mute(mute),
            Asked::UpdateAudioTrack(update) => Echo::UpdateAudioTrack(update),
            Asked::UpdateVideoTrack(update) => Echo::UpdateVideoTrack(update),
            _ => return,
        };
        self.respond_to_request(0, Reason::NotFound, String::new(), echo);
    }

    pub(super) fn respond_to_request(
        &mut self,
        request_id: u32,
        reason: Reason,
        message: String,
        request: Echo,
    ) {
        let response = Message::RequestResponse(proto::RequestResponse {
            request_id,
            reason: reason as i32,
            message,
            request: Some(request),
        });
        if self.takes(&response) {
            self.respond(response);
        }
    }

    /// What a client that resumes believes to have.
    pub(super) fn handle_sync_state(&mut self, state: &proto::SyncState) {
        let sid = |published: &proto::TrackPublishedResponse| -> Option<TrackSid> {
            published.track.as_ref()?.sid.parse().ok()
        };
        let mut published = state.publish_tracks.iter();
        let known = published.all(|one| sid(one).is_some_and(|sid| self.announced.contains(&sid)));
        if !known || !self.knows_data_tracks(state) {
            return self.demand_reconnect();
        }
        self.replay_data(state);
        let disabled = state.track_sids_disabled.iter();
        let tracks: Vec<TrackSid> = disabled.filter_map(|text| text.parse().ok()).collect();
        if !tracks.is_empty() {
            let settings = TrackSettings { disabled: true, ..TrackSettings::default() };
            self.ask_room(Request::TrackSettings { tracks, settings });
        }
        if let Some(update) = &state.data_subscription {
            self.ask_room(translate::data_subscription(update));
        }
        if let Some(update) = &state.subscription
            && let Translated::Room(request) =
                translate::request(Asked::Subscription(update.clone()))
        {
            self.ask_room(request);
        }
    }
}
