#![allow(unsafe_code)] // `recvmmsg` writes through the addresses it is given.
//! Reading several datagrams of one socket with one system call.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use crate::address;
use crate::arrival::{Arrival, BufferId, NAME_BYTES, PAYLOAD_OFFSET};
use crate::batch::SocketId;
use crate::buffers::Buffers;
use crate::control::{self, CONTROL_BYTES};
use crate::outbox::empty_message;

/// Datagrams read by one call. More let one busy socket delay the others.
pub(super) const MESSAGES_PER_READ: usize = 64;

/// The message headers, and where the kernel puts names and control messages.
pub(super) struct Reader {
    messages: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
    sides: Box<[Side]>,
}

/// What comes with a datagram.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Side {
    name: [u8; NAME_BYTES],
    control: [u8; CONTROL_BYTES],
}

impl Reader {
    pub(super) fn new() -> Self {
        let iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let side = Side { name: [0; NAME_BYTES], control: [0; CONTROL_BYTES] };
        Self {
            messages: (0..MESSAGES_PER_READ).map(|_| empty_message()).collect(),
            iovecs: vec![iovec; MESSAGES_PER_READ].into(),
            sides: vec![side; MESSAGES_PER_READ].into(),
        }
    }

    /// Reads at most `want` datagrams, each into a free buffer from the end of the list on, and
    /// says how many.
    pub(super) fn read(
        &mut self,
        socket: &UdpSocket,
        want: usize,
        free: &[BufferId],
        buffers: &Buffers,
    ) -> io::Result<usize> {
        let want = want.min(free.len()).min(MESSAGES_PER_READ);
        for (place, buffer) in free.iter().rev().take(want).enumerate() {
            let base = buffers.address(*buffer).wrapping_add(PAYLOAD_OFFSET as usize);
            let iov_len = (buffers.buffer_bytes() - PAYLOAD_OFFSET) as usize;
            self.iovecs[place] = libc::iovec { iov_base: base.cast(), iov_len };
            let side = &mut self.sides[place];
            let header = &mut self.messages[place].msg_hdr;
            header.msg_name = side.name.as_mut_ptr().cast();
            header.msg_namelen = NAME_BYTES as _;
            header.msg_iov = &raw mut self.iovecs[place];
            header.msg_iovlen = 1;
            header.msg_control = side.control.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        let (fd, messages) = (socket.as_raw_fd(), self.messages.as_mut_ptr());
        let (count, flags) = (want as u32, libc::MSG_DONTWAIT as _);
        // SAFETY: `count` headers were filled above. They point to boxes of this reader and to
        // buffers that nobody holds, each large enough.
        let count = unsafe { libc::recvmmsg(fd, messages, count, flags, std::ptr::null_mut()) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Describes a datagram of the last read; `None` if its sender has no address.
    pub(super) fn arrival(
        &self,
        message: usize,
        socket: SocketId,
        buffer: BufferId,
        buffers: &Buffers,
    ) -> Option<Arrival> {
        let libc::mmsghdr { msg_hdr: header, msg_len: len } = &self.messages[message];
        let side = &self.sides[message];
        let name = side.name.get(..header.msg_namelen as usize)?;
        let ancillary = control::read(side.control.get(..header.msg_controllen)?);
        Some(Arrival {
            socket,
            buffer,
            offset: buffers.offset(buffer) + PAYLOAD_OFFSET,
            len: *len,
            from: address::source(name)?,
            kernel_ns: ancillary.kernel_ns,
            truncated: header.msg_flags & libc::MSG_TRUNC != 0,
            queue_drops: ancillary.queue_drops,
        })
    }
}
