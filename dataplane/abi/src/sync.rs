//! The atomics of the lanes and pages: the real ones, or loom's when a model is checked.
//!
//! Only this file knows which, so that the code that loom judges is the code that runs.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Words of a cache line as the layouts see it. 128 bytes, because x86 prefetches lines in pairs
/// and some ARM cores have lines of 128: smaller brings false sharing, larger only costs memory.
/// Under loom every word is a model object, so that padding would only slow the search.
pub(crate) const LINE_WORDS: usize = if cfg!(loom) { 1 } else { 16 };

/// Waits a moment for another thread.
pub(crate) fn pause() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}
