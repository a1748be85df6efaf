//! The next packet: what is owed to the peer, and as much data as may go (RFC 9260 6.1, 6.10).

use crate::association::{Association, NEVER};
use crate::chunk::{
    DATA_HEADER, Data, FLAG_BEGIN, FLAG_END, FLAG_IMMEDIATE, FLAG_UNORDERED, PACKET_HEADER,
    begin_packet, end_packet, kind, put_chunk, put_data,
};
use crate::flight::{CHUNKS_MAX, Repeat};
use crate::init::put_init;
use crate::outcome::State;

/// A SACK without blocks.
const SACK_BYTES: usize = 16;
/// A HEARTBEAT of ours.
const HEARTBEAT_BYTES: usize = 16;
/// A FORWARD TSN without streams.
const FORWARD_BYTES: usize = 8;
/// The least fragment that is made to fill a packet, bytes. Raised, packets with a SACK go half
/// empty; lowered, long messages become more chunks.
const FRAGMENT_MIN: usize = 512;
/// Of a packet, what a SACK leaves to other chunks at least, bytes.
const SACK_LEAVES: usize = 400;

impl Association {
    /// Writes the next packet, at most the MTU long, into `out`, which is emptied; gives whether
    /// there is one. To be called until there is none, after every input and every
    /// [`Self::handle_timeout`], [`Self::send`] and other call.
    pub fn poll_packet(&mut self, now_ns: u64, out: &mut Vec<u8>) -> bool {
        if !self.setup.answer.is_empty() {
            out.clear();
            out.append(&mut self.setup.answer);
            return true;
        }
        match self.state {
            State::Established | State::ShutdownReceived => self.poll_established(now_ns, out),
            State::Ended if self.abort => {
                self.abort = false;
                begin_packet(out, self.peer.tag);
                put_chunk(out, kind::ABORT, 0, |_| {});
                end_packet(out);
                true
            }
            State::CookieWait | State::CookieEchoed | State::ShutdownAckSent => {
                self.poll_setup(now_ns, out)
            }
            State::Closed | State::Ended => false,
        }
    }

    fn poll_setup(&mut self, now_ns: u64, out: &mut Vec<u8>) -> bool {
        if !self.setup.due {
            return false;
        }
        let (rto_ns, rto_max_ns) = (self.rto.ns(), self.config.rto_max_ns);
        self.setup.note_sent(now_ns, rto_ns, rto_max_ns);
        if self.state == State::CookieWait {
            begin_packet(out, 0);
            put_init(out, &self.own_side(self.config.tag, self.config.initial_tsn));
        } else {
            begin_packet(out, self.peer.tag);
            if self.state == State::CookieEchoed {
                let cookie = &self.setup.cookie;
                put_chunk(out, kind::COOKIE_ECHO, 0, |out| out.extend_from_slice(cookie));
            } else {
                put_chunk(out, kind::SHUTDOWN_ACK, 0, |_| {});
            }
        }
        end_packet(out);
        true
    }

    fn poll_established(&mut self, now_ns: u64, out: &mut Vec<u8>) -> bool {
        if self.resets.is_waiting() {
            self.ask_for_resets();
        }
        let sends = self.burst > 0 && self.may_send();
        let owes = self.tracker.is_due()
            || self.forward
            || self.heartbeat
            || !self.replies.is_empty()
            || self.resets.is_due();
        if !sends && !owes {
            return false;
        }
        begin_packet(out, self.peer.tag);
        // RFC 9653 5.2: a cookie's answer goes after both sides said what they accept.
        self.put_owed(now_ns, out, sends);
        if sends && self.put_data_chunks(now_ns, out) {
            self.burst -= 1;
        }
        if self.forward {
            self.put_forward_tsn(now_ns, out);
        }
        self.note_drained();
        if out.len() == PACKET_HEADER {
            return false;
        }
        // RFC 9653 5.2: without a checksum where the peer relies on DTLS.
        if !self.peer.abilities.zero_checksum {
            end_packet(out);
        }
        true
    }

