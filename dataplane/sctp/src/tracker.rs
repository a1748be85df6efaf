//! Which of the peer's TSNs came, and when to tell it (RFC 9260 6.2).

use std::collections::VecDeque;

use crate::chunk::{kind, put_chunk};
use crate::serial::extend;

/// Gaps that are remembered. Raised, SACKs grow beyond what fits beside data; lowered, chunks
/// behind many losses have to be sent again.
const GAPS_MAX: usize = 200;
/// Repeated TSNs that one SACK reports.
const DUPLICATES_MAX: usize = 16;
/// RFC 9260 3.3.4: gap blocks count from the cumulative TSN in 16 bits.
const AHEAD_MAX: u64 = 65_535;
/// RFC 9260 6.2: at least every second packet is acknowledged.
const PACKETS_PER_SACK: u8 = 2;

/// What a TSN is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The one after the cumulative.
    Next,
    /// Ahead of it; before others that came, where `fills`.
    Ahead { fills: bool },
    /// It came before.
    Duplicate,
    /// Too far ahead to be remembered.
    Beyond,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u64,
    last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    At(u64),
    Now,
}

/// The TSNs that came.
#[derive(Debug)]
pub(crate) struct Tracker {
    /// With its wraps counted.
    cumulative: u64,
    /// What came beyond it, rising, never touching.
    blocks: VecDeque<Block>,
    duplicates: Vec<u32>,
    owed: Owed,
    packets: u8,
}

impl Tracker {
    /// `first` is the peer's first TSN.
    pub(crate) fn new(first: u32) -> Self {
        Self {
            cumulative: (1 << 32) + u64::from(first) - 1,
            blocks: VecDeque::new(),
            duplicates: Vec::new(),
            owed: Owed::Nothing,
            packets: 0,
        }
    }

    /// Up to this TSN all came.
    #[inline]
    pub(crate) fn cumulative(&self) -> u64 {
        self.cumulative
    }

    #[inline]
    pub(crate) fn extend(&self, tsn: u32) -> u64 {
        extend(self.cumulative, tsn)
    }

    #[inline]
    pub(crate) fn has_gaps(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// What a TSN would be.
    #[inline]
    pub(crate) fn look(&self, tsn: u64) -> Seen {
        if tsn == self.cumulative + 1 {
            return Seen::Next;
        }
        if tsn <= self.cumulative {
            return Seen::Duplicate;
        }
        let at = self.blocks.partition_point(|block| block.last < tsn);
        match self.blocks.get(at) {
            Some(block) if block.first <= tsn => return Seen::Duplicate,
            _ => {}
        }
        let joins = at > 0 && self.blocks[at - 1].last + 1 == tsn
            || self.blocks.get(at).is_some_and(|block| block.first == tsn + 1);
        if tsn > self.cumulative + AHEAD_MAX || !joins && self.blocks.len() >= GAPS_MAX {
            return Seen::Beyond;
        }
        Seen::Ahead { fills: at < self.blocks.len() }
    }

    /// It came, and is kept.
    #[inline]
    pub(crate) fn insert(&mut self, tsn: u64) {
        if tsn == self.cumulative + 1 {
            self.cumulative = tsn;
            if self.has_gaps() {
                self.join_front();
            }
        } else {
            self.insert_ahead(tsn);
        }
    }

    fn insert_ahead(&mut self, tsn: u64) {
        let at = self.blocks.partition_point(|block| block.last < tsn);
        let before = at > 0 && self.blocks[at - 1].last + 1 == tsn;
        let after = self.blocks.get(at).is_some_and(|block| block.first == tsn + 1);
        match (before, after) {
            (true, true) => {
                self.blocks[at - 1].last = self.blocks[at].last;
                self.blocks.remove(at);
            }
            (true, false) => self.blocks[at - 1].last = tsn,
            (false, true) => self.blocks[at].first = tsn,
            (false, false) => self.blocks.insert(at, Block { first: tsn, last: tsn }),
        }
    }

    fn join_front(&mut self) {
        if let Some(block) = self.blocks.front().copied()
            && block.first == self.cumulative + 1
        {
            self.cumulative = block.last;
            self.blocks.pop_front();
        }
    }

    /// RFC 3758 3.6: the peer goes on from here; gives whether that is news.
    pub(crate) fn forward(&mut self, tsn: u64) -> bool {
        if tsn <= self.cumulative {
            return false;
        }
        self.cumulative = tsn;
        while let Some(block) = self.blocks.front().copied()
            && block.first <= tsn + 1
        {
            self.cumulative = self.cumulative.max(block.last);
            self.blocks.pop_front();
        }
        true
    }

    /// It came again. RFC 9260 6.2: that is told at once.
    pub(crate) fn note_duplicate(&mut self, tsn: u32) {
        if self.duplicates.len() < DUPLICATES_MAX {
            self.duplicates.push(tsn);
        }
        self.owe_now();
    }

    /// A SACK shall go with the next packet.
    #[inline]
    pub(crate) fn owe_now(&mut self) {
        self.owed = Owed::Now;
    }

    /// A packet with DATA is through.
    #[inline]
    pub(crate) fn note_packet(&mut self, now_ns: u64, delay_ns: u64) {
        self.packets = self.packets.saturating_add(1);
        // RFC 9260 6.7: while TSNs are missing, every packet is acknowledged.
        if self.packets >= PACKETS_PER_SACK || self.has_gaps() {
            self.owed = Owed::Now;
        } else if self.owed == Owed::Nothing {
            self.owed = Owed::At(now_ns + delay_ns);
        }
    }

    /// When a SACK is due that was put off.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self.owed {
            Owed::At(at_ns) => Some(at_ns),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn handle_timeout(&mut self, now_ns: u64) {
        if self.deadline().is_some_and(|at_ns| at_ns <= now_ns) {
            self.owed = Owed::Now;
        }
    }

    /// Whether a SACK must go now.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.owed == Owed::Now
    }

    /// Whether one is owed, so that it may go with data.
    #[inline]
    pub(crate) fn is_owed(&self) -> bool {
        self.owed != Owed::Nothing
    }

    /// Adds a SACK with at most `room` bytes, of which 16 are needed.
    pub(crate) fn write_sack(&mut self, out: &mut Vec<u8>, window: u32, room: usize) {
        let items = room.saturating_sub(16) / 4;
        let gaps = self.blocks.len().min(items);
        let duplicates = self.duplicates.len().min(items - gaps);
        put_chunk(out, kind::SACK, 0, |out| {
            out.extend_from_slice(&(self.cumulative as u32).to_be_bytes());
            out.extend_from_slice(&window.to_be_bytes());
            out.extend_from_slice(&(gaps as u16).to_be_bytes());
            out.extend_from_slice(&(duplicates as u16).to_be_bytes());
            for block in self.blocks.iter().take(gaps) {
                let offset = |tsn: u64| ((tsn - self.cumulative) as u16).to_be_bytes();
                out.extend_from_slice(&offset(block.first));
                out.extend_from_slice(&offset(block.last));
            }
            for tsn in &self.duplicates[..duplicates] {
                out.extend_from_slice(&tsn.to_be_bytes());
            }
        });
        self.duplicates.clear();
        self.owed = Owed::Nothing;
        self.packets = 0;
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.duplicates.capacity() * 4
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
