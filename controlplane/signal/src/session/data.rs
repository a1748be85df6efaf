//! What the client may do with data channels, as the data plane must know it.

use std::collections::BTreeMap;

use livekit_protocol::SyncState;
use ringway_room::calls::{ParticipantInfo, ParticipantKind};

use super::Session;
use crate::plane::{Ask, DataOpening, SetData, TransportKey};

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
    told: BTreeMap<TransportKey, SetData>,
}

impl DataFacts {
    pub(super) fn of(participant: &ParticipantInfo) -> Self {
        Self {
            identity: participant.identity.clone(),
            sid: participant.sid.to_string(),
            publishes: participant.permission.can_publish_data,
            agent: participant.kind == ParticipantKind::Agent,
            metrics: participant.permission.can_subscribe_metrics,
            told: BTreeMap::new(),
        }
    }
}

impl Session {
    /// Tells the plane what each transport that is open may do, where that is news.
    pub(super) fn tell_data(&mut self) {
        if self.one_shot {
            return;
        }
        let negotiated = self.single && self.client.negotiates_channels();
        let opening = if negotiated { DataOpening::Negotiated } else { DataOpening::Client };
        let publisher = (&self.publisher, true, self.single, opening);
        let subscriber = self.subscriber.as_ref();
        let subscriber = subscriber.map(|peer| (peer, false, true, DataOpening::Shard));
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
                opening,
            };
            if self.data.told.get(&peer.key) != Some(&set) {
                news.push(set);
            }
        }
        for set in news {
            self.data.told.insert(set.transport, set.clone());
            self.ask_plane(Ask::SetData(Box::new(set)));
        }
    }

    /// Permissions may have changed.
    pub(super) fn follow_data(&mut self, all: &[std::sync::Arc<ParticipantInfo>]) {
        let Some(own) = all.iter().find(|one| one.sid == self.participant) else { return };
        self.data.publishes = own.permission.can_publish_data;
        self.data.metrics = own.permission.can_subscribe_metrics;
        self.tell_data();
    }

    /// A client that resumes says up to where it has heard whom.
    pub(super) fn replay_data(&mut self, state: &SyncState) {
        let transport = self.subscriber.as_ref().unwrap_or(&self.publisher).key;
        for heard in state.datachannel_receive_states.iter().take(REPLAYS) {
            self.ask_plane(Ask::ReplayData {
                transport,
                publisher: heard.publisher_sid.clone(),
                after: heard.last_seq,
            });
        }
    }
}
