//! Administrators' operations: LiveKit's RoomService on all rooms.

use std::sync::Arc;

use crate::calls::config::within;
use crate::calls::live::LiveRoom;
use crate::calls::turn::Turn;
use crate::calls::{
    Calls, CreateRoom, DisconnectReason, LeaveAction, OperationError, ParticipantInfo,
    RoomEndReason, RoomInfo, TrackInfo, UpdateParticipant,
};
use crate::id::{ParticipantSid, TrackSid};

impl Calls {
    /// Makes a room, or returns the one of that name, its configuration changed where `create`
    /// says something.
    pub fn create_room(
        &mut self,
        now_ms: u64,
        create: CreateRoom,
    ) -> Result<Arc<RoomInfo>, OperationError> {
        let limits = &self.config.limits;
        if create.name.is_empty() {
            return Err(OperationError::RoomNameEmpty);
        }
        if !within(create.name.len(), limits.room_name_bytes) {
            return Err(OperationError::RoomNameTooLong);
        }
        if !within(create.config.metadata.len(), limits.metadata_bytes) {
            return Err(OperationError::MetadataTooLarge);
        }
        let preset = match create.preset.as_str() {
            "" => None,
            name => match self.config.presets.get(name) {
                Some(preset) => Some(preset.clone()),
                None => return Err(OperationError::PresetNotFound),
            },
        };
        let configs = [preset, Some(create.config)];
        if let Some(sid) = self.names.get(&create.name).copied() {
            let (rooms, mut turn) = self.split(now_ms);
            let room = rooms.get_mut(&sid).ok_or(OperationError::RoomNotFound)?;
            let mut metadata = configs.iter().flatten().map(|config| &config.metadata);
            let metadata = metadata.rfind(|text| !text.is_empty()).cloned();
            if let Some(metadata) = metadata {
                room.set_metadata(&mut turn, metadata);
            }
            for config in configs.iter().flatten() {
                room.configure(config);
            }
            room.arm_idle(&mut turn);
            return Ok(room.info());
        }
        if self.rooms.len() >= limits.rooms {
            return Err(OperationError::TooManyRooms);
        }
        if create.shard.is_some_and(|shard| usize::from(shard) >= self.loads.len()) {
            return Err(OperationError::Unavailable);
        }
        let sid = self.open(now_ms, create.name, configs.iter().flatten(), create.shard);
        self.rooms.get(&sid).map(LiveRoom::info).ok_or(OperationError::RoomNotFound)
    }

    /// Rooms of these names, or all rooms if `names` is empty.
    pub fn list_rooms(&self, names: &[String]) -> Vec<Arc<RoomInfo>> {
        match names.is_empty() {
            true => self.rooms.values().map(LiveRoom::info).collect(),
            false => names.iter().filter_map(|name| self.room(name)).map(LiveRoom::info).collect(),
        }
    }

    /// Ends a room and all sessions in it.
    pub fn delete_room(&mut self, now_ms: u64, room: &str) -> Result<(), OperationError> {
        let sid = self.names.get(room).copied().ok_or(OperationError::RoomNotFound)?;
        self.close(now_ms, sid, RoomEndReason::ApiDelete);
        Ok(())
    }

    /// Replaces a room's metadata.
    pub fn update_room_metadata(
        &mut self,
        now_ms: u64,
        room: &str,
        metadata: String,
    ) -> Result<Arc<RoomInfo>, OperationError> {
        if !within(metadata.len(), self.config.limits.metadata_bytes) {
            return Err(OperationError::MetadataTooLarge);
        }
        let (room, mut turn) = self.find(now_ms, room)?;
        room.set_metadata(&mut turn, metadata);
        Ok(room.info())
    }

    /// Everybody in a room, hidden or not.
    pub fn list_participants(
        &mut self,
        room: &str,
    ) -> Result<Vec<Arc<ParticipantInfo>>, OperationError> {
        let (room, _) = self.find(0, room)?;
        Ok(room.participant_infos(None, true))
    }

    /// One participant of a room.
    pub fn get_participant(
        &mut self,
        room: &str,
        identity: &str,
    ) -> Result<Arc<ParticipantInfo>, OperationError> {
        let (room, sid, _) = self.find_participant(0, room, identity)?;
        room.participant_info(sid).ok_or(OperationError::ParticipantNotFound)
    }

    /// Ends a participant's session.
    pub fn remove_participant(
        &mut self,
        now_ms: u64,
        room: &str,
        identity: &str,
    ) -> Result<(), OperationError> {
        let (room, sid, mut turn) = self.find_participant(now_ms, room, identity)?;
        let reason = DisconnectReason::ParticipantRemoved;
        room.expel(&mut turn, sid, reason, LeaveAction::Disconnect);
        Ok(())
    }

    /// Mutes or unmutes a participant's track.
    pub fn mute_track(
        &mut self,
        now_ms: u64,
        room: &str,
        identity: &str,
        track: TrackSid,
        muted: bool,
    ) -> Result<Arc<TrackInfo>, OperationError> {
        let (room, sid, mut turn) = self.find_participant(now_ms, room, identity)?;
        room.mute_track(&mut turn, sid, track, muted)
    }

    /// Changes what a participant is called and may do.
    pub fn update_participant(
        &mut self,
        now_ms: u64,
        room: &str,
        identity: &str,
        update: UpdateParticipant,
    ) -> Result<Arc<ParticipantInfo>, OperationError> {
        let (room, sid, mut turn) = self.find_participant(now_ms, room, identity)?;
        room.update_participant(&mut turn, sid, update)
    }

    /// Begins or ends subscriptions of a participant.
    pub fn update_subscriptions(
        &mut self,
        now_ms: u64,
        room: &str,
        identity: &str,
        tracks: &[TrackSid],
        subscribe: bool,
    ) -> Result<(), OperationError> {
        let (room, sid, mut turn) = self.find_participant(now_ms, room, identity)?;
        room.update_subscription(&mut turn, sid, tracks, subscribe);
        Ok(())
    }

    fn find(
        &mut self,
        now_ms: u64,
        room: &str,
    ) -> Result<(&mut LiveRoom, Turn<'_>), OperationError> {
        let sid = self.names.get(room).copied().ok_or(OperationError::RoomNotFound)?;
        let (rooms, turn) = self.split(now_ms);
        let room = rooms.get_mut(&sid).ok_or(OperationError::RoomNotFound)?;
        Ok((room, turn))
    }

    fn find_participant(
        &mut self,
        now_ms: u64,
        room: &str,
        identity: &str,
    ) -> Result<(&mut LiveRoom, ParticipantSid, Turn<'_>), OperationError> {
        let (room, turn) = self.find(now_ms, room)?;
        let sid = room.sid_of(identity).ok_or(OperationError::ParticipantNotFound)?;
        Ok((room, sid, turn))
    }
}
