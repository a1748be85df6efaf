//! Publishing: announcing tracks, their media, their end.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexSet;

use super::announce::Delta;
use super::demand::Demand;
use super::track::{LiveTrack, PendingTrack, next_version};
use super::{LiveRoom, codecs, measured};
use crate::calls::turn::Turn;
use crate::calls::{
    AddTrack, Asked, Config, Fact, MediaPublished, Notice, RequestReason, TimedVersion, TrackInfo,
    TrackKind,
};
use crate::id::{ParticipantSid, TrackSid};

/// After so long an announced track without media makes place for another one. LiveKit's.
const MEDIA_TIMEOUT_MS: u64 = 30_000;
/// How many cids are remembered whose media is to be dropped. LiveKit's.
const ABANDONED_MAX: usize = 32;

/// Why a track is not announced.
type Refused = (RequestReason, &'static str);

/// Who ended a publication.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// Its client.
    Client,
    /// An administrator, or a permission that was taken away.
    Server,
    /// Its publisher's departure.
    Departure,
}

impl LiveRoom {
    /// The client will send a track.
    pub(super) fn add_track(&mut self, turn: &mut Turn<'_>, from: ParticipantSid, add: AddTrack) {
        let result = match add.sid {
            Some(track) => self.add_codecs(turn, from, track, &add),
            None => self.announce_track(turn, from, &add),
        };
        match result {
            Ok(track) => {
                turn.tell(from, Notice::TrackPublished { cid: add.cid, track: Arc::new(track) });
            }
            Err((reason, message)) => {
                let asked = Asked::AddTrack(Box::new(add));
                let message = message.to_owned();
                turn.tell(from, Notice::RequestResponse { request_id: 0, reason, message, asked });
            }
        }
    }

