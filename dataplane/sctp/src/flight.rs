//! Chunks that were sent and are not cumulatively acknowledged: a ring in the order of their TSNs.
//!
//! Here is decided which of them are lost (RFC 9260 7.2.4), and which are not worth another try
//! (RFC 3758 3.5, RFC 7496).

use std::collections::VecDeque;

use crate::chunk::{DATA_HEADER, short};
use crate::messages::Messages;
use crate::serial::{distance, newer};

/// Chunks under way at the same time. Raised: more memory, and peers that bound how many chunks
/// they keep may give up; lowered: paths that are long and fast are not filled.
pub(crate) const CHUNKS_MAX: usize = 2_048;

/// RFC 9260 7.2.4: a chunk is lost when so many SACKs had later ones.
const MISSES: u8 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Under way.
    Flying,
    /// A gap block named it.
    Acked,
    /// To be sent again.
    Lost,
    /// Its message is given up.
    Abandoned,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    message: u32,
    offset: u32,
    sent_ns: u64,
    /// When it was last sent, counted in chunks.
    order: u32,
    len: u16,
    transmissions: u16,
    flags: u8,
    misses: u8,
    fate: Fate,
}

impl Sent {
    fn bytes(&self) -> usize {
        (usize::from(self.len) + DATA_HEADER).next_multiple_of(4)
    }
}

/// A chunk to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Repeat {
    pub(crate) tsn: u32,
    pub(crate) message: u32,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) flags: u8,
}

/// What a SACK did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    /// Bytes that were not acknowledged before, with headers.
    pub(crate) bytes: usize,
    /// The cumulative TSN went on.
    pub(crate) advanced: bool,
    /// Chunks were found lost.
    pub(crate) lost: bool,
    /// A round trip was measured.
    pub(crate) round_trip_ns: Option<u64>,
}

/// The chunks under way.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The TSN of the first in the ring, or of the next to be sent.
    first: u32,
    ring: VecDeque<Sent>,
    /// Bytes under way: with headers, and of payload.
    bytes: usize,
    payload_bytes: usize,
    lost: usize,
    /// No chunk before this TSN is lost.
    lost_from: u32,
    sent: u32,
}

impl Flight {
    pub(crate) fn new(first: u32) -> Self {
        Self {
            first,
            ring: VecDeque::new(),
            bytes: 0,
            payload_bytes: 0,
            lost: 0,
            lost_from: first,
            sent: 0,
        }
    }

    /// The TSN of the next new chunk.
    #[inline]
    pub(crate) fn next_tsn(&self) -> u32 {
        self.first.wrapping_add(self.ring.len() as u32)
    }

