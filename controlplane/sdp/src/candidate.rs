//! ICE candidates as lines of text (RFC 8839 5.1, RFC 6544 for TCP), read and written.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Why a candidate cannot be read. A description skips such a candidate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CandidateError {
    /// A field is missing or malformed.
    #[error("a field of the candidate is missing or malformed")]
    Malformed,
    /// Neither UDP nor TCP.
    #[error("the candidate's transport is neither udp nor tcp")]
    UnknownTransport,
    /// Neither host, srflx, prflx nor relay.
    #[error("the candidate is of an unknown type")]
    UnknownKind,
}

/// Who opens the connection of a TCP candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpType {
    /// The describer connects.
    Active,
    /// The describer listens.
    Passive,
    /// Both at once.
    SimultaneousOpen,
}

/// The transport protocol of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CandidateTransport {
    /// UDP.
    Udp,
    /// TCP, framed as RFC 4571 has it.
    Tcp(TcpType),
}

/// How the describer knows the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of its own.
    Host,
    /// Its address as a STUN server sees it.
    ServerReflexive,
    /// Its address as its peer sees it.
    PeerReflexive,
    /// An address of a TURN server.
    Relay,
}

impl CandidateKind {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Host, "host"),
        (Self::ServerReflexive, "srflx"),
        (Self::PeerReflexive, "prflx"),
        (Self::Relay, "relay"),
    ];
}

/// An address, or a name that hides one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CandidateAddress {
    /// IPv4 or IPv6.
    Ip(IpAddr),
    /// A name, mostly `<uuid>.local` of multicast DNS.
    Name(String),
}

impl CandidateAddress {
    fn read(text: &str) -> Option<Self> {
        if let Ok(ip) = text.parse() {
            return Some(Self::Ip(ip));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let name = (1..=255).contains(&text.len()) && text.bytes().all(allowed);
        name.then(|| Self::Name(text.to_owned()))
    }
}

impl fmt::Display for CandidateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// One candidate. Attributes other than these (`generation`, `network-id`, ...) are dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates of the same kind and base address.
    pub foundation: String,
    /// 1 for RTP; 2 for RTCP where it is not multiplexed.
    pub component: u16,
    /// UDP or TCP.
    pub transport: CandidateTransport,
    /// Higher is better.
    pub priority: u32,
    /// Where.
    pub address: CandidateAddress,
    /// The port; 9 for active TCP.
    pub port: u16,
    /// How it is known.
    pub kind: CandidateKind,
    /// The base of a reflexive or relayed candidate.
    pub related: Option<(CandidateAddress, u16)>,
    /// The credentials that it belongs to.
    pub ufrag: Option<String>,
}

impl Candidate {
    /// Reads `candidate:...`, with or without `a=` before it.
    ///
    /// An empty text stands for the end of candidates in trickling; it is not read here.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Self, CandidateError> {
        use CandidateError::Malformed;
        let line = line.trim();
        let line = line.strip_prefix("a=").unwrap_or(line);
        let line = line.strip_prefix("candidate:").ok_or(Malformed)?;
        if line.chars().any(char::is_control) {
            return Err(Malformed);
        }
        let mut fields = line.split_ascii_whitespace();
        let mut next = || fields.next().ok_or(Malformed);
        let foundation = next()?;
        let component = next()?.parse().map_err(|_| Malformed)?;
        let transport = next()?;
        let priority = next()?.parse().map_err(|_| Malformed)?;
        let address = CandidateAddress::read(next()?).ok_or(Malformed)?;
        let port = next()?.parse().map_err(|_| Malformed)?;
        if next()? != "typ" || !is_token(foundation) {
            return Err(Malformed);
        }
        let kind = next()?;
        let kind = CandidateKind::NAMES.iter().find(|(_, name)| *name == kind);
        let (kind, _) = *kind.ok_or(CandidateError::UnknownKind)?;
        let extra = Extra::read(fields)?;
        let transport = match (transport.to_ascii_lowercase().as_str(), extra.tcp_type) {
            ("udp", _) => CandidateTransport::Udp,
            // RFC 6544 4.5: `tcptype` must be present.
            ("tcp", tcp_type) => CandidateTransport::Tcp(tcp_type.ok_or(Malformed)?),
            _ => return Err(CandidateError::UnknownTransport),
        };
        let related = extra.related_address.zip(extra.related_port);
        Ok(Self {
            foundation: foundation.to_owned(),
            component,
            transport,
            priority,
            address,
            port,
            kind,
            related,
            ufrag: extra.ufrag,
        })
    }
}

