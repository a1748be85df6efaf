//! What a transport says: of a datagram, to the network, to its owner.

use ringway_wire::stun::StunError;

use crate::dtls::DtlsFailure;
use crate::ice::{Heard, IceDrop, Path};
use crate::srtp::{OpenedRtp, SrtpDrop, SrtpProfile};

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// An RTP packet, opened in place.
    Rtp(OpenedRtp),
    /// An RTCP packet, opened in place; its length without what SRTCP added.
    Rtcp(usize),
    /// An authentic STUN message. The table of addresses may have to follow.
    Stun(Heard),
    /// A DTLS datagram from the peer; now there is work to poll.
    Dtls,
    /// Nothing to go on with; counted. A refused check may still have an answer: poll.
    Dropped(TransportDrop),
}

/// Why a datagram was dropped. Each variant is one drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TransportDrop {
    /// No protocol that belongs here.
    #[error("a protocol that has no business here")]
    Protocol,
    /// Not a STUN message.
    #[error("{0}")]
    Stun(StunError),
    /// A STUN message that was not taken.
    #[error("{0}")]
    Ice(IceDrop),
    /// DTLS or media from an address that passed no check.
    #[error("a packet from an address that passed no check")]
    Source,
    /// A DTLS datagram that is too long, or one too many while the session is away.
    #[error("too many DTLS datagrams at once")]
    DtlsBacklog,
    /// Media before there are keys, or without any having been negotiated.
    #[error("media before there are keys")]
    NoKeys,
    /// Media that could not be opened.
    #[error("{0}")]
    Srtp(SrtpDrop),
    /// The transport has ended.
    #[error("a packet for a transport that has ended")]
    Ended,
}

/// A datagram to be sent: the first `len` bytes of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// By this path.
    pub path: Path,
    /// Its length.
    pub len: usize,
}

/// Something that the owner wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// The peer proved to be the one of the signalling, and keys are in use.
    Connected {
        /// What SRTP uses; `None` when the peer offered nothing that we have.
        profile: Option<SrtpProfile>,
        /// Where it is.
        path: Path,
    },
    /// Everything goes to another path from now on.
    PathChanged(Path),
    /// The peer was not heard for a while; it may come back.
    Disconnected,
    /// It came back.
    Recovered,
    /// A message that came over DTLS: an SCTP packet.
    Data(Box<[u8]>),
    /// The peer ended the session. Nothing follows.
    Closed,
    /// It did not work, or no longer. Nothing follows.
    Failed(TransportFailure),
}

/// Why a transport failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportFailure {
    /// No check came in time.
    #[error("the peer was never heard")]
    Unreached,
    /// Checks came, DTLS was not finished in time.
    #[error("the peer was heard, but DTLS was not finished in time")]
    Unfinished,
    /// The peer is gone.
    #[error("the peer is no longer heard")]
    Silent,
    /// The certificate is not the one that was signalled.
    #[error("the peer's certificate is not the one that it announced")]
    Fingerprint,
    /// DTLS gave up.
    #[error("DTLS: {0}")]
    Dtls(DtlsFailure),
}
