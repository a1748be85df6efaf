//! The addresses of this machine's interfaces, as the kernel tells them over netlink
//! (rtnetlink(7)).

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// The kernel's parts of an answer are at most this long.
const PART_BYTES: usize = 32 * 1024;

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;

const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;
const IFF_RUNNING: u32 = 0x40;
const IFLA_IFNAME: u16 = 3;
const LINK_BYTES: usize = 16;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const ADDRESS_BYTES: usize = 8;
/// `IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TENTATIVE`.
const UNUSABLE: u8 = 0x08 | 0x20 | 0x40;

/// An address that peers may reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceAddress {
    /// The interface's name.
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    index: u32,
    flags: u32,
    name: String,
}

/// All addresses of interfaces that are up, but for loopback and those that only count on one link.
pub(crate) fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let links = dump(RTM_GETLINK)?;
    let addresses = dump(RTM_GETADDR)?;
    Ok(usable(&links, &addresses))
}

/// One kind of thing that the kernel knows, all of them.
fn dump(kind: u16) -> io::Result<Vec<u8>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    // The header, and a family of 0: any; long enough for every kind.
    const REQUEST_BYTES: usize = HEADER_BYTES + LINK_BYTES;
    let mut request = [0; REQUEST_BYTES];
    request[..4].copy_from_slice(&(REQUEST_BYTES as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    request[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let (mut all, mut part) = (Vec::new(), vec![0; PART_BYTES]);
    loop {
        let (len, _) = recv(&socket, &mut part[..], RecvFlags::empty())?;
        let part = part.get(..len).unwrap_or(&[]);
        if len == 0 || messages(part).any(|(kind, _)| kind == NLMSG_ERROR) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        all.extend_from_slice(part);
        if messages(part).any(|(kind, _)| kind == NLMSG_DONE) {
            return Ok(all);
        }
    }
}

fn usable(links: &[u8], addresses: &[u8]) -> Vec<InterfaceAddress> {
    let links: Vec<Link> = messages(links)
        .filter(|(kind, _)| *kind == RTM_NEWLINK)
        .filter_map(|(_, body)| link(body))
        .filter(|link| link.flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING)
        .filter(|link| link.flags & IFF_LOOPBACK == 0)
        .collect();
    messages(addresses)
        .filter(|(kind, _)| *kind == RTM_NEWADDR)
        .filter_map(|(_, body)| address(body))
        .filter_map(|(index, ip)| {
            let link = links.iter().find(|link| link.index == index)?;
            Some(InterfaceAddress { name: link.name.clone(), ip })
        })
        .collect()
}

fn link(body: &[u8]) -> Option<Link> {
    let (head, rest) = body.split_at_checked(LINK_BYTES)?;
    let (index, flags) = (word(head, 4)?, word(head, 8)?);
    let (_, name) = attributes(rest).find(|(kind, _)| *kind == IFLA_IFNAME)?;
    let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
    Some(Link { index, flags, name })
}

/// The interface's index and the address.
fn address(body: &[u8]) -> Option<(u32, IpAddr)> {
    let (head, rest) = body.split_at_checked(ADDRESS_BYTES)?;
    let index = word(head, 4)?;
    if head.get(2)? & UNUSABLE != 0 {
        return None;
    }
    let find = |wanted| attributes(rest).find(|(kind, _)| *kind == wanted);
    // On a point-to-point link the other one is the peer's.
    let (_, octets) = find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?;
    let ip = match *octets {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::from(<[u8; 16]>::try_from(octets).ok()?),
    };
    let far = match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => ip != Ipv6Addr::LOCALHOST && !ip.is_unicast_link_local(),
    };
    far.then_some((index, ip))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Messages by type.
fn messages(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    records(bytes, HEADER_BYTES, |head| {
        let kind = u16::from_ne_bytes(*head.get(4..)?.first_chunk()?);
        Some((word(head, 0)? as usize, kind))
    })
}

/// Attributes by type.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    records(bytes, ATTRIBUTE_BYTES, |head| {
        let len = u16::from_ne_bytes(*head.first_chunk()?);
        Some((len.into(), u16::from_ne_bytes(*head.get(2..)?.first_chunk()?)))
    })
}

