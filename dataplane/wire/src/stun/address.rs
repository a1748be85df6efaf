//! XOR-MAPPED-ADDRESS: where a request came from, hidden from those who rewrite addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_COOKIE, TransactionId};

const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// The longest value: reserved byte, family, port, an IPv6 address.
pub(super) const MAX_BYTES: usize = 20;

// RFC 8489 14.2: an IPv4 address is XOR'ed with the cookie, an IPv6 address with the cookie and the
// transaction id behind it.
fn mask(transaction: &TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    mask[4..].copy_from_slice(&transaction.0);
    mask
}

fn xor<const N: usize>(mut bytes: [u8; N], mask: &[u8; 16]) -> [u8; N] {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    bytes
}

pub(super) fn decode(value: &[u8], transaction: &TransactionId) -> Option<SocketAddr> {
    let (&[_, family, high, low], address) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([high, low]) ^ (MAGIC_COOKIE >> 16) as u16;
    let mask = mask(transaction);
    let ip = match family {
        IPV4 => IpAddr::V4(Ipv4Addr::from(xor::<4>(address.try_into().ok()?, &mask))),
        IPV6 => IpAddr::V6(Ipv6Addr::from(xor::<16>(address.try_into().ok()?, &mask))),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The value for `address` and its length. An IPv4 address that was mapped into IPv6 by a socket
/// for both goes out as IPv4, as the peer knows itself.
pub(super) fn encode(address: SocketAddr, transaction: &TransactionId) -> ([u8; MAX_BYTES], usize) {
    let mut value = [0; MAX_BYTES];
    let port = address.port() ^ (MAGIC_COOKIE >> 16) as u16;
    value[2..4].copy_from_slice(&port.to_be_bytes());
    let mask = mask(transaction);
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            value[1] = IPV4;
            value[4..8].copy_from_slice(&xor(ip.octets(), &mask));
            (value, 8)
        }
        IpAddr::V6(ip) => {
            value[1] = IPV6;
            value[4..20].copy_from_slice(&xor(ip.octets(), &mask));
            (value, 20)
        }
    }
}
