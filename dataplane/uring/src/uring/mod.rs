#![allow(unsafe_code)] // Submits requests that point to memory, which the kernel then uses.
//! The io_uring engine: the ring, and the requests that go into it.
//!
//! One ring per shard, used by its thread alone (`SINGLE_ISSUER`), whose completions appear only
//! when that thread enters the kernel (`DEFER_TASKRUN`). Receiving is one multishot request per
//! socket, which stays armed and fills buffers of a registered ring. Sending is one request per
//! message, completed while it is submitted because of `MSG_DONTWAIT`, and silent if it succeeds.
//! What completes goes to the [`Inbox`].

mod buffer_ring;
mod inbox;
mod setup;
mod token;

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, Fixed, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use crate::arrival::{Arrival, BufferId};
use crate::batch::SocketId;
use crate::bell;
use crate::buffers::Buffers;
use crate::engine::{EngineConfig, EngineError};
use crate::outbox::{Outbox, Refused};
use crate::sender::Carrier;
use crate::tally::EngineTally;
use buffer_ring::{BUFFER_GROUP, BufferRing};
use inbox::{Inbox, Receiving};
use token::Token;

/// Entries into the kernel without any progress before the engine gives up. Only a kernel out of
/// memory gets there.
const FRUITLESS_ENTERS: u32 = 10_000;

/// Entries into the kernel that a detach may take to see its receive end.
const DETACH_ENTERS: u32 = 64;

/// Packets after which the kernel ends a receive that may not wait although there are more.
const RECEIVED_AT_ONCE: usize = 32;

/// Such receives in one look. More lets a flood of what can wait hold up what cannot.
const MOST_LOOKS: u32 = 16;

const SEND_FLAGS: u32 = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32;

/// The engine. The ring comes first, so that it is closed before the memory that it uses.
pub(crate) struct Uring {
    ring: IoUring,
    inbox: Inbox,
    /// What a multishot receive shall write in front of the payload; the kernel reads it when
    /// the request is submitted.
    receive_header: Box<libc::msghdr>,
    bell: Arc<OwnedFd>,
    syscalls: u64,
    wakeups: u64,
}

/// How long an entry into the kernel may take.
#[derive(Clone, Copy)]
enum Stay {
    /// Collects what is there.
    Not,
    For(Duration),
    Forever,
}

impl Uring {
    pub(crate) fn new(config: EngineConfig) -> Result<Self, EngineError> {
        let claim = config.pools.claim(config.pool).ok_or(EngineError::Pool(config.pool))?;
        let buffers = Buffers::new(claim);
        let count = config.pools.buffers();
        let ring = setup::ring(count, &config)?;
        let mut buffer_ring = BufferRing::new(count).map_err(setup::no_memory_for_buffers)?;
        setup::register(&ring, &config, &buffer_ring)?;
        for buffer in 0..count {
            let buffer = BufferId(buffer);
            buffer_ring.give(buffer, buffers.address(buffer), buffers.buffer_bytes());
        }
        Ok(Self {
            ring,
            inbox: Inbox::new(buffers, buffer_ring, config.sockets),
            receive_header: Box::new(setup::receive_header()),
            bell: config.bell,
            syscalls: 0,
            wakeups: 0,
        })
    }

    pub(crate) fn attach(&mut self, socket: Arc<UdpSocket>, receive: bool) -> io::Result<SocketId> {
        self.attach_as(socket, if receive { Receiving::Unarmed } else { Receiving::Never })
    }

    pub(crate) fn attach_resting(&mut self, socket: Arc<UdpSocket>) -> io::Result<SocketId> {
        self.attach_as(socket, Receiving::Resting)
    }

    fn attach_as(&mut self, socket: Arc<UdpSocket>, receiving: Receiving) -> io::Result<SocketId> {
        let fd = socket.as_raw_fd();
        let id = self.inbox.add(socket, receiving)?;
        match self.ring.submitter().register_files_update(id.slot(), &[fd]) {
            Ok(_) => Ok(id),
            Err(error) => {
                self.inbox.remove(id);
                Err(error)
            }
        }
    }

    pub(crate) fn socket(&self, id: SocketId) -> Option<&Arc<UdpSocket>> {
        self.inbox.socket(id)
    }

