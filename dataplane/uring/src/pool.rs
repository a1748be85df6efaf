#![allow(unsafe_code)] // Maps memory and shares it with other threads.
//! The receive buffers of all shards, one mapping each.
//!
//! The table exists before the shards' threads. Each pool is claimed by one engine, which alone
//! reads and writes its bytes; any other shard may only name them in a [`Piece`](crate::Piece), and
//! then the kernel reads them. No Rust reference to another shard's pool is ever made.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use thiserror::Error;

/// Buffers in one pool: the kernel's limit for a provided-buffer ring.
pub const MAX_BUFFERS: u32 = 32_768;

/// Smallest buffer: the room in front of a payload, and a small packet.
const MIN_BUFFER_BYTES: u32 = 512;

/// Pools are mapped in multiples of this, so that the kernel can back them with huge pages.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Why a pool table cannot be made.
#[derive(Debug, Error)]
pub enum PoolError {
    /// Number of buffers out of range.
    #[error("{0} receive buffers per shard: choose between 1 and {MAX_BUFFERS}")]
    Buffers(u32),
    /// Size of a buffer not possible.
    #[error("receive buffers of {0} bytes: choose a power of two between 512 and 131072")]
    BufferBytes(u32),
    /// The kernel gives no memory.
    #[error("mapping {bytes} bytes of receive buffers for shard {pool}: {source}")]
    Map {
        /// Which pool.
        pool: u16,
        /// How much was asked for.
        bytes: usize,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Receive buffers: a pool for each shard, all of the same shape.
#[derive(Debug)]
pub struct PoolTable {
    pools: Box<[Pool]>,
    buffers: u32,
    buffer_bytes: u32,
}

#[derive(Debug)]
struct Pool {
    base: NonNull<u8>,
    mapped_bytes: usize,
    claimed: AtomicBool,
}

// SAFETY: the mapping is plain memory that no thread owns; the claim makes one engine its only
// user, and everyone else only computes addresses in it.
unsafe impl Send for Pool {}
// SAFETY: as above; the only thing that is changed through a shared reference is an atomic.
unsafe impl Sync for Pool {}

impl PoolTable {
    /// Maps the memory of `shards` pools. It is touched only when an engine claims it, so that it
    /// lies near that engine's core.
    pub fn new(shards: u16, buffers: u32, buffer_bytes: u32) -> Result<Arc<Self>, PoolError> {
        if buffers == 0 || buffers > MAX_BUFFERS {
            return Err(PoolError::Buffers(buffers));
        }
        let sizes = MIN_BUFFER_BYTES..=131_072;
        if !buffer_bytes.is_power_of_two() || !sizes.contains(&buffer_bytes) {
            return Err(PoolError::BufferBytes(buffer_bytes));
        }
        // 32768 buffers of 131072 bytes would pass the 32 bits of an offset.
        if buffers.checked_mul(buffer_bytes).is_none() {
            return Err(PoolError::Buffers(buffers));
        }
        let bytes = (buffers as usize * buffer_bytes as usize).next_multiple_of(HUGE_PAGE_BYTES);
        let pools = (0..shards)
            .map(|pool| Pool::map(bytes).map_err(|source| PoolError::Map { pool, bytes, source }))
            .collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { pools, buffers, buffer_bytes }))
    }

    /// Pools in the table.
    #[must_use]
    pub fn pools(&self) -> u16 {
        self.pools.len() as u16
    }

    /// Buffers in each pool.
    #[must_use]
    pub fn buffers(&self) -> u32 {
        self.buffers
    }

    /// Bytes of each buffer.
    #[must_use]
    pub fn buffer_bytes(&self) -> u32 {
        self.buffer_bytes
    }

    /// The address of `len` bytes in a pool; `None` if they lie outside.
    pub(crate) fn address(&self, pool: u16, offset: u32, len: u32) -> Option<*mut u8> {
        let pool = self.pools.get(usize::from(pool))?;
        let end = offset.checked_add(len)?;
        if end > self.buffers * self.buffer_bytes {
            return None;
        }
        Some(pool.base.as_ptr().wrapping_add(offset as usize))
    }

    /// Makes the caller the only user of a pool; `None` if there is no such pool or it has a user.
    pub(crate) fn claim(self: &Arc<Self>, pool: u16) -> Option<PoolClaim> {
        let wanted = self.pools.get(usize::from(pool))?;
        if wanted.claimed.swap(true, Ordering::Acquire) {
            return None;
        }
        wanted.touch();
        Some(PoolClaim { table: Arc::clone(self), pool })
    }
}

impl Pool {
    fn map(bytes: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at an address of the kernel's choice disturbs no other.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, mapped_bytes: bytes, claimed: AtomicBool::new(false) })
    }

    /// Lets the kernel back the pool now, on this thread's memory node. Both are wishes: without
    /// them the first packets cost page faults.
    fn touch(&self) {
        let base = self.base.as_ptr().cast();
        for wish in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
            // SAFETY: both advices keep the content, and the range is this pool's mapping.
            let _ = unsafe { madvise(base, self.mapped_bytes, wish) };
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the mapping is this pool's own, and no claim outlives the table.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.mapped_bytes) };
    }
}

/// The right to use one pool's bytes, given back on drop.
#[derive(Debug)]
pub(crate) struct PoolClaim {
    table: Arc<PoolTable>,
    pool: u16,
}

impl PoolClaim {
    pub(crate) fn table(&self) -> &Arc<PoolTable> {
        &self.table
    }

    /// The address of a byte range of the claimed pool.
    ///
    /// # Panics
    /// If it lies outside of the pool.
    pub(crate) fn address(&self, offset: u32, len: u32) -> *mut u8 {
        self.table.address(self.pool, offset, len).expect("a range inside of the pool")
    }
}

impl Drop for PoolClaim {
    fn drop(&mut self) {
        self.table.pools[usize::from(self.pool)].claimed.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked() {
        let rows = [
            (1, 512, true),
            (32_768, 2048, true),
            (0, 2048, false),
            (32_769, 2048, false),
            (16, 2000, false),
            (16, 256, false),
            (16, 262_144, false),
            (32_768, 131_072, false),
        ];
        for (buffers, buffer_bytes, expect) in rows {
            let table = PoolTable::new(1, buffers, buffer_bytes);
            assert_eq!(table.is_ok(), expect, "{buffers} of {buffer_bytes}");
        }
    }

    #[test]
    fn addresses_stay_inside() {
        let table = PoolTable::new(2, 4, 512).unwrap();
        let rows = [
            (0, 0, 2048, true),
            (1, 2047, 1, true),
            (1, 2048, 0, true),
            (1, 2047, 2, false),
            (2, 0, 1, false),
            (0, u32::MAX, 2, false),
        ];
        for (pool, offset, len, expect) in rows {
            assert_eq!(table.address(pool, offset, len).is_some(), expect, "{pool} {offset} {len}");
        }
    }

    #[test]
    fn a_pool_has_one_user() {
        let table = PoolTable::new(1, 4, 512).unwrap();
        let claim = table.claim(0).unwrap();
        assert!(table.claim(0).is_none() && table.claim(1).is_none());
        drop(claim);
        assert!(table.claim(0).is_some());
    }
}
