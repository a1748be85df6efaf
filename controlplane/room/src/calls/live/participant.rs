//! A participant as its room knows it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;

use super::data_tracks::DataWish;
use super::permission::Audience;
use super::score::Score;
use super::subscribe::Subscription;
use super::track::PendingTrack;
use crate::calls::{
    Attributes, ClientInfo, ConnectionQuality, DataBlob, DataTrackInfo, DisconnectReason, Grants,
    Join, ParticipantInfo, ParticipantKind, ParticipantState, Permission, RoomConfig, TokenClaims,
    TrackInfo, TrackSettings,
};
use crate::id::{DataTrackSid, ParticipantSid, TrackSid};

/// LiveKit's shortest life of a token that the server mints, s.
const TOKEN_TTL_MIN_S: u32 = 600;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct LiveParticipant {
    pub(super) sid: ParticipantSid,
    /// Where its media is served.
    pub(super) shard: u16,
    /// Where this server is.
    region: String,
    pub(super) identity: String,
    pub(super) name: String,
    pub(super) metadata: String,
    pub(super) attributes: Attributes,
    pub(super) kind: ParticipantKind,
    pub(super) kind_details: Vec<i32>,
    pub(super) grants: Grants,
    pub(super) permission: Permission,
    /// What its token says of the room: a room that ended is made again by a token of ours.
    room_config: Option<RoomConfig>,
    room_preset: String,
    /// When its token ends, Unix time, s.
    token_expires_s: u64,
    pub(super) client: ClientInfo,
    pub(super) auto_subscribe: bool,
    pub(super) auto_subscribe_hidden: bool,
    pub(super) auto_subscribe_data: bool,
    pub(super) adaptive_stream: bool,
    pub(super) state: ParticipantState,
    pub(super) joined_at_ms: u64,
    version: u32,
    /// As others see it, until it changes.
    shared: Option<Arc<ParticipantInfo>>,
    /// A peer connection has been up.
    pub(super) connected: bool,
    /// When its signalling connection ended.
    pub(super) signal_closed_ms: Option<u64>,
    /// Until when others are told that it speaks, as it wished.
    pub(super) pretends_until_ms: Option<u64>,
    /// When it is removed unless its media comes back.
    pub(super) departs_at_ms: Option<u64>,
    /// Before that it is told to come back, if it can be: its client did after its media failed,
    /// but its media did not yet, or its client closed its media and has not said why.
    pub(super) told_first: bool,
    /// In the order of their publication.
    pub(super) published: Vec<TrackSid>,
    pub(super) pending: Vec<PendingTrack>,
    pub(super) data_tracks: Vec<Arc<DataTrackInfo>>,
    /// What it left for others to get.
    pub(super) data_blobs: Vec<Arc<DataBlob>>,
    /// Data tracks that it wants to receive.
    pub(super) data_wishes: IndexMap<DataTrackSid, DataWish>,
    /// The handle that was given to one of them last.
    pub(super) last_data_handle: u16,
    /// Cids that the server gave up waiting for.
    pub(super) abandoned: VecDeque<String>,
    /// Who may receive its tracks.
    pub(super) audience: Audience,
    /// What it wants to receive.
    pub(super) subscriptions: IndexMap<TrackSid, Subscription>,
    /// How many of those are for tracks that do not exist.
    pub(super) awaited: usize,
    /// Somebody will look at them.
    pub(super) awaited_armed: bool,
    /// Settings that came before their subscription, and when.
    pub(super) early_settings: IndexMap<TrackSid, (u64, TrackSettings)>,
    /// From whom it receives how many tracks.
    pub(super) publishers: HashMap<ParticipantSid, u32>,
    /// Served subscriptions of audio.
    pub(super) served_audio: u32,
    /// Served subscriptions of video.
    pub(super) served_video: u32,
    /// How well tracks travel to and from it.
    pub(super) scores: HashMap<TrackSid, Score>,
    /// What others were told about its connection.
    pub(super) quality: Option<ConnectionQuality>,
}