    /// After this the kernel holds no reference to the socket, so that its port is free as soon
    /// as the last `Arc` is dropped.
    pub(crate) fn detach(&mut self, id: SocketId) {
        let Some(receiving) = self.inbox.remove(id) else { return };
        if receiving == Receiving::Armed {
            self.end_receive(id);
        }
        // Fails only for a slot that the table does not have.
        let _ = self.ring.submitter().register_files_update(id.slot(), &[-1]);
    }

    /// Cancels a receive and waits for its last completion. A request that is about to run
    /// cannot be cancelled and arms itself again, hence more than one attempt.
    fn end_receive(&mut self, id: SocketId) {
        for _ in 0..DETACH_ENTERS {
            let builder = CancelBuilder::user_data(Token::Receive(id).into());
            let cancel = opcode::AsyncCancel2::new(builder)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(Token::Cancel.into());
            // SAFETY: a cancellation refers to no memory.
            let pushed = unsafe { self.ring.submission().push(&cancel) };
            // Without room this entry makes some, and the next attempt cancels.
            let _ = pushed;
            if self.enter(Stay::Not).is_err() || self.inbox.take_ended(id) {
                return;
            }
        }
    }

    pub(crate) fn wait(&mut self, until: Option<Duration>) -> io::Result<()> {
        self.inbox.wake_stalled();
        if !self.inbox.is_pending() {
            let stay = match until {
                None => Stay::Forever,
                Some(Duration::ZERO) => Stay::Not,
                Some(duration) => Stay::For(duration),
            };
            self.wakeups += u64::from(!matches!(stay, Stay::Not));
            self.enter(stay)?;
        }
        self.inbox.rung = false;
        Ok(())
    }

