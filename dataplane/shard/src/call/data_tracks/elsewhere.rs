//! Data tracks whose subscribers are on several shards.
//!
//! A packet comes in on the shard of its publisher, its *home*. A shard that has subscribers of the
//! track tells the home so, again and again; the home hands the packet over once for each such
//! shard, as it came, and forgets who falls silent. Neither waits for the other.

use super::{Calls, Counters, DataTrack, DataTrackView, DataTracks, Here, Now, Others};
use crate::call::lanes::Word;

/// How often a shard says that it wants a track. Raised, a lost word is made good later; lowered,
/// shards talk more of nothing new.
const WANT_NS: u64 = 1_000_000_000;
/// A home that heard nothing of a wish for so long hands over nothing more.
const LEASE_NS: u64 = 4 * WANT_NS;
/// Packets that one turn takes from one shard.
const TURN_FRAMES: usize = 256;

/// Another shard's wish for a track that comes in here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    shard: u16,
    /// Its subscribers.
    routes: u32,
    wanted_ns: u64,
}

impl Wish {
    fn is_good(&self, now: Now) -> bool {
        now.mono_ns.saturating_sub(self.wanted_ns) < LEASE_NS
    }
}

impl DataTrack {
    /// Tells the home for how many the packets are wanted.
    pub(super) fn say_wanted(&self, key: u64, others: &mut Others) {
        if let Some(home) = self.home {
            let routes = self.routes.len() as u32;
            others.say(home, Word::WantTrack { track: key, routes });
        }
    }

    /// Hands a packet to the shards that want it; for how many subscribers.
    pub(super) fn hand_over(&self, now: Now, key: u64, bytes: &[u8], others: &mut Others) -> usize {
        let mut receivers = 0;
        for wish in self.wishes.iter().filter(|wish| wish.is_good(now)) {
            if others.hand_frame(wish.shard, key, bytes) {
                receivers += wish.routes as usize;
            }
        }
        receivers
    }
}

impl DataTracks {
    /// Looks at a track again before long.
    fn watch(&mut self, now: Now, key: u64) {
        if let Some(track) = self.tracks.get_mut(&key)
            && !std::mem::replace(&mut track.watched, true)
        {
            self.watch.push_back((now.mono_ns + WANT_NS, key));
        }
    }

    /// Another shard has so many subscribers of a track. It may say so before the control plane
    /// says that the track is published here.
    fn handle_want(&mut self, now: Now, shard: u16, key: u64, routes: u32) {
        if routes == 0 {
            return self.change(key, |track| track.wishes.retain(|wish| wish.shard != shard));
        }
        // A full table: it will be said again.
        let Ok(track) = self.entry(key) else { return };
        let wish = Wish { shard, routes, wanted_ns: now.mono_ns };
        match track.wishes.iter_mut().find(|known| known.shard == shard) {
            Some(known) => *known = wish,
            None => track.wishes.push(wish),
        }
        self.watch(now, key);
    }

    /// Does what is due for tracks of several shards.
    fn handle_time(&mut self, now: Now, others: &mut Others) {
        while let Some((due_ns, key)) = self.watch.front().copied()
            && due_ns <= now.mono_ns
        {
            self.watch.pop_front();
            let Some(track) = self.tracks.get_mut(&key) else { continue };
            track.wishes.retain(|wish| wish.is_good(now));
            let wanted = track.home.is_some() && !track.routes.is_empty();
            if wanted {
                track.say_wanted(key, others);
            }
            track.watched = wanted || !track.wishes.is_empty();
            if track.watched {
                self.watch.push_back((now.mono_ns + WANT_NS, key));
            } else if track.is_unused() {
                self.tracks.remove(&key);
            }
        }
    }
}

impl Calls {
    /// Asks the home of a track for its packets, if that is another shard.
    pub(super) fn want_track(&mut self, now: Now, key: u64) {
        let Some(track) = self.data_tracks.tracks.get(&key) else { return };
        if track.home.is_some() {
            track.say_wanted(key, &mut self.others);
            self.data_tracks.watch(now, key);
        }
    }

    /// Another shard has so many subscribers of a track.
    pub(in crate::call) fn handle_want_track(
        &mut self,
        now: Now,
        shard: u16,
        track: u64,
        routes: u32,
    ) {
        self.data_tracks.handle_want(now, shard, track, routes);
    }

