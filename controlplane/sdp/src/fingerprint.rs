//! The fingerprint of a certificate, as `a=fingerprint` carries it (RFC 8122).

use std::fmt;

use crate::error::Reason;

/// A hash function of a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// SHA-1; read, but never trusted.
    Sha1,
    /// SHA-224; read, but never trusted.
    Sha224,
    /// SHA-256, which every WebRTC endpoint has.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name in SDP.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// Bytes of a digest.
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Whether a peer may be recognised by it.
    // RFC 8827 5.1: SHA-256 or stronger.
    pub const fn is_trusted(self) -> bool {
        matches!(self, Self::Sha256 | Self::Sha384 | Self::Sha512)
    }
}

/// A certificate's fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function.
    pub algorithm: HashAlgorithm,
    /// The digest; as long as the hash function has it.
    pub digest: Vec<u8>,
}

impl Fingerprint {
    /// Reads `sha-256 AB:CD:...`; nothing where the algorithm is one that is never trusted.
    pub(crate) fn read(value: &str) -> Result<Option<Self>, Reason> {
        let (name, digest) = value.split_once(' ').ok_or(Reason::Malformed)?;
        let known = |known: &&HashAlgorithm| known.name().eq_ignore_ascii_case(name);
        let Some(algorithm) = HashAlgorithm::ALL.iter().find(known).copied() else {
            return Ok(None);
        };
        let digest: Option<Vec<u8>> = digest.trim().split(':').map(read_byte).collect();
        let digest = digest.ok_or(Reason::Malformed)?;
        if digest.len() != algorithm.digest_bytes() {
            return Err(Reason::Malformed);
        }
        Ok(Some(Self { algorithm, digest }))
    }
}

fn read_byte(text: &str) -> Option<u8> {
    let hex = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hex { u8::from_str_radix(text, 16).ok() } else { None }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.algorithm.name())?;
        for (index, byte) in self.digest.iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read() {
        let bytes = |count: usize| vec!["0a"; count].join(":");
        let check = |text: String, expect: Result<Option<HashAlgorithm>, Reason>| {
            let found = Fingerprint::read(&text);
            assert_eq!(found.map(|found| found.map(|found| found.algorithm)), expect, "{text}");
        };
        check(format!("sha-256 {}", bytes(32)), Ok(Some(HashAlgorithm::Sha256)));
        check(format!("SHA-512 {}", bytes(64)), Ok(Some(HashAlgorithm::Sha512)));
        check(format!("md5 {}", bytes(16)), Ok(None));
        check(format!("sha-256 {}", bytes(31)), Err(Reason::Malformed));
        check(format!("sha-256 {}:+a", bytes(31)), Err(Reason::Malformed));
        check("sha-256".to_owned(), Err(Reason::Malformed));
        check(format!("sha-256 {}:é", bytes(31)), Err(Reason::Malformed));
    }

    #[test]
    fn a_fingerprint_is_written_in_capitals() {
        let mut text = format!("sha-256 {}", vec!["0A"; 31].join(":"));
        text.push_str(":FF");
        let read = Fingerprint::read(&text).unwrap().unwrap();
        assert_eq!(read.to_string(), text);
    }
}
