//! What completions mean: packets waiting to be taken, and receives to be armed again.

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;

use io_uring::types::RecvMsgOut;

use super::Completion;
use super::buffer_ring::BufferRing;
use super::token::Token;
use crate::address;
use crate::arrival::{Arrival, BufferId, PAYLOAD_OFFSET};
use crate::batch::SocketId;
use crate::buffers::Buffers;
use crate::control;
use crate::outbox::{OUTBOX_MESSAGES, Refused};
use crate::slots::Slots;
use crate::tally::EngineTally;

/// Whether a socket's multishot receive is with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// The socket only sends.
    Never,
    /// To be armed by the next entry into the kernel.
    Unarmed,
    /// With the kernel.
    Armed,
    /// Ended for want of buffers; armed again when one is free.
    Stalled,
    /// Not with the kernel until somebody looks.
    Resting,
    /// The kernel refuses it for good.
    Refused,
}

struct Attached {
    /// Keeps the socket open as long as its slot may be sent from.
    socket: Arc<UdpSocket>,
    receiving: Receiving,
    /// A receive takes what is there and ends.
    rests: bool,
}

/// A filled buffer whose header nobody has read yet.
struct Staged {
    socket: SocketId,
    buffer: BufferId,
    bytes: u32,
}

pub(super) struct Inbox {
    pub(super) buffers: Buffers,
    buffer_ring: BufferRing,
    sockets: Slots<Attached>,
    /// Never grows: each entry holds a buffer of its own.
    staged: VecDeque<Staged>,
    unarmed: Vec<SocketId>,
    stalled: Vec<SocketId>,
    resting: Vec<SocketId>,
    armed: u32,
    /// The last receive of a detached socket that ended.
    ended: Option<SocketId>,
    /// Messages of the outbox that the kernel refused.
    pub(super) refused: Vec<Refused>,
    /// The bell rang since the last wait.
    pub(super) rung: bool,
    silence: bool,
    pub(super) bell_armed: bool,
    /// The engine goes away: nothing is armed again.
    pub(super) closing: bool,
    pub(super) receive_refusal: Option<i32>,
    pub(super) tally: EngineTally,
}

impl Inbox {
    /// A socket of the table.
    pub(super) fn socket(&self, id: SocketId) -> Option<&Arc<UdpSocket>> {
        self.sockets.get(id).map(|attached| &attached.socket)
    }

    pub(super) fn new(buffers: Buffers, buffer_ring: BufferRing, sockets: u32) -> Self {
        let staged = VecDeque::with_capacity(buffers.free() as usize);
        Self {
            buffers,
            buffer_ring,
            sockets: Slots::new(sockets),
            staged,
            unarmed: Vec::with_capacity(sockets as usize),
            stalled: Vec::with_capacity(sockets as usize),
            resting: Vec::new(),
            armed: 0,
            ended: None,
            refused: Vec::with_capacity(OUTBOX_MESSAGES),
            rung: false,
            silence: false,
            bell_armed: false,
            closing: false,
            receive_refusal: None,
            tally: EngineTally::default(),
        }
    }

