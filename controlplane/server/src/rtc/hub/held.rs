//! What a client that comes back is told of others later, in its order, since it would lose it;
//! [`super::returning`] says why.

use std::collections::VecDeque;
use std::sync::Arc;

use ringway_room::calls::{Notice, ParticipantSid};

/// How long notices are held. The client's own time is 2 s from its join response on, to which the
/// way of that response there and of the first notice back is added. Raised: who comes back sees
/// newcomers later; lowered: over slow ways it misses them.
const HOLDS_MS: u64 = 2_300;
/// Notices held for one client; with more, all go out. Lowered: of a large room that comes back
/// as one, clients miss some.
const HELD_MAX: usize = 4_096;

/// What one client is not told yet.
pub(super) struct Held {
    /// When it is.
    pub(super) until_ms: u64,
    notices: VecDeque<Notice>,
}

impl Held {
    /// Holds from now on.
    pub(super) fn new(now_ms: u64) -> Self {
        Self { until_ms: now_ms.saturating_add(HOLDS_MS), notices: VecDeque::new() }
    }

    /// Whether it is time.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms || self.notices.len() >= HELD_MAX
    }

    /// What waited, in its order.
    pub(super) fn into_notices(self) -> VecDeque<Notice> {
        self.notices
    }

    /// Keeps what is about others; returns what `own` is told at once.
    pub(super) fn keep(&mut self, own: ParticipantSid, notice: Notice) -> Option<Notice> {
        if let Notice::ParticipantUpdate(all) = &notice {
            let (mine, others): (Vec<_>, Vec<_>) =
                all.iter().cloned().partition(|info| info.sid == own);
            if !others.is_empty() {
                self.notices.push_back(Notice::ParticipantUpdate(Arc::new(others)));
            }
            return (!mine.is_empty()).then(|| Notice::ParticipantUpdate(Arc::new(mine)));
        }
        if is_of_others(&notice) {
            self.notices.push_back(notice);
            return None;
        }
        Some(notice)
    }
}

/// Whether a client's application hears of others by it. One that waits for an answer, or whose
/// own media it is about, is not made to wait.
fn is_of_others(notice: &Notice) -> bool {
    match notice {
        Notice::ParticipantUpdate(_)
        | Notice::Subscribe(_)
        | Notice::Unsubscribe { .. }
        | Notice::SubscribedTrackChanged { .. }
        | Notice::ReceiveCodec { .. }
        | Notice::RouteSettings { .. }
        | Notice::StreamState { .. }
        | Notice::SubscriptionPermissionUpdate { .. }
        | Notice::SubscriptionResponse { .. }
        | Notice::DataTrackHandles(_)
        | Notice::DataPermissionUpdate { .. }
        | Notice::SpeakersChanged(_)
        | Notice::RoomUpdate(_) => true,
        Notice::TrackPublished { .. }
        | Notice::TrackUnpublished { .. }
        | Notice::SourceEnded { .. }
        | Notice::TrackMuted { .. }
        | Notice::TrackSubscribed { .. }
        | Notice::SubscribedQuality { .. }
        | Notice::SubscribedAudioCodecs { .. }
        | Notice::DataTrackPublished(_)
        | Notice::DataTrackUnpublished(_)
        | Notice::DataBlobStored { .. }
        | Notice::DataBlob { .. }
        | Notice::ConnectionQuality(_)
        | Notice::RefreshToken(_)
        | Notice::RequestResponse { .. }
        | Notice::CloseSignal
        | Notice::Leave { .. } => false,
    }
}
