//! Long-term credentials (RFC 8489 9.2) that need no list: the user name says until when it is good
//! and for whom, and the password is its HMAC under a secret. Who has the secret can make them and
//! can check them.

use std::fmt;

use aws_lc_rs::hmac;
use ringway_wire::stun::{INTEGRITY_BYTES, Signed};

use super::REALM;

/// Octets of a secret.
pub const SECRET_BYTES: usize = 32;

/// Characters of a password: an HMAC-SHA256 in hexadecimal.
pub const PASSWORD_BYTES: usize = 64;

/// The longest user name; ours have about 26 characters.
const MAX_USERNAME_BYTES: usize = 96;

/// Decimal digits of a time in seconds.
const MAX_EXPIRY_DIGITS: usize = 12;

/// What credentials are made from.
pub struct TurnSecret(hmac::Key);

impl TurnSecret {
    /// A secret of the system's random device.
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The password that goes with a user name.
    pub fn password(&self, username: &[u8]) -> [u8; PASSWORD_BYTES] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let hash = hmac::sign(&self.0, username);
        let mut password = [0; PASSWORD_BYTES];
        for (pair, byte) in password.chunks_exact_mut(2).zip(hash.as_ref()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        password
    }

    /// The key of requests under a user name.
    pub(super) fn key(&self, username: &Username<'_>) -> LongTermKey {
        LongTermKey::new(username.whole, REALM.as_bytes(), &self.password(username.whole))
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret")
    }
}

/// A user name taken apart: `EXPIRY:USER`, the first in seconds of Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Username<'a> {
    pub(super) whole: &'a [u8],
    /// Allocations may be made before this.
    pub(super) expires_s: u64,
    /// Whose allocations are counted together.
    pub(super) user: &'a [u8],
}

impl<'a> Username<'a> {
    pub(super) fn parse(whole: &'a [u8]) -> Option<Self> {
        let colon = whole.iter().position(|byte| *byte == b':')?;
        let (digits, user) = (whole.get(..colon)?, whole.get(colon + 1..)?);
        let numbered = (1..=MAX_EXPIRY_DIGITS).contains(&digits.len())
            && digits.iter().all(u8::is_ascii_digit);
        if !numbered || user.is_empty() || whole.len() > MAX_USERNAME_BYTES {
            return None;
        }
        let expires_s = digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        Some(Self { whole, expires_s, user })
    }
}

/// Signs answers and checks requests under one user name.
#[derive(Clone)]
pub(super) struct LongTermKey(hmac::Key);

impl LongTermKey {
    // RFC 8489 9.2.2: key = MD5(username ":" realm ":" password). Ours are short, and ASCII.
    pub(super) fn new(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        let mut text = [0; MAX_USERNAME_BYTES + REALM.len() + PASSWORD_BYTES + 2];
        let mut len = 0;
        for part in [username, b":", realm, b":", password] {
            text[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        let key = ringway_dtls::md5(&text[..len]);
        Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key))
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; INTEGRITY_BYTES] {
        tag(hmac::sign(&self.0, message))
    }

    pub(super) fn verify(&self, signed: &Signed<'_>) -> bool {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&signed.header);
        context.update(signed.attributes);
        let expect = tag(context.sign());
        aws_lc_rs::constant_time::verify_slices_are_equal(&expect, signed.tag).is_ok()
    }
}

fn tag(tag: hmac::Tag) -> [u8; INTEGRITY_BYTES] {
    *tag.as_ref().first_chunk().expect("SHA-1 has 20 bytes")
}

impl fmt::Debug for LongTermKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongTermKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        let long = format!("1:{}", "x".repeat(95));
        for (text, expect) in [
            ("1764400000:PA_abc", Some((1_764_400_000, "PA_abc"))),
            ("0:a", Some((0, "a"))),
            ("7:a:b", Some((7, "a:b"))),
            ("1234567890123:a", None),
            (":a", None),
            ("7:", None),
            ("7", None),
            ("+7:a", None),
            ("", None),
            (&long, None),
            (&long[..96], Some((1, &long[2..96]))),
        ] {
            let found = Username::parse(text.as_bytes()).map(|name| (name.expires_s, name.user));
            assert_eq!(found, expect.map(|(at, user)| (at, user.as_bytes())), "{text}");
        }
    }

    /// RFC 5769 2.4.
    const REQUEST: &[u32] = &[
        0x0001_0060,
        0x2112_a442,
        0x78ad_3433,
        0xc6ad_72c0,
        0x29da_412e,
        0x0006_0012,
        0xe383_9ee3,
        0x8388_e383,
        0xaae3_8383,
        0xe382_afe3,
        0x82b9_0000,
        0x0015_001c,
        0x662f_2f34,
        0x3939_6b39,
        0x3534_6436,
        0x4f4c_3334,
        0x6f4c_3946,
        0x5354_7679,
        0x3634_7341,
        0x0014_000b,
        0x6578_616d,
        0x706c_652e,
        0x6f72_6700,
        0x0008_0014,
        0xf670_2465,
        0x6dd6_4a3e,
        0x02b8_e071,
        0x2e85_c9a2,
        0x8ca8_9666,
    ];

    #[test]
    fn the_key_is_the_one_of_the_standard() {
        let request: Vec<u8> = REQUEST.iter().flat_map(|word| word.to_be_bytes()).collect();
        let view = ringway_wire::stun::StunView::parse(&request).expect("a valid message");
        let name = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
        assert_eq!(view.username(), Some(name.as_bytes()));
        let signed = view.signed().expect("an integrity");
        let key = |password| LongTermKey::new(name.as_bytes(), b"example.org", password);
        assert!(key(b"TheMatrIX").verify(&signed) && !key(b"TheMatrix").verify(&signed));
        let message = [&signed.header[..], signed.attributes].concat();
        assert_eq!(key(b"TheMatrIX").sign(&message), *signed.tag);
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = TurnSecret::new(b"0123456789abcdef0123456789abcdef");
        let name = Username::parse(b"7:a").expect("a user name");
        let shown = format!("{secret:?} {:?}", secret.key(&name));
        assert_eq!(shown, "TurnSecret LongTermKey");
        assert_ne!(secret.password(b"7:a"), secret.password(b"7:b"));
    }
}
