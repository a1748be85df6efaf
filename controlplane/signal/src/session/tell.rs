//! What the room tells: to the client, to the data plane, or to both.

use livekit_protocol as proto;
use livekit_protocol::request_response::Reason;
use livekit_protocol::signal_response::Message;
use ringway_room::calls::{DisconnectReason, LeaveAction, Notice, Request};

use super::{Output, Session, World};
use crate::plane::Ask;
use crate::translate;

impl Session {
    /// A notice for this participant.
    pub fn handle_notice(&mut self, now_ms: u64, notice: Notice, world: &dyn World) {
        if let Some(message) = translate::respond(&notice, &self.settings.enabled_codecs) {
            self.tell(message);
        }
        match notice {
            Notice::TrackPublished { track, .. } => {
                self.announced.insert(track.sid);
                self.match_again(world);
            }
            Notice::TrackUnpublished { track } | Notice::SourceEnded { track } => {
                self.drop_track(track);
            }
            Notice::TrackMuted { track, muted, .. } => self.set_muted(track, muted),
            Notice::SubscribedQuality { track, codecs } => self.note_qualities(track, &codecs),
            Notice::Subscribe(subscribe) => self.subscribe(now_ms, subscribe, world),
            Notice::Unsubscribe { track } => self.unsubscribe(now_ms, track, world),
            Notice::SubscribedTrackChanged { track } => {
                self.change_subscribed(now_ms, track, world);
            }
            Notice::ReceiveCodec { track, mime_type } => self.prefer(track, &mime_type, world),
            Notice::RouteSettings { track, settings } => self.set_service(track, settings),
            Notice::RefreshToken(claims) if !self.over && !self.one_shot => {
                self.outputs.push_back(Output::RefreshToken(claims));
            }
            Notice::ParticipantUpdate(all) => {
                all.iter().for_each(|one| self.handle_own_state(one));
            }
            Notice::DataTrackPublished(track) => self.set_data_track(&track, true),
            Notice::DataTrackUnpublished(track) => self.set_data_track(&track, false),
            Notice::DataTrackHandles(handles) => self.set_data_handles(handles),
            Notice::CloseSignal => self.close_signal(),
            Notice::Leave { reason, action } => self.end(reason, action),
            _ => {}
        }
    }

    /// Whether this client gets this message as it is; if not, [`Session::handle_notice`] must
    /// judge the notice behind it. For messages that many get and that are encoded once.
    pub fn takes(&self, message: &Message) -> bool {
        let client = &self.client;
        let takes = match message {
            Message::RequestResponse(response) => {
                let good = response.reason == Reason::Ok as i32;
                client.takes_responses() && (!good || client.takes_good_responses())
            }
            Message::TrackSubscribed(_) => client.takes_responses(),
            Message::TrackUnpublished(_) => client.takes_unpublished(),
            Message::ConnectionQuality(update) => {
                let lost = proto::ConnectionQuality::Lost as i32;
                let any_lost = update.updates.iter().any(|one| one.quality == lost);
                client.takes_quality() && (!any_lost || client.takes_quality_lost())
            }
            _ => true,
        };
        takes && !self.over && !self.one_shot
    }

    fn tell(&mut self, mut message: Message) {
        if let Message::ConnectionQuality(update) = &mut message
            && !self.client.takes_quality_lost()
        {
            let lost = proto::ConnectionQuality::Lost as i32;
            let unknown = update.updates.iter_mut().filter(|one| one.quality == lost);
            unknown.for_each(|one| one.quality = proto::ConnectionQuality::Poor as i32);
        }
        if self.takes(&message) {
            self.respond(message);
        }
    }

    /// Media broke. The client shall come back at once and restart ICE; one that has no signalling
    /// cannot be told.
    fn close_signal(&mut self) {
        let reason = DisconnectReason::ConnectionTimeout;
        if self.one_shot {
            return self.ask_room(Request::Leave { reason });
        }
        if self.client.takes_leave_action() {
            self.respond(translate::leave(&self.client, reason, LeaveAction::Resume));
        }
        self.outputs.push_back(Output::HangUp);
    }

    /// The session is over.
    fn end(&mut self, reason: DisconnectReason, action: LeaveAction) {
        if let Some(action) = self.simulated.last_word(action).filter(|_| !self.returns) {
            self.respond(translate::leave(&self.client, reason, action));
        }
        let published = std::mem::take(&mut self.published);
        for (_, one) in published {
            self.ask_plane(Ask::RemoveSource { source: one.source });
            self.outputs.push_back(Output::Unpublished(one.track, one.source));
        }
        self.subscriptions.clear();
        let peers = std::iter::once(&mut self.publisher).chain(&mut self.subscriber);
        let closed = peers.filter_map(|peer| peer.close()).map(Output::Plane);
        self.outputs.extend(closed);
        self.outputs.push_back(Output::HangUp);
        self.outputs.push_back(Output::End);
        self.over = true;
    }
}
