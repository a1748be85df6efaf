//! One room as it lives: who is in, what is published, who receives what.
//!
//! Each concern has its own file: `admit` and `depart` (coming and going), `announce` (who is told
//! what about whom), `publish`, `offered` (which track a media section carries), `change` (what is
//! said about participants and tracks), `subscribe` and `permission` (who receives what),
//! `data_tracks`, `demand` (which layers anybody wants), `measured` (which layers come), `regress`
//! (backup codecs), `speakers` and `quality`.

mod admit;
mod announce;
mod change;
mod codecs;
mod data_blobs;
mod data_tracks;
mod demand;
mod depart;
mod layers;
mod measured;
mod offered;
mod participant;
mod permission;
mod publish;
mod quality;
mod regress;
mod score;
mod speakers;
mod subscribe;
mod track;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::calls::turn::{Timer, Turn};
use crate::calls::{ConnectionState, ParticipantInfo, Request, RoomConfig, RoomInfo, TrackInfo};
use crate::id::{DataTrackSid, ParticipantSid, RoomSid, TrackSid};
use announce::Departed;
pub(crate) use change::attributes_bytes;
pub(crate) use participant::LiveParticipant;
use track::LiveTrack;

/// See the module's description.
#[derive(Debug)]
pub(crate) struct LiveRoom {
    /// Where its participants are served first; none while the data plane is away.
    pub(crate) shard: Option<u16>,
    /// Somebody has said where: nobody is served anywhere else.
    pub(crate) pinned: bool,
    info: RoomInfo,
    /// `info`, shared, until it changes.
    shared: Option<Arc<RoomInfo>>,
    participants: IndexMap<ParticipantSid, LiveParticipant>,
    identities: HashMap<String, ParticipantSid>,
    tracks: HashMap<TrackSid, LiveTrack>,
    /// Whose they are.
    data_tracks: HashMap<DataTrackSid, ParticipantSid>,
    /// Who waits for tracks that do not exist yet.
    awaited: HashMap<TrackSid, IndexSet<ParticipantSid>>,
    /// The newest states that others have not been told yet, by identity.
    batch: IndexMap<String, Arc<ParticipantInfo>>,
    batch_armed: bool,
    update_armed: bool,
    quality_armed: bool,
    departed: VecDeque<Departed>,
    /// When the last of those left who are no longer in `departed`.
    forgotten_ms: Option<u64>,
    /// Who speaks, and how loud others were told.
    speakers: HashMap<ParticipantSid, f32>,
    sif_trailer: Vec<u8>,
    /// Somebody that counts has been here.
    visited: bool,
    /// When the room was created or somebody left, whichever was later.
    idle_since_ms: u64,
    recorders: u32,
    /// Subscriptions that are served.
    served: usize,
}

/// Bytes that mark frames of the server. Fewer could occur by chance.
const SIF_TRAILER_BYTES: usize = 12;

impl LiveRoom {
    /// An empty room.
    pub(crate) fn new(turn: &mut Turn<'_>, name: String, shard: Option<u16>) -> Self {
        let config = turn.config;
        let mut info = RoomInfo {
            sid: RoomSid::from_random(turn.random.bytes()),
            name,
            empty_timeout_s: config.empty_timeout_s,
            departure_timeout_s: config.departure_timeout_s,
            max_participants: config.max_participants,
            created_at_ms: turn.unix_ms(),
            metadata: String::new(),
            num_participants: 0,
            num_publishers: 0,
            active_recording: false,
            min_playout_delay_ms: 0,
            max_playout_delay_ms: 0,
            sync_streams: config.sync_streams,
        };
        info.set_playout_delay(config.min_playout_delay_ms, config.max_playout_delay_ms);
        Self {
            shard,
            pinned: shard.is_some(),
            info,
            shared: None,
            participants: IndexMap::new(),
            identities: HashMap::new(),
            tracks: HashMap::new(),
            data_tracks: HashMap::new(),
            awaited: HashMap::new(),
            batch: IndexMap::new(),
            batch_armed: false,
            update_armed: false,
            quality_armed: false,
            departed: VecDeque::new(),
            forgotten_ms: None,
            speakers: HashMap::new(),
            sif_trailer: turn.random.bytes::<SIF_TRAILER_BYTES>().to_vec(),
            visited: false,
            idle_since_ms: turn.now_ms,
            recorders: 0,
            served: 0,
        }
    }

    /// Takes over what `config` says; true if that changed something.
    pub(crate) fn configure(&mut self, config: &RoomConfig) -> bool {
        let info = &mut self.info;
        let before = info.clone();
        let set = |value: &mut u32, wanted: u32| {
            if wanted > 0 {
                *value = wanted;
            }
        };
        set(&mut info.empty_timeout_s, config.empty_timeout_s);
        set(&mut info.departure_timeout_s, config.departure_timeout_s);
        set(&mut info.max_participants, config.max_participants);
        let (min, max) = (config.min_playout_delay_ms, config.max_playout_delay_ms);
        if min > 0 || max > 0 {
            info.set_playout_delay(min, max);
        }
        if !config.metadata.is_empty() {
            info.metadata.clone_from(&config.metadata);
        }
        info.sync_streams |= config.sync_streams;
        let changed = *info != before;
        if changed {
            self.shared = None;
        }
        changed
    }