    /// Takes packets that a home handed over, as far as the turn has room.
    pub(in crate::call) fn handle_frames(&mut self, now: Now, home: u16, counters: &mut Counters) {
        let DataTracks { tracks, packet, handed, .. } = &mut self.data_tracks;
        for _ in 0..TURN_FRAMES {
            let Some(lane) = self.others.to(home) else { return };
            let Some(key) = lane.handed_frame(handed) else { return };
            // Nobody may want it any more, or its home may be another one by now.
            let track = tracks.get(&key).filter(|track| track.home == Some(home));
            let Some(track) = track else { continue };
            let Ok(view) = DataTrackView::parse(handed) else { continue };
            let counters = &mut *counters;
            let here = Here { sessions: &mut self.sessions, dirty: &mut self.dirty, counters };
            here.fan_out(now, &track.routes, &view, packet);
        }
    }

    /// Does what is due for data tracks of several shards.
    pub(in crate::call) fn keep_tracks(&mut self, now: Now) {
        self.data_tracks.handle_time(now, &mut self.others);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::lanes::ShardLane;
    use crate::slab::SlotId;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Now {
        Now { mono_ns: ms * MS, unix_ns: ms * MS }
    }

    /// The home's and another shard's lanes to one another.
    fn others() -> [Others; 2] {
        let (a, b) = ShardLane::pair();
        [Others::new(0, vec![None, Some(a)]), Others::new(1, vec![Some(b), None])]
    }

    /// What the home hears.
    fn wanted(others: &mut Others) -> Vec<(u64, u32)> {
        let words = std::iter::from_fn(|| others.to(1)?.heard());
        let wanted = words.map(|word| match word {
            Word::WantTrack { track, routes } => (track, routes),
            other => panic!("{other:?}"),
        });
        wanted.collect()
    }

    #[test]
    fn a_shard_says_again_what_it_wants_and_then_that_it_wants_nothing() {
        let [home, server] = &mut others();
        let mut tracks = DataTracks::default();
        let id = SlotId { slot: 0, generation: 1 };
        let track = tracks.entry(7).expect("room");
        track.routes = vec![(id, 1), (id, 2)];
        track.home = Some(0);
        tracks.watch(at(0), 7);
        tracks.watch(at(1), 7);
        for (ms, expect) in [(999, 0), (1000, 1), (1999, 0), (2500, 1), (3499, 0), (3500, 1)] {
            tracks.handle_time(at(ms), server);
            assert_eq!(wanted(home), vec![(7, 2); expect], "at {ms}");
        }
        tracks.remove_route(server, 7, id, 1);
        tracks.remove_route(server, 7, id, 2);
        assert_eq!(wanted(home), [(7, 1), (7, 0)]);
        tracks.handle_time(at(9000), server);
        assert!(wanted(home).is_empty() && tracks.tracks.is_empty() && tracks.watch.is_empty());
    }

    #[test]
    fn a_home_hands_over_to_who_wants_it_and_forgets_who_falls_silent() {
        let [home, _] = &mut others();
        let mut tracks = DataTracks::default();
        // The wish comes before the publication.
        tracks.handle_want(at(0), 1, 7, 3);
        tracks.handle_want(at(10), 1, 7, 5);
        tracks.handle_want(at(10), 9, 7, 5);
        tracks.entry(7).expect("room").published = true;
        let passed = |tracks: &DataTracks, ms, home: &mut Others| {
            tracks.tracks.get(&7).map(|track| track.hand_over(at(ms), 7, &[1; 20], home))
        };
        assert_eq!(passed(&tracks, 20, home), Some(5), "there is no shard 9");
        assert_eq!((home.handed, home.lost), (1, 1));
        tracks.handle_want(at(2000), 1, 7, 4);
        tracks.handle_want(at(2000), 9, 7, 0);
        assert_eq!(passed(&tracks, 5999, home), Some(4));
        assert_eq!(passed(&tracks, 6001, home), Some(0));
        tracks.handle_time(at(7000), home);
        tracks.handle_time(at(8000), home);
        assert!(tracks.watch.is_empty() && tracks.tracks.len() == 1);
        // Wishes for what is never published are forgotten, too.
        tracks.handle_want(at(9000), 1, 8, 1);
        tracks.change(7, |track| track.published = false);
        (10..20).for_each(|s| tracks.handle_time(at(s * 1000), home));
        assert!(tracks.tracks.is_empty() && tracks.watch.is_empty());
    }
}
