//! The bell: an eventfd that ends a sleeping engine's wait.
//!
//! It is made before the shard's thread, so that others can ring it from the start. Whoever puts
//! work into a lane rings it only when the reader says that it sleeps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// Makes a bell: an eventfd, non-blocking, closed on exec.
pub fn new_bell() -> io::Result<Arc<OwnedFd>> {
    Ok(Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?))
}

/// Ends the present or the next wait of the engine that listens to this bell.
pub fn ring_bell(bell: impl AsFd) {
    // The only failure is a counter that is full, and then the bell rings already.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// Silences the bell.
pub(crate) fn silence(bell: impl AsFd) {
    // Fails only if someone else has silenced it.
    let _ = rustix::io::read(bell, &mut [0; 8]);
}
