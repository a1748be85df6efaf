//! Addresses in the kernel's own layout, so that sending converts nothing.
//!
//! A [`Target`] is built once, when a destination is added, and handed to the kernel as it is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

const IN_BYTES: usize = size_of::<libc::sockaddr_in>();
const IN6_BYTES: usize = size_of::<libc::sockaddr_in6>();

const _: () = assert!(IN_BYTES == 16 && IN6_BYTES == 28, "the layouts written below");

/// Where a run goes: a `sockaddr_in` or `sockaddr_in6`, ready for the kernel.
#[repr(C, align(4))]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    bytes: [u8; IN6_BYTES],
}

impl Target {
    /// The address in the form that people and tests read.
    #[must_use]
    pub fn socket_addr(&self) -> SocketAddr {
        decode(self.as_bytes()).expect("a target is built only from a socket address")
    }

    /// The `sockaddr` bytes, as long as their family says.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let family = u16::from_ne_bytes([self.bytes[0], self.bytes[1]]);
        let len = if i32::from(family) == libc::AF_INET { IN_BYTES } else { IN6_BYTES };
        &self.bytes[..len]
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        let mut bytes = [0; IN6_BYTES];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                bytes[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                bytes[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            }
        }
        Self { bytes }
    }
}

impl From<Target> for SocketAddr {
    fn from(target: Target) -> Self {
        target.socket_addr()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.socket_addr())
    }
}

/// Reads a `sockaddr`; `None` for any other family and for bytes cut short.
fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if family == libc::AF_INET {
        let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        return Some(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(octets), port)));
    }
    if family != libc::AF_INET6 {
        return None;
    }
    let flow = u32::from_ne_bytes(bytes.get(4..8)?.try_into().ok()?);
    let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    let scope = u32::from_ne_bytes(bytes.get(24..28)?.try_into().ok()?);
    Some(SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope)))
}

/// The sender of a datagram. A dual-stack socket reports IPv4 peers as `::ffff:a.b.c.d`; they are
/// given as the IPv4 addresses that they are, so that a pinned source compares equal.
pub(crate) fn source(bytes: &[u8]) -> Option<SocketAddr> {
    let address = decode(bytes)?;
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => Some(SocketAddr::from((v4, address.port()))),
        IpAddr::V6(_) => Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_keep_every_field() {
        let scoped = SocketAddrV6::new("fe80::1".parse().unwrap(), 65535, 7, 3).into();
        for address in ["192.0.2.7:4000", "[2001:db8::1]:5004", "0.0.0.0:0", "[::]:1"] {
            check(address.parse().unwrap());
        }
        check(scoped);
    }

    fn check(address: SocketAddr) {
        let target = Target::from(address);
        assert_eq!(target.socket_addr(), address);
        assert_eq!(target.as_bytes().len(), if address.is_ipv4() { 16 } else { 28 });
        assert_eq!(format!("{target:?}"), address.to_string());
    }

    #[test]
    fn mapped_sources_are_ipv4() {
        let rows = [
            ("[::ffff:192.0.2.7]:9", "192.0.2.7:9"),
            ("[2001:db8::1]:9", "[2001:db8::1]:9"),
            ("192.0.2.7:9", "192.0.2.7:9"),
        ];
        for (given, expect) in rows {
            let given = Target::from(given.parse::<SocketAddr>().unwrap());
            assert_eq!(source(given.as_bytes()), Some(expect.parse().unwrap()));
        }
    }

    #[test]
    fn other_bytes_are_no_address() {
        for bytes in [&[][..], &[1], &[1, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 1], &[10, 0, 0, 9]] {
            assert_eq!(source(bytes), None);
        }
    }
}
