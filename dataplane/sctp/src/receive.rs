//! A packet that came: is it for us, and what do its chunks mean (RFC 9260 3, 5, 6, 8.5).

use crate::association::{Association, BURST, NEVER};
use crate::chunk::{
    Chunk, Chunks, Data, FLAG_IMMEDIATE, FLAG_REFLECTED, PACKET_HEADER, header, kind, long,
    put_chunk, put_parameter, short,
};
use crate::flight::SackContext;
use crate::outcome::{EndReason, Event, State};
use crate::reset::{Limits, Outcome};
use crate::serial::newer;
use crate::tracker::Seen;

/// Bytes of chunks that wait to go with the next packet. Raised: a peer that asks and does not
/// listen costs more; lowered: several questions in one packet are not all answered.
const REPLIES_MAX: usize = 2_000;
/// RFC 9260 3.3.10.6: unknown chunks up to this length are reported, bytes.
const REPORTED_MAX: usize = 256;
/// What may be let in beyond the window to fill a gap, bytes: what came behind it was let in.
const GAP_BYTES: usize = 65_536;
/// Cause of ERROR: the chunk's type is unknown.
const CAUSE_UNRECOGNIZED_CHUNK: u16 = 6;
/// Type of the parameter in HEARTBEAT.
const HEARTBEAT_INFO: u16 = 1;

/// Whether to go on with the next chunk of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Next,
    Stop,
}

/// What to do with a chunk that would be too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Enough,
    /// It is not let in; the peer sends it again.
    None,
    /// Nothing that the peer may still send makes room.
    Never,
}

impl Association {
    /// Takes an SCTP packet.
    pub fn handle_packet(&mut self, now_ns: u64, packet: &[u8]) {
        if self.state == State::Ended {
            return;
        }
        let first = packet.get(PACKET_HEADER).copied();
        // RFC 9653 5.3: what asks for an association always has a checksum.
        let zero_accepted = self.config.zero_checksum
            && !matches!(first, None | Some(kind::INIT | kind::COOKIE_ECHO));
        let found = header(packet, zero_accepted).filter(|header| header.intact);
        let Some(header) = found.filter(|header| self.tag_fits(header.tag, packet)) else {
            self.refused += 1;
            return;
        };
        self.burst = BURST;
        let mut has_data = false;
        for chunk in Chunks::of_packet(packet) {
            if chunk.kind == kind::DATA {
                has_data = true;
                self.handle_data(now_ns, &chunk);
            } else if self.handle_chunk(now_ns, header.tag, &chunk) == Then::Stop {
                break;
            }
            if self.state == State::Ended {
                return;
            }
        }
        if has_data && self.is_up() {
            let delay_ns = self.sack_delay_ns();
            self.tracker.note_packet(now_ns, delay_ns);
            let outcome = self.resets.handle_progress(self.tracker.cumulative(), &mut self.replies);
            outcome.into_iter().for_each(|outcome| self.apply_reset(outcome));
        }
    }

    fn is_up(&self) -> bool {
        use State::{Established, ShutdownAckSent, ShutdownReceived};
        matches!(self.state, Established | ShutdownReceived | ShutdownAckSent)
    }

    /// RFC 9260 8.5.
    fn tag_fits(&self, tag: u32, packet: &[u8]) -> bool {
        let Some(&[first, flags, ..]) = packet.get(PACKET_HEADER..) else { return false };
        match first {
            // 8.5.1 A: an INIT has none.
            kind::INIT => tag == 0,
            // 8.5.1 D: the cookie says which it is; a peer that begins anew has another.
            kind::COOKIE_ECHO => true,
            // 8.5.1 B, C.
            kind::ABORT | kind::SHUTDOWN_COMPLETE if flags & FLAG_REFLECTED != 0 => {
                tag == self.peer.tag && tag != 0
            }
            _ => tag == self.local_tag,
        }
    }

