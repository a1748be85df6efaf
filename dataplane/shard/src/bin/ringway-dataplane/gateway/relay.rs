//! TURN on the gateway's thread: the sockets of clients that are relayed to media ports.
//!
//! What clients say is judged in `proto::turn`; what is for a media port goes to the shard that has
//! it, over the same lanes as what comes by TCP, and comes back by them. No socket is opened for an
//! allocation.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use ringway_abi::call::Network;
use ringway_proto::turn::{
    Client, Handled, LinkId, MAX_WRAP_BYTES, Moment, NotTurn, TurnDrop, TurnServer,
};
use ringway_shard::gateway::guests::Guests;
use ringway_shard::gateway::{ConnectionId, FromShard, GatewayEnd, ToShard};
use ringway_shard::shard::canonical;
use ringway_shard::slab::{Slab, SlotId};
use ringway_uring::tune;
use ringway_wire::sniff::{Protocol, sniff};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustls::ServerConfig;

use super::desk::{Change, Opening};
use super::stream::{Introduced, STRANGER_MESSAGES, Stream};
use super::{ACCEPTS, Bell, PACKET_BYTES, is_exhausted, number};
use crate::clocks;

/// Connections by TCP and TLS at once: as many as there can be allocations.
const STREAMS: u32 = 8192;
/// Datagrams read before others are looked after.
const DATAGRAMS: usize = 256;
/// The longest datagram that is taken.
const DATAGRAM_BYTES: usize = 2048;

/// What events of this file's sockets have in common; below it stand the numbers of streams.
const OURS: u64 = 1 << 40;
const UDP: u64 = OURS | 1 << 32;
const TCP: u64 = UDP + 1;
const TLS: u64 = UDP + 2;

/// What the gateway lends for a moment.
pub(super) struct Surroundings<'a> {
    pub(super) now_ns: u64,
    pub(super) epoll: &'a OwnedFd,
    pub(super) ends: &'a mut [GatewayEnd],
    pub(super) octets: &'a mut [u8],
    pub(super) tallies: &'a Bell,
}

impl Surroundings<'_> {
    fn moment(&self) -> Moment {
        Moment { mono_ns: self.now_ns, unix_s: clocks::unix_ns() / 1_000_000_000 }
    }
}

/// The server, and which shards have which media port.
struct Office {
    server: TurnServer,
    ports: HashMap<u16, Vec<u16>>,
}

/// What became of a message.
enum Taken {
    Answer(usize),
    Done,
    Dropped(TurnDrop),
}

/// All relays and their sockets.
pub(super) struct Relay {
    office: Office,
    udp: Option<Arc<UdpSocket>>,
    /// It takes both families, and wants IPv4 addresses mapped.
    udp_v6: bool,
    tcp: Option<TcpListener>,
    tls: Option<TcpListener>,
    keys: Option<Arc<ServerConfig>>,
    /// Where the proxies are that alone may connect to the port of TLS; `None`: clients do.
    proxies: Option<Vec<Network>>,
    streams: Slab<Stream>,
    limits: Guests,
    /// Streams with something new to write.
    dirty: Vec<SlotId>,
    /// Listeners are let alone: no descriptor is left for those who come.
    exhausted: bool,
    /// The message at hand, on its way to a client.
    message: Box<[u8]>,
}

