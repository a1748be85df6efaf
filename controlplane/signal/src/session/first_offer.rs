//! The offer that came with the join request, and when it is answered: at once, or once the client
//! has applied it itself.

use livekit_protocol::SessionDescription;

use super::{Session, World};

/// A client that says nothing has applied its offer after this time. Raised: it joins later when it
/// has no candidate to tell; lowered: on a slow machine the answer comes too early.
const APPLY_MS: u64 = 200;

/// What is still to be answered.
#[derive(Debug, Default)]
pub(super) struct FirstOffer {
    pub(super) offer: Option<SessionDescription>,
    pub(super) due_ms: Option<u64>,
}

impl Session {
    /// Answers the offer that came with the join request, if one did; where the client is not ready
    /// for that, later.
    pub fn begin(&mut self, now_ms: u64, world: &dyn World) {
        if !self.client.applies_offer_late() {
            self.answer_first_offer(now_ms, world);
        } else if self.first_offer.offer.is_some() {
            self.first_offer.due_ms = Some(now_ms + APPLY_MS);
        }
    }

    /// The client shows that it is ready for the answer that was held back for it, if one was.
    pub(super) fn answer_held_offer(&mut self, now_ms: u64, world: &dyn World) {
        if self.first_offer.due_ms.is_some() {
            self.answer_first_offer(now_ms, world);
        }
    }

    /// The client has had time enough.
    pub(super) fn answer_due_offer(&mut self, now_ms: u64, world: &dyn World) {
        if self.first_offer.due_ms.is_some_and(|due| due <= now_ms) {
            self.answer_first_offer(now_ms, world);
        }
    }

    fn answer_first_offer(&mut self, now_ms: u64, world: &dyn World) {
        self.first_offer.due_ms = None;
        if let Some(offer) = self.first_offer.offer.take() {
            self.handle_offer(now_ms, &offer, world);
        }
    }
}