    /// Control chunks go before data (RFC 9260 6.10).
    fn put_owed(&mut self, now_ns: u64, out: &mut Vec<u8>, sends: bool) {
        if !self.replies.is_empty() {
            self.put_replies(out);
        }
        let room = self.config.mtu.saturating_sub(out.len() + SACK_LEAVES);
        // RFC 9260 6.1: a SACK that is put off goes with data.
        if (self.tracker.is_due() || sends && self.tracker.is_owed()) && room >= SACK_BYTES {
            let window = self.window();
            self.told_window = window;
            self.tracker.write_sack(out, u32::try_from(window).unwrap_or(u32::MAX), room);
        }
        if self.forward {
            self.put_forward_tsn(now_ns, out);
        }
        if self.resets.is_due() {
            let (rto_ns, rto_max_ns) = (self.rto.ns(), self.config.rto_max_ns);
            if out.len() + self.resets.bytes() <= self.config.mtu {
                self.resets.write(out, now_ns, rto_ns, rto_max_ns);
            }
        }
        if self.heartbeat && out.len() + HEARTBEAT_BYTES <= self.config.mtu {
            self.heartbeat = false;
            self.asked_ns = Some(now_ns);
            Self::put_heartbeat(out, now_ns);
        }
    }

    /// As many whole replies as find room.
    fn put_replies(&mut self, out: &mut Vec<u8>) {
        let room = self.config.mtu.saturating_sub(out.len());
        let mut end = 0;
        while let Some(&[high, low]) = self.replies.get(end + 2..end + 4) {
            let length = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4);
            if end + length > room {
                break;
            }
            end += length;
        }
        out.extend(self.replies.drain(..end));
        if self.replies.is_empty() {
            self.replies = Vec::new();
        }
    }

    fn ask_for_resets(&mut self) {
        let last = self.flight.next_tsn().wrapping_sub(1);
        let room = self.config.mtu.saturating_sub(64) / 2;
        let queue = &self.queue;
        self.resets.ask(last, room, |id| queue.stands_still(id));
    }

    /// Whether a chunk may go, as far as that can be said without looking at it.
    fn may_send(&self) -> bool {
        if self.flight.has_lost() {
            return self.repeat_now || self.flight.bytes() < self.congestion.window();
        }
        !self.queue.is_idle()
            && self.flight.len() < CHUNKS_MAX
            && self.flight.bytes() < self.congestion.window()
    }

    /// RFC 9260 6.1 A: whether the peer has room for `len` bytes. One chunk always may be under
    /// way, except when the window is closed: then it takes a while.
    fn peer_has_room(&self, len: usize) -> bool {
        let under_way = self.flight.payload_bytes();
        let window = self.peer.window as usize;
        under_way + len <= window || under_way == 0 && (window > 0 || self.probe)
    }

    /// Fills the packet; gives whether any data is in it.
    fn put_data_chunks(&mut self, now_ns: u64, out: &mut Vec<u8>) -> bool {
        let begun = out.len();
        self.put_repeated(now_ns, out);
        if !self.flight.has_lost() {
            self.put_new(now_ns, out);
        }
        let sent = out.len() > begun;
        if sent {
            self.active_ns = now_ns;
            self.probe = false;
            if self.repeat_ns == NEVER {
                self.repeat_ns = now_ns + self.rto.ns();
            }
        } else {
            self.note_window(now_ns);
        }
        self.note_abandoned(now_ns);
        sent
    }

    fn put_repeated(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        let unbound = std::mem::take(&mut self.repeat_now);
        while let Some(chunk) = self.flight.next_lost(now_ns, &mut self.messages) {
            let bytes = (chunk.len + DATA_HEADER).next_multiple_of(4);
            let allowed = unbound || self.flight.bytes() < self.congestion.window();
            if out.len() + bytes > self.config.mtu || !allowed || !self.peer_has_room(chunk.len) {
                // RFC 9260 7.2.4 (3): what found no room waits for the window.
                return;
            }
            // RFC 9260 6.3.2 R1, 7.2.4 (4): the clock of the first begins anew.
            if self.flight.note_repeated(chunk.tsn) {
                self.repeat_ns = now_ns + self.rto.ns();
            }
            self.put_chunk_of(out, &chunk, true);
        }
    }

    fn put_new(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        while self.flight.bytes() < self.congestion.window() && self.flight.len() < CHUNKS_MAX {
            let Some(slot) = self.queue.front() else { return };
            let message = self.messages.get(slot);
            let left = message.left();
            if message.abandoned || now_ns >= message.expires_ns {
                self.give_up_front(slot, left);
                continue;
            }
            let Some(len) = self.fragment(out.len(), message.taken, left) else { return };
            if !self.peer_has_room(len) {
                return;
            }
            let begins = message.taken == 0;
            let (stream, offset) = (message.stream, message.taken);
            if begins && !message.unordered {
                let ssn = self.queue.next_ssn(stream);
                self.messages.set_ssn(slot, ssn);
            }
            let mut flags = if begins { FLAG_BEGIN } else { 0 };
            self.queue.note_chunk(len);
            if self.messages.note_chunk(slot, len) {
                flags |= FLAG_END;
                self.queue.finish_front(0);
            }
            let tsn = self.flight.next_tsn();
            let chunk = Repeat { tsn, message: slot, offset, len, flags };
            self.flight.push(now_ns, &chunk);
            self.put_chunk_of(out, &chunk, self.asks_for_sack(now_ns));
        }
    }

    /// RFC 7053: the peer shall not wait with its SACK where one is needed to go on, nor where no
    /// second packet is likely to come before its patience or ours runs out.
    fn asks_for_sack(&self, now_ns: u64) -> bool {
        self.congestion.is_small()
            || self.flight.bytes() >= self.congestion.window()
            || now_ns.saturating_sub(self.active_ns) >= self.rto.ns()
    }

    /// A message whose turn it is will not be sent, or not to its end.
    fn give_up_front(&mut self, slot: u32, left: usize) {
        if self.messages.get(slot).taken == 0 {
            self.queue.finish_front(left);
            self.messages.release(slot);
        } else {
            self.queue.finish_front(left);
            self.flight.abandon_last(slot, &mut self.messages);
            self.forward |= self.flight.is_front_abandoned();
        }
    }

    /// How much of a message goes into a packet of which `used` bytes are taken; `None` when the
    /// next packet is better.
    fn fragment(&self, used: usize, taken: usize, left: usize) -> Option<usize> {
        // Chunks are padded to four bytes.
        let mtu = self.config.mtu & !3;
        let most = mtu - PACKET_HEADER - DATA_HEADER;
        let room = mtu.saturating_sub(used + DATA_HEADER);
        if left <= room {
            return Some(left);
        }
        // What fits into one packet is not cut; what does not fills this one.
        let cut = left > most || taken > 0;
        (cut && room >= FRAGMENT_MIN.min(most)).then_some(room)
    }

    fn put_chunk_of(&self, out: &mut Vec<u8>, chunk: &Repeat, immediate: bool) {
        let message = self.messages.get(chunk.message);
        let mut flags = chunk.flags;
        if message.unordered {
            flags |= FLAG_UNORDERED;
        }
        if immediate {
            flags |= FLAG_IMMEDIATE;
        }
        let payload = message.payload.get(chunk.offset..chunk.offset + chunk.len);
        let data = Data {
            flags,
            tsn: chunk.tsn,
            stream: message.stream,
            ssn: message.ssn,
            ppid: message.ppid,
            payload: payload.unwrap_or(&[]),
        };
        put_data(out, &data);
    }

    /// RFC 3758 3.5 C.
    fn put_forward_tsn(&mut self, now_ns: u64, out: &mut Vec<u8>) {
        let room = self.config.mtu.saturating_sub(out.len() + FORWARD_BYTES);
        if room < 4 {
            return;
        }
        let mut skipped = Vec::new();
        self.forward = false;
        let Some(tsn) = self.flight.forward(room / 4, &self.messages, &mut skipped) else { return };
        self.forwarded_ns = now_ns;
        // RFC 3758 3.5 F2: it is repeated like data.
        if self.repeat_ns == NEVER {
            self.repeat_ns = now_ns + self.rto.ns();
        }
        put_chunk(out, kind::FORWARD_TSN, 0, |out| {
            out.extend_from_slice(&tsn.to_be_bytes());
            for (stream, ssn) in skipped {
                out.extend_from_slice(&stream.to_be_bytes());
                out.extend_from_slice(&ssn.to_be_bytes());
            }
        });
    }
}
