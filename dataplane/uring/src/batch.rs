//! What a shard wants sent: runs of packets, as plain data.
//!
//! The shard fills a [`Batch`] during a turn and an engine empties it. No kernel, no pointer: the
//! simulation reads the same structure that the engines send. Bytes are named by [`Piece`]s, so a
//! payload is never copied; what is new (rewritten headers) goes into the batch's own scratch.
//! Capacities are fixed at construction.

use crate::address::Target;

/// The pool number that means the batch's own scratch bytes.
pub const SCRATCH: u16 = u16::MAX;

/// Packets in one run. The kernel's `UDP_MAX_SEGMENTS` was 64 until Linux 6.9 and is 128 since;
/// more would be refused by older kernels, fewer lose little (gains flatten at 16).
pub const MAX_SEGMENTS: usize = 64;

/// Bytes in one run. A segmented send is one IP datagram until it leaves, so it must fit into
/// 65507 (IPv4) with room for IP options and IPv6 extension headers.
pub const MAX_RUN_BYTES: u32 = 65_000;

/// Pieces in one run: the kernel's `UIO_MAXIOV`.
pub const MAX_RUN_PIECES: u32 = 1024;

/// A socket of one engine: its slot, and the generation that tells it from earlier users of the
/// slot. A run to a socket that is gone fails with `EBADF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    slot: u32,
    generation: u32,
}

impl SocketId {
    /// Generations use this many bits, because slot, generation and a kind share a completion's
    /// 64 bits of user data.
    pub(crate) const GENERATION_MASK: u32 = 0x00ff_ffff;

    /// Names a socket. Engines do this; tests that read batches without an engine may too.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation: generation & Self::GENERATION_MASK }
    }

    /// The slot: below the engine's capacity, so it may index a table.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.slot
    }

    /// How often the slot was used before, modulo 2^24.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// Bytes that are part of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which pool, or [`SCRATCH`].
    pub pool: u16,
    /// Bytes from the start of that pool or scratch.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

/// Packets to one address, in order: one packet, or several of equal size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The socket to send from.
    pub socket: SocketId,
    /// Where to.
    pub to: Target,
    /// First of its pieces in [`Batch::pieces`]; runs may share pieces.
    pub first: u32,
    /// One past its last piece.
    pub end: u32,
    /// Bytes in each packet, the last of which may be shorter; 0: the run is a single packet.
    pub segment: u16,
    /// Packets.
    pub packets: u16,
    /// Bytes of all packets together.
    pub bytes: u32,
    /// Given back in [`Failure`](crate::Failure); means nothing here.
    pub tag: u32,
}

/// Runs, the pieces that they are made of, and the bytes that are new.
#[derive(Debug)]
pub struct Batch {
    runs: Vec<Run>,
    pieces: Vec<Piece>,
    scratch: Vec<u8>,
}

impl Batch {
    /// A batch that holds at most so much and never grows.
    #[must_use]
    pub fn with_capacity(runs: usize, pieces: usize, scratch_bytes: usize) -> Self {
        Self {
            runs: Vec::with_capacity(runs),
            pieces: Vec::with_capacity(pieces),
            scratch: Vec::with_capacity(scratch_bytes),
        }
    }

    /// Copies `bytes` into the scratch; `None` if they do not fit.
    pub fn push_scratch(&mut self, bytes: &[u8]) -> Option<Piece> {
        let (piece, room) = self.reserve_scratch(bytes.len())?;
        room.copy_from_slice(bytes);
        Some(piece)
    }

    /// Takes `len` zeroed bytes of the scratch to be filled in place; `None` if they do not fit.
    pub fn reserve_scratch(&mut self, len: usize) -> Option<(Piece, &mut [u8])> {
        let start = self.scratch.len();
        if self.scratch.capacity() - start < len {
            return None;
        }
        self.scratch.resize(start + len, 0);
        let piece = Piece { pool: SCRATCH, offset: start as u32, len: len as u32 };
        Some((piece, &mut self.scratch[start..]))
    }

    /// Adds a piece and gives its index; `None` if there is no room.
    pub fn push_piece(&mut self, piece: Piece) -> Option<u32> {
        let index = self.pieces.len();
        if index == self.pieces.capacity() {
            return None;
        }
        self.pieces.push(piece);
        Some(index as u32)
    }

    /// Adds a run; false if there is no room.
    ///
    /// # Panics
    /// If the run contradicts itself or its pieces: that is a bug of the caller, and the kernel
    /// would send something other than what was meant.
    pub fn push_run(&mut self, run: Run) -> bool {
        assert!(run.first < run.end && run.end as usize <= self.pieces.len(), "pieces of {run:?}");
        assert!(run.end - run.first <= MAX_RUN_PIECES, "too many pieces in {run:?}");
        assert!(run.bytes <= MAX_RUN_BYTES, "too many bytes in {run:?}");
        let packets = match run.segment {
            0 => 1,
            segment => run.bytes.div_ceil(u32::from(segment)),
        };
        assert!(u32::from(run.packets) == packets, "{packets} packets, but {run:?}");
        assert!(packets as usize <= MAX_SEGMENTS, "too many packets in {run:?}");
        debug_assert_eq!(run.bytes, self.bytes_between(run.first, run.end), "bytes of {run:?}");
        if self.runs.len() == self.runs.capacity() {
            return false;
        }
        self.runs.push(run);
        true
    }

