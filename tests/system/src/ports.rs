//! Ports that no other test of this process has, and that nobody uses now.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Pairs are taken from here up, below what the kernel gives to clients by itself.
const FIRST_PAIR: u16 = 10_000;
const PAIRS: u16 = 4_000;

/// Each appliance gets this many ports for forwards without a port.
const RANGE_PORTS: u16 = 100;
const FIRST_RANGE: u16 = 20_000;
const RANGES: u16 = 120;

static NEXT_PAIR: AtomicU16 = AtomicU16::new(0);
static NEXT_RANGE: AtomicU16 = AtomicU16::new(0);

/// A TCP port that was free a moment ago.
pub fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind any TCP port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// An even UDP port that is free with its successor, on IPv4 and IPv6: for RTP and RTCP.
pub fn free_udp_pair() -> u16 {
    for _ in 0..PAIRS {
        let number = NEXT_PAIR.fetch_add(1, Ordering::Relaxed).wrapping_add(offset() * 37);
        let port = FIRST_PAIR + 2 * (number % PAIRS);
        if (port..port + 2).all(is_free) {
            return port;
        }
    }
    panic!("no two free UDP ports in a row above {FIRST_PAIR}");
}

/// First and last port of a range of its own for one data plane.
pub(crate) fn forward_range() -> (u16, u16) {
    let number = NEXT_RANGE.fetch_add(1, Ordering::Relaxed).wrapping_add(offset());
    let first = FIRST_RANGE + (number % RANGES) * RANGE_PORTS;
    (first, first + RANGE_PORTS - 2)
}

/// Tells processes apart that run at the same time.
fn offset() -> u16 {
    (std::process::id() % 1009) as u16
}

fn is_free(port: u16) -> bool {
    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    UdpSocket::bind(v4).is_ok() && UdpSocket::bind(v6).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_even_free_and_given_once() {
        let ports: Vec<u16> = (0..20).map(|_| free_udp_pair()).collect();
        for (index, port) in ports.iter().enumerate() {
            assert_eq!(port % 2, 0);
            assert!(!ports[..index].contains(port), "{port} twice");
        }
    }

    #[test]
    fn ranges_do_not_overlap() {
        let (a, b) = (forward_range(), forward_range());
        assert!(a.1 < b.0 || b.1 < a.0, "{a:?} {b:?}");
    }
}
