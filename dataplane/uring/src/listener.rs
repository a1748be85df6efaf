//! Listening for TCP connections, and what their sockets are set to.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::socket::{BindError, bind_error};

/// Connections that wait to be accepted. Raised: a flood fills more of the kernel's memory;
/// lowered: clients that come at once are refused.
const BACKLOG: i32 = 1024;
/// Octets that the kernel takes of what a peer does not read yet, of which it makes twice as many.
/// Raised: media is older when it comes; lowered: a fast but distant peer gets less than it could.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// A listener and where it listens.
#[derive(Debug)]
pub struct BoundListener {
    /// The listener, non-blocking.
    pub listener: TcpListener,
    /// Its address; the port is the kernel's choice if 0 was asked for.
    pub local: SocketAddr,
}

/// Listens for TCP connections. `[::]` takes IPv4 too.
pub fn listen(address: SocketAddr) -> Result<BoundListener, BindError> {
    let fail = |step| move |source| bind_error(address, step, source);
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))
        .map_err(fail("opening a socket"))?;
    if let IpAddr::V6(ip) = address.ip() {
        socket.set_only_v6(!ip.is_unspecified()).map_err(fail("choosing IPv6 or both"))?;
    }
    // Connections of the program before this one may still be closing.
    socket.set_reuse_address(true).map_err(fail("taking the port again"))?;
    socket.bind(&address.into()).map_err(fail("binding"))?;
    socket.listen(BACKLOG).map_err(fail("listening"))?;
    let local = socket.local_addr().map_err(fail("asking for the address"))?;
    let local = local.as_socket().unwrap_or(address);
    Ok(BoundListener { listener: TcpListener::from(socket), local })
}

/// Sets a connection up for media: never waits, nothing is held back, little lies in the kernel.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_send_buffer_size(SEND_BUFFER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_taken_once_and_free_again_at_once() {
        let first = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = listen(first.local);
        assert!(matches!(second, Err(BindError::InUse(address)) if address == first.local));
        // A connection that we close first keeps the port in the kernel's books.
        let client = TcpStream::connect(first.local).unwrap();
        let accepted = loop {
            match first.listener.accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };
        tune(&accepted).unwrap();
        assert!(accepted.nodelay().unwrap());
        drop(accepted);
        drop(client);
        let local = first.local;
        drop(first);
        listen(local).unwrap();
    }

    #[test]
    fn unspecified_ipv6_takes_both_families() {
        let Ok(both) = listen("[::]:0".parse().unwrap()) else { return };
        TcpStream::connect(("127.0.0.1", both.local.port())).unwrap();
    }
}
