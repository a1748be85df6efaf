//! Sections whose track is no longer wanted, while the client gets silence or black in them.
//!
//! The data plane sends these for a moment after a route has ended. A section that is offered
//! empty before that makes them a stream that no section declares: pion tells its application of a
//! track without a name, and keeps a receiver of it for good. LiveKit waits as well.

use ringway_room::calls::TrackSid;
use ringway_sdp::{Description, SendTrack};

use super::Session;

/// How long a section stays as it is: the 200 ms of the data plane (`sfu/call/blank`), and what a
/// command needs to get there. Higher: clients see later that a track has ended; lower: the last
/// packets find no section.
const FADE_MS: u64 = 250;

/// A section that is not empty yet.
#[derive(Debug)]
pub(super) struct Fading {
    track: TrackSid,
    mid: String,
    sent: SendTrack,
    /// None until time is told.
    until_ms: Option<u64>,
}

impl Session {
    /// Takes the section from a track that has been sent, and is no longer.
    pub(super) fn fade(&mut self, track: TrackSid) {
        let sync_streams = self.sync_streams;
        let gone = self.subscriptions.get_mut(&track).filter(|one| one.is_sent());
        let Some(gone) = gone.filter(|_| !self.one_shot) else { return };
        let sent = gone.send_track(sync_streams);
        if let Some(mid) = gone.mid.take() {
            self.negotiation.fading.push(Fading { track, mid, sent, until_ms: None });
        }
    }

    /// Whether the last of a track is still on its way. What is sent of it anew waits for that, so
    /// that no two sections carry the same track.
    pub(super) fn fades(&self, track: TrackSid) -> bool {
        self.negotiation.fading.iter().any(|fading| fading.track == track)
    }

    /// What the answer to an offer sends besides what is wanted (single connection), unless the
    /// client has stopped it by itself.
    pub(super) fn fading_sends(&self, offer: &Description) -> Vec<(String, SendTrack)> {
        let takes = |fading: &&Fading| {
            let mut takers = offer.sections.iter().filter(|section| section.direction.receives());
            takers.any(|section| section.mid == fading.mid && !section.is_rejected())
        };
        let fading = self.negotiation.fading.iter().filter(takes);
        fading.map(|fading| (fading.mid.clone(), fading.sent.clone())).collect()
    }

    /// Empties the sections whose time is over.
    pub(super) fn end_fading(&mut self, now_ms: u64) {
        let mut over = Vec::new();
        self.negotiation.fading.retain_mut(|fading| {
            let is_over = *fading.until_ms.get_or_insert(now_ms + FADE_MS) <= now_ms;
            if is_over {
                over.push((fading.track, std::mem::take(&mut fading.mid)));
            }
            !is_over
        });
        for (track, mid) in over {
            self.negotiation.leave_section(&mid, self.single);
            self.want_negotiation(now_ms);
            if self.lacks_section(track) && !self.give_section(track) {
                self.find_no_section(track);
            }
        }
    }

    /// Whether a track waits for a section of our next offer.
    fn lacks_section(&self, track: TrackSid) -> bool {
        !self.single && self.subscriptions.get(&track).is_some_and(|one| one.mid.is_none())
    }
}

/// When the next section is to be emptied.
pub(super) fn deadline(fading: &[Fading]) -> Option<u64> {
    fading.iter().map(|fading| fading.until_ms.unwrap_or(0)).min()
}
