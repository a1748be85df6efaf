//! Transports that nobody steers any more: the control plane that opened them is gone, and its
//! successor knows none of them. Their clients come back over new ones; until then media flows on
//! over the old ones, so that the death of a control plane is not seen before its clients return.
//!
//! A disowned transport ends when its client closes it, when it is of no use to anybody any more,
//! or when its time is up. The second lets a client without signalling (WHIP) notice at once that
//! its viewers have moved on.

use super::{Calls, ROUTES, SOURCES, TRANSPORTS};
use crate::clock::Now;
use crate::slab::SlotId;

impl Calls {
    /// Forgets whose everything is: keys mean what the next commands say. What flows may go on for
    /// `linger_ms`.
    pub(super) fn disown(&mut self, now: Now, linger_ms: u32) {
        self.session_of.clear();
        self.stream_of.clear();
        self.subscription_of.clear();
        // The same clients come again while the old transports are still there: a table that is
        // more than half full has no room for both.
        let crowded = self.sessions.len() > TRANSPORTS / 2
            || self.streams.len() > SOURCES / 2
            || self.subscriptions.len() > ROUTES / 2;
        let linger_ns = if crowded { 0 } else { u64::from(linger_ms) * 1_000_000 };
        let until_ns = now.mono_ns.saturating_add(linger_ns);
        for slot in 0..self.sessions.slots() {
            if let Some(session) = self.sessions.at_mut(slot) {
                let earlier_ns = session.disowned_until_ns.unwrap_or(u64::MAX);
                session.disowned_until_ns = Some(until_ns.min(earlier_ns));
            }
        }
        self.any_disowned = true;
        self.end_disowned(now);
    }

    /// Ends disowned transports whose time is up, and those that serve nobody.
    pub(super) fn end_disowned(&mut self, now: Now) {
        if !std::mem::take(&mut self.any_disowned) {
            return;
        }
        for slot in 0..self.sessions.slots() {
            let Some(id) = self.sessions.id_at(slot) else { continue };
            let until_ns = self.sessions.get(id).and_then(|session| session.disowned_until_ns);
            let Some(until_ns) = until_ns else { continue };
            if now.mono_ns >= until_ns || !self.is_of_use(id) {
                self.close_session(now, id);
            }
            self.any_disowned = true;
        }
    }

    /// Whether media flows over a transport, in or out.
    fn is_of_use(&self, id: SlotId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let mut streams = session.sources.iter().filter_map(|source| self.streams.get(*source));
        session.transport.is_connected()
            && (!session.routes.is_empty() || streams.any(|stream| stream.fan_out() > 0))
    }
}
