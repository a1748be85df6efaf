//! Sockets as the shard sees them: opened, shared with another shard, closed.
//!
//! The binary opens real ones on the engine; `tests/sim` hands out simulated ones.

use std::net::SocketAddr;

use ringway_abi::call::{Network, RelaySpec};

use crate::egress::SocketId;

/// A socket that was opened.
#[derive(Debug)]
pub struct Opened<H> {
    /// Its name on this shard.
    pub id: SocketId,
    /// What another shard needs to send from it.
    pub handle: H,
    /// Where it is bound.
    pub address: SocketAddr,
}

/// Where peers of calls send to.
#[derive(Clone, Copy, Debug)]
pub struct MediaSocket {
    /// What is sent from, and what everything comes to that nothing else is for.
    pub id: SocketId,
    /// What receiver reports come to that are alone in their datagram: a socket of the same
    /// address that wakes nobody.
    pub reports: Option<SocketId>,
    /// Where it is bound.
    pub address: SocketAddr,
}

impl MediaSocket {
    /// All that it consists of.
    pub fn ids(&self) -> impl Iterator<Item = SocketId> {
        [Some(self.id), self.reports].into_iter().flatten()
    }

    /// Whether it takes what comes to `address`, as long as nobody else does.
    pub(crate) fn covers(&self, address: SocketAddr) -> bool {
        let own = self.address.ip();
        own.is_unspecified()
            && !address.ip().is_unspecified()
            && self.address.port() == address.port()
            && (own.is_ipv6() || address.is_ipv4())
    }
}

/// Why a socket was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Someone else has the port.
    InUse,
    /// The address is not one of this machine's.
    NotAvailable,
    /// The port needs a privilege.
    Denied,
    /// What was asked for makes no sense.
    Invalid,
    /// The engine's table of sockets is full.
    TableFull,
    /// Any other error of the kernel.
    Io(i32),
}

/// Opens and closes sockets.
pub trait Sockets {
    /// What another shard needs to send from a socket of this one.
    type Handle: Clone;

    /// Binds a UDP socket and receives from it.
    fn open(&mut self, address: SocketAddr) -> Result<Opened<Self::Handle>, OpenError>;

    /// Binds what peers of calls send to. `wildcard` has its port on all addresses: then answers
    /// to what comes to this one leave from it.
    fn open_media(
        &mut self,
        address: SocketAddr,
        _wildcard: Option<&MediaSocket>,
    ) -> Result<MediaSocket, OpenError> {
        let Opened { id, address, .. } = self.open(address)?;
        Ok(MediaSocket { id, reports: None, address })
    }

    /// Names a socket of another shard here, to send from it.
    fn adopt(&mut self, handle: &Self::Handle) -> Result<SocketId, OpenError>;

    /// Has the gateway listen for TCP connections here, and nowhere else; tells where it does.
    fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, OpenError>;

    /// Keeps a part of what TLS of relays is done with, see `CallCommand::RelayTls`.
    fn keep_relay_tls(&mut self, _place: u8, _first: bool, _part: &[u8]) -> Result<(), OpenError> {
        Err(OpenError::NotAvailable)
    }

    /// Keeps where proxies are, see `CallCommand::RelayProxies`.
    fn keep_relay_proxies(&mut self, _networks: &[Option<Network>]) -> Result<(), OpenError> {
        Err(OpenError::NotAvailable)
    }

    /// Has the gateway relay TURN clients.
    fn relay(&mut self, _spec: &RelaySpec) -> Result<(), OpenError> {
        Err(OpenError::NotAvailable)
    }

    /// Closes a socket. What is still on its way from it is dropped.
    fn close(&mut self, id: SocketId);
}
