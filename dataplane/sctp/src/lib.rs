//! One SCTP association (RFC 9260) as WebRTC's data channels use it (RFC 8831, RFC 8261), sans-IO:
//! what DTLS opened comes in, what DTLS shall seal comes out, time is told.
//!
//! Besides the base protocol it speaks partial reliability (RFC 3758, RFC 7496), stream resets
//! (RFC 6525) and zero checksums (RFC 9653). It knows no channels: DCEP is its user's. There is one
//! path, no interleaving and no search for a larger MTU.
//!
//! What comes in goes through `receive`: the checksum and the tag, then each chunk to its owner,
//! `setup` while there is no association, `tracker` and `reassembly` for DATA, `flight` and
//! `congestion` for SACK, `reset` for streams. What goes out is put together by `transmit`, out of
//! what those owe and of what `queue` holds.
//!
//! A peer is not trusted, although DTLS says who it is: whatever it sends, memory and work are
//! bounded, and the worst that can happen is the end of this association.
#![forbid(unsafe_code)]

mod association;
mod chunk;
mod config;
mod congestion;
mod crc;
mod flight;
mod init;
mod messages;
mod outcome;
mod queue;
mod reassembly;
mod receive;
mod reset;
mod rto;
mod serial;
mod setup;
mod tracker;
mod transmit;

pub use association::Association;
pub use config::{Config, SendOptions};
pub use outcome::{EndReason, Event, Message, SendError, State};