    fn handle_chunk(&mut self, now_ns: u64, tag: u32, chunk: &Chunk<'_>) -> Then {
        let body = chunk.body;
        match chunk.kind {
            // RFC 9260 3.3.2: nothing goes with an INIT.
            kind::INIT if tag == 0 => {
                self.handle_init(body);
                return Then::Stop;
            }
            kind::INIT | kind::ERROR => {}
            kind::INIT_ACK => {
                self.handle_init_ack(body);
                return Then::Stop;
            }
            kind::COOKIE_ECHO => {
                if !self.handle_cookie_echo(now_ns, tag, body) {
                    return Then::Stop;
                }
            }
            kind::COOKIE_ACK => self.handle_cookie_ack(now_ns),
            kind::SACK => self.handle_sack(now_ns, body),
            kind::HEARTBEAT => self.handle_heartbeat(body),
            kind::HEARTBEAT_ACK => self.handle_heartbeat_ack(now_ns, body),
            kind::ABORT => {
                if self.state != State::Closed {
                    self.end(EndReason::Aborted);
                }
            }
            kind::SHUTDOWN if self.is_up() => {
                if let Some(cumulative) = long(body, 0) {
                    self.acknowledge(now_ns, cumulative, None, &[]);
                }
                self.handle_shutdown();
            }
            kind::SHUTDOWN | kind::SHUTDOWN_ACK => {}
            kind::SHUTDOWN_COMPLETE => {
                if self.state == State::ShutdownAckSent {
                    self.end(EndReason::Shutdown);
                }
            }
            kind::RE_CONFIG => self.handle_re_config(now_ns, body),
            kind::FORWARD_TSN => self.handle_forward_tsn(body),
            _ => return self.handle_unknown(chunk),
        }
        Then::Next
    }

    /// RFC 9260 3.2: the type's first bits say whether to go on, and whether to tell the peer.
    fn handle_unknown(&mut self, chunk: &Chunk<'_>) -> Then {
        let (goes_on, reported) = (chunk.kind & 0x80 != 0, chunk.kind & 0x40 != 0);
        if reported && chunk.body.len() <= REPORTED_MAX && self.may_reply(chunk.body.len() + 12) {
            put_chunk(&mut self.replies, kind::ERROR, 0, |out| {
                put_parameter(out, CAUSE_UNRECOGNIZED_CHUNK, |out| {
                    put_chunk(out, chunk.kind, chunk.flags, |out| {
                        out.extend_from_slice(chunk.body);
                    });
                });
            });
        }
        if goes_on { Then::Next } else { Then::Stop }
    }

    /// Whether another reply of `bytes` finds room.
    fn may_reply(&self, bytes: usize) -> bool {
        self.is_up()
            && self.replies.len() + bytes <= REPLIES_MAX
            && bytes + PACKET_HEADER + 4 <= self.config.mtu
    }

    fn handle_data(&mut self, now_ns: u64, chunk: &Chunk<'_>) {
        // A peer that sends data has our cookie: its answer was lost, or is late.
        if self.state == State::CookieEchoed {
            self.establish(now_ns, Event::Connected);
        }
        if self.state != State::Established {
            return;
        }
        let Some(data) = Data::parse(chunk) else {
            self.end(EndReason::Violation);
            return;
        };
        // RFC 9260 6.2: DATA without data ends the association.
        if data.payload.is_empty() {
            self.end(EndReason::Violation);
            return;
        }
        if data.has(FLAG_IMMEDIATE) {
            self.tracker.owe_now();
        }
        let tsn = self.tracker.extend(data.tsn);
        let seen = self.tracker.look(tsn);
        match seen {
            Seen::Duplicate => self.tracker.note_duplicate(data.tsn),
            Seen::Beyond => self.refuse(),
            // RFC 9260 6.5: such a chunk is acknowledged, and nothing more.
            _ if data.stream >= self.config.streams => {
                self.refused += 1;
                self.tracker.insert(tsn);
            }
            _ if self.resets.defers(tsn, data.stream) => self.refuse(),
            _ => match self.room(seen) {
                Room::Enough => self.take(tsn, &data),
                Room::None => self.refuse(),
                Room::Never => self.end(EndReason::TooMuch),
            },
        }
    }

    fn take(&mut self, tsn: u64, data: &Data<'_>) {
        self.tracker.insert(tsn);
        if let Err(reason) = self.reassembly.insert(tsn, data, self.config.max_message_bytes) {
            self.end(reason);
        }
    }

