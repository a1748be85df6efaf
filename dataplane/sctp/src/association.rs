//! The association: what it owns, what its user asks of it, and its clocks.

use std::collections::VecDeque;

use crate::config::{Config, SendOptions};
use crate::congestion::Congestion;
use crate::flight::Flight;
use crate::init::Side;
use crate::messages::{Messages, Outgoing};
use crate::outcome::{EndReason, Event, Message, SendError, State};
use crate::queue::Queue;
use crate::reassembly::Reassembly;
use crate::reset::Resets;
use crate::rto::Rto;
use crate::setup::Setup;
use crate::tracker::Tracker;

/// Packets with DATA that one input may set off: RFC 9260 6.1 D has a limit, this is the first
/// congestion window. Raised, queues on the path overflow; lowered, long messages take longer.
pub(crate) const BURST: u8 = 10;
/// RFC 9260 6.2: a SACK waits no longer than this.
const SACK_DELAY_NS: u64 = 200_000_000;
/// The time that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// One association.
#[derive(Debug)]
pub struct Association {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) setup: Setup,
    /// What the peer said of itself, and its window as of its last SACK.
    pub(crate) peer: Side,
    pub(crate) local_tag: u32,
    pub(crate) events: VecDeque<Event>,
    /// An ABORT is owed.
    pub(crate) abort: bool,

    pub(crate) tracker: Tracker,
    pub(crate) reassembly: Reassembly,
    /// The window that the peer was told last.
    pub(crate) told_window: usize,

    pub(crate) messages: Messages,
    pub(crate) queue: Queue,
    pub(crate) flight: Flight,
    pub(crate) congestion: Congestion,
    pub(crate) rto: Rto,
    pub(crate) resets: Resets,
    /// Whole chunks that go with the next packet.
    pub(crate) replies: Vec<u8>,
    pub(crate) burst: u8,
    /// RFC 9260 7.2.4 (3): one packet of repeated chunks does not wait for the window.
    pub(crate) repeat_now: bool,
    /// RFC 9260 6.1 A: one chunk goes although the peer's window is closed.
    pub(crate) probe: bool,
    /// A FORWARD TSN is owed; when the last one went.
    pub(crate) forward: bool,
    pub(crate) forwarded_ns: u64,

    /// T3-rtx.
    pub(crate) repeat_ns: u64,
    /// The first TSN that it has repeated last.
    pub(crate) doubted: u32,
    pub(crate) heartbeat_ns: u64,
    /// A HEARTBEAT is owed; when one went that is not answered.
    pub(crate) heartbeat: bool,
    pub(crate) asked_ns: Option<u64>,
    /// When DATA went last.
    pub(crate) active_ns: u64,
    /// Since when the peer does not answer.
    pub(crate) silent_ns: Option<u64>,
    /// Packets and chunks that were not let in.
    pub(crate) refused: u64,
}

impl Association {
    /// One that waits for the peer, until [`Self::connect`].
    pub fn new(now_ns: u64, config: Config) -> Self {
        let rto = Rto::new(config.rto_initial_ns, config.rto_min_ns, config.rto_max_ns);
        Self {
            state: State::Closed,
            setup: Setup::default(),
            peer: Side::default(),
            local_tag: config.tag,
            events: VecDeque::new(),
            abort: false,
            tracker: Tracker::new(0),
            reassembly: Reassembly::default(),
            told_window: config.receive_window,
            messages: Messages::default(),
            queue: Queue::default(),
            flight: Flight::new(config.initial_tsn),
            congestion: Congestion::new(config.mtu),
            rto,
            resets: Resets::new(config.initial_tsn, 0),
            replies: Vec::new(),
            burst: BURST,
            repeat_now: false,
            probe: false,
            forward: false,
            forwarded_ns: 0,
            repeat_ns: NEVER,
            doubted: 0,
            heartbeat_ns: NEVER,
            heartbeat: false,
            asked_ns: None,
            active_ns: now_ns,
            silent_ns: None,
            refused: 0,
            config,
        }
    }

