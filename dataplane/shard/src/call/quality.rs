//! How well media travelled lately, for the control plane: of each source by what came, of each
//! route by what its receiver reports.

use ringway_abi::call::{CallEvent, Subject};

use super::Calls;
use super::upkeep::CHECK_NS;

/// How often one source or route is told of. LiveKit's interval: scores are tuned to it.
const QUALITY_NS: u64 = 5_000_000_000;

/// Sources and routes are told of in so many parts, one at each check, so that a full shard's news
/// do not come all at once.
const PARTS: u32 = (QUALITY_NS / CHECK_NS) as u32;

impl Calls {
    /// Tells of the sources and routes whose turn it is.
    pub(super) fn tell_quality(&mut self) {
        self.checks = self.checks.wrapping_add(1);
        let first = self.checks % PARTS;
        for slot in (first..self.streams.slots()).step_by(PARTS as usize) {
            self.tell_source(slot);
        }
        for slot in (first..self.subscriptions.slots()).step_by(PARTS as usize) {
            self.tell_route(slot);
        }
    }

    fn tell_source(&mut self, slot: u32) {
        let Some(stream) = self.streams.id_at(slot).and_then(|id| self.streams.get_mut(id)) else {
            return;
        };
        if stream.mirrored.is_some() {
            return;
        }
        let clock_hz = stream.source.clock_hz();
        let (mut expected, mut lost, mut jitter_us) = (0_u32, 0_u32, 0);
        for at in 0..stream.source.layers().len() as u8 {
            let Some(layer) = stream.source.layer_mut(at) else { continue };
            let Some(interval) = layer.end_interval() else { continue };
            expected = expected.saturating_add(interval.0);
            lost = lost.saturating_add(interval.1);
            // A layer that fell silent keeps the jitter that it had.
            if interval.0 > 0 {
                jitter_us = layer.jitter_us(clock_hz).max(jitter_us);
            }
        }
        let round_trip_ns = self.sessions.get(stream.session).map_or(0, |s| s.round_trip_ns);
        if expected > 0 && !stream.muted {
            let subject = Subject::Source(stream.key);
            let rtt_us = (round_trip_ns / 1000) as u32;
            self.tell(CallEvent::Quality { subject, expected, lost, jitter_us, rtt_us });
        }
    }

    fn tell_route(&mut self, slot: u32) {
        let id = self.subscriptions.id_at(slot);
        let Some(subscription) = id.and_then(|id| self.subscriptions.get_mut(id)) else { return };
        let interval = subscription.answers.end_interval();
        let repaired = std::mem::take(&mut subscription.repaired);
        let Some((expected, lost)) = interval else { return };
        let Some(stream) = self.streams.get(subscription.stream) else { return };
        let clock_hz = u64::from(stream.source.clock_hz().max(1));
        let jitter = subscription.answers.reported.map_or(0, |reported| reported.jitter);
        let jitter_us = (u64::from(jitter) * 1_000_000 / clock_hz).min(u32::MAX.into()) as u32;
        let round_trip_ns = subscription.answers.round_trip_ns().unwrap_or(0);
        let rtt_us = (round_trip_ns / 1000).min(u32::MAX.into()) as u32;
        // Receivers count what came again as lost.
        let lost = lost.saturating_sub(repaired);
        let subject = Subject::Route(subscription.key);
        self.tell(CallEvent::Quality { subject, expected, lost, jitter_us, rtt_us });
    }
}
