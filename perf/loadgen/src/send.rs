//! The inputs' senders: one connected socket each, one GSO run per frame.

use std::io;
use std::net::UdpSocket;

use crate::kernel;
use crate::packet::{self, Header, Stamp};
use crate::ports::Targets;
use crate::scenario::Scenario;
use crate::schedule::Due;

/// All inputs of a run.
pub struct Outlet {
    inputs: Vec<Input>,
    run: Vec<u8>,
    packet_bytes: usize,
    frame_packets: Vec<u32>,
    ticks_per_frame: f64,
    payload_type: u8,
}

struct Input {
    socket: UdpSocket,
    ssrc: u32,
    packets: u64,
}

impl Outlet {
    /// Sockets towards all inputs.
    pub fn connect(scenario: &Scenario, targets: &Targets) -> io::Result<Self> {
        let longest = scenario.longest_frame_packets();
        let segment_bytes = if longest > 1 { scenario.packet_bytes } else { 0 };
        let input = |(index, address)| {
            let ssrc = targets.first_ssrc.wrapping_add(index as u32 * targets.ssrc_step);
            kernel::connected(address, segment_bytes).map(|socket| Input {
                socket,
                ssrc,
                packets: 0,
            })
        };
        Ok(Self {
            inputs: targets
                .inputs
                .iter()
                .copied()
                .enumerate()
                .map(input)
                .collect::<Result<_, _>>()?,
            run: vec![0x5a; longest * scenario.packet_bytes],
            packet_bytes: scenario.packet_bytes,
            frame_packets: scenario.packets_per_frame.clone(),
            ticks_per_frame: f64::from(scenario.clock_rate_hz) / scenario.frames_per_second,
            payload_type: scenario.payload_type,
        })
    }

    /// Sends one frame, stamped with the time at which it was due; its number of packets.
    pub fn send(&mut self, due: Due) -> io::Result<u32> {
        let count = self.frame_packets[due.frame as usize % self.frame_packets.len()];
        let input = &mut self.inputs[due.input];
        let run = &mut self.run[..count as usize * self.packet_bytes];
        for (index, bytes) in run.chunks_exact_mut(self.packet_bytes).enumerate() {
            let counter = input.packets + index as u64;
            let header = Header {
                payload_type: self.payload_type,
                marker: index + 1 == count as usize,
                timestamp: (due.frame as f64 * self.ticks_per_frame) as u64 as u32,
                ssrc: input.ssrc,
            };
            let sequence = counter as u16;
            let stamp = Stamp { sequence, input: due.input as u32, counter, due_ns: due.at_ns };
            packet::write(bytes, header, stamp);
        }
        input.packets += u64::from(count);
        // A refusal is the answer to an earlier packet; this one has not been tried yet.
        match input.socket.send(run) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                input.socket.send(run)
            }
            other => other,
        }?;
        Ok(count)
    }
}
