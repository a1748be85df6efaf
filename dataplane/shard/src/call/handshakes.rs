//! DTLS handshakes, which somebody else does: one costs the CPU as much as hundreds of packets.
//!
//! The shard hands out steps of handshakes and takes them back; who does them, and on which thread,
//! is the caller's business. Of one transport one step is out at a time, so no more can wait than
//! there are transports. Where nobody was announced the shard does them on the spot, as simulations
//! want it. What DTLS does after the handshake is as cheap as a packet and stays here.

use std::collections::VecDeque;

use ringway_proto::dtls::{DtlsDone, DtlsWork};

use super::Calls;
use crate::clock::Now;
use crate::slab::SlotId;

/// A step of a handshake, to be done anywhere.
pub struct Handshake {
    session: SlotId,
    work: DtlsWork,
}

/// A step that was done.
pub struct HandshakeDone {
    session: SlotId,
    done: DtlsDone,
}

impl Handshake {
    /// Does it; up to a millisecond.
    pub fn run(self) -> HandshakeDone {
        HandshakeDone { session: self.session, done: self.work.run() }
    }
}

/// Steps that wait to be handed out.
#[derive(Default)]
pub(super) struct Handshakes {
    elsewhere: bool,
    waiting: VecDeque<SlotId>,
}

impl Calls {
    /// Says that somebody takes handshakes by [`Self::poll_handshake`] from now on.
    pub fn hand_out_handshakes(&mut self) {
        self.handshakes.elsewhere = true;
    }

    /// The next step to be done; to be called while there is room to keep what it gives.
    pub fn poll_handshake(&mut self, now: Now) -> Option<Handshake> {
        while let Some(id) = self.handshakes.waiting.pop_front() {
            // It may have ended while it waited.
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.handshake_waits = false;
            if let Some(work) = session.transport.poll_dtls_work(now.mono_ns) {
                return Some(Handshake { session: id, work });
            }
        }
        None
    }

    /// Takes a step back that was done.
    pub fn handle_handshake(&mut self, step: HandshakeDone) {
        // Whose transport is gone meanwhile is told nothing more.
        let Some(session) = self.sessions.get_mut(step.session) else { return };
        session.transport.handle_dtls_done(step.done);
        self.mark_dirty(step.session);
    }

    /// Does what DTLS has to do for a transport, or lets it wait to be handed out.
    pub(super) fn run_dtls(&mut self, now: Now, id: SlotId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if self.handshakes.elsewhere && session.transport.wants_handshake() {
            if !std::mem::replace(&mut session.handshake_waits, true) {
                self.handshakes.waiting.push_back(id);
            }
            return;
        }
        session.transport.run_dtls(now.mono_ns);
    }
}
