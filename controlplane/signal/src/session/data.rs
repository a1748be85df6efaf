//! What the client may do with data channels, as the data plane must know it.

use std::collections::BTreeMap;
use std::sync::Arc;

use livekit_protocol::SyncState;
use ringway_room::calls::{
    DataTrackHandle, DataTrackInfo, DataTrackSid, ParticipantInfo, ParticipantKind,
};

use super::Session;
use crate::plane::{Ask, DataOpening, DataTrackKey, SetData, TransportKey};
use crate::translate;

/// Publishers that a resuming client may ask messages of. Raised: a client makes us ask more.
const REPLAYS: usize = 256;

/// What is known, and what was told.
#[derive(Debug)]
pub(super) struct DataFacts {
    identity: String,
    sid: String,
    publishes: bool,
    agent: bool,
    metrics: bool,
    hidden: bool,
    told: BTreeMap<TransportKey, SetData>,
    /// The client's data tracks, by its handles.
    published: BTreeMap<u16, DataTrackSid>,
    /// Data tracks that the client receives; `None` before it ever did.
    subscribed: Option<Arc<[DataTrackHandle]>>,
    /// What the plane knows of data tracks.
    told_tracks: Handles<DataTrackKey>,
    told_routes: Handles<Route>,
    /// The number of the client's last reliable message, as the plane said it lately.
    heard: u32,
}

/// Data tracks by transport and handle.
type Handles<T> = BTreeMap<(TransportKey, u16), T>;

/// A data track that the client receives, and the shard that its packets come in on.
type Route = (DataTrackKey, u16);

impl DataFacts {
    pub(super) fn of(participant: &ParticipantInfo) -> Self {
        Self {
            identity: participant.identity.clone(),
            sid: participant.sid.to_string(),
            publishes: participant.permission.can_publish_data,
            agent: participant.kind == ParticipantKind::Agent,
            metrics: participant.permission.can_subscribe_metrics,
            hidden: participant.permission.hidden,
            told: BTreeMap::new(),
            published: BTreeMap::new(),
            subscribed: None,
            told_tracks: BTreeMap::new(),
            told_routes: BTreeMap::new(),
            heard: 0,
        }
    }
}

impl Session {
    /// Tells the plane what each transport that is open may do, where that is news.
    pub(super) fn tell_data(&mut self) {
        // Who has one offer says in it whether it will have data.
        if self.one_shot && !self.publisher.has_data() {
            return;
        }
        let negotiated = self.single && !self.one_shot && self.client.negotiates_channels();
        let opening = if negotiated { DataOpening::Negotiated } else { DataOpening::Client };
        // What others send comes over the connection that the session stands on.
        let over_subscriber = self.subscriber_primary;
        let publisher = (&self.publisher, true, !over_subscriber, opening);
        let subscriber = self.subscriber.as_ref();
        let subscriber = subscriber.map(|peer| (peer, false, over_subscriber, DataOpening::Shard));
        let mut news = Vec::new();
        for (peer, publishes, delivers, opening) in std::iter::once(publisher).chain(subscriber) {
            if !peer.is_open() {
                continue;
            }
            let set = SetData {
                transport: peer.key,
                room: self.room,
                identity: self.data.identity.clone(),
                sid: self.data.sid.clone(),
                publishes: publishes && self.data.publishes,
                delivers,
                agent: self.data.agent,
                metrics: self.data.metrics,
                hidden: self.data.hidden,
                bare: self.one_shot,
                opening,
                slow_bps: self.settings.slow_bps,
            };
            if self.data.told.get(&peer.key) != Some(&set) {
                news.push(set);
            }
        }
        for set in news {
            self.data.told.insert(set.transport, set.clone());
            self.ask_plane(Ask::SetData(Box::new(set)));
        }
        self.tell_data_tracks();
    }

