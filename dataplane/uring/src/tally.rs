//! What the engines count and what they could not send.

/// Packets of one run that the kernel refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The run's tag.
    pub tag: u32,
    /// Packets of that run that were not sent.
    pub packets: u16,
    /// Payload bytes of those packets.
    pub bytes: u32,
    /// The kernel's reason, a positive `errno`; `EBADF` if the socket is detached.
    pub errno: i32,
}

/// What [`Engine::send`](crate::Engine::send) did; it adds to what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs taken from batches.
    pub runs: u64,
    /// Messages handed to the kernel, each one trip through its network stack.
    pub messages: u64,
    /// Packets that the kernel accepted.
    pub packets: u64,
    /// Payload bytes of those packets.
    pub bytes: u64,
    /// Packets that the kernel refused.
    pub failed_packets: u64,
    /// Segmented sends that the kernel refused and that were sent again packet by packet.
    pub gso_fallbacks: u64,
    /// Runs sent packet by packet because their route refused segments a while ago.
    pub single_runs: u64,
}

/// What an engine counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineTally {
    /// System calls of waiting, sending and receiving.
    pub syscalls: u64,
    /// Times that `wait` entered the kernel to sleep.
    pub wakeups: u64,
    /// Datagrams received.
    pub arrivals: u64,
    /// Times that receiving stopped because every buffer was held.
    pub receive_stalls: u64,
    /// Receives that failed in another way.
    pub receive_errors: u64,
}
