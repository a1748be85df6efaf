#![allow(unsafe_code)] // Two socket options that no library sets.
//! Binding UDP sockets the way the packet path needs them.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use rustix::net::sockopt;
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use thiserror::Error;

use crate::filter;

/// How a socket is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Bytes that the kernel may keep before they are read.
    pub receive_buffer_bytes: usize,
    /// Bytes that may wait to be sent. A fan-out sends bursts: this must hold the largest.
    pub send_buffer_bytes: usize,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { receive_buffer_bytes: 4 << 20, send_buffer_bytes: 4 << 20 }
    }
}

/// A bound socket and what the kernel granted.
#[derive(Clone, Debug)]
pub struct BoundSocket {
    /// The socket, non-blocking.
    pub socket: Arc<UdpSocket>,
    /// A second one of the same port, which receiver reports come to, where there is one.
    pub reports: Option<Arc<UdpSocket>>,
    /// Its address; the port is the kernel's choice if 0 was asked for.
    pub local: SocketAddr,
    /// Receive buffer obtained, in the unit of [`SocketOptions`]. Less than asked for means that
    /// `net.core.rmem_max` is lower and the process lacks `CAP_NET_ADMIN`.
    pub receive_buffer_bytes: usize,
    /// Send buffer obtained; limited by `net.core.wmem_max`.
    pub send_buffer_bytes: usize,
}

/// Why an address cannot be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// Someone else listens there.
    #[error("{0} is already in use: choose another port, or find its user with `ss -tulpn`")]
    InUse(SocketAddr),
    /// No interface has the address, or the machine lacks the address family.
    #[error("{0} is not an address of this machine: see `ip address`")]
    NotAvailable(SocketAddr),
    /// A privileged port, or a policy.
    #[error("no permission to bind {0}: choose a port above 1023 or grant CAP_NET_BIND_SERVICE")]
    Permission(SocketAddr),
    /// No file descriptors left.
    #[error("no file descriptor left to bind {0}: raise `LimitNOFILE=` of the service")]
    Files(SocketAddr),
    /// Anything else.
    #[error("{step} for {address}: {source}")]
    Other {
        /// The address that was asked for.
        address: SocketAddr,
        /// What was tried.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// Binds a UDP socket. `[::]` takes IPv4 too. A port in use is an error: no address is shared.
pub fn bind(address: SocketAddr, options: &SocketOptions) -> Result<BoundSocket, BindError> {
    bind_as(address, options, Sharing::Nothing)
}

/// Binds a UDP socket and, where the kernel allows it, a second one of the same port that receiver
/// reports come to. Nobody else gets the port.
///
/// # Errors
/// As [`bind`].
pub fn bind_with_reports(
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<BoundSocket, BindError> {
    let mut bound = bind_as(address, options, Sharing::Nothing)?;
    bound.reports = part_off_reports(&bound, options, Sharing::Port);
    Ok(bound)
}

/// Binds UDP sockets as [`bind_with_reports`] to one address, where `wildcards` have its port on
/// all of them: what comes to that address comes to the new sockets from now on, and what the first
/// of them sends comes from there. The kernel alone would have chosen the first address of the
/// interface.
///
/// # Errors
/// Also when somebody else has the port at that address.
pub fn bind_beside(
    wildcards: &[&UdpSocket],
    address: SocketAddr,
    options: &SocketOptions,
) -> Result<BoundSocket, BindError> {
    let share = |shared| {
        wildcards.iter().try_for_each(|wildcard| {
            let wildcard = SockRef::from(*wildcard);
            wildcard.set_reuse_address(shared).map_err(bind_failure(address, "sharing a port"))
        })
    };
    share(true)?;
    let mut bound = bind_as(address, options, Sharing::Address);
    if let Ok(bound) = &mut bound {
        bound.reports = part_off_reports(bound, options, Sharing::Both);
    }
    // From here on again nobody else gets it.
    share(false)?;
    if let Ok(bound) = &bound {
        for own in [Some(&bound.socket), bound.reports.as_ref()].into_iter().flatten() {
            let own = SockRef::from(&**own);
            own.set_reuse_address(false).map_err(bind_failure(address, "keeping a port"))?;
        }
    }
    bound
}

/// The second socket of a port. Without it everything comes to the first, at a wake-up each, so
/// whatever the kernel has against it is no error.
fn part_off_reports(
    first: &BoundSocket,
    options: &SocketOptions,
    sharing: Sharing,
) -> Option<Arc<UdpSocket>> {
    // Only now: who binds a port that is somebody else's is to hear of it.
    SockRef::from(&*first.socket).set_reuse_port(true).ok()?;
    let second = bind_as(first.local, options, sharing).ok()?;
    let parted = filter::part_reports(&second.socket);
    parted.is_ok().then_some(second.socket)
}

fn bind_failure(address: SocketAddr, step: &'static str) -> impl FnOnce(io::Error) -> BindError {
    move |source| bind_error(address, step, source)
}

/// Whom a port may be shared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Nothing,
    /// Sockets bound to other addresses of it.
    Address,
    /// Sockets of the same address, chosen among by a filter.
    Port,
    Both,
}

fn bind_as(
    address: SocketAddr,
    options: &SocketOptions,
    sharing: Sharing,
) -> Result<BoundSocket, BindError> {
    let fail = |step| bind_failure(address, step);
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))
        .map_err(fail("opening a socket"))?;
    if let IpAddr::V6(ip) = address.ip() {
        socket.set_only_v6(!ip.is_unspecified()).map_err(fail("choosing IPv6 or both"))?;
    }
    let receive_buffer_bytes = size_receive_buffer(&socket, options.receive_buffer_bytes)
        .map_err(fail("sizing the receive buffer"))?;
    let send_buffer_bytes = size_send_buffer(&socket, options.send_buffer_bytes)
        .map_err(fail("sizing the send buffer"))?;
    switch_on(&socket, libc::SO_TIMESTAMPNS).map_err(fail("asking for time stamps"))?;
    switch_on(&socket, libc::SO_RXQ_OVFL).map_err(fail("asking for drop counts"))?;
    forbid_fragments(&socket, address).map_err(fail("forbidding fragments"))?;
    let (address_shared, port_shared) = match sharing {
        Sharing::Nothing => (false, false),
        Sharing::Address => (true, false),
        Sharing::Port => (false, true),
        Sharing::Both => (true, true),
    };
    socket.set_reuse_address(address_shared).map_err(fail("sharing a port"))?;
    socket.set_reuse_port(port_shared).map_err(fail("sharing a port"))?;
    socket.bind(&address.into()).map_err(fail("binding"))?;
    let local = socket.local_addr().map_err(fail("asking for the address"))?;
    let local = local.as_socket().unwrap_or(address);
    let socket = Arc::new(UdpSocket::from(socket));
    Ok(BoundSocket { socket, reports: None, local, receive_buffer_bytes, send_buffer_bytes })
}

