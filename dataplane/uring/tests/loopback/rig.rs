//! An engine with a batch, and receivers that are plain sockets of the standard library.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_uring::{
    Arrival, Batch, BoundSocket, Engine, EngineConfig, EngineKind, Failure, Piece, PoolTable, Run,
    SocketId, SocketOptions, Tally, Target, bind, new_bell, probe,
};

/// Long enough for a stopped machine; nothing waits for it unless the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test for each engine that works here.
pub(crate) fn with_both(test: impl Fn(EngineKind)) {
    test(EngineKind::Plain);
    match probe().uring {
        Ok(()) => test(EngineKind::Uring),
        Err(missing) => eprintln!("not tested with io_uring: {missing}"),
    }
}

pub(crate) struct Rig {
    pub(crate) engine: Engine,
    pub(crate) batch: Batch,
    pub(crate) failures: Vec<Failure>,
    pub(crate) tally: Tally,
}

impl Rig {
    pub(crate) fn new(kind: EngineKind, buffers: u32) -> Self {
        Self::with(kind, buffers, |_| {})
    }

    pub(crate) fn with(
        kind: EngineKind,
        buffers: u32,
        adjust: impl FnOnce(&mut EngineConfig),
    ) -> Self {
        let pools = PoolTable::new(1, buffers, 2048).unwrap();
        let mut config = EngineConfig::new(pools, 0, new_bell().unwrap());
        adjust(&mut config);
        Self {
            engine: Engine::new(kind, config).unwrap(),
            batch: Batch::with_capacity(4096, 8192, 1 << 20),
            failures: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Binds and attaches a socket of the engine.
    pub(crate) fn open(&mut self, address: &str, receive: bool) -> (SocketId, BoundSocket) {
        let bound = bind_to(address);
        (self.engine.attach(Arc::clone(&bound.socket), receive).unwrap(), bound)
    }

    /// Adds a run over pieces that are in the batch.
    pub(crate) fn push(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        (first, end): (u32, u32),
        segment: u16,
        tag: u32,
    ) {
        let pieces = &self.batch.pieces()[first as usize..end as usize];
        let bytes: u32 = pieces.iter().map(|piece| piece.len).sum();
        let packets = if segment == 0 { 1 } else { bytes.div_ceil(segment.into()) as u16 };
        let to = Target::from(to);
        let run = Run { socket, to, first, end, segment, packets, bytes, tag };
        assert!(self.batch.push_run(run));
    }

    /// Adds a run over these bytes.
    pub(crate) fn push_bytes(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        bytes: &[u8],
        segment: u16,
        tag: u32,
    ) {
        let piece = self.batch.push_scratch(bytes).unwrap();
        let first = self.push_pieces(&[piece]);
        self.push(socket, to, first, segment, tag);
    }

    pub(crate) fn push_pieces(&mut self, pieces: &[Piece]) -> (u32, u32) {
        let first = self.batch.pieces().len() as u32;
        for piece in pieces {
            self.batch.push_piece(*piece).unwrap();
        }
        (first, self.batch.pieces().len() as u32)
    }

    pub(crate) fn send(&mut self) {
        let Self { engine, batch, failures, tally } = self;
        engine.send(batch, failures, tally);
        assert!(batch.is_empty() && batch.scratch().is_empty());
    }

    /// Waits for the next packet.
    pub(crate) fn arrival(&mut self) -> Arrival {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(arrival) = self.engine.next_arrival() {
                return arrival;
            }
            assert!(Instant::now() < deadline, "nothing arrived");
            self.engine.wait(Some(PATIENCE)).unwrap();
        }
    }

    /// Waits for a packet, copies its payload and lets go of it.
    pub(crate) fn payload(&mut self) -> Vec<u8> {
        let arrival = self.arrival();
        let bytes = self.engine.bytes(&arrival).to_vec();
        self.engine.release(arrival.buffer);
        bytes
    }
}

pub(crate) fn bind_to(address: &str) -> BoundSocket {
    bind(address.parse().unwrap(), &SocketOptions::default()).unwrap()
}

/// A peer: an ordinary socket, with room for everything that a test sends.
pub(crate) fn peer(address: &str) -> (UdpSocket, SocketAddr) {
    let bound = bind_to(address);
    bound.socket.set_nonblocking(false).unwrap();
    let socket = Arc::try_unwrap(bound.socket).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    (socket, bound.local)
}

/// The next datagram of a peer.
pub(crate) fn receive(peer: &UdpSocket) -> Vec<u8> {
    let mut bytes = vec![0; 65_536];
    let len = peer.recv(&mut bytes).expect("a datagram");
    bytes.truncate(len);
    bytes
}

/// Bytes that differ from packet to packet and within a packet.
pub(crate) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|place| (seed * 31 + place * 7 + place / 251) as u8).collect()
}
