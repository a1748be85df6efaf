//! The two ends of the transport: what we say of ours, and what the peer said of its own.

use crate::candidate::Candidate;
use crate::description::Description;
use crate::error::NegotiationError;
use crate::fingerprint::Fingerprint;
use crate::section::{Section, Setup, TransportAttributes};

/// Our end, as it is written into descriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTransport {
    /// `ice-ufrag`.
    pub ufrag: String,
    /// `ice-pwd`.
    pub pwd: String,
    /// Our certificate's fingerprint.
    pub fingerprint: Fingerprint,
    /// We are an ICE-lite agent.
    pub lite: bool,
    /// Whether we begin DTLS, once that is settled: it stays so (RFC 8842 5.1).
    pub begins: Option<bool>,
    /// Where we can be reached, complete; see [`crate::host_candidates`].
    pub candidates: Vec<Candidate>,
}

impl LocalTransport {
    /// Writes our end into a section; only the first one of the bundle carries candidates.
    pub(crate) fn attributes(&self, setup: Setup, first: bool) -> TransportAttributes {
        let complete = first && !self.candidates.is_empty();
        TransportAttributes {
            ufrag: self.ufrag.clone(),
            pwd: self.pwd.clone(),
            // RFC 8838 3: we take candidates one by one.
            ice_options: vec!["trickle".to_owned()],
            candidates: if first { self.candidates.clone() } else { Vec::new() },
            end_of_candidates: complete,
            fingerprints: vec![self.fingerprint.clone()],
            setup: Some(setup),
        }
    }
}

/// The peer's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTransport {
    /// `ice-ufrag`.
    pub ufrag: String,
    /// `ice-pwd`.
    pub pwd: String,
    /// The strongest trusted fingerprint of its certificate.
    pub fingerprint: Fingerprint,
    /// What it says of the DTLS role, never [`Setup::HoldConn`].
    pub setup: Setup,
    /// It is an ICE-lite agent.
    pub lite: bool,
    /// Candidates so far. An ICE-lite agent needs none of them.
    pub candidates: Vec<Candidate>,
    /// No more will come.
    pub end_of_candidates: bool,
}

impl RemoteTransport {
    /// Reads the peer's end from the first section of its bundle.
    ///
    /// # Errors
    /// What is missing, or does not fit to an end that is maybe ICE-lite.
    pub(crate) fn read(
        description: &Description,
        section: &Section,
        we_are_lite: bool,
    ) -> Result<Self, NegotiationError> {
        let transport = &section.transport;
        if transport.ufrag.is_empty() || transport.pwd.is_empty() {
            return Err(NegotiationError::NoIceCredentials);
        }
        if we_are_lite && description.ice_lite {
            return Err(NegotiationError::BothLite);
        }
        let trusted = transport.fingerprints.iter().filter(|f| f.algorithm.is_trusted());
        let strongest = trusted.max_by_key(|fingerprint| fingerprint.algorithm);
        // RFC 4145 4: `active` where nothing is said.
        let setup = transport.setup.unwrap_or(Setup::Active);
        if setup == Setup::HoldConn {
            return Err(NegotiationError::OnHold);
        }
        Ok(Self {
            ufrag: transport.ufrag.clone(),
            pwd: transport.pwd.clone(),
            fingerprint: strongest.cloned().ok_or(NegotiationError::NoFingerprint)?,
            setup,
            lite: description.ice_lite,
            candidates: transport.candidates.clone(),
            end_of_candidates: transport.end_of_candidates,
        })
    }

    /// Whether we begin DTLS: only if the peer waits for that, and as it was `before`.
    ///
    /// # Errors
    /// The peer has changed its mind, which would take another DTLS session.
    pub fn is_begun_by_us(&self, before: Option<bool>) -> Result<bool, NegotiationError> {
        match (self.setup, before) {
            (Setup::Passive, Some(false)) | (Setup::Active, Some(true)) => {
                Err(NegotiationError::OtherRole)
            }
            (setup, before) => Ok(before.unwrap_or(setup == Setup::Passive)),
        }
    }

    /// Whether the peer has restarted ICE since `before`.
    // RFC 8839 4.4.1.1.1: a restart is a change of both; a change of one is taken for it.
    pub fn has_restarted(&self, before: &Self) -> bool {
        self.ufrag != before.ufrag || self.pwd != before.pwd
    }
}