    /// RFC 9260 6.2: what finds no room is not acknowledged; the peer hears of the window.
    fn refuse(&mut self) {
        self.refused += 1;
        self.tracker.owe_now();
    }

    fn room(&self, seen: Seen) -> Room {
        let (bytes, chunks) = (self.reassembly.bytes(), self.reassembly.chunks());
        let (window, most) = (self.config.receive_window, self.config.max_undelivered_chunks);
        if bytes < window && chunks < most {
            return Room::Enough;
        }
        // What is not taken may be; until then the peer waits.
        if self.reassembly.has_ready() {
            return Room::None;
        }
        let beyond = bytes >= window + GAP_BYTES || chunks >= most + most / 2;
        match seen {
            Seen::Next if beyond || !self.tracker.has_gaps() => Room::Never,
            Seen::Next => Room::Enough,
            Seen::Ahead { fills: true } if !beyond => Room::Enough,
            _ => Room::None,
        }
    }

    fn handle_sack(&mut self, now_ns: u64, body: &[u8]) {
        let (Some(cumulative), Some(window), Some(gaps)) =
            (long(body, 0), long(body, 4), short(body, 8))
        else {
            return;
        };
        if !self.is_up() {
            return;
        }
        let lists = body.get(12..).unwrap_or(&[]);
        let (blocks, duplicates) = lists.split_at(lists.len().min(4 * usize::from(gaps)));
        if self.congestion.is_in_doubt() {
            self.settle_doubt(cumulative, duplicates);
        }
        self.acknowledge(now_ns, cumulative, Some(window), blocks);
    }

    /// RFC 3708 2: a peer that has twice what a timeout repeated had it already, or its SACK was
    /// late: those that put off their SACKs for 200 ms make us run out of patience. Nothing was
    /// lost, so the window is what it was.
    fn settle_doubt(&mut self, cumulative: u32, duplicates: &[u8]) {
        let needless = duplicates.chunks_exact(4).any(|tsn| long(tsn, 0) == Some(self.doubted));
        // The peer's answer to what was repeated comes after the one that was late.
        let answered = newer(cumulative, self.doubted.wrapping_add(1));
        if needless || answered {
            self.congestion.settle_doubt(needless);
        }
    }

    /// RFC 9260 6.2.1, 6.3.2.
    fn acknowledge(&mut self, now_ns: u64, cumulative: u32, window: Option<u32>, gaps: &[u8]) {
        let before = self.flight.bytes();
        let context =
            SackContext { recovering: self.congestion.in_recovery(), quiet: self.queue.is_idle() };
        let found = self.flight.handle_sack(now_ns, cumulative, gaps, context, &mut self.messages);
        let Some(found) = found else { return };
        self.peer.window = window.unwrap_or(self.peer.window);
        if found.bytes > 0 || found.advanced || self.peer.window == 0 {
            self.silent_ns = None;
        }
        if let Some(round_trip_ns) = found.round_trip_ns {
            self.rto.handle_sample(round_trip_ns);
        }
        if found.bytes > 0 {
            self.congestion.handle_acknowledged(cumulative, found.bytes, before);
        }
        if found.lost {
            let last = self.flight.next_tsn().wrapping_sub(1);
            self.repeat_now |= self.congestion.handle_loss(last);
        }
        if self.flight.len() == 0 {
            self.congestion.handle_idle();
            self.repeat_ns = NEVER;
            self.forward = false;
            self.note_drained();
        } else if found.advanced {
            self.repeat_ns = now_ns + self.rto.ns();
            // To the next that is given up.
            self.forward |= self.flight.is_front_abandoned();
        }
        self.note_abandoned(now_ns);
        self.note_window(now_ns);
    }

    /// RFC 3758 3.5 C: the peer is told to go on; if that is lost, again after a round trip.
    pub(crate) fn note_abandoned(&mut self, now_ns: u64) {
        // Whatever was measured: in one instant once, or packets of it would never end.
        let round_trip_ns = self.rto.round_trip_ns().max(1);
        if self.flight.is_front_abandoned()
            && now_ns >= self.forwarded_ns.saturating_add(round_trip_ns)
        {
            self.forward = true;
        }
    }

