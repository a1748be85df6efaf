//! Messages of data channels: who may send which, and who gets them.
//!
//! A message is looked at once, gets its true sender, and is handed to the SCTP of every member of
//! its room that it is for. What finds no room there is lost to that member alone and counted; no
//! other one waits for it. But who sends faster than even the fastest of its receivers takes it
//! waits itself, so that a file arrives however slow its only receiver is. Reliable messages are
//! kept for a while, for who comes just now or comes back.

mod elsewhere;
mod pressure;

pub(super) use elsewhere::Message;
pub(super) use pressure::{Pressure, Waits};

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use ringway_abi::call::{CallEvent, DataOpening, DataSpec, data_rights};
use ringway_abi::counters::Counter;
use ringway_abi::message::Refusal;
use ringway_proto::sctp::{Incoming, Label, Opening, SendRefused, Waiting};
use ringway_wire::data_packet::{Content, DataPacketView, Kind, Sender, user_packet};

use super::Calls;
use super::data_end::DataEnd;
use super::lanes::Word;
use super::session::Session;
use crate::clock::Now;
use crate::shard::Counters;
use crate::slab::{Slab, SlotId};

/// How long a reliable message is kept, and how many bytes of them in one room. LiveKit's values.
const KEEP_NS: u64 = 10_000_000_000;
const KEEP_BYTES: usize = 100_000;
/// Nonces that a room remembers. Raised: more memory; lowered: what two servers were asked to say
/// may be said twice.
const NONCES: usize = 128;
/// The longest message that is passed on, bytes: what session descriptions say (LiveKit's value).
const MESSAGE_BYTES: usize = 65_536;
/// What may wait for all receivers of the shard together beyond what each has for itself, bytes.
/// Raised: slow lines cost more memory; lowered: files break on them when many are sent at once.
const SPARE_BYTES: usize = 128 << 20;
/// So many names that nobody has cost their sender as much as a receiver does. Raised: long lists
/// of strangers take more of the shard's time.
const NAMES_PER_RECEIVER: usize = 16;
/// The longest identity.
const IDENTITY_BYTES: usize = 1_024;

/// A reliable message that may be wanted again.
struct Kept {
    at_ns: u64,
    publisher: Box<[u8]>,
    sequence: u32,
    payload: Box<[u8]>,
}

/// A room as far as data goes.
struct DataRoom {
    /// Transports that messages are sent over, and that they come from.
    members: Vec<SlotId>,
    nonces: VecDeque<u64>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
}

impl DataRoom {
    fn keep(&mut self, kept: Kept) {
        self.kept_bytes += kept.payload.len();
        let now_ns = kept.at_ns;
        self.kept.push_back(kept);
        while let Some(oldest) = self.kept.front()
            && (self.kept_bytes > KEEP_BYTES || now_ns.saturating_sub(oldest.at_ns) > KEEP_NS)
        {
            self.kept_bytes -= oldest.payload.len();
            self.kept.pop_front();
        }
    }

    /// Notes a nonce; whether it was there already.
    fn repeats(&mut self, nonce: u64) -> bool {
        if self.nonces.contains(&nonce) {
            return true;
        }
        if self.nonces.len() == NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(nonce);
        false
    }
}

/// Data of all rooms.
#[derive(Default)]
pub(super) struct Data {
    rooms: HashMap<u64, DataRoom>,
    elsewhere: elsewhere::Elsewhere,
    /// Those here whom senders on other shards wait for.
    waited: elsewhere::Waited,
    /// What waits for all members, about.
    waiting_bytes: usize,
    /// The message at hand, with its true sender.
    message: Vec<u8>,
    hasher: RandomState,
}

