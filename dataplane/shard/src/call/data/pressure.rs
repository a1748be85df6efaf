//! Whom a sender of reliable messages waits for.
//!
//! As a rule nobody waits for a slow receiver: it loses what it has no room for. But who sends
//! faster than even the fastest of its receivers takes it waits for that one, and where the
//! operator has said how fast a receiver must be for it (LiveKit's
//! `rtc.datachannel_slow_threshold`), for every one that is as fast. Receivers on other shards
//! count too: a shard on which much waits says so, and from then on those that get the sender's
//! messages say of each how it went, until the sender may go on.

use crate::slab::SlotId;

/// How long another shard's word keeps a sender. It is said again with each message, but a shard
/// that stands still must not hold up others for ever. Raised: for longer; lowered: messages to one
/// that is slow are taken before it has room. No shorter than a receiver may say nothing.
const WORD_NS: u64 = 5_000_000_000;

/// How the receivers on one shard of a sender's last reliable message do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Pressure {
    /// There are none that take anything.
    #[default]
    Nobody,
    /// One of them keeps up.
    Light,
    /// Much waits for each of them.
    Crowded,
    /// Much waits for one that is always waited for.
    Firm,
}

impl Pressure {
    /// Whether it may keep the sender.
    pub(super) fn keeps(self) -> bool {
        matches!(self, Self::Crowded | Self::Firm)
    }
}

/// Receivers on this shard that a sender waits for.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Crowd {
    /// Until one of them has room. If it is empty, one keeps up or there is none.
    any: Vec<SlotId>,
    /// Until all of them have.
    all: Vec<SlotId>,
    light: bool,
}

impl Crowd {
    /// A receiver that has room.
    pub(super) fn add_light(&mut self) {
        self.light = true;
        self.any.clear();
    }

    /// One for which much waits; `firm`: it is always waited for.
    pub(super) fn add(&mut self, receiver: SlotId, firm: bool) {
        if firm {
            self.all.push(receiver);
        }
        if !self.light {
            self.any.push(receiver);
        }
    }

    /// How they do.
    pub(super) fn pressure(&self) -> Pressure {
        match () {
            () if !self.all.is_empty() => Pressure::Firm,
            () if self.light => Pressure::Light,
            () if !self.any.is_empty() => Pressure::Crowded,
            () => Pressure::Nobody,
        }
    }

    /// Forgets those that are no reason to wait any more; `true` where none is left. `has_eased` is
    /// told whether the receiver is one that is always waited for.
    pub(super) fn ease(&mut self, mut has_eased: impl FnMut(SlotId, bool) -> bool) -> bool {
        self.all.retain(|receiver| !has_eased(*receiver, true));
        if self.any.iter().any(|receiver| has_eased(*receiver, false)) {
            self.add_light();
        }
        !self.pressure().keeps()
    }
}

/// What another shard has said.
#[derive(Clone, Copy, Debug)]
struct Far {
    shard: u16,
    pressure: Pressure,
    at_ns: u64,
}

/// Whom one sender waits for.
#[derive(Debug, Default)]
pub(in crate::call) struct Waits {
    here: Crowd,
    far: Vec<Far>,
    /// Other shards that its last message went to.
    shards: usize,
}

impl Waits {
    /// A reliable message was handed to `here`, and to so many other shards.
    pub(super) fn handle_passed(&mut self, here: Crowd, shards: usize) {
        self.here = here;
        self.shards = shards;
    }

    /// Another shard says how those do that it has handed the message to.
    pub(super) fn handle_word(&mut self, now_ns: u64, shard: u16, pressure: Pressure) {
        self.far.retain(|known| known.shard != shard);
        self.far.push(Far { shard, pressure, at_ns: now_ns });
    }

    /// Whether other shards shall say of every message how it went.
    pub(super) fn is_watched(&self, now_ns: u64) -> bool {
        let keeps = |far: &Far| far.pressure.keeps() && far.counts(now_ns);
        self.shards > 0 && (self.here.pressure().keeps() || self.far.iter().any(keeps))
    }

