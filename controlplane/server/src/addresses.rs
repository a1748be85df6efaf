//! Which addresses clients are told to send media to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::config::Rtc;
use crate::interfaces::{self, InterfaceAddress};
use crate::link::MediaAddresses;
use crate::names::Names;
use crate::stun;

/// Addresses of TEST-NET-3 and of the documentation prefix: nothing is sent there, but the kernel
/// says from where it would.
const FAR_V4: (Ipv4Addr, u16) = (Ipv4Addr::new(203, 0, 113, 1), 9);
const FAR_V6: (Ipv6Addr, u16) = (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9);

/// Addresses that clients are told at most: they check each of them, over UDP and over TCP.
const ADDRESSES_MAX: usize = 8;

/// Sockets of single addresses that a shard has at most. Raised: more file descriptors; lowered: on
/// a machine with more addresses answers to some of them leave from another one.
const OWN_MAX: usize = 16;

/// Whom LiveKit asks where the configuration names nobody.
const STUN_SERVERS: [&str; 3] =
    ["global.stun.twilio.com:3478", "stun.l.google.com:19302", "stun1.l.google.com:19302"];

/// Why the addresses for media are not known.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Nobody said how this machine is seen.
    #[error(
        "rtc.use_external_ip is set, but no STUN server told the external address ({source}); \
         asked: {}. Name one in rtc.stun_servers that this machine reaches by UDP, or the address \
         itself in rtc.node_ip", servers.join(", ")
    )]
    NoExternal {
        /// Who was asked.
        servers: Vec<String>,
        /// What happened.
        source: io::Error,
    },
}

/// The addresses of this machine's interfaces, those of its routes to elsewhere first, unless the
/// configuration names others or wants those that are seen from outside. Without any the loopback
/// address: then everybody is on this machine.
pub(crate) fn media_addresses(rtc: &Rtc) -> Result<MediaAddresses, AddressError> {
    let mut advertised = rtc.node_ip.clone();
    let found = found();
    if advertised.is_empty() {
        advertised = own(&found, &rtc.interfaces);
        if rtc.use_external_ip {
            advertised = external(rtc, advertised)?;
        }
    } else if rtc.advertise_internal_ip {
        add(&mut advertised, own(&found, &rtc.interfaces));
    }
    if advertised.is_empty() || rtc.enable_loopback_candidate {
        advertised.push(Ipv4Addr::LOCALHOST.into());
    }
    // One socket for both families, where the kernel has both.
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok();
    let bind = if v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let (udp_ports, tcp_port) = (rtc.udp_ports(), rtc.tcp_port);
    let own = several(&found, &advertised);
    Ok(MediaAddresses { bind, udp_ports, tcp_port, advertised, own, relay: None })
}

/// Addresses of families that have several. The loopback one counts where clients are told of it:
/// to what comes from another address of this machine the kernel would answer from that. And IPv6
/// has always a link-local one beside.
fn several(found: &[InterfaceAddress], advertised: &[IpAddr]) -> Vec<IpAddr> {
    let loopback = advertised.iter().copied().filter(IpAddr::is_loopback);
    let mut all: Vec<IpAddr> = loopback.collect();
    add(&mut all, found.iter().map(|address| address.ip));
    let count = all.iter().filter(|ip| ip.is_ipv4()).count();
    let several = |ip: &&IpAddr| if ip.is_ipv4() { count > 1 } else { !ip.is_loopback() };
    all.iter().filter(several).copied().take(OWN_MAX).collect()
}

/// The addresses of this machine's interfaces, as far as the kernel tells them.
fn found() -> Vec<InterfaceAddress> {
    interfaces::addresses().unwrap_or_else(|error| {
        tracing::warn!(%error, "the kernel does not tell this machine's addresses");
        Vec::new()
    })
}

fn own(found: &[InterfaceAddress], names: &Names) -> Vec<IpAddr> {
    let v4 = route(Ipv4Addr::UNSPECIFIED.into(), |socket| socket.connect(FAR_V4));
    let v6 = route(Ipv6Addr::UNSPECIFIED.into(), |socket| socket.connect(FAR_V6));
    choose([v4, v6].into_iter().flatten(), found, names)
}

/// Addresses of interfaces that may be used, those of `routes` first.
fn choose(
    routes: impl Iterator<Item = IpAddr>,
    found: &[InterfaceAddress],
    names: &Names,
) -> Vec<IpAddr> {
    let allowed = |address: &&InterfaceAddress| names.allow(&address.name);
    let refused = |ip: &IpAddr| found.iter().any(|other| other.ip == *ip && !allowed(&other));
    let mut chosen: Vec<IpAddr> = routes.filter(|ip| !refused(ip)).collect();
    for address in found.iter().filter(allowed) {
        if !chosen.contains(&address.ip) {
            chosen.push(address.ip);
        }
    }
    chosen.truncate(ADDRESSES_MAX);
    chosen
}

