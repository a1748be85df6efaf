//! Data tracks: publishing them, and who receives which under which handle.
//!
//! A wish lives as long as its track. Whatever stands in its way may go away, so every change of a
//! permission looks at the wishes again. A subscriber is always told all its handles.

use std::sync::Arc;

use super::announce::Delta;
use super::change::respond;
use super::{LiveParticipant, LiveRoom};
use crate::calls::config::within;
use crate::calls::turn::Turn;
use crate::calls::{
    Asked, DataEncoding, DataTrackHandle, DataTrackInfo, Notice, PublishDataTrack, RequestReason,
};
use crate::id::{DataTrackSid, ParticipantSid};

/// LiveKit's bound on names, bytes.
const NAME_BYTES: usize = 256;
/// Data tracks of one participant; LiveKit has no bound. Raised: one participant makes every update
/// about it longer; lowered: machines with many sensors cannot publish them all.
const TRACKS_MAX: usize = 256;

/// Why a data track is not published.
type Refused = (RequestReason, &'static str);

/// Somebody's wish to receive a data track.
#[derive(Debug, Default)]
pub(super) struct DataWish {
    /// What its packets are called, if they are sent.
    handle: Option<u16>,
    /// Whether the publisher allows it, as the subscriber was told.
    told_allowed: Option<bool>,
}

impl LiveRoom {
    /// A client wants to publish a data track.
    pub(super) fn publish_data_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        wish: PublishDataTrack,
    ) {
        match self.add_data_track(turn, from, &wish) {
            Ok(track) => {
                turn.tell(from, Notice::DataTrackPublished(Arc::clone(&track)));
                self.room_changed(turn, false);
                self.announce(turn, from, true);
                self.offer_data_track(turn, from, track.sid);
            }
            Err(refused) => {
                let asked = Asked::PublishDataTrack(Box::new(wish));
                respond(turn, from, 0, refused, asked);
            }
        }
    }

    fn add_data_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        wish: &PublishDataTrack,
    ) -> Result<Arc<DataTrackInfo>, Refused> {
        let Some(participant) = self.participants.get_mut(&from) else {
            return Err((RequestReason::NotFound, ""));
        };
        if !participant.permission.can_publish_data {
            return Err((RequestReason::NotAllowed, "no permission to publish data"));
        }
        if !turn.config.data_tracks {
            return Err((RequestReason::NotAllowed, "data tracks are off on this server"));
        }
        let handle = u16::try_from(wish.handle).ok().filter(|handle| *handle != 0);
        let Some(handle) = handle else {
            return Err((RequestReason::InvalidHandle, "a handle is 1 to 65535"));
        };
        if wish.name.is_empty() || wish.name.len() > NAME_BYTES {
            return Err((RequestReason::InvalidName, "a name has 1 to 256 bytes"));
        }
        if !is_described_well(wish, turn.config.limits.data_encoding_bytes) {
            return Err((RequestReason::InvalidRequest, "an encoding or schema without a name"));
        }
        let same = participant.data_tracks.iter().find_map(|known| {
            if known.handle == handle {
                Some((RequestReason::DuplicateHandle, "the handle is taken"))
            } else if known.name == wish.name {
                Some((RequestReason::DuplicateName, "the name is taken"))
            } else {
                None
            }
        });
        if let Some(refused) = same {
            return Err(refused);
        }
        if participant.data_tracks.len() >= TRACKS_MAX {
            return Err((RequestReason::LimitExceeded, "too many data tracks"));
        }
        let first = !participant.is_publisher();
        let track = Arc::new(DataTrackInfo {
            sid: DataTrackSid::from_random(turn.random.bytes()),
            handle,
            name: wish.name.clone(),
            encryption: wish.encryption,
            frame_encoding: wish.frame_encoding.clone(),
            schema: wish.schema.clone(),
        });
        participant.data_tracks.push(Arc::clone(&track));
        participant.touch();
        self.data_tracks.insert(track.sid, from);
        self.count(Delta { publishers: i32::from(first), ..Delta::default() });
        Ok(track)
    }

    /// A client no longer publishes a data track.
    pub(super) fn unpublish_data_track(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        handle: u32,
    ) {
        let tracks = self.participants.get(&from).map(|participant| &participant.data_tracks);
        let mut tracks = tracks.into_iter().flatten();
        match tracks.find(|track| u32::from(track.handle) == handle).map(|track| track.sid) {
            Some(track) => self.end_data_tracks(turn, from, &[track]),
            None => {
                let asked = Asked::UnpublishDataTrack { handle };
                respond(turn, from, 0, (RequestReason::NotFound, ""), asked);
            }
        }
    }

    /// The permission does not allow data any more.
    pub(super) fn end_forbidden_data(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get(&sid) else { return };
        if !participant.permission.can_publish_data {
            let all: Vec<_> = participant.data_tracks.iter().map(|track| track.sid).collect();
            self.end_data_tracks(turn, sid, &all);
        }
    }

    /// Ends publications, and tells their publisher and everybody else.
    fn end_data_tracks(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        ended: &[DataTrackSid],
    ) {
        let Some(publisher) = self.participants.get_mut(&from).filter(|_| !ended.is_empty()) else {
            return;
        };
        for track in publisher.data_tracks.extract_if(.., |track| ended.contains(&track.sid)) {
            turn.tell(from, Notice::DataTrackUnpublished(track));
        }
        publisher.touch();
        let last = !publisher.is_publisher();
        self.count(Delta { publishers: -i32::from(last), ..Delta::default() });
        self.withdraw_data(turn, ended);
        self.room_changed(turn, false);
        self.announce(turn, from, true);
    }

    /// Ends the data tracks of somebody who goes.
    pub(super) fn end_data(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(participant) = self.participants.get_mut(&sid) else { return };
        participant.data_wishes.clear();
        let ended = std::mem::take(&mut participant.data_tracks);
        if !ended.is_empty() && participant.published.is_empty() {
            self.count(Delta { publishers: -1, ..Delta::default() });
        }
        let ended: Vec<_> = ended.iter().map(|track| track.sid).collect();
        self.withdraw_data(turn, &ended);
    }

    /// Nobody wants these any more: they are gone.
    fn withdraw_data(&mut self, turn: &mut Turn<'_>, ended: &[DataTrackSid]) {
        let mut changed = Vec::new();
        for track in ended {
            self.data_tracks.remove(track);
        }
        for subscriber in self.participants.values_mut() {
            let mut served = false;
            for track in ended {
                let wish = subscriber.data_wishes.swap_remove(track);
                served |= wish.is_some_and(|wish| wish.handle.is_some());
            }
            if served {
                changed.push(subscriber.sid);
            }
        }
        changed.into_iter().for_each(|sid| self.tell_data_handles(turn, sid));
    }

    /// Begins and ends subscriptions of data tracks. What does not exist is not waited for: clients
    /// learn of tracks before they can want them.
    pub(super) fn update_data_subscription(
        &mut self,
        turn: &mut Turn<'_>,
        from: ParticipantSid,
        updates: &[(DataTrackSid, bool)],
    ) {
        let mut changed = false;
        for (track, subscribe) in updates {
            let publisher = self.data_tracks.get(track).filter(|publisher| **publisher != from);
            let (Some(_), Some(subscriber)) = (publisher, self.participants.get_mut(&from)) else {
                continue;
            };
            if *subscribe {
                subscriber.data_wishes.entry(*track).or_default();
                changed |= self.reconcile_data(turn, from, *track);
            } else if let Some(wish) = subscriber.data_wishes.swap_remove(track) {
                changed |= wish.handle.is_some();
            }
        }
        if changed {
            self.tell_data_handles(turn, from);
        }
    }

    /// Everybody who subscribes without being asked gets a new data track, unless its publisher is
    /// hidden.
    fn offer_data_track(
        &mut self,
        turn: &mut Turn<'_>,
        publisher: ParticipantSid,
        track: DataTrackSid,
    ) {
        if self.participants.get(&publisher).is_none_or(|participant| participant.is_hidden()) {
            return;
        }
        let auto = |p: &&LiveParticipant| p.is_active() && p.auto_subscribe_data;
        let auto = self.participants.values().filter(auto).map(|p| p.sid);
        for subscriber in auto.collect::<Vec<_>>() {
            self.update_data_subscription(turn, subscriber, &[(track, true)]);
        }
    }

    /// Somebody who subscribes without being asked gets all data tracks that there are.
    pub(super) fn subscribe_to_existing_data(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        if !self.participants.get(&sid).is_some_and(|participant| participant.auto_subscribe_data) {
            return;
        }
        let others = self.participants.values().filter(|p| !p.is_hidden());
        let tracks = others.flat_map(|p| p.data_tracks.iter().map(|track| (track.sid, true)));
        let tracks: Vec<_> = tracks.collect();
        self.update_data_subscription(turn, sid, &tracks);
    }

    /// Others no longer know of a participant.
    pub(super) fn take_away_data(&mut self, turn: &mut Turn<'_>, publisher: ParticipantSid) {
        let Some(participant) = self.participants.get(&publisher) else { return };
        let gone: Vec<_> = participant.data_tracks.iter().map(|t| (t.sid, false)).collect();
        let subscribers: Vec<_> = self.participants.keys().copied().collect();
        for subscriber in subscribers {
            self.update_data_subscription(turn, subscriber, &gone);
        }
    }

    /// Others know of a participant again.
    pub(super) fn offer_all_data(&mut self, turn: &mut Turn<'_>, publisher: ParticipantSid) {
        let Some(participant) = self.participants.get(&publisher) else { return };
        let tracks: Vec<_> = participant.data_tracks.iter().map(|track| track.sid).collect();
        for track in tracks {
            self.offer_data_track(turn, publisher, track);
        }
    }

    /// What one subscriber may receive has changed.
    pub(super) fn reconcile_data_of(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let wishes = self.participants.get(&sid).map(|p| p.data_wishes.keys().copied().collect());
        let wishes: Vec<DataTrackSid> = wishes.unwrap_or_default();
        let mut changed = false;
        for track in wishes {
            changed |= self.reconcile_data(turn, sid, track);
        }
        if changed {
            self.tell_data_handles(turn, sid);
        }
    }

    /// Who may receive one publisher's data tracks has changed.
    pub(super) fn reconcile_data_from(&mut self, turn: &mut Turn<'_>, publisher: ParticipantSid) {
        if self.participants.get(&publisher).is_none_or(|p| p.data_tracks.is_empty()) {
            return;
        }
        let others: Vec<_> =
            self.participants.keys().copied().filter(|sid| *sid != publisher).collect();
        for subscriber in others {
            self.reconcile_data_of(turn, subscriber);
        }
    }

    /// Looks at what stands in the way of a wish; whether the handles have changed.
    fn reconcile_data(
        &mut self,
        turn: &mut Turn<'_>,
        sid: ParticipantSid,
        track: DataTrackSid,
    ) -> bool {
        let Some(publisher) = self.data_tracks.get(&track).copied() else { return false };
        let Some(subscriber) = self.participants.get(&sid) else { return false };
        let Some(source) = self.participants.get(&publisher) else { return false };
        let allowed =
            subscriber.is_recorder() || source.audience.admits_data(&subscriber.identity, track);
        let may_subscribe = subscriber.permission.can_subscribe;
        let served = allowed && may_subscribe;
        let Some(subscriber) = self.participants.get_mut(&sid) else { return false };
        let free = subscriber.free_data_handle();
        let Some(wish) = subscriber.data_wishes.get_mut(&track) else { return false };
        if may_subscribe && wish.told_allowed.replace(allowed) != Some(allowed) {
            turn.tell(sid, Notice::DataPermissionUpdate { publisher, track, allowed });
        }
        if served == wish.handle.is_some() {
            return false;
        }
        wish.handle = free.filter(|_| served);
        if let Some(handle) = wish.handle {
            subscriber.last_data_handle = handle;
        }
        true
    }

    fn tell_data_handles(&mut self, turn: &mut Turn<'_>, sid: ParticipantSid) {
        let Some(subscriber) = self.participants.get(&sid) else { return };
        let served = subscriber.data_wishes.iter();
        let handles = served.filter_map(|(track, wish)| {
            let publisher = self.participants.get(self.data_tracks.get(track)?)?;
            Some(DataTrackHandle {
                handle: wish.handle?,
                track: *track,
                publisher: publisher.sid,
                publisher_identity: publisher.identity.as_str().into(),
                shard: publisher.shard,
            })
        });
        let handles = handles.collect();
        turn.tell(sid, Notice::DataTrackHandles(handles));
    }
}

