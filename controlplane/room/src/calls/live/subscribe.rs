//! Subscriptions: what participants want to receive, what stands in the way, what is served.
//!
//! A wish lives as long as its track, or until it is taken back. Whatever stands in its way may go
//! away, so every change of a permission or a limit looks at the wishes again.

use std::sync::Arc;

use super::codecs;
use super::layers::{self, Target};
use super::score::Score;
use super::track::LiveTrack;
use super::{LiveParticipant, LiveRoom};
use crate::calls::turn::{Timer, Turn};
use crate::calls::{
    CallLimits, Notice, RouteSettings, SpeakerInfo, StreamState, Subscribe, SubscriptionError,
    TrackKind, TrackSettings, VideoQuality,
};
use crate::id::{ParticipantSid, TrackSid};

/// LiveKit's patience with a wish for a track that does not exist.
const NOT_FOUND_MS: u64 = 60_000;
/// How exactly that is kept. Finer: a client with many such wishes costs more.
const AWAITED_STEP_MS: u64 = 1_000;
/// LiveKit's patience with settings that come before their subscription.
const EARLY_SETTINGS_MS: u64 = 60_000;

/// A wish.
#[derive(Debug)]
pub(super) struct Subscription {
    stage: Stage,
    /// Whether the publisher allows it, as the subscriber was told. Android's SDK takes what it was
    /// not told of for forbidden.
    told_allowed: Option<bool>,
    settings: TrackSettings,
    /// The codec that is received, of the track's codecs.
    codec: usize,
    /// What the settings came to.
    target: Target,
    /// When it was wanted again last, after it was switched off or held back.
    resumed_ms: u64,
    /// The plane holds it back.
    held_back: bool,
}

/// How far a wish has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The track does not exist.
    Awaited {
        /// Until when that is waited for.
        until_ms: u64,
    },
    /// Something stands in the way.
    Denied(Obstacle),
    /// The session was told to carry it.
    Served,
    /// The session could not carry it.
    Failed,
}

/// What stands in the way of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The subscriber may not subscribe at all.
    MayNotSubscribe,
    /// The subscriber has as many as it may.
    Full,
    /// The publisher does not allow it.
    NotAllowed,
}

impl Subscription {
    pub(super) fn is_served(&self) -> bool {
        self.stage == Stage::Served
    }

    /// Whether media is meant to flow, as far as the subscriber is asked.
    pub(super) fn flows(&self) -> bool {
        self.is_served() && !self.target.route.paused && !self.held_back
    }

    pub(super) fn resumed_ms(&self) -> u64 {
        self.resumed_ms
    }

    /// Whether it is news to the subscriber that the publisher allows it, or does not.
    fn learns(&mut self, allowed: bool) -> bool {
        self.told_allowed.replace(allowed) != Some(allowed)
    }
}

impl LiveRoom {
    /// Begins or ends subscriptions.
    pub(crate) fn update_subscription(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        tracks: &[TrackSid],
        subscribe: bool,
    ) {
        for track in tracks {
            match subscribe {
                true => self.want(turn, from, *track, true),
                false => self.unwant(turn, from, *track),
            }
        }
    }

    /// Everybody who subscribes without being asked wants a new track, and those who wanted it
    /// before it existed. As with LiveKit nobody is spared those of a `hidden` publisher but who
    /// says so: clients of LiveKit's drop what comes of somebody whom they were not told of.
    pub(super) fn offer(&mut self, turn: &mut Turn<'_>, sid: TrackSid, hidden: bool) {
        let awaited = self.awaited.remove(&sid).unwrap_or_default();
        let wants = |p: &&LiveParticipant| p.is_active() && p.subscribes_to_all_of(hidden);
        let auto: Vec<_> = self.participants.values().filter(wants).map(|p| p.sid).collect();
        for subscriber in awaited {
            if let Some(participant) = self.participants.get_mut(&subscriber) {
                participant.awaited = participant.awaited.saturating_sub(1);
            }
            self.reconcile(turn, subscriber, sid);
        }
        for subscriber in auto {
            self.want(turn, subscriber, sid, false);
        }
    }

