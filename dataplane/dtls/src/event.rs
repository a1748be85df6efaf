//! What a session tells its owner.

use crate::{Fingerprint, SrtpKeys};

/// Something happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The handshake is finished. The peer proved that it has the key of a certificate, and nothing
    /// else: compare the fingerprint before anything that came along is used.
    Connected(Connected),
    /// A message of the peer's.
    ApplicationData(&'a [u8]),
    /// The peer said that it is done. Nothing follows.
    Closed,
    /// It will not work, or not any longer. Nothing follows.
    Failed(Failure),
}

/// What a handshake came to.
#[derive(Debug)]
pub struct Connected {
    /// SHA-256 of the peer's certificate; [`crate::Session::peer_fingerprint`] has the others.
    pub peer_fingerprint: Fingerprint,
    /// Profile and keys for SRTP; none if the peer offered no profile that we know.
    pub srtp: Option<SrtpKeys>,
}

/// Why a session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The handshake took too long. `alert` is one that the peer may have sent: it was not
    /// encrypted and so changed nothing, but it often says what went wrong. `refused` is why the
    /// last first message was not accepted.
    #[error("handshake not finished in time (alert seen: {alert:?}, hello refused: {refused:?})")]
    TimedOut {
        /// RFC 5246 7.2: the description.
        alert: Option<u8>,
        /// AWS-LC's word for it.
        refused: Option<&'static str>,
    },
    /// RFC 5246 7.2: the peer sent this fatal alert, encrypted.
    #[error("the peer sent alert {0}")]
    Alert(u8),
    /// The peer broke the protocol, or has nothing in common with us.
    #[error("DTLS failed: {0}")]
    Protocol(&'static str),
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Not connected yet, or no longer.
    #[error("the DTLS session is not connected")]
    NotConnected,
    /// Empty, or longer than [`crate::MAX_APPLICATION_DATA_LEN`].
    #[error("a message of {0} bytes does not fit into a datagram")]
    Length(usize),
}
