//! The gateway: the one thread that owns the TCP connections of calls, and all sockets of TURN.
//!
//! It sleeps in `epoll` until a connection has something, or a shard rings. What connections say is
//! cut into packets and goes to shards; what shards say is written, as far as the peer reads. What
//! may be connected and what a connection's bytes mean is in the library. TURN is [`relay`]'s.

pub(crate) mod desk;
mod relay;
mod stream;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use ringway_abi::counters::Counter;
use ringway_shard::gateway::connection::{Connection, To};
use ringway_shard::gateway::guests::Guests;
use ringway_shard::gateway::{ConnectionId, FromShard, GatewayEnd, MOST_CONNECTIONS, ToShard};
use ringway_shard::shard::{Counters, canonical};
use ringway_shard::slab::{Slab, SlotId};
use ringway_shard::sockets::OpenError;
use ringway_uring::{listen, new_bell, ring_bell, tune};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::Timespec;

use self::desk::{Desk, Opening};
use self::relay::{Relay, Surroundings};
use crate::clocks;
use crate::kernel::bind_error;
use crate::shards::Together;

/// How often strangers are looked at, and a listener that was let alone is taken up again.
const SWEEP: Duration = Duration::from_secs(1);
/// How soon a shard that is behind is tried again.
const BEHIND: Duration = Duration::from_millis(1);
/// Events taken at once.
const EVENTS: usize = 256;
/// Connections accepted before others are looked after.
const ACCEPTS: usize = 64;
/// Octets read from one connection before others are looked after.
const READ_BYTES: usize = 64 * 1024;
/// Packets taken from one shard before others are looked after.
const SHARD_PACKETS: usize = 1024;
/// Room for the longest packet of a shard.
const PACKET_BYTES: usize = 4096;

const BELL: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// What shards see of the gateway.
pub(crate) struct Bell {
    bell: Arc<OwnedFd>,
    asleep: AtomicBool,
    /// Connections that there are, and that were refused, and packets that were dropped as a lane
    /// to a shard or a peer was behind.
    connections: AtomicU64,
    refused: AtomicU64,
    lane_drops: AtomicU64,
    peer_drops: AtomicU64,
    /// Relays of TURN clients that there are, and packets of theirs that went nowhere.
    allocations: AtomicU64,
    turn_drops: AtomicU64,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            bell: new_bell()?,
            asleep: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lane_drops: AtomicU64::new(0),
            peer_drops: AtomicU64::new(0),
            allocations: AtomicU64::new(0),
            turn_drops: AtomicU64::new(0),
        })
    }

    /// Wakes the gateway if it sleeps. What it is to see is in its lanes already.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            ring_bell(&self.bell);
        }
    }

    /// Wakes the gateway in any case.
    pub(crate) fn ring(&self) {
        ring_bell(&self.bell);
    }

    /// What it has counted since the last call goes to a shard's counters.
    pub(crate) fn report(&self, counters: &mut Counters) {
        counters.set(Counter::TcpConnections, self.connections.load(Ordering::Relaxed));
        counters.set(Counter::TurnAllocations, self.allocations.load(Ordering::Relaxed));
        for (tally, counter) in [
            (&self.refused, Counter::TcpRefused),
            (&self.lane_drops, Counter::DropTcpLane),
            (&self.peer_drops, Counter::DropTcpPeer),
            (&self.turn_drops, Counter::DropTurn),
        ] {
            if tally.load(Ordering::Relaxed) > 0 {
                counters.add(counter, tally.swap(0, Ordering::Relaxed));
            }
        }
    }
}

/// Where shards bring listeners.
pub(crate) struct Reception {
    listeners: Sender<TcpListener>,
    /// Where they bring what relays need.
    pub(crate) desk: Desk,
    together: Arc<Together>,
    /// What was asked for last, and where it listens.
    listening: Option<(SocketAddr, SocketAddr)>,
}

impl Reception {
    /// Listens at `address` and nowhere else.
    pub(crate) fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, OpenError> {
        if let Some((_, local)) = self.listening.filter(|(asked, _)| *asked == address) {
            return Ok(local);
        }
        let bound = listen(address).map_err(bind_error)?;
        self.listening = Some((address, bound.local));
        // An error means that the program is stopping.
        let _ = self.listeners.send(bound.listener);
        self.together.gateway.ring();
        Ok(bound.local)
    }
}

