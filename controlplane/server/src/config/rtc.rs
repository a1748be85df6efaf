//! Settings of media, and what makes no sense of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringway_settings::Ports;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{ConfigError, ExternalTurn};
use crate::link::UdpPorts;
use crate::names::Names;

/// UDP port of the first shard where nothing else is said; what LiveKit's documentation has.
pub const UDP_PORT: u16 = 7882;

/// Media of calls; the names are LiveKit's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rtc {
    /// UDP ports of the shards. A single one is that of the first shard, and the others take those
    /// that follow; of several each takes the next that is free. None: [`UDP_PORT`], unless there
    /// is a range.
    pub udp_port: Option<Ports>,
    /// Lowest of further UDP ports; 0: none.
    pub port_range_start: u16,
    /// Highest of them, included.
    pub port_range_end: u16,
    /// TCP port of all shards, for clients that cannot use UDP; 0: none.
    pub tcp_port: u16,
    /// TCP is all that there is.
    pub force_tcp: bool,
    /// Addresses that clients are told; empty finds them out.
    #[serde(deserialize_with = "node_ip")]
    pub node_ip: Vec<IpAddr>,
    /// Tell clients the address that STUN servers see, in place of this machine's own.
    pub use_external_ip: bool,
    /// Tell them nothing else.
    pub external_ip_only: bool,
    /// Tell them its own all the same.
    pub advertise_internal_ip: bool,
    /// STUN servers to ask, and for clients to use; `HOST:PORT`.
    pub stun_servers: Vec<String>,
    /// TURN servers of others, for clients to use.
    pub turn_servers: Vec<ExternalTurn>,
    /// Interfaces whose addresses clients are told.
    pub interfaces: Names,
    /// Tell clients the loopback address too.
    pub enable_loopback_candidate: bool,
    /// Repairs of lost packets that are sent along.
    pub flexfec: FlexFec,
    /// Who sends reliable messages waits for receivers that take at least so many bits a second; 0:
    /// for the fastest alone.
    pub datachannel_slow_threshold: u32,
}

/// FlexFEC-03.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlexFec {
    /// Publishers may send repairs.
    pub upstream_enabled: bool,
}

impl Default for Rtc {
    fn default() -> Self {
        Self {
            udp_port: None,
            port_range_start: 0,
            port_range_end: 0,
            tcp_port: 7881,
            force_tcp: false,
            node_ip: Vec::new(),
            use_external_ip: false,
            external_ip_only: false,
            advertise_internal_ip: false,
            stun_servers: Vec::new(),
            turn_servers: Vec::new(),
            interfaces: Names::default(),
            enable_loopback_candidate: false,
            flexfec: FlexFec::default(),
            datachannel_slow_threshold: 0,
        }
    }
}

impl Rtc {
    /// The UDP ports of media.
    pub(crate) fn udp_ports(&self) -> UdpPorts {
        if self.force_tcp {
            return UdpPorts::Closed;
        }
        let has_range = self.port_range_start != 0;
        if !has_range && let Some(first) = self.single_port() {
            return if first == 0 { UdpPorts::Any } else { UdpPorts::From(first) };
        }
        let mut ports = self.udp_port.clone().unwrap_or_default();
        if has_range {
            ports.add(self.port_range_start, self.port_range_end);
        }
        UdpPorts::Among(ports.iter().collect())
    }

    fn single_port(&self) -> Option<u16> {
        self.udp_port.as_ref().map_or(Some(UDP_PORT), Ports::single)
    }

    pub(super) fn check_ports(&self) -> Result<(), ConfigError> {
        let (start, end) = (self.port_range_start, self.port_range_end);
        if (start == 0) != (end == 0) || start > end {
            return Err(ConfigError::PortRange { start, end });
        }
        if self.force_tcp && self.tcp_port == 0 {
            return Err(ConfigError::NoTcpPort);
        }
        match self.udp_ports() {
            UdpPorts::Among(ports) if ports.contains(&0) => Err(ConfigError::AnyPort),
            _ => Ok(()),
        }
    }
}

/// The forms of `node_ip`: ours, that of older versions of LiveKit, that of newer ones.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an IP address, a list of them, or v4 and v6")]
enum NodeIp {
    One(String),
    Several(Vec<String>),
    ByFamily(ByFamily),
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ByFamily {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

fn node_ip<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let texts = match NodeIp::deserialize(deserializer)? {
        NodeIp::One(text) if text.is_empty() => Vec::new(),
        NodeIp::One(text) => vec![text],
        NodeIp::Several(texts) => texts,
        NodeIp::ByFamily(ByFamily { v4, v6 }) => {
            let both = [v4.map(IpAddr::from), v6.map(IpAddr::from)];
            return Ok(both.into_iter().flatten().collect());
        }
    };
    let address = |text: &String| {
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} is no IP address")))
    };
    texts.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_media() {
        let check = |yaml: &str, expect: UdpPorts| {
            let rtc: Rtc = ringway_settings::parse(yaml, "x.yaml".as_ref()).unwrap();
            assert_eq!(rtc.udp_ports(), expect, "{yaml}");
        };
        check("", UdpPorts::From(7882));
        check("udp_port: 9000", UdpPorts::From(9000));
        check("udp_port: 0", UdpPorts::Any);
        check("udp_port: 9000-9002", UdpPorts::Among(vec![9000, 9001, 9002]));
        check("udp_port: [9000, 8000]", UdpPorts::Among(vec![9000, 8000]));
        // LiveKit's way: only a range.
        check(
            "{port_range_start: 50000, port_range_end: 50001}",
            UdpPorts::Among(vec![50000, 50001]),
        );
        check(
            "{udp_port: 7882, port_range_start: 7881, port_range_end: 7883}",
            UdpPorts::Among(vec![7882, 7881, 7883]),
        );
        check("{udp_port: 7882, force_tcp: true}", UdpPorts::Closed);
    }

    #[test]
    fn addresses_of_this_machine() {
        for (yaml, expect) in [
            ("node_ip: 192.0.2.1", "192.0.2.1"),
            ("node_ip: 2001:db8::1", "2001:db8::1"),
            ("node_ip: \"\"", ""),
            ("node_ip: []", ""),
            ("node_ip: [192.0.2.1, \"2001:db8::1\"]", "192.0.2.1 2001:db8::1"),
            ("node_ip: {v4: 192.0.2.1, v6: \"2001:db8::1\"}", "192.0.2.1 2001:db8::1"),
            ("node_ip: {v6: \"2001:db8::1\"}", "2001:db8::1"),
        ] {
            let rtc: Rtc = ringway_settings::parse(yaml, "x.yaml".as_ref()).expect(yaml);
            let got: Vec<String> = rtc.node_ip.iter().map(ToString::to_string).collect();
            assert_eq!(got.join(" "), expect, "{yaml}");
        }
        for (yaml, part) in [
            ("node_ip: here", "\"here\" is no IP address"),
            ("node_ip: [192.0.2.1, here]", "\"here\" is no IP address"),
            ("node_ip: {v5: 192.0.2.1}", "a list of them, or v4 and v6"),
        ] {
            let told = ringway_settings::parse::<Rtc>(yaml, "x.yaml".as_ref()).unwrap_err();
            assert!(told.to_string().contains(part), "{yaml}: {told}");
            assert!(told.to_string().contains("node_ip"), "{yaml}: {told}");
        }
    }
}
