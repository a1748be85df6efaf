//! Floors of the UDP sockets that io_uring runtimes offer, sending to one receiver that drains.
//!
//! Only with the feature `peers`: they are here to show why the packet path does not use them.

use std::io;

use ringway_loadgen::kernel::thread_cpu_ns;

use crate::measure::{Bench, Drain};

const BURST_PACKETS: u64 = 256;
const ANY: &str = "127.0.0.1:0";

/// glommio's `UdpSocket::send`.
pub fn glommio(bench: &Bench, bytes: usize) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, 1)?;
    let executor = glommio::LocalExecutorBuilder::new(glommio::Placement::Unbound)
        .make()
        .map_err(|error| io::Error::other(error.to_string()))?;
    let packet = vec![0x5a; bytes];
    executor.run(async {
        let socket = glommio::net::UdpSocket::bind(ANY)?;
        socket.connect(drain.addresses[0]).await?;
        let mut total = Total::start(bench);
        while total.goes_on() {
            let before_ns = thread_cpu_ns();
            for _ in 0..BURST_PACKETS {
                socket.send(&packet).await?;
            }
            total.add(before_ns);
            drain.settle(BURST_PACKETS)?;
        }
        Ok(total.per_packet_ns())
    })
}

/// tokio-uring's `UdpSocket::write`.
pub fn tokio_uring(bench: &Bench, bytes: usize) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, 1)?;
    tokio_uring::start(async {
        let any = ANY.parse().map_err(io::Error::other)?;
        let socket = tokio_uring::net::UdpSocket::bind(any).await?;
        socket.connect(drain.addresses[0]).await?;
        let mut total = Total::start(bench);
        let mut packet = vec![0x5a; bytes];
        while total.goes_on() {
            let before_ns = thread_cpu_ns();
            for _ in 0..BURST_PACKETS {
                let (sent, buffer) = socket.write(packet).submit().await;
                sent?;
                packet = buffer;
            }
            total.add(before_ns);
            drain.settle(BURST_PACKETS)?;
        }
        Ok(total.per_packet_ns())
    })
}

/// `measure::per_packet_ns` for code that awaits.
struct Total {
    until: std::time::Instant,
    cpu_ns: u64,
    packets: u64,
}

impl Total {
    fn start(bench: &Bench) -> Self {
        Self { until: std::time::Instant::now() + bench.time, cpu_ns: 0, packets: 0 }
    }

    fn goes_on(&self) -> bool {
        self.packets == 0 || std::time::Instant::now() < self.until
    }

    fn add(&mut self, before_ns: u64) {
        self.cpu_ns += thread_cpu_ns() - before_ns;
        self.packets += BURST_PACKETS;
    }

    fn per_packet_ns(&self) -> f64 {
        self.cpu_ns as f64 / self.packets.max(1) as f64
    }
}
