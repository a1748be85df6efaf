//! The ways in which clients reach our media: as a rule they are told of all and take what works.
//! Who wants to see how it fares with one of them (`SimulateScenario.switch_candidate_protocol`) is
//! told of that one alone.

use livekit_protocol::{CandidateProtocol, ClientConfigSetting, ClientConfiguration, IceServer};

/// What a client is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Of everything.
    #[default]
    Any,
    /// Of TCP, where it can use it.
    Tcp,
    /// Of TURN servers, best over TLS, and to use nothing else.
    Relay,
}

impl Way {
    /// The way that a client wishes. Without TURN servers the nearest to TLS is TCP.
    pub(crate) fn wished(protocol: i32, relayed: bool) -> Self {
        match CandidateProtocol::try_from(protocol) {
            Ok(CandidateProtocol::Udp) => Self::Any,
            Ok(CandidateProtocol::Tls) if relayed => Self::Relay,
            Ok(CandidateProtocol::Tcp | CandidateProtocol::Tls) | Err(_) => Self::Tcp,
        }
    }

    /// Tells the client to use relays alone, if it shall.
    pub(crate) fn configure(self, configuration: &mut Option<ClientConfiguration>) {
        if self == Self::Relay {
            let configuration = configuration.get_or_insert_default();
            configuration.force_relay = ClientConfigSetting::Enabled as i32;
        }
    }
}

/// Whether there is a TURN server among them.
pub(crate) fn are_relays(servers: &[IceServer]) -> bool {
    servers.iter().flat_map(|server| &server.urls).any(|url| url.starts_with("turn"))
}
