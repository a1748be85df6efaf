//! Floors of receiving: another core fills the socket, then the billed one empties it.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use ringway_loadgen::kernel::{self, Batch};
use ringway_loadgen::ring::{MESSAGE_HEAD_BYTES, MultishotRing, Read, Shape};

use crate::measure::{Bench, per_packet_ns};

const BURST_PACKETS: usize = 256;
const RUN: usize = 8;
const RECEIVE_BUFFER_BYTES: usize = 8 << 20;

/// How the socket is emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// `recv`, one packet a call.
    One,
    /// `recvmmsg`, 64 a call.
    Many,
    /// io_uring multishot `recvmsg` into a buffer ring.
    Ring,
    /// The same with UDP_GRO, which joins what was sent as a run.
    RingGro,
}

/// Nanoseconds per packet of `bytes`.
pub fn receive(bench: &Bench, bytes: usize, how: How) -> io::Result<f64> {
    let socket = kernel::bound(SocketAddr::from(([127, 0, 0, 1], 0)), RECEIVE_BUFFER_BYTES)?;
    if how == How::RingGro {
        kernel::accept_gro(&socket)?;
    }
    let refill = Refill::start(bench.other_core, socket.local_addr()?, bytes)?;
    let mut reader = Reader::new(&socket, bytes, how)?;
    refill.fill()?;
    let burst = || {
        let mut left = BURST_PACKETS;
        while left > 0 {
            left = left.saturating_sub(reader.read(&socket, bytes)?);
        }
        Ok(BURST_PACKETS as u64)
    };
    per_packet_ns(bench.time, burst, |_| refill.fill())
}

enum Reader {
    One(Vec<u8>),
    Many(Batch),
    Ring(Box<MultishotRing>),
}

impl Reader {
    fn new(socket: &UdpSocket, bytes: usize, how: How) -> io::Result<Self> {
        let room = if how == How::RingGro { RUN * bytes } else { bytes };
        let shape = Shape {
            receivers: 1,
            buffers: 512,
            buffer_bytes: (MESSAGE_HEAD_BYTES + room).next_multiple_of(64),
            read: Read::Message,
            submissions: 64,
        };
        Ok(match how {
            How::One => Self::One(vec![0; bytes]),
            How::Many => Self::Many(Batch::new(64, bytes)),
            How::Ring | How::RingGro => {
                Self::Ring(Box::new(MultishotRing::new(&[socket.as_raw_fd()], shape)?))
            }
        })
    }

    fn read(&mut self, socket: &UdpSocket, bytes: usize) -> io::Result<usize> {
        match self {
            Self::One(packet) => socket.recv(packet).map(|_| 1),
            Self::Many(batch) => batch.receive(socket.as_raw_fd(), 0, false),
            Self::Ring(ring) => {
                ring.poll()?;
                let mut packets = 0;
                while let Some(message) = ring.next_received()? {
                    packets += message.bytes.saturating_sub(MESSAGE_HEAD_BYTES) / bytes;
                    ring.give_back(message.buffer);
                }
                Ok(packets)
            }
        }
    }
}

/// A thread that sends a burst whenever it is asked, and says when it is done.
struct Refill {
    ask: Option<Sender<()>>,
    done: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Refill {
    fn start(core: usize, to: SocketAddr, bytes: usize) -> io::Result<Self> {
        let socket = kernel::connected(to, bytes)?;
        let (ask, asked) = channel::<()>();
        let (tell, done) = channel();
        let thread = std::thread::spawn(move || {
            let pinned = kernel::pin(core);
            let run = vec![0x5a; bytes * RUN];
            while asked.recv().is_ok() {
                let send = |_| socket.send(&run).map(drop);
                let sent = (0..BURST_PACKETS / RUN).try_for_each(send);
                let pinned = pinned.as_ref().map_err(|error| io::Error::from(error.kind()));
                if tell.send(sent.and(pinned.copied())).is_err() {
                    return;
                }
            }
        });
        Ok(Self { ask: Some(ask), done, thread: Some(thread) })
    }

    fn fill(&self) -> io::Result<()> {
        if let Some(ask) = &self.ask {
            ask.send(()).map_err(io::Error::other)?;
        }
        self.done.recv().map_err(io::Error::other)?
    }
}

impl Drop for Refill {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
