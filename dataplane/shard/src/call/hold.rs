//! Adaptive hold: packets of several sounds wait a little for each other, so that what one
//! subscriber gets of them leaves in one run.
//!
//! A packet of sound is small, and sending it costs as much as sending ten of them in one run. A
//! shard with time to spare sends at once; as it gets busier it holds sound back for longer, up to
//! a bound, and so gets less busy just when it matters. Pictures never wait: their packets come in
//! runs already.
//!
//! Runs need packets of one length, so shorter ones get a few octets of padding (RFC 3550 5.1).
//! How many is decided once per packet of a source and remembered for as long as it may be asked
//! for again: without RTX a repetition must be the same octets.

use ringway_abi::counters::Counter;
use ringway_proto::history::AUDIO_PACKETS;
use ringway_sfu::call::source::SourceKind;

use super::Calls;
use super::outlet::{Growing, Sending, reported};
use super::padding::MOST_SOUND_OCTETS;
use super::stream::{Queued, Stream};
use crate::clock::Now;
use crate::egress::Batch;
use crate::shard::Counters;
use crate::slab::SlotId;

/// A shard that is busier than it must be to hold anything back, by so much, ‰ of one core, holds
/// back for as long as it may. Lowered, latency jumps from turn to turn.
const RISE: u64 = 200;
/// So many packets that wait leave at once: what is sealed at once must not take too long.
const MOST_PACKETS: usize = 512;
/// The share of its own length that a packet may grow by: a quarter of what is small anyway.
const GROWTH: usize = 4;

/// The padding of each packet of a sound that can still be asked for, by its number.
pub(super) type Pads = Box<[u8; AUDIO_PACKETS]>;

/// The sound that waits, and for how long.
#[derive(Debug, Default)]
pub(super) struct Hold {
    bound_ns: u64,
    /// A shard less busy than this holds nothing back.
    from_permille: u64,
    length_ns: u64,
    busy_permille: u64,
    streams: Vec<SlotId>,
    packets: usize,
    due_ns: Option<u64>,
    sends: Vec<Share>,
    at: usize,
    packet: usize,
    /// Lengths of the packets that wait, then those that others are padded to.
    lengths: Vec<u16>,
}

/// What one subscriber gets of one sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    session: u64,
    /// Place of the sound among those that wait.
    order: u32,
    route: u64,
}

impl Hold {
    /// Lets sound wait for at most `ns` where the shard is busier than `from_permille` of a core;
    /// 0 ns: it never waits; from 0 ‰ on: always, and for all of it.
    pub(super) fn set_bound(&mut self, ns: u64, from_permille: u32) {
        (self.bound_ns, self.from_permille) = (ns, from_permille.into());
        self.observe(self.busy_permille as u32);
    }

    /// Whether sound may ever wait.
    pub(super) fn is_on(&self) -> bool {
        self.bound_ns > 0
    }

    /// What a source must remember whose packets may wait.
    pub(super) fn pads(&self, kind: SourceKind) -> Option<Pads> {
        (kind == SourceKind::Audio && self.is_on()).then(|| Box::new([0; AUDIO_PACKETS]))
    }

    /// How busy the shard was since the last call, ‰ of one core.
    pub(super) fn observe(&mut self, busy_permille: u32) {
        // An average over about eight of them: one busy moment is no load.
        self.busy_permille = (self.busy_permille * 7 + u64::from(busy_permille)) / 8;
        self.length_ns = match self.from_permille {
            // The operator would rather have the time of the core, always.
            0 => self.bound_ns,
            from => self.bound_ns * self.busy_permille.saturating_sub(from).min(RISE) / RISE,
        };
    }

    /// When what waits must leave.
    pub(super) fn due_ns(&self) -> Option<u64> {
        self.due_ns
    }

    /// Makes room for `routes` shares, so that no packet has to.
    pub(super) fn reserve(&mut self, streams: usize, routes: usize) {
        if self.is_on() {
            self.streams.reserve(streams.saturating_sub(self.streams.len()));
            self.sends.reserve(routes.saturating_sub(self.sends.len()));
            self.lengths.reserve(MOST_PACKETS.saturating_sub(self.lengths.len()));
        }
    }

