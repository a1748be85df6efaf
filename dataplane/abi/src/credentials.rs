//! Who is at the other end of a Unix socket, and whether it may steer.
//!
//! The unsafe code: one `getsockopt`. The safe wrapper at hand types the process id as never 0,
//! which it is for a peer in a PID namespace that ours does not see.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// The peer's process, user and group when it connected (or, of a listener, when it listened).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// 0: in another PID namespace.
    pub(crate) pid: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Credentials {
    /// Of the peer of `socket`.
    pub(crate) fn of_peer(socket: impl AsFd) -> Result<Self, Errno> {
        let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes to `peer`, which is as long, lives until
        // the call is over, and is plain integers.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            let error = std::io::Error::last_os_error();
            return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        }
        Ok(Self { pid: peer.pid.max(0) as u32, uid: peer.uid, gid: peer.gid })
    }

    /// Of this process.
    pub(crate) fn own() -> Self {
        Self {
            pid: std::process::id(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        }
    }

    /// Whether this peer may steer a data plane that runs as `own`. The socket's mode is the first
    /// lock, this is the second: a mode that someone loosened lets people look, not steer.
    pub(crate) fn may_control(self, own: Credentials) -> bool {
        self.uid == 0 || self.uid == own.uid || self.gid == own.gid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn the_peer_of_a_pair_is_this_process() {
        let (here, _there) = UnixStream::pair().expect("a pair");
        assert_eq!(Credentials::of_peer(&here), Ok(Credentials::own()));
        let file = std::fs::File::open("/dev/null").expect("null");
        assert_eq!(Credentials::of_peer(&file), Err(Errno::NOTSOCK));
    }

    #[test]
    fn root_the_own_user_and_the_own_group_may_control() {
        let own = Credentials { pid: 1, uid: 990, gid: 991 };
        for (uid, gid, expect) in
            [(0, 0, true), (990, 5, true), (5, 991, true), (5, 5, false), (991, 990, false)]
        {
            assert_eq!(Credentials { pid: 2, uid, gid }.may_control(own), expect, "{uid} {gid}");
        }
    }
}