impl Calls {
    pub(super) fn name_data(
        &mut self,
        now: Now,
        key: u64,
        first: bool,
        part: &[u8],
    ) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        let end = session.data.get_or_insert_with(|| Box::new(DataEnd::new(now.mono_ns)));
        if first {
            end.named.clear();
        }
        if end.named.len() + part.len() > IDENTITY_BYTES {
            return Err(Refusal::Invalid);
        }
        end.named.extend_from_slice(part);
        Ok(())
    }

    pub(super) fn set_data(&mut self, now: Now, spec: &DataSpec) -> Result<(), Refusal> {
        let id = self.session_of.get(&spec.transport).copied().ok_or(Refusal::NoSuchTransport)?;
        let session = self.sessions.get_mut(id).ok_or(Refusal::NoSuchTransport)?;
        let end = session.data.as_mut().filter(|end| !end.named.is_empty() && spec.room != 0);
        let end = end.ok_or(Refusal::Invalid)?;
        let moved = std::mem::replace(&mut end.room, spec.room);
        end.identity.clone_from(&end.named);
        end.sid = spec.sid.as_bytes().to_vec();
        end.rights = spec.rights;
        end.slow_bps = spec.slow_bps.into();
        end.opening = match spec.opening {
            DataOpening::Client => Opening::Peer,
            DataOpening::Shard => Opening::Ours,
            DataOpening::Negotiated => Opening::Negotiated,
        };
        if session.transport.is_connected() {
            end.connect(now, session.transport.dtls_role());
            self.mark_dirty(id);
        }
        if moved != spec.room {
            if let Some(end) = self.sessions.get_mut(id).and_then(|one| one.data.as_mut()) {
                end.joined_ns = now.mono_ns;
            }
            self.leave_data_room(id, moved);
            let room = self.data.rooms.entry(spec.room).or_insert_with(|| DataRoom {
                members: Vec::new(),
                nonces: VecDeque::new(),
                kept: VecDeque::new(),
                kept_bytes: 0,
            });
            room.members.push(id);
            if room.members.len() == 1 {
                self.others.say_all(|| Word::Enter { room: spec.room });
            }
        }
        Ok(())
    }

    /// A transport is gone.
    pub(super) fn leave_data(&mut self, id: SlotId, end: &DataEnd) {
        self.leave_data_room(id, end.room);
        self.data_tracks.leave(&mut self.others, id, end);
    }

    fn leave_data_room(&mut self, id: SlotId, key: u64) {
        let Some(room) = self.data.rooms.get_mut(&key) else { return };
        room.members.retain(|member| *member != id);
        if room.members.is_empty() {
            self.data.rooms.remove(&key);
            self.others.say_all(|| Word::Exit { room: key });
        }
    }

    /// Passes on what a transport's peer has sent, as far as it may.
    pub(super) fn route_data(&mut self, now: Now, id: SlotId, counters: &mut Counters) {
        loop {
            let session = self.sessions.get_mut(id);
            let Some(end) = session.and_then(|session| session.data.as_mut()) else { return };
            let shards = self.data.elsewhere.get(&end.room).map_or(&[][..], Vec::as_slice);
            let behind = self.others.any_is_behind(now.mono_ns, shards);
            let incoming = end.poll_message(now, behind, counters);
            // The peer's word that opens a channel is taken on the way.
            if end.catches_up() {
                let joined_ns = end.joined_ns;
                self.repeat_to(now, id, |kept| kept.at_ns >= joined_ns);
            }
            let Some(incoming) = incoming else { return };
            counters.add(Counter::DataReceived, 1);
            let passed = match incoming.label {
                Label::DataTrack => self.pass_track(now, id, &incoming.payload, counters),
                Label::Reliable | Label::Lossy => self.pass_on(now, id, &incoming, counters),
                Label::Own => {
                    let payload = user_packet(&incoming.payload);
                    let packet = Incoming { label: Label::Reliable, payload };
                    self.pass_on(now, id, &packet, counters)
                }
            };
            let receivers = passed.unwrap_or_else(|reason| {
                counters.add(reason, 1);
                0
            });
            if let Some(end) = self.sessions.get_mut(id).and_then(|one| one.data.as_mut()) {
                end.spend(incoming.payload.len(), receivers);
            }
        }
    }

    /// Judges a message and passes it on; to how many, or what looking for them was worth.
    fn pass_on(
        &mut self,
        now: Now,
        id: SlotId,
        incoming: &Incoming,
        counters: &mut Counters,
    ) -> Result<usize, Counter> {
        let Data { rooms, message, hasher, elsewhere, waiting_bytes, .. } = &mut self.data;
        let session = self.sessions.get_mut(id);
        let end = session.and_then(|session| session.data.as_mut());
        let end = end.ok_or(Counter::DataForbidden)?;
        if !end.may(data_rights::PUBLISH) {
            return Err(Counter::DataForbidden);
        }
        if incoming.payload.len() > MESSAGE_BYTES {
            return Err(Counter::DataMalformed);
        }
        let view = DataPacketView::parse(&incoming.payload).map_err(|_| Counter::DataMalformed)?;
        if view.content == Content::Transcription && !end.may(data_rights::AGENT) {
            return Err(Counter::DataForbidden);
        }
        let room = rooms.get_mut(&end.room).ok_or(Counter::DataForbidden)?;
        let reliable = incoming.label == Label::Reliable;
        if reliable && view.sequence != 0 {
            // Who resumes sends again what it does not know to have arrived.
            if view.sequence <= end.sequence {
                return Err(Counter::DataRepeated);
            }
            end.sequence = view.sequence;
        }
        if view.nonce.is_some_and(|nonce| room.repeats(hasher.hash_one(nonce))) {
            return Err(Counter::DataRepeated);
        }
        let hidden = end.may(data_rights::HIDDEN);
        let agent = end.may(data_rights::AGENT);
        let sender = Sender { identity: &end.identity, sid: &end.sid, hidden, agent };
        // What counts is the channel, not what the packet claims.
        view.write_from(&sender, if reliable { Kind::Reliable } else { Kind::Lossy }, message);
        let (key, sid, watched) = (end.room, end.sid.clone(), end.waits.is_watched(now.mono_ns));
        if reliable {
            room.keep(Kept {
                at_ns: now.mono_ns,
                publisher: sid.as_slice().into(),
                sequence: view.sequence,
                payload: message.as_slice().into(),
            });
        }
        let shared = Passed {
            view: &view,
            sid: &sid,
            label: incoming.label,
            message,
            spare: *waiting_bytes < SPARE_BYTES,
        };
        let taken =
            fan_out(now, &shared, &room.members, &mut self.sessions, &mut self.dirty, counters);
        if reliable {
            *waiting_bytes += taken.receivers * message.len();
        }
        let shards = elsewhere.get(&key).map_or(0, Vec::len);
        if reliable && let Some(end) = self.sessions.get_mut(id).and_then(|one| one.data.as_mut()) {
            end.waits.handle_passed(taken.crowd, shards);
        }
        let from = elsewhere::Origin { sender: id, watched };
        elsewhere::relay(&mut self.others, elsewhere, key, &from, &shared, counters);
        Ok(taken.receivers.max(view.names() / NAMES_PER_RECEIVER))
    }

    /// Lets a sender go on once one of those whom it waits for is no reason to any more.
    fn ease_data(&mut self, now: Now, id: SlotId) {
        let session = self.sessions.get_mut(id);
        let Some(end) = session.and_then(|session| session.data.as_mut()) else { return };
        let mut here = std::mem::take(end.waits.here());
        let spare = self.data.waiting_bytes < SPARE_BYTES;
        here.ease(|receiver, firm| has_eased(now, &mut self.sessions, receiver, firm, spare));
        let session = self.sessions.get_mut(id);
        if let Some(end) = session.and_then(|session| session.data.as_mut()) {
            *end.waits.here() = here;
        }
    }

    /// What is due about data now and then: who waits may go on, what waits is counted again, the
    /// control plane hears what was heard.
    pub(super) fn keep_data(&mut self, now: Now, check: bool, counters: &mut Counters) {
        let mut waiting_bytes = 0;
        for slot in 0..self.sessions.slots() {
            if self.is_calm(now, check, slot) {
                continue;
            }
            let Some(id) = self.sessions.id_at(slot) else { continue };
            self.calm_down(now, id);
            let Some(session) = self.sessions.get_mut(id) else { continue };
            let key = session.key;
            let Some(end) = &mut session.data else { continue };
            let held = end.is_held();
            if end.handle_time(now, counters) || held {
                self.mark_dirty(id);
            }
            if held {
                self.ease_data(now, id);
                self.route_data(now, id, counters);
            }
            let end = self.sessions.get_mut(id).and_then(|one| one.data.as_mut());
            let Some(end) = end.filter(|_| check) else { continue };
            if let Some(association) = &mut end.association {
                association.refresh(now.mono_ns);
                waiting_bytes += association.waiting_bytes();
            }
            if let Some(sequence) = end.poll_heard() {
                self.tell(CallEvent::DataHeard { transport: key, sequence });
            }
        }
        self.keep_tracks(now);
        self.ease_others(now);
        if check {
            self.data.waiting_bytes = waiting_bytes;
        }
    }

    /// Sends a participant's kept messages to a peer again, those after `after`.
    pub(super) fn replay_data(
        &mut self,
        now: Now,
        key: u64,
        publisher: &[u8],
        after: u32,
    ) -> Result<(), Refusal> {
        let id = self.session_of.get(&key).copied().ok_or(Refusal::NoSuchTransport)?;
        self.repeat_to(now, id, |kept| *kept.publisher == *publisher && kept.sequence > after);
        Ok(())
    }

    fn repeat_to(&mut self, now: Now, id: SlotId, wanted: impl Fn(&Kept) -> bool) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(end) = session.data.as_mut() else { return };
        let Some(room) = self.data.rooms.get(&end.room) else { return };
        let fresh = |kept: &&Kept| now.mono_ns.saturating_sub(kept.at_ns) <= KEEP_NS;
        for kept in room.kept.iter().filter(fresh).filter(|kept| wanted(kept)) {
            let Ok(view) = DataPacketView::parse(&kept.payload) else { continue };
            let own = *kept.publisher == *end.sid;
            let hidden = view.content == Content::Metrics && !end.may(data_rights::METRICS);
            if own || hidden || !view.is_for(&end.identity, &end.sid) {
                continue;
            }
            let (label, bytes) = end.form(Label::Reliable, &view, &kept.payload);
            if let Some(association) = &mut end.association {
                let _ = association.send(now.mono_ns, label, bytes, true);
            }
        }
        self.mark_dirty(id);
    }
}

