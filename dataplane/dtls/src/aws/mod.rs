//! AWS-LC behind safe Rust. Everything that is `unsafe` in this crate is below this module; outside
//! of it nobody sees a pointer.
//!
//! The library is one and the same for the whole process: SRTP and tokens use its cryptographic
//! half through `aws-lc-rs`, this uses its TLS half as well.

mod calls;
mod certificate;
mod clock;
mod connection;
mod context;
mod digest;
mod error;
mod owned;
mod wire;

pub(crate) use certificate::Certificate;
pub use certificate::KeyKind;
pub(crate) use connection::{Connection, Progress, Reading};
pub(crate) use context::SharedContext;
pub(crate) use digest::digest;
pub use digest::md5;
pub use error::LibraryError;
