//! How well media travelled lately, for the control plane: of each source by what came, of each
//! route by what its receiver reports.

use ringway_abi::call::{CallEvent, Subject};

use super::Calls;
use super::upkeep::CHECK_NS;
use crate::clock::Now;
use crate::slab::SlotId;

/// How often one source or route is told of. LiveKit's interval: scores are tuned to it.
const QUALITY_NS: u64 = 5_000_000_000;

/// Sources and routes are told of in so many parts, one at each check, so that a full shard's news
/// do not come all at once.
const PARTS: u32 = (QUALITY_NS / CHECK_NS) as u32;

/// A receiver that reports nothing for so long of what it is sent has a bad connection. LiveKit's.
const UNANSWERED_NS: u64 = 30_000_000_000;

/// What is noted of a route between two times that it is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteQuality {
    /// Layers that it lacked, summed up over checks.
    lacking: u32,
    /// Packets that had been sent by then.
    packets: u64,
    /// Since when packets were sent in each interval.
    sends_since_ns: Option<u64>,
}

impl RouteQuality {
    /// Notes at a check how many layers the route lacks for want of bandwidth.
    pub(super) fn note_lacking(&mut self, layers: u8) {
        self.lacking += u32::from(layers);
    }

    /// Ends an interval in which `packets` had been sent at last; ‰ of a layer that it lacked.
    fn end_interval(&mut self, now_ns: u64, packets: u64) -> u16 {
        let sends = packets > std::mem::replace(&mut self.packets, packets);
        self.sends_since_ns = if sends { self.sends_since_ns.or(Some(now_ns)) } else { None };
        let permille = std::mem::take(&mut self.lacking) * 1_000 / PARTS;
        u16::try_from(permille).unwrap_or(u16::MAX)
    }

    /// Whether the receiver, which reported last at `reported_ns`, has let us wait for too long.
    fn is_unanswered(&self, now_ns: u64, reported_ns: u64) -> bool {
        let since_ns = self.sends_since_ns.map(|since_ns| since_ns.max(reported_ns));
        since_ns.is_some_and(|since_ns| now_ns.saturating_sub(since_ns) > UNANSWERED_NS)
    }
}

impl Calls {
    /// Tells of the sources and routes whose turn it is.
    pub(super) fn tell_quality(&mut self, now: Now) {
        self.checks = self.checks.wrapping_add(1);
        let first = self.checks % PARTS;
        for slot in (first..self.streams.slots()).step_by(PARTS as usize) {
            if let Some(id) = self.streams.id_at(slot) {
                self.tell_source(now, id);
            }
        }
        for slot in (first..self.subscriptions.slots()).step_by(PARTS as usize) {
            self.tell_route(now, slot);
        }
    }

    fn tell_source(&mut self, now: Now, id: SlotId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.mirrored.is_some() {
            return;
        }
        let news = stream.source.end_interval(now.mono_ns);
        let mut whole: Option<(u32, u32)> = None;
        for at in 0..stream.source.layers().len() as u8 {
            let Some(layer) = stream.source.layer_mut(at) else { continue };
            let Some((expected, lost)) = layer.end_interval() else { continue };
            let sum = whole.get_or_insert_default();
            *sum = (sum.0.saturating_add(expected), sum.1.saturating_add(lost));
        }
        let session = self.sessions.get(stream.session);
        let heard = session.is_some_and(|one| one.transport.is_heard(now.mono_ns, QUALITY_NS));
        if let Some((expected, lost)) = whole.filter(|_| !stream.muted) {
            let subject = Subject::Source(stream.key);
            let lacking_permille = 0;
            self.tell(CallEvent::Quality { subject, expected, lost, heard, lacking_permille });
        }
        if news {
            self.tell_layers(id);
        }
    }

    fn tell_route(&mut self, now: Now, slot: u32) {
        let id = self.subscriptions.id_at(slot);
        let Some(subscription) = id.and_then(|id| self.subscriptions.get_mut(id)) else { return };
        let packets = subscription.route.counts.packets;
        let lacking_permille = subscription.told.end_interval(now.mono_ns, packets);
        let repaired = std::mem::take(&mut subscription.repaired);
        let reported_ns = subscription.answers.reported.map_or(0, |reported| reported.at_ns);
        let (expected, lost) = match subscription.answers.end_interval() {
            Some(interval) => interval,
            None if subscription.told.is_unanswered(now.mono_ns, reported_ns) => (0, 0),
            None => return,
        };
        // Receivers count what came again as lost.
        let lost = lost.saturating_sub(repaired);
        let subject = Subject::Route(subscription.key);
        let heard = true;
        self.tell(CallEvent::Quality { subject, expected, lost, heard, lacking_permille });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn who_reports_nothing_of_what_it_is_sent_is_noticed() {
        // What was sent in each window of 5 s, when the receiver reported last, and whether that is
        // too long ago.
        let check = |rows: &[(u64, u64, bool)]| {
            let (mut quality, mut packets) = (RouteQuality::default(), 0);
            for (window, (sent, reported_s, expect)) in (1..).zip(rows) {
                packets += sent;
                quality.end_interval(window * 5 * S, packets);
                let found = quality.is_unanswered(window * 5 * S, reported_s * S);
                assert_eq!(found, *expect, "{rows:?} {window}");
            }
        };
        let silent = (9, 0, false);
        check(&[silent, silent, silent, silent, silent, silent, silent, (9, 0, true)]);
        check(&[silent, silent, silent, silent, silent, silent, silent, (9, 36, false)]);
        check(&[silent, silent, silent, (0, 0, false), silent, silent, silent, silent, silent]);
    }

    #[test]
    fn lacking_layers_are_averaged() {
        let mut quality = RouteQuality::default();
        (0..PARTS).for_each(|_| quality.note_lacking(2));
        assert_eq!(quality.end_interval(0, 0), 2_000);
        quality.note_lacking(1);
        assert_eq!(quality.end_interval(0, 0), 1_000 / PARTS as u16);
        assert_eq!(quality.end_interval(0, 0), 0);
    }
}