/// Puts what is seen from outside in the place of this machine's own addresses, family by family.
fn external(rtc: &Rtc, own: Vec<IpAddr>) -> Result<Vec<IpAddr>, AddressError> {
    let servers: Vec<String> = match rtc.stun_servers.is_empty() {
        true => STUN_SERVERS.map(str::to_owned).to_vec(),
        false => rtc.stun_servers.clone(),
    };
    let ask = |any: IpAddr| stun::ask(&servers, any, stun::PATIENCE);
    let seen_v4 = ask(Ipv4Addr::UNSPECIFIED.into());
    let seen_v6 = match own.iter().any(IpAddr::is_ipv6) {
        true => ask(Ipv6Addr::UNSPECIFIED.into()).ok(),
        false => None,
    };
    match (seen_v4, seen_v6) {
        (Err(source), None) => Err(AddressError::NoExternal { servers, source }),
        (seen_v4, seen_v6) => {
            let seen = [seen_v4.ok(), seen_v6];
            let seen = seen.into_iter().flatten();
            let merged = match rtc.external_ip_only {
                true => seen.collect(),
                false => merge(seen, own, rtc.advertise_internal_ip),
            };
            tracing::info!(addresses = ?merged, "how this machine is seen from outside");
            Ok(merged)
        }
    }
}

fn merge(
    seen: impl Iterator<Item = IpAddr> + Clone,
    own: Vec<IpAddr>,
    internal: bool,
) -> Vec<IpAddr> {
    let replaced = |ip: &IpAddr| seen.clone().any(|seen| seen.is_ipv4() == ip.is_ipv4());
    let mut merged: Vec<IpAddr> = seen.clone().collect();
    add(&mut merged, own.into_iter().filter(|ip| internal || !replaced(ip)));
    merged
}

/// Adds what is not there yet.
fn add(addresses: &mut Vec<IpAddr>, more: impl IntoIterator<Item = IpAddr>) {
    for ip in more {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
}

fn route(any: IpAddr, connect: impl FnOnce(&UdpSocket) -> io::Result<()>) -> Option<IpAddr> {
    let socket = UdpSocket::bind((any, 0)).ok()?;
    connect(&socket).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(text: &str) -> Vec<IpAddr> {
        text.split_ascii_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn routes_come_first_and_filters_hold_for_them_too() {
        let found: Vec<InterfaceAddress> = [
            ("docker0", "172.17.0.1"),
            ("eth0", "10.0.0.2"),
            ("eth0", "2001:db8::2"),
            ("eth1", "10.0.1.2"),
        ]
        .map(|(name, ip)| InterfaceAddress { name: name.to_owned(), ip: ip.parse().unwrap() })
        .to_vec();
        let names = |includes: &[&str], excludes: &[&str]| Names {
            includes: includes.iter().map(|name| (*name).to_owned()).collect(),
            excludes: excludes.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (includes, excludes, expect) in [
            (&[][..], &[][..], "10.0.1.2 172.17.0.1 10.0.0.2 2001:db8::2"),
            (&[], &["docker*", "eth1"], "10.0.0.2 2001:db8::2"),
            (&["eth?"], &["eth0"], "10.0.1.2"),
            (&["wlan0"], &[], ""),
        ] {
            let routes = ips("10.0.1.2").into_iter();
            let chosen = choose(routes, &found, &names(includes, excludes));
            assert_eq!(chosen, ips(expect), "{includes:?} {excludes:?}");
        }
        // A route's address that no interface tells of is believed.
        assert_eq!(choose(ips("192.0.2.1").into_iter(), &[], &names(&[], &[])), ips("192.0.2.1"));
    }

    #[test]
    fn single_addresses_need_no_socket_of_their_own() {
        for (found, advertised, expect) in [
            ("", "", ""),
            ("", "127.0.0.1", ""),
            ("10.0.0.2", "10.0.0.2", ""),
            ("10.0.0.2", "192.0.2.7 127.0.0.1 ::1", "127.0.0.1 10.0.0.2"),
            ("10.0.0.2 2001:db8::2", "", "2001:db8::2"),
            ("10.0.0.2 10.0.0.3 2001:db8::2", "", "10.0.0.2 10.0.0.3 2001:db8::2"),
        ] {
            let name = String::from("eth0");
            let found = ips(found).into_iter();
            let found: Vec<_> =
                found.map(|ip| InterfaceAddress { name: name.clone(), ip }).collect();
            assert_eq!(several(&found, &ips(advertised)), ips(expect));
        }
    }

    #[test]
    fn what_is_seen_replaces_its_family() {
        let own = || ips("10.0.0.2 2001:db8::2 10.0.1.2");
        for (seen, internal, expect) in [
            ("203.0.113.7", false, "203.0.113.7 2001:db8::2"),
            ("203.0.113.7", true, "203.0.113.7 10.0.0.2 2001:db8::2 10.0.1.2"),
            ("203.0.113.7 2001:db8::7", false, "203.0.113.7 2001:db8::7"),
            ("10.0.0.2", false, "10.0.0.2 2001:db8::2"),
        ] {
            assert_eq!(merge(ips(seen).into_iter(), own(), internal), ips(expect), "{seen}");
        }
    }

    #[test]
    fn without_an_answer_it_does_not_start() {
        let servers = vec!["no port".to_owned()];
        let rtc = Rtc { use_external_ip: true, stun_servers: servers, ..Rtc::default() };
        let error = external(&rtc, ips("10.0.0.2")).unwrap_err().to_string();
        assert!(error.contains("asked: no port") && error.contains("rtc.node_ip"), "{error}");
        // Who names the address is not asked for another one.
        let rtc = Rtc { node_ip: ips("192.0.2.9"), ..rtc };
        assert_eq!(media_addresses(&rtc).unwrap().advertised, ips("192.0.2.9"));
        let both = Rtc { advertise_internal_ip: true, ..rtc };
        let told = media_addresses(&both).unwrap().advertised;
        assert_eq!(told[0], ips("192.0.2.9")[0]);
        assert!(own(&found(), &both.interfaces).iter().all(|ip| told.contains(ip)), "{told:?}");
    }
}
