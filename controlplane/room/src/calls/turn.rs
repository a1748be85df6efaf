//! What one input of [`crate::calls::Calls`] may use: the time, the configuration, and where its
//! consequences go.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use crate::calls::random::Random;
use crate::calls::{Config, Effect, Fact, Notice};
use crate::id::{ParticipantSid, RoomSid, TrackSid};

/// Something that is due at a time. What it was for may be gone or moved by then: whoever is woken
/// looks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A room may have been empty for long enough.
    Idle(RoomSid),
    /// Gathered participant updates go out.
    Batch(RoomSid),
    /// A room's changed counts go out.
    RoomUpdate(RoomSid),
    /// A room looks at how well everybody is connected.
    Quality(RoomSid),
    /// A participant must have become active.
    Active(ParticipantSid),
    /// A participant's media must have come back.
    Departure(ParticipantSid),
    /// A participant gets a fresh token.
    Refresh(ParticipantSid),
    /// A subscriber may have waited long enough for tracks that do not exist.
    Awaited(ParticipantSid),
    /// A participant may have pretended to speak for long enough.
    Pretence(ParticipantSid),
    /// Layers of a track may have been unwanted for long enough.
    Demand(TrackSid),
}

/// What comes out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) effects: VecDeque<Effect>,
    pub(crate) timers: BinaryHeap<Reverse<(u64, Timer)>>,
}

/// Which room somebody or something is in.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) participants: HashMap<ParticipantSid, RoomSid>,
    pub(crate) tracks: HashMap<TrackSid, RoomSid>,
}

/// See the module's description.
pub(crate) struct Turn<'a> {
    pub(crate) now_ms: u64,
    pub(crate) config: &'a Config,
    pub(crate) out: &'a mut Outbox,
    pub(crate) index: &'a mut Index,
    pub(crate) random: &'a mut Random,
}

impl Turn<'_> {
    /// Unix time, ms.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.config.unix_start_ms.saturating_add(self.now_ms)
    }

    pub(crate) fn tell(&mut self, to: ParticipantSid, notice: Notice) {
        self.out.effects.push_back(Effect::ToParticipant(to, notice));
    }

    pub(crate) fn tell_all(&mut self, mut to: Vec<ParticipantSid>, notice: Notice) {
        match to.len() {
            0 => {}
            1 => self.tell(to.swap_remove(0), notice),
            _ => self.out.effects.push_back(Effect::ToParticipants(to, notice)),
        }
    }

    pub(crate) fn fact(&mut self, fact: Fact) {
        self.out.effects.push_back(Effect::Fact(fact));
    }

    /// Wakes up after so long.
    pub(crate) fn after(&mut self, delay_ms: u64, timer: Timer) {
        let at_ms = self.now_ms.saturating_add(delay_ms);
        self.out.timers.push(Reverse((at_ms, timer)));
    }
}
