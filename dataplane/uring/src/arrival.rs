//! One received packet, and where its bytes lie.

use std::net::SocketAddr;

use crate::batch::{Piece, SocketId};
use crate::control::CONTROL_BYTES;

/// A receive buffer of this shard's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BufferId(pub u32);

/// A datagram that came in. Its buffer starts with a count of one, which the taker must
/// [`release`](crate::Engine::release).
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The socket that it came to.
    pub socket: SocketId,
    /// The buffer that holds it.
    pub buffer: BufferId,
    /// Where the payload starts, in bytes from the start of the pool.
    pub offset: u32,
    /// Payload bytes.
    pub len: u32,
    /// The sender; IPv4 peers of a dual-stack socket appear as IPv4.
    pub from: SocketAddr,
    /// When the kernel received it, in nanoseconds of the realtime clock; 0 if unknown.
    pub kernel_ns: u64,
    /// The datagram was longer than the buffer and its end is lost.
    pub truncated: bool,
    /// Datagrams that the kernel has dropped on this socket since it was bound because its
    /// receive buffer was full; 0 if none (wraps).
    pub queue_drops: u32,
}

impl Arrival {
    /// The whole payload as a piece of a run. `pool` is the pool of the engine that received it.
    #[must_use]
    pub fn piece(&self, pool: u16) -> Piece {
        Piece { pool, offset: self.offset, len: self.len }
    }
}

/// Room for the sender's address, a `sockaddr_in6` rounded up so that what follows is aligned.
pub(crate) const NAME_BYTES: usize = 32;

/// Where payloads start inside a buffer. The kernel's multishot receive writes a header, the
/// sender's address and the control messages in front; the plain engine leaves the same room, so
/// that both take datagrams of the same length.
pub(crate) const PAYLOAD_OFFSET: u32 = (16 + NAME_BYTES + CONTROL_BYTES) as u32;

const _: () = assert!(PAYLOAD_OFFSET.is_multiple_of(8), "payloads are aligned to words");
