//! When upkeep has something to do: a shard whose peers are quiet sleeps until then, and passes over
//! those for whom nothing is due.

use super::Calls;
use super::session::Session;
use super::stream::Stream;
use crate::clock::Now;
use crate::slab::{Slab, SlotId};

impl Calls {
    /// When [`Calls::handle_time`] has something to do next, ns; 0: as soon as it may.
    pub fn due_ns(&self) -> u64 {
        if self.is_idle() {
            return u64::MAX;
        }
        // Whoever has something to say gets a turn of its own if no other comes.
        if self.dirty.is_empty() { self.due_ns } else { 0 }
    }

    /// Whether a session can be passed over. At a check none is: whatever was missed waits for no
    /// longer.
    pub(super) fn is_calm(&self, now: Now, check: bool, slot: u32) -> bool {
        let until_ns = self.calm_until_ns.get(slot as usize);
        !check && until_ns.is_some_and(|until_ns| *until_ns > now.mono_ns)
    }

    /// Passes over a session until it is due.
    pub(super) fn stay_calm(&mut self, slot: u32) {
        if let Some(until_ns) = self.calm_until_ns.get(slot as usize) {
            self.due_ns = self.due_ns.min(*until_ns);
        }
    }

    /// Something may be due in a session sooner than it seemed.
    pub(super) fn disturb(&mut self, slot: u32) {
        self.due_ns = 0;
        self.alarm(slot);
    }

    /// A session has something to say in this turn, and what is due is another matter then.
    pub(super) fn alarm(&mut self, slot: u32) {
        if let Some(until_ns) = self.calm_until_ns.get_mut(slot as usize) {
            *until_ns = 0;
        }
    }

    /// Finds out until when nothing is due in a session, which is passed over until then if it
    /// only receives.
    pub(super) fn calm_down(&mut self, now: Now, id: SlotId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let data = session.data.as_ref().map(|end| end.deadline(now.mono_ns));
        let transport = session.transport.deadline(now.mono_ns);
        let until_ns = data.into_iter().chain(transport).min().unwrap_or(u64::MAX);
        let publishes = !session.sources.is_empty() || session.recorder.is_some();
        let published_ns = if publishes { published(session, &self.streams) } else { u64::MAX };
        self.due_ns = self.due_ns.min(until_ns).min(published_ns);
        if let Some(to) = self.calm_until_ns.get_mut(id.slot as usize) {
            *to = if publishes || session.dirty { 0 } else { until_ns };
        }
    }
}

/// When what a publisher sent is to be answered.
fn published(session: &Session, streams: &Slab<Stream>) -> u64 {
    let streams = session.sources.iter().filter_map(|source| streams.get(*source));
    let nacks = streams.flat_map(|stream| &stream.stores).filter_map(|store| store.nack.as_ref());
    let recorded = session.recorder.as_ref().and_then(|recorder| recorder.deadline());
    let reported = (!session.sources.is_empty()).then_some(session.next_report_ns);
    let due = nacks.filter_map(|nack| nack.deadline()).chain(recorded).chain(reported);
    due.min().unwrap_or(u64::MAX)
}
