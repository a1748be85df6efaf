//! What is said about participants and their tracks changes: names, metadata, attributes, mute,
//! sizes, permissions; by themselves or by an administrator.

use std::sync::Arc;

use indexmap::IndexSet;

use super::announce::Delta;
use super::publish::EndedBy;
use super::{LiveParticipant, LiveRoom};
use super::{codecs, measured};
use crate::calls::config::within;
use crate::calls::turn::Turn;
use crate::calls::{
    Asked, Attributes, AudioFeature, Config, Notice, OperationError, ParticipantInfo,
    ParticipantState, Permission, RequestReason, TrackInfo, TrackKind, UpdateParticipant,
    VideoLayer,
};
use crate::id::{ParticipantSid, TrackSid};

impl LiveRoom {
    /// A participant changes what it is called.
    pub(super) fn update_metadata(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        request_id: u32,
        name: Option<String>,
        metadata: Option<String>,
        attributes: Attributes,
    ) {
        let Some(participant) = self.participants.get_mut(&from) else { return };
        let update = UpdateParticipant { metadata, permission: None, name, attributes };
        let (reason, message) = match participant.permission.can_update_metadata {
            false => (RequestReason::NotAllowed, "does not have permission to update own metadata"),
            true => match self.rename(turn, from, &update) {
                Ok(()) => (RequestReason::Ok, ""),
                Err(OperationError::NameTooLong) => {
                    (RequestReason::LimitExceeded, "exceeds name length limit")
                }
                Err(OperationError::MetadataTooLarge) => {
                    (RequestReason::LimitExceeded, "exceeds metadata size limit")
                }
                Err(_) => (RequestReason::LimitExceeded, "exceeds attributes size limit"),
            },
        };
        let UpdateParticipant { metadata, name, attributes, .. } = update;
        let asked = Asked::UpdateMetadata { name, metadata, attributes };
        let message = message.to_owned();
        // As from LiveKit, this one is answered even without a number.
        turn.tell(from, Notice::RequestResponse { request_id, reason, message, asked });
    }

    /// An administrator changes what a participant is called and may do.
    pub(crate) fn update_participant(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        update: UpdateParticipant,
    ) -> Result<Arc<ParticipantInfo>, OperationError> {
        self.rename(turn, sid, &update)?;
        if let Some(permission) = update.permission {
            self.set_permission(turn, sid, permission);
        }
        self.participant_info(sid).ok_or(OperationError::ParticipantNotFound)
    }

    fn rename(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        update: &UpdateParticipant,
    ) -> Result<(), OperationError> {
        let participant =
            self.participants.get_mut(&sid).ok_or(OperationError::ParticipantNotFound)?;
        let attributes = merged(&participant.attributes, &update.attributes);
        check_sizes(turn.config, update, &attributes)?;
        let mut changed = attributes != participant.attributes;
        participant.attributes = attributes;
        let set = |text: &mut String, wanted: &Option<String>| match wanted {
            Some(wanted) if wanted != text => {
                text.clone_from(wanted);
                true
            }
            _ => false,
        };
        changed |= set(&mut participant.name, &update.name);
        changed |= set(&mut participant.metadata, &update.metadata);
        if changed {
            participant.touch();
            self.announce(turn, sid, true);
            self.send_token(turn, sid);
        }
        Ok(())
    }

