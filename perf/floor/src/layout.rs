//! The sockets of a scenario's floor: bound inputs, and one connected output per receiver, since a
//! connected socket spares the kernel a route lookup per send.

use std::io;
use std::net::UdpSocket;

use ringway_loadgen::kernel;
use ringway_loadgen::ports::Targets;
use ringway_loadgen::scenario::Scenario;

/// Per input. Larger survives longer pauses, smaller costs less memory.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Everything that the least server needs to know.
pub struct Layout {
    /// Sockets that packets arrive at.
    pub inputs: Vec<UdpSocket>,
    /// Sockets to the receivers; those of input 0 first.
    pub outputs: Vec<UdpSocket>,
    /// Receivers of each input.
    pub fan_out: usize,
    /// Size of every packet.
    pub packet_bytes: usize,
    /// Frames have one packet, so there is nothing to gather.
    pub single: bool,
}

impl Layout {
    /// Binds and connects all.
    pub fn open(scenario: &Scenario, targets: &Targets) -> io::Result<Self> {
        let single = scenario.longest_frame_packets() == 1;
        let segment_bytes = if single { 0 } else { scenario.packet_bytes };
        let bind = |address| kernel::bound(address, RECEIVE_BUFFER_BYTES);
        let connect = |address| kernel::connected(address, segment_bytes);
        Ok(Self {
            inputs: targets.inputs.iter().copied().map(bind).collect::<Result<_, _>>()?,
            outputs: targets.receivers.iter().copied().map(connect).collect::<Result<_, _>>()?,
            fan_out: scenario.receivers_per_input as usize,
            packet_bytes: scenario.packet_bytes,
            single,
        })
    }

    /// The positions of an input's outputs.
    pub fn outputs_of(&self, input: usize) -> std::ops::Range<usize> {
        input * self.fan_out..(input + 1) * self.fan_out
    }
}
