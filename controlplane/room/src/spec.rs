//! What a forward is once it is valid: the record that is stored, placed and given to a shard.

use std::net::{IpAddr, SocketAddr};

use indexmap::IndexMap;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{DestinationId, ForwardId};
use crate::plane::{Binding, Served};

/// A forward as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Its name towards clients.
    pub id: ForwardId,
    /// Its name towards shards, see [`ForwardId::key`].
    pub key: u64,
    /// What the operator calls it; may be empty.
    pub name: String,
    /// The shard that receives it.
    pub shard: u16,
    /// When it was created, ms since the Unix epoch.
    pub created_at_ms: u64,
    /// Where packets come in.
    pub input: Input,
    /// Where packets go, by [`Destination::key`], in the order they were added.
    #[serde(with = "as_list")]
    pub destinations: IndexMap<u64, Destination>,
}

/// Where packets come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Local address.
    pub address: IpAddr,
    /// Local RTP port; 0 until the data plane has chosen one.
    pub port: u16,
    /// The port was left to the data plane.
    pub port_chosen: bool,
    /// Where RTCP is received.
    pub rtcp: Rtcp,
    /// Who may send.
    pub policy: Policy,
}

/// Who may send to a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Where packets may come from.
    pub source: Source,
    /// The only SSRC admitted.
    pub ssrc: Option<u32>,
}

/// Which remote addresses may send to a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Anyone.
    Any,
    /// The first that sends, until it has been silent for so long.
    Latch {
        /// Silence after which another source may take over.
        silence_ms: u32,
    },
    /// This address, any port.
    Address(IpAddr),
    /// This address and port.
    Exact(SocketAddr),
}

/// One destination of a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Its name towards clients.
    pub id: DestinationId,
    /// Its name towards shards, see [`DestinationId::key`].
    pub key: u64,
    /// The shard that serves it.
    pub shard: u16,
    /// Remote address.
    pub address: IpAddr,
    /// Remote RTP port.
    pub port: u16,
    /// Where RTCP goes.
    pub rtcp: Rtcp,
    /// SSRC of everything sent, if rewritten.
    pub ssrc: Option<u32>,
    /// Payload type of everything sent, if rewritten.
    pub payload_type: Option<u8>,
    /// One unbroken sequence-number line whatever the source does.
    pub contiguous: bool,
}

/// Where RTCP lives relative to RTP. In JSON `"next_port"`, `"mux"` or a port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// On the port after RTP's (RFC 3550 11).
    NextPort,
    /// On RTP's port (RFC 5761).
    Mux,
    /// On this port.
    Port(u16),
}

impl Rtcp {
    /// The RTCP port beside RTP port `rtp`. Validation has excluded 65535 with `NextPort`.
    pub fn port(self, rtp: u16) -> u16 {
        match self {
            Self::NextPort => rtp.saturating_add(1),
            Self::Mux => rtp,
            Self::Port(port) => port,
        }
    }
}

impl Forward {
    /// What a shard needs to know to bind the input.
    pub fn binding(&self) -> Binding {
        Binding {
            key: self.key,
            address: self.input.address,
            rtp_port: self.input.port,
            rtcp: self.input.rtcp,
            policy: self.input.policy,
        }
    }
}

impl Input {
    /// Whether both inputs were asked for with the same words: a port that was left to the data
    /// plane equals "any port" and the port chosen.
    pub fn same_request(&self, asked: &Self) -> bool {
        let same_port = self.port == asked.port || self.port_chosen && asked.port == 0;
        let plain = |input: &Self| (input.address, input.rtcp, input.policy);
        same_port && plain(self) == plain(asked)
    }

    /// Whether a socket bound here keeps the other from being bound.
    pub fn collides(&self, other: &Self) -> bool {
        if self.port == 0 || other.port == 0 {
            return false;
        }
        let overlap = self.address == other.address
            || self.address.is_unspecified()
            || other.address.is_unspecified();
        let ports = |input: &Self| [input.port, input.rtcp.port(input.port)];
        overlap && ports(self).iter().any(|port| ports(other).contains(port))
    }
}

impl Destination {
    /// What a shard needs to know to serve it.
    pub fn served(&self) -> Served {
        Served {
            key: self.key,
            shard: self.shard,
            rtp: SocketAddr::new(self.address, self.port),
            rtcp: SocketAddr::new(self.address, self.rtcp.port(self.port)),
            ssrc: self.ssrc,
            payload_type: self.payload_type,
            contiguous: self.contiguous,
        }
    }

    /// Whether both say the same but for name and place.
    pub fn same_request(&self, asked: &Self) -> bool {
        let nameless = |d: &Self| Self { id: self.id, key: 0, shard: 0, ..*d };
        nameless(self) == nameless(asked)
    }
}

impl Serialize for Rtcp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::NextPort => serializer.serialize_str("next_port"),
            Self::Mux => serializer.serialize_str("mux"),
            Self::Port(port) => serializer.serialize_u16(*port),
        }
    }
}

impl<'de> Deserialize<'de> for Rtcp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RtcpVisitor)
    }
}

struct RtcpVisitor;

impl Visitor<'_> for RtcpVisitor {
    type Value = Rtcp;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("\"next_port\", \"mux\" or a port number from 1 to 65535")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Rtcp, E> {
        match u16::try_from(number) {
            Ok(port) if port != 0 => Ok(Rtcp::Port(port)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Rtcp, E> {
        Err(E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Rtcp, E> {
        match text {
            "next_port" => Ok(Rtcp::NextPort),
            "mux" => Ok(Rtcp::Mux),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// Destinations are a list in a record: JSON has no ordered map.
mod as_list {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        map: &IndexMap<u64, Destination>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<IndexMap<u64, Destination>, D::Error> {
        let list = Vec::<Destination>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|destination| (destination.key, destination)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtcp_reads_and_writes() {
        let check = |json: &str, expect: Option<Rtcp>| {
            let read = serde_json::from_str::<Rtcp>(json).ok();
            assert_eq!(read, expect, "{json}");
            if let Some(rtcp) = read {
                assert_eq!(serde_json::to_string(&rtcp).unwrap(), json);
            }
        };
        check("\"next_port\"", Some(Rtcp::NextPort));
        check("\"mux\"", Some(Rtcp::Mux));
        check("5005", Some(Rtcp::Port(5005)));
        check("0", None);
        check("65536", None);
        check("-1", None);
        check("5.5", None);
        check("\"5005\"", None);
        check("null", None);
    }

    #[test]
    fn inputs_that_collide() {
        let input = |address: &str, port, rtcp| Input {
            address: address.parse().unwrap(),
            port,
            port_chosen: false,
            rtcp,
            policy: Policy { source: Source::Any, ssrc: None },
        };
        let check = |a: Input, b: Input, expect: bool| {
            assert_eq!((a.collides(&b), b.collides(&a)), (expect, expect), "{a:?} {b:?}");
        };
        let any = |port, rtcp| input("0.0.0.0", port, rtcp);
        check(any(5004, Rtcp::NextPort), any(5004, Rtcp::NextPort), true);
        check(any(5004, Rtcp::NextPort), any(5005, Rtcp::Mux), true);
        check(any(5004, Rtcp::Mux), any(5005, Rtcp::Mux), false);
        check(any(5004, Rtcp::Port(6000)), input("::", 6000, Rtcp::Mux), true);
        check(input("10.0.0.1", 7, Rtcp::Mux), input("10.0.0.2", 7, Rtcp::Mux), false);
        check(any(0, Rtcp::Mux), any(0, Rtcp::Mux), false);
    }
}