    /// Adds a socket that never receives, is to be armed, or rests.
    pub(super) fn add(
        &mut self,
        socket: Arc<UdpSocket>,
        receiving: Receiving,
    ) -> io::Result<SocketId> {
        let attached = Attached { socket, receiving, rests: receiving == Receiving::Resting };
        let id = self.sockets.insert(attached).map_err(|_| io::ErrorKind::QuotaExceeded)?;
        match receiving {
            Receiving::Unarmed => self.unarmed.push(id),
            Receiving::Resting => self.resting.push(id),
            _ => {}
        }
        Ok(id)
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Receiving> {
        let receiving = self.sockets.remove(id)?.receiving;
        // Its entries in the lists would find nothing, but a socket that comes and goes without
        // any wait in between would make the lists grow.
        match receiving {
            Receiving::Unarmed => self.unarmed.retain(|other| *other != id),
            Receiving::Stalled => self.stalled.retain(|other| *other != id),
            Receiving::Resting => self.resting.retain(|other| *other != id),
            _ => {}
        }
        Some(receiving)
    }

    pub(super) fn is_attached(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_some()
    }

    /// Receives that are with the kernel.
    pub(super) fn armed(&self) -> u32 {
        self.armed
    }

    /// Whether a detached socket's receive has ended; says so once.
    pub(super) fn take_ended(&mut self, id: SocketId) -> bool {
        self.ended.take_if(|ended| *ended == id).is_some()
    }

    /// Whether the bell must be silenced; says so once.
    pub(super) fn take_silence(&mut self) -> bool {
        std::mem::take(&mut self.silence)
    }

    /// Whether a wait must not sleep.
    pub(super) fn is_pending(&self) -> bool {
        self.rung || !self.staged.is_empty()
    }

    /// The next socket to arm, and whether it rests; it counts as armed.
    pub(super) fn next_unarmed(&mut self) -> Option<(SocketId, bool)> {
        let id = self.unarmed.pop()?;
        let attached = self.sockets.get_mut(id).expect("removed sockets leave the list");
        attached.receiving = Receiving::Armed;
        self.armed += 1;
        Some((id, attached.rests))
    }

    /// Packets that wait to be taken.
    pub(super) fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Arms what rests. Says whether there is any.
    pub(super) fn wake_resting(&mut self) -> bool {
        let any = !self.resting.is_empty();
        while let Some(id) = self.resting.pop() {
            self.unarm(id);
        }
        any
    }

    /// Arms stalled sockets again if there is a buffer to be filled.
    pub(super) fn wake_stalled(&mut self) {
        if self.buffers.free() == 0 {
            return;
        }
        while let Some(id) = self.stalled.pop() {
            self.unarm(id);
        }
    }

    /// Lets a socket that was in a list be armed by the next entry into the kernel.
    fn unarm(&mut self, id: SocketId) {
        let attached = self.sockets.get_mut(id).expect("removed sockets leave the list");
        attached.receiving = Receiving::Unarmed;
        self.unarmed.push(id);
    }

    pub(super) fn accept(&mut self, completion: Completion) {
        match completion.token {
            Some(Token::Receive(id)) => self.accept_receive(id, completion),
            Some(Token::Send(message)) => {
                self.refused.push(Refused { message, errno: -completion.result });
            }
            Some(Token::Bell) => {
                (self.rung, self.silence) = (true, true);
                self.bell_armed = completion.more;
            }
            // A cancellation that found nothing is tried again by who wanted it.
            Some(Token::Cancel) | None => {}
        }
    }

    fn accept_receive(&mut self, socket: SocketId, completion: Completion) {
        let attached = self.is_attached(socket);
        if let Some(buffer) = completion.buffer {
            let buffer = BufferId(u32::from(buffer));
            self.buffers.take(buffer);
            match u32::try_from(completion.result) {
                Ok(bytes) if attached => self.staged.push_back(Staged { socket, buffer, bytes }),
                _ => self.release(buffer),
            }
        }
        if !completion.more {
            self.receive_ended(socket, completion.result);
        }
    }

    /// A multishot receive ends without buffers, after an empty datagram, when the completion
    /// queue is full, when it is cancelled, and when an error is pending on the socket.
    fn receive_ended(&mut self, id: SocketId, result: i32) {
        self.armed -= 1;
        let Some(attached) = self.sockets.get_mut(id) else {
            self.ended = Some(id);
            return;
        };
        match -result {
            libc::ENOBUFS => {
                attached.receiving = Receiving::Stalled;
                self.stalled.push(id);
                self.tally.receive_stalls += 1;
            }
            errno if is_final(errno) => {
                attached.receiving = Receiving::Refused;
                self.receive_refusal = Some(errno);
                self.tally.receive_errors += 1;
            }
            errno if attached.rests => {
                attached.receiving = Receiving::Resting;
                self.resting.push(id);
                self.tally.receive_errors += u64::from(errno > 0 && errno != libc::EAGAIN);
            }
            errno => {
                attached.receiving = Receiving::Unarmed;
                self.unarmed.push(id);
                self.tally.receive_errors += u64::from(errno > 0);
            }
        }
    }

    pub(super) fn next_arrival(&mut self, header: &libc::msghdr) -> Option<Arrival> {
        while let Some(staged) = self.staged.pop_front() {
            // Its socket may have been detached since it was staged.
            if self.is_attached(staged.socket) {
                if let Some(arrival) = self.read(&staged, header) {
                    self.tally.arrivals += 1;
                    return Some(arrival);
                }
                self.tally.receive_errors += 1;
            }
            self.release(staged.buffer);
        }
        None
    }

    fn read(&self, staged: &Staged, header: &libc::msghdr) -> Option<Arrival> {
        let filled = self.buffers.whole(staged.buffer).get(..staged.bytes as usize)?;
        let message = RecvMsgOut::parse(filled, header).ok()?;
        let ancillary = control::read(message.control_data());
        Some(Arrival {
            socket: staged.socket,
            buffer: staged.buffer,
            offset: self.buffers.offset(staged.buffer) + PAYLOAD_OFFSET,
            len: message.payload_data().len() as u32,
            from: address::source(message.name_data())?,
            kernel_ns: ancillary.kernel_ns,
            truncated: message.is_payload_truncated(),
            queue_drops: ancillary.queue_drops,
        })
    }

    pub(super) fn release(&mut self, buffer: BufferId) {
        if self.buffers.release(buffer) {
            let (address, bytes) = (self.buffers.address(buffer), self.buffers.buffer_bytes());
            self.buffer_ring.give(buffer, address, bytes);
        }
    }
}

/// Errors that arming again would only repeat: the request itself is wrong for this kernel or
/// socket.
fn is_final(errno: i32) -> bool {
    let errors = [libc::EINVAL, libc::EBADF, libc::ENOTSOCK, libc::EOPNOTSUPP, libc::EFAULT];
    errors.contains(&errno)
}
