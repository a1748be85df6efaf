//! What is due: time-outs of transports, feedback to publishers, key frames for those who wait, and
//! what the control plane hears now and then.

use ringway_sfu::call::MAX_LAYERS;
use ringway_sfu::call::bandwidth::{Demand, MAX_DEMANDS};
use ringway_sfu::call::route::Pause;
use ringway_sfu::call::source::SourceKind;
use ringway_wire::rtcp::write::{write_nack, write_receiver_report};
use ringway_wire::rtcp::{NackEntry, ReceiverReport, ReportBlock};

use super::{Calls, EVENTS, levels};
use crate::clock::Now;
use crate::shard::Counters;
use crate::slab::SlotId;

/// How often what is due is looked for.
const UPKEEP_NS: u64 = 20_000_000;
/// How often layers, key frames and bandwidth are looked at.
pub(super) const CHECK_NS: u64 = 200_000_000;
/// How often a publisher hears a receiver report (RFC 3550 6.2 lets small groups report often).
const REPORT_NS: u64 = 1_000_000_000;
/// Entries of one NACK: 17 packets each.
const NACK_ENTRIES: usize = 32;

impl Calls {
    /// Does what is due; often enough that nothing is late by more than 20 ms.
    pub fn handle_time(&mut self, now: Now, counters: &mut Counters) {
        if self.is_idle() || now.mono_ns < self.next_upkeep_ns {
            return;
        }
        self.next_upkeep_ns = now.mono_ns + UPKEEP_NS;
        self.movers.renew();
        let check = now.mono_ns >= self.next_check_ns;
        if check {
            self.next_check_ns = now.mono_ns + CHECK_NS;
            self.end_disowned(now);
        }
        self.due_ns = self.next_check_ns;
        self.calm_until_ns.resize(self.sessions.slots() as usize, 0);
        for slot in 0..self.sessions.slots() {
            if self.is_calm(now, check, slot) {
                self.stay_calm(slot);
                continue;
            }
            if let Some(id) = self.sessions.id_at(slot) {
                self.keep_session(now, id);
                if check {
                    self.weigh(now, id);
                }
            }
        }
        self.keep_data(now, check, counters);
        if check {
            for slot in 0..self.streams.slots() {
                if let Some(id) = self.streams.id_at(slot) {
                    self.check_stream(now, id);
                }
            }
            self.tell_quality(now);
        }
        self.keep_fading(now);
        self.tell_speakers(now);
    }

    fn keep_session(&mut self, now: Now, id: SlotId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let due = session.transport.deadline(now.mono_ns).is_some_and(|at| at <= now.mono_ns);
        if due {
            session.transport.handle_timeout(now.mono_ns);
        }
        let (ours, theirs) = (session.ssrc, session.recorded_ssrc);
        let mut said = due;
        if let Some(mut recorder) = session.recorder.take() {
            said |= session.put_last_rtcp(|out| {
                recorder.poll_feedback(now.mono_ns, ours, theirs, out).ok_or(())
            });
            session.recorder = Some(recorder);
        }
        for source in 0..session.sources.len() {
            let Some(stream) = self.streams.get_mut(session.sources[source]) else { continue };
            for (layer, store) in stream.source.layers().iter().zip(&mut stream.stores) {
                let Some((ssrc, nack)) = layer.ssrc.zip(store.nack.as_mut()) else { continue };
                if session.round_trip_ns > 0 {
                    nack.set_round_trip(session.round_trip_ns);
                }
                let mut entries = [NackEntry::default(); NACK_ENTRIES];
                let used = nack.poll_nack(now.mono_ns, &mut entries);
                if used > 0 {
                    said |= session.put_rtcp(|out| write_nack(out, ours, ssrc, &entries[..used]));
                }
            }
        }
        if now.mono_ns >= session.next_report_ns && !session.sources.is_empty() {
            session.next_report_ns = now.mono_ns + REPORT_NS;
            if self.report(now, id) {
                said = true;
                self.ask_round_trip(now, id);
            }
        }
        if said {
            self.mark_dirty(id);
        }
    }

