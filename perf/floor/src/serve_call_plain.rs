//! The least server of a call on plain system calls: recvmmsg, open, seal, one GSO send per
//! subscriber and frame.

use std::io;
use std::os::fd::AsRawFd;

use ringway_loadgen::call::intake::{Intake, send_segments};
use ringway_loadgen::kernel::Poller;

use crate::call_fan::{CallFan, MAX_RUN_BYTES, MAX_RUN_PACKETS, Plain, belong_together};

/// Serves for good; returns only an error.
pub fn serve(mut fan: CallFan) -> io::Result<()> {
    let mut poller = Poller::new(&[])?;
    poller.add(&fan.input, 0)?;
    let mut intake = Intake::default();
    let mut plains: Vec<(Plain, usize)> = Vec::new();
    let mut out = vec![0; MAX_RUN_BYTES];
    loop {
        drop(poller.ready(true)?);
        let Ok(count) = intake.receive(fan.input.as_raw_fd()) else { continue };
        plains.clear();
        for slot in 0..count {
            let opened = fan.open_packet(intake.datagram_mut(slot));
            plains.extend(opened.map(|plain| (plain, slot)));
        }
        for run in plains.chunk_by(|one, next| belong_together(&one.0, &next.0)) {
            for run in run.chunks(MAX_RUN_PACKETS) {
                send_run(&fan, &intake, run, &mut out);
            }
        }
    }
}

fn send_run(fan: &CallFan, intake: &Intake, run: &[(Plain, usize)], out: &mut [u8]) {
    for outlet in &fan.outlets {
        if outlet.number == run[0].0.publisher {
            continue;
        }
        let packets = run.iter().map(|(plain, slot)| (plain, intake.datagram(*slot)));
        let (used, segment) = outlet.seal(packets, out);
        // A refused or full receiver is its own loss, as on any network.
        let _ = send_segments(&outlet.socket, &out[..used], segment);
    }
}