    fn bytes_between(&self, first: u32, end: u32) -> u32 {
        self.pieces[first as usize..end as usize].iter().map(|piece| piece.len).sum()
    }

    /// Whether so much more fits.
    #[must_use]
    pub fn has_room(&self, runs: usize, pieces: usize, scratch_bytes: usize) -> bool {
        self.runs.capacity() - self.runs.len() >= runs
            && self.pieces.capacity() - self.pieces.len() >= pieces
            && self.scratch.capacity() - self.scratch.len() >= scratch_bytes
    }

    /// The runs, in the order in which they are sent.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The pieces that the runs point at.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The bytes that [`SCRATCH`] pieces point at.
    #[must_use]
    pub fn scratch(&self) -> &[u8] {
        &self.scratch
    }

    /// Takes runs out that go another way: those for which `keep` says no. It sees each run, its
    /// pieces and the scratch. These stay as long as a run does.
    pub fn retain_runs(&mut self, mut keep: impl FnMut(&Run, &[Piece], &[u8]) -> bool) {
        let (pieces, scratch) = (&self.pieces, &self.scratch);
        self.runs.retain(|run| keep(run, &pieces[run.first as usize..run.end as usize], scratch));
        if self.runs.is_empty() {
            self.clear();
        }
    }

    /// True if there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Forgets everything, keeps the room.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.pieces.clear();
        self.scratch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn run(first: u32, end: u32, segment: u16, packets: u16, bytes: u32) -> Run {
        let to = Target::from(SocketAddr::from(([127, 0, 0, 1], 9)));
        Run { socket: SocketId::new(0, 0), to, first, end, segment, packets, bytes, tag: 0 }
    }

    #[test]
    fn a_full_batch_refuses_and_keeps_what_it_has() {
        let mut batch = Batch::with_capacity(1, 2, 4);
        let head = batch.push_scratch(b"abc").unwrap();
        assert_eq!(head, Piece { pool: SCRATCH, offset: 0, len: 3 });
        assert!(batch.push_scratch(b"de").is_none());
        assert_eq!(batch.push_piece(head), Some(0));
        assert_eq!(batch.push_piece(head), Some(1));
        assert_eq!(batch.push_piece(head), None);
        assert!(batch.has_room(1, 0, 1) && !batch.has_room(0, 0, 2) && !batch.has_room(0, 1, 0));
        assert!(batch.push_run(run(0, 2, 0, 1, 6)));
        assert!(!batch.push_run(run(0, 2, 0, 1, 6)));
        assert_eq!(
            (batch.runs().len(), batch.pieces().len(), batch.scratch()),
            (1, 2, &b"abc"[..])
        );
        batch.clear();
        assert!(batch.is_empty() && batch.has_room(1, 2, 4));
    }

    #[test]
    fn runs_that_go_another_way_leave() {
        let mut batch = Batch::with_capacity(3, 3, 9);
        for first in 0..3 {
            let piece = batch.push_scratch(&[first as u8; 3]).unwrap();
            batch.push_piece(piece);
            assert!(batch.push_run(run(first, first + 1, 0, 1, 3)));
        }
        let mut seen = Vec::new();
        batch.retain_runs(|run, pieces, scratch| {
            let start = pieces[0].offset as usize;
            seen.extend_from_slice(&scratch[start..start + 3]);
            run.first == 1
        });
        assert_eq!(seen, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        assert_eq!((batch.runs().len(), batch.runs()[0].first), (1, 1));
        assert!(!batch.has_room(1, 1, 1));
        batch.retain_runs(|_, _, _| false);
        assert!(batch.is_empty() && batch.has_room(3, 3, 9));
    }

    #[test]
    fn runs_that_contradict_themselves_are_bugs() {
        let rows = [
            (run(0, 0, 0, 1, 100), "no pieces"),
            (run(0, 2, 0, 1, 100), "a piece that is not there"),
            (run(0, 1, 0, 2, 100), "a single packet is one"),
            (run(0, 1, 50, 3, 100), "two packets, not three"),
            (run(0, 1, 1, 100, 100), "more than the kernel segments"),
            (run(0, 1, 0, 1, 99), "pieces hold 100 bytes"),
        ];
        for (row, why) in rows {
            let outcome = std::panic::catch_unwind(|| {
                let mut batch = Batch::with_capacity(1, 1, 0);
                batch.push_piece(Piece { pool: 0, offset: 0, len: 100 });
                batch.push_run(row)
            });
            assert!(outcome.is_err(), "{why}");
        }
    }
}