    /// RFC 9260 6.1 A: while the peer's window is closed and nothing is under way, it is asked from
    /// time to time.
    pub(crate) fn note_window(&mut self, now_ns: u64) {
        if self.peer.window == 0
            && self.flight.len() == 0
            && !self.queue.is_idle()
            && self.repeat_ns == NEVER
            && !self.probe
        {
            self.repeat_ns = now_ns + self.rto.ns();
        }
    }

    /// RFC 9260 8.3: what it says is sent back.
    fn handle_heartbeat(&mut self, body: &[u8]) {
        if self.may_reply(body.len() + 4) {
            put_chunk(&mut self.replies, kind::HEARTBEAT_ACK, 0, |out| {
                out.extend_from_slice(body);
            });
        }
    }

    fn handle_heartbeat_ack(&mut self, now_ns: u64, body: &[u8]) {
        let sent = Chunks::of_parameters(body).next().map(|info| info.body);
        if let Some(asked_ns) = self.asked_ns
            && sent == Some(&asked_ns.to_be_bytes()[..])
        {
            self.asked_ns = None;
            self.silent_ns = None;
            self.heartbeat_ns = now_ns + self.config.heartbeat_ns;
            self.rto.handle_sample(now_ns.saturating_sub(asked_ns));
        }
    }

    /// Adds a HEARTBEAT.
    pub(crate) fn put_heartbeat(out: &mut Vec<u8>, now_ns: u64) {
        put_chunk(out, kind::HEARTBEAT, 0, |out| {
            put_parameter(out, HEARTBEAT_INFO, |out| {
                out.extend_from_slice(&now_ns.to_be_bytes());
            });
        });
    }

    /// RFC 3758 3.6.
    fn handle_forward_tsn(&mut self, body: &[u8]) {
        let Some(tsn) = long(body, 0).filter(|_| self.state == State::Established) else { return };
        let tsn = self.tracker.extend(tsn);
        // One that is old is answered, as its SACK was lost.
        self.tracker.owe_now();
        if !self.tracker.forward(tsn) {
            return;
        }
        self.reassembly.forward(tsn);
        let skipped = body.get(4..).unwrap_or(&[]);
        for pair in skipped.chunks_exact(4) {
            if let (Some(stream), Some(ssn)) = (short(pair, 0), short(pair, 2))
                && stream < self.config.streams
            {
                self.reassembly.skip(stream, ssn);
            }
        }
        let outcome = self.resets.handle_progress(self.tracker.cumulative(), &mut self.replies);
        outcome.into_iter().for_each(|outcome| self.apply_reset(outcome));
    }

    fn handle_re_config(&mut self, now_ns: u64, body: &[u8]) {
        /// Two answers.
        const ANSWERS: usize = 32;
        if self.state != State::Established || !self.may_reply(ANSWERS) {
            return;
        }
        let limits = Limits {
            cumulative: self.tracker.cumulative(),
            streams: self.config.streams,
            again_ns: now_ns + self.rto.ns(),
        };
        let mut outcomes = Vec::new();
        self.resets.handle_chunk(body, limits, &mut self.replies, &mut outcomes);
        outcomes.into_iter().for_each(|outcome| self.apply_reset(outcome));
    }

    fn apply_reset(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Reset(ids) => {
                self.reassembly.reset(&ids);
                // One event, however often a peer does so before it is taken.
                match self.events.back_mut() {
                    Some(Event::StreamsReset(known)) if !known.is_empty() && !ids.is_empty() => {
                        known.extend(ids);
                        known.sort_unstable();
                        known.dedup();
                    }
                    Some(Event::StreamsReset(known)) if *known == ids => {}
                    Some(Event::StreamsReset(known)) => known.clear(),
                    _ => self.events.push_back(Event::StreamsReset(ids)),
                }
            }
            Outcome::Answered { streams, reset } => {
                self.silent_ns = None;
                streams.iter().for_each(|id| self.queue.resume(*id, reset));
            }
        }
    }
}
