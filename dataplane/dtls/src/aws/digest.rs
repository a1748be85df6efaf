//! Digests: of certificates, and the one that TURN's keys are made with.
#![allow(unsafe_code)]

use super::calls::{MD5, SHA1, SHA224, SHA256, SHA384, SHA512};
use crate::HashAlgorithm;
use crate::fingerprint::MAX_DIGEST_LEN;

/// The digest of `data` in the first `algorithm.digest_len()` bytes.
pub(crate) fn digest(algorithm: HashAlgorithm, data: &[u8]) -> [u8; MAX_DIGEST_LEN] {
    let call = match algorithm {
        HashAlgorithm::Sha1 => SHA1,
        HashAlgorithm::Sha224 => SHA224,
        HashAlgorithm::Sha256 => SHA256,
        HashAlgorithm::Sha384 => SHA384,
        HashAlgorithm::Sha512 => SHA512,
    };
    let mut out = [0; MAX_DIGEST_LEN];
    // SAFETY: `data` is readable for its length, and no digest is longer than `out`.
    unsafe { call(data.as_ptr(), data.len(), out.as_mut_ptr()) };
    out
}

/// MD5 of `data`. Good for nothing but the long-term keys of STUN (RFC 8489 9.2.2), which are made
/// with it by rule.
pub fn md5(data: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    // SAFETY: `data` is readable for its length, and `out` is as long as the digest.
    unsafe { MD5(data.as_ptr(), data.len(), out.as_mut_ptr()) };
    out
}

#[cfg(test)]
mod tests {
    use super::md5;

    /// RFC 1321 A.5.
    #[test]
    fn md5_is_the_standard_one() {
        for (text, expect) in [
            (&b""[..], 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e_u128),
            (b"abc", 0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72),
        ] {
            assert_eq!(u128::from_be_bytes(md5(text)), expect);
        }
    }
}
