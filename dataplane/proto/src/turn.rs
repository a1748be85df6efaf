//! TURN (RFC 8656) as this server needs it: clients whose networks let only some ports through are
//! relayed to the media ports of this very server, and nowhere else.
//!
//! So no socket is opened for an allocation. What a client sends to a peer that is one of our media
//! addresses comes out of [`TurnServer::handle`] under a [`LinkId`], which names allocation and
//! peer; what goes back to the client is put into TURN's form by [`TurnServer::wrap`]. Everything
//! that somebody else's server could be reached with is refused: other peers with 403, TCP relays
//! with 442, reserved ports with 508.
//!
//! Credentials are made from a secret by who lets participants in, and are checked here without a
//! list of them ([`TurnSecret`]). All tables have a bound. The sockets belong to the caller; for
//! TCP and TLS [`TurnStream`] cuts the bytes into messages.

mod allocation;
mod attribute;
mod channel_data;
mod client;
mod credentials;
mod nonce;
mod request;
mod server;
mod stream;
mod table;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use client::{TurnAnswer, TurnClient};
pub use credentials::{PASSWORD_BYTES, SECRET_BYTES, TurnSecret};
pub use server::{Ended, Handled, Moment, TurnConfig, TurnServer};
pub use stream::{MAX_MESSAGE_BYTES, NotTurn, TurnStream};
pub use table::LinkId;

/// What credentials are for. Clients repeat it and are not asked to understand it.
pub const REALM: &str = "ringway";

/// Octets that [`TurnServer::wrap`] may put around a packet: a Data indication with an IPv6 peer.
pub const MAX_WRAP_BYTES: usize = 20 + 24 + 4 + 3;

/// The client's side of an allocation (RFC 8656 3: the 5-tuple, of which our own end is fixed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Its address, as its packets come from.
    pub remote: SocketAddr,
    /// The caller's number for the TCP or TLS connection; `None` for UDP.
    pub stream: Option<u32>,
}

/// Why a packet of a client went nowhere. Each variant is one drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnDrop {
    /// The server is off.
    #[error("nobody asked for a relay")]
    Off,
    /// Neither STUN nor channel data, or broken.
    #[error("not a message of TURN")]
    Malformed,
    /// An answer, or a method that is none of ours.
    #[error("a message of TURN that nobody asked for")]
    Unasked,
    /// It names no allocation, no permission or no channel that there is, or no peer of ours.
    #[error("a packet for a peer that it may not be sent to")]
    NoPermission,
    /// Too many who prove nothing ask at once.
    #[error("more strangers ask than are answered")]
    Flood,
}
