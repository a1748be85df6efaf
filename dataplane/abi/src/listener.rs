//! The door's socket file: made, guarded against a second data plane, and removed.
//!
//! A file that a dead data plane left is replaced; one that someone listens at is an error. Looking
//! and replacing happen under a lock on the directory, so that of two data planes that start at
//! once one wins and the other is told.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::credentials::Credentials;

/// Why the door could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The path does not fit a socket address.
    #[error("the socket path {path} is too long: choose one of fewer than 108 bytes")]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The directory cannot be used.
    #[error(
        "cannot use the directory of {path}: {source}; create it and give it to the data plane's \
         user, or choose another `socket`"
    )]
    Directory {
        /// The socket's path.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Another data plane is starting there.
    #[error(
        "another program holds the directory of {path} locked: is a data plane starting there?"
    )]
    Locked {
        /// The socket's path.
        path: PathBuf,
    },
    /// A live data plane listens there.
    #[error(
        "process {pid} already listens at {path}: stop that data plane, or choose another `socket`"
    )]
    InUse {
        /// The path.
        path: PathBuf,
        /// Who listens.
        pid: u32,
    },
    /// There is a file that is no socket.
    #[error("{path} exists and is no socket: remove it, or choose another `socket`")]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket could not be made.
    #[error("cannot listen at {path} ({step}): {errno}")]
    Listen {
        /// The path.
        path: PathBuf,
        /// The system call.
        step: &'static str,
        /// Its answer.
        errno: Errno,
    },
    /// The bells are not one per shard.
    #[error("{bells} bells for {shards} shards")]
    Bells {
        /// Bells given.
        bells: usize,
        /// Shards of the pages.
        shards: u16,
    },
    /// Waiting for peers failed.
    #[error("cannot wait for peers: {0}")]
    Wait(Errno),
}

/// A listening socket and its file.
pub(crate) struct Listener {
    pub(crate) socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file that is ours to remove.
    file: (u64, u64),
}

impl Listener {
    pub(crate) fn bind(path: &Path) -> Result<Listener, DoorError> {
        let address = SocketAddrUnix::new(path)
            .map_err(|_| DoorError::PathTooLong { path: path.to_owned() })?;
        let _lock = lock_directory(path)?;
        clear(path, &address)?;
        let failed = |step| move |errno| DoorError::Listen { path: path.to_owned(), step, errno };
        let socket = socket(SocketFlags::NONBLOCK).map_err(failed("socket"))?;
        rustix::net::bind(&socket, &address).map_err(failed("bind"))?;
        // Before listening: until then nobody can connect, whatever the mode.
        let metadata = std::fs::set_permissions(path, PermissionsExt::from_mode(0o660))
            .and_then(|()| path.symlink_metadata())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .map_err(failed("chmod"))?;
        let listener =
            Listener { socket, path: path.to_owned(), file: (metadata.dev(), metadata.ino()) };
        rustix::net::listen(&listener.socket, 16).map_err(failed("listen"))?;
        Ok(listener)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let ours = self
            .path
            .symlink_metadata()
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if ours {
            // What cannot be removed is replaced by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A hand-over socket.
pub(crate) fn socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// Locks the directory of `path` until the file returned is closed.
fn lock_directory(path: &Path) -> Result<File, DoorError> {
    const TRIES: usize = 100;
    const PAUSE: Duration = Duration::from_millis(10);

    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let failed = |source| DoorError::Directory { path: path.to_owned(), source };
    let directory = File::open(directory.unwrap_or(Path::new("."))).map_err(failed)?;
    for _ in 0..TRIES {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK) => std::thread::sleep(PAUSE),
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    Err(DoorError::Locked { path: path.to_owned() })
}

/// Makes room at `path`: removes a socket that nobody listens at.
fn clear(path: &Path, address: &SocketAddrUnix) -> Result<(), DoorError> {
    let Ok(metadata) = path.symlink_metadata() else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(DoorError::NotASocket { path: path.to_owned() });
    }
    let failed = |step| move |errno| DoorError::Listen { path: path.to_owned(), step, errno };
    // Non-blocking: a listener whose queue is full is alive, and says so at once.
    let probe = socket(SocketFlags::NONBLOCK).map_err(failed("socket"))?;
    match rustix::net::connect(&probe, address) {
        Ok(()) => {
            let pid = Credentials::of_peer(&probe).map_or(0, |peer| peer.pid);
            Err(DoorError::InUse { path: path.to_owned(), pid })
        }
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path)
            .map_err(|source| DoorError::Directory { path: path.to_owned(), source }),
        Err(Errno::AGAIN) => Err(DoorError::InUse { path: path.to_owned(), pid: 0 }),
        Err(Errno::PROTOTYPE) => Err(DoorError::NotASocket { path: path.to_owned() }),
        Err(errno) => Err(failed("connect")(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn the_file_is_private_to_the_group_and_goes_with_the_listener() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let listener = Listener::bind(&path).expect("a listener");
        let mode = path.symlink_metadata().expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn a_live_listener_is_left_alone_and_a_dead_one_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let first = Listener::bind(&path).expect("a listener");
        match Listener::bind(&path).map(drop) {
            Err(DoorError::InUse { pid, .. }) => assert_eq!(pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        // A process that dies closes its socket and leaves the file.
        let kept = directory.path().join("kept");
        std::fs::rename(&path, &kept).expect("a new name");
        drop(first);
        std::fs::rename(&kept, &path).expect("the old name");
        let _second = Listener::bind(&path).expect("the stale file is replaced");
        assert!(matches!(Listener::bind(&path), Err(DoorError::InUse { .. })), "and live");
    }

    #[test]
    #[cfg_attr(miri, ignore = "sockets")]
    fn other_files_and_bad_paths_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "precious").expect("a file");
        assert!(matches!(Listener::bind(&file), Err(DoorError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "precious");
        let stream = directory.path().join("stream");
        let _other = std::os::unix::net::UnixListener::bind(&stream).expect("a listener");
        assert!(matches!(Listener::bind(&stream), Err(DoorError::NotASocket { .. })));
        let missing = directory.path().join("missing/socket");
        assert!(matches!(Listener::bind(&missing), Err(DoorError::Directory { .. })));
        let long = directory.path().join("x".repeat(120));
        assert!(matches!(Listener::bind(&long), Err(DoorError::PathTooLong { .. })));
    }
}
