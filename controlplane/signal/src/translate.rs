//! The room's words to LiveKit's protobuf and back. No decisions here.

mod claims;
mod info;
mod notice;
mod request;

pub use claims::{join_of, token_claims};
pub use info::{participant, room, track};
pub(crate) use notice::data_handles;
pub use notice::{leave, respond};
pub(crate) use request::{BadTrack, Translated, add_track, data_subscription, request};
