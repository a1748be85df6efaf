//! An io_uring with multishot receives into a ring of buffers, and sends that leave no completion.
//!
//! The shortest way from the kernel to the bytes that this kernel offers: used by the generator's
//! receivers and by the floor. It is written apart from `dataplane/uring` on purpose: what measures
//! must not share code with what is measured.
//!
//! Unsafe because io_uring works on memory that the kernel writes: submission entries name raw
//! buffers, and the buffer ring is shared with the kernel.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fixed};
use io_uring::{IoUring, cqueue, opcode, squeue};

const GROUP: u16 = 0;
const SEND_TAG: u64 = u64::MAX;
const GETEVENTS: u32 = 1;

/// Sizes of a ring.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Sockets that are read: the first of the list.
    pub receivers: usize,
    /// Receive buffers, a power of two, at most 32768.
    pub buffers: u16,
    /// Bytes of each buffer; buffers lie one after the other.
    pub buffer_bytes: usize,
    /// What a receive leaves in its buffer.
    pub read: Read,
    /// Submission entries, a power of two: more makes larger submits, and costs memory.
    pub submissions: u32,
}

/// What a receive leaves in its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The packet: multishot `recv`.
    Packet,
    /// A head, room for the sender's address and 32 bytes of control data, then the packet:
    /// multishot `recvmsg`.
    Message,
}

const NAME_BYTES: usize = size_of::<libc::sockaddr_in>();
const CONTROL_BYTES: usize = 32;
/// What precedes the packet in a [`Read::Message`]; `io_uring_recvmsg_out` is 16 bytes.
pub const MESSAGE_HEAD_BYTES: usize = 16 + NAME_BYTES + CONTROL_BYTES;

/// A received packet: it stays in its buffer until that is given back.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Position of the socket.
    pub socket: usize,
    /// Buffer that holds it.
    pub buffer: u16,
    /// Its length.
    pub bytes: usize,
}

/// One io_uring, used by the thread that made it.
pub struct MultishotRing {
    ring: IoUring,
    buffers: BufferRing,
    ended: Vec<usize>,
    /// Present when whole messages are read: the sizes of their parts.
    message: Option<Box<libc::msghdr>>,
    /// Sends that the kernel refused.
    pub failed_sends: u64,
}