    /// Whether its messages are not taken for now.
    pub(in crate::call) fn holds(&self, now_ns: u64) -> bool {
        let here = self.here.pressure();
        if here == Pressure::Firm {
            return true;
        }
        let far = || self.far.iter().filter(|far| far.counts(now_ns)).map(|far| far.pressure);
        if self.shards > 0 && far().any(|pressure| pressure == Pressure::Firm) {
            return true;
        }
        // Who has said nothing may keep up.
        here != Pressure::Light
            && (self.shards == 0
                || far().count() >= self.shards && far().all(|one| one != Pressure::Light))
            && (here == Pressure::Crowded
                || self.shards > 0 && far().any(|one| one == Pressure::Crowded))
    }

    /// The receivers here, to be eased.
    pub(super) fn here(&mut self) -> &mut Crowd {
        &mut self.here
    }
}

impl Far {
    fn counts(&self, now_ns: u64) -> bool {
        !self.pressure.keeps() || now_ns.saturating_sub(self.at_ns) < WORD_NS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(slot: u32) -> SlotId {
        SlotId { slot, generation: 1 }
    }

    fn crowd(any: u32, all: u32, light: bool) -> Crowd {
        let mut crowd = Crowd::default();
        (0..any).for_each(|slot| crowd.add(receiver(slot), false));
        (any..any + all).for_each(|slot| crowd.add(receiver(slot), true));
        if light {
            crowd.add_light();
        }
        crowd
    }

    #[test]
    fn who_is_here() {
        for (any, all, light, pressure) in [
            (0, 0, false, Pressure::Nobody),
            (0, 0, true, Pressure::Light),
            (2, 0, false, Pressure::Crowded),
            (2, 0, true, Pressure::Light),
            (2, 1, true, Pressure::Firm),
            (0, 1, false, Pressure::Firm),
        ] {
            assert_eq!(crowd(any, all, light).pressure(), pressure, "{any} {all} {light}");
        }
    }

    #[test]
    fn one_of_any_eases_and_each_of_all() {
        let mut three = crowd(3, 0, false);
        assert!(!three.ease(|_, _| false));
        assert!(three.ease(|one, _| one == receiver(2)));
        let mut two = crowd(0, 2, false);
        assert!(!two.ease(|one, firm| firm && one == receiver(1)));
        // It has room, but is not alone.
        assert_eq!(two.pressure(), Pressure::Firm);
        assert!(two.ease(|one, _| one == receiver(0)));
    }

    #[test]
    fn shards_count_once_they_have_said_how_it_goes() {
        let mut waits = Waits::default();
        waits.handle_passed(crowd(1, 0, false), 2);
        assert!(!waits.holds(0) && waits.is_watched(0), "the others may keep up");
        waits.handle_word(0, 1, Pressure::Nobody);
        waits.handle_word(0, 2, Pressure::Light);
        assert!(!waits.holds(0));
        waits.handle_word(7, 2, Pressure::Crowded);
        assert!(waits.holds(7));
        // Here somebody has room again.
        assert!(waits.here().ease(|_, _| true));
        assert!(!waits.holds(7));
        waits.handle_passed(Crowd::default(), 2);
        assert!(waits.holds(7) && waits.is_watched(7));
        assert!(!waits.holds(7 + WORD_NS), "a shard that stands still is not waited for");
        assert!(!waits.is_watched(7 + WORD_NS));
        waits.handle_word(8, 2, Pressure::Light);
        assert!(!waits.holds(8));
        waits.handle_word(9, 1, Pressure::Firm);
        assert!(waits.holds(9), "whoever else keeps up");
        waits.handle_passed(crowd(0, 0, true), 0);
        assert!(!waits.holds(9), "its messages go nowhere else any more");
    }
}