fn is_token(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The named fields at the end.
#[derive(Default)]
struct Extra {
    related_address: Option<CandidateAddress>,
    related_port: Option<u16>,
    tcp_type: Option<TcpType>,
    ufrag: Option<String>,
}

impl Extra {
    fn read<'a>(mut fields: impl Iterator<Item = &'a str>) -> Result<Self, CandidateError> {
        use CandidateError::Malformed;
        let mut extra = Self::default();
        while let Some(name) = fields.next() {
            let Some(value) = fields.next() else { break };
            match name {
                "raddr" => {
                    extra.related_address = Some(CandidateAddress::read(value).ok_or(Malformed)?);
                }
                "rport" => extra.related_port = Some(value.parse().map_err(|_| Malformed)?),
                "tcptype" => {
                    extra.tcp_type = Some(match value {
                        "active" => TcpType::Active,
                        "passive" => TcpType::Passive,
                        "so" => TcpType::SimultaneousOpen,
                        _ => return Err(Malformed),
                    });
                }
                "ufrag" if is_token(value) => extra.ufrag = Some(value.to_owned()),
                _ => {}
            }
        }
        Ok(extra)
    }
}

/// Writes `candidate:...`, as it stands in trickled candidates and, after `a=`, in descriptions.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, tcp_type) = match self.transport {
            CandidateTransport::Udp => ("udp", None),
            CandidateTransport::Tcp(TcpType::Active) => ("tcp", Some("active")),
            CandidateTransport::Tcp(TcpType::Passive) => ("tcp", Some("passive")),
            CandidateTransport::Tcp(TcpType::SimultaneousOpen) => ("tcp", Some("so")),
        };
        let kind = CandidateKind::NAMES.iter().find(|(kind, _)| *kind == self.kind);
        let kind = kind.map_or("host", |(_, name)| name);
        write!(
            f,
            "candidate:{} {} {transport} {} {} {} typ {kind}",
            self.foundation, self.component, self.priority, self.address, self.port
        )?;
        if let Some((address, port)) = &self.related {
            write!(f, " raddr {address} rport {port}")?;
        }
        if let Some(tcp_type) = tcp_type {
            write!(f, " tcptype {tcp_type}")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, " ufrag {ufrag}")?;
        }
        Ok(())
    }
}

/// Our own candidates: UDP addresses and passive TCP addresses, the preferred ones first.
pub fn host_candidates(udp: &[SocketAddr], tcp: &[SocketAddr]) -> Vec<Candidate> {
    let udp = udp.iter().enumerate().map(|(index, address)| {
        // RFC 8445 5.1.2.1: 126 for host candidates.
        host(CandidateTransport::Udp, 126, 65_535_u32.saturating_sub(index as u32), *address)
    });
    let tcp = tcp.iter().enumerate().map(|(index, address)| {
        // RFC 6544 4.2: TCP below UDP, and a direction preference of 4 for passive host candidates
        // in the highest three bits.
        let local = (4 << 13) + 8_191_u32.saturating_sub(index as u32);
        host(CandidateTransport::Tcp(TcpType::Passive), 90, local, *address)
    });
    udp.chain(tcp).collect()
}

fn host(transport: CandidateTransport, kind: u32, local: u32, address: SocketAddr) -> Candidate {
    Candidate {
        foundation: foundation(transport, address.ip()).to_string(),
        component: 1,
        transport,
        priority: (kind << 24) + (local << 8) + 255,
        address: CandidateAddress::Ip(address.ip()),
        port: address.port(),
        kind: CandidateKind::Host,
        related: None,
        ufrag: None,
    }
}