    /// Replaces the whole permission, and ends what it no longer allows.
    fn set_permission(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid, permission: Permission) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        if participant.permission == permission {
            return;
        }
        let before = participant.standing();
        let was_hidden = participant.is_hidden();
        participant.permission = permission;
        participant.touch();
        let after = participant.standing();
        let hidden = participant.is_hidden();
        self.count(Delta {
            participants: after.0 - before.0,
            publishers: 0,
            recorders: after.1 - before.1,
        });
        self.visited |= after.0 > 0;
        if after.0 < before.0 {
            self.idle_since_ms = turn.now_ms;
            self.arm_idle(turn);
        }
        self.end_forbidden(turn, sid);
        self.end_forbidden_data(turn, sid);
        self.reconcile_all(turn, sid);
        self.reconcile_data_of(turn, sid);
        if hidden && !was_hidden {
            self.vanish(turn, sid);
        }
        self.announce(turn, sid, true);
        if was_hidden && !hidden {
            self.appear(turn, sid);
        }
        self.send_token(turn, sid);
        self.room_changed(turn, before != after);
    }

    /// Ends publications that the permission does not allow.
    fn end_forbidden(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        let permission = participant.permission.clone();
        let waiting = participant.pending.iter().flat_map(|pending| &pending.infos);
        let forbidden = waiting.filter(|info| !permission.may_publish(info.source));
        let forbidden: IndexSet<_> = forbidden.map(|info| info.sid).collect();
        for track in forbidden {
            participant.forget_pending(turn.now_ms, track);
            // Where it is published too, that is judged by itself.
            if !participant.published.contains(&track) {
                turn.tell(sid, Notice::TrackUnpublished { track });
            }
        }
        for track in participant.published.clone() {
            let source = self.tracks.get(&track).map(|track| track.info.source);
            if source.is_some_and(|source| !permission.may_publish(source)) {
                self.unpublish(turn, track, EndedBy::Server);
            }
        }
    }

    /// A participant becomes hidden: for the others it leaves.
    fn vanish(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get(&sid) else { return };
        for track in participant.published.clone() {
            self.take_away(turn, track);
        }
        self.take_away_data(turn, sid);
        let Some(info) = self.participant_info(sid) else { return };
        let state = ParticipantState::Disconnected;
        let (tracks, data_tracks) = (Vec::new(), Vec::new());
        let gone = ParticipantInfo { state, tracks, data_tracks, ..info.as_ref().clone() };
        self.batch.shift_remove(&gone.identity);
        let others = self.participants.keys().copied().filter(|other| *other != sid).collect();
        let gone = Arc::new(gone);
        self.remember(turn.now_ms, Arc::clone(&gone));
        turn.tell_all(others, Notice::ParticipantUpdate(Arc::new(vec![gone])));
    }

    /// A hidden participant no longer is: others may receive it, and know whom.
    fn appear(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get(&sid) else { return };
        for track in participant.published.clone() {
            self.serve_anew(turn, track);
            self.offer(turn, track, false);
        }
        self.offer_all_data(turn, sid);
    }

    /// A participant mutes its own track.
    pub(super) fn set_muted(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        track: TrackSid,
        muted: bool,
    ) {
        if self.mute(turn, from, track, muted, false).is_none() {
            let not_found = (RequestReason::NotFound, "");
            respond(turn, from, 0, not_found, Asked::Mute { track, muted });
        }
    }

    /// An administrator mutes a participant's track.
    pub(crate) fn mute_track(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        track: TrackSid,
        muted: bool,
    ) -> Result<Arc<TrackInfo>, OperationError> {
        if !muted && !turn.config.enable_remote_unmute {
            return Err(OperationError::RemoteUnmuteDisabled);
        }
        self.mute(turn, sid, track, muted, true).ok_or(OperationError::TrackNotFound)
    }

    /// Mutes a published or announced track.
    fn mute(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        sid: TrackSid,
        muted: bool,
        remote: bool,
    ) -> Option<Arc<TrackInfo>> {
        let participant = self.participants.get_mut(&from)?;
        let notice = Notice::TrackMuted { track: sid, muted, remote };
        let mut waiting = None;
        for info in participant.pending.iter_mut().flat_map(|pending| pending.find(sid)) {
            info.muted = muted;
            waiting = Some(info.clone());
        }
        let track = self.tracks.get_mut(&sid).filter(|track| track.publisher == from);
        let Some(track) = track else {
            let info = Arc::new(waiting?);
            turn.tell(from, notice);
            return Some(info);
        };
        if track.info.muted != muted {
            track.change(turn, |info| info.muted = muted);
            track.level = None;
            let info = Arc::clone(&track.info);
            turn.tell(from, notice);
            self.track_changed(turn, sid, false);
            self.rejudge_muted(turn, sid);
            self.level_changed(turn, &[from]);
            return Some(info);
        }
        if remote {
            turn.tell(from, notice);
        }
        Some(Arc::clone(&track.info))
    }

    /// What is special about an audio track.
    pub(super) fn update_audio_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        request_id: u32,
        track: TrackSid,
        mut features: Vec<AudioFeature>,
    ) {
        features.sort_unstable();
        features.dedup();
        let set = |info: &mut TrackInfo| {
            info.audio_features.clone_from(&features);
            info.stereo = features.contains(&AudioFeature::Stereo);
            info.disable_dtx = features.contains(&AudioFeature::NoDtx);
        };
        let found = self.change_track(turn, from, track, TrackKind::Audio, false, set);
        let asked = Asked::UpdateAudioTrack { track, features };
        respond(turn, from, request_id, found_or_not(found), asked);
    }

    /// How large a video track is.
    pub(super) fn update_video_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        request_id: u32,
        track: TrackSid,
        (width, height): (u32, u32),
    ) {
        let set = |info: &mut TrackInfo| (info.width, info.height) = (width, height);
        let found = self.change_track(turn, from, track, TrackKind::Video, false, set);
        let asked = Asked::UpdateVideoTrack { track, width, height };
        respond(turn, from, request_id, found_or_not(found), asked);
    }

    /// Which layers a video track has.
    pub(super) fn update_video_layers(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        track: TrackSid,
        layers: Vec<VideoLayer>,
    ) {
        let limit = turn.config.limits.text_bytes;
        if layers.iter().any(|layer| layer.rid.len() > limit) {
            return;
        }
        let layers = codecs::sorted(&layers);
        let set = |info: &mut TrackInfo| {
            if let Some(codec) = info.codecs.first_mut() {
                codec.layers.clone_from(&layers);
            }
            info.layers.clone_from(&layers);
        };
        self.change_track(turn, from, track, TrackKind::Video, true, set);
    }

    fn change_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        sid: TrackSid,
        kind: TrackKind,
        media: bool,
        change: impl Fn(&mut TrackInfo),
    ) -> bool {
        let Some(participant) = self.participants.get_mut(&from) else { return false };
        let mut known = false;
        let waiting = participant.pending.iter_mut().flat_map(|pending| pending.find(sid));
        for info in waiting.filter(|info| info.kind == kind) {
            change(info);
            known = true;
        }
        if let Some(track) = self.tracks.get_mut(&sid) {
            if track.publisher != from || track.info.kind != kind {
                return false;
            }
            track.change(turn, change);
            track.is_unsized &= measured::is_unsized(&track.info);
            self.track_changed(turn, sid, media);
            return true;
        }
        known
    }
}