struct Guest {
    stream: TcpStream,
    connection: Connection,
    /// Waits for the peer to read.
    blocked: bool,
}

/// The thread's world.
pub(crate) struct Gateway {
    epoll: OwnedFd,
    together: Arc<Together>,
    ends: Vec<GatewayEnd>,
    listeners: Receiver<TcpListener>,
    listener: Option<TcpListener>,
    /// The listener is let alone: no descriptor is left for those who come.
    exhausted: bool,
    guests: Slab<Guest>,
    limits: Guests,
    relay: Relay,
    openings: Receiver<Opening>,
    /// Connections with something new to write.
    dirty: Vec<SlotId>,
    octets: Box<[u8]>,
    next_sweep_ns: u64,
}

impl Gateway {
    /// A gateway between `ends`, and where listeners are brought to it.
    pub(crate) fn new(
        together: Arc<Together>,
        ends: Vec<GatewayEnd>,
    ) -> anyhow::Result<(Self, Reception)> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("cannot make an epoll")?;
        let bell = &together.gateway.bell;
        epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)
            .context("cannot listen to the bell of TCP")?;
        let (sender, listeners) = channel();
        let (desk, openings) = Desk::new(together.clone());
        let listening = None;
        let reception =
            Reception { listeners: sender, desk, together: together.clone(), listening };
        let gateway = Self {
            epoll,
            together,
            ends,
            listeners,
            listener: None,
            exhausted: false,
            guests: Slab::new(MOST_CONNECTIONS),
            limits: Guests::new(MOST_CONNECTIONS),
            relay: Relay::new()?,
            openings,
            dirty: Vec::new(),
            octets: vec![0; READ_BYTES].into(),
            next_sweep_ns: 0,
        };
        Ok((gateway, reception))
    }

    /// Runs it on a thread of its own until the program stops.
    pub(crate) fn start(mut self) -> anyhow::Result<JoinHandle<()>> {
        std::thread::Builder::new()
            .name("gateway".into())
            .spawn(move || self.run())
            .context("cannot start the thread of TCP connections")
    }

    fn run(&mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        while !self.together.stopping.load(Ordering::Relaxed) {
            events.clear();
            self.sleep(&mut events);
            let now_ns = clocks::now().mono_ns;
            for event in &events {
                self.handle_event(now_ns, event.data.u64(), event.flags);
            }
            if let Some(listener) = self.listeners.try_iter().last() {
                self.take_listener(listener);
            }
            while let Ok(opening) = self.openings.try_recv() {
                let (relay, mut around) = self.relay(now_ns);
                relay.open(&mut around, opening);
            }
            for shard in 0..self.ends.len() {
                self.hear(now_ns, shard as u16);
            }
            while let Some(id) = self.dirty.pop() {
                self.write(id);
            }
            let (relay, mut around) = self.relay(now_ns);
            relay.flush(&mut around);
            if now_ns >= self.next_sweep_ns {
                self.sweep(now_ns);
            }
            self.wake_shards();
        }
    }

    /// Waits for work, as shards do: whoever brings some looks at the flag after it has brought it.
    fn sleep(&self, events: &mut Vec<epoll::Event>) {
        let gateway = &self.together.gateway;
        gateway.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let wait = if self.ends.iter().any(GatewayEnd::has_news) {
            Some(Duration::ZERO)
        } else if self.ends.iter().any(GatewayEnd::has_backlog) {
            Some(BEHIND)
        } else {
            let sweeps = self.limits.has_strangers() || self.relay.is_busy();
            (sweeps || self.exhausted).then_some(SWEEP)
        };
        let wait = wait.map(|wait| Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let room = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, room, wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the gateway cannot wait: {error}"),
        }
        gateway.asleep.store(false, Ordering::Relaxed);
    }

    fn handle_event(&mut self, now_ns: u64, data: u64, flags: EventFlags) {
        match data {
            // Fails only if it was silenced already.
            BELL => {
                let _ = rustix::io::read(&self.together.gateway.bell, &mut [0; 8]);
            }
            LISTENER => self.accept(now_ns),
            number if Relay::owns(number) => {
                let (relay, mut around) = self.relay(now_ns);
                relay.handle_event(&mut around, number, flags);
            }
            number => {
                let Some(id) = self.find(ConnectionId(number as u32)) else { return };
                if flags.contains(EventFlags::OUT) {
                    self.write(id);
                }
                if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
                    self.read(id);
                }
            }
        }
    }

    fn take_listener(&mut self, listener: TcpListener) {
        if let Some(before) = self.listener.take() {
            let _ = epoll::delete(&self.epoll, &before);
        }
        match epoll::add(&self.epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN) {
            Ok(()) => self.listener = Some(listener),
            Err(error) => tracing::error!(%error, "cannot take TCP connections"),
        }
        self.exhausted = false;
    }

    fn accept(&mut self, now_ns: u64) {
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((stream, remote)) => self.admit(now_ns, stream, canonical(remote)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if is_exhausted(&error) => {
                    tracing::warn!(%error, "no descriptor left for a TCP connection of a call");
                    let data = EventData::new_u64(LISTENER);
                    let _ = epoll::modify(&self.epoll, listener, data, EventFlags::empty());
                    self.exhausted = true;
                    return;
                }
                // Of the one that came: it is gone again.
                Err(_) => {}
            }
        }
    }

    fn admit(&mut self, now_ns: u64, stream: TcpStream, remote: SocketAddr) {
        if tune(&stream).is_err() || !self.limits.admit(remote.ip()) {
            self.together.gateway.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let connection = Connection::new(now_ns, remote);
        let Ok(id) = self.guests.insert(Guest { stream, connection, blocked: false }) else {
            unreachable!("as many as there are places were admitted");
        };
        let data = EventData::new_u64(u64::from(number(id).0));
        let guest = self.guests.get(id).expect("it was put in");
        if epoll::add(&self.epoll, &guest.stream, data, EventFlags::IN).is_err() {
            self.close(id);
        }
        self.count();
    }

    fn read(&mut self, id: SlotId) {
        let Some(guest) = self.guests.get_mut(id) else { return };
        let mut octets = std::mem::take(&mut self.octets);
        let ends = &mut self.ends;
        let mut dropped = 0;
        let open = match guest.stream.read(&mut octets) {
            Ok(0) => false,
            Ok(len) => {
                let Guest { connection, .. } = guest;
                let remote = connection.remote;
                let packet = ToShard::Packet { connection: number(id), remote };
                let read = connection.handle_bytes(&octets[..len], |to, bytes| match to {
                    To::Owner(shard) => {
                        dropped += u64::from(!ends[usize::from(shard)].send_packet(packet, bytes));
                    }
                    To::All => {
                        for end in ends.iter_mut() {
                            dropped += u64::from(!end.send_packet(packet, bytes));
                        }
                    }
                });
                if let Err(reason) = read {
                    tracing::debug!(%remote, %reason, "a TCP connection is closed");
                    self.together.gateway.refused.fetch_add(1, Ordering::Relaxed);
                }
                read.is_ok()
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        };
        self.octets = octets;
        if dropped > 0 {
            self.together.gateway.lane_drops.fetch_add(dropped, Ordering::Relaxed);
        }
        if !open {
            self.close(id);
        }
    }

    /// Takes what a shard said.
    fn hear(&mut self, now_ns: u64, shard: u16) {
        let mut packet = [0; PACKET_BYTES];
        self.ends[usize::from(shard)].push_backlog();
        for _ in 0..SHARD_PACKETS {
            let Some((said, len)) = self.ends[usize::from(shard)].take(&mut packet) else { return };
            let link = match said {
                FromShard::Port { .. } => true,
                FromShard::Packet { connection }
                | FromShard::Claim { connection, .. }
                | FromShard::Close { connection } => connection.link().is_some(),
            };
            if link {
                let (relay, mut around) = self.relay(now_ns);
                relay.hear(&mut around, shard, said, packet.get(..len).unwrap_or(&[]));
                continue;
            }
            match said {
                FromShard::Port { .. } => {}
                FromShard::Packet { connection } => {
                    let Some(id) = self.find(connection) else { continue };
                    let Some(guest) = self.guests.get_mut(id) else { continue };
                    let fresh = guest.connection.unwritten().is_empty();
                    if !guest.connection.queue(&packet[..len]) {
                        self.together.gateway.peer_drops.fetch_add(1, Ordering::Relaxed);
                    } else if fresh && !guest.blocked {
                        self.dirty.push(id);
                    }
                }
                FromShard::Claim { connection, remote } => {
                    let guest = self.find(connection).and_then(|id| self.guests.get_mut(id));
                    let Some(guest) = guest else {
                        self.ends[usize::from(shard)].say(ToShard::Closed { connection, remote });
                        continue;
                    };
                    let stranger = guest.connection.owner().is_none();
                    if guest.connection.claim(shard) && stranger {
                        self.limits.claim(remote.ip());
                    }
                }
                FromShard::Close { connection } => {
                    let Some(id) = self.find(connection) else { continue };
                    // The shard's last word to it.
                    self.write(id);
                    self.close(id);
                }
            }
        }
    }

    fn write(&mut self, id: SlotId) {
        let Some(guest) = self.guests.get_mut(id) else { return };
        let mut broken = false;
        while !guest.connection.unwritten().is_empty() {
            match guest.stream.write(guest.connection.unwritten()) {
                Ok(written) if written > 0 => guest.connection.wrote(written),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                _ => {
                    broken = true;
                    break;
                }
            }
        }
        let blocked = !guest.connection.unwritten().is_empty();
        if !broken && blocked != guest.blocked {
            guest.blocked = blocked;
            let flags = if blocked { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let data = EventData::new_u64(u64::from(number(id).0));
            broken = epoll::modify(&self.epoll, &guest.stream, data, flags).is_err();
        }
        if broken {
            self.close(id);
        }
    }

    /// The connection is gone, whoever ended it.
    fn close(&mut self, id: SlotId) {
        // Closing the stream takes it out of the epoll.
        let Some(guest) = self.guests.remove(id) else { return };
        let Guest { connection, .. } = guest;
        let remote = connection.remote;
        self.limits.leave(remote.ip(), connection.owner().is_some());
        if let Some(end) =
            connection.owner().and_then(|shard| self.ends.get_mut(usize::from(shard)))
        {
            end.say(ToShard::Closed { connection: number(id), remote });
        }
        self.count();
    }

    fn sweep(&mut self, now_ns: u64) {
        self.next_sweep_ns = now_ns + SWEEP.as_nanos() as u64;
        if self.exhausted
            && let Some(listener) = &self.listener
        {
            let data = EventData::new_u64(LISTENER);
            let _ = epoll::modify(&self.epoll, listener, data, EventFlags::IN);
            self.exhausted = false;
        }
        let (relay, mut around) = self.relay(now_ns);
        relay.sweep(&mut around);
        if !self.limits.has_strangers() {
            return;
        }
        let overdue =
            |(id, guest): (SlotId, &Guest)| guest.connection.is_overdue(now_ns).then_some(id);
        let overdue: Vec<SlotId> = self.guests.iter().filter_map(overdue).collect();
        for id in overdue {
            self.together.gateway.refused.fetch_add(1, Ordering::Relaxed);
            self.close(id);
        }
    }

    /// TURN, and what it works with.
    fn relay(&mut self, now_ns: u64) -> (&mut Relay, Surroundings<'_>) {
        let Self { relay, epoll, ends, octets, together, .. } = self;
        let tallies = &together.gateway;
        (relay, Surroundings { now_ns, epoll, ends, octets, tallies })
    }

    fn wake_shards(&mut self) {
        let mut fenced = false;
        for (shard, end) in self.ends.iter_mut().enumerate() {
            if end.take_touched() {
                if !std::mem::replace(&mut fenced, true) {
                    fence(Ordering::SeqCst);
                }
                self.together.wake(shard);
            }
        }
    }

    fn count(&self) {
        let connections = u64::from(self.limits.connections());
        self.together.gateway.connections.store(connections, Ordering::Relaxed);
    }

    fn find(&self, connection: ConnectionId) -> Option<SlotId> {
        let id = self.guests.id_at(connection.0 & 0xffff)?;
        (number(id) == connection).then_some(id)
    }
}

/// A place of the table as shards know it.
fn number(id: SlotId) -> ConnectionId {
    ConnectionId(id.generation << 16 | (id.slot & 0xffff))
}

fn is_exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
#[path = "gateway_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "gateway/relay_tests.rs"]
mod relay_tests;