impl LiveParticipant {
    /// Somebody who joins with a valid wish.
    pub(super) fn new(
        sid: ParticipantSid,
        shard: u16,
        region: String,
        join: Join,
        joined_at_ms: u64,
    ) -> Self {
        let mut grants = join.grants;
        let mut identity = join.identity;
        if let Some(publish) = &join.publish_only {
            grants.can_subscribe = Some(false);
            identity = format!("{identity}#{publish}");
        }
        grants.room_join = true;
        grants.room = join.room;
        let mut attributes = join.attributes;
        let own = join.own_attributes.into_iter().filter(|(_, value)| !value.is_empty());
        attributes.extend(own);
        Self {
            sid,
            shard,
            region,
            identity,
            name: join.name,
            metadata: join.own_metadata.unwrap_or(join.metadata),
            attributes,
            kind: join.kind,
            kind_details: join.kind_details,
            permission: grants.permission(),
            grants,
            room_config: join.room_config,
            room_preset: join.room_preset,
            token_expires_s: join.token_expires_s,
            client: join.client,
            auto_subscribe: join.auto_subscribe,
            auto_subscribe_hidden: join.auto_subscribe_hidden,
            auto_subscribe_data: join.auto_subscribe_data,
            adaptive_stream: join.adaptive_stream,
            state: ParticipantState::Joined,
            joined_at_ms,
            version: 1,
            shared: None,
            connected: false,
            signal_closed_ms: None,
            pretends_until_ms: None,
            departs_at_ms: None,
            told_first: false,
            published: Vec::new(),
            pending: Vec::new(),
            data_tracks: Vec::new(),
            data_blobs: Vec::new(),
            data_wishes: IndexMap::new(),
            last_data_handle: 0,
            abandoned: VecDeque::new(),
            audience: Audience::Everybody,
            subscriptions: IndexMap::new(),
            awaited: 0,
            awaited_armed: false,
            early_settings: IndexMap::new(),
            publishers: HashMap::new(),
            served_audio: 0,
            served_video: 0,
            scores: HashMap::new(),
            quality: None,
        }
    }

    /// Something that others see has changed.
    pub(super) fn touch(&mut self) {
        self.version += 1;
        self.shared = None;
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.permission.hidden
    }

    /// Whether it gets tracks of such a publisher without being asked.
    pub(super) fn subscribes_to_all_of(&self, hidden: bool) -> bool {
        self.auto_subscribe && (self.auto_subscribe_hidden || !hidden)
    }

    pub(super) fn is_recorder(&self) -> bool {
        self.permission.recorder || self.kind == ParticipantKind::Egress
    }

    pub(super) fn is_publisher(&self) -> bool {
        !(self.published.is_empty() && self.data_tracks.is_empty())
    }

    pub(super) fn is_active(&self) -> bool {
        self.state == ParticipantState::Active
    }

    /// Whether it keeps the room open and is counted; those who only serve the room do not. Who is
    /// hidden does, as with LiveKit: a supervisor who waits in a room is not put out of it.
    pub(super) fn counts(&self) -> bool {
        let serves = matches!(self.kind, ParticipantKind::Agent | ParticipantKind::Egress);
        let permission = &self.permission;
        !(serves || permission.agent || permission.recorder)
    }

    /// As others see it; `tracks` in the order of `published`.
    pub(super) fn share<'a>(
        &mut self,
        tracks: impl Iterator<Item = &'a Arc<TrackInfo>>,
    ) -> Arc<ParticipantInfo> {
        if let Some(shared) = &self.shared {
            return Arc::clone(shared);
        }
        let info = self.info(tracks.cloned().collect(), DisconnectReason::Unknown);
        Arc::clone(self.shared.insert(Arc::new(info)))
    }

    /// As others see it for the last time.
    pub(super) fn farewell(&mut self, reason: DisconnectReason) -> Arc<ParticipantInfo> {
        self.state = ParticipantState::Disconnected;
        self.touch();
        Arc::new(self.info(Vec::new(), reason))
    }

    fn info(&self, tracks: Vec<Arc<TrackInfo>>, reason: DisconnectReason) -> ParticipantInfo {
        let gone = self.state == ParticipantState::Disconnected;
        let data_tracks = if gone { Vec::new() } else { self.data_tracks.clone() };
        ParticipantInfo {
            sid: self.sid,
            identity: self.identity.clone(),
            state: self.state,
            is_publisher: !(tracks.is_empty() && data_tracks.is_empty()),
            tracks,
            data_tracks,
            metadata: self.metadata.clone(),
            joined_at_ms: self.joined_at_ms,
            name: self.name.clone(),
            version: self.version,
            region: self.region.clone(),
            permission: self.permission.clone(),
            kind: self.kind,
            kind_details: self.kind_details.clone(),
            attributes: self.attributes.clone(),
            disconnect_reason: reason,
            client_protocol: self.client.client_protocol,
            capabilities: self.client.capabilities.clone(),
        }
    }

    /// What a token for it says at `unix_ms`. Clients replace their own token by it, so it must not
    /// end before that: who wakes up after an hour's sleep resumes with it.
    pub(super) fn claims(&self, unix_ms: u64) -> TokenClaims {
        let left_s = self.token_expires_s.saturating_sub(unix_ms / 1000);
        TokenClaims {
            identity: self.identity.clone(),
            name: self.name.clone(),
            kind: self.kind,
            metadata: self.metadata.clone(),
            attributes: self.attributes.clone(),
            grants: self.grants.with_permission(&self.permission),
            room_config: self.room_config.clone(),
            room_preset: self.room_preset.clone(),
            ttl_s: u32::try_from(left_s).unwrap_or(u32::MAX).max(TOKEN_TTL_MIN_S),
        }
    }
}
