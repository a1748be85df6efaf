//! Which addresses clients are told to send media to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::config::Rtc;
use crate::link::MediaAddresses;

/// Addresses of TEST-NET-3 and of the documentation prefix: nothing is sent there, but the kernel
/// says from where it would.
const FAR_V4: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 1), 9);
const FAR_V6: (Ipv6Addr, u16) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9);

/// The addresses of this machine's routes to elsewhere, unless the configuration names others.
/// Without any route the loopback address: then everybody is on this machine.
pub(crate) fn media_addresses(rtc: &Rtc) -> MediaAddresses {
    let mut advertised = rtc.node_ip.clone();
    if advertised.is_empty() {
        let v4 = route(Ipv4Addr::UNSPECIFIED.into(), |socket| socket.connect(FAR_V4));
        let v6 = route(Ipv6Addr::UNSPECIFIED.into(), |socket| socket.connect(FAR_V6));
        advertised.extend([v4, v6].into_iter().flatten());
    }
    if advertised.is_empty() || rtc.enable_loopback_candidate {
        advertised.push(Ipv4Addr::LOCALHOST.into());
    }
    // One socket for both families, where the kernel has both.
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    let bind = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    MediaAddresses { bind, first_port: rtc.udp_port, advertised }
}

fn route(any: IpAddr, connect: impl FnOnce(&UdpSocket) -> std::io::Result<()>) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    connect(&socket).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
