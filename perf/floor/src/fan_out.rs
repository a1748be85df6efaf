//! Floors of sending the same run to many receivers that drain their sockets: on loopback their
//! delivery is charged to the sender, and each run meets cold sockets.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

use ringway_loadgen::kernel;

use crate::measure::{Bench, Drain, per_packet_ns};

/// One connected socket per receiver, one send per run; runs of 1 are plain `send`.
pub fn fan_out(bench: &Bench, bytes: usize, run: usize) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, bench.receivers)?;
    let segment_bytes = if run > 1 { bytes } else { 0 };
    let connect = |address| kernel::connected(address, segment_bytes);
    let sockets: Vec<UdpSocket> =
        drain.addresses.iter().copied().map(connect).collect::<io::Result<_>>()?;
    let memory = vec![0x5a; bytes * run];
    let burst = || {
        for socket in &sockets {
            socket.send(&memory)?;
        }
        Ok((sockets.len() * run) as u64)
    };
    per_packet_ns(bench.time, burst, |packets| drain.settle(packets))
}

/// One socket for all receivers, which looks up the way to each anew; one send per packet.
pub fn fan_out_from_one(bench: &Bench, bytes: usize) -> io::Result<f64> {
    let mut drain = Drain::start(bench.other_core, bench.receivers)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addresses = drain.addresses.clone();
    let memory = vec![0x5a; bytes];
    let burst = || {
        for address in &addresses {
            socket.send_to(&memory, address)?;
        }
        Ok(addresses.len() as u64)
    };
    per_packet_ns(bench.time, burst, |packets| drain.settle(packets))
}
