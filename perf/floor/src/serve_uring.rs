//! The least server on io_uring: multishot receive, gather a frame by its marker bit, one GSO send
//! per receiver, all of a turn in one submit. No RTP logic, no statistics, no control.
//!
//! Unsafe because the sends' message headers are read by the kernel at the next submit.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::AsRawFd;

use ringway_loadgen::kernel;
use ringway_loadgen::packet;
use ringway_loadgen::ring::{MultishotRing, Read, Received, Shape};
use ringway_loadgen::scenario::MAX_RUN_PACKETS;

use crate::layout::Layout;

/// Receive buffers: enough for what arrives while a frame goes out.
const BUFFERS: u16 = 4096;
/// Sends per submit: a few frames to a hundred receivers.
const SUBMISSIONS: u32 = 4096;

/// Serves for good; returns only an error.
pub fn serve(layout: &Layout) -> io::Result<()> {
    let sockets = layout.inputs.iter().chain(&layout.outputs);
    let fds: Vec<_> = sockets.map(AsRawFd::as_raw_fd).collect();
    let shape = Shape {
        receivers: layout.inputs.len(),
        buffers: BUFFERS,
        buffer_bytes: layout.packet_bytes,
        read: Read::Packet,
        submissions: SUBMISSIONS,
    };
    let ring = MultishotRing::new(&fds, shape)?;
    if layout.single { relay(layout, ring) } else { fan_out(layout, ring) }
}

fn relay(layout: &Layout, mut ring: MultishotRing) -> io::Result<()> {
    let mut used = Vec::new();
    loop {
        ring.wait()?;
        // `wait` submitted the last turn's sends, and a send that may not wait is over by then.
        used.drain(..).for_each(|buffer| ring.give_back(buffer));
        while let Some(packet) = ring.next_received()? {
            for output in layout.outputs_of(packet.socket) {
                ring.push_send(layout.inputs.len() + output, packet)?;
            }
            used.push(packet.buffer);
        }
    }
}

fn fan_out(layout: &Layout, mut ring: MultishotRing) -> io::Result<()> {
    let mut frames: Vec<Vec<Received>> = vec![Vec::with_capacity(64); layout.inputs.len()];
    let mut runs = Runs::default();
    let mut used = Vec::new();
    loop {
        ring.wait()?;
        used.drain(..).for_each(|buffer| ring.give_back(buffer));
        runs.taken = 0;
        while let Some(received) = ring.next_received()? {
            let frame = &mut frames[received.socket];
            frame.push(received);
            let last = packet::is_marked(ring.bytes(received));
            if !last && frame.len() < MAX_RUN_PACKETS {
                continue;
            }
            let message = runs.gather(&ring, frame);
            for output in layout.outputs_of(received.socket) {
                // SAFETY: `runs` keeps message and vectors where they are until `taken` is reset,
                // after the next `wait`; the buffers are given back there, too.
                unsafe { ring.push_send_message(layout.inputs.len() + output, message)? };
            }
            used.extend(frame.drain(..).map(|packet| packet.buffer));
        }
    }
}

/// Message headers of the current turn.
#[derive(Default)]
// Boxed, because the kernel holds their addresses while the list grows.
#[allow(clippy::vec_box)]
struct Runs {
    all: Vec<Box<Run>>,
    taken: usize,
}

struct Run {
    vectors: [libc::iovec; MAX_RUN_PACKETS],
    message: libc::msghdr,
}

impl Runs {
    /// One message over all packets of a frame; neighbours in memory share a vector.
    fn gather(&mut self, ring: &MultishotRing, frame: &[Received]) -> &libc::msghdr {
        if self.taken == self.all.len() {
            let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
            let (vectors, message) = ([none; MAX_RUN_PACKETS], kernel::empty_message());
            self.all.push(Box::new(Run { vectors, message }));
        }
        let run = &mut *self.all[self.taken];
        self.taken += 1;
        let mut count = 0_usize;
        for &received in frame {
            let bytes = ring.bytes(received);
            let at = bytes.as_ptr().cast_mut();
            match count.checked_sub(1).map(|last| &mut run.vectors[last]) {
                Some(last) if last.iov_base.cast::<u8>().wrapping_add(last.iov_len) == at => {
                    last.iov_len += bytes.len();
                }
                _ => {
                    let vector = libc::iovec { iov_base: at.cast(), iov_len: bytes.len() };
                    run.vectors[count] = vector;
                    count += 1;
                }
            }
        }
        run.message.msg_iov = run.vectors.as_mut_ptr();
        run.message.msg_iovlen = count;
        &run.message
    }
}