    /// A receive of a resting socket that may not wait takes what is there, or as much as the
    /// kernel gives to one request, and ends.
    pub(crate) fn look_at_resting(&mut self) -> io::Result<()> {
        for _ in 0..MOST_LOOKS {
            let before = self.inbox.staged();
            if !self.inbox.wake_resting() {
                return Ok(());
            }
            self.enter(Stay::Not)?;
            if self.inbox.staged() < before + RECEIVED_AT_ONCE {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Submits what is queued, lets the kernel complete what it can, and takes the completions.
    fn enter(&mut self, stay: Stay) -> io::Result<()> {
        self.queue_receives();
        self.syscalls += 1;
        let submitter = self.ring.submitter();
        let outcome = match stay {
            Stay::Forever => submitter.submit_and_wait(1),
            Stay::For(duration) => {
                let time = Timespec::from(duration);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
            Stay::Not => {
                let queued = self.ring.submission().len() as u32;
                let flags = EnterFlags::GETEVENTS.bits();
                let submitter = self.ring.submitter();
                // SAFETY: nothing is passed but flags; the queued entries are valid, as whoever
                // pushed them made sure.
                unsafe { submitter.enter::<libc::sigset_t>(queued, 0, flags, None) }
            }
        };
        if let Err(error) = outcome {
            // Out of time, interrupted, or the kernel wants its completions taken first: in each
            // case the caller looks at what has come and decides. EBADR: a completion was lost
            // for want of memory, and saying so once does not bring it back.
            let passing = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::EBADR];
            if !error.raw_os_error().is_some_and(|errno| passing.contains(&errno)) {
                return Err(error);
            }
        }
        self.collect();
        Ok(())
    }

    /// Takes every completion there is, those included that did not fit into the queue.
    fn collect(&mut self) {
        loop {
            for completion in self.ring.completion() {
                self.inbox.accept(Completion::from(completion));
            }
            if self.inbox.take_silence() {
                bell::silence(&self.bell);
            }
            if !self.ring.submission().cq_overflow() {
                return;
            }
            let flags = EnterFlags::GETEVENTS.bits();
            self.syscalls += 1;
            let submitter = self.ring.submitter();
            // SAFETY: nothing is submitted and nothing is passed but flags.
            let flushed = unsafe { submitter.enter::<libc::sigset_t>(0, 0, flags, None) };
            if flushed.is_err() {
                return;
            }
        }
    }

    /// Queues the receives that are not armed, and the poll of the bell.
    fn queue_receives(&mut self) {
        if self.inbox.closing {
            return;
        }
        let mut queue = self.ring.submission();
        if !self.inbox.bell_armed {
            let poll = opcode::PollAdd::new(Fd(self.bell.as_raw_fd()), libc::POLLIN as u32)
                .multi(true)
                .build()
                .user_data(Token::Bell.into());
            // SAFETY: the bell is open as long as this engine holds it.
            let pushed = unsafe { queue.push(&poll) };
            self.inbox.bell_armed = pushed.is_ok();
        }
        while !queue.is_full() {
            let Some((id, rests)) = self.inbox.next_unarmed() else { return };
            let header: *const libc::msghdr = &raw const *self.receive_header;
            let receive = opcode::RecvMsgMulti::new(Fixed(id.slot()), header, BUFFER_GROUP)
                .flags(if rests { libc::MSG_DONTWAIT as u32 } else { 0 })
                .build()
                .user_data(Token::Receive(id).into());
            // SAFETY: the header lives in its box as long as the ring, and the buffers that the
            // request fills are those given to the ring.
            let pushed = unsafe { queue.push(&receive) };
            assert!(pushed.is_ok(), "the queue said that it has room");
        }
    }

    pub(crate) fn next_arrival(&mut self) -> Option<Arrival> {
        self.inbox.next_arrival(&self.receive_header)
    }

    pub(crate) fn release(&mut self, buffer: BufferId) {
        self.inbox.release(buffer);
    }

    pub(crate) fn buffers(&self) -> &Buffers {
        &self.inbox.buffers
    }

    pub(crate) fn buffers_mut(&mut self) -> &mut Buffers {
        &mut self.inbox.buffers
    }

    pub(crate) fn tally(&self) -> EngineTally {
        EngineTally { syscalls: self.syscalls, wakeups: self.wakeups, ..self.inbox.tally }
    }

    pub(crate) fn receive_refusal(&self) -> Option<i32> {
        self.inbox.receive_refusal
    }
}

impl Carrier for Uring {
    fn is_attached(&self, socket: SocketId) -> bool {
        self.inbox.is_attached(socket)
    }

    /// Every message is done when the kernel has taken it from the queue: `MSG_DONTWAIT` makes
    /// the request complete in the submission, with success or with an error.
    fn carry(&mut self, outbox: &mut Outbox, refused: &mut Vec<Refused>) {
        let messages = outbox.notes().len();
        let (mut queued, mut fruitless) = (0, 0);
        loop {
            let mut queue = self.ring.submission();
            let before = queued;
            while queued < messages && !queue.is_full() {
                let slot = Fixed(outbox.notes()[queued].socket.slot());
                let send = opcode::SendMsg::new(slot, outbox.header(queued))
                    .flags(SEND_FLAGS)
                    .build()
                    .flags(squeue::Flags::SKIP_SUCCESS)
                    .user_data(Token::Send(queued as u32).into());
                // SAFETY: the header and all that it points to stay as they are until this
                // function returns, and it returns only when the queue is empty.
                let pushed = unsafe { queue.push(&send) };
                assert!(pushed.is_ok(), "the queue said that it has room");
                queued += 1;
            }
            let waiting = queue.len();
            drop(queue);
            if let Err(error) = self.enter(Stay::Not) {
                panic!("io_uring takes no submissions any more: {error}");
            }
            let left = self.ring.submission().len();
            if queued == messages && left == 0 {
                break;
            }
            fruitless = if queued == before && left >= waiting { fruitless + 1 } else { 0 };
            assert!(fruitless < FRUITLESS_ENTERS, "io_uring takes no submissions any more");
        }
        refused.append(&mut self.inbox.refused);
    }
}

impl Drop for Uring {
    /// Ends every receive and lets go of every socket now. The kernel closes a ring in the
    /// background, and until then ports would stay in use.
    fn drop(&mut self) {
        self.inbox.closing = true;
        let _ = self.ring.submitter().register_sync_cancel(None, CancelBuilder::any());
        for _ in 0..=self.inbox.armed() {
            if self.enter(Stay::Not).is_err() || self.inbox.armed() == 0 {
                break;
            }
        }
        let _ = self.ring.submitter().unregister_files();
    }
}

/// A completion queue entry in our terms.
#[derive(Clone, Copy)]
struct Completion {
    token: Option<Token>,
    result: i32,
    /// The buffer that was filled.
    buffer: Option<u16>,
    /// The request goes on.
    more: bool,
}

impl From<cqueue::Entry> for Completion {
    fn from(entry: cqueue::Entry) -> Self {
        let flags = entry.flags();
        Self {
            token: Token::from_user_data(entry.user_data()),
            result: entry.result(),
            buffer: cqueue::buffer_select(flags),
            more: cqueue::more(flags),
        }
    }
}
