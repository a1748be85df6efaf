//! Fingerprints of certificates, as SDP names them.

use std::fmt;

use crate::aws::digest;

/// Longest digest, bytes.
pub(crate) const MAX_DIGEST_LEN: usize = 64;

/// RFC 8122 5: what a fingerprint is a digest with. SHA-1 is here to be compared with what old
/// peers name; we name SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum HashAlgorithm {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl HashAlgorithm {
    /// Bytes of a digest.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Its name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }
}

/// A digest of a certificate. Its text is the value of SDP's `a=fingerprint`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    /// Zeros behind the digest.
    bytes: [u8; MAX_DIGEST_LEN],
}

impl Fingerprint {
    /// One that somebody named; nothing if the length is not the algorithm's.
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_DIGEST_LEN];
        bytes.get_mut(..digest.len())?.copy_from_slice(digest);
        (digest.len() == algorithm.digest_len()).then_some(Self { algorithm, bytes })
    }

    /// The fingerprint of a certificate in DER.
    pub fn of(algorithm: HashAlgorithm, certificate: &[u8]) -> Self {
        Self { algorithm, bytes: digest(algorithm, certificate) }
    }

    /// What it was made with.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_len()]
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.algorithm.name())?;
        for (at, byte) in self.bytes().iter().enumerate() {
            write!(formatter, "{}{byte:02X}", if at == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fingerprint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2: the digests of "abc".
    #[test]
    fn digests_are_the_standard_ones() {
        for (algorithm, expect) in [
            (HashAlgorithm::Sha1, "sha-1 A9:99:3E:36:47:06:81:6A"),
            (HashAlgorithm::Sha224, "sha-224 23:09:7D:22:34:05:D8:22"),
            (HashAlgorithm::Sha256, "sha-256 BA:78:16:BF:8F:01:CF:EA"),
            (HashAlgorithm::Sha384, "sha-384 CB:00:75:3F:45:A3:5E:8B"),
            (HashAlgorithm::Sha512, "sha-512 DD:AF:35:A1:93:61:7A:BA"),
        ] {
            let fingerprint = Fingerprint::of(algorithm, b"abc");
            let text = fingerprint.to_string();
            assert!(text.starts_with(expect), "{text}");
            let name_len = algorithm.name().len();
            assert_eq!(text.len(), name_len + 3 * algorithm.digest_len());
            assert_eq!(Fingerprint::new(algorithm, fingerprint.bytes()), Some(fingerprint));
            assert_eq!(Fingerprint::new(algorithm, &fingerprint.bytes()[1..]), None);
            assert_eq!(Fingerprint::new(algorithm, &[0; 65]), None);
        }
    }
}
