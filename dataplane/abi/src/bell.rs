//! A bell: an eventfd that wakes a reader who said that it sleeps.
//!
//! **Who.** A shard's bell is made by the data plane, the control peer's bell by the door; whoever
//! sends ([`ring`]) asks [`crate::lane::Sender::reader_sleeps`] first, once per turn. The reader waits
//! for it to be readable, then silences it ([`silence`]) *before* it looks at its lanes. A bell is
//! only a hint: a reader that wakes without reason finds nothing and sleeps again, so that a peer
//! that rings for nothing or silences a bell of others delays its own lane.
//!
//! **Trust.** Both programs share the open eventfd and its flags. Descriptors are made non-blocking
//! and a full counter (a reader that never silences it) counts as rung.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::io::Errno;

/// Makes a bell: a non-blocking eventfd.
pub fn bell() -> Result<OwnedFd, Errno> {
    rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
}

/// Rings. A bell that cannot be rung any louder is rung.
pub fn ring(bell: impl AsFd) {
    // Nothing to do about an error: the reader is gone, and the door will say so.
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

/// Silences the bell until it is rung again. Returns whether it was ringing.
pub fn silence(bell: impl AsFd) -> bool {
    rustix::io::read(bell, &mut [0u8; 8]).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "eventfd")]
    fn many_rings_are_one() {
        let bell = bell().expect("a descriptor");
        assert!(!silence(&bell));
        ring(&bell);
        ring(&bell);
        assert!(silence(&bell));
        assert!(!silence(&bell));
        rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).expect("a full counter");
        ring(&bell);
        assert!(silence(&bell));
    }
}
