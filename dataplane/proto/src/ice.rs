//! ICE of one peer connection (RFC 8445), as the server plays it and as our own load generator
//! does.
//!
//! Three agents behind one type: [`lite`](IceAgent::lite), the server's own small responder, which
//! allocates nothing per check; [`full`](IceAgent::full), the library `is`, for clients that cannot
//! live with a lite peer; and [`client`](IceAgent::client), the controlling side of the load
//! generator. What they share stands here: which addresses proved themselves, which of them is
//! sent to, and whether the peer is still there.
//!
//! Finding the agent for a check is the caller's job: `StunView::ufrags` gives the ufrag that is
//! ours. Candidates, priorities and SDP live in the control plane.

mod agent;
mod client;
mod consent;
mod credentials;
mod full;
mod lite;
mod paths;
mod probe;
mod reply;

#[cfg(test)]
mod tests;

pub use agent::{Heard, IceAgent, StunTransmit};
pub use consent::{CONSENT_DISCONNECTED_MS, CONSENT_FAILED_MS, ConsentChange};
pub use credentials::{IceCredentials, MAX_PASSWORD_BYTES, MAX_UFRAG_BYTES};
pub use full::LocalAddress;
pub use paths::{MAX_SOURCES, Path, PathProtocol};
pub use reply::refuse;

/// Why a STUN message was not taken. Each variant is one drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IceDrop {
    /// A request without USERNAME or MESSAGE-INTEGRITY; it is answered with 400.
    #[error("a STUN request without credentials")]
    Incomplete,
    /// For another ufrag, for instance from before a restart; it is answered with 401.
    #[error("a STUN request for another ufrag")]
    Ufrag,
    /// MESSAGE-INTEGRITY is wrong; a request is answered with 401.
    #[error("a STUN message with a wrong integrity")]
    Integrity,
    /// It has attributes that must be understood and are not; it is answered with 420.
    #[error("a STUN request with unknown attributes")]
    Unknown,
    /// The peer takes our role; it is answered with 487.
    #[error("a STUN request with a role conflict")]
    Role,
    /// An answer to nothing that was asked, or of a method that is not Binding.
    #[error("a STUN message that nobody asked for")]
    Unasked,
    /// The agent behind it would not have it.
    #[error("a STUN message that the agent refused")]
    Refused,
}

const NS_PER_MS: u64 = 1_000_000;
/// Nothing is due before this.
const NEVER_NS: u64 = u64::MAX;
