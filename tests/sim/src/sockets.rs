//! Sockets: the host's ports, and each shard's table of sockets.
//!
//! As in the kernel, a port is taken for as long as any shard has the socket, and datagrams come in
//! only while the shard that opened it has it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

use ringway_shard::egress::SocketId;
use ringway_shard::sockets::{OpenError, Opened, Sockets};

/// A socket as shards hand it to each other.
#[derive(Clone, Debug)]
pub struct Handle(Rc<SocketAddr>);

#[derive(Debug)]
struct Binding {
    socket: Weak<SocketAddr>,
    /// Who receives: shard and socket, as long as it is open there.
    receiver: Option<(usize, SocketId)>,
}

/// The ports of the machine.
#[derive(Debug)]
pub struct Host {
    addresses: Vec<IpAddr>,
    bindings: HashMap<SocketAddr, Binding>,
    /// What the kernel answers to the next attempt to bind.
    pub refuse_next: Option<OpenError>,
}

impl Host {
    /// A host with these addresses and no socket.
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self { addresses, bindings: HashMap::new(), refuse_next: None }
    }

    /// Whether `ip` is one of this host's.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.addresses.contains(&ip)
    }

    /// The address that a datagram from `socket` to a peer like `to` leaves with.
    pub fn sender(&self, socket: SocketAddr, to: SocketAddr) -> SocketAddr {
        if !socket.ip().is_unspecified() {
            return socket;
        }
        let ip = self.addresses.iter().find(|ip| ip.is_ipv4() == to.is_ipv4());
        SocketAddr::new(*ip.expect("an address of each family"), socket.port())
    }

    /// Which shard's socket a datagram to `to` comes in at.
    pub fn receiver(&self, to: SocketAddr) -> Option<(usize, SocketId)> {
        let unspecified: [IpAddr; 2] = [[0; 4].into(), [0; 16].into()];
        let own = [to.ip()].into_iter().filter(|ip| self.has(*ip));
        let any = unspecified.into_iter().filter(|ip| to.is_ipv4() || ip.is_ipv6());
        own.chain(any)
            .filter_map(|ip| self.bindings.get(&SocketAddr::new(ip, to.port())))
            .find_map(|binding| binding.receiver)
    }

    /// Whether no socket is left.
    pub fn is_free(&self) -> bool {
        self.bindings.values().all(|binding| binding.socket.strong_count() == 0)
    }

    fn bind(&mut self, address: SocketAddr) -> Result<Rc<SocketAddr>, OpenError> {
        if let Some(error) = self.refuse_next.take() {
            return Err(error);
        }
        if !address.ip().is_unspecified() && !self.has(address.ip()) {
            return Err(OpenError::NotAvailable);
        }
        if address.port() < 1024 {
            return Err(OpenError::Denied);
        }
        let taken = |binding: &Binding| binding.socket.strong_count() > 0;
        if self.bindings.get(&address).is_some_and(taken) {
            return Err(OpenError::InUse);
        }
        let socket = Rc::new(address);
        let binding = Binding { socket: Rc::downgrade(&socket), receiver: None };
        self.bindings.insert(address, binding);
        Ok(socket)
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    socket: Option<Rc<SocketAddr>>,
    receives: bool,
}

/// The sockets of one shard.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Slot>,
    capacity: usize,
}

impl Table {
    /// A table with room for `capacity` sockets.
    pub fn new(capacity: usize) -> Self {
        Self { slots: Vec::new(), capacity }
    }

    /// Where a socket is bound; `None` for one that is gone.
    pub fn address(&self, id: SocketId) -> Option<SocketAddr> {
        let slot = self.slots.get(id.slot() as usize)?;
        let socket = slot.socket.as_ref().filter(|_| slot.generation == id.generation())?;
        Some(**socket)
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.socket.is_some()).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn insert(&mut self, socket: Rc<SocketAddr>, receives: bool) -> Result<SocketId, OpenError> {
        let index = match self.slots.iter().position(|slot| slot.socket.is_none()) {
            Some(index) => index,
            None if self.slots.len() < self.capacity => {
                self.slots.push(Slot::default());
                self.slots.len() - 1
            }
            None => return Err(OpenError::TableFull),
        };
        let slot = &mut self.slots[index];
        slot.generation += 1;
        slot.socket = Some(socket);
        slot.receives = receives;
        Ok(SocketId::new(index as u32, slot.generation))
    }
}

/// What a shard opens and closes sockets with.
#[derive(Debug)]
pub struct Desk<'a> {
    /// Which shard.
    pub shard: usize,
    /// The host.
    pub host: &'a mut Host,
    /// The shard's table.
    pub table: &'a mut Table,
}

impl Sockets for Desk<'_> {
    type Handle = Handle;

    fn open(&mut self, address: SocketAddr) -> Result<Opened<Handle>, OpenError> {
        let socket = self.host.bind(address)?;
        let id = self.table.insert(Rc::clone(&socket), true)?;
        if let Some(binding) = self.host.bindings.get_mut(&address) {
            binding.receiver = Some((self.shard, id));
        }
        Ok(Opened { id, handle: Handle(socket), address })
    }

    fn adopt(&mut self, handle: &Handle) -> Result<SocketId, OpenError> {
        self.table.insert(Rc::clone(&handle.0), false)
    }

    fn listen(&mut self, _: SocketAddr) -> Result<SocketAddr, OpenError> {
        Err(OpenError::NotAvailable)
    }

    fn close(&mut self, id: SocketId) {
        let address = self.table.address(id).expect("a socket is closed once");
        let slot = &mut self.table.slots[id.slot() as usize];
        slot.socket = None;
        if slot.receives
            && let Some(binding) = self.host.bindings.get_mut(&address)
        {
            binding.receiver = None;
        }
    }
}