impl LiveParticipant {
    /// Whether it counts, and whether it records; as numbers to add up.
    fn standing(&self) -> (i32, i32) {
        (i32::from(self.counts()), i32::from(self.is_recorder()))
    }
}

/// Attributes with changes: an empty value removes its key.
fn merged(old: &Attributes, changes: &Attributes) -> Attributes {
    let mut merged = old.clone();
    merged.extend(changes.clone());
    merged.retain(|_, value| !value.is_empty());
    merged
}

/// Keys and values together, bytes.
pub(crate) fn attributes_bytes(attributes: &Attributes) -> usize {
    attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn check_sizes(
    config: &Config,
    update: &UpdateParticipant,
    attributes: &Attributes,
) -> Result<(), OperationError> {
    let limits = &config.limits;
    let fits =
        |text: &Option<String>, limit| text.as_ref().is_none_or(|text| within(text.len(), limit));
    if !fits(&update.name, limits.name_bytes) {
        return Err(OperationError::NameTooLong);
    }
    if !fits(&update.metadata, limits.metadata_bytes) {
        return Err(OperationError::MetadataTooLarge);
    }
    let grows = !update.attributes.is_empty();
    if grows && !within(attributes_bytes(attributes), limits.attributes_bytes) {
        return Err(OperationError::AttributesTooLarge);
    }
    Ok(())
}

fn found_or_not(found: bool) -> (RequestReason, &'static str) {
    if found { (RequestReason::Ok, "") } else { (RequestReason::NotFound, "") }
}

/// Answers a request; one that asked for no answer only if it was refused.
pub(super) fn respond(
    turn: &mut Turn<'_>,
    to: ParticipantSid,
    request_id: u32,
    (reason, message): (RequestReason, &str),
    asked: Asked,
) {
    if request_id != 0 || reason != RequestReason::Ok {
        let message = message.to_owned();
        turn.tell(to, Notice::RequestResponse { request_id, reason, message, asked });
    }
}
