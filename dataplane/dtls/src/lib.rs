//! DTLS 1.2, sans-IO, over AWS-LC: datagrams and `now` in; datagrams, a deadline, SRTP keys and
//! application data out. The server is what the product is; the client role is for its own load
//! generator and for tests.
//!
//! Not here: whose fingerprint is the right one (the owner of a [`Session`] compares, before it
//! uses a key), sockets, and what the keys are for. It stands between ICE, which says whose
//! datagrams these are, and SRTP and SCTP. DTLS 1.3 is left out: every peer speaks 1.2, and with
//! 1.2 the order of SRTP profiles is ours.
//!
//! One [`Context`] per process, one [`Session`] per peer connection. A session may move to another
//! thread at any time: a handshake costs the CPU a hundred times what a packet costs.
#![deny(unsafe_code)]

mod aws;
mod context;
mod datagrams;
mod drops;
mod event;
mod filter;
mod fingerprint;
mod session;
mod srtp;

pub use aws::{KeyKind, LibraryError, md5};
pub use context::{Config, Context, SetupError};
pub use drops::{Drop, DropCounts};
pub use event::{Connected, Event, Failure, SendError};
pub use fingerprint::{Fingerprint, HashAlgorithm};
pub use session::{MAX_APPLICATION_DATA_LEN, MAX_DATAGRAM_LEN, Role, Session};
pub use srtp::{SrtpKeys, SrtpProfile};
