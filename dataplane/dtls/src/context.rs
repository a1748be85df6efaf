//! What all sessions of a process share: one certificate and one set of choices.

use std::sync::Arc;

use crate::aws::{Certificate, SharedContext};
use crate::{Fingerprint, HashAlgorithm, KeyKind, LibraryError, SrtpProfile};

/// Shortest MTU, bytes. AWS-LC takes no shorter one.
const MIN_MTU: u16 = 256;
/// Longest MTU, bytes: an Ethernet frame without IPv4 and UDP.
const MAX_MTU: u16 = 1472;

/// Choices for all sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The certificate's kind of key.
    pub key: KeyKind,
    /// SRTP profiles, best first; none twice. As a server the first one that the peer offers wins,
    /// whatever the peer's own order.
    pub srtp_profiles: Vec<SrtpProfile>,
    /// Longest datagram of a handshake, bytes of UDP payload. Larger ones may be lost on paths with
    /// tunnels, smaller ones make more datagrams, each of which can be lost.
    pub mtu: u16,
    /// When a flight is first sent again, ms; doubled each time. Shorter than the round trip, every
    /// handshake sends twice; longer, one lost datagram delays the first picture.
    pub first_retransmission_ms: u32,
    /// When a handshake that has begun is given up, ms after the first datagram. Longer keeps
    /// memory for peers that are gone, shorter fails peers on lossy paths.
    pub handshake_timeout_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            key: KeyKind::P256,
            srtp_profiles: SrtpProfile::PREFERRED.to_vec(),
            mtu: 1200,
            first_retransmission_ms: 200,
            handshake_timeout_ms: 30_000,
        }
    }
}

/// Why there is no context.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// No profiles, or one named twice.
    #[error("SRTP profiles must be named, each once, not {0:?}")]
    Profiles(Vec<SrtpProfile>),
    /// Out of range.
    #[error("an MTU of {0} bytes is not between {MIN_MTU} and {MAX_MTU}")]
    Mtu(u16),
    /// A time of 0 ms.
    #[error("{0} must be at least 1")]
    Time(&'static str),
    /// AWS-LC refused.
    #[error("AWS-LC: {0}")]
    Library(#[from] LibraryError),
}

/// A certificate and everything else that sessions share. Clones are the same context.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    shared: SharedContext,
    config: Config,
    der: Vec<u8>,
    fingerprint: Fingerprint,
}

impl Context {
    /// Makes a key and a self-signed certificate, in memory only, valid around `unix_s` (seconds
    /// since 1970). Takes below a millisecond with P-256, a good part of a second with RSA.
    ///
    /// # Errors
    /// A choice out of range, or AWS-LC refuses.
    pub fn new(config: &Config, unix_s: u64) -> Result<Self, SetupError> {
        let profiles = &config.srtp_profiles;
        let twice = |at: usize| profiles[..at].contains(&profiles[at]);
        if profiles.is_empty() || (0..profiles.len()).any(twice) {
            return Err(SetupError::Profiles(profiles.clone()));
        }
        if !(MIN_MTU..=MAX_MTU).contains(&config.mtu) {
            return Err(SetupError::Mtu(config.mtu));
        }
        for (name, ms) in [
            ("first_retransmission_ms", config.first_retransmission_ms),
            ("handshake_timeout_ms", config.handshake_timeout_ms),
        ] {
            if ms == 0 {
                return Err(SetupError::Time(name));
            }
        }
        let certificate = Certificate::generate(config.key, unix_s)?;
        let shared = SharedContext::new(&certificate, profiles)?;
        let der = certificate.der().to_vec();
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, &der);
        Ok(Self(Arc::new(Inner { shared, config: config.clone(), der, fingerprint })))
    }

    /// SHA-256 of our certificate: what signalling tells peers.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.0.fingerprint
    }

    /// Our certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.0.der
    }

    /// The choices it was made with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn shared(&self) -> &SharedContext {
        &self.0.shared
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut formatter = formatter.debug_struct("Context");
        formatter.field("fingerprint", &self.0.fingerprint).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, expect: Result<(), SetupError>) {
        assert_eq!(Context::new(config, 1_800_000_000).map(drop), expect, "{config:?}");
    }

    #[test]
    fn choices_out_of_range_are_refused() {
        let good = Config::default();
        let gcm = SrtpProfile::AeadAes128Gcm;
        check(&good, Ok(()));
        check(&Config { srtp_profiles: vec![], ..good.clone() }, Err(SetupError::Profiles(vec![])));
        check(
            &Config { srtp_profiles: vec![gcm, gcm], ..good.clone() },
            Err(SetupError::Profiles(vec![gcm, gcm])),
        );
        check(&Config { mtu: 255, ..good.clone() }, Err(SetupError::Mtu(255)));
        check(&Config { mtu: 256, ..good.clone() }, Ok(()));
        check(&Config { mtu: 1473, ..good.clone() }, Err(SetupError::Mtu(1473)));
        check(
            &Config { first_retransmission_ms: 0, ..good.clone() },
            Err(SetupError::Time("first_retransmission_ms")),
        );
        check(
            &Config { handshake_timeout_ms: 0, ..good },
            Err(SetupError::Time("handshake_timeout_ms")),
        );
    }

    #[test]
    fn every_context_has_its_own_certificate() {
        let context = || Context::new(&Config::default(), 1_800_000_000).expect("a context");
        let (one, two) = (context(), context());
        assert_ne!(one.fingerprint(), two.fingerprint());
        assert_eq!(*one.fingerprint(), Fingerprint::of(HashAlgorithm::Sha256, one.certificate()));
    }
}
