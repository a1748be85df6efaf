//! The few system calls that safe crates lack, and sockets made with them.
//!
//! Unsafe because `recvmmsg`, `sendmmsg` and the UDP socket options are only in `libc`.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Protocol, Socket, Type};

/// CLOCK_MONOTONIC in nanoseconds: the one clock of a measurement.
pub fn monotonic_ns() -> u64 {
    to_ns(clock_gettime(ClockId::Monotonic))
}

/// CLOCK_REALTIME in nanoseconds: what the kernel stamps datagrams with.
pub fn realtime_ns() -> u64 {
    to_ns(clock_gettime(ClockId::Realtime))
}

/// CPU time of the calling thread in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    to_ns(clock_gettime(ClockId::ThreadCPUTime))
}

fn to_ns(time: rustix::fs::Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Pins the calling thread to one core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The cores that this thread may run on.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// How long a port that is in use is waited for.
const PORT_WAIT: Duration = Duration::from_secs(3);

/// A non-blocking UDP socket bound to `address`.
pub fn bound(address: SocketAddr, receive_buffer_bytes: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    let bytes = libc::c_int::try_from(receive_buffer_bytes).unwrap_or(libc::c_int::MAX);
    // Beyond net.core.rmem_max for those who may; others get what they are allowed.
    if set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes).is_err() {
        socket.set_recv_buffer_size(receive_buffer_bytes)?;
    }
    socket.set_nonblocking(true)?;
    // The kernel closes the sockets of an ended io_uring a little after their process is gone.
    let began = std::time::Instant::now();
    while let Err(error) = socket.bind(&address.into()) {
        if error.kind() != io::ErrorKind::AddrInUse || began.elapsed() > PORT_WAIT {
            let text = format!("cannot bind {address}: {error}; is it in use?");
            return Err(io::Error::new(error.kind(), text));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(socket.into())
}

/// A non-blocking UDP socket connected to `address`; `segment_bytes` above 0 makes every longer
/// send a GSO run of such segments.
pub fn connected(address: SocketAddr, segment_bytes: usize) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    if segment_bytes > 0 {
        let bytes = libc::c_int::try_from(segment_bytes).unwrap_or(libc::c_int::MAX);
        set_option(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, bytes)?;
    }
    Ok(socket)
}

/// Switches UDP_GRO on: only for the floor's own row, never for a receiver of a comparison.
pub fn accept_gro(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)
}

fn set_option(fd: RawFd, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `value`, which outlives the call.
    let done = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Buffers for many packets, one after the other, and what `recvmmsg` and `sendmmsg` need to know
/// of them. Slots are contiguous, so packets of full size form a run without being moved.
pub struct Batch {
    memory: Box<[u8]>,
    slot_bytes: usize,
    _vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Batch {
    /// `slots` packets of at most `slot_bytes`.
    pub fn new(slots: usize, slot_bytes: usize) -> Self {
        let mut memory = vec![0u8; slots * slot_bytes].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> = memory
            .chunks_exact_mut(slot_bytes)
            .map(|slot| libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: slot_bytes })
            .collect();
        let headers = vectors.iter_mut().map(message).collect();
        Self { memory, slot_bytes, _vectors: vectors, headers }
    }

    /// Reads what is there into the slots from `first` on; the number of packets. `wait` blocks
    /// for the first one.
    pub fn receive(&mut self, fd: RawFd, first: usize, wait: bool) -> io::Result<usize> {
        let flags = if wait { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        let headers = &mut self.headers[first..];
        let count = headers.len() as u32;
        let headers = headers.as_mut_ptr();
        // SAFETY: the headers point at vectors and memory that this value owns and never moves.
        let got = unsafe { libc::recvmmsg(fd, headers, count, flags, std::ptr::null_mut()) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    /// Sends the first `count` slots, each in full, on a connected socket; how many went.
    pub fn send(&mut self, fd: RawFd, count: usize) -> io::Result<usize> {
        let headers = self.headers[..count].as_mut_ptr();
        // SAFETY: as for `receive`.
        let sent = unsafe { libc::sendmmsg(fd, headers, count as u32, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// The packet that `receive` put into `slot`.
    pub fn packet(&self, slot: usize) -> &[u8] {
        let start = slot * self.slot_bytes;
        &self.memory[start..start + (self.headers[slot].msg_len as usize).min(self.slot_bytes)]
    }

    /// The memory of the slots from `first` to before `end` as one run.
    pub fn run(&self, first: usize, end: usize) -> &[u8] {
        &self.memory[first * self.slot_bytes..end * self.slot_bytes]
    }

    /// Moves the slots from `first` to before `end` to the front.
    pub fn move_to_front(&mut self, first: usize, end: usize) {
        self.memory.copy_within(first * self.slot_bytes..end * self.slot_bytes, 0);
    }

    /// Slots in all.
    pub fn slots(&self) -> usize {
        self.headers.len()
    }
}

fn message(vector: &mut libc::iovec) -> libc::mmsghdr {
    libc::mmsghdr {
        msg_hdr: libc::msghdr { msg_iov: vector, msg_iovlen: 1, ..empty_message() },
        msg_len: 0,
    }
}

/// A `msghdr` that points nowhere.
pub fn empty_message() -> libc::msghdr {
    // SAFETY: `msghdr` is plain data whose pointers may be null.
    unsafe { std::mem::zeroed() }
}

/// An epoll set of sockets, told apart by their position.
pub struct Poller {
    epoll: std::os::fd::OwnedFd,
    events: Vec<rustix::event::epoll::Event>,
}

impl Poller {
    /// Watches all `sockets` for reading.
    pub fn new(sockets: &[UdpSocket]) -> io::Result<Self> {
        use rustix::event::epoll;
        let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, socket) in sockets.iter().enumerate() {
            epoll::add(
                &set,
                socket,
                epoll::EventData::new_u64(index as u64),
                epoll::EventFlags::IN,
            )?;
        }
        Ok(Self { epoll: set, events: Vec::with_capacity(256) })
    }

    /// Watches one more socket, which is told as `position`.
    pub fn add(&mut self, socket: &UdpSocket, position: usize) -> io::Result<()> {
        use rustix::event::epoll;
        let data = epoll::EventData::new_u64(position as u64);
        Ok(epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN)?)
    }

    /// The positions of sockets with something to read; `wait` blocks until there is one.
    pub fn ready(&mut self, wait: bool) -> io::Result<impl Iterator<Item = usize> + '_> {
        self.ready_within((!wait).then_some(Duration::ZERO))
    }

    /// The same, and waits at most `limit`; `None` for as long as it takes.
    pub fn ready_within(
        &mut self,
        limit: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = usize> + '_> {
        use rustix::event::{Timespec, epoll};
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs() as i64,
            tv_nsec: i64::from(limit.subsec_nanos()),
        });
        self.events.clear();
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, spare, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64() as usize))
    }
}
