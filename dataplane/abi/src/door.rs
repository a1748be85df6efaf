//! The data plane's side of the hand-over; the protocol is in [`crate::handover`].
//!
//! The door runs on a thread of its own, sleeps in `poll` and never makes a shard wait: it makes
//! the lanes, sends the descriptors and then tells its owner, who passes the shards' ends on.
//!
//! It also rings for both sides. The flags and the count of an eventfd belong to everyone who has
//! it, so a hostile control peer that had a shard's bell could make that shard wait in a read or a
//! write. Control gets a bell of its own instead, which the door hears and passes on, and is rung
//! through a socket whose writes never wait.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::bell;
use crate::credentials::Credentials;
use crate::handover::{self, JoinRefusal, MAX_OBSERVERS, Received, Role};
use crate::lane::{Receiver, Sender};
use crate::lanes;
pub use crate::listener::DoorError;
use crate::listener::Listener;
use crate::message::{Command, Event};
use crate::pages::PagesOwner;
use crate::region::RegionError;

/// How long a peer may take to say hello. A peer of ours says it at once; longer lets silent ones
/// hold places, shorter turns away a peer on a machine that is choking.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);

/// Most peers that have not said hello yet; one more and the oldest of them must go.
const MAX_WAITING: usize = 16;

/// How long the door leaves callers waiting when it has no descriptors for them.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What happened at the door.
pub enum DoorEvent {
    /// A control peer joined and was sent its ends of fresh lanes.
    ControlJoined {
        /// Its process.
        pid: u32,
        /// The shards' ends, in shard order.
        shards: Vec<ShardLink>,
    },
    /// The control peer is gone: its lanes are dead.
    ControlLeft {
        /// Its process.
        pid: u32,
    },
    /// A peer was turned away.
    Refused {
        /// Its process.
        pid: u32,
        /// Why.
        reason: JoinRefusal,
    },
}

/// What a shard needs of one control peer.
pub struct ShardLink {
    /// Commands to the shard. Look at it once when it arrives: its first commands may be older.
    pub commands: Receiver<Command>,
    /// Events from the shard.
    pub events: Sender<Event>,
    /// The door's bell, to ring with [`crate::bell::ring`] when `events.reader_sleeps()`: the door
    /// wakes control.
    pub bell: Arc<OwnedFd>,
}

/// How the control peer of now is woken, and how it wakes.
struct ControlBells {
    /// An eventfd that control rings when a shard sleeps that it has commands for.
    commands: OwnedFd,
    /// Our end of a socket pair whose other end control waits for.
    events: OwnedFd,
}

/// The listening end of the hand-over.
pub struct Door {
    listener: Listener,
    pages: Arc<PagesOwner>,
    shard_bells: Vec<Arc<OwnedFd>>,
    /// Rung by shards that have told a sleeping control something. Never leaves this process.
    own_bell: Arc<OwnedFd>,
    control_bells: Option<ControlBells>,
    stop: StopHandle,
    own: Credentials,
    peers: Vec<Peer>,
    hello_timeout: Duration,
    /// Do not accept before.
    accept_after: Option<Instant>,
}

/// Ends [`Door::run`] from another thread.
#[derive(Clone)]
pub struct StopHandle(Arc<OwnedFd>);

impl StopHandle {
    /// Makes [`Door::run`] return soon; for good, and however often it is called.
    pub fn stop(&self) {
        bell::ring(&*self.0);
    }
}

struct Peer {
    socket: OwnedFd,
    who: Credentials,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Connected; to be let go if it has not said hello by then.
    Waiting(Instant),
    Joined(Role),
    /// To be forgotten at the end of the turn.
    Gone,
}

/// Which descriptors want attention.
struct Ready {
    stop: bool,
    listener: bool,
    events: bool,
    commands: bool,
    peers: Vec<bool>,
}

impl Door {
    /// Listens at `path`. `shard_bells` has one bell per shard, which the door rings for control.
    pub fn bind(
        path: &Path,
        pages: Arc<PagesOwner>,
        shard_bells: Vec<Arc<OwnedFd>>,
    ) -> Result<Door, DoorError> {
        let shards = pages.boot().limits.shards;
        if shard_bells.len() != usize::from(shards) {
            return Err(DoorError::Bells { bells: shard_bells.len(), shards });
        }
        let stop = bell::bell().map_err(DoorError::Wait)?;
        Ok(Door {
            listener: Listener::bind(path)?,
            pages,
            shard_bells,
            own_bell: Arc::new(bell::bell().map_err(DoorError::Wait)?),
            control_bells: None,
            stop: StopHandle(Arc::new(stop)),
            own: Credentials::own(),
            peers: Vec::new(),
            hello_timeout: HELLO_TIMEOUT,
            accept_after: None,
        })
    }