    /// Reports to a publisher how its media came.
    fn report(&mut self, now: Now, id: SlotId) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let mut said = false;
        for source in 0..session.sources.len() {
            let Some(stream) = self.streams.get_mut(session.sources[source]) else { continue };
            let mut blocks = [ReportBlock::default(); MAX_LAYERS];
            let mut count = 0;
            for at in 0..MAX_LAYERS as u8 {
                let Some(layer) = stream.source.layer_mut(at) else { continue };
                let Some((ssrc, (loss, jitter, highest))) = layer.ssrc.zip(layer.reception())
                else {
                    continue;
                };
                let report = layer.report();
                blocks[count] = ReportBlock {
                    ssrc,
                    fraction_lost: loss.fraction,
                    cumulative_lost: loss.cumulative.clamp(-0x80_0000, 0x7f_ffff) as i32,
                    extended_highest_sequence: highest,
                    jitter,
                    last_sr: report.map_or(0, |report| (report.ntp >> 16) as u32),
                    delay_since_last_sr: report.map_or(0, |report| {
                        let age_ns = now.mono_ns.saturating_sub(report.at_ns);
                        ((u128::from(age_ns) << 16) / 1_000_000_000) as u32
                    }),
                };
                count += 1;
            }
            let ours = session.ssrc;
            if count > 0 {
                said |= session.put_report(|out| {
                    write_receiver_report(out, &ReceiverReport { ssrc: ours }, &blocks[..count])
                });
            }
        }
        said
    }

    /// Gives each of a subscriber's routes what its path affords.
    fn weigh(&mut self, now: Now, id: SlotId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.cap.handle_time(now.mono_ns);
        let limits = [session.cap.bps(now.mono_ns), session.limit_bps];
        let cap = limits.into_iter().flatten().min();
        if session.routes.is_empty() || cap.is_none() && session.bandwidth.budget_bps().is_none() {
            return;
        }
        let mut demands = [Demand::default(); MAX_DEMANDS];
        let mut routes = [None; MAX_DEMANDS];
        let mut count = 0;
        for (_, route) in &session.routes {
            let Some(subscription) = self.subscriptions.get(*route) else { continue };
            let Some(stream) = self.streams.get(subscription.stream) else { continue };
            let idle = subscription.route.pause() != Pause::default();
            if !subscription.video || idle || count == MAX_DEMANDS {
                continue;
            }
            let mut demand = Demand::default();
            for (layer, to) in demand.layer_bps.iter_mut().enumerate() {
                *to = stream.source.layer_bps(now.mono_ns, layer);
            }
            demand.wanted = subscription.route.limits().max_layer;
            demand.screen = stream.source.kind() == SourceKind::Screen;
            (demands[count], routes[count]) = (demand, Some(*route));
            count += 1;
        }
        let mut layers = [u8::MAX; MAX_DEMANDS];
        session.bandwidth.weigh(now.mono_ns, cap, &demands[..count], &mut layers[..count]);
        for ((route, layer), demand) in routes.iter().flatten().zip(layers).zip(&demands) {
            if let Some(subscription) = self.subscriptions.get_mut(*route) {
                subscription.set_affordable(layer);
                subscription.told.note_lacking(demand.lacking(layer));
            }
        }
    }

    fn check_stream(&mut self, now: Now, id: SlotId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        for store in &mut stream.stores {
            if let Some(history) = &mut store.history {
                history.expire(now.mono_ns, &mut self.pool);
            }
            if let Some(recovery) = &mut store.recovery {
                recovery.expire(now.mono_ns, &mut self.pool);
            }
        }
        if stream.source.handle_time(now.mono_ns) {
            self.tell_layers(id);
        }
        self.ask_for_waiting(now, id);
        self.keep_mirrors(now, id);
    }

    /// Asks for the key frames that routes of a source wait for.
    pub(super) fn ask_for_waiting(&mut self, now: Now, id: SlotId) {
        let Some(stream) = self.streams.get(id) else { return };
        let mut wanted = [false; MAX_LAYERS];
        for route in &stream.routes {
            let Some(subscription) = self.subscriptions.get_mut(*route) else { continue };
            // Hundreds do not wait: nothing else of them is looked at.
            if !subscription.route.waits() {
                continue;
            }
            let session = self.sessions.get(subscription.session);
            let round_trip_ns = session.map_or(0, |session| session.round_trip_ns);
            if let Some(layer) = subscription.route.poll_key_frame(now.mono_ns, round_trip_ns)
                && let Some(wanted) = wanted.get_mut(usize::from(layer))
            {
                *wanted = true;
            }
        }
        for (layer, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            self.ask_key_frame(now, id, layer as u8);
        }
    }

    fn tell_speakers(&mut self, now: Now) {
        let events = &mut self.events;
        for (key, room) in &mut self.rooms {
            let news = room.speakers.poll_speakers(now.mono_ns).is_some();
            self.due_ns = self.due_ns.min(room.speakers.deadline());
            if !news {
                continue;
            }
            for event in levels::told(*key, room.speakers.speakers()) {
                // What finds no room is as lost as in a full lane.
                if events.len() < EVENTS {
                    events.push_back(event);
                }
            }
        }
    }
}
