//! The least server on plain system calls: recvmmsg into neighbouring slots, then one GSO send per
//! receiver straight from them. No RTP logic, no statistics, no control.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use ringway_loadgen::kernel::{Batch, Poller};
use ringway_loadgen::packet;
use ringway_loadgen::scenario::MAX_RUN_PACKETS;

use crate::layout::Layout;

/// Serves for good; returns only an error.
pub fn serve(layout: &Layout) -> io::Result<()> {
    if layout.single { relay(layout) } else { fan_out(layout) }
}

fn relay(layout: &Layout) -> io::Result<()> {
    let mut poller = Poller::new(&layout.inputs)?;
    let mut packet = vec![0; layout.packet_bytes];
    loop {
        for input in poller.ready(true)? {
            // One read per event: epoll says again when there is more, and that is rarer than one
            // read in vain per packet.
            let Ok(bytes) = layout.inputs[input].recv(&mut packet) else { continue };
            send_to_all(&layout.outputs[layout.outputs_of(input)], &packet[..bytes]);
        }
    }
}

fn fan_out(layout: &Layout) -> io::Result<()> {
    let new_frame =
        |_| Frame { batch: Batch::new(MAX_RUN_PACKETS, layout.packet_bytes), filled: 0 };
    let mut frames: Vec<Frame> = (0..layout.inputs.len()).map(new_frame).collect();
    if let ([input], [frame]) = (&layout.inputs[..], &mut frames[..]) {
        // A single input needs no epoll: its read can wait itself.
        input.set_nonblocking(false)?;
        loop {
            frame.turn(input, &layout.outputs, true)?;
        }
    }
    let mut poller = Poller::new(&layout.inputs)?;
    loop {
        for input in poller.ready(true)? {
            let outputs = &layout.outputs[layout.outputs_of(input)];
            frames[input].turn(&layout.inputs[input], outputs, false)?;
        }
    }
}

/// An input's packets since the last marker bit.
struct Frame {
    batch: Batch,
    filled: usize,
}

impl Frame {
    fn turn(&mut self, input: &UdpSocket, outputs: &[UdpSocket], wait: bool) -> io::Result<()> {
        let count = match self.batch.receive(input.as_raw_fd(), self.filled, wait) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        };
        let (new, end) = (self.filled, self.filled + count);
        let mut first = 0;
        for slot in new..end {
            if packet::is_marked(self.batch.packet(slot)) || slot + 1 == self.batch.slots() {
                send_to_all(outputs, self.batch.run(first, slot + 1));
                first = slot + 1;
            }
        }
        if first > 0 && first < end {
            self.batch.move_to_front(first, end);
        }
        self.filled = end - first;
        Ok(())
    }
}

/// A refused or full receiver is its own loss, as on any network.
fn send_to_all(outputs: &[UdpSocket], run: &[u8]) {
    for output in outputs {
        let _ = output.send(run);
    }
}
