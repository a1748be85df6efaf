//! A bell: a descriptor that wakes a reader who said that it sleeps.
//!
//! **Who.** Shards and the door have eventfds that never leave the data plane. A control peer has
//! two descriptors of its own: an eventfd that it rings for all shards, which the door hears and
//! passes on, and one end of a socket pair that the door rings. Whoever sends a message asks
//! [`crate::lane::Sender::reader_sleeps`] first, once per turn. The reader waits for the bell to be
//! readable, then silences it *before* it looks at its lanes. A bell is only a hint: a reader that
//! wakes without reason finds nothing and sleeps again.
//!
//! **Trust.** Programs that share a descriptor share its flags and its count. What a peer has is
//! therefore only ever read with [`silence_foreign`], which does not wait whatever the flags say,
//! and only ever written through a socket with a flag of the call's own.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::EventfdFlags;
use rustix::io::{Errno, ReadWriteFlags};

/// Reads of one silencing: the ring of a peer that never stops must not keep the reader here.
const SILENCE_READS: usize = 64;

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
    let mut rang = false;
    // An eventfd is silent after one read, a socket when it is empty; both may be rung meanwhile.
    for _ in 0..SILENCE_READS {
        if rustix::io::read(&bell, &mut [0u8; 8]).is_err() {
            break;
        }
        rang = true;
    }
    rang
}

/// Silences an eventfd that a peer holds too: it must not be able to make us wait, so this does not
/// rely on a flag that the peer can take away.
pub fn silence_foreign(bell: impl AsFd) -> bool {
    let mut octets = [0u8; 8];
    let into = &mut [IoSliceMut::new(&mut octets)];
    // An offset of -1 reads where a stream stands.
    match rustix::io::preadv2(&bell, into, u64::MAX, ReadWriteFlags::NOWAIT) {
        // A kernel before 5.9 cannot; there the flag of the descriptor has to do.
        Err(Errno::OPNOTSUPP) => rustix::io::read(&bell, &mut [0u8; 8]).is_ok(),
        result => result.is_ok(),
    }
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
