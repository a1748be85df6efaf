//! Data of rooms whose participants are on several shards.
//!
//! A shard tells all others when the first of a room's participants exchanges data on it, and when
//! the last one ceases to. A message is judged where it comes in, and goes once to each shard that
//! has participants of its room; there it is kept and handed out as if it had come in there.

use super::{
    Calls, Counter, Counters, DataPacketView, Kept, Label, Now, Passed, SPARE_BYTES, fan_out,
};
use crate::call::lanes::{Others, Word};

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
}

/// By room, the other shards that have participants of it.
pub(super) type Elsewhere = HashMap<u64, Vec<u16>>;

/// Hands a message that was judged to the other shards of its room.
pub(super) fn relay(
    others: &mut Others,
    elsewhere: &Elsewhere,
    room: u64,
    passed: &Passed<'_>,
    counters: &mut Counters,
) {
    for shard in elsewhere.get(&room).into_iter().flatten() {
        let message = Message {
            room,
            sid: passed.sid.into(),
            label: passed.label,
            payload: passed.message.into(),
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
        let Message { sid, label, payload, .. } = message;
        let spare = self.data.waiting_bytes < SPARE_BYTES;
        let shared = Passed { view: &view, sid, label: *label, message: payload, spare };
        let taken =
            fan_out(now, &shared, &room.members, &mut self.sessions, &mut self.dirty, counters);
        if message.label == Label::Reliable {
            self.data.waiting_bytes += taken.receivers * payload.len();
        }
    }
}