/// A number that is equal for equal transport and address (FNV-1a).
fn foundation(transport: CandidateTransport, ip: IpAddr) -> u32 {
    let first = u8::from(transport != CandidateTransport::Udp);
    let octets = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let bytes = std::iter::once(first).chain(octets);
    bytes.fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: Result<&str, CandidateError>) {
        let found = Candidate::parse(line).map(|candidate| candidate.to_string());
        assert_eq!(found, expect.map(str::to_owned), "{line}");
    }

    #[test]
    fn candidates_of_real_clients_are_read() {
        // Chromium, plain and hidden behind multicast DNS.
        check(
            "candidate:1093523730 1 udp 2122194687 192.0.2.2 41577 typ host generation 0 \
             network-id 1",
            Ok("candidate:1093523730 1 udp 2122194687 192.0.2.2 41577 typ host"),
        );
        check(
            "a=candidate:1 1 UDP 2113937151 6c3a3f7e-65c1-4b9a-a9b5-8f1d2a0c4a11.local 50000 typ \
             host generation 0 ufrag +zEm network-cost 999",
            Ok("candidate:1 1 udp 2113937151 6c3a3f7e-65c1-4b9a-a9b5-8f1d2a0c4a11.local 50000 \
                typ host ufrag +zEm"),
        );
        check(
            "candidate:538662171 1 tcp 1518285567 fd00::2 9 typ host tcptype active generation 0",
            Ok("candidate:538662171 1 tcp 1518285567 fd00::2 9 typ host tcptype active"),
        );
        check(
            "candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 \
             rport 0 generation 0",
            Ok("candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 0.0.0.0 \
                rport 0"),
        );
        // Firefox.
        check(
            "candidate:0 1 TCP 2105524479 192.0.2.2 9 typ host tcptype active",
            Ok("candidate:0 1 tcp 2105524479 192.0.2.2 9 typ host tcptype active"),
        );
    }

    #[test]
    fn bad_candidates_are_refused() {
        use CandidateError::*;
        check("", Err(Malformed));
        check("candidate:", Err(Malformed));
        check("candidate:1 1 udp 1 192.0.2.2 9 type host", Err(Malformed));
        check("candidate:1 1 udp 1 192.0.2.2 99999 typ host", Err(Malformed));
        check("candidate:1 1 udp 1 192.0.2.2 9 typ", Err(Malformed));
        check("candidate:1 1 udp 1 a/b 9 typ host", Err(Malformed));
        check("candidate:1 1 tcp 1 192.0.2.2 9 typ host", Err(Malformed));
        check("candidate:1 1 ssltcp 1 192.0.2.2 9 typ host", Err(UnknownTransport));
        check("candidate:1 1 udp 1 192.0.2.2 9 typ guest", Err(UnknownKind));
        check("candidate:1 1 udp 1 192.0.2.2 9 typ host ufrag a\r\nb=c", Err(Malformed));
    }

    #[test]
    fn our_candidates_prefer_udp_and_the_first_address() {
        let udp: Vec<SocketAddr> =
            ["192.0.2.1:7882", "[2001:db8::1]:7882"].iter().map(|a| a.parse().unwrap()).collect();
        let tcp: Vec<SocketAddr> = vec!["192.0.2.1:7881".parse().unwrap()];
        let candidates = host_candidates(&udp, &tcp);
        let priorities: Vec<u32> = candidates.iter().map(|c| c.priority).collect();
        assert!(priorities.windows(2).all(|pair| pair[0] > pair[1]), "{priorities:?}");
        assert_eq!(priorities[0], 2_130_706_431);
        let foundations: Vec<&str> = candidates.iter().map(|c| c.foundation.as_str()).collect();
        assert_ne!(foundations[0], foundations[1]);
        assert_ne!(foundations[0], foundations[2]);
        for candidate in &candidates {
            assert_eq!(Candidate::parse(&candidate.to_string()).as_ref(), Ok(candidate));
        }
        assert!(candidates[2].to_string().ends_with("192.0.2.1 7881 typ host tcptype passive"));
    }
}
