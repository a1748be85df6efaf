//! Numbers of TURN: methods, attributes, error codes (RFC 8656 17, 18, 19).

pub(super) const ALLOCATE: u16 = 0x003;
pub(super) const REFRESH: u16 = 0x004;
pub(super) const SEND: u16 = 0x006;
pub(super) const DATA: u16 = 0x007;
pub(super) const CREATE_PERMISSION: u16 = 0x008;
pub(super) const CHANNEL_BIND: u16 = 0x009;

pub(super) const CHANNEL_NUMBER: u16 = 0x000c;
pub(super) const LIFETIME: u16 = 0x000d;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(super) const DATA_ATTRIBUTE: u16 = 0x0013;
pub(super) const REALM: u16 = 0x0014;
pub(super) const NONCE: u16 = 0x0015;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
pub(super) const EVEN_PORT: u16 = 0x0018;
pub(super) const REQUESTED_TRANSPORT: u16 = 0x0019;
pub(super) const DONT_FRAGMENT: u16 = 0x001a;
pub(super) const RESERVATION_TOKEN: u16 = 0x0022;

/// Attributes that STUN itself has: `StunView` has checked them.
pub(super) const OF_STUN: &[u16] = &[0x0006, 0x0009, 0x000a, 0x001c, 0x0020, 0x0024, 0x0025];

/// REQUESTED-TRANSPORT: the protocol number of UDP.
pub(super) const UDP: u8 = 17;

/// Channel numbers that may be bound (RFC 8656 12).
pub(super) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x4fff;

/// An answer that refuses: code and the phrase for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    BadRequest,
    Unauthorized,
    Forbidden,
    UnknownAttribute,
    Mismatch,
    StaleNonce,
    Family,
    WrongCredentials,
    Transport,
    PeerFamily,
    Quota,
    Capacity,
}

impl Refused {
    pub(super) fn code(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "Bad Request"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::Forbidden => (403, "Forbidden"),
            Self::UnknownAttribute => (420, "Unknown Attribute"),
            Self::Mismatch => (437, "Allocation Mismatch"),
            Self::StaleNonce => (438, "Stale Nonce"),
            Self::Family => (440, "Address Family not Supported"),
            Self::WrongCredentials => (441, "Wrong Credentials"),
            Self::Transport => (442, "Unsupported Transport Protocol"),
            Self::PeerFamily => (443, "Peer Address Family Mismatch"),
            Self::Quota => (486, "Allocation Quota Reached"),
            Self::Capacity => (508, "Insufficient Capacity"),
        }
    }

    // RFC 8489 9.2.4: these two tell the client how to ask.
    pub(super) fn is_challenge(self) -> bool {
        matches!(self, Self::Unauthorized | Self::StaleNonce)
    }
}
