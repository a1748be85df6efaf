#![allow(unsafe_code)] // Makes slices of pool memory that the kernel fills.
//! Who holds which receive buffer: plain counts, one thread.
//!
//! A buffer with a count of 0 belongs to the kernel (or to the list of free ones) and cannot be
//! read; with any other count the kernel does not touch it. This is what makes the slices sound.

use crate::arrival::{Arrival, BufferId};
use crate::pool::PoolClaim;

/// The buffers of one pool.
pub(crate) struct Buffers {
    claim: PoolClaim,
    counts: Box<[u32]>,
    free: u32,
    buffer_bytes: u32,
}

impl Buffers {
    pub(crate) fn new(claim: PoolClaim) -> Self {
        let (buffers, buffer_bytes) = (claim.table().buffers(), claim.table().buffer_bytes());
        Self { claim, counts: vec![0; buffers as usize].into(), free: buffers, buffer_bytes }
    }

    pub(crate) fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes
    }

    /// Buffers that nobody holds.
    pub(crate) fn free(&self) -> u32 {
        self.free
    }

    /// Where a buffer starts, in bytes from the start of the pool.
    pub(crate) fn offset(&self, buffer: BufferId) -> u32 {
        assert!((buffer.0 as usize) < self.counts.len(), "{buffer:?} is of another pool");
        buffer.0 * self.buffer_bytes
    }

    /// A buffer's address, for the kernel to write to.
    pub(crate) fn address(&self, buffer: BufferId) -> *mut u8 {
        self.claim.address(self.offset(buffer), self.buffer_bytes)
    }

    /// The kernel has filled a buffer: it is held once.
    pub(crate) fn take(&mut self, buffer: BufferId) {
        let count = &mut self.counts[buffer.0 as usize];
        assert!(*count == 0, "the kernel filled {buffer:?} while it was held");
        *count = 1;
        self.free -= 1;
    }

    pub(crate) fn retain(&mut self, buffer: BufferId) {
        let count = &mut self.counts[buffer.0 as usize];
        assert!(*count > 0, "{buffer:?} is retained but nobody holds it");
        *count += 1;
    }

    /// True if that was the last holder: the engine gives the buffer back to the kernel.
    #[must_use]
    pub(crate) fn release(&mut self, buffer: BufferId) -> bool {
        let count = &mut self.counts[buffer.0 as usize];
        assert!(*count > 0, "{buffer:?} is released more often than held");
        *count -= 1;
        let last = *count == 0;
        self.free += u32::from(last);
        last
    }

    /// Everything in a held buffer.
    pub(crate) fn whole(&self, buffer: BufferId) -> &[u8] {
        self.slice(buffer, self.offset(buffer), self.buffer_bytes)
    }

    pub(crate) fn bytes(&self, arrival: &Arrival) -> &[u8] {
        self.slice(arrival.buffer, arrival.offset, arrival.len)
    }

    fn slice(&self, buffer: BufferId, offset: u32, len: u32) -> &[u8] {
        let address = self.held(buffer, offset, len);
        // SAFETY: `held` made sure that the range lies in one buffer of this pool and that the
        // buffer is held, so the kernel does not write to it; writers in this process need
        // `&mut self`. The memory was zeroed by the mapping.
        unsafe { std::slice::from_raw_parts(address, len as usize) }
    }

    pub(crate) fn bytes_mut(&mut self, arrival: &Arrival) -> &mut [u8] {
        let address = self.held(arrival.buffer, arrival.offset, arrival.len);
        // SAFETY: as above, and `&mut self` keeps every other slice of the pool away.
        unsafe { std::slice::from_raw_parts_mut(address, arrival.len as usize) }
    }

    fn held(&self, buffer: BufferId, offset: u32, len: u32) -> *mut u8 {
        let start = self.offset(buffer);
        assert!(self.counts[buffer.0 as usize] > 0, "{buffer:?} is read but nobody holds it");
        let inside = offset >= start
            && u64::from(offset) + u64::from(len) <= u64::from(start + self.buffer_bytes);
        assert!(inside, "{len} bytes at {offset} are not in {buffer:?}");
        self.claim.address(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::SocketId;
    use crate::pool::PoolTable;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn buffers() -> Buffers {
        Buffers::new(PoolTable::new(1, 4, 512).unwrap().claim(0).unwrap())
    }

    fn arrival(buffer: u32, offset: u32, len: u32) -> Arrival {
        Arrival {
            socket: SocketId::new(0, 0),
            buffer: BufferId(buffer),
            offset,
            len,
            from: "127.0.0.1:1".parse().unwrap(),
            kernel_ns: 0,
            truncated: false,
            queue_drops: 0,
        }
    }

    #[test]
    fn counts_decide_who_owns_a_buffer() {
        let mut buffers = buffers();
        let buffer = BufferId(3);
        buffers.take(buffer);
        buffers.retain(buffer);
        assert_eq!(buffers.free(), 3);
        buffers.bytes_mut(&arrival(3, 1536, 512)).fill(7);
        assert_eq!(buffers.bytes(&arrival(3, 2047, 1)), [7]);
        assert!(!buffers.release(buffer));
        assert!(buffers.release(buffer));
        assert_eq!(buffers.free(), 4);
    }

    #[test]
    fn only_held_bytes_can_be_read() {
        let rows = [(0, 0, 1), (1, 0, 1), (1, 512, 513), (1, 1023, 2), (1, 511, 1), (4, 2048, 0)];
        for (buffer, offset, len) in rows {
            let mut buffers = buffers();
            buffers.take(BufferId(1));
            let read = || buffers.bytes(&arrival(buffer, offset, len)).len();
            assert!(catch_unwind(AssertUnwindSafe(read)).is_err(), "{buffer} {offset} {len}");
        }
    }
}
