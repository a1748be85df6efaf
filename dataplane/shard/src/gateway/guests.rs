//! How many TCP connections there may be: strangers, whom no shard has claimed yet, are few, few
//! from one network, and for a short time only.

use std::collections::HashMap;
use std::net::IpAddr;

/// Strangers in all. Raised: a flood costs more memory. Lowered: it keeps real clients out sooner.
const STRANGERS: u32 = 1024;
/// Strangers of one network: many people may stand behind one address, but they all connect within
/// a round trip.
const STRANGERS_OF_A_NETWORK: u32 = 64;
/// How long one may stay a stranger. A client checks at once; its offer may be a moment behind.
pub const STRANGER_NS: u64 = 10_000_000_000;

/// An IPv4 address, or the 64 bits of an IPv6 address that a site is given as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(u64);

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(u64::from(ip.to_bits())),
            // No such prefix is given to anybody below 2000::/3, so the two do not meet.
            IpAddr::V6(ip) => Self((ip.to_bits() >> 64) as u64 | 1 << 63),
        }
    }
}

/// Who is connected.
#[derive(Debug)]
pub struct Guests {
    connections: u32,
    capacity: u32,
    strangers: u32,
    of_network: HashMap<Network, u32>,
}

impl Guests {
    /// Nobody, and room for `capacity` connections.
    pub fn new(capacity: u32) -> Self {
        Self { connections: 0, capacity, strangers: 0, of_network: HashMap::new() }
    }

    /// Whether one more may come in; then it is a stranger.
    pub fn admit(&mut self, ip: IpAddr) -> bool {
        if self.connections >= self.capacity || self.strangers >= STRANGERS {
            return false;
        }
        let of_network = self.of_network.entry(ip.into()).or_default();
        if *of_network >= STRANGERS_OF_A_NETWORK {
            return false;
        }
        *of_network += 1;
        self.strangers += 1;
        self.connections += 1;
        true
    }

    /// A stranger is one no longer.
    pub fn claim(&mut self, ip: IpAddr) {
        self.strangers -= 1;
        let network = ip.into();
        if let Some(count) = self.of_network.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.of_network.remove(&network);
            }
        }
    }

    /// A stranger turns out to come from elsewhere; `false`: nobody more may from there, and it
    /// stays what it was.
    pub fn moved(&mut self, from: IpAddr, to: IpAddr) -> bool {
        self.leave(from, false);
        let admitted = self.admit(to);
        if !admitted {
            let back = self.admit(from);
            debug_assert!(back, "it has just left");
        }
        admitted
    }

    /// One left.
    pub fn leave(&mut self, ip: IpAddr, claimed: bool) {
        if !claimed {
            self.claim(ip);
        }
        self.connections -= 1;
    }

    /// How many are connected.
    pub fn connections(&self) -> u32 {
        self.connections
    }

    /// Whether anybody is a stranger.
    pub fn has_strangers(&self) -> bool {
        self.strangers > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(guests: &mut Guests, ips: impl Iterator<Item = IpAddr>) -> usize {
        ips.filter(|ip| guests.admit(*ip)).count()
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::V4((0xc000_0200 + number).into())
    }

    #[test]
    fn strangers_are_few_and_claimed_connections_many() {
        let mut guests = Guests::new(3000);
        assert_eq!(admitted(&mut guests, (0..100).map(|_| v4(1))), 64);
        assert_eq!(admitted(&mut guests, (0..5000).map(|n| v4(2 + n))), 1024 - 64);
        assert!(!guests.admit(v4(9999)));
        (0..64).for_each(|_| guests.claim(v4(1)));
        assert_eq!(admitted(&mut guests, (0..100).map(|_| v4(1))), 64);
        (0..64).for_each(|_| guests.leave(v4(1), false));
        assert_eq!(guests.connections(), 1024);
        (0..64).for_each(|_| guests.leave(v4(1), true));
        (0..1024 - 64).for_each(|n| guests.leave(v4(2 + n), false));
        assert!(!guests.has_strangers());
        assert_eq!((guests.connections(), guests.of_network.len()), (0, 0));
    }

    #[test]
    fn who_comes_through_a_proxy_counts_where_it_comes_from() {
        let mut guests = Guests::new(3000);
        for _ in 0..64 {
            assert!(guests.admit(v4(0)) && guests.moved(v4(0), v4(1)));
        }
        assert!(guests.admit(v4(0)) && !guests.moved(v4(0), v4(1)));
        guests.leave(v4(0), false);
        (0..64).for_each(|_| guests.leave(v4(1), false));
        assert_eq!((guests.connections(), guests.of_network.len()), (0, 0));
    }

    #[test]
    fn the_table_has_an_end() {
        let mut guests = Guests::new(100);
        for number in 0..100 {
            assert!(guests.admit(v4(number)));
            guests.claim(v4(number));
        }
        assert!(!guests.admit(v4(100)));
        guests.leave(v4(0), true);
        assert!(guests.admit(v4(100)));
    }

    #[test]
    fn a_site_of_ipv6_is_one_network() {
        let mut guests = Guests::new(3000);
        let site = |n: u128| IpAddr::V6((0x2001_0db8_0000_0001_u128 << 64 | n).into());
        assert_eq!(admitted(&mut guests, (0..100).map(site)), 64);
        assert!(guests.admit("2001:db8:0:2::1".parse().expect("an address")));
        // IPv4 however it is written.
        assert_eq!(admitted(&mut guests, (0..64).map(|_| v4(1))), 64);
        assert!(!guests.admit("::ffff:192.0.2.1".parse().expect("an address")));
    }
}