/// What stands behind heads of `head_bytes`, each as long as its head says and then filled up to a
/// multiple of 4; what is cut short ends it.
fn records(
    mut bytes: &[u8],
    head_bytes: usize,
    read: impl Fn(&[u8]) -> Option<(usize, u16)>,
) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (len, kind) = read(bytes.get(..head_bytes)?)?;
        let body = bytes.get(head_bytes..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, body))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut record = ((ATTRIBUTE_BYTES + body.len()) as u16).to_ne_bytes().to_vec();
        record.extend(kind.to_ne_bytes());
        record.extend(body);
        record.resize(record.len().next_multiple_of(4), 0);
        record
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = ((HEADER_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    fn link_message(index: u32, flags: u32, name: &str) -> Vec<u8> {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(record(9, &[1]));
        body.extend(record(IFLA_IFNAME, format!("{name}\0").as_bytes()));
        message(RTM_NEWLINK, &body)
    }

    fn address_message(index: u32, flags: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![0, 24, flags, 0];
        body.extend(index.to_ne_bytes());
        attributes.iter().for_each(|(kind, octets)| body.extend(record(*kind, octets)));
        message(RTM_NEWADDR, &body)
    }

    #[test]
    fn only_usable_addresses_of_interfaces_that_are_up() {
        let up = IFF_UP | IFF_RUNNING;
        let links = [
            link_message(1, up | IFF_LOOPBACK, "lo"),
            link_message(2, up, "eth0"),
            link_message(3, IFF_UP, "eth1"),
            message(NLMSG_DONE, &[0; 4]),
        ]
        .concat();
        let global: [u8; 16] = "2001:db8::1".parse::<Ipv6Addr>().unwrap().octets();
        let local: [u8; 16] = "fe80::1".parse::<Ipv6Addr>().unwrap().octets();
        let addresses = [
            address_message(1, 0, &[(IFA_LOCAL, &[10, 0, 0, 9])]),
            address_message(2, 0, &[(IFA_ADDRESS, &[10, 0, 0, 1]), (IFA_LOCAL, &[10, 0, 0, 2])]),
            address_message(2, 0, &[(IFA_ADDRESS, &global)]),
            address_message(2, 0x20, &[(IFA_ADDRESS, &global)]),
            address_message(2, 0, &[(IFA_ADDRESS, &local)]),
            address_message(2, 0, &[(IFA_LOCAL, &[169, 254, 1, 1])]),
            address_message(2, 0, &[(IFA_LOCAL, &[127, 0, 0, 5])]),
            address_message(2, 0, &[(IFA_LOCAL, &[1, 2, 3])]),
            address_message(3, 0, &[(IFA_LOCAL, &[10, 0, 1, 2])]),
        ]
        .concat();
        let found = usable(&links, &addresses);
        let expect = ["10.0.0.2", "2001:db8::1"]
            .map(|ip| InterfaceAddress { name: "eth0".to_owned(), ip: ip.parse().unwrap() });
        assert_eq!(found, expect);
        // However it is cut, nothing is made up.
        for cut in 0..addresses.len() {
            assert!(usable(&links, &addresses[..cut]).iter().all(|one| expect.contains(one)));
            assert!(usable(&links[..cut.min(links.len())], &addresses).len() <= 2);
        }
    }

    #[test]
    fn this_machine_has_interfaces() {
        // Which ones nobody knows here; but the kernel answers, and no loopback is among them.
        let found = addresses().unwrap();
        assert!(found.iter().all(|one| !one.ip.is_loopback() && !one.name.is_empty()), "{found:?}");
    }
}