impl MultishotRing {
    /// A ring over `sockets`, of which the first `shape.receivers` are read from now on.
    pub fn new(sockets: &[RawFd], shape: Shape) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_cqsize(u32::from(shape.buffers).max(shape.submissions * 2).next_power_of_two())
            .build(shape.submissions)?;
        let buffers = BufferRing::new(shape.buffers, shape.buffer_bytes)?;
        // SAFETY: `buffers` owns the page-aligned memory and lives as long as the ring.
        unsafe {
            let (address, entries) = (buffers.address(), shape.buffers);
            ring.submitter().register_buf_ring_with_flags(address, entries, GROUP, 0)?;
        };
        ring.submitter().register_files(sockets)?;
        let ended = (0..shape.receivers).collect();
        let message = (shape.read == Read::Message).then(|| {
            let mut message = crate::kernel::empty_message();
            message.msg_namelen = NAME_BYTES as u32;
            message.msg_controllen = CONTROL_BYTES;
            Box::new(message)
        });
        let mut this = Self { ring, buffers, ended, message, failed_sends: 0 };
        this.rearm()?;
        this.ring.submit()?;
        Ok(this)
    }

    fn rearm(&mut self) -> io::Result<()> {
        while let Some(socket) = self.ended.pop() {
            let file = Fixed(socket as u32);
            let entry = match &self.message {
                None => opcode::RecvMulti::new(file, GROUP).build(),
                Some(message) => opcode::RecvMsgMulti::new(file, &**message, GROUP).build(),
            };
            self.push(&entry.user_data(socket as u64))?;
        }
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: what the entry points at stays put until the next submit returned; for
            // receives that is the buffer ring, for sends the callers of `push_send*` promise it.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }

    /// Submits what was pushed and waits for at least one completion.
    pub fn wait(&mut self) -> io::Result<()> {
        self.rearm()?;
        self.buffers.publish();
        match self.ring.submit_and_wait(1) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// Submits what was pushed and collects what has arrived, without waiting; without even a
    /// system call when there is nothing to do.
    pub fn poll(&mut self) -> io::Result<()> {
        self.rearm()?;
        self.buffers.publish();
        let queue = self.ring.submission();
        let (pushed, work) = (queue.len() as u32, queue.taskrun() || queue.cq_overflow());
        drop(queue);
        if pushed == 0 && !work {
            return Ok(());
        }
        // SAFETY: no argument is passed, so there is nothing that could be invalid.
        let done = unsafe { self.ring.submitter().enter::<()>(pushed, 0, GETEVENTS, None) };
        match done {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    /// The next packet that `wait` or `poll` brought.
    pub fn next_received(&mut self) -> io::Result<Option<Received>> {
        while let Some(entry) = { self.ring.completion().next() } {
            if entry.user_data() == SEND_TAG {
                // A zero-copy send's second completion carries flags in its result.
                let failed = entry.result() < 0 && !cqueue::notif(entry.flags());
                self.failed_sends += u64::from(failed);
                continue;
            }
            let socket = entry.user_data() as usize;
            if !cqueue::more(entry.flags()) {
                self.ended.push(socket);
            }
            let buffer = cqueue::buffer_select(entry.flags());
            match (usize::try_from(entry.result()), buffer) {
                (Ok(bytes), Some(buffer)) => return Ok(Some(Received { socket, buffer, bytes })),
                (Ok(_), None) => {}
                (Err(_), _) => check_receive(-entry.result())?,
            }
        }
        Ok(None)
    }

    /// The bytes of a received packet.
    pub fn bytes(&self, packet: Received) -> &[u8] {
        self.buffers.bytes(packet.buffer, packet.bytes)
    }

    /// Returns a buffer to the kernel, at the next `wait` or `poll`.
    pub fn give_back(&mut self, buffer: u16) {
        self.buffers.give_back(buffer);
    }

    /// Queues a send of a received packet to the connected socket at `socket`.
    ///
    /// It is done when the next `wait` or `poll` returns, and only failures leave a completion.
    pub fn push_send(&mut self, socket: usize, packet: Received) -> io::Result<()> {
        let at = self.buffers.pointer(packet.buffer);
        let entry = opcode::Send::new(Fixed(socket as u32), at, packet.bytes as u32)
            .flags(libc::MSG_DONTWAIT)
            .build();
        self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(SEND_TAG))
    }

    /// Queues a send of `run` to the connected socket at `socket`; done as for `push_send`.
    ///
    /// # Safety
    /// `run`, and the memory that it lists, must stay where it is until the next `wait` or `poll`
    /// returned.
    pub unsafe fn push_send_message(
        &mut self,
        socket: usize,
        run: &libc::msghdr,
    ) -> io::Result<()> {
        let entry = opcode::SendMsg::new(Fixed(socket as u32), run)
            .flags(libc::MSG_DONTWAIT as u32)
            .build();
        self.push(&entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(SEND_TAG))
    }

    /// As `push_send_message`, with zero copy: the kernel reads the memory until it says otherwise
    /// in a completion, which `next_received` passes over.
    ///
    /// # Safety
    /// `run`, and the memory that it lists, must stay where it is as long as this ring.
    pub unsafe fn push_send_zero_copy(
        &mut self,
        socket: usize,
        run: &libc::msghdr,
    ) -> io::Result<()> {
        let entry = opcode::SendMsgZc::new(Fixed(socket as u32), run).build();
        self.push(&entry.user_data(SEND_TAG))
    }
}

/// Running out of buffers or of completions only ends a multishot, which is then started anew.
fn check_receive(code: i32) -> io::Result<()> {
    match code {
        libc::ENOBUFS | libc::EAGAIN | libc::EINTR | libc::ECONNREFUSED => Ok(()),
        _ => Err(io::Error::from_raw_os_error(code)),
    }
}

/// The buffers and the ring of descriptors through which they go back to the kernel.
struct BufferRing {
    ring: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    mapped_bytes: usize,
    entries: u16,
    buffer_bytes: usize,
    tail: u16,
    published: u16,
}

impl BufferRing {
    fn new(entries: u16, buffer_bytes: usize) -> io::Result<Self> {
        assert!(
            entries.is_power_of_two(),
            "the kernel masks positions, so it wants a power of two"
        );
        let ring_bytes = (usize::from(entries) * size_of::<BufRingEntry>()).next_multiple_of(4096);
        let mapped_bytes = ring_bytes + usize::from(entries) * buffer_bytes;
        let (protection, flags) = (
            rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
            rustix::mm::MapFlags::PRIVATE | rustix::mm::MapFlags::POPULATE,
        );
        // SAFETY: a new private anonymous mapping overlaps nothing.
        let mapping = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), mapped_bytes, protection, flags)?
        };
        let ring = NonNull::new(mapping.cast()).expect("mmap does not map page 0");
        // SAFETY: the mapping is longer than the ring, which comes first in it.
        let memory = unsafe { ring.cast::<u8>().add(ring_bytes) };
        let mut this =
            Self { ring, memory, mapped_bytes, entries, buffer_bytes, tail: 0, published: 0 };
        (0..entries).for_each(|buffer| this.give_back(buffer));
        this.publish();
        Ok(this)
    }

    fn address(&self) -> u64 {
        self.ring.as_ptr() as u64
    }

    fn pointer(&self, buffer: u16) -> *mut u8 {
        assert!(buffer < self.entries, "the kernel names only buffers that it was given");
        // SAFETY: just checked: the buffer lies inside the mapping.
        unsafe { self.memory.add(usize::from(buffer) * self.buffer_bytes) }.as_ptr()
    }

    fn bytes(&self, buffer: u16, bytes: usize) -> &[u8] {
        let at = self.pointer(buffer);
        // SAFETY: the kernel filled these bytes and leaves the buffer alone until it is given back,
        // which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(at, bytes.min(self.buffer_bytes)) }
    }

    fn give_back(&mut self, buffer: u16) {
        let address = self.pointer(buffer) as u64;
        let slot = usize::from(self.tail & (self.entries - 1));
        // SAFETY: the slot lies inside the ring by the mask.
        let slot = unsafe { self.ring.add(slot) };
        // SAFETY: the kernel reads entries only up to the published tail, and this one is past it.
        let entry = unsafe { &mut *slot.as_ptr() };
        entry.set_addr(address);
        entry.set_len(self.buffer_bytes as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&mut self) {
        if self.tail == self.published {
            return;
        }
        // SAFETY: the base is that of a live, page-aligned ring.
        let tail = unsafe { BufRingEntry::tail(self.ring.as_ptr()) };
        // SAFETY: aligned, inside the mapping, and shared with the kernel as an atomic.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
        self.published = self.tail;
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own. It is dropped after the ring (field order of
        // `MultishotRing`), so the kernel holds no use of it.
        let _ = unsafe { rustix::mm::munmap(self.ring.as_ptr().cast(), self.mapped_bytes) };
    }
}
