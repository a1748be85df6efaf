//! Floors of sending to one receiver that drains its socket.
//!
//! Unsafe because io_uring sends read their memory after the call that queues them.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

use ringway_loadgen::kernel::{self, Batch};
use ringway_loadgen::ring::{MultishotRing, Read, Shape};

use crate::measure::{Bench, Drain, per_packet_ns};

/// Packets of a burst: as many as a receiver's socket buffer holds with ease.
const BURST_PACKETS: usize = 256;
/// Messages per submit or `sendmmsg`.
const BATCH: usize = 64;

/// One system call per run; runs of 1 are plain `send`.
pub fn send(bench: &Bench, bytes: usize, run: usize) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, 1)?;
    let socket = kernel::connected(drain.addresses[0], if run > 1 { bytes } else { 0 })?;
    let memory = vec![0x5a; bytes * run];
    let runs = BURST_PACKETS / run;
    let burst = || {
        for _ in 0..runs {
            socket.send(&memory)?;
        }
        Ok((runs * run) as u64)
    };
    per_packet_ns(bench.time, burst, |packets| drain.settle(packets))
}

/// `sendmmsg`, 64 packets a call.
pub fn send_many(bench: &Bench, bytes: usize) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, 1)?;
    let socket = kernel::connected(drain.addresses[0], 0)?;
    let mut batch = Batch::new(BATCH, bytes);
    let burst = || {
        let mut packets = 0;
        for _ in 0..BURST_PACKETS / BATCH {
            packets += batch.send(socket.as_raw_fd(), BATCH)? as u64;
        }
        Ok(packets)
    };
    per_packet_ns(bench.time, burst, |packets| drain.settle(packets))
}

/// io_uring `sendmsg`, up to 64 messages a submit.
pub fn ring(bench: &Bench, bytes: usize, run: usize, zero_copy: bool) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, 1)?;
    let socket = kernel::connected(drain.addresses[0], if run > 1 { bytes } else { 0 })?;
    let mut memory = vec![0x5au8; bytes * run];
    let mut vector = libc::iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: memory.len() };
    let mut message = kernel::empty_message();
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    let mut ring = sending_ring(socket.as_raw_fd())?;
    let runs = BURST_PACKETS / run;
    let burst = || {
        for at in 0..runs {
            if zero_copy {
                // SAFETY: message, vector and memory live as long as the ring.
                unsafe { ring.push_send_zero_copy(0, &message)? };
            } else {
                // SAFETY: as above.
                unsafe { ring.push_send_message(0, &message)? };
            }
            if (at + 1) % BATCH == 0 || at + 1 == runs {
                ring.poll()?;
                while ring.next_received()?.is_some() {}
            }
        }
        match ring.failed_sends {
            0 => Ok((runs * run) as u64),
            failed => Err(io::Error::other(format!("{failed} sends failed"))),
        }
    };
    per_packet_ns(bench.time, burst, |packets| drain.settle(packets))
}

fn sending_ring(fd: std::os::fd::RawFd) -> io::Result<MultishotRing> {
    let shape = Shape {
        receivers: 0,
        buffers: 256,
        buffer_bytes: 64,
        read: Read::Packet,
        submissions: 2 * BATCH as u32,
    };
    MultishotRing::new(&[fd], shape)
}
