//! What belongs to whom: transports, sources and routes of the data plane, and subscribers.

use std::collections::{BTreeSet, HashMap};

use ringway_room::calls::{Calls, MediaMatch, OfferedMedia, ParticipantSid, TrackSid};
use ringway_signal::plane::{Ask, Codec, RouteKey, SourceKey, TransportKey};
use ringway_signal::{TrackSource, World};

/// What belongs to whom.
#[derive(Default)]
pub(super) struct Index {
    pub(super) transports: HashMap<TransportKey, ParticipantSid>,
    /// Publisher and track of a source.
    pub(super) sources: HashMap<SourceKey, (ParticipantSid, TrackSid)>,
    /// Subscriber and track of a route.
    pub(super) routes: HashMap<RouteKey, (ParticipantSid, TrackSid)>,
    of_track: HashMap<TrackSid, Vec<TrackSource>>,
    subscribers: HashMap<TrackSid, BTreeSet<ParticipantSid>>,
}

impl Index {
    /// Notes what a session commands.
    pub(super) fn note(&mut self, sid: ParticipantSid, ask: &Ask) {
        match ask {
            Ask::OpenTransport { transport, .. } => {
                self.transports.insert(*transport, sid);
            }
            Ask::CloseTransport { transport } => {
                self.transports.remove(transport);
            }
            Ask::AddRoute(add) => {
                if let Some((_, track)) = self.sources.get(&add.source) {
                    self.routes.insert(add.route, (sid, *track));
                }
            }
            Ask::RemoveRoute { route } => {
                self.routes.remove(route);
            }
            _ => {}
        }
    }

    pub(super) fn publish(&mut self, sid: ParticipantSid, track: TrackSid, source: TrackSource) {
        self.sources.insert(source.source, (sid, track));
        let sources = self.of_track.entry(track).or_default();
        match sources.iter_mut().find(|known| known.source == source.source) {
            Some(known) => *known = source,
            None => sources.push(source),
        }
    }

    pub(super) fn unpublish(&mut self, track: TrackSid, source: SourceKey) {
        self.sources.remove(&source);
        if let Some(sources) = self.of_track.get_mut(&track) {
            sources.retain(|known| known.source != source);
            if sources.is_empty() {
                self.of_track.remove(&track);
            }
        }
    }

    /// Publisher, track and codec of a source.
    pub(super) fn source(&self, key: SourceKey) -> Option<(ParticipantSid, TrackSid, Codec)> {
        let (owner, track) = *self.sources.get(&key)?;
        let source = self.of_track.get(&track)?.iter().find(|one| one.source == key)?;
        Some((owner, track, source.codec))
    }

    pub(super) fn subscribe(&mut self, sid: ParticipantSid, track: TrackSid) {
        self.subscribers.entry(track).or_default().insert(sid);
    }

    pub(super) fn unsubscribe(&mut self, sid: ParticipantSid, track: TrackSid) {
        if let Some(subscribers) = self.subscribers.get_mut(&track) {
            subscribers.remove(&sid);
            if subscribers.is_empty() {
                self.subscribers.remove(&track);
            }
        }
    }

    pub(super) fn subscribers(&self, track: TrackSid) -> Vec<ParticipantSid> {
        self.subscribers.get(&track).map(|all| all.iter().copied().collect()).unwrap_or_default()
    }

    /// Forgets everything that a participant had, its sources excepted, which end one by one.
    pub(super) fn forget(&mut self, sid: ParticipantSid) {
        self.transports.retain(|_, owner| *owner != sid);
        self.routes.retain(|_, (owner, _)| *owner != sid);
        self.subscribers.retain(|_, all| {
            all.remove(&sid);
            !all.is_empty()
        });
    }
}

/// What one participant's session may look up.
pub(super) struct View<'a> {
    pub(super) calls: &'a Calls,
    pub(super) index: &'a Index,
    pub(super) participant: ParticipantSid,
}

impl World for View<'_> {
    fn match_media(&self, offered: &OfferedMedia<'_>) -> MediaMatch {
        self.calls.match_media(self.participant, offered)
    }

    fn sources(&self, track: TrackSid) -> Vec<TrackSource> {
        self.index.of_track.get(&track).cloned().unwrap_or_default()
    }
}
