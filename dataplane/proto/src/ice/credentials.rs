//! Short-term credentials (RFC 8489 9.1): a ufrag and the key that is made of a password.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use ringway_wire::stun::{INTEGRITY_BYTES, Signed};

/// The longest ufrag (RFC 8839 5.4: 4 to 256 characters).
pub const MAX_UFRAG_BYTES: usize = 256;

/// The longest password (RFC 8839 5.4: 22 to 256 characters).
pub const MAX_PASSWORD_BYTES: usize = 256;

/// Ufrag and password of one side.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    ufrag: Box<[u8]>,
    password: Box<[u8]>,
}

impl IceCredentials {
    /// Checks lengths and characters; `None` when RFC 8839 does not allow them.
    pub fn new(ufrag: &[u8], password: &[u8]) -> Option<Self> {
        // RFC 8839 5.4: ice-char = ALPHA / DIGIT / "+" / "/".
        let ice_char = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let fits = (4..=MAX_UFRAG_BYTES).contains(&ufrag.len())
            && (22..=MAX_PASSWORD_BYTES).contains(&password.len());
        let valid = fits && ufrag.iter().all(ice_char) && password.iter().all(ice_char);
        valid.then(|| Self { ufrag: ufrag.into(), password: password.into() })
    }

    /// The username fragment.
    pub fn ufrag(&self) -> &[u8] {
        &self.ufrag
    }

    /// The password.
    pub fn password(&self) -> &[u8] {
        &self.password
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag.escape_ascii())
    }
}

/// Credentials made ready: the key's first hash blocks are computed once.
pub(super) struct IceKey {
    ufrag: Box<[u8]>,
    key: hmac::Key,
}

impl IceKey {
    pub(super) fn new(credentials: &IceCredentials) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &credentials.password);
        Self { ufrag: credentials.ufrag.clone(), key }
    }

    pub(super) fn ufrag(&self) -> &[u8] {
        &self.ufrag
    }

    /// The HMAC of a message, for MESSAGE-INTEGRITY.
    pub(super) fn sign(&self, message: &[u8]) -> [u8; INTEGRITY_BYTES] {
        tag(hmac::sign(&self.key, message))
    }

    /// Whether the message was signed with this password.
    pub(super) fn verify(&self, signed: &Signed<'_>) -> bool {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&signed.header);
        context.update(signed.attributes);
        verify_slices_are_equal(&tag(context.sign()), signed.tag).is_ok()
    }
}

pub(super) fn tag(tag: hmac::Tag) -> [u8; INTEGRITY_BYTES] {
    *tag.as_ref().first_chunk().expect("SHA-1 has 20 bytes")
}
