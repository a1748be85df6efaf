#![allow(unsafe_code)] // Writes to memory that the kernel reads at the same time.
//! The provided-buffer ring: which buffers the kernel may fill.
//!
//! We write entries and then the tail; the kernel reads the tail and then entries. A ring of as
//! many entries as there are buffers is never full, because each buffer is in it at most once.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::arrival::BufferId;

/// The group that receives take buffers from; there is one.
pub(super) const BUFFER_GROUP: u16 = 0;

pub(super) struct BufferRing {
    base: NonNull<BufRingEntry>,
    entries: u16,
    tail: u16,
}

impl BufferRing {
    pub(super) fn new(buffers: u32) -> io::Result<Self> {
        let entries = u16::try_from(buffers.next_power_of_two()).expect("at most MAX_BUFFERS");
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let bytes = mapped_bytes(entries);
        // SAFETY: a new private mapping at an address of the kernel's choice disturbs no other.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, entries, tail: 0 })
    }

    pub(super) fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    pub(super) fn entries(&self) -> u16 {
        self.entries
    }

    /// Lets the kernel fill a buffer. The caller must not read it until it comes back.
    pub(super) fn give(&mut self, buffer: BufferId, address: *mut u8, len: u32) {
        let place = usize::from(self.tail & (self.entries - 1));
        let entry = self.base.as_ptr().wrapping_add(place);
        // SAFETY: `place` is below the number of entries, all of which are mapped; the kernel
        // reads this one only after the tail has passed it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(address as u64);
        entry.set_len(len);
        entry.set_bid(buffer.0 as u16);
        self.tail = self.tail.wrapping_add(1);
        self.tail_cell().store(self.tail, Ordering::Release);
    }

    fn tail_cell(&self) -> &AtomicU16 {
        // SAFETY: the base is the first entry of a mapped ring.
        let tail = unsafe { BufRingEntry::tail(self.base.as_ptr()) };
        // SAFETY: the tail is aligned, mapped as long as `self`, and nobody else in this process
        // touches it: entries are written field by field, and it is not among those fields.
        unsafe { AtomicU16::from_ptr(tail.cast_mut()) }
    }
}

fn mapped_bytes(entries: u16) -> usize {
    usize::from(entries) * size_of::<BufRingEntry>()
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: the mapping is this ring's own. The kernel holds its pages until its ring goes.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), mapped_bytes(self.entries)) };
    }
}