    /// How far it is.
    #[inline]
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether messages can be sent, and arrive.
    #[inline]
    pub fn is_connected(&self) -> bool {
        self.state == State::Established
    }

    /// What happened. To be called until there is nothing, after every input.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next message. One who does not take them closes the peer's window: it waits, and what
    /// it sends nonetheless is not let in.
    #[inline]
    pub fn poll_message(&mut self) -> Option<Message> {
        let message = self.reassembly.poll()?;
        // RFC 9260 6.2: a window that opens again is told; RFC 1122 4.2.3.3: not in small steps.
        if self.told_window < self.config.receive_window / 2
            && self.window() >= self.told_window + self.config.receive_window / 2
        {
            self.tracker.owe_now();
        }
        Some(message)
    }

    /// Sends a message. What waits while there is no association goes when there is one.
    ///
    /// # Errors
    /// It is not taken: nothing of it is sent.
    pub fn send(
        &mut self,
        now_ns: u64,
        stream: u16,
        ppid: u32,
        payload: &[u8],
        options: SendOptions,
    ) -> Result<(), SendError> {
        use State::{Ended, ShutdownAckSent, ShutdownReceived};
        if matches!(self.state, Ended | ShutdownReceived | ShutdownAckSent) {
            return Err(SendError::Ended);
        }
        if payload.is_empty() || payload.len() > self.config.max_message_bytes {
            return Err(SendError::Length);
        }
        if stream >= self.config.streams || self.is_connected() && stream >= self.peer.inbound {
            return Err(SendError::Stream);
        }
        self.queue.drop_expired(stream, now_ns, &mut self.messages);
        if self.queue.bytes() + payload.len() > self.config.max_buffered_bytes {
            return Err(SendError::Full);
        }
        // RFC 3758 3.3: without the peer's consent everything is reliable.
        let partial = !self.is_connected() || self.peer.abilities.forward_tsn;
        let lifetime_ns = options.lifetime_ns.filter(|_| partial);
        let message = Outgoing {
            ppid,
            stream,
            unordered: options.unordered,
            max_retransmissions: options.max_retransmissions.filter(|_| partial),
            expires_ns: lifetime_ns.map_or(NEVER, |life_ns| now_ns.saturating_add(life_ns)),
            ..Outgoing::default()
        };
        let slot = self.messages.insert(payload, message);
        self.queue.push(stream, slot, payload.len());
        self.burst = BURST;
        Ok(())
    }

    /// Bytes of a stream's messages that were not put into a packet yet.
    pub fn buffered_bytes(&self, stream: u16) -> usize {
        self.queue.stream_bytes(stream)
    }

    /// Resets our direction of streams, each when what waits on it now is sent. What is sent on it
    /// later waits for that, and begins at the stream's start. Nothing happens where the peer knows
    /// no resets.
    pub fn reset_streams(&mut self, streams: &[u16]) {
        if self.state != State::Established || !self.peer.abilities.resets {
            return;
        }
        for id in streams.iter().filter(|id| **id < self.config.streams) {
            self.queue.stop_for_reset(*id);
            self.resets.want(*id);
        }
    }

    /// Ends it: an ABORT can be polled.
    pub fn close(&mut self) {
        self.end(EndReason::Closed);
    }

    /// Packets and chunks that were not let in.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Bytes of memory that it holds, about.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>()
            + self.messages.memory()
            + self.queue.memory()
            + self.flight.memory()
            + self.reassembly.memory()
            + self.tracker.memory()
            + self.replies.capacity()
            + self.events.capacity() * size_of::<Event>()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<u64> {
        if self.state == State::Ended {
            return None;
        }
        let own_ns = self.repeat_ns.min(self.heartbeat_ns).min(self.setup.again_ns);
        let others = [self.tracker.deadline(), self.resets.deadline()];
        let least_ns = others.into_iter().flatten().fold(own_ns, u64::min);
        (least_ns != NEVER).then_some(least_ns)
    }

