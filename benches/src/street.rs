//! A shard with one forward, fed without a kernel: what is measured is everything between the
//! engine's arrival and the engine's send.

use std::net::SocketAddr;

use ringway_abi::message::{
    Command, DestinationSpec, ForwardSpec, InputPolicy, Rewrite, RtcpInput, SourcePolicy,
};
use ringway_shard::clock::Now;
use ringway_shard::egress::{Batch, SocketId};
use ringway_shard::handoff;
use ringway_shard::shard::{Datagram, Shard, ShardConfig, TURN_PACKETS};
use ringway_shard::sockets::{OpenError, Opened, Sockets};

/// Sockets that are only numbers.
struct Numbers(u32);

impl Sockets for Numbers {
    type Handle = u32;

    fn open(&mut self, address: SocketAddr) -> Result<Opened<u32>, OpenError> {
        let id = self.adopt(&0)?;
        Ok(Opened { id, handle: id.slot(), address })
    }

    fn adopt(&mut self, _: &u32) -> Result<SocketId, OpenError> {
        self.0 += 1;
        Ok(SocketId::new(self.0 - 1, 1))
    }

    fn listen(&mut self, _: SocketAddr) -> Result<SocketAddr, OpenError> {
        Err(OpenError::NotAvailable)
    }

    fn close(&mut self, _: SocketId) {}
}

/// A shard with one forward.
pub struct Street {
    shard: Shard<u32>,
    batch: Batch,
    packets: Vec<Vec<u8>>,
    sequence: u16,
    now: Now,
}

impl Street {
    /// A forward to `destinations` destinations, fed with frames of `packets` packets of `bytes`
    /// bytes.
    pub fn new(destinations: u16, rewrite: Rewrite, packets: u16, bytes: usize) -> Self {
        let config = ShardConfig {
            index: 0,
            shards: 1,
            forwards: 16,
            destinations: 16_384,
            ports: (30_000, 39_999),
            seed: 1,
        };
        let mut shard = Shard::new(config, handoff::mesh(1, 4096).remove(0));
        let mut sockets = Numbers(0);
        let spec = ForwardSpec {
            key: 1,
            address: [0, 0, 0, 0].into(),
            rtp_port: 5004,
            rtcp: RtcpInput::NextPort,
            policy: InputPolicy { source: SourcePolicy::Latch { silence_ms: 1000 }, ssrc: None },
        };
        shard.apply(Command::CreateForward { request: 1, spec }, &mut sockets);
        for n in 0..destinations {
            let rtp = SocketAddr::from(([203, 0, 113, 1], 6000 + 2 * n));
            let rtcp = SocketAddr::from(([203, 0, 113, 1], 6001 + 2 * n));
            let spec = DestinationSpec { key: u64::from(n) + 1, shard: 0, rtp, rtcp, rewrite };
            shard.apply(Command::AddDestination { request: 1, forward: 1, spec }, &mut sockets);
        }
        Self {
            shard,
            batch: Batch::with_capacity(256, TURN_PACKETS * 8, 65_536),
            packets: crate::stream::frame(packets, bytes),
            sequence: 0,
            now: Now { mono_ns: 1 << 40, unix_ns: 1 << 60 },
        }
    }

    /// Takes a frame in and gives out all runs; how many there were.
    pub fn turn(&mut self) -> usize {
        self.now.mono_ns += 1_000_000;
        self.now.unix_ns += 1_000_000;
        for (buffer, packet) in (0_u32..).zip(&mut self.packets) {
            packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
            self.sequence = self.sequence.wrapping_add(1);
            let datagram = Datagram {
                socket: SocketId::new(0, 1),
                from: SocketAddr::from(([198, 51, 100, 1], 4000)),
                buffer,
                offset: buffer * 2048,
                kernel_ns: self.now.unix_ns,
                truncated: false,
                queue_drops: 0,
                bytes: packet,
            };
            self.shard.handle_datagram(self.now, &datagram);
        }
        let mut runs = 0;
        loop {
            let more = self.shard.poll_transmit(self.now, &mut self.batch);
            runs += self.batch.runs().len();
            self.batch.clear();
            self.shard.take_deliveries(|_, _| {});
            if !more {
                break;
            }
        }
        self.shard.end_turn();
        runs
    }
}
