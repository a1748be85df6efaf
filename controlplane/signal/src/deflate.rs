//! Compressed messages: RFC 7692, "Compression Extensions for WebSocket", without context takeover.
//!
//! Neither side keeps anything from one message to the next. So what goes to many clients is
//! compressed once for all of them, a thread has one state for all its connections, and a
//! connection costs nothing more.
//!
//! - [`answer`]: what is agreed on when a client comes.
//! - [`Frames`]: which messages are compressed, found in the stream below a WebSocket library that
//!   knows no extensions.
//! - [`deflate`], [`inflate`]: one message.

mod frames;
mod message;
mod offer;

pub use frames::{Frames, Packed};
pub use message::{DEFLATE_BYTES_MIN, InflateError, deflate, inflate};
pub use offer::answer;
