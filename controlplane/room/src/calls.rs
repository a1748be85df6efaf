//! All rooms in which participants publish and subscribe, as LiveKit's clients know them: who is
//! in, who may do what, who receives which track, and who is told what.
//!
//! This is the only place where such decisions are made. It knows no protobuf, no session
//! description and no shard's command: the `signal` crate translates between a client and the
//! [`Request`]s and [`Notice`]s of one participant, and asks the data plane for what `Subscribe`
//! and its kin mean.
//!
//! Input comes through [`Calls::join`], [`Calls::handle`], [`Calls::handle_media`], the operations
//! of administrators, and time. Output is a queue of [`Effect`]s, read with
//! [`Calls::poll_effect`] after every input. Nothing here waits for an answer of the data plane:
//! what cannot be carried out comes back as another request.
//!
//! `now_ms` is any monotonic clock; [`Config::unix_start_ms`] makes dates of it.

mod client;
mod config;
mod data_blob;
mod data_track;
mod effect;
mod grants;
mod join;
mod live;
mod notice;
mod number;
mod operate;
mod operation;
mod participant;
mod random;
mod request;
mod room;
mod subscription;
mod track;
mod turn;

pub use client::{ClientInfo, Sdk};
pub use config::{CallLimits, Config};
pub use data_blob::{DataBlob, DataBlobKey};
pub use data_track::{DataEncoding, DataSchema, DataTrackHandle, DataTrackInfo, PublishDataTrack};
pub use effect::{Effect, Fact};
pub use grants::{Attributes, Grants, Permission, TokenClaims};
pub use join::{Admission, Join, Joined, Reconnect, Refusal};
pub use notice::{
    ConnectionQuality, ConnectionQualityInfo, LeaveAction, Notice, RequestReason, SpeakerInfo,
    Subscribe,
};
pub use operation::{CreateRoom, OperationError, UpdateParticipant};
pub use participant::{DisconnectReason, ParticipantInfo, ParticipantKind, ParticipantState};
pub use request::{
    AddTrack, Asked, AudioLevel, ConnectionState, MediaEvent, MediaPublished, Picture, Request,
    SourceLayers, TrackQuality,
};
pub use room::{RoomConfig, RoomEndReason, RoomInfo};
pub use subscription::{
    RouteSettings, StreamState, SubscriptionError, TrackPermission, TrackSettings,
};
pub use track::{
    AnnouncedCodec, AudioFeature, BackupCodecPolicy, Encryption, LayerMode, TimedVersion,
    TrackCodec, TrackInfo, TrackKind, TrackSource, VideoLayer, VideoQuality,
};

pub use crate::id::{DataTrackSid, ParticipantSid, RoomSid, TrackSid};

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::placement::{self, Load};
use config::within;
use live::LiveRoom;
use random::Random;
use turn::{Index, Outbox, Timer, Turn};

/// A media section of a client's offer, as far as it tells which track it carries.
#[derive(Clone, Copy, Debug)]
pub struct OfferedMedia<'a> {
    /// The client's id of the track.
    pub cid: &'a str,
    /// What it carries.
    pub kind: TrackKind,
    /// The codecs that it may carry, such as `video/VP8`. None for a section that has a track
    /// already: it is not taken for one of a further codec.
    pub mimes: &'a [&'a str],
    /// The tracks of the client's other sections, one for each section.
    pub claimed: &'a [TrackSid],
}

/// What an offered media section is, see [`Calls::match_media`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaMatch {
    /// It carries this track.
    Track(Arc<TrackInfo>),
    /// Nobody announced it: receive nothing on it until somebody does.
    Unknown,
    /// The server has given up on it: drop what comes.
    Abandoned,
}

/// How many there are of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallCounts {
    /// Rooms.
    pub rooms: usize,
    /// Participants.
    pub participants: usize,
    /// Published tracks.
    pub tracks: usize,
    /// Subscriptions that are served or about to be.
    pub subscriptions: usize,
}