impl Relay {
    /// Nobody is relayed before [`Relay::open`].
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut seed = [0; 32];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
            .context("cannot get random octets")?;
        let office = Office { server: TurnServer::new(&seed), ports: HashMap::new() };
        Ok(Self {
            office,
            udp: None,
            udp_v6: false,
            tcp: None,
            tls: None,
            keys: None,
            proxies: None,
            streams: Slab::new(STREAMS),
            limits: Guests::new(STREAMS),
            dirty: Vec::new(),
            exhausted: false,
            message: vec![0; PACKET_BYTES + MAX_WRAP_BYTES].into(),
        })
    }

    /// Whether an event is of a socket of ours.
    pub(super) fn owns(event: u64) -> bool {
        event >> 40 == 1
    }

    /// Whether [`Relay::sweep`] is wanted.
    pub(super) fn is_busy(&self) -> bool {
        self.office.server.allocations() > 0 || self.limits.connections() > 0 || self.exhausted
    }

    /// Serves as `opening` says from now on.
    pub(super) fn open(&mut self, around: &mut Surroundings<'_>, opening: Opening) {
        let Opening { config, udp, tcp, tls, keys, proxies } = opening;
        tracing::info!(addresses = ?config.addresses, "TURN clients are relayed");
        self.office.server.configure(config);
        (self.keys, self.proxies) = (keys, proxies);
        exchange(around.epoll, &mut self.udp, udp, UDP);
        let local = self.udp.as_ref().and_then(|udp| udp.local_addr().ok());
        self.udp_v6 = local.is_some_and(|local| local.is_ipv6());
        exchange(around.epoll, &mut self.tcp, tcp, TCP);
        exchange(around.epoll, &mut self.tls, tls, TLS);
    }

    /// Something came to a socket of ours.
    pub(super) fn handle_event(
        &mut self,
        around: &mut Surroundings<'_>,
        event: u64,
        flags: EventFlags,
    ) {
        match event {
            UDP => self.read_udp(around),
            TCP | TLS => self.accept(around, event),
            stream => {
                let Some(id) = self.find(stream as u32) else { return };
                if flags.contains(EventFlags::OUT) {
                    self.write(around, id);
                }
                if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
                    self.read(around, id);
                }
            }
        }
        self.bury(around);
    }

    fn read_udp(&mut self, around: &mut Surroundings<'_>) {
        let Some(udp) = self.udp.clone() else { return };
        let moment = around.moment();
        for _ in 0..DATAGRAMS {
            let Some(room) = around.octets.get_mut(..DATAGRAM_BYTES) else { return };
            let (len, from) = match udp.recv_from(room) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // Of a datagram that was sent before.
                Err(_) => continue,
            };
            let client = Client { remote: canonical(from), stream: None };
            let datagram = room.get(..len).unwrap_or(&[]);
            let taken = self.office.take(
                moment,
                around.ends,
                around.tallies,
                client,
                datagram,
                &mut self.message,
            );
            if let Taken::Answer(len) = taken {
                let answer = self.message.get(..len).unwrap_or(&[]);
                // What the kernel does not take is lost as on the way: the client asks again.
                let _ = udp.send_to(answer, from);
            }
        }
    }

    fn accept(&mut self, around: &mut Surroundings<'_>, event: u64) {
        for _ in 0..ACCEPTS {
            let listener = if event == TLS { &self.tls } else { &self.tcp };
            let Some(listener) = listener else { return };
            match listener.accept() {
                Ok((socket, remote)) => {
                    let client = Client { remote: canonical(remote), stream: None };
                    let keys = self.keys.clone().filter(|_| event == TLS);
                    let proxies = self.proxies.as_ref().filter(|_| event == TLS);
                    let ip = client.remote.ip();
                    let known = proxies.is_none_or(|all| all.iter().any(|one| one.contains(ip)));
                    let proxied = proxies.is_some();
                    let welcome = known && tune(&socket).is_ok() && self.limits.admit(ip);
                    let stream = Stream::new(around.now_ns, socket, client, keys.as_ref(), proxied);
                    match stream {
                        Ok(stream) if welcome => self.admit(around, stream),
                        _ => {
                            if welcome {
                                self.limits.leave(ip, false);
                            }
                            around.tallies.refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_exhausted(&error) => {
                    tracing::warn!(%error, "no descriptor left for a TURN client");
                    let data = EventData::new_u64(event);
                    let _ = epoll::modify(around.epoll, listener, data, EventFlags::empty());
                    self.exhausted = true;
                    return;
                }
                // Of the one that came: it is gone again.
                Err(_) => {}
            }
        }
    }

    fn admit(&mut self, around: &mut Surroundings<'_>, stream: Stream) {
        let Ok(id) = self.streams.insert(stream) else {
            unreachable!("as many as there are places were admitted");
        };
        let name = number(id).0;
        let data = EventData::new_u64(OURS | u64::from(name));
        let stream = self.streams.get_mut(id).expect("it was put in");
        stream.client.stream = Some(name);
        if epoll::add(around.epoll, &stream.socket, data, EventFlags::IN).is_err() {
            self.close(id);
        }
    }

    fn read(&mut self, around: &mut Surroundings<'_>, id: SlotId) {
        let moment = around.moment();
        let Self { office, streams, limits, dirty, message, .. } = self;
        let Some(stream) = streams.get_mut(id) else { return };
        let mut open = false;
        let introduced = match stream.introduce() {
            Ok(Introduced::Not) => return,
            Ok(Introduced::Already) => true,
            Ok(Introduced::Now(remote)) => {
                let moved = limits.moved(stream.client.remote.ip(), remote.ip());
                if moved {
                    stream.client.remote = canonical(remote);
                }
                moved
            }
            Err(_) => false,
        };
        if !introduced {
            around.tallies.refused.fetch_add(1, Ordering::Relaxed);
        } else if let Ok(len) = stream.read(around.octets) {
            let mut octets = around.octets.get(..len).unwrap_or(&[]);
            open = true;
            while open && !octets.is_empty() {
                let put = stream.reader.put(octets);
                octets = octets.get(put..).unwrap_or(&[]);
                let hear = |client, bytes: &[u8], out: &mut [u8]| {
                    office.take(moment, around.ends, around.tallies, client, bytes, out)
                };
                open = converse(stream, message, hear).is_ok();
            }
            if !stream.claimed && office.server.knows(&stream.client) {
                stream.claimed = true;
                limits.claim(stream.client.remote.ip());
            }
            if stream.wants_write() && !stream.blocked {
                dirty.push(id);
            }
            if !open {
                around.tallies.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        if !open {
            self.close(id);
        }
    }

    /// Takes what a shard said of a link, or of a port of its own.
    pub(super) fn hear(
        &mut self,
        around: &mut Surroundings<'_>,
        shard: u16,
        said: FromShard,
        packet: &[u8],
    ) {
        let server = &mut self.office.server;
        match said {
            FromShard::Port { port } => {
                server.open_port(port);
                let shards = self.office.ports.entry(port).or_default();
                if !shards.contains(&shard) {
                    shards.push(shard);
                }
            }
            FromShard::Packet { connection } => {
                let Some(link) = connection.link() else { return };
                self.send(around, link, packet);
            }
            FromShard::Claim { connection, remote } => {
                let owner = connection.link().and_then(|link| server.owner(link));
                match owner {
                    Some(owner) => *owner = Some(shard),
                    None => {
                        around.ends[usize::from(shard)].say(ToShard::Closed { connection, remote });
                    }
                }
            }
            FromShard::Close { connection } => {
                let owner = connection.link().and_then(|link| server.owner(link));
                if let Some(owner) = owner.filter(|owner| **owner == Some(shard)) {
                    *owner = None;
                }
            }
        }
    }

    /// Sends a packet of a shard's to the client behind a link.
    fn send(&mut self, around: &mut Surroundings<'_>, link: LinkId, packet: &[u8]) {
        let moment = around.moment();
        let wrapped = self.office.server.wrap(moment, link, packet, &mut self.message);
        let sent = wrapped.is_some_and(|(client, len)| {
            let message = self.message.get(..len).unwrap_or(&[]);
            let Some(name) = client.stream else {
                let udp = self.udp.as_deref();
                let remote = mapped(client.remote, self.udp_v6);
                return udp.is_some_and(|udp| udp.send_to(message, remote).is_ok());
            };
            let Some((id, stream)) = find(&mut self.streams, name) else { return false };
            if stream.waiting.unwritten().is_empty() && !stream.blocked {
                self.dirty.push(id);
            }
            stream.waiting.queue(&[message])
        });
        if !sent {
            around.tallies.turn_drops.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what was queued.
    pub(super) fn flush(&mut self, around: &mut Surroundings<'_>) {
        while let Some(id) = self.dirty.pop() {
            self.write(around, id);
        }
        self.bury(around);
    }

    fn write(&mut self, around: &mut Surroundings<'_>, id: SlotId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let broken = match stream.write() {
            Err(_) => true,
            Ok(blocked) if blocked == stream.blocked => false,
            Ok(blocked) => {
                stream.blocked = blocked;
                let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                let data = EventData::new_u64(OURS | u64::from(number(id).0));
                epoll::modify(around.epoll, &stream.socket, data, flags).is_err()
            }
        };
        if broken {
            self.close(id);
        }
    }

    /// A connection is gone, whoever ended it, and its allocation with it.
    fn close(&mut self, id: SlotId) {
        // Closing the stream takes it out of the epoll.
        let Some(stream) = self.streams.remove(id) else { return };
        self.limits.leave(stream.client.remote.ip(), stream.claimed);
        self.office.server.handle_closed(&stream.client);
    }

    /// Tells shards of allocations that have ended.
    fn bury(&mut self, around: &mut Surroundings<'_>) {
        while let Some(ended) = self.office.server.poll_ended() {
            for (link, owner) in ended.links {
                let Some(owner) = owner else { continue };
                let connection = ConnectionId::of_link(link);
                let closed = ToShard::Closed { connection, remote: ended.relayed };
                around.ends[usize::from(owner)].say(closed);
            }
            let stream = ended.client.stream.and_then(|name| find(&mut self.streams, name));
            if let Some((_, stream)) = stream {
                stream.since_ns = around.now_ns;
            }
        }
        let allocations = self.office.server.allocations() as u64;
        around.tallies.allocations.store(allocations, Ordering::Relaxed);
    }

    /// Ends what has run out, once a second.
    pub(super) fn sweep(&mut self, around: &mut Surroundings<'_>) {
        self.office.server.handle_timeout(around.moment());
        self.bury(around);
        if std::mem::take(&mut self.exhausted) {
            for (listener, event) in [(&self.tcp, TCP), (&self.tls, TLS)] {
                let Some(listener) = listener else { continue };
                let data = EventData::new_u64(event);
                let _ = epoll::modify(around.epoll, listener, data, EventFlags::IN);
            }
        }
        let server = &self.office.server;
        let overdue = |(id, stream): (SlotId, &Stream)| {
            let over = stream.is_overdue(around.now_ns) && !server.knows(&stream.client);
            over.then_some(id)
        };
        let overdue: Vec<SlotId> = self.streams.iter().filter_map(overdue).collect();
        overdue.into_iter().for_each(|id| self.close(id));
    }

    fn find(&mut self, name: u32) -> Option<SlotId> {
        find(&mut self.streams, name).map(|(id, _)| id)
    }
}

impl Office {
    fn take(
        &mut self,
        moment: Moment,
        ends: &mut [GatewayEnd],
        tallies: &Bell,
        client: Client,
        message: &[u8],
        out: &mut [u8],
    ) -> Taken {
        match self.server.handle(moment, client, message, out) {
            Handled::Answer(len) => Taken::Answer(len),
            Handled::Relay { link, from, peer, packet } => {
                self.forward(ends, tallies, link, from, peer, packet);
                Taken::Done
            }
            Handled::Dropped(reason) => {
                tallies.turn_drops.fetch_add(1, Ordering::Relaxed);
                Taken::Dropped(reason)
            }
        }
    }

    /// Passes a packet on to the shard that knows the link; a check of a link that nobody knows yet
    /// to all that have the port.
    fn forward(
        &mut self,
        ends: &mut [GatewayEnd],
        tallies: &Bell,
        link: LinkId,
        from: SocketAddr,
        peer: SocketAddr,
        packet: &[u8],
    ) {
        let about = ToShard::Packet { connection: ConnectionId::of_link(link), remote: from };
        let owner = self.server.owner(link).and_then(|owner| *owner);
        let owner = owner.as_ref().map(std::slice::from_ref);
        let asked = self.ports.get(&peer.port()).filter(|_| sniff(packet) == Protocol::Stun);
        let shards = owner.or(asked.map(Vec::as_slice)).unwrap_or(&[]);
        let mut passed = false;
        for shard in shards {
            passed |= ends[usize::from(*shard)].send_packet(about, packet);
        }
        if !passed {
            tallies.turn_drops.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Hears the whole messages of a stream, and queues the answers.
fn converse(
    stream: &mut Stream,
    out: &mut [u8],
    mut hear: impl FnMut(Client, &[u8], &mut [u8]) -> Taken,
) -> Result<(), NotTurn> {
    while let Some(message) = stream.reader.poll_message()? {
        stream.heard += u32::from(!stream.claimed);
        if stream.heard > STRANGER_MESSAGES {
            return Err(NotTurn::Protocol);
        }
        match hear(stream.client, message, out) {
            Taken::Answer(len) => {
                // What finds no room is lost: the client asks again.
                stream.waiting.queue(&[out.get(..len).unwrap_or(&[])]);
            }
            Taken::Dropped(TurnDrop::Malformed) => return Err(NotTurn::Protocol),
            Taken::Done | Taken::Dropped(_) => {}
        }
    }
    Ok(())
}

fn find(streams: &mut Slab<Stream>, name: u32) -> Option<(SlotId, &mut Stream)> {
    let id = streams.id_at(name & 0xffff)?;
    let stream = streams.get_mut(id)?;
    (number(id).0 == name).then_some((id, stream))
}

/// An address as a socket for both families wants it.
fn mapped(remote: SocketAddr, v6: bool) -> SocketAddr {
    match remote.ip() {
        IpAddr::V4(ip) if v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), remote.port()),
        _ => remote,
    }
}

/// Puts a socket in the place of another.
fn exchange<T: AsFd>(epoll: &OwnedFd, place: &mut Option<T>, change: Change<T>, event: u64) {
    let Change::Now(now) = change else { return };
    if let Some(before) = place.take() {
        let _ = epoll::delete(epoll, &before);
    }
    let Some(now) = now else { return };
    match epoll::add(epoll, &now, EventData::new_u64(event), EventFlags::IN) {
        Ok(()) => *place = Some(now),
        Err(error) => tracing::error!(%error, "cannot take TURN clients"),
    }
}
