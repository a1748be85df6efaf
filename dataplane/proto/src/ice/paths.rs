//! The addresses of the peer that passed a check, and the one of them that is sent to.

use std::net::SocketAddr;

/// Addresses of one peer that are remembered. Raised: a peer that sends from thousands of ports
/// costs more. Lowered: a client with many interfaces, IPv4 and IPv6, may lose a path that it is
/// about to choose.
pub const MAX_SOURCES: usize = 12;

/// How a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathProtocol {
    /// UDP.
    Udp,
    /// A TCP connection that the peer opened, framed by RFC 4571.
    Tcp,
}

/// A way between the peer and us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The peer's address as we see it.
    pub remote: SocketAddr,
    /// How.
    pub protocol: PathProtocol,
    /// The caller's number for the local socket, for TCP the connection; given back as it came.
    pub socket: u32,
}

/// What passed a check, the latest first.
#[derive(Debug, Default)]
pub(super) struct Paths {
    sources: [Option<Path>; MAX_SOURCES],
    selected: Option<Path>,
}

impl Paths {
    /// Remembers that an authenticated check came by `path`. For a new one, the second is what was
    /// forgotten for it; never the selected path.
    pub(super) fn learn(&mut self, path: Path) -> Option<(Path, Option<Path>)> {
        if self.sources[0] == Some(path) {
            return None;
        }
        let known = self.sources.iter().position(|source| *source == Some(path));
        let at = known.unwrap_or_else(|| self.room());
        let forgotten = self.sources[at].filter(|_| known.is_none());
        self.sources[at] = Some(path);
        self.sources[..=at].rotate_right(1);
        known.is_none().then_some((path, forgotten))
    }

    /// The first free place, or that of the oldest source that is not selected.
    fn room(&self) -> usize {
        let last = MAX_SOURCES - 1;
        let free = self.sources.iter().position(Option::is_none);
        free.unwrap_or(if self.sources[last] == self.selected { last - 1 } else { last })
    }

    /// Whether a check came by `path`.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.selected.as_ref() == Some(path) || self.sources.iter().flatten().any(|p| p == path)
    }

    /// Chooses `path`; tells whether that is a change.
    pub(super) fn select(&mut self, path: Path) -> bool {
        let changed = self.selected != Some(path);
        self.selected = Some(path);
        changed
    }

    pub(super) fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// Where to send: the selected path; before there is one, where the latest check came from, as
    /// browsers begin with DTLS before they nominate.
    pub(super) fn send_path(&self) -> Option<Path> {
        self.selected.or(self.sources[0])
    }

    /// Everything that is remembered, the latest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Path> + '_ {
        self.sources.iter().flatten().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.sources.iter().flatten().count()
    }

    /// Forgets a TCP connection that is gone, or a socket.
    pub(super) fn remove(&mut self, path: &Path) {
        if let Some(at) = self.sources.iter().position(|source| source.as_ref() == Some(path)) {
            self.sources[at] = None;
            self.sources[at..].rotate_left(1);
        }
        if self.selected.as_ref() == Some(path) {
            self.selected = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(port: u16) -> Path {
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        Path { remote, protocol: PathProtocol::Udp, socket: 0 }
    }

    #[test]
    fn the_oldest_goes_but_never_the_selected_one() {
        let mut paths = Paths::default();
        assert_eq!(paths.learn(path(1)), Some((path(1), None)));
        assert_eq!(paths.learn(path(1)), None);
        assert!(paths.select(path(1)) && !paths.select(path(1)));
        for port in 2..=MAX_SOURCES as u16 {
            assert_eq!(paths.learn(path(port)), Some((path(port), None)));
        }
        assert_eq!(paths.len(), MAX_SOURCES);
        // Port 1 is the oldest and selected; so port 2 goes.
        assert_eq!(paths.learn(path(1000)), Some((path(1000), Some(path(2)))));
        assert!(paths.contains(&path(1)) && !paths.contains(&path(2)));
        assert_eq!(paths.send_path(), Some(path(1)));
        // A flood of ports keeps the table as it is in size.
        for port in 2000..30_000 {
            let (_, forgotten) = paths.learn(path(port)).expect("a new one");
            assert!(forgotten.is_some_and(|forgotten| forgotten != path(1)));
        }
        assert_eq!(paths.len(), MAX_SOURCES);
        assert!(paths.contains(&path(1)));
        paths.remove(&path(1));
        assert!(!paths.contains(&path(1)));
        assert_eq!((paths.len(), paths.send_path()), (MAX_SOURCES - 1, Some(path(29_999))));
    }
}