/// The state machine, see the module's description.
#[derive(Debug)]
pub struct Calls {
    config: Config,
    rooms: BTreeMap<RoomSid, LiveRoom>,
    names: HashMap<String, RoomSid>,
    /// One per shard; empty while the data plane is away.
    loads: Vec<Load>,
    /// Bytes of media that come in and go out in a second.
    bytes_per_s: u64,
    out: Outbox,
    index: Index,
    random: Random,
}

impl Calls {
    /// No rooms. `seed` makes all ids: take it from the system's random device.
    pub fn new(config: Config, seed: [u64; 4]) -> Self {
        Self {
            config,
            rooms: BTreeMap::new(),
            names: HashMap::new(),
            loads: Vec::new(),
            bytes_per_s: 0,
            out: Outbox::default(),
            index: Index::default(),
            random: Random::new(seed),
        }
    }

    /// The data plane is there with so many shards. It knows nothing of rooms.
    pub fn handle_plane_joined(&mut self, now_ms: u64, shards: u16) {
        self.handle_plane_lost(now_ms);
        self.loads = vec![Load::default(); usize::from(shards)];
    }

    /// The data plane is gone, and all media with it: sessions are told to begin anew. Rooms stay,
    /// so that whoever comes back finds them.
    pub fn handle_plane_lost(&mut self, now_ms: u64) {
        self.loads.clear();
        let (rooms, mut turn) = self.split(now_ms);
        for room in rooms.values_mut() {
            room.shard = None;
            room.pinned = false;
            if room.len() > 0 {
                let reason = DisconnectReason::MediaFailure;
                room.expel_all(&mut turn, reason, LeaveAction::Reconnect);
                room.arm_idle(&mut turn);
            }
        }
    }

    /// How busy each shard's thread was of late, ‰ of the wall time. Steers placement.
    pub fn handle_loads(&mut self, busy_permille: &[u32]) {
        for (load, busy) in self.loads.iter_mut().zip(busy_permille) {
            load.busy_permille = *busy;
            load.placed = 0;
            load.total = 0;
        }
        for room in self.rooms.values() {
            for shard in room.shard.into_iter().chain(room.shards()) {
                if let Some(load) = self.loads.get_mut(usize::from(shard)) {
                    load.total += 1;
                }
            }
        }
    }

    /// How many bytes of media came in and went out in a second of late.
    pub fn handle_traffic(&mut self, bytes_per_s: u64) {
        self.bytes_per_s = bytes_per_s;
    }

    /// Whether the machine serves as much as it may.
    fn is_full(&self) -> bool {
        let CallLimits { participants, tracks, bytes_per_s, .. } = self.config.limits;
        let served = || self.rooms.values().map(LiveRoom::served).sum::<usize>();
        self.index.participants.len() >= participants
            || bytes_per_s > 0 && self.bytes_per_s >= bytes_per_s
            || tracks > 0 && self.index.tracks.len() + served() >= tracks
    }

    /// Whether `join` would be admitted now; makes nothing and kicks nobody. For `/validate`.
    pub fn validate(&self, join: &Join) -> Result<(), Refusal> {
        self.check_token(join)?;
        let identity = join.full_identity();
        let preset = &join.room_preset;
        match self.room(&join.room) {
            Some(room) => room.admits(join, &identity)?,
            None if join.reconnect.is_some() => return Err(Refusal::StateMismatch),
            None if !self.config.auto_create && !join.grants.room_create => {
                return Err(Refusal::RoomNotFound);
            }
            None if self.rooms.len() >= self.config.limits.rooms => {
                return Err(Refusal::ServerFull);
            }
            // Of a room that is there nobody asks how it was to be made.
            None if !preset.is_empty() && !self.config.presets.contains_key(preset) => {
                return Err(Refusal::PresetNotFound);
            }
            None => {}
        }
        if join.reconnect.is_none() && self.is_full() {
            return Err(Refusal::ServerFull);
        }
        self.check_sizes(join)?;
        if self.loads.is_empty() { Err(Refusal::Unavailable) } else { Ok(()) }
    }