pub(crate) fn bind_error(address: SocketAddr, step: &'static str, source: io::Error) -> BindError {
    match source.raw_os_error() {
        Some(libc::EADDRINUSE) => BindError::InUse(address),
        Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT) => BindError::NotAvailable(address),
        Some(libc::EACCES | libc::EPERM) => BindError::Permission(address),
        Some(libc::EMFILE | libc::ENFILE) => BindError::Files(address),
        _ => BindError::Other { address, step, source },
    }
}

/// Privileged processes may exceed the system's limit; others get at most the limit. The kernel
/// keeps twice the size, for its own bookkeeping, and tells that.
fn size_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    if sockopt::set_socket_recv_buffer_size_force(socket, bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(socket.recv_buffer_size()? / 2)
}

fn size_send_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    if sockopt::set_socket_send_buffer_size_force(socket, bytes).is_err() {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(socket.send_buffer_size()? / 2)
}

/// Media must not be fragmented: a lost fragment loses the packet, and segmentation refuses it.
fn forbid_fragments(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        sockopt::set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)?;
        // IPv4 peers of a dual-stack socket; an IPv6-only machine refuses, and has none.
        let _ = sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO);
        return Ok(());
    }
    Ok(sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)?)
}

fn switch_on(socket: &impl AsFd, option: i32) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let on: libc::c_int = 1;
    let (value, len) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the kernel reads `len` bytes of an integer that is alive.
    let outcome = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, value, len) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(address: &str) -> Result<BoundSocket, BindError> {
        bind(address.parse().unwrap(), &SocketOptions::default())
    }

    #[test]
    fn a_port_in_use_is_an_error() {
        let first = local("127.0.0.1:0").unwrap();
        let second = local(&first.local.to_string());
        assert!(matches!(second, Err(BindError::InUse(address)) if address == first.local));
        drop(first);
    }

    #[test]
    fn an_address_of_its_own_is_answered_from() {
        let options = SocketOptions::default();
        let Ok(all) = local("[::]:0") else { return };
        let address = SocketAddr::new("127.0.0.93".parse().unwrap(), all.local.port());
        let one = bind_beside(&[&all.socket], address, &options).unwrap();
        assert_eq!(one.local, address);
        for (to, taker) in [("127.0.0.93", &one), ("127.0.0.94", &all)] {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
            client.send_to(b"who?", (to, address.port())).unwrap();
            taker.socket.set_nonblocking(false).unwrap();
            let (_, from) = taker.socket.recv_from(&mut [0; 8]).unwrap();
            taker.socket.send_to(b"I", from).unwrap();
            let (_, source) = client.recv_from(&mut [0; 8]).unwrap();
            // The wildcard answers from where the kernel likes: on loopback where it was asked.
            assert_eq!(source.port(), address.port());
            assert!(to != "127.0.0.93" || source == address, "{source}");
        }
        for taken in [address, SocketAddr::new("127.0.0.95".parse().unwrap(), address.port())] {
            let refused = bind(taken, &options);
            assert!(matches!(refused, Err(BindError::InUse(_))), "{refused:?}");
        }
    }

    #[test]
    fn foreign_addresses_are_named() {
        for address in ["192.0.2.7:0", "[2001:db8::7]:0"] {
            let error = local(address).unwrap_err();
            assert!(matches!(error, BindError::NotAvailable(_)), "{error}");
            assert!(error.to_string().contains(address), "{error}");
        }
    }

    #[test]
    fn buffers_are_reported_as_obtained() {
        let options = SocketOptions { receive_buffer_bytes: 100_000, send_buffer_bytes: 50_000 };
        let bound = bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        assert_eq!((bound.receive_buffer_bytes, bound.send_buffer_bytes), (100_000, 50_000));
        assert_ne!(bound.local.port(), 0);
    }

    #[test]
    fn unspecified_ipv6_takes_both_families() {
        let Ok(both) = local("[::]:0") else { return };
        let port = both.local.port();
        assert!(matches!(local(&format!("127.0.0.92:{port}")), Err(BindError::InUse(_))));
        let six = local("[::1]:0").unwrap();
        local(&format!("127.0.0.92:{}", six.local.port())).unwrap();
    }
}