    /// Somebody who subscribes without being asked wants all that there is.
    pub(super) fn subscribe_to_existing(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get(&sid) else { return };
        let wanted = |other: &&LiveParticipant| {
            other.sid != sid && participant.subscribes_to_all_of(other.is_hidden())
        };
        let others = self.participants.values().filter(wanted);
        let tracks: Vec<_> = others.flat_map(|p| p.published.iter().copied()).collect();
        for track in tracks {
            self.want(turn, sid, track, false);
        }
    }

    /// Notes a wish. Only an `explicit` one tries again what failed.
    fn want(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, track: TrackSid, explicit: bool) {
        let own = self.tracks.get(&track).is_some_and(|track| track.publisher == sid);
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        let known = participant.subscriptions.get(&track);
        if own || known.is_some_and(|known| known.stage != Stage::Failed || !explicit) {
            return;
        }
        let exists = self.tracks.contains_key(&track);
        if !exists && participant.awaited >= turn.config.limits.awaited_tracks {
            return;
        }
        let early = participant.early_settings.swap_remove(&track);
        let early = early.filter(|(at_ms, _)| turn.now_ms <= at_ms + EARLY_SETTINGS_MS);
        let first = match participant.adaptive_stream {
            true => TrackSettings { quality: VideoQuality::Low, ..TrackSettings::default() },
            false => TrackSettings::default(),
        };
        let settings = early.map_or(first, |(_, settings)| settings);
        let idle = RouteSettings { paused: true, max_spatial: 0, max_temporal: 0, priority: 1 };
        let wish = Subscription {
            stage: Stage::Awaited { until_ms: turn.now_ms.saturating_add(NOT_FOUND_MS) },
            told_allowed: None,
            settings,
            codec: 0,
            target: Target { quality: VideoQuality::Off, route: idle },
            resumed_ms: turn.now_ms,
            held_back: false,
        };
        participant.subscriptions.insert(track, wish);
        if exists {
            return self.reconcile(turn, sid, track);
        }
        participant.awaited += 1;
        self.awaited.entry(track).or_default().insert(sid);
        self.arm_awaited(turn, sid, NOT_FOUND_MS);
    }

