//! One participant's LiveKit conversation, sans-IO: between protobuf or JSON on one side and the
//! words of `room` and of the data plane on the other.
//!
//! On the street of a signalling message this stands between the server's WebSocket and the room.
//! It decides nothing about rooms and knows no socket; SDP stops here.
//!
//! - [`wire`]: frames to messages and back. [`deflate`]: compressed ones.
//! - [`join`]: what a client says when it comes.
//! - [`grants`]: what its token says. [`client`]: what it can do.
//! - [`Session`]: the conversation. [`oneshot`]: the same for WHIP and WHEP.
//! - [`plane`]: what is asked of the data plane.
//! - [`translate`]: the room's words to protobuf.

#![forbid(unsafe_code)]

pub mod client;
pub mod deflate;
pub mod grants;
pub mod join;
pub mod null;
pub mod plane;
pub mod pong;
mod random;
mod session;
mod settings;
pub mod translate;
mod way;
pub mod wire;

pub use livekit_protocol as proto;
pub use session::{Ignored, Output, Session, Start, TrackSource, World, oneshot};
pub use settings::{SERVER_VERSION, Settings};
pub use way::Way;
