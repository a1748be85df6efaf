//! One peer connection's transport: ICE says whose packets these are, DTLS gives keys, SRTP opens
//! and seals. Sans-IO; time is ns of a clock that never jumps.
//!
//! The street: `handle_datagram` tells what came; then `poll_dtls_work`, `poll_transmit` and
//! `poll_event` until each is empty; `deadline` says when `handle_timeout` is due. The shard has
//! found the transport by the sender's address, for STUN by the ufrag. What is not authentic costs
//! a look at a short table and at most one hash; it changes nothing and allocates nothing.
//!
//! Not here: forwarding, RTX, feedback (`sfu` and the other files of this crate), SCTP (its packets
//! pass as [`TransportEvent::Data`]).

mod connection;
mod event;
mod media;

pub use connection::{CONNECT_TIMEOUT_MS, Transport, TransportConfig};
pub use event::{Received, Transmit, TransportDrop, TransportEvent, TransportFailure};