    /// Wakes up when the first of somebody's awaited tracks has been waited for long enough.
    fn arm_awaited(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, delay_ms: u64) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        if participant.awaited > 0 && !std::mem::replace(&mut participant.awaited_armed, true) {
            turn.after(delay_ms, Timer::Awaited(sid));
        }
    }

    /// Takes a wish back.
    fn unwant(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, track: TrackSid) {
        if self.stop(turn, sid, track) {
            self.retry_full(turn, sid);
        }
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        participant.subscriptions.swap_remove(&track);
        self.forget_awaited(sid, track);
    }

    fn forget_awaited(&mut self, sid: ParticipantSid, track: TrackSid) {
        let Some(waiting) = self.awaited.get_mut(&track) else { return };
        if waiting.swap_remove(&sid)
            && let Some(participant) = self.participants.get_mut(&sid)
        {
            participant.awaited = participant.awaited.saturating_sub(1);
        }
        if self.awaited.get(&track).is_some_and(|waiting| waiting.is_empty()) {
            self.awaited.remove(&track);
        }
    }

    /// Looks again at what stands in the way of a wish.
    pub(super) fn reconcile(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, track: TrackSid) {
        let Some(subscriber) = self.participants.get(&sid) else { return };
        let Some(stage) = subscriber.subscriptions.get(&track).map(|wish| wish.stage) else {
            return;
        };
        let Some(source) = self.tracks.get(&track) else { return };
        let Some(publisher) = self.participants.get(&source.publisher) else { return };
        let kind = source.info.kind;
        let allowed =
            subscriber.is_recorder() || publisher.audience.admits(&subscriber.identity, track);
        let obstacle = if !subscriber.permission.can_subscribe {
            Some(Obstacle::MayNotSubscribe)
        } else if !allowed {
            Some(Obstacle::NotAllowed)
        } else if stage != Stage::Served && subscriber.is_full(kind, &turn.config.limits) {
            Some(Obstacle::Full)
        } else {
            None
        };
        match (stage, obstacle) {
            (Stage::Served, None) | (Stage::Failed, _) => {}
            (_, None) => self.serve(turn, sid, track),
            (_, Some(obstacle)) => self.deny(turn, sid, track, obstacle),
        }
    }

    fn serve(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, track: TrackSid) {
        let Some(source) = self.tracks.get_mut(&track) else { return };
        let Some(subscriber) = self.participants.get_mut(&sid) else { return };
        let adapts = subscriber.adaptive_stream && source.info.kind == TrackKind::Video;
        let Some(wish) = subscriber.subscriptions.get_mut(&track) else { return };
        let publisher = source.publisher;
        // What an earlier picture was switched off for says nothing about this one, and a client
        // that measures its pictures has none to measure, and to switch on, until something comes.
        wish.settings.disabled &= !adapts;
        wish.stage = Stage::Served;
        wish.held_back = false;
        wish.codec = source.regressed.unwrap_or(wish.codec);
        wish.codec = wish.codec.min(source.info.codecs.len().saturating_sub(1));
        let codec = wish.codec;
        let pictures = source.pictures(codec);
        wish.target = layers::target(&source.info, codec, pictures, &wish.settings);
        wish.resumed_ms = turn.now_ms;
        source.subscribers.insert(sid);
        source.demand.add(wish.codec, wish.target.quality);
        let settings = wish.target.route;
        if wish.learns(true) {
            let allowed = true;
            turn.tell(sid, Notice::SubscriptionPermissionUpdate { publisher, track, allowed });
        }
        let info = Arc::clone(&source.info);
        let first = subscriber.count_served(publisher, info.kind);
        self.served += 1;
        let identity = self.participants.get(&publisher).map(|p| p.identity.clone());
        let subscribe = Subscribe {
            track: info,
            publisher,
            publisher_identity: identity.unwrap_or_default(),
            min_playout_delay_ms: self.info.min_playout_delay_ms,
            max_playout_delay_ms: self.info.max_playout_delay_ms,
            settings,
        };
        let other = subscribe.track.codecs.get(codec).filter(|_| codec > 0);
        let other = other.map(|codec| codec.mime_type.clone());
        turn.tell(sid, Notice::Subscribe(Box::new(subscribe)));
        if let Some(mime_type) = other {
            turn.tell(sid, Notice::ReceiveCodec { track, mime_type });
        }
        if first {
            self.introduce(turn, sid, publisher);
        }
        self.settle_demand(turn, track);
    }

    fn deny(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        track: TrackSid,
        obstacle: Obstacle,
    ) {
        let stopped = self.stop(turn, sid, track);
        let publisher = self.tracks.get(&track).map(|source| source.publisher);
        let wish = self.participants.get_mut(&sid).and_then(|p| p.subscriptions.get_mut(&track));
        let (Some(wish), Some(publisher)) = (wish, publisher) else { return };
        wish.stage = Stage::Denied(obstacle);
        if obstacle == Obstacle::NotAllowed && wish.learns(false) {
            let allowed = false;
            turn.tell(sid, Notice::SubscriptionPermissionUpdate { publisher, track, allowed });
        }
        if stopped {
            self.retry_full(turn, sid);
        }
    }

    /// Stops serving a track to somebody, who keeps the wish for it; false if it was not served.
    fn stop(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, track: TrackSid) -> bool {
        let Some(source) = self.tracks.get_mut(&track) else { return false };
        if !source.subscribers.swap_remove(&sid) {
            return false;
        }
        let Some(subscriber) = self.participants.get_mut(&sid) else { return false };
        if let Some(wish) = subscriber.subscriptions.get_mut(&track) {
            source.demand.remove(wish.codec, wish.target.quality);
            wish.stage = Stage::Failed;
        }
        let (publisher, kind) = (source.publisher, source.info.kind);
        let last = subscriber.uncount_served(publisher, kind);
        subscriber.scores.remove(&track);
        self.served = self.served.saturating_sub(1);
        turn.tell(sid, Notice::Unsubscribe { track });
        self.settle_demand(turn, track);
        if last {
            self.part(turn, sid, publisher);
        }
        true
    }

    /// A track that was just removed from the room is served to nobody, and wanted by nobody.
    pub(super) fn withdraw(&mut self, turn: &mut Turn<'_>, sid: TrackSid, track: &LiveTrack) {
        let mut parted = Vec::new();
        for subscriber in self.participants.values_mut() {
            let Some(wish) = subscriber.subscriptions.swap_remove(&sid) else { continue };
            if !wish.is_served() {
                continue;
            }
            subscriber.scores.remove(&sid);
            if subscriber.uncount_served(track.publisher, track.info.kind) {
                parted.push(subscriber.sid);
            }
            self.served = self.served.saturating_sub(1);
        }
        let served: Vec<_> = track.subscribers.iter().copied().collect();
        turn.tell_all(served.clone(), Notice::Unsubscribe { track: sid });
        for subscriber in parted {
            self.part(turn, subscriber, track.publisher);
        }
        for subscriber in served {
            self.retry_full(turn, subscriber);
        }
    }

    /// For the others a publisher leaves: takes its tracks from everybody.
    pub(super) fn take_away(&mut self, turn: &mut Turn<'_>, track: TrackSid) {
        let subscribers: Vec<_> = self.participants.keys().copied().collect();
        for subscriber in subscribers {
            self.unwant(turn, subscriber, track);
        }
    }

    /// Clients dropped what came of a publisher whom they did not know: everybody who is served
    /// gets it once more.
    pub(super) fn serve_anew(&mut self, turn: &mut Turn<'_>, track: TrackSid) {
        let Some(source) = self.tracks.get(&track) else { return };
        let subscribers: Vec<_> = source.subscribers.iter().copied().collect();
        for subscriber in subscribers {
            if self.stop(turn, subscriber, track) {
                self.serve(turn, subscriber, track);
            }
        }
    }

    /// Drops all wishes of somebody who goes.
    pub(super) fn end_subscriptions(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(subscriber) = self.participants.get_mut(&sid) else { return };
        let wishes = std::mem::take(&mut subscriber.subscriptions);
        for (track, wish) in wishes {
            if let Stage::Awaited { .. } = wish.stage {
                self.forget_awaited(sid, track);
            }
            let Some(source) = self.tracks.get_mut(&track) else { continue };
            if source.subscribers.swap_remove(&sid) {
                source.demand.remove(wish.codec, wish.target.quality);
                self.served = self.served.saturating_sub(1);
                self.settle_demand(turn, track);
            }
        }
    }

    /// What somebody may receive has changed.
    pub(super) fn reconcile_all(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(subscriber) = self.participants.get(&sid) else { return };
        let wishes: Vec<_> = subscriber.subscriptions.keys().copied().collect();
        for track in wishes {
            self.reconcile(turn, sid, track);
        }
    }

    /// A place became free for a wish that found none.
    fn retry_full(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let limits = &turn.config.limits;
        if limits.subscriptions_audio == 0 && limits.subscriptions_video == 0 {
            return;
        }
        let Some(subscriber) = self.participants.get(&sid) else { return };
        let full = |wish: &Subscription| wish.stage == Stage::Denied(Obstacle::Full);
        let waiting = subscriber.subscriptions.iter().filter(|(_, wish)| full(wish));
        let waiting: Vec<_> = waiting.map(|(track, _)| *track).collect();
        for track in waiting {
            self.reconcile(turn, sid, track);
        }
    }

    /// How a track is shown.
    pub(super) fn track_settings(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        track: TrackSid,
        settings: TrackSettings,
    ) {
        let Some(participant) = self.participants.get_mut(&from) else { return };
        if let Some(wish) = participant.subscriptions.get_mut(&track) {
            wish.settings = settings;
            return self.reroute(turn, from, track);
        }
        let now_ms = turn.now_ms;
        let early = &mut participant.early_settings;
        let limit = turn.config.limits.awaited_tracks;
        if early.len() >= limit && !early.contains_key(&track) {
            early.retain(|_, (at_ms, _)| now_ms <= *at_ms + EARLY_SETTINGS_MS);
        }
        if early.len() < limit || early.contains_key(&track) {
            early.insert(track, (now_ms, settings));
        }
    }

    /// The client can decode only one of the codecs.
    pub(super) fn receive_codec(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        track: TrackSid,
        mime_type: &str,
    ) {
        let Some(source) = self.tracks.get(&track) else { return };
        let Some(codec) = codecs::position(&source.info, mime_type) else { return };
        self.set_codec(turn, from, track, codec);
    }

    /// Somebody receives another codec of a track from now on; false if it was that one already.
    pub(super) fn set_codec(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        track: TrackSid,
        codec: usize,
    ) -> bool {
        let Some(source) = self.tracks.get_mut(&track) else { return false };
        let subscriber = self.participants.get_mut(&sid);
        let wish = subscriber.and_then(|p| p.subscriptions.get_mut(&track));
        let Some(wish) = wish.filter(|wish| wish.codec != codec) else { return false };
        if wish.is_served() {
            source.demand.remove(wish.codec, wish.target.quality);
            source.demand.add(codec, wish.target.quality);
        }
        wish.codec = codec;
        self.reroute(turn, sid, track);
        self.settle_demand(turn, track);
        true
    }

    /// Serves a route as its settings and its track's layers now want it.
    pub(super) fn reroute(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, track: TrackSid) {
        let Some(source) = self.tracks.get_mut(&track) else { return };
        let Some(subscriber) = self.participants.get_mut(&sid) else { return };
        let wish = subscriber.subscriptions.get_mut(&track);
        let Some(wish) = wish.filter(|wish| wish.is_served()) else { return };
        let pictures = source.pictures(wish.codec);
        let target = layers::target(&source.info, wish.codec, pictures, &wish.settings);
        let before = std::mem::replace(&mut wish.target, target);
        let paused = target.route.paused;
        if paused != before.route.paused {
            wish.resumed_ms = turn.now_ms;
            // Who does not want it lacks nothing of it.
            let score = subscriber.scores.get_mut(&track).filter(|_| paused);
            score.into_iter().for_each(Score::mute);
        }
        if before.route != target.route {
            turn.tell(sid, Notice::RouteSettings { track, settings: target.route });
        }
        if before.quality != target.quality {
            source.demand.remove(wish.codec, before.quality);
            source.demand.add(wish.codec, target.quality);
            self.settle_demand(turn, track);
        }
    }

    /// What became of [`Notice::Subscribe`].
    pub(super) fn subscribed_media(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        track: TrackSid,
        outcome: Result<(), SubscriptionError>,
    ) {
        let Some(source) = self.tracks.get_mut(&track) else { return };
        if !source.subscribers.contains(&from) {
            return;
        }
        // Who is hidden does not betray itself: a publisher that waits for its first listener goes
        // on waiting.
        let hidden = self.participants.get(&from).is_none_or(|participant| participant.is_hidden());
        match outcome {
            Ok(()) => {
                if !hidden && !std::mem::replace(&mut source.heard, true) {
                    turn.tell(source.publisher, Notice::TrackSubscribed { track });
                }
            }
            Err(error) => {
                // Leaves the wish as failed, so that only an explicit one tries again.
                self.stop(turn, from, track);
                turn.tell(from, Notice::SubscriptionResponse { track, error });
                self.retry_full(turn, from);
            }
        }
    }

    /// A subscriber may have waited long enough.
    pub(super) fn check_awaited(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        participant.awaited_armed = false;
        let (mut over, mut next_ms) = (Vec::new(), u64::MAX);
        for (track, wish) in &participant.subscriptions {
            match wish.stage {
                Stage::Awaited { until_ms } if until_ms <= turn.now_ms => over.push(*track),
                Stage::Awaited { until_ms } => next_ms = next_ms.min(until_ms),
                _ => {}
            }
        }
        for track in over {
            if let Some(participant) = self.participants.get_mut(&sid) {
                participant.subscriptions.swap_remove(&track);
            }
            self.forget_awaited(sid, track);
            let error = SubscriptionError::TrackNotFound;
            turn.tell(sid, Notice::SubscriptionResponse { track, error });
        }
        let delay_ms = next_ms.saturating_sub(turn.now_ms).max(AWAITED_STEP_MS);
        self.arm_awaited(turn, sid, delay_ms);
    }

    /// The plane holds a route back, or no longer does.
    pub(crate) fn route_state(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        track: TrackSid,
        paused: bool,
    ) {
        let Some(source) = self.tracks.get(&track) else { return };
        let subscriber = self.participants.get_mut(&sid);
        let wish = subscriber.and_then(|p| p.subscriptions.get_mut(&track));
        let Some(wish) = wish.filter(|wish| wish.is_served()) else { return };
        if std::mem::replace(&mut wish.held_back, paused) != paused {
            wish.resumed_ms = turn.now_ms;
            let state = if paused { StreamState::Paused } else { StreamState::Active };
            turn.tell(sid, Notice::StreamState { publisher: source.publisher, track, state });
            self.rejudge_held_back(turn, sid, track, paused);
        }
    }

    /// Somebody begins to receive from a publisher: says how that one is.
    fn introduce(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, publisher: ParticipantSid) {
        if let Some(level) = self.speakers.get(&publisher) {
            let speaker = SpeakerInfo { sid: publisher, level: *level, active: true };
            turn.tell(sid, Notice::SpeakersChanged(Arc::new(vec![speaker])));
        }
        if let Some(info) = self.participants.get(&publisher).and_then(|p| p.quality_info()) {
            turn.tell(sid, Notice::ConnectionQuality(Arc::new(vec![info])));
        }
    }

    /// Somebody no longer receives from a publisher, and will not hear when that one is silent.
    fn part(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, publisher: ParticipantSid) {
        if self.speakers.contains_key(&publisher) {
            let speaker = SpeakerInfo { sid: publisher, level: 0.0, active: false };
            turn.tell(sid, Notice::SpeakersChanged(Arc::new(vec![speaker])));
        }
    }
}

impl LiveParticipant {
    fn is_full(&self, kind: TrackKind, limits: &CallLimits) -> bool {
        let (served, limit) = match kind {
            TrackKind::Audio => (self.served_audio, limits.subscriptions_audio),
            _ => (self.served_video, limits.subscriptions_video),
        };
        limit > 0 && served >= limit
    }

    /// One more track is served; whether it is the first one of that publisher.
    fn count_served(&mut self, publisher: ParticipantSid, kind: TrackKind) -> bool {
        *self.served_of(kind) += 1;
        let count = self.publishers.entry(publisher).or_default();
        *count += 1;
        *count == 1
    }

    /// One track fewer is served; whether it was the last one of that publisher.
    fn uncount_served(&mut self, publisher: ParticipantSid, kind: TrackKind) -> bool {
        let served = self.served_of(kind);
        *served = served.saturating_sub(1);
        let Some(count) = self.publishers.get_mut(&publisher) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.publishers.remove(&publisher);
        true
    }

    fn served_of(&mut self, kind: TrackKind) -> &mut u32 {
        match kind {
            TrackKind::Audio => &mut self.served_audio,
            _ => &mut self.served_video,
        }
    }
}