    /// Tells the plane what has changed about data tracks, as far as their transports are open.
    fn tell_data_tracks(&mut self) {
        let data = &self.data;
        let over = |transport: TransportKey| data.told.contains_key(&transport);
        let from = self.publisher.key;
        let tracks = data.published.iter().filter(|_| over(from));
        let tracks: Handles<_> =
            tracks.map(|(handle, sid)| ((from, *handle), sid.into())).collect();
        let to = self.subscriber.as_ref().filter(|_| self.subscriber_primary);
        let to = to.unwrap_or(&self.publisher).key;
        let routes = data.subscribed.iter().flat_map(|all| all.iter()).filter(|_| over(to));
        let routes: Handles<Route> =
            routes.map(|one| ((to, one.handle), ((&one.track).into(), one.shard))).collect();
        let track_asks = changes(&data.told_tracks, &tracks, |transport, handle, track| {
            Ask::SetDataTrack { transport, handle, track }
        });
        let route_asks = changes(&data.told_routes, &routes, |transport, handle, route| {
            let (track, home) = route.unzip();
            Ask::SetDataRoute { transport, handle, track, home: home.unwrap_or_default() }
        });
        (self.data.told_tracks, self.data.told_routes) = (tracks, routes);
        track_asks.into_iter().chain(route_asks).for_each(|ask| self.ask_plane(ask));
    }

    /// A data track of the client's is published or no longer is.
    pub(super) fn set_data_track(&mut self, track: &DataTrackInfo, published: bool) {
        match published {
            true => self.data.published.insert(track.handle, track.sid),
            false => self.data.published.remove(&track.handle),
        };
        self.tell_data_tracks();
    }

    /// All data tracks that the client receives from now on.
    pub(super) fn set_data_handles(&mut self, handles: Arc<[DataTrackHandle]>) {
        self.data.subscribed = Some(handles);
        self.tell_data_tracks();
    }

    /// The client may have missed what it was told last.
    pub(super) fn repeat_data_handles(&mut self) {
        if let Some(handles) = self.data.subscribed.clone() {
            self.respond(translate::data_handles(&handles));
        }
    }

    /// Whether all data tracks that a resuming client believes to publish are published.
    pub(super) fn knows_data_tracks(&self, state: &SyncState) -> bool {
        state.publish_data_tracks.iter().all(|one| {
            let sid = one.info.as_ref().and_then(|info| info.sid.parse().ok());
            sid.is_some_and(|sid: DataTrackSid| self.data.published.values().any(|own| *own == sid))
        })
    }

    /// The plane has had a client's reliable message of this number.
    pub fn handle_heard(&mut self, transport: TransportKey, sequence: u32) {
        if self.publisher.key == transport {
            self.data.heard = self.data.heard.max(sequence);
        }
    }

    /// The number of the client's last reliable message. A client that resumes sends again what
    /// came after it; what the plane has had after all, it drops.
    pub(super) fn last_message(&self) -> u32 {
        self.data.heard
    }

    /// A participant is like this now. What the client itself may do with data follows.
    pub fn handle_own_state(&mut self, own: &ParticipantInfo) {
        if own.sid != self.participant || self.over {
            return;
        }
        self.data.publishes = own.permission.can_publish_data;
        self.data.metrics = own.permission.can_subscribe_metrics;
        self.data.hidden = own.permission.hidden;
        self.tell_data();
    }

    /// A client that resumes says up to where it has heard whom.
    pub(super) fn replay_data(&mut self, state: &SyncState) {
        let to = self.subscriber.as_ref().filter(|_| self.subscriber_primary);
        let transport = to.unwrap_or(&self.publisher).key;
        for heard in state.datachannel_receive_states.iter().take(REPLAYS) {
            self.ask_plane(Ask::ReplayData {
                transport,
                publisher: heard.publisher_sid.clone(),
                after: heard.last_seq,
            });
        }
    }
}

/// What leads from one state of handles to another, ends first.
fn changes<T: Copy + PartialEq>(
    before: &Handles<T>,
    after: &Handles<T>,
    ask: impl Fn(TransportKey, u16, Option<T>) -> Ask,
) -> Vec<Ask> {
    let ended = before.keys().filter(|name| !after.contains_key(*name));
    let ended = ended.map(|(transport, handle)| ask(*transport, *handle, None));
    let begun = after.iter().filter(|(name, track)| before.get(*name) != Some(*track));
    let begun = begun.map(|((transport, handle), track)| ask(*transport, *handle, Some(*track)));
    ended.chain(begun).collect()
}
