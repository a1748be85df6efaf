//! How long packets are under way between a peer and us, and back.
//!
//! A subscriber's receiver reports say so. Who only publishes hears no sender report of ours that
//! it could answer, so it is asked by extended reports (RFC 3611): libwebrtc answers them unasked,
//! and whoever does not know them passes over them. Lost packets are asked for as often as that.

use ringway_wire::ntp;
use ringway_wire::rtcp::write::{write_delay_since, write_reference_time};
use ringway_wire::rtcp::{DelaySince, Extended};

use super::Calls;
use super::session::Session;
use crate::clock::Now;
use crate::slab::SlotId;

/// Longer round trips are no network's.
const MAX_ROUND_TRIP_NS: u64 = 3_000_000_000;

impl Session {
    /// Notes that a packet of ours was answered after so long.
    pub(super) fn note_round_trip(&mut self, round_trip_ns: u64) {
        if round_trip_ns < MAX_ROUND_TRIP_NS {
            // 0 is not known.
            self.round_trip_ns = round_trip_ns.max(1);
        }
    }
}

impl Calls {
    /// Asks a peer how long this takes, with reports that wait.
    pub(super) fn ask_round_trip(&mut self, now: Now, id: SlotId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let ssrc = session.ssrc;
        // It comes back as it was sent, so it may be of the clock that never leaps.
        let time = ntp::from_elapsed_ns(now.mono_ns);
        session.put_rtcp(|out| write_reference_time(out, ssrc, time));
    }

    /// Takes an extended report: answers the peer's question, and hears its answer to ours.
    pub(super) fn handle_extended(
        &mut self,
        now: Now,
        id: SlotId,
        arrival_ns: u64,
        report: &Extended<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let own = session.ssrc;
        for since in report.delays().filter(|since| since.ssrc == own) {
            let arrival = ntp::middle(ntp::from_elapsed_ns(arrival_ns));
            if let Some(trip) = ntp::round_trip(arrival, since.last_reference, since.delay) {
                session.note_round_trip(ntp::short_to_ns(trip));
            }
        }
        let last_reference = report.reference_time().map_or(0, ntp::middle);
        if last_reference == 0 {
            return;
        }
        // Go's client asks under the SSRC of a track that it receives, and looks for the answer
        // there.
        let ssrc = session.route(report.ssrc).map_or(session.ssrc, |_| report.ssrc);
        let delay = ntp::short_from_ns(now.mono_ns.saturating_sub(arrival_ns));
        let since = DelaySince { ssrc: report.ssrc, last_reference, delay };
        if session.put_rtcp(|out| write_delay_since(out, ssrc, &since)) {
            self.mark_dirty(id);
        }
    }
}
