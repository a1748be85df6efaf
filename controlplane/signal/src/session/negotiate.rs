//! When to offer on the subscriber connection, or to ask for sections on a single one.
//!
//! What changes within a moment goes into one offer. One offer at a time is under way.

use std::collections::HashMap;

use livekit_protocol as proto;
use livekit_protocol::signal_response::Message;
use ringway_room::calls::{
    DisconnectReason, LeaveAction, Request, TrackKind, TrackSid, VideoQuality,
};
use ringway_sdp::{
    Description, Direction, MAX_SECTIONS, NegotiationError, OfferRequest, SectionsNeeded,
    SendSections, accept_answer, build_offer,
};

use super::fading::{self, Fading};
use super::{Output, Session, World, peer};
use crate::translate;

/// Changes within this time become one offer. Higher: subscribers see new tracks later; lower:
/// more offers when many join. LiveKit's value, as are the others.
const DEBOUNCE_MS: u64 = 150;
/// The same after a quiet time.
const DEBOUNCE_FAST_MS: u64 = 10;
/// An offer that is not answered for so long has failed.
const ANSWER_TIMEOUT_MS: u64 = 15_000;
/// How long after an answer to its publisher the wanted qualities are said again: applying it
/// wakes layers that were off.
const REPEAT_AFTER_MS: u64 = 2_000;
/// At most so long after the first of several answers.
const REPEAT_WITHIN_MS: u64 = 8_000;

