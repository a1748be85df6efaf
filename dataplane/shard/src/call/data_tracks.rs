//! Packets of data tracks: from their publisher to who subscribes, under each one's own handle.
//!
//! Nothing is kept: what finds no room on the way to a subscriber, or is late, is lost to that one
//! alone. A track is known by its key from the first of its ends to the last. Subscribers of other
//! shards are reached by way of [`elsewhere`].

use std::collections::{HashMap, VecDeque};

use ringway_abi::call::data_rights;
use ringway_abi::counters::Counter;
use ringway_abi::message::Refusal;
use ringway_proto::sctp::{Label, SendRefused};
use ringway_wire::data_track::DataTrackView;

use super::Calls;
use super::data_end::DataEnd;
use super::lanes::Others;
use super::session::Session;
use crate::clock::Now;
use crate::shard::Counters;
use crate::slab::{Slab, SlotId};

mod elsewhere;

use elsewhere::Wish;

/// Data tracks on one shard.
const TRACKS: usize = 65_536;
/// Data tracks of one publisher; the control plane allows fewer.
const PUBLISHED: usize = 1_024;

/// One data track as far as a shard knows it.
#[derive(Default)]
struct DataTrack {
    published: bool,
    /// To whom, and under which handle.
    routes: Vec<(SlotId, u16)>,
    /// The shard that its packets come in on, where that is another one.
    home: Option<u16>,
    /// Other shards that have subscribers of it.
    wishes: Vec<Wish>,
    /// It will be looked at again.
    watched: bool,
}

impl DataTrack {
    fn is_unused(&self) -> bool {
        let held = self.published || self.watched;
        !held && self.routes.is_empty() && self.wishes.is_empty()
    }
}

/// Data tracks of all rooms.
#[derive(Default)]
pub(super) struct DataTracks {
    tracks: HashMap<u64, DataTrack>,
    /// Those of several shards, by when they are looked at next.
    watch: VecDeque<(u64, u64)>,
    /// The packet at hand, under its new handle.
    packet: Vec<u8>,
    /// The same as another shard handed it over.
    handed: Vec<u8>,
}

impl DataTracks {
    fn entry(&mut self, key: u64) -> Result<&mut DataTrack, Refusal> {
        if self.tracks.len() >= TRACKS && !self.tracks.contains_key(&key) {
            return Err(Refusal::TableFull);
        }
        Ok(self.tracks.entry(key).or_default())
    }

    fn change(&mut self, key: u64, change: impl FnOnce(&mut DataTrack)) {
        let Some(track) = self.tracks.get_mut(&key) else { return };
        change(track);
        if track.is_unused() {
            self.tracks.remove(&key);
        }
    }

    fn remove_route(&mut self, others: &mut Others, key: u64, id: SlotId, handle: u16) {
        self.change(key, |track| {
            track.routes.retain(|route| *route != (id, handle));
            track.say_wanted(key, others);
        });
    }

    /// A transport is gone.
    pub(super) fn leave(&mut self, others: &mut Others, id: SlotId, end: &DataEnd) {
        for key in end.tracks.values() {
            self.change(*key, |track| track.published = false);
        }
        for (handle, key) in &end.routes {
            self.remove_route(others, *key, id, *handle);
        }
    }
}

impl Calls {
    fn data_end(&mut self, transport: u64) -> Result<(SlotId, &mut DataEnd), Refusal> {
        let id = self.session_of.get(&transport).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        let end = session.data.as_deref_mut().ok_or(Refusal::Invalid)?;
        Ok((id, end))
    }

    /// Packets with `handle` belong to `track`; 0: to none.
    pub(super) fn set_data_track(
        &mut self,
        transport: u64,
        handle: u16,
        track: u64,
    ) -> Result<(), Refusal> {
        let (_, end) = self.data_end(transport)?;
        if track != 0 && end.tracks.len() >= PUBLISHED && !end.tracks.contains_key(&handle) {
            return Err(Refusal::TableFull);
        }
        let before = match track {
            0 => end.tracks.remove(&handle),
            _ => end.tracks.insert(handle, track),
        };
        if let Some(before) = before.filter(|before| *before != track) {
            self.data_tracks.change(before, |track| track.published = false);
        }
        if track != 0 {
            self.data_tracks.entry(track)?.published = true;
        }
        Ok(())
    }

    /// Sends `track`, which comes in on shard `home`, under `handle`; 0: nothing.
    pub(super) fn set_data_route(
        &mut self,
        now: Now,
        transport: u64,
        handle: u16,
        (track, home): (u64, u16),
    ) -> Result<(), Refusal> {
        let home = (track != 0 && home != self.others.index).then_some(home);
        if home.is_some_and(|home| self.others.to(home).is_none()) {
            return Err(Refusal::Invalid);
        }
        let (id, end) = self.data_end(transport)?;
        let before = match track {
            0 => end.routes.remove(&handle),
            _ => end.routes.insert(handle, track),
        };
        if let Some(before) = before {
            self.data_tracks.remove_route(&mut self.others, before, id, handle);
        }
        if track != 0 {
            let entry = self.data_tracks.entry(track)?;
            entry.routes.push((id, handle));
            entry.home = home;
            self.want_track(now, track);
        }
        Ok(())
    }

    /// Passes a packet on; to how many.
    pub(super) fn pass_track(
        &mut self,
        now: Now,
        id: SlotId,
        bytes: &[u8],
        counters: &mut Counters,
    ) -> Result<usize, Counter> {
        let end = self.sessions.get_mut(id).and_then(|session| session.data.as_mut());
        let end = end.filter(|end| end.may(data_rights::PUBLISH)).ok_or(Counter::DataForbidden)?;
        let view = DataTrackView::parse(bytes).map_err(|_| Counter::DataMalformed)?;
        let key = *end.tracks.get(&view.handle).ok_or(Counter::DataNoTrack)?;
        let DataTracks { tracks, packet, .. } = &mut self.data_tracks;
        let Some(track) = tracks.get(&key) else { return Ok(0) };
        let here = Here { sessions: &mut self.sessions, dirty: &mut self.dirty, counters };
        let receivers = here.fan_out(now, &track.routes, &view, packet);
        Ok(receivers + track.hand_over(now, key, bytes, &mut self.others))
    }
}

/// What a packet needs on its way to the subscribers of this shard.
struct Here<'a> {
    sessions: &'a mut Slab<Session>,
    dirty: &'a mut Vec<SlotId>,
    counters: &'a mut Counters,
}

impl Here<'_> {
    /// Sends a packet to every subscriber; how many have taken it.
    fn fan_out(
        self,
        now: Now,
        routes: &[(SlotId, u16)],
        view: &DataTrackView<'_>,
        packet: &mut Vec<u8>,
    ) -> usize {
        let mut receivers = 0;
        for (subscriber, handle) in routes {
            let Some(session) = self.sessions.get_mut(*subscriber) else { continue };
            let Some(end) = session.data.as_mut() else { continue };
            let Some(association) = &mut end.association else { continue };
            view.write_as(*handle, packet);
            match association.send(now.mono_ns, Label::DataTrack, packet, false) {
                Ok(()) => {
                    receivers += 1;
                    self.counters.add(Counter::DataSent, 1);
                    if !std::mem::replace(&mut session.dirty, true) {
                        self.dirty.push(*subscriber);
                    }
                }
                Err(SendRefused::Closed) => {}
                Err(SendRefused::Full | SendRefused::Length) => {
                    self.counters.add(Counter::DataSlow, 1);
                }
            }
        }
        receivers
    }
}