    /// What ends [`Door::run`].
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Serves peers until it is stopped; then all of them see their sockets end, and the socket
    /// file is gone. `on` is called on this thread and should only pass things on.
    pub fn run(mut self, mut on: impl FnMut(DoorEvent)) -> Result<(), DoorError> {
        loop {
            let ready = self.poll()?;
            if ready.stop {
                return Ok(());
            }
            self.pass_bells_on(&ready);
            let now = Instant::now();
            // Who joined goes first, so that the end of a control peer is known before the next
            // asks.
            for joined_first in [true, false] {
                for (index, ready) in ready.peers.iter().enumerate() {
                    let joined = matches!(self.peers[index].state, State::Joined(_));
                    if *ready && joined == joined_first {
                        self.handle_peer(index, &mut on);
                    }
                }
            }
            if ready.listener {
                self.accept(now);
            }
            self.let_silent_go(now, &mut on);
            self.peers.retain(|peer| peer.state != State::Gone);
            if !self.peers.iter().any(|peer| peer.state == State::Joined(Role::Control)) {
                self.control_bells = None;
            }
        }
    }

    fn poll(&mut self) -> Result<Ready, DoorError> {
        let now = Instant::now();
        self.accept_after = self.accept_after.filter(|after| *after > now);
        let deadlines = self.peers.iter().filter_map(|peer| match peer.state {
            State::Waiting(until) => Some(until),
            _ => None,
        });
        let timeout = deadlines.chain(self.accept_after).min().map(|deadline| {
            Timespec::try_from(deadline.saturating_duration_since(now))
                .expect("a few seconds fit a timespec")
        });
        let listening = match self.accept_after {
            Some(_) => PollFlags::empty(),
            None => PollFlags::IN,
        };
        let mut fds = vec![
            PollFd::new(&*self.stop.0, PollFlags::IN),
            PollFd::new(&self.listener.socket, listening),
            PollFd::new(&*self.own_bell, PollFlags::IN),
        ];
        if let Some(bells) = &self.control_bells {
            fds.push(PollFd::new(&bells.commands, PollFlags::IN));
        }
        fds.extend(self.peers.iter().map(|peer| PollFd::new(&peer.socket, PollFlags::IN)));
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(DoorError::Wait(errno)),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        Ok(Ready {
            stop: ready.next().unwrap_or(false),
            listener: ready.next().unwrap_or(false),
            events: ready.next().unwrap_or(false),
            commands: self.control_bells.is_some() && ready.next().unwrap_or(false),
            peers: ready.collect(),
        })
    }

    /// Wakes the shards for control, and control for the shards.
    fn pass_bells_on(&self, ready: &Ready) {
        if ready.events {
            bell::silence(&*self.own_bell);
        }
        let Some(bells) = &self.control_bells else { return };
        if ready.commands {
            bell::silence_foreign(&bells.commands);
            self.shard_bells.iter().for_each(bell::ring);
        }
        if ready.events {
            // A full socket is a bell that rings already.
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let _ = rustix::net::send(&bells.events, &[0], flags);
        }
    }