    fn announce_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        add: &AddTrack,
    ) -> Result<TrackInfo, Refused> {
        let limits = &turn.config.limits;
        let Some(participant) = self.participants.get_mut(&from) else {
            return Err((RequestReason::NotFound, ""));
        };
        if !participant.permission.may_publish(add.source) {
            return Err((RequestReason::NotAllowed, "no permission to publish this source"));
        }
        if add.kind == TrackKind::Data {
            return Err((RequestReason::UnsupportedType, "not a media track"));
        }
        check_texts(turn.config, add)?;
        if participant.pending.len() >= limits.pending_tracks {
            participant.abandon_stalled(turn);
        }
        if participant.pending.len() >= limits.pending_tracks {
            return Err((RequestReason::LimitExceeded, "too many pending tracks"));
        }
        if participant.published.len() + participant.pending.len() >= limits.published_tracks {
            return Err((RequestReason::LimitExceeded, "too many tracks"));
        }
        let published = participant.published.iter().filter_map(|sid| self.tracks.get(sid));
        let waiting = participant.pending.iter().flat_map(|pending| &pending.infos);
        let infos = published.map(|track| track.info.as_ref()).chain(waiting);
        let names_bytes = infos.map(|info| info.name.len()).sum::<usize>();
        if names_bytes + add.name.len() > limits.track_names_bytes {
            return Err((RequestReason::LimitExceeded, "names of tracks are too long"));
        }
        let waiting = participant.pending.iter_mut().find(|pending| pending.cid == add.cid);
        let same = waiting.as_ref().and_then(|pending| pending.front()).map(|info| info.sid);
        let sid = same.unwrap_or_else(|| TrackSid::from_random(turn.random.bytes()));
        let mut info = codecs::announced(turn.config, add.clone(), sid);
        info.version = next_version(TimedVersion::default(), turn);
        if let Some(waiting) = waiting {
            if waiting.infos.len() >= limits.queued_per_cid {
                return Err((RequestReason::LimitExceeded, "too many tracks wait for this cid"));
            }
            waiting.infos.push_back(info);
            return Err((RequestReason::Queued, ""));
        }
        let mut published = participant.published.iter().filter_map(|sid| self.tracks.get(sid));
        let queued = published.any(|track| track.is_called(&add.cid));
        participant.abandoned.retain(|cid| *cid != add.cid);
        participant.pending.push(PendingTrack {
            cid: add.cid.clone(),
            infos: VecDeque::from([info.clone()]),
            since_ms: turn.now_ms,
            queued,
        });
        if queued { Err((RequestReason::Queued, "")) } else { Ok(info) }
    }

    fn add_codecs(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        sid: TrackSid,
        add: &AddTrack,
    ) -> Result<TrackInfo, Refused> {
        check_texts(turn.config, add)?;
        let track = self.tracks.get_mut(&sid).filter(|track| track.publisher == from);
        let Some(track) = track else {
            return Err((RequestReason::NotFound, "no such track to add codecs to"));
        };
        let config = turn.config;
        track.codecs_since_ms = turn.now_ms;
        track.change(turn, |info| codecs::add_codecs(config, info, &add.codecs));
        let info = track.info.as_ref().clone();
        self.track_changed(turn, sid, true);
        Ok(info)
    }

    /// Media of an announced track, or of another codec of a published one.
    pub(super) fn media_published(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        media: MediaPublished,
    ) {
        let sid = media.track;
        if let Some(track) = self.tracks.get_mut(&sid).filter(|track| track.publisher == from) {
            let mime_type = media.mime_type.clone();
            track.change(turn, |info| codecs::seen(info, media));
            let codec = codecs::position(&track.info, &mime_type);
            self.track_changed(turn, sid, true);
            return self.regress(turn, sid, codec.unwrap_or_default());
        }
        let Some(participant) = self.participants.get_mut(&from) else { return };
        let Some((cid, mut info)) = participant.take_pending(turn.now_ms, sid) else { return };
        codecs::seen(&mut info, media);
        info.version = next_version(info.version, turn);
        let first = !participant.is_publisher();
        participant.published.push(sid);
        participant.touch();
        let hidden = participant.is_hidden();
        let info = Arc::new(info);
        self.tracks.insert(
            sid,
            LiveTrack {
                publisher: from,
                cid,
                demand: Demand::new(&info),
                measured: Vec::new(),
                is_unsized: measured::is_unsized(&info),
                resumed_ms: 0,
                info: Arc::clone(&info),
                subscribers: IndexSet::new(),
                heard: false,
                level: None,
                codecs_since_ms: turn.now_ms,
                regressed: None,
            },
        );
        turn.index.tracks.insert(sid, self.sid());
        self.count(Delta { publishers: i32::from(first), ..Delta::default() });
        self.room_changed(turn, false);
        self.announce(turn, from, true);
        if let Some(participant) = self.participant_info(from) {
            let room = self.share_info();
            turn.fact(Fact::TrackPublished(room, participant, info));
        }
        self.offer(turn, sid, hidden);
        self.settle_demand(turn, sid);
    }

    /// The client no longer sends a track.
    pub(super) fn media_ended(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        track: TrackSid,
    ) {
        if self.tracks.get(&track).is_some_and(|known| known.publisher == from) {
            return self.unpublish(turn, track, EndedBy::Client);
        }
        if let Some(participant) = self.participants.get_mut(&from) {
            participant.forget_pending(turn.now_ms, track);
        }
    }

    /// Ends a publication and all subscriptions to it, and tells everybody.
    pub(super) fn unpublish(&mut self, turn: &mut Turn<'_>, sid: TrackSid, by: EndedBy) {
        let Some(track) = self.tracks.remove(&sid) else { return };
        let from = track.publisher;
        turn.index.tracks.remove(&sid);
        self.withdraw(turn, sid, &track);
        let Some(publisher) = self.participants.get_mut(&from) else { return };
        publisher.published.retain(|known| *known != sid);
        publisher.scores.remove(&sid);
        publisher.touch();
        let last = !publisher.is_publisher();
        let next = publisher.unqueue(turn.now_ms, &track.cid);
        match by {
            EndedBy::Client => turn.tell(from, Notice::SourceEnded { track: sid }),
            EndedBy::Server => turn.tell(from, Notice::TrackUnpublished { track: sid }),
            EndedBy::Departure => {}
        }
        self.count(Delta { publishers: -i32::from(last), ..Delta::default() });
        if let Some(info) = self.participant_info(from) {
            let room = self.share_info();
            turn.fact(Fact::TrackUnpublished(room, info, track.info));
        }
        if by == EndedBy::Departure {
            return;
        }
        self.room_changed(turn, false);
        self.announce(turn, from, true);
        self.level_changed(turn, &[from]);
        if let Some(info) = next {
            let notice = Notice::TrackPublished { cid: track.cid, track: Arc::new(info) };
            turn.tell(from, notice);
        }
    }

    /// Ends all publications of somebody who goes.
    pub(super) fn end_publications(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let published =
            self.participants.get(&sid).map(|participant| participant.published.clone());
        for track in published.unwrap_or_default() {
            self.unpublish(turn, track, EndedBy::Departure);
        }
        self.end_data(turn, sid);
    }

    /// A published track is another one than others were told; `media` if codecs or layers are.
    pub(super) fn track_changed(&mut self, turn: &mut Turn<'_>, sid: TrackSid, media: bool) {
        let Some(track) = self.tracks.get_mut(&sid) else { return };
        let (from, info) = (track.publisher, Arc::clone(&track.info));
        track.demand.resize(&info);
        let subscribers: Vec<ParticipantSid> = track.subscribers.iter().copied().collect();
        if let Some(publisher) = self.participants.get_mut(&from) {
            publisher.touch();
        }
        self.announce(turn, from, true);
        if media {
            let notice = Notice::SubscribedTrackChanged { track: info };
            turn.tell_all(subscribers.clone(), notice);
        }
        for subscriber in subscribers {
            self.reroute(turn, subscriber, sid);
        }
    }
}

