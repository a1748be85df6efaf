//! Networks by their addresses.

use std::net::IpAddr;

use rkyv::{Archive, Deserialize, Serialize};

/// Addresses that begin with the same bits (CIDR, RFC 4632).
#[derive(Archive, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// One of them.
    pub ip: IpAddr,
    /// How many bits; more than an address has are all.
    pub bits: u8,
}

impl Network {
    /// Whether `ip` is in it. IPv4 addresses that are mapped into IPv6 count as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let others = width.saturating_sub(self.bits.into());
            (a ^ b).checked_shr(others).unwrap_or(0) == 0
        };
        match (self.ip.to_canonical(), ip.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_it() {
        for (ip, bits, inside, outside) in [
            ("10.0.0.0", 8, "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3", 32, "10.1.2.3", "10.1.2.2"),
            ("192.0.2.128", 25, "::ffff:192.0.2.200", "192.0.2.100"),
            ("2001:db8::", 32, "2001:db8:1::1", "2001:db9::1"),
            ("::1", 128, "::1", "127.0.0.1"),
            ("0.0.0.0", 0, "255.255.255.255", "::1"),
            ("::", 0, "2001::", "10.0.0.1"),
            // Whatever stands in the shared memory.
            ("10.0.0.1", 255, "10.0.0.1", "10.0.0.0"),
        ] {
            let network = Network { ip: ip.parse().unwrap(), bits };
            assert!(network.contains(inside.parse().unwrap()), "{ip}/{bits} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{ip}/{bits} {outside}");
        }
    }
}