/// The state of offers.
#[derive(Debug)]
pub(super) struct Negotiation {
    /// Sections of our offers.
    pub(super) sections: SendSections,
    /// Sections of the client's offers that must not carry another track.
    pub(super) spent: Vec<String>,
    /// Sections that are to be emptied in a moment.
    pub(super) fading: Vec<Fading>,
    /// Sections that are missing in the client's last offer.
    pub(super) needed: SectionsNeeded,
    /// Of these, asked for since that offer.
    pub(super) requested: SectionsNeeded,
    keeps_apart: bool,
    due_ms: Option<u64>,
    last_ms: Option<u64>,
    waiting: Option<Waiting>,
    /// Something has changed since the offer that is under way.
    again: bool,
    offer_id: u32,
    repeat: Option<Repeat>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    id: u32,
    deadline_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Repeat {
    due_ms: u64,
    latest_ms: u64,
}

impl Negotiation {
    pub(super) fn new(keeps_apart: bool) -> Self {
        Self {
            sections: SendSections::new(keeps_apart),
            spent: Vec::new(),
            fading: Vec::new(),
            needed: SectionsNeeded::default(),
            requested: SectionsNeeded::default(),
            keeps_apart,
            due_ms: None,
            last_ms: None,
            waiting: None,
            again: false,
            offer_id: 0,
            repeat: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<u64> {
        let waiting = self.waiting.map(|waiting| waiting.deadline_ms);
        let repeat = self.repeat.map(|repeat| repeat.due_ms);
        let fading = fading::deadline(&self.fading);
        [self.due_ms, waiting, repeat, fading].into_iter().flatten().min()
    }

    /// A section no longer carries its track.
    pub(super) fn leave_section(&mut self, mid: &str, single: bool) {
        if !single {
            self.sections.stop(mid);
        } else if self.keeps_apart && !self.spent.iter().any(|spent| spent == mid) {
            self.spent.push(mid.to_owned());
        }
    }
}

impl Session {
    /// Something about what the client receives has changed.
    pub(super) fn want_negotiation(&mut self, now_ms: u64) {
        let state = &mut self.negotiation;
        if state.due_ms.is_none() && !self.one_shot {
            let quiet = state.last_ms.is_none_or(|last| now_ms.saturating_sub(last) > DEBOUNCE_MS);
            let pause_ms = if quiet { DEBOUNCE_FAST_MS } else { DEBOUNCE_MS };
            state.due_ms = Some(now_ms + pause_ms);
        }
    }

    pub(super) fn negotiate(&mut self, now_ms: u64, world: &dyn World) {
        self.end_fading(now_ms);
        let waiting = self.negotiation.waiting;
        if waiting.is_some_and(|waiting| waiting.deadline_ms <= now_ms) {
            self.negotiation.waiting = None;
            // A client that has never answered may not have connected yet: the room waits for it.
            if self.subscriber.as_ref().is_some_and(|peer| peer.remote.is_some()) {
                return self.demand_reconnect();
            }
        }
        if self.negotiation.due_ms.is_none_or(|due| due > now_ms) {
            return;
        }
        self.negotiation.due_ms = None;
        self.negotiation.last_ms = Some(now_ms);
        if self.single {
            self.require_sections(world);
        } else if self.negotiation.waiting.is_some() {
            self.negotiation.again = true;
        } else {
            self.offer(now_ms);
        }
    }

    /// Asks a client with a single connection to offer again, with more sections if needed.
    fn require_sections(&mut self, world: &dyn World) {
        let Some(offer) = self.publisher.theirs.clone() else { return };
        self.negotiation.needed = self.missing_sections(&offer, world);
        let missing = self.unrequested();
        self.tell_requirement(missing);
    }

    /// After an answer: what has found no section in the offer.
    pub(super) fn require_missing_sections(&mut self) {
        let missing = self.unrequested();
        if self.single && !missing.is_none() {
            self.tell_requirement(missing);
        }
    }

    fn unrequested(&self) -> SectionsNeeded {
        let Negotiation { needed, requested, .. } = &self.negotiation;
        SectionsNeeded {
            audios: needed.audios.saturating_sub(requested.audios),
            videos: needed.videos.saturating_sub(requested.videos),
        }
    }

    fn tell_requirement(&mut self, missing: SectionsNeeded) {
        let missing = self.within_bound(missing);
        if self.over {
            return;
        }
        self.negotiation.requested.audios += missing.audios;
        self.negotiation.requested.videos += missing.videos;
        let SectionsNeeded { audios: num_audios, videos: num_videos } = missing;
        let requirement = proto::MediaSectionsRequirement { num_audios, num_videos };
        self.respond(Message::MediaSectionsRequirement(requirement));
    }

    /// Of what is missing, as much as an offer can have. Tracks that go without are told of.
    fn within_bound(&mut self, mut missing: SectionsNeeded) -> SectionsNeeded {
        let offered = self.publisher.theirs.as_ref().map_or(0, |offer| offer.sections.len());
        let SectionsNeeded { audios, videos } = self.negotiation.requested;
        let mut free = MAX_SECTIONS.saturating_sub(offered + (audios + videos) as usize);
        for (kind, wanted) in
            [(TrackKind::Audio, &mut missing.audios), (TrackKind::Video, &mut missing.videos)]
        {
            let granted = free.min(*wanted as usize);
            free -= granted;
            let unplaced = self.subscriptions.iter().filter(|(_, one)| one.waits_for(kind));
            let excess = *wanted as usize - granted;
            let excess: Vec<TrackSid> = unplaced.rev().take(excess).map(|(sid, _)| *sid).collect();
            *wanted = granted as u32;
            for track in excess {
                if !self.over {
                    self.find_no_section(track);
                }
            }
        }
        missing
    }

    /// Offers what the client receives.
    fn offer(&mut self, now_ms: u64) {
        let offer = match self.describe() {
            Some(Ok(offer)) => offer,
            Some(Err(_)) => return self.demand_reconnect(),
            None => return,
        };
        let Some(peer) = &mut self.subscriber else { return };
        let ask = peer.open();
        let sdp = offer.to_string();
        peer.ours = Some(offer);
        self.outputs.extend(ask.map(Output::Plane));
        self.tell_data();
        self.negotiation.offer_id = self.negotiation.offer_id.wrapping_add(1).max(1);
        let id = self.negotiation.offer_id;
        let deadline_ms = now_ms + ANSWER_TIMEOUT_MS;
        self.negotiation.waiting = Some(Waiting { id, deadline_ms });
        self.negotiation.again = false;
        self.negotiation.sections.handle_offered();
        let sections = self.negotiation.sections.sections().iter();
        let mid_to_track_id: HashMap<String, String> = sections
            .filter_map(|section| {
                Some((section.mid.clone(), section.track.as_ref()?.track.clone()))
            })
            .collect();
        self.respond(Message::Offer(proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp,
            id,
            mid_to_track_id,
        }));
    }

    fn describe(&mut self) -> Option<Result<Description, NegotiationError>> {
        let peer = self.subscriber.as_mut()?;
        let origin = peer.next_origin();
        Some(build_offer(&OfferRequest {
            origin,
            local: &peer.local,
            capabilities: &peer.capabilities,
            data: peer::DATA,
            sections: self.negotiation.sections.sections(),
            all_codecs: self.client.agrees_on_codecs_once(),
            empty: match self.client.reuses_inactive_sections() {
                true => Direction::Inactive,
                false => Direction::RecvOnly,
            },
        }))
    }

    pub(super) fn handle_answer(
        &mut self,
        now_ms: u64,
        answered: &proto::SessionDescription,
        world: &dyn World,
    ) {
        let Ok(answer) = Description::parse(&answered.sdp) else {
            self.ignored.not_sdp += 1;
            return;
        };
        let waiting = self.negotiation.waiting;
        let matches = |waiting: &Waiting| answered.id == 0 || answered.id == waiting.id;
        let (Some(_), Some(peer)) = (waiting.filter(matches), &mut self.subscriber) else {
            self.ignored.stale_answers += 1;
            return;
        };
        let Some(offer) = &peer.ours else { return };
        let Ok(accepted) = accept_answer(offer, &answer, &peer.capabilities) else {
            return self.demand_reconnect();
        };
        if accepted.remote.is_begun_by_us(peer.local.begins).is_err() {
            return self.demand_reconnect();
        }
        let asks = peer.take(accepted.remote, accepted.media);
        peer.theirs = Some(answer);
        self.outputs.extend(asks.into_iter().map(Output::Plane));
        self.negotiation.waiting = None;
        self.negotiation.sections.handle_answered();
        self.take_sections(&accepted.sections, world);
        if self.negotiation.again {
            self.offer(now_ms);
        }
    }

    /// The client has resumed: what was offered or required before may never have reached it.
    pub(super) fn restart_subscriber(&mut self, now_ms: u64) {
        self.negotiation.requested = SectionsNeeded::default();
        if self.single {
            let unplaced = |one: &super::Subscription| one.section.is_none();
            if self.subscriptions.values().any(unplaced) {
                self.want_negotiation(now_ms);
            }
            return;
        }
        let random = &mut self.random;
        let ask = self.subscriber.as_mut().and_then(|peer| peer.restart(random));
        if let Some(ask) = ask {
            self.ask_plane(ask);
            self.negotiation.due_ms = None;
            self.negotiation.last_ms = Some(now_ms);
            self.offer(now_ms);
        } else if self.subscriber_primary || !self.subscriptions.is_empty() {
            self.want_negotiation(now_ms);
        }
    }

    /// Descriptions no longer fit: only a new session helps.
    pub(super) fn demand_reconnect(&mut self) {
        self.break_off(LeaveAction::Reconnect);
    }

    /// Ends the session; the client does as it is told.
    pub(super) fn break_off(&mut self, action: LeaveAction) {
        let reason = DisconnectReason::StateMismatch;
        self.respond(translate::leave(&self.client, reason, action));
        self.outputs.push_back(Output::HangUp);
        self.ask_room(Request::Leave { reason });
        self.over = true;
    }

    /// What somebody wants of the client's track, to be said again after answers.
    pub(super) fn note_qualities(&mut self, track: TrackSid, codecs: &[(String, VideoQuality)]) {
        self.qualities.insert(track, codecs.to_vec());
    }

    pub(super) fn plan_repeat(&mut self, now_ms: u64) {
        let reduced = |codecs: &Vec<(String, VideoQuality)>| {
            codecs.iter().any(|(_, quality)| *quality != VideoQuality::High)
        };
        if !self.qualities.values().any(reduced) {
            return;
        }
        let repeat = self.negotiation.repeat;
        let latest_ms = repeat.map_or(now_ms + REPEAT_WITHIN_MS, |repeat| repeat.latest_ms);
        let due_ms = (now_ms + REPEAT_AFTER_MS).min(latest_ms);
        self.negotiation.repeat = Some(Repeat { due_ms, latest_ms });
    }

    pub(super) fn repeat_qualities(&mut self, now_ms: u64) {
        if self.negotiation.repeat.is_none_or(|repeat| repeat.due_ms > now_ms) {
            return;
        }
        self.negotiation.repeat = None;
        for (track, codecs) in self.qualities.clone() {
            let notice = ringway_room::calls::Notice::SubscribedQuality { track, codecs };
            self.outputs
                .extend(translate::respond(&notice, &[]).map(|one| Output::Respond(Box::new(one))));
        }
    }

    fn missing_sections(&self, offer: &Description, world: &dyn World) -> SectionsNeeded {
        self.find_places(offer, world).1
    }
}