    pub(crate) fn sid(&self) -> RoomSid {
        self.info.sid
    }

    pub(crate) fn name(&self) -> &str {
        &self.info.name
    }

    /// The room as clients see it.
    pub(crate) fn info(&self) -> Arc<RoomInfo> {
        self.shared.clone().unwrap_or_else(|| Arc::new(self.info.clone()))
    }

    /// As [`LiveRoom::info`], kept for the next one who asks.
    fn share_info(&mut self) -> Arc<RoomInfo> {
        Arc::clone(self.shared.get_or_insert_with(|| Arc::new(self.info.clone())))
    }

    pub(crate) fn len(&self) -> usize {
        self.participants.len()
    }

    /// The shard of each participant.
    pub(crate) fn shards(&self) -> impl Iterator<Item = u16> {
        self.participants.values().map(|participant| participant.shard)
    }

    pub(crate) fn tracks(&self) -> usize {
        self.tracks.len()
    }

    pub(crate) fn served(&self) -> usize {
        self.served
    }

    pub(crate) fn sid_of(&self, identity: &str) -> Option<ParticipantSid> {
        self.identities.get(identity).copied()
    }

    pub(crate) fn track_info(&self, track: TrackSid) -> Option<(ParticipantSid, Arc<TrackInfo>)> {
        let track = self.tracks.get(&track)?;
        Some((track.publisher, Arc::clone(&track.info)))
    }

    /// A participant's session asks or reports.
    pub(crate) fn handle(&mut self, turn: &mut Turn<'_>, from: ParticipantSid, request: Request) {
        match request {
            Request::AddTrack(add) => self.add_track(turn, from, *add),
            Request::MediaPublished(media) => self.media_published(turn, from, *media),
            Request::MediaEnded { track } => self.media_ended(turn, from, track),
            Request::SetMuted { track, muted } => self.set_muted(turn, from, track, muted),
            Request::UpdateSubscription { tracks, subscribe } => {
                self.update_subscription(turn, from, &tracks, subscribe);
            }
            Request::TrackSettings { tracks, settings } => {
                for track in tracks {
                    self.track_settings(turn, from, track, settings);
                }
            }
            Request::SubscriptionPermission { all_participants, permissions } => {
                self.subscription_permission(turn, from, all_participants, &permissions);
            }
            Request::UpdateMetadata { request_id, name, metadata, attributes } => {
                self.update_metadata(turn, from, request_id, name, metadata, attributes);
            }
            Request::UpdateAudioTrack { request_id, track, features } => {
                self.update_audio_track(turn, from, request_id, track, features);
            }
            Request::UpdateVideoTrack { request_id, track, width, height } => {
                self.update_video_track(turn, from, request_id, track, (width, height));
            }
            Request::UpdateVideoLayers { track, layers } => {
                self.update_video_layers(turn, from, track, layers);
            }
            Request::PublishDataTrack(wish) => self.publish_data_track(turn, from, *wish),
            Request::UnpublishDataTrack { handle } => {
                self.unpublish_data_track(turn, from, handle);
            }
            Request::UpdateDataSubscription { updates } => {
                self.update_data_subscription(turn, from, &updates);
            }
            Request::StoreDataBlob { request_id, key, contents } => {
                self.store_data_blob(turn, from, request_id, key, contents);
            }
            Request::GetDataBlob { request_id, owner, key } => {
                self.get_data_blob(turn, from, request_id, &owner, key.as_ref());
            }
            Request::Leave { reason } => self.leave(turn, from, reason),
            Request::PeerConnection { primary, state } => match state {
                ConnectionState::Connected => self.connected(turn, from, primary),
                ConnectionState::Failed => self.failed(turn, from),
                ConnectionState::Closed => self.closed(turn, from),
            },
            Request::SubscribedMedia { track, outcome } => {
                self.subscribed_media(turn, from, track, outcome);
            }
            Request::ReceiveCodec { track, mime_type } => {
                self.receive_codec(turn, from, track, &mime_type);
            }
            Request::SignalClosed => self.signal_closed(turn, from),
            Request::PretendToSpeak { seconds } => self.pretend_to_speak(turn, from, seconds),
        }
    }

    /// A timer of this room, or of somebody in it.
    pub(crate) fn handle_timer(&mut self, turn: &mut Turn<'_>, timer: Timer) {
        match timer {
            Timer::Idle(_) => {}
            Timer::Batch(_) => self.flush_batch(turn),
            Timer::RoomUpdate(_) => {
                if std::mem::take(&mut self.update_armed) {
                    self.send_room_update(turn);
                }
            }
            Timer::Quality(_) => self.check_quality(turn),
            Timer::Active(sid) => self.check_active(turn, sid),
            Timer::Departure(sid) => self.check_departure(turn, sid),
            Timer::Refresh(sid) => self.refresh_token(turn, sid),
            Timer::Awaited(sid) => self.check_awaited(turn, sid),
            Timer::Pretence(sid) => self.check_pretence(turn, sid),
            Timer::Demand(track) => self.check_demand(turn, track),
        }
    }
}