    /// Lets time pass; packets may be there afterwards.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        if self.state == State::Ended {
            return;
        }
        self.burst = BURST;
        self.tracker.handle_timeout(now_ns);
        if self.setup.again_ns <= now_ns {
            self.handle_setup_timeout(now_ns);
        }
        if self.repeat_ns <= now_ns {
            self.handle_repeat_timeout(now_ns);
        }
        if self.resets.handle_timeout(now_ns) {
            self.note_silence(now_ns);
        }
        if self.heartbeat_ns <= now_ns {
            self.handle_heartbeat_timeout(now_ns);
        }
    }

    /// RFC 9260 6.3.3.
    fn handle_repeat_timeout(&mut self, now_ns: u64) {
        self.rto.back_off();
        if self.flight.len() == 0 {
            // RFC 9260 6.1 A: the peer's window was closed for so long that it may be asked.
            self.repeat_ns = NEVER;
            self.probe = true;
            return;
        }
        if self.peer.window > 0 {
            self.congestion.handle_timeout();
            self.doubted = self.flight.first_tsn();
            // RFC 9260 6.3.3 E3: one packet.
            self.burst = 1;
        } else {
            // A closed window says nothing about the path. There are peers that say nothing at all
            // while theirs is closed, except that they are there.
            self.heartbeat = true;
        }
        self.flight.handle_timeout(now_ns, &mut self.messages);
        self.forward |= self.flight.is_front_abandoned();
        self.probe = true;
        self.repeat_ns = now_ns + self.rto.ns();
        self.note_silence(now_ns);
    }

    /// RFC 9260 8.3.
    fn handle_heartbeat_timeout(&mut self, now_ns: u64) {
        let idle_ns = now_ns.saturating_sub(self.active_ns);
        if idle_ns < self.config.heartbeat_ns && self.asked_ns.is_none() {
            self.heartbeat_ns = self.active_ns + self.config.heartbeat_ns;
            return;
        }
        let mut again_ns = self.config.heartbeat_ns;
        if self.asked_ns.is_some() {
            again_ns = again_ns.min(self.config.rto_max_ns);
            self.note_silence(now_ns);
        }
        self.heartbeat = true;
        self.heartbeat_ns = now_ns + again_ns;
    }

    /// RFC 9260 8.1, by time instead of by count: timeouts that are capped come often.
    fn note_silence(&mut self, now_ns: u64) {
        let since_ns = *self.silent_ns.get_or_insert(now_ns);
        if now_ns - since_ns.min(now_ns) >= self.config.dead_after_ns {
            self.end(EndReason::Dead);
        }
    }

    /// Bytes that the peer may send: the window's, and no more chunks than are let in.
    pub(crate) fn window(&self) -> usize {
        let window = self.config.receive_window;
        let most = self.config.max_undelivered_chunks.max(1);
        let chunks = most.saturating_sub(self.reassembly.chunks());
        window.saturating_sub(self.reassembly.bytes()).min(window / most * chunks)
    }

    /// RFC 9260 6.2: how long a SACK may wait. Half the timeout, as what comes is timed alike.
    pub(crate) fn sack_delay_ns(&self) -> u64 {
        (self.rto.ns() / 2).min(SACK_DELAY_NS)
    }

    /// It is over. What waits is forgotten.
    pub(crate) fn end(&mut self, reason: EndReason) {
        if self.state == State::Ended {
            return;
        }
        // RFC 9260 9.1: the peer is told, except by an answer to its own word.
        self.abort = !matches!(reason, EndReason::Aborted | EndReason::Shutdown)
            && self.state != State::Closed
            && self.peer.tag != 0;
        self.state = State::Ended;
        self.events.push_back(Event::Ended(reason));
        self.messages = Messages::default();
        self.queue = Queue::default();
        self.flight = Flight::new(0);
        self.setup = Setup::default();
        self.replies = Vec::new();
    }
}

#[cfg(test)]
#[path = "association_tests.rs"]
mod tests;
