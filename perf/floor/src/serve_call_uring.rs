//! The least server of a call on io_uring: multishot receive, open, seal, one GSO send per
//! subscriber and frame, all of a turn in one submit.
//!
//! Unsafe because the sends' message headers are read by the kernel at the next submit.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

use ringway_loadgen::kernel;
use ringway_loadgen::ring::{MultishotRing, Read, Shape};

use crate::call_fan::{CallFan, MAX_RUN_BYTES, MAX_RUN_PACKETS, Plain, belong_together};

const BUFFERS: u16 = 1024;
const BUFFER_BYTES: usize = 2048;
/// Sends per submit. Larger spares system calls, and lets sealed packets leave the cache.
const SUBMISSIONS: u32 = 64;
/// Packets of a turn; more wait for the next.
const MAX_TURN: usize = 64;

/// Serves for good; returns only an error.
pub fn serve(mut fan: CallFan) -> io::Result<()> {
    let outlets = fan.outlets.iter().map(|outlet| outlet.socket.as_raw_fd());
    let fds: Vec<_> = std::iter::once(fan.input.as_raw_fd()).chain(outlets).collect();
    let shape = Shape {
        receivers: 1,
        buffers: BUFFERS,
        buffer_bytes: BUFFER_BYTES,
        read: Read::Packet,
        submissions: SUBMISSIONS,
    };
    let mut ring = MultishotRing::new(&fds, shape)?;
    let mut slots = vec![[0_u8; BUFFER_BYTES]; MAX_TURN];
    let mut plains: Vec<(Plain, usize)> = Vec::new();
    let mut runs = Runs::new(SUBMISSIONS as usize);
    loop {
        ring.wait()?;
        plains.clear();
        let mut slot = 0;
        while let Some(received) = ring.next_received()? {
            let bytes = ring.bytes(received);
            let packet = &mut slots[slot][..bytes.len()];
            packet.copy_from_slice(bytes);
            ring.give_back(received.buffer);
            if let Some(plain) = fan.open_packet(packet) {
                plains.push((plain, slot));
                slot += 1;
                if slot == MAX_TURN {
                    break;
                }
            }
        }
        for run in plains.chunk_by(|one, next| belong_together(&one.0, &next.0)) {
            for run in run.chunks(MAX_RUN_PACKETS) {
                push_run(&fan, &slots, run, &mut runs, &mut ring)?;
            }
        }
        // What is left goes with this turn: everything is sent when it returns.
        ring.poll()?;
        runs.taken = 0;
    }
}

fn push_run(
    fan: &CallFan,
    slots: &[[u8; BUFFER_BYTES]],
    run: &[(Plain, usize)],
    runs: &mut Runs,
    ring: &mut MultishotRing,
) -> io::Result<()> {
    for (place, outlet) in fan.outlets.iter().enumerate() {
        if outlet.number == run[0].0.publisher {
            continue;
        }
        if runs.taken == runs.all.len() {
            ring.poll()?;
            runs.taken = 0;
        }
        let next = &mut *runs.all[runs.taken];
        runs.taken += 1;
        let packets = run.iter().map(|(plain, slot)| (plain, &slots[*slot][..]));
        let (used, segment) = outlet.seal(packets, &mut next.bytes);
        let message = next.fill(used, segment);
        // SAFETY: `runs` keeps the message and what it points at until `taken` is reset, after the
        // `poll` that submitted it; a send that may not wait is over by then.
        unsafe { ring.push_send_message(1 + place, message)? };
    }
    Ok(())
}

/// Sealed runs of the current submit.
// Boxed, because the kernel holds their addresses.
#[allow(clippy::vec_box)]
struct Runs {
    all: Vec<Box<Run>>,
    taken: usize,
}

#[repr(C, align(8))]
struct Control([u8; 24]);

struct Run {
    bytes: Box<[u8]>,
    vector: libc::iovec,
    control: Control,
    message: libc::msghdr,
}

impl Runs {
    fn new(count: usize) -> Self {
        let new = |_| {
            let vector = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            let bytes = vec![0; MAX_RUN_BYTES].into_boxed_slice();
            let message = kernel::empty_message();
            Box::new(Run { bytes, vector, control: Control([0; 24]), message })
        };
        Self { all: (0..count).map(new).collect(), taken: 0 }
    }
}

impl Run {
    /// The message of the first `used` bytes, cut into `segment`s.
    fn fill(&mut self, used: usize, segment: usize) -> &libc::msghdr {
        self.vector = libc::iovec { iov_base: self.bytes.as_mut_ptr().cast(), iov_len: used };
        self.message.msg_iov = &raw mut self.vector;
        self.message.msg_iovlen = 1;
        // A cmsghdr: a length of eight octets, level and type of four each, then the data.
        self.control.0[..8].copy_from_slice(&18_u64.to_ne_bytes());
        self.control.0[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
        self.control.0[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
        self.control.0[16..18].copy_from_slice(&(segment as u16).to_ne_bytes());
        let segmented = used > segment;
        self.message.msg_control =
            if segmented { (&raw mut self.control).cast() } else { std::ptr::null_mut() };
        self.message.msg_controllen = if segmented { 24 } else { 0 };
        &self.message
    }
}
