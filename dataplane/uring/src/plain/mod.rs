#![allow(unsafe_code)] // System calls on arrays of message headers.
//! The engine on plain system calls: `epoll`, `recvmmsg`, `sendmmsg`.
//!
//! For kernels and containers without io_uring, and the measure that io_uring must beat. It
//! receives during `wait`, into free buffers of the same pool and with the same layout.

mod reader;

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::arrival::{Arrival, BufferId};
use crate::batch::SocketId;
use crate::bell;
use crate::buffers::Buffers;
use crate::engine::{EngineConfig, EngineError};
use crate::outbox::{Outbox, Refused};
use crate::sender::Carrier;
use crate::slots::Slots;
use crate::tally::EngineTally;
use reader::{MESSAGES_PER_READ, Reader};

/// Sockets looked at in one wait. More make the turn that follows longer, fewer cost system calls.
const EVENTS: usize = 256;

/// What the bell is known by; sockets are known by slot and generation, which never reach it.
const BELL_EVENT: u64 = u64::MAX;

const SEND_FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

struct Attached {
    socket: Arc<UdpSocket>,
    receive: bool,
    /// Datagrams to ask for: twice what the last read gave. An attempt beyond the last datagram
    /// costs a fruitless trip into the socket.
    expect: usize,
}

pub(crate) struct Plain {
    epoll: OwnedFd,
    /// False: this kernel has no `epoll_pwait2`, and waits are rounded up to milliseconds.
    precise: bool,
    events: Box<[libc::epoll_event]>,
    reader: Reader,
    buffers: Buffers,
    free: Vec<BufferId>,
    sockets: Slots<Attached>,
    /// Those that `epoll` knows nothing of.
    resting: Vec<SocketId>,
    /// Never grows: each entry holds a buffer of its own.
    arrivals: VecDeque<Arrival>,
    bell: Arc<OwnedFd>,
    tally: EngineTally,
}