impl LiveParticipant {
    /// A handle that no data track on the way to this subscriber has: packets of an old one may
    /// still be under way, so they are used in turn.
    fn free_data_handle(&self) -> Option<u16> {
        let taken = |handle| self.data_wishes.values().any(|wish| wish.handle == Some(handle));
        let after = (1..=u16::MAX).map(|step| self.last_data_handle.wrapping_add(step));
        // One more than there are wishes is enough to find one that is free, 0 aside.
        let mut few = after.take(self.data_wishes.len() + 2);
        few.find(|handle| *handle != 0 && !taken(*handle))
    }
}

/// Encodings and schemas have names, and those are short.
fn is_described_well(wish: &PublishDataTrack, encoding_bytes: usize) -> bool {
    let good = |encoding: &Option<DataEncoding>| is_named_well(encoding, encoding_bytes);
    let schema = wish.schema.as_ref().is_none_or(|schema| {
        let named = !schema.name.is_empty() && schema.name.len() <= NAME_BYTES;
        named && good(&schema.encoding)
    });
    schema && good(&wish.frame_encoding)
}

/// Whether an encoding of the application's own has a name that is short enough.
pub(super) fn is_named_well(encoding: &Option<DataEncoding>, bytes: usize) -> bool {
    match encoding {
        Some(DataEncoding::Custom(name)) => !name.is_empty() && within(name.len(), bytes),
        Some(DataEncoding::WellKnown(_)) | None => true,
    }
}