    fn check_token(&self, join: &Join) -> Result<(), Refusal> {
        let (grants, limits) = (&join.grants, &self.config.limits);
        if !grants.room_join || !(grants.room.is_empty() || grants.room == join.room) {
            return Err(Refusal::NotAllowed);
        }
        if join.identity.is_empty() {
            return Err(Refusal::IdentityEmpty);
        }
        if !within(join.full_identity().len(), limits.identity_bytes) {
            return Err(Refusal::IdentityTooLong);
        }
        if join.room.is_empty() {
            return Err(Refusal::RoomNameEmpty);
        }
        if !within(join.room.len(), limits.room_name_bytes) {
            return Err(Refusal::RoomNameTooLong);
        }
        let permission = grants.permission();
        if join.publish_only.is_some() && !permission.can_publish {
            return Err(Refusal::MayNotPublish);
        }
        let own = join.own_metadata.is_some() || !join.own_attributes.is_empty();
        if own && !permission.can_update_metadata {
            return Err(Refusal::MayNotUpdateMetadata);
        }
        Ok(())
    }

    fn check_sizes(&self, join: &Join) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        if !within(join.name.len(), limits.name_bytes) {
            return Err(Refusal::NameTooLong);
        }
        let metadata = join.own_metadata.as_ref().unwrap_or(&join.metadata);
        if !within(metadata.len(), limits.metadata_bytes) {
            return Err(Refusal::MetadataTooLarge);
        }
        let size =
            live::attributes_bytes(&join.attributes) + live::attributes_bytes(&join.own_attributes);
        if !within(size, limits.attributes_bytes) {
            return Err(Refusal::AttributesTooLarge);
        }
        if !join.client.is_within(limits.text_bytes) || join.kind_details.len() > LIST_MAX {
            return Err(Refusal::ClientInfoTooLong);
        }
        Ok(())
    }

    /// Takes a participant in, or takes a session up again.
    pub fn join(&mut self, now_ms: u64, join: Join) -> Result<Joined, Refusal> {
        self.validate(&join)?;
        let sid = match self.names.get(&join.room) {
            Some(sid) => *sid,
            None => {
                let preset = self.config.presets.get(&join.room_preset).cloned();
                let configs = [preset, join.room_config.clone()];
                let name = join.room.clone();
                self.open(now_ms, name, configs.iter().flatten(), None)
            }
        };
        if join.reconnect.is_some() {
            let (rooms, mut turn) = self.split(now_ms);
            let room = rooms.get_mut(&sid).ok_or(Refusal::Unavailable)?;
            let present = room.sid_of(&join.full_identity());
            let joined = present.and_then(|present| room.resume(&mut turn, present));
            return joined.ok_or(Refusal::StateMismatch);
        }
        let shard = self.place(sid).ok_or(Refusal::Unavailable)?;
        let (rooms, mut turn) = self.split(now_ms);
        let room = rooms.get_mut(&sid).ok_or(Refusal::Unavailable)?;
        room.join(&mut turn, join, shard).ok_or(Refusal::StateMismatch)
    }

    /// Makes a room that does not exist.
    fn open<'a>(
        &mut self,
        now_ms: u64,
        name: String,
        configs: impl Iterator<Item = &'a RoomConfig>,
        shard: Option<u16>,
    ) -> RoomSid {
        let (rooms, mut turn) = self.split(now_ms);
        let mut room = LiveRoom::new(&mut turn, name.clone(), shard);
        configs.for_each(|config| {
            room.configure(config);
        });
        let sid = room.sid();
        turn.fact(Fact::RoomStarted(room.info()));
        room.arm_idle(&mut turn);
        rooms.insert(sid, room);
        self.names.insert(name, sid);
        sid
    }

    /// The shard that serves one more participant of a room, which lives there from now on if it
    /// did not live anywhere.
    fn place(&mut self, sid: RoomSid) -> Option<u16> {
        let room = self.rooms.get_mut(&sid)?;
        if room.shard.is_none() && !self.loads.is_empty() {
            room.shard = Some(placement::room(&mut self.loads));
        }
        let owner = room.shard?;
        let share = self.config.participants_per_shard;
        let mut counts = vec![0; self.loads.len()];
        for shard in room.shards() {
            if let Some(count) = counts.get_mut(usize::from(shard)) {
                *count += 1;
            }
        }
        let load = self.loads.get_mut(usize::from(owner))?;
        if room.pinned {
            load.place();
            return Some(owner);
        }
        Some(placement::participant(owner, share, &counts, &mut self.loads))
    }

    /// A participant's session asks or reports. False if there is no such participant: the
    /// session is over, and a `leave` was told before.
    pub fn handle(&mut self, now_ms: u64, participant: ParticipantSid, request: Request) -> bool {
        let (rooms, mut turn) = self.split(now_ms);
        let home = turn.index.participants.get(&participant);
        let Some(room) = home.and_then(|home| rooms.get_mut(home)) else { return false };
        room.handle(&mut turn, participant, request);
        true
    }

    /// The data plane reports about the media of one shard.
    pub fn handle_media(&mut self, now_ms: u64, event: MediaEvent) {
        let (rooms, mut turn) = self.split(now_ms);
        match event {
            MediaEvent::AudioLevels(levels) => {
                let index = &turn.index.tracks;
                let by_room = by_room(levels, |level| index.get(&level.track));
                for (sid, levels) in by_room {
                    if let Some(room) = rooms.get_mut(&sid) {
                        room.audio_levels(&mut turn, &levels);
                    }
                }
            }
            MediaEvent::Quality(measured) => {
                let index = &turn.index.participants;
                let by_room = by_room(measured, |quality| index.get(&quality.participant));
                for (sid, measured) in by_room {
                    if let Some(room) = rooms.get_mut(&sid) {
                        room.track_quality(&mut turn, &measured);
                    }
                }
            }
            MediaEvent::SourceLayers(layers) => {
                let home = turn.index.tracks.get(&layers.track);
                if let Some(room) = home.and_then(|home| rooms.get_mut(home)) {
                    room.source_layers(&mut turn, &layers);
                }
            }
            MediaEvent::RouteState { subscriber, track, paused } => {
                let home = turn.index.participants.get(&subscriber);
                if let Some(room) = home.and_then(|home| rooms.get_mut(home)) {
                    room.route_state(&mut turn, subscriber, track, paused);
                }
            }
        }
    }

    /// Time has come to `now_ms`.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        while let Some(Reverse((at_ms, timer))) = self.out.timers.peek().copied() {
            if at_ms > now_ms {
                return;
            }
            self.out.timers.pop();
            let home = match timer {
                Timer::Idle(room) => {
                    self.end_if_idle(now_ms, room);
                    continue;
                }
                Timer::Batch(room) | Timer::RoomUpdate(room) | Timer::Quality(room) => Some(room),
                Timer::Active(sid)
                | Timer::Departure(sid)
                | Timer::Refresh(sid)
                | Timer::Awaited(sid)
                | Timer::Pretence(sid) => self.index.participants.get(&sid).copied(),
                Timer::Demand(track) => self.index.tracks.get(&track).copied(),
            };
            let (rooms, mut turn) = self.split(now_ms);
            if let Some(room) = home.and_then(|home| rooms.get_mut(&home)) {
                room.handle_timer(&mut turn, timer);
            }
        }
    }

    fn end_if_idle(&mut self, now_ms: u64, sid: RoomSid) {
        let ends_at_ms = self.rooms.get(&sid).and_then(LiveRoom::ends_at_ms);
        if ends_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.close(now_ms, sid, RoomEndReason::IdleTimeout);
        }
    }

    fn close(&mut self, now_ms: u64, sid: RoomSid, why: RoomEndReason) {
        let Some(mut room) = self.rooms.remove(&sid) else { return };
        self.names.remove(room.name());
        let (_, mut turn) = self.split(now_ms);
        room.finish(&mut turn, why);
    }

    /// Ends all sessions because the server stops. Clients are told to begin anew: here once it is
    /// back, or wherever its address leads by then.
    pub fn shut_down(&mut self, now_ms: u64) {
        let rooms: Vec<RoomSid> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.close(now_ms, room, RoomEndReason::ServerShutdown);
        }
    }

    /// When [`Calls::handle_timeout`] is due, at the latest.
    pub fn deadline(&self) -> Option<u64> {
        self.out.timers.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// What should happen next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.out.effects.pop_front()
    }

    /// Which track an offered media section carries: the one announced or published with its cid,
    /// else what was announced first of the tracks of its kind and of further codecs of published
    /// tracks that no section has claimed.
    pub fn match_media(
        &self,
        participant: ParticipantSid,
        offered: &OfferedMedia<'_>,
    ) -> MediaMatch {
        let home = self.index.participants.get(&participant);
        match home.and_then(|home| self.rooms.get(home)) {
            Some(room) => room.match_media(participant, offered),
            None => MediaMatch::Unknown,
        }
    }

    /// One participant as others see it.
    pub fn participant(&mut self, participant: ParticipantSid) -> Option<Arc<ParticipantInfo>> {
        let home = self.index.participants.get(&participant)?;
        self.rooms.get_mut(home)?.participant_info(participant)
    }

    /// A published track: its publisher, and as it is now.
    pub fn track(&self, track: TrackSid) -> Option<(ParticipantSid, Arc<TrackInfo>)> {
        let home = self.index.tracks.get(&track)?;
        self.rooms.get(home)?.track_info(track)
    }

    /// Rooms, participants, published tracks, subscriptions.
    pub fn counts(&self) -> CallCounts {
        CallCounts {
            rooms: self.rooms.len(),
            participants: self.index.participants.len(),
            tracks: self.rooms.values().map(LiveRoom::tracks).sum(),
            subscriptions: self.rooms.values().map(LiveRoom::served).sum(),
        }
    }

    fn room(&self, name: &str) -> Option<&LiveRoom> {
        self.names.get(name).and_then(|sid| self.rooms.get(sid))
    }

    /// The rooms, and what one input may use beside them.
    fn split(&mut self, now_ms: u64) -> (&mut BTreeMap<RoomSid, LiveRoom>, Turn<'_>) {
        let Self { config, rooms, out, index, random, .. } = self;
        (rooms, Turn { now_ms, config, out, index, random })
    }
}

/// Entries of a list that a client says about itself. More than any client has.
const LIST_MAX: usize = 64;

impl ClientInfo {
    /// Whether each text has at most `limit` bytes, and the list is short.
    fn is_within(&self, limit: usize) -> bool {
        let texts = [
            &self.version,
            &self.os,
            &self.os_version,
            &self.device_model,
            &self.browser,
            &self.browser_version,
            &self.address,
            &self.network,
        ];
        texts.iter().all(|text| text.len() <= limit) && self.capabilities.len() <= LIST_MAX
    }
}

/// Items of a report, by the room that each belongs to; those of no room are dropped.
fn by_room<'a, T>(
    items: Vec<T>,
    home: impl Fn(&T) -> Option<&'a RoomSid>,
) -> IndexMap<RoomSid, Vec<T>> {
    let mut by_room: IndexMap<RoomSid, Vec<T>> = IndexMap::new();
    for item in items {
        if let Some(room) = home(&item) {
            by_room.entry(*room).or_default().push(item);
        }
    }
    by_room
}