impl Plain {
    pub(crate) fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let claim = config.pools.claim(config.pool).ok_or(EngineError::Pool(config.pool))?;
        let buffers = Buffers::new(claim);
        let count = config.pools.buffers();
        let epoll = epoll::create(CreateFlags::CLOEXEC)
            .and_then(|epoll| {
                let data = EventData::new_u64(BELL_EVENT);
                epoll::add(&epoll, &config.bell, data, EventFlags::IN)?;
                Ok(epoll)
            })
            .map_err(|errno| EngineError::Kernel {
                step: "making an epoll of the bell",
                source: errno.into(),
            })?;
        Ok(Self {
            epoll,
            precise: true,
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS].into(),
            reader: Reader::new(),
            buffers,
            free: (0..count).rev().map(BufferId).collect(),
            sockets: Slots::new(config.sockets),
            resting: Vec::new(),
            arrivals: VecDeque::with_capacity(count as usize),
            bell: config.bell,
            tally: EngineTally::default(),
        })
    }

    pub(crate) fn attach(&mut self, socket: Arc<UdpSocket>, receive: bool) -> io::Result<SocketId> {
        let attached = Attached { socket: Arc::clone(&socket), receive, expect: 1 };
        let id = self.sockets.insert(attached).map_err(|_| io::ErrorKind::QuotaExceeded)?;
        if receive {
            let data = EventData::new_u64(event_of(id));
            if let Err(errno) = epoll::add(&self.epoll, &socket, data, EventFlags::IN) {
                self.sockets.remove(id);
                return Err(errno.into());
            }
        }
        Ok(id)
    }

    pub(crate) fn attach_resting(&mut self, socket: Arc<UdpSocket>) -> io::Result<SocketId> {
        let attached = Attached { socket, receive: false, expect: MESSAGES_PER_READ };
        let id = self.sockets.insert(attached).map_err(|_| io::ErrorKind::QuotaExceeded)?;
        self.resting.push(id);
        Ok(id)
    }

    pub(crate) fn socket(&self, id: SocketId) -> Option<&Arc<UdpSocket>> {
        self.sockets.get(id).map(|attached| &attached.socket)
    }

    pub(crate) fn detach(&mut self, id: SocketId) {
        let Some(attached) = self.sockets.remove(id) else { return };
        if attached.receive {
            // Fails only if it is not in there.
            let _ = epoll::delete(&self.epoll, &attached.socket);
        }
        self.resting.retain(|other| *other != id);
    }

    pub(crate) fn wait(&mut self, until: Option<Duration>) -> io::Result<()> {
        if !self.arrivals.is_empty() {
            return Ok(());
        }
        self.tally.wakeups += u64::from(until != Some(Duration::ZERO));
        if self.free.is_empty() {
            // Sockets would say without end that they can be read.
            self.tally.receive_stalls += 1;
            return self.wait_for_bell(until);
        }
        let count = self.wait_for_events(until)?;
        for place in 0..count {
            let event = self.events[place].u64;
            if event == BELL_EVENT {
                bell::silence(&self.bell);
            } else {
                self.read(socket_of(event));
            }
        }
        Ok(())
    }

    /// Reads each resting socket until it has no more, or nothing is left to read it into: a flood
    /// of what can wait holds up what cannot for no longer than that.
    pub(crate) fn look_at_resting(&mut self) -> io::Result<()> {
        for place in 0..self.resting.len() {
            let id = self.resting[place];
            if let Some(attached) = self.sockets.get_mut(id) {
                attached.expect = MESSAGES_PER_READ;
            }
            while self.read(id) == MESSAGES_PER_READ {}
        }
        Ok(())
    }

    fn wait_for_bell(&mut self, until: Option<Duration>) -> io::Result<()> {
        self.tally.syscalls += 1;
        let time = until.map(timespec);
        match poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], time.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => {
                bell::silence(&self.bell);
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn wait_for_events(&mut self, until: Option<Duration>) -> io::Result<usize> {
        let outcome = if self.precise { self.wait_precisely(until) } else { self.wait_ms(until) };
        match outcome {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            // Linux before 5.11 does not know the call, and some sandboxes forbid what they do
            // not know.
            Err(error)
                if self.precise
                    && matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) =>
            {
                self.precise = false;
                self.wait_for_events(until)
            }
            Err(error) => Err(error),
        }
    }

    /// `epoll_pwait2`, which counts in nanoseconds; by number, because older C libraries lack it.
    fn wait_precisely(&mut self, until: Option<Duration>) -> io::Result<usize> {
        self.tally.syscalls += 1;
        let time = until.map(timespec);
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (events, room) = (self.events.as_mut_ptr(), self.events.len());
        let (epoll, no_mask) = (self.epoll.as_raw_fd(), std::ptr::null::<libc::sigset_t>());
        // SAFETY: the kernel writes at most `room` events, and reads one time, both alive here.
        let count = unsafe {
            libc::syscall(libc::SYS_epoll_pwait2, epoll, events, room, time, no_mask, 0usize)
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn wait_ms(&mut self, until: Option<Duration>) -> io::Result<usize> {
        self.tally.syscalls += 1;
        let time_ms = until.map_or(-1, |until| {
            i32::try_from(until.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
        });
        let (events, room) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: the kernel writes at most `room` events.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, room, time_ms) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Reads what one socket has, once, and says how many; it stays readable if there is more.
    fn read(&mut self, id: SocketId) -> usize {
        let Some(attached) = self.sockets.get_mut(id) else { return 0 };
        if self.free.is_empty() {
            self.tally.receive_stalls += 1;
            return 0;
        }
        self.tally.syscalls += 1;
        match self.reader.read(&attached.socket, attached.expect, &self.free, &self.buffers) {
            Ok(count) => {
                attached.expect = (2 * count).clamp(1, MESSAGES_PER_READ);
                for message in 0..count {
                    self.accept(message, id);
                }
                return count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => attached.expect = 1,
            Err(_) => self.tally.receive_errors += 1,
        }
        0
    }

    /// Takes a datagram of the last read, which filled free buffers from the top of the stack.
    fn accept(&mut self, message: usize, id: SocketId) {
        let buffer = self.free.pop().expect("a read fills only free buffers");
        self.buffers.take(buffer);
        if let Some(arrival) = self.reader.arrival(message, id, buffer, &self.buffers) {
            self.tally.arrivals += 1;
            self.arrivals.push_back(arrival);
        } else {
            // The rest of the read expects the stack as it is, so the buffer goes to its bottom.
            self.tally.receive_errors += 1;
            assert!(self.buffers.release(buffer), "taken just now");
            self.free.insert(0, buffer);
        }
    }

    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        while let Some(arrival) = self.arrivals.pop_front() {
            // Its socket may have been detached since it was read.
            if self.sockets.get(arrival.socket).is_some() {
                return Some(arrival);
            }
            self.release(arrival.buffer);
        }
        None
    }

    pub(crate) fn release(&mut self, buffer: BufferId) {
        if self.buffers.release(buffer) {
            self.free.push(buffer);
        }
    }

    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    pub(crate) fn buffers_mut(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    pub(crate) fn tally(&self) -> EngineTally {
        self.tally
    }
}

impl Carrier for Plain {
    fn is_attached(&self, socket: SocketId) -> bool {
        self.sockets.get(socket).is_some()
    }

    fn carry(&mut self, outbox: &mut Outbox, refused: &mut Vec<Refused>) {
        let mut next = 0;
        while next < outbox.notes().len() {
            let socket = outbox.notes()[next].socket;
            let same = outbox.notes()[next..].iter().take_while(|note| note.socket == socket);
            let count = same.count();
            let Some(attached) = self.sockets.get(socket) else {
                unreachable!("only messages of attached sockets are carried");
            };
            let fd = attached.socket.as_raw_fd();
            let messages = outbox.messages_mut(next..next + count).as_mut_ptr();
            self.tally.syscalls += 1;
            // SAFETY: `count` headers start there, and what they point to stays as it is until
            // this function returns.
            let sent = unsafe { libc::sendmmsg(fd, messages, count as u32, SEND_FLAGS as _) };
            // An error belongs to the first message; that of a later one is told next time.
            match usize::try_from(sent) {
                Ok(sent) => next += sent,
                Err(_) => {
                    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
                    if errno != libc::EINTR {
                        refused.push(Refused { message: next as u32, errno });
                        next += 1;
                    }
                }
            }
        }
    }
}

fn event_of(id: SocketId) -> u64 {
    (u64::from(id.generation()) << 32) | u64::from(id.slot())
}

fn socket_of(event: u64) -> SocketId {
    SocketId::new(event as u32, (event >> 32) as u32)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()) as _,
    }
}
