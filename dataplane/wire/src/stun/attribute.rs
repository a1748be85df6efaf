//! The attributes that are known here, and the shapes of their values.

use super::{HEADER_BYTES, INTEGRITY_BYTES};

pub(super) const USERNAME: u16 = 0x0006;
pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(super) const ERROR_CODE: u16 = 0x0009;
pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub(super) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(super) const PRIORITY: u16 = 0x0024;
pub(super) const USE_CANDIDATE: u16 = 0x0025;
pub(super) const SOFTWARE: u16 = 0x8022;
pub(super) const FINGERPRINT: u16 = 0x8028;
pub(super) const ICE_CONTROLLED: u16 = 0x8029;
pub(super) const ICE_CONTROLLING: u16 = 0x802a;

/// RFC 8489 14: "between 0x0000 and 0x7FFF are comprehension-required attributes". The others
/// (NETWORK-COST, the private ones of libwebrtc) may be skipped by who does not know them.
pub(super) const fn must_be_understood(kind: u16) -> bool {
    kind < 0x8000
}

/// What the sender of a check takes itself for, with its tie-breaker (RFC 8445 7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IceRole {
    /// It chooses the pair.
    Controlling(u64),
    /// It takes the pair that the other chooses.
    Controlled(u64),
}

/// Why a request was refused (RFC 8489 14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode<'a> {
    /// 300–699.
    pub code: u16,
    /// A phrase for people, UTF-8 by rule but not checked.
    pub reason: &'a [u8],
}

impl<'a> ErrorCode<'a> {
    // RFC 8489 14.8: 21 reserved bits, then the class (hundreds) in three and the number in eight.
    pub(super) fn decode(value: &'a [u8]) -> Option<Self> {
        let (&[_, _, class, number], reason) = value.split_first_chunk()?;
        let class = class & 7;
        ((3..=6).contains(&class) && number < 100)
            .then(|| Self { code: u16::from(class) * 100 + u16::from(number), reason })
    }
}

/// What a MESSAGE-INTEGRITY signs: the HMAC-SHA1 of `header` and then `attributes` must be `tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The header with the length as the signer had it: up to and with MESSAGE-INTEGRITY.
    pub header: [u8; HEADER_BYTES],
    /// The attributes before MESSAGE-INTEGRITY.
    pub attributes: &'a [u8],
    /// The value of MESSAGE-INTEGRITY; compare in constant time.
    pub tag: &'a [u8; INTEGRITY_BYTES],
}