/// A message that everybody it is for shall get.
struct Passed<'a> {
    view: &'a DataPacketView<'a>,
    /// The sender's.
    sid: &'a [u8],
    label: Label,
    message: &'a [u8],
    /// There is memory to spare.
    spare: bool,
}

/// Who has a message now.
#[derive(Default)]
struct Taken {
    /// How many have taken it.
    receivers: usize,
    /// How those do that it was for, if it is reliable.
    crowd: pressure::Crowd,
}

/// Hands a message to every member that it is for. The one place that knows who they are.
fn fan_out(
    now: Now,
    passed: &Passed<'_>,
    members: &[SlotId],
    sessions: &mut Slab<Session>,
    dirty: &mut Vec<SlotId>,
    counters: &mut Counters,
) -> Taken {
    let mut taken = Taken::default();
    for id in members {
        let Some(session) = sessions.get_mut(*id) else { continue };
        let Some(end) = session.data.as_mut() else { continue };
        let metrics = passed.view.content == Content::Metrics;
        if end.sid == passed.sid
            || !end.may(data_rights::DELIVER)
            || metrics && !end.may(data_rights::METRICS)
            || !passed.view.is_for(&end.identity, &end.sid)
        {
            continue;
        }
        let (label, bytes) = end.form(passed.label, passed.view, passed.message);
        // What is lossy gets no more room where it takes a reliable channel.
        let spare = passed.spare && passed.label == Label::Reliable;
        let Some(association) = &mut end.association else { continue };
        match association.send(now.mono_ns, label, bytes, spare) {
            Ok(()) => {
                taken.receivers += 1;
                counters.add(Counter::DataSent, 1);
                if !std::mem::replace(&mut session.dirty, true) {
                    dirty.push(*id);
                }
            }
            // It gets what was kept once its channels are open, and holds nobody until then.
            Err(SendRefused::Closed) => continue,
            Err(SendRefused::Full | SendRefused::Length) => counters.add(Counter::DataSlow, 1),
        }
        if passed.label == Label::Reliable {
            match association.waiting(now.mono_ns, passed.spare) {
                Waiting::Much => taken.crowd.add(*id, end.is_fast()),
                Waiting::Little | Waiting::Some => taken.crowd.add_light(),
                Waiting::Stuck => {}
            }
        }
    }
    taken
}

/// Whether a receiver for which much waited is no reason to wait any more; `firm`: as one that is
/// fast.
fn has_eased(
    now: Now,
    sessions: &mut Slab<Session>,
    receiver: SlotId,
    firm: bool,
    spare: bool,
) -> bool {
    let end = sessions.get_mut(receiver).and_then(|session| session.data.as_mut());
    end.is_none_or(|end| {
        let waiting = end.association.as_mut().map_or(Waiting::Little, |association| {
            association.refresh(now.mono_ns);
            association.waiting(now.mono_ns, spare)
        });
        matches!(waiting, Waiting::Little | Waiting::Stuck) || firm && !end.is_fast()
    })
}
