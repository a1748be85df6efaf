//! The receivers' sockets, drained with one real read per packet: never UDP_GRO, so that a server
//! gets no help from a receiver that no subscriber on a network would be.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use clap::ValueEnum;

use crate::kernel::{self, Batch, Poller};
use crate::ring::{MultishotRing, Read, Shape};

/// Per socket. Larger survives longer pauses of the generator, smaller costs less memory.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;
/// Shared by all sockets; running out only means that a multishot is started anew.
const BUFFERS: u16 = 8192;
const BUFFER_BYTES: usize = 2048;
const BATCH: usize = 64;

/// How packets are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReceiveEngine {
    /// io_uring where the kernel allows it, else plain.
    Auto,
    /// io_uring multishot receive.
    Uring,
    /// epoll and recvmmsg.
    Plain,
}

/// All receivers of a run.
pub struct Receivers {
    sockets: Vec<UdpSocket>,
    way: Way,
}

enum Way {
    Uring(Box<MultishotRing>),
    Plain(Poller, Batch),
}

impl Receivers {
    /// Binds one socket per address.
    pub fn bind(addresses: &[SocketAddr], engine: ReceiveEngine) -> io::Result<Self> {
        let bind = |address: &SocketAddr| kernel::bound(*address, RECEIVE_BUFFER_BYTES);
        let sockets = addresses.iter().map(bind).collect::<io::Result<Vec<_>>>()?;
        let way = match engine {
            ReceiveEngine::Plain => Self::plain(&sockets)?,
            ReceiveEngine::Uring => Self::uring(&sockets)?,
            ReceiveEngine::Auto => Self::uring(&sockets).or_else(|_| Self::plain(&sockets))?,
        };
        Ok(Self { sockets, way })
    }

    fn uring(sockets: &[UdpSocket]) -> io::Result<Way> {
        let shape = Shape {
            receivers: sockets.len(),
            buffers: BUFFERS,
            buffer_bytes: BUFFER_BYTES,
            read: Read::Packet,
            submissions: 256,
        };
        let fds: Vec<_> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
        Ok(Way::Uring(Box::new(MultishotRing::new(&fds, shape)?)))
    }

    fn plain(sockets: &[UdpSocket]) -> io::Result<Way> {
        Ok(Way::Plain(Poller::new(sockets)?, Batch::new(BATCH, BUFFER_BYTES)))
    }

    /// The addresses that were bound, with the ports that the kernel chose for port 0.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// What fetches the packets, for the report.
    pub fn engine(&self) -> &'static str {
        match self.way {
            Way::Uring(_) => "uring",
            Way::Plain(..) => "plain",
        }
    }

    /// Hands every waiting packet to `on` with its receiver's position and the time at which the
    /// batch was fetched; the number of packets.
    pub fn drain(&mut self, mut on: impl FnMut(usize, &[u8], u64)) -> io::Result<usize> {
        let mut packets = 0;
        match &mut self.way {
            Way::Uring(ring) => {
                ring.poll()?;
                let mut now_ns = 0;
                while let Some(packet) = ring.next_received()? {
                    if packets == 0 {
                        now_ns = kernel::monotonic_ns();
                    }
                    on(packet.socket, ring.bytes(packet), now_ns);
                    ring.give_back(packet.buffer);
                    packets += 1;
                }
            }
            Way::Plain(poller, batch) => {
                for index in poller.ready(false)? {
                    let Ok(count) = batch.receive(self.sockets[index].as_raw_fd(), 0, false) else {
                        continue;
                    };
                    let now_ns = kernel::monotonic_ns();
                    (0..count).for_each(|slot| on(index, batch.packet(slot), now_ns));
                    packets += count;
                }
            }
        }
        Ok(packets)
    }
}
