#![allow(unsafe_code)] // Zeroes the kernel's message headers once.
//! Messages in the kernel's layout, filled from a batch and handed over a few hundred at a time.
//!
//! The headers point into the batch (addresses, scratch), into pools, and into this outbox. They
//! are valid from [`Outbox::begin`] until the batch changes, and only an engine reads them, while
//! it sends that very batch.

use crate::batch::{Batch, MAX_RUN_PIECES, MAX_SEGMENTS, Run, SCRATCH, SocketId};
use crate::control::SegmentControl;
use crate::pool::PoolTable;

/// Messages handed to the kernel at once. More would push the headers (88 bytes each, and 64 of
/// the submission queue) out of the second-level cache; fewer cost system calls.
pub(crate) const OUTBOX_MESSAGES: usize = 256;

/// Pieces of packets that are cut out of runs. Raising it only costs memory.
const CUT_PIECES: usize = 4096;

const _: () = assert!(CUT_PIECES >= MAX_RUN_PIECES as usize + MAX_SEGMENTS, "any run fits");
const _: () = assert!(OUTBOX_MESSAGES >= MAX_SEGMENTS, "any run fits");

/// The messages, and what each of them carries.
pub(crate) struct Outbox {
    messages: Box<[libc::mmsghdr]>,
    controls: Box<[SegmentControl]>,
    notes: Box<[Note]>,
    filled: usize,
    /// One per piece of the batch, so runs that share pieces share these too.
    iovecs: Vec<libc::iovec>,
    /// Never grows: messages point into it.
    cuts: Vec<libc::iovec>,
}

/// What a message carries.
#[derive(Clone, Copy)]
pub(crate) struct Note {
    pub(crate) socket: SocketId,
    /// Index of the run in the batch.
    pub(crate) run: u32,
    pub(crate) packets: u16,
    pub(crate) bytes: u32,
    /// The kernel is to cut the message into packets.
    pub(crate) segmented: bool,
}

/// A message that the kernel refused.
#[derive(Clone, Copy)]
pub(crate) struct Refused {
    pub(crate) message: u32,
    pub(crate) errno: i32,
}

impl Outbox {
    /// `pieces`: how many a batch may have without an allocation.
    pub(crate) fn new(pieces: usize) -> Self {
        let note =
            Note { socket: SocketId::new(0, 0), run: 0, packets: 0, bytes: 0, segmented: false };
        Self {
            messages: (0..OUTBOX_MESSAGES).map(|_| empty_message()).collect(),
            controls: vec![SegmentControl::new(0); OUTBOX_MESSAGES].into(),
            notes: vec![note; OUTBOX_MESSAGES].into(),
            filled: 0,
            iovecs: Vec::with_capacity(pieces),
            cuts: Vec::with_capacity(CUT_PIECES),
        }
    }

    /// Turns every piece of the batch into an address, once.
    ///
    /// # Panics
    /// If a piece lies outside of its pool: a bug that would send foreign memory.
    pub(crate) fn begin(&mut self, batch: &Batch, pools: &PoolTable) {
        self.clear();
        self.iovecs.clear();
        self.iovecs.extend(batch.pieces().iter().map(|piece| {
            let base = if piece.pool == SCRATCH {
                let bytes = batch.scratch().get(piece.offset as usize..);
                bytes.filter(|bytes| bytes.len() >= piece.len as usize).map(<[u8]>::as_ptr)
            } else {
                pools.address(piece.pool, piece.offset, piece.len).map(<*mut u8>::cast_const)
            };
            let base = base.unwrap_or_else(|| panic!("{piece:?} lies outside of its pool"));
            // The kernel only reads what is sent, though the type says otherwise.
            libc::iovec { iov_base: base.cast_mut().cast(), iov_len: piece.len as usize }
        }));
    }

    /// Forgets the messages, keeps the addresses of the pieces.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
        self.cuts.clear();
    }

    /// Adds a run as one message; false if the outbox is full.
    pub(crate) fn push_whole(&mut self, index: u32, run: &Run) -> bool {
        if self.filled == OUTBOX_MESSAGES {
            return false;
        }
        let segmented = run.packets > 1;
        let note = Note {
            socket: run.socket,
            run: index,
            packets: run.packets,
            bytes: run.bytes,
            segmented,
        };
        let pieces = &self.iovecs[run.first as usize..run.end as usize];
        let (iov, len) = (pieces.as_ptr().cast_mut(), pieces.len());
        self.push(note, run, iov, len);
        true
    }

    /// Adds a run packet by packet; false, and nothing added, if the outbox lacks the room.
    pub(crate) fn push_cut(&mut self, index: u32, run: &Run) -> bool {
        let (first, end) = (run.first as usize, run.end as usize);
        let packets = usize::from(run.packets);
        let cuts_needed = end - first + packets;
        if OUTBOX_MESSAGES - self.filled < packets
            || self.cuts.capacity() - self.cuts.len() < cuts_needed
        {
            return false;
        }
        let segment = if run.segment == 0 { u32::MAX } else { u32::from(run.segment) };
        let (mut start, mut bytes) = (self.cuts.len(), 0);
        for piece in first..end {
            let libc::iovec { mut iov_base, iov_len: mut left } = self.iovecs[piece];
            while left > 0 {
                let take = left.min((segment - bytes) as usize);
                self.cuts.push(libc::iovec { iov_base, iov_len: take });
                iov_base = iov_base.wrapping_byte_add(take);
                left -= take;
                bytes += take as u32;
                if bytes == segment {
                    self.push_packet(index, run, start, bytes);
                    (start, bytes) = (self.cuts.len(), 0);
                }
            }
        }
        if bytes > 0 {
            self.push_packet(index, run, start, bytes);
        }
        true
    }

    fn push_packet(&mut self, index: u32, run: &Run, start: usize, bytes: u32) {
        let note = Note { socket: run.socket, run: index, packets: 1, bytes, segmented: false };
        let pieces = &self.cuts[start..];
        let (iov, len) = (pieces.as_ptr().cast_mut(), pieces.len());
        self.push(note, run, iov, len);
    }

    fn push(&mut self, note: Note, run: &Run, iov: *mut libc::iovec, iov_len: usize) {
        let place = self.filled;
        let header = &mut self.messages[place].msg_hdr;
        let name = run.to.as_bytes();
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len() as _;
        header.msg_iov = iov;
        header.msg_iovlen = iov_len as _;
        if note.segmented {
            self.controls[place] = SegmentControl::new(run.segment);
            header.msg_control = (&raw mut self.controls[place]).cast();
            header.msg_controllen = size_of::<SegmentControl>() as _;
        } else {
            header.msg_control = std::ptr::null_mut();
            header.msg_controllen = 0;
        }
        self.notes[place] = note;
        self.filled += 1;
    }

    /// What the filled messages carry, in order.
    pub(crate) fn notes(&self) -> &[Note] {
        &self.notes[..self.filled]
    }

    /// The header of a filled message, for one `sendmsg`.
    pub(crate) fn header(&self, message: usize) -> *const libc::msghdr {
        &raw const self.messages[..self.filled][message].msg_hdr
    }

    /// Some filled messages, for `sendmmsg`.
    pub(crate) fn messages_mut(&mut self, range: std::ops::Range<usize>) -> &mut [libc::mmsghdr] {
        &mut self.messages[..self.filled][range]
    }
}

/// A message header with nothing in it. Its padding differs between C libraries, hence zeroed.
pub(crate) fn empty_message() -> libc::mmsghdr {
    // SAFETY: null pointers and zero lengths are valid values of every field.
    unsafe { std::mem::zeroed() }
}