    /// The TSN of the first chunk that is not cumulatively acknowledged.
    pub(crate) fn first_tsn(&self) -> u32 {
        self.first
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Bytes under way with headers, for the congestion window.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of payload under way, for the peer's window.
    #[inline]
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    #[inline]
    pub(crate) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    /// Whether the peer must be told to go on without its next chunk.
    #[inline]
    pub(crate) fn is_front_abandoned(&self) -> bool {
        self.ring.front().is_some_and(|sent| sent.fate == Fate::Abandoned)
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity() * size_of::<Sent>()
    }

    /// A new chunk goes.
    pub(crate) fn push(&mut self, now_ns: u64, chunk: &Repeat) {
        self.sent = self.sent.wrapping_add(1);
        let sent = Sent {
            message: chunk.message,
            offset: chunk.offset as u32,
            sent_ns: now_ns,
            order: self.sent,
            len: chunk.len as u16,
            transmissions: 1,
            flags: chunk.flags,
            misses: 0,
            fate: Fate::Flying,
        };
        self.bytes += sent.bytes();
        self.payload_bytes += chunk.len;
        self.ring.push_back(sent);
    }

    fn push_abandoned(&mut self, message: u32) {
        self.ring.push_back(Sent {
            message,
            offset: 0,
            sent_ns: 0,
            order: self.sent,
            len: 0,
            transmissions: 0,
            flags: 0,
            misses: 0,
            fate: Fate::Abandoned,
        });
    }

    fn set_fate(&mut self, at: usize, fate: Fate) {
        let sent = &mut self.ring[at];
        let (bytes, len) = (sent.bytes(), usize::from(sent.len));
        match std::mem::replace(&mut sent.fate, fate) {
            Fate::Flying => {
                self.bytes -= bytes;
                self.payload_bytes -= len;
            }
            Fate::Lost => self.lost -= 1,
            Fate::Acked | Fate::Abandoned => {}
        }
        match fate {
            Fate::Flying => {
                self.bytes += bytes;
                self.payload_bytes += len;
            }
            Fate::Lost => {
                self.lost += 1;
                let tsn = self.first.wrapping_add(at as u32);
                if self.lost == 1 || newer(self.lost_from, tsn) {
                    self.lost_from = tsn;
                }
            }
            Fate::Acked | Fate::Abandoned => {}
        }
    }

    /// Takes a SACK: its cumulative TSN and its gap blocks as they stand there. `recovering`: the
    /// fast recovery goes on; `quiet`: nothing new waits to be sent. `None`: it is an old one, or
    /// names what was never sent.
    pub(crate) fn handle_sack(
        &mut self,
        now_ns: u64,
        cumulative: u32,
        gaps: &[u8],
        context: SackContext,
        messages: &mut Messages,
    ) -> Option<Acknowledged> {
        let count = usize::try_from(distance(self.first, cumulative).checked_add(1)?).ok()?;
        if count > self.ring.len() {
            return None;
        }
        let mut found = Acknowledged { advanced: count > 0, ..Acknowledged::default() };
        let mut newest = None;
        for _ in 0..count {
            self.acknowledge(0, now_ns, &mut found, &mut newest);
            if let Some(sent) = self.ring.pop_front() {
                messages.release_chunk(sent.message);
            }
            self.first = self.first.wrapping_add(1);
        }
        if self.ring.is_empty() && self.ring.capacity() > 64 {
            self.ring = VecDeque::new();
        }
        self.acknowledge_gaps(now_ns, gaps, &mut found, &mut newest);
        if let Some(newest) = newest
            && (!gaps.is_empty() || context.recovering)
        {
            found.lost = self.note_misses(now_ns, newest, context, messages);
        }
        Some(found)
    }

    /// RFC 9260 3.3.4: blocks of offsets from the cumulative TSN. Only rising ones count: the work
    /// is bounded by the ring.
    fn acknowledge_gaps(
        &mut self,
        now_ns: u64,
        gaps: &[u8],
        found: &mut Acknowledged,
        newest: &mut Option<u32>,
    ) {
        let mut from = 0;
        for block in gaps.chunks_exact(4) {
            let (Some(start), Some(end)) = (short(block, 0), short(block, 2)) else { return };
            let (start, end) = (usize::from(start), usize::from(end));
            if start <= from || end < start || end > self.ring.len() {
                return;
            }
            for at in start - 1..end {
                self.acknowledge(at, now_ns, found, newest);
            }
            from = end;
        }
    }

    fn acknowledge(
        &mut self,
        at: usize,
        now_ns: u64,
        found: &mut Acknowledged,
        newest: &mut Option<u32>,
    ) {
        let Some(sent) = self.ring.get(at).copied() else { return };
        if !matches!(sent.fate, Fate::Flying | Fate::Lost) {
            return;
        }
        self.set_fate(at, Fate::Acked);
        found.bytes += sent.bytes();
        if newest.is_none_or(|newest| newer(sent.order, newest)) {
            *newest = Some(sent.order);
            // RFC 9260 6.3.1 C5: what was sent twice says nothing about the round trip; what was
            // sent last waited least for the peer to answer.
            let once = sent.transmissions == 1;
            found.round_trip_ns = once.then(|| now_ns.saturating_sub(sent.sent_ns));
        }
    }

    /// RFC 9260 7.2.4: chunks that were sent before one that just arrived are missed once more. As
    /// "before" means the last time they were sent, a repeated chunk that is lost again is found so
    /// as well.
    fn note_misses(
        &mut self,
        now_ns: u64,
        newest: u32,
        context: SackContext,
        messages: &mut Messages,
    ) -> bool {
        // RFC 5827 3.1: where too little is under way for three SACKs, fewer tell of a loss.
        let few = context.quiet && self.ring.len() <= usize::from(MISSES);
        let limit = if few { (self.ring.len() as u8).saturating_sub(1).max(1) } else { MISSES };
        let mut lost = false;
        for at in 0..self.ring.len() {
            let sent = &mut self.ring[at];
            if sent.fate == Fate::Flying && newer(newest, sent.order) {
                sent.misses += 1;
                if sent.misses >= limit {
                    self.lose(at, now_ns, messages);
                    lost = true;
                }
            }
        }
        lost
    }

    /// It did not arrive: it is sent again, or its message is given up.
    fn lose(&mut self, at: usize, now_ns: u64, messages: &mut Messages) {
        let sent = self.ring[at];
        let message = messages.get(sent.message);
        let spent = message.max_retransmissions.is_some_and(|most| sent.transmissions > most);
        if spent || now_ns >= message.expires_ns {
            self.abandon(at, messages);
        } else {
            self.set_fate(at, Fate::Lost);
        }
    }

    /// RFC 3758 3.5 A3: all fragments of the message are given up.
    fn abandon(&mut self, at: usize, messages: &mut Messages) {
        let message = self.ring[at].message;
        messages.forget_payload(message);
        let first = (0..at).rev().take_while(|at| self.ring[*at].message == message).last();
        let mut at = first.unwrap_or(at);
        while self.ring.get(at).is_some_and(|sent| sent.message == message) {
            self.set_fate(at, Fate::Abandoned);
            at += 1;
        }
    }

    /// The message whose chunks were sent last is given up, and what of it was not sent yet: one
    /// TSN stands for that, so that the peer forgets the beginning even if it came.
    pub(crate) fn abandon_last(&mut self, message: u32, messages: &mut Messages) {
        messages.forget_payload(message);
        if let Some(at) = self.ring.len().checked_sub(1)
            && self.ring[at].message == message
        {
            self.abandon(at, messages);
        }
        messages.note_abandoned(message);
        self.push_abandoned(message);
    }

    /// RFC 9260 6.3.3 E3: nothing came back in time, all that is under way counts as lost.
    pub(crate) fn handle_timeout(&mut self, now_ns: u64, messages: &mut Messages) {
        for at in 0..self.ring.len() {
            match self.ring[at].fate {
                Fate::Flying => self.lose(at, now_ns, messages),
                // RFC 9260 6.2.1: a peer that said it has the next chunk, and does not, threw it
                // away again.
                Fate::Acked if at == 0 => self.set_fate(at, Fate::Lost),
                _ => {}
            }
        }
    }

    /// The next chunk to be sent again. Those that expired meanwhile are given up.
    pub(crate) fn next_lost(&mut self, now_ns: u64, messages: &mut Messages) -> Option<Repeat> {
        while self.lost > 0 {
            let from = usize::try_from(distance(self.first, self.lost_from)).unwrap_or(0);
            let at = (from..self.ring.len()).find(|at| self.ring[*at].fate == Fate::Lost)?;
            let sent = self.ring[at];
            self.lost_from = self.first.wrapping_add(at as u32);
            if now_ns < messages.get(sent.message).expires_ns {
                return Some(Repeat {
                    tsn: self.lost_from,
                    message: sent.message,
                    offset: sent.offset as usize,
                    len: usize::from(sent.len),
                    flags: sent.flags,
                });
            }
            self.abandon(at, messages);
        }
        None
    }

    /// That chunk goes; gives whether it is the first in the ring.
    pub(crate) fn note_repeated(&mut self, tsn: u32) -> bool {
        let at = tsn.wrapping_sub(self.first) as usize;
        self.set_fate(at, Fate::Flying);
        self.sent = self.sent.wrapping_add(1);
        let sent = &mut self.ring[at];
        sent.transmissions = sent.transmissions.saturating_add(1);
        sent.misses = 0;
        sent.order = self.sent;
        at == 0
    }

    /// RFC 3758 3.5 C1 to C4: up to where the peer shall go on, and the numbers that ordered
    /// streams skip, at most `room` of them, the newest of each stream.
    pub(crate) fn forward(
        &self,
        room: usize,
        messages: &Messages,
        skipped: &mut Vec<(u16, u16)>,
    ) -> Option<u32> {
        let mut point = None;
        for (at, sent) in self.ring.iter().enumerate() {
            match sent.fate {
                Fate::Abandoned => {}
                // Only on the way to another that is given up. There are peers that forget ordered
                // messages which wait for those that are skipped.
                Fate::Acked if messages.get(sent.message).unordered => continue,
                _ => break,
            }
            let message = messages.get(sent.message);
            if !message.unordered {
                match skipped.iter().position(|known| known.0 == message.stream) {
                    Some(known) => skipped[known].1 = message.ssn,
                    None if skipped.len() < room => skipped.push((message.stream, message.ssn)),
                    None => break,
                }
            }
            point = Some(self.first.wrapping_add(at as u32));
        }
        point
    }
}

/// What an association knows when a SACK comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SackContext {
    /// The fast recovery goes on.
    pub(crate) recovering: bool,
    /// Nothing new waits to be sent.
    pub(crate) quiet: bool,
}

#[cfg(test)]
#[path = "flight_tests.rs"]
mod tests;