    /// Whether `stream` waits with its packets of this turn.
    fn takes(&mut self, now: Now, id: SlotId, stream: &mut Stream) -> bool {
        if stream.source.kind().is_video() || (self.length_ns == 0 && !stream.held) {
            return false;
        }
        if !std::mem::replace(&mut stream.held, true) {
            self.streams.push(id);
        }
        self.packets += stream.fresh;
        stream.fresh = 0;
        stream.touched = false;
        let due_ns = *self.due_ns.get_or_insert(now.mono_ns + self.length_ns);
        if self.packets >= MOST_PACKETS {
            self.due_ns = Some(due_ns.min(now.mono_ns));
        }
        true
    }

    /// Chooses the lengths that packets are padded to: the longest, and below it each that no
    /// longer one may be reached from.
    fn choose_lengths(&mut self) {
        self.lengths.sort_unstable_by(|one, other| other.cmp(one));
        let mut kept = 0;
        for at in 0..self.lengths.len() {
            let len = self.lengths[at];
            if kept == 0 || padding(len, self.lengths[kept - 1]).is_none() {
                self.lengths[kept] = len;
                kept += 1;
            }
        }
        self.lengths.truncate(kept);
    }
}

/// The octets that make a packet of `len` as long as `goal`, if so many may be added.
fn padding(len: u16, goal: u16) -> Option<u8> {
    let missing = goal.checked_sub(len)?;
    let most = MOST_SOUND_OCTETS.min(usize::from(len) / GROWTH);
    (usize::from(missing) <= most).then_some(missing as u8)
}

fn len_of(queued: &Queued) -> u16 {
    u16::try_from(queued.prepared.payload().len()).unwrap_or(u16::MAX)
}

impl Calls {
    /// Lets packets of sound wait for each other when the shard is busier than `from_permille` of a
    /// core: the longer the busier it is, for at most `ns` from 200 ‰ more on. 0 ns: they never
    /// wait; from 0 ‰ on: always for `ns`. To be called before there are sources.
    pub fn hold_sound(&mut self, ns: u64, from_permille: u32) {
        self.hold.set_bound(ns, from_permille);
    }

    /// How busy this shard was since the last call, ‰ of one core.
    pub fn observe_busy(&mut self, permille: u32) {
        self.hold.observe(permille);
    }

    /// When [`Self::poll_transmit`] has something to send that waits now, ns of the monotonic
    /// clock.
    pub fn held_until(&self) -> Option<u64> {
        self.hold.due_ns()
    }

    /// Whether the packets of a stream wait, rather than be sent now.
    pub(super) fn hold_back(&mut self, now: Now, id: SlotId) -> bool {
        self.streams.get_mut(id).is_some_and(|stream| self.hold.takes(now, id, stream))
    }

    /// Sends what has waited long enough; `false` when the batch is full.
    pub(super) fn send_held(
        &mut self,
        now: Now,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        if self.hold.due_ns.is_none_or(|due_ns| due_ns > now.mono_ns) {
            return true;
        }
        if self.hold.sends.is_empty() {
            self.share_held(now, counters);
        }
        if !self.send_shares(now, batch, counters) {
            return false;
        }
        let streams = std::mem::take(&mut self.hold.streams);
        for id in &streams {
            self.note_deliveries(*id);
            if let Some(stream) = self.streams.get_mut(*id) {
                stream.queued.clear();
                stream.report = None;
                stream.held = false;
            }
        }
        let hold = &mut self.hold;
        hold.streams = streams;
        hold.streams.clear();
        hold.sends.clear();
        (hold.at, hold.packet, hold.packets, hold.due_ns) = (0, 0, 0, None);
        true
    }

    /// Finds who gets what of the sound that waits, subscriber by subscriber, and how long its
    /// packets are to be.
    fn share_held(&mut self, now: Now, counters: &mut Counters) {
        let Self { hold, streams, subscriptions, .. } = self;
        hold.lengths.clear();
        for stream in hold.streams.iter().filter_map(|id| streams.get(*id)) {
            let room = MOST_PACKETS.saturating_sub(hold.lengths.len());
            hold.lengths.extend(stream.queued.iter().take(room).map(len_of));
            for queued in &stream.queued {
                counters.add(Counter::HeldPackets, 1);
                let waited_ns = now.unix_ns.saturating_sub(queued.kernel_ns);
                counters.add(Counter::HeldNs, waited_ns);
            }
        }
        hold.choose_lengths();
        for id in &hold.streams {
            if let Some(stream) = streams.get_mut(*id) {
                stream.pad_to(&hold.lengths);
            }
        }
        // The longest first: a run ends with the first packet that is shorter.
        hold.streams.sort_unstable_by_key(|id| {
            let longest = |stream: &Stream| {
                stream.queued.iter().map(|one| len_of(one) + u16::from(one.padding)).max()
            };
            std::cmp::Reverse(streams.get(*id).and_then(longest))
        });
        for (order, id) in (0..).zip(&hold.streams) {
            let routes = streams.get(*id).map_or(&[][..], |stream| &stream.routes);
            hold.sends.extend(routes.iter().filter_map(|route| {
                let session = subscriptions.get(*route)?.session.bits();
                Some(Share { session, order, route: route.bits() })
            }));
        }
        hold.sends.sort_unstable();
    }

