//! STUN messages (RFC 8489) as ICE uses them (RFC 8445): a checked view and a writer.
//!
//! The view is made in one pass over one whole datagram and borrows from it. The attributes that
//! ICE needs are picked out; of those that nobody here knows, the ones that must be understood are
//! kept as a list for the answer 420, the others are skipped. Nothing is allocated and the work is
//! bounded by [`MAX_ATTRIBUTES`].
//!
//! This is not the responder: who may ask, and what is answered, is decided in `proto`. There is no
//! cryptography here either; [`Signed`] says over which bytes a MESSAGE-INTEGRITY is computed.

mod address;
mod attribute;
mod fingerprint;
mod message_type;
mod view;
mod write;

#[cfg(test)]
mod tests;

pub use attribute::{ErrorCode, IceRole, Signed};
pub use message_type::{BINDING, Class, MessageType};
pub use view::StunView;
pub use write::{StunRoomError, StunWriter};

/// Bytes of a STUN header: the shortest message.
pub const HEADER_BYTES: usize = 20;

/// Bytes of a MESSAGE-INTEGRITY value: an HMAC-SHA1.
pub const INTEGRITY_BYTES: usize = 20;

/// The longest USERNAME (RFC 8489 14.3: "a value of fewer than 509 bytes").
pub const MAX_USERNAME_BYTES: usize = 508;

/// Attributes looked at in one message. Raised: a hostile message costs more. Lowered: a client
/// with many private attributes is refused; browsers send about ten.
pub const MAX_ATTRIBUTES: usize = 32;

/// Unknown attributes listed in an answer 420. The rest goes unnamed, which nobody minds.
pub const MAX_UNKNOWN: usize = 8;

/// RFC 8489 5: "The magic cookie field MUST contain the fixed value 0x2112A442".
pub const MAGIC_COOKIE: u32 = 0x2112_a442;

/// What a request and its answer have in common (RFC 8489 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// Why a datagram is not a STUN message. Each variant is one drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StunError {
    /// Fewer than [`HEADER_BYTES`], or not as long as its header says.
    #[error("not as long as a STUN header says")]
    Length,
    /// The first two bits are not zero, or the magic cookie is missing (RFC 3489's STUN had none).
    #[error("not a STUN message of RFC 8489")]
    Cookie,
    /// An attribute reaches over the end, has a length that its type forbids, follows FINGERPRINT,
    /// or is one too many.
    #[error("a STUN attribute is malformed")]
    Attribute,
    /// FINGERPRINT is there and wrong.
    #[error("the STUN fingerprint is wrong")]
    Fingerprint,
}
