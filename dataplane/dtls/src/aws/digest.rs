//! Digests of certificates.
#![allow(unsafe_code)]

use super::calls::{SHA1, SHA224, SHA256, SHA384, SHA512};
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