    /// Goes on sending shares; `false` when the batch is full.
    fn send_shares(&mut self, now: Now, batch: &mut Batch, counters: &mut Counters) -> bool {
        let Self { hold, streams, subscriptions, sessions, pool, .. } = self;
        let mut sending = Sending::new(now, batch, counters, pool);
        let mut run = Growing::default();
        let mut to = None;
        while let Some(share) = hold.sends.get(hold.at).copied() {
            let ids = (SlotId::from_bits(share.session), SlotId::from_bits(share.route));
            let stream = hold.streams.get(share.order as usize).and_then(|id| streams.get_mut(*id));
            if let (Some(stream), Some(session), Some(subscription)) =
                (stream, sessions.get_mut(ids.0), subscriptions.get_mut(ids.1))
                && session.target.is_some()
            {
                if to != session.target {
                    sending.end_run(&mut run, to);
                    to = session.target;
                }
                let full = !sending.grow(stream, subscription, session, &mut hold.packet, &mut run);
                if full {
                    sending.end_run(&mut run, to);
                    return false;
                }
                if let Some(layer) = reported(stream, subscription)
                    && subscription.answers.report_is_due(now.mono_ns)
                {
                    sending.end_run(&mut run, to);
                    if !sending.send_report(stream, layer, subscription, session) {
                        return false;
                    }
                }
            }
            hold.at += 1;
            hold.packet = 0;
        }
        sending.end_run(&mut run, to);
        true
    }
}

impl Stream {
    /// Pads the packets that wait to the least of `lengths` that each may reach, and remembers it.
    fn pad_to(&mut self, lengths: &[u16]) {
        let Some(pads) = &mut self.pads else { return };
        for queued in &mut self.queued {
            let len = len_of(queued);
            let octets = lengths.iter().rev().find_map(|goal| padding(len, *goal));
            queued.padding = octets.unwrap_or(0);
            pads[usize::from(queued.prepared.sequence) % AUDIO_PACKETS] = queued.padding;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busier_shard_holds_for_longer() {
        // Busy, ‰, and the hold of a bound of 4 ms that it comes to.
        for (busy, expect_us) in [(0, 0), (50, 0), (150, 2_000), (250, 4_000), (1_000, 4_000)] {
            let mut hold = Hold::default();
            hold.set_bound(4_000_000, 50);
            for _ in 0..200 {
                hold.observe(busy);
            }
            // The average stays a little below.
            let found_us = hold.length_ns / 1_000;
            assert!(found_us.abs_diff(expect_us) <= 160, "{busy} ‰: {found_us} µs");
        }
        let mut always = Hold::default();
        always.set_bound(4_000_000, 0);
        always.observe(0);
        assert_eq!(always.length_ns, 4_000_000, "it is not asked for how busy it is");
        let mut off = Hold::default();
        off.set_bound(0, 50);
        off.observe(1_000);
        assert_eq!((off.length_ns, off.is_on()), (0, false));
    }

    #[test]
    fn lengths_are_few_and_near() {
        let rows: [(&[u16], &[u16]); 4] = [
            (&[], &[]),
            (&[100, 98, 90, 81, 80], &[100]),
            (&[100, 79, 60, 3], &[100, 79, 60, 3]),
            (&[160, 140, 130, 120], &[160, 130]),
        ];
        for (came, expect) in rows {
            let mut hold =
                Hold { lengths: came.iter().rev().copied().collect(), ..Hold::default() };
            hold.choose_lengths();
            assert_eq!(hold.lengths, expect, "{came:?}");
        }
        assert_eq!(padding(80, 100), Some(20));
        assert_eq!(padding(79, 100), None);
        assert_eq!(padding(101, 100), None);
        assert_eq!(padding(1_000, 1_024), Some(24));
        assert_eq!(padding(1_000, 1_025), None);
    }
}
