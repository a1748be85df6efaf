//! The SRTP session of a transport, from the moment that keys exist.

use crate::dtls::{DtlsRole, Fingerprint};
use crate::srtp::{MasterKeys, SrtpOpener, SrtpProfile, SrtpSealer};

/// Both directions.
pub(super) struct SrtpPair {
    pub(super) opener: SrtpOpener,
    pub(super) sealer: SrtpSealer,
}

impl SrtpPair {
    pub(super) fn new(keys: &MasterKeys, role: DtlsRole) -> Self {
        let (ours, theirs) = match role {
            DtlsRole::Server => (&keys.server, &keys.client),
            DtlsRole::Client => (&keys.client, &keys.server),
        };
        Self { opener: SrtpOpener::new(theirs), sealer: SrtpSealer::new(ours) }
    }
}

/// What DTLS has given so far.
pub(super) enum Media {
    /// No keys.
    None,
    /// Keys of somebody whose certificate was not compared yet: not to be used.
    Held { keys: Option<MasterKeys>, fingerprint: Fingerprint },
    /// The peer is the right one. Without a session it offered no profile that we have.
    Open(Option<Box<SrtpPair>>),
}

impl Media {
    pub(super) fn open(&self) -> Option<&SrtpPair> {
        let Self::Open(Some(pair)) = self else { return None };
        Some(pair)
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut SrtpPair> {
        let Self::Open(Some(pair)) = self else { return None };
        Some(pair)
    }

    pub(super) fn profile(&self) -> Option<SrtpProfile> {
        self.open().map(|pair| pair.sealer.profile())
    }
}
