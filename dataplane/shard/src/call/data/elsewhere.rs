//! Data of rooms whose participants are on several shards.
//!
//! A shard tells all others when the first of a room's participants exchanges data on it, and when
//! the last one ceases to. A message is judged where it comes in, and goes once to each shard that
//! has participants of its room; there it is kept and handed out as if it had come in there.

use super::pressure::{Crowd, Pressure};
use super::{
    Calls, Counter, Counters, DataPacketView, Kept, Label, Now, Passed, SPARE_BYTES, fan_out,
    has_eased,
};
use crate::call::lanes::{Others, Word};
use crate::slab::SlotId;

use std::collections::HashMap;
use std::hash::BuildHasher;

/// A message on its way to another shard.
#[derive(Debug)]
pub(in crate::call) struct Message {
    room: u64,
    /// The sender's.
    sid: Box<[u8]>,
    label: Label,
    /// As it leaves, with its true sender.
    payload: Box<[u8]>,
    from: Origin,
}

/// Where a message came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    /// The transport, by its shard's own name.
    pub(super) sender: SlotId,
    /// That shard wants to know how its receivers do.
    pub(super) watched: bool,
}

/// By room, the other shards that have participants of it.
pub(super) type Elsewhere = HashMap<u64, Vec<u16>>;

/// By shard and its name for the sender, those here whom it waits for.
pub(super) type Waited = HashMap<(u16, SlotId), Crowd>;

/// Hands a message that was judged to the other shards of its room.
pub(super) fn relay(
    others: &mut Others,
    elsewhere: &Elsewhere,
    room: u64,
    from: &Origin,
    passed: &Passed<'_>,
    counters: &mut Counters,
) {
    for shard in elsewhere.get(&room).into_iter().flatten() {
        let message = Message {
            room,
            sid: passed.sid.into(),
            label: passed.label,
            payload: passed.message.into(),
            from: *from,
        };
        if !others.say(*shard, Word::Data(Box::new(message))) {
            counters.add(Counter::DataSlow, 1);
        }
    }
}

impl Calls {
    /// Somebody of a room exchanges data on another shard.
    pub(in crate::call) fn handle_enter(&mut self, shard: u16, room: u64) {
        let shards = self.data.elsewhere.entry(room).or_default();
        if !shards.contains(&shard) {
            shards.push(shard);
        }
    }

    /// Nobody does any more.
    pub(in crate::call) fn handle_exit(&mut self, shard: u16, room: u64) {
        if let Some(shards) = self.data.elsewhere.get_mut(&room) {
            shards.retain(|known| *known != shard);
            if shards.is_empty() {
                self.data.elsewhere.remove(&room);
            }
        }
    }

    /// Passes a message of another shard on.
    pub(in crate::call) fn handle_message(
        &mut self,
        now: Now,
        shard: u16,
        message: &Message,
        counters: &mut Counters,
    ) {
        let Ok(view) = DataPacketView::parse(&message.payload) else { return };
        let Some(room) = self.data.rooms.get_mut(&message.room) else { return };
        let hasher = &self.data.hasher;
        if view.nonce.is_some_and(|nonce| room.repeats(hasher.hash_one(nonce))) {
            return counters.add(Counter::DataRepeated, 1);
        }
        if message.label == Label::Reliable {
            room.keep(Kept {
                at_ns: now.mono_ns,
                publisher: message.sid.clone(),
                sequence: view.sequence,
                payload: message.payload.clone(),
            });
        }
        let Message { sid, label, payload, from, .. } = message;
        let spare = self.data.waiting_bytes < SPARE_BYTES;
        let shared = Passed { view: &view, sid, label: *label, message: payload, spare };
        let taken =
            fan_out(now, &shared, &room.members, &mut self.sessions, &mut self.dirty, counters);
        if message.label != Label::Reliable {
            return;
        }
        self.data.waiting_bytes += taken.receivers * payload.len();
        let pressure = taken.crowd.pressure();
        if pressure.keeps() {
            self.data.waited.insert((shard, from.sender), taken.crowd);
        } else if !from.watched {
            return;
        }
        self.say_pressure(shard, from.sender, pressure);
    }

    fn say_pressure(&mut self, shard: u16, sender: SlotId, pressure: Pressure) {
        if let Some(lane) = self.others.to(shard) {
            lane.say_surely(Word::Pressure { sender, pressure });
        }
    }

    /// Another shard says how those do that got a message from here.
    pub(in crate::call) fn handle_pressure(
        &mut self,
        now: Now,
        shard: u16,
        sender: SlotId,
        pressure: Pressure,
    ) {
        let session = self.sessions.get_mut(sender);
        if let Some(end) = session.and_then(|session| session.data.as_mut()) {
            end.waits.handle_word(now.mono_ns, shard, pressure);
        }
    }

    /// Lets senders on other shards go on that waited for somebody here who has room again.
    pub(super) fn ease_others(&mut self, now: Now) {
        if self.data.waited.is_empty() {
            return;
        }
        let spare = self.data.waiting_bytes < SPARE_BYTES;
        let sessions = &mut self.sessions;
        let mut eased = Vec::new();
        self.data.waited.retain(|(shard, sender), crowd| {
            let before = crowd.pressure();
            let goes = crowd.ease(|one, firm| has_eased(now, sessions, one, firm, spare));
            if crowd.pressure() != before {
                eased.push((*shard, *sender, crowd.pressure()));
            }
            !goes
        });
        for (shard, sender, pressure) in eased {
            self.say_pressure(shard, sender, pressure);
        }
    }
}