    fn accept(&mut self, now: Instant) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Bounded: who connects in a loop must not keep the door from those it knows.
        for _ in 0..MAX_WAITING {
            let socket = match rustix::net::accept_with(&self.listener.socket, flags) {
                Ok(socket) => socket,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::AGAIN) => return,
                // Out of descriptors or memory: poll would say "ready" without end.
                Err(_) => {
                    self.accept_after = Some(now + ACCEPT_PAUSE);
                    return;
                }
            };
            let Ok(who) = Credentials::of_peer(&socket) else { continue };
            let waiting = |peer: &&mut Peer| matches!(peer.state, State::Waiting(_));
            if self.peers.iter_mut().filter(waiting).count() >= MAX_WAITING
                && let Some(oldest) = self.peers.iter_mut().find(|peer| waiting(peer))
            {
                oldest.state = State::Gone;
            }
            let state = State::Waiting(now + self.hello_timeout);
            self.peers.push(Peer { socket, who, state });
        }
    }

    fn let_silent_go(&mut self, now: Instant, on: &mut impl FnMut(DoorEvent)) {
        let ms = self.hello_timeout.as_millis() as u32;
        for peer in &mut self.peers {
            if matches!(peer.state, State::Waiting(until) if until <= now) {
                peer.refuse(JoinRefusal::Silent { ms }, on);
            }
        }
    }

    fn handle_peer(&mut self, index: usize, on: &mut impl FnMut(DoorEvent)) {
        let peer = &mut self.peers[index];
        let received = match handover::receive(&peer.socket) {
            Err(Errno::AGAIN | Errno::INTR) => return,
            received => received,
        };
        match (peer.state, received) {
            (State::Waiting(_), Ok(Received::Message(hello, _))) => {
                match handover::read_hello(&hello, peer.who.uid) {
                    Ok(role) => self.admit(index, role, on),
                    Err(reason) => peer.refuse(reason, on),
                }
            }
            (State::Waiting(_), Ok(Received::Rubbish)) => {
                peer.refuse(JoinRefusal::WrongMagic, on);
            }
            // Gone, or talking where there is nothing to say.
            _ => peer.leave(on),
        }
    }

    fn admit(&mut self, index: usize, role: Role, on: &mut impl FnMut(DoorEvent)) {
        let admitted = match role {
            Role::Observer => self.admit_observer(index).map(|()| None),
            Role::Control => self.admit_control(index, on).map(Some),
        };
        let peer = &mut self.peers[index];
        match admitted {
            Ok(shards) => {
                peer.state = State::Joined(role);
                if let Some(shards) = shards {
                    on(DoorEvent::ControlJoined { pid: peer.who.pid, shards });
                }
            }
            Err(reason) => peer.refuse(reason, on),
        }
    }

    fn admit_observer(&self, index: usize) -> Result<(), JoinRefusal> {
        let observers =
            self.peers.iter().filter(|peer| peer.state == State::Joined(Role::Observer));
        if observers.count() >= MAX_OBSERVERS {
            return Err(JoinRefusal::TooManyObservers { limit: MAX_OBSERVERS as u32 });
        }
        self.welcome(index, &[self.pages.fd()])
    }

    fn admit_control(
        &mut self,
        index: usize,
        on: &mut impl FnMut(DoorEvent),
    ) -> Result<Vec<ShardLink>, JoinRefusal> {
        let who = self.peers[index].who;
        if !who.may_control(self.own) {
            return Err(JoinRefusal::NotAllowed { uid: who.uid });
        }
        let control = State::Joined(Role::Control);
        if let Some(present) = self.peers.iter_mut().find(|peer| peer.state == control) {
            // It may have died since `poll` returned, and its successor must not be turned away.
            if !present.has_ended() {
                return Err(JoinRefusal::ControlTaken { pid: present.who.pid });
            }
            present.leave(on);
        }
        let boot = self.pages.boot();
        let (region, ends) = lanes::create(boot.limits.shards, boot.boot_id).map_err(failed)?;
        let commands = bell::bell().map_err(errno_failed)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (events, control_end) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)
                .map_err(errno_failed)?;
        let mut fds = vec![self.pages.fd(), region.fd(), control_end.as_fd()];
        fds.extend(self.shard_bells.iter().map(|_| commands.as_fd()));
        self.welcome(index, &fds)?;
        self.control_bells = Some(ControlBells { commands, events });
        let link =
            |(commands, events)| ShardLink { commands, events, bell: Arc::clone(&self.own_bell) };
        Ok(ends.into_iter().map(link).collect())
    }

    fn welcome(&self, index: usize, fds: &[BorrowedFd<'_>]) -> Result<(), JoinRefusal> {
        let boot = self.pages.boot();
        let welcome = handover::welcome(boot.limits.shards, boot.boot_id);
        handover::send(&self.peers[index].socket, &welcome, fds).map_err(errno_failed)
    }
}

fn failed(error: RegionError) -> JoinRefusal {
    match error {
        RegionError::Create { errno, .. } | RegionError::Map { errno, .. } => errno_failed(errno),
        _ => errno_failed(Errno::INVAL),
    }
}

fn errno_failed(errno: Errno) -> JoinRefusal {
    JoinRefusal::Failed { errno: errno.raw_os_error() }
}

impl Peer {
    fn refuse(&mut self, reason: JoinRefusal, on: &mut impl FnMut(DoorEvent)) {
        // Who does not listen to the reason has gone already.
        let _ = handover::send(&self.socket, &handover::refusal(reason), &[]);
        self.state = State::Gone;
        on(DoorEvent::Refused { pid: self.who.pid, reason });
    }

    fn leave(&mut self, on: &mut impl FnMut(DoorEvent)) {
        if self.state == State::Joined(Role::Control) {
            on(DoorEvent::ControlLeft { pid: self.who.pid });
        }
        self.state = State::Gone;
    }

    /// Whether the other side has closed its socket.
    fn has_ended(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match rustix::net::recv(&self.socket, &mut [0u8; 1], flags) {
            Ok((read, _)) => read == 0,
            Err(errno) => errno != Errno::AGAIN,
        }
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
