//! A network as settings name it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address and how many of its bits count, such as `10.0.0.0/8`; a bare address is itself alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub(crate) ip: IpAddr,
    pub(crate) bits: u8,
}

/// What is no network.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no network: write ADDRESS/BITS, such as 10.0.0.0/8")]
pub struct NotCidr(String);

impl Cidr {
    /// The networks of this machine alone.
    pub(super) fn loopback() -> Vec<Self> {
        let (v4, v6) = (Ipv4Addr::new(127, 0, 0, 0), Ipv6Addr::LOCALHOST);
        vec![Self { ip: v4.into(), bits: 8 }, Self { ip: v6.into(), bits: 128 }]
    }
}

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let refuse = || NotCidr(text.to_owned());
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| refuse())?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), |bits| bits.parse().map_err(|_| refuse()))?;
        if bits > width { Err(refuse()) } else { Ok(Self { ip, bits }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (text, ip, bits) in [
            ("10.0.0.0/8", "10.0.0.0", 8),
            ("10.1.2.3", "10.1.2.3", 32),
            ("0.0.0.0/0", "0.0.0.0", 0),
            ("2001:db8::/32", "2001:db8::", 32),
            ("::1", "::1", 128),
        ] {
            let ip = ip.parse().unwrap();
            assert_eq!(text.parse::<Cidr>().unwrap(), Cidr { ip, bits }, "{text}");
        }
        for text in ["", "a", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        let loopback: Vec<String> = Cidr::loopback().iter().map(Cidr::to_string).collect();
        assert_eq!(loopback, ["127.0.0.0/8", "::1/128"]);
    }
}