impl super::LiveParticipant {
    /// Gives up waiting for media of tracks that are not muted.
    fn abandon_stalled(&mut self, turn: &mut Turn<'_>) {
        let (sid, now_ms) = (self.sid, turn.now_ms);
        let mut abandoned = Vec::new();
        for pending in &mut self.pending {
            let stalled = !pending.queued
                && now_ms >= pending.since_ms + MEDIA_TIMEOUT_MS
                && pending.front().is_some_and(|info| !info.muted);
            if stalled && let Some(info) = pending.infos.pop_front() {
                turn.tell(sid, Notice::TrackUnpublished { track: info.sid });
                pending.since_ms = now_ms;
                match pending.infos.front() {
                    Some(next) => {
                        let (cid, track) = (pending.cid.clone(), Arc::new(next.clone()));
                        turn.tell(sid, Notice::TrackPublished { cid, track });
                    }
                    None => abandoned.push(pending.cid.clone()),
                }
            }
        }
        self.pending.retain(|pending| !pending.infos.is_empty());
        for cid in abandoned {
            if self.abandoned.len() >= ABANDONED_MAX {
                self.abandoned.pop_front();
            }
            self.abandoned.push_back(cid);
        }
    }

    /// Takes a track whose media is there; those behind it wait for its end.
    fn take_pending(&mut self, now_ms: u64, sid: TrackSid) -> Option<(String, TrackInfo)> {
        let at = self.pending.iter().position(|pending| {
            !pending.queued && pending.front().is_some_and(|info| info.sid == sid)
        })?;
        let pending = &mut self.pending[at];
        let info = pending.infos.pop_front()?;
        let cid = pending.cid.clone();
        pending.queued = true;
        pending.since_ms = now_ms;
        if pending.infos.is_empty() {
            self.pending.remove(at);
        }
        Some((cid, info))
    }

    /// Forgets a track that is not published yet; false if there is none.
    pub(super) fn forget_pending(&mut self, now_ms: u64, track: TrackSid) -> bool {
        let mut found = false;
        for pending in &mut self.pending {
            let before = pending.infos.len();
            pending.infos.retain(|info| info.sid != track);
            if pending.infos.len() < before {
                pending.since_ms = now_ms;
                found = true;
            }
        }
        self.pending.retain(|pending| !pending.infos.is_empty());
        found
    }

    /// A published track with this cid ended: the next one that waits for it, if any.
    fn unqueue(&mut self, now_ms: u64, cid: &str) -> Option<TrackInfo> {
        let pending = self.pending.iter_mut().find(|pending| pending.cid == cid)?;
        if !std::mem::take(&mut pending.queued) {
            return None;
        }
        pending.since_ms = now_ms;
        pending.front().cloned()
    }
}

fn check_texts(config: &Config, add: &AddTrack) -> Result<(), Refused> {
    let limit = config.limits.text_bytes;
    let codecs = add.codecs.iter().flat_map(|codec| [&codec.codec, &codec.cid]);
    let layers = add.layers.iter().chain(add.codecs.iter().flat_map(|codec| &codec.layers));
    let texts = [&add.cid, &add.stream];
    let mut texts = texts.into_iter().chain(codecs).chain(layers.map(|layer| &layer.rid));
    match texts.all(|text| text.len() <= limit) {
        true => Ok(()),
        false => Err((RequestReason::LimitExceeded, "a text is too long")),
    }
}
