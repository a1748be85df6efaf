//! The table of floors: one line per operation, in the order of PERFORMANCE.md section 1.

use std::io;

use crate::fan_out::{fan_out, fan_out_from_one};
use crate::measure::Bench;
use crate::receives::{How, receive};
use crate::sends::{ring, send, send_many};

/// One operation.
#[derive(Clone, Debug)]
pub struct Row {
    /// What is measured.
    pub name: String,
    /// Size of its packets.
    pub packet_bytes: usize,
    work: Work,
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Send {
        run: usize,
    },
    SendMany,
    Ring {
        run: usize,
        zero_copy: bool,
    },
    Receive(How),
    FanOut {
        run: usize,
    },
    FanOutFromOne,
    #[cfg(feature = "peers")]
    Glommio,
    #[cfg(feature = "peers")]
    TokioUring,
}

/// All rows, with `receivers` behind the fan-outs.
pub fn all(receivers: usize) -> Vec<Row> {
    let mut rows = vec![
        row("send, connected", 1200, Work::Send { run: 1 }),
        row("sendmmsg, 64 a call", 1200, Work::SendMany),
        row("io_uring sendmsg, 64 a submit", 1200, Work::Ring { run: 1, zero_copy: false }),
    ];
    for run in [2, 4, 5, 8, 10, 16, 32] {
        rows.push(row(&format!("send + UDP_SEGMENT, {run} segments"), 1200, Work::Send { run }));
    }
    for zero_copy in [false, true] {
        for run in [8, 32] {
            let call = if zero_copy { "sendmsg_zc" } else { "sendmsg" };
            let name = format!("io_uring {call} + UDP_SEGMENT, {run} segments");
            rows.push(row(&name, 1200, Work::Ring { run, zero_copy }));
        }
    }
    #[cfg(feature = "peers")]
    rows.extend([
        row("glommio UdpSocket::send", 1200, Work::Glommio),
        row("tokio-uring UdpSocket::write", 1200, Work::TokioUring),
    ]);
    for (name, how) in [
        ("recv", How::One),
        ("recvmmsg, 64 a call", How::Many),
        ("io_uring multishot recvmsg", How::Ring),
        ("io_uring multishot recvmsg + UDP_GRO", How::RingGro),
    ] {
        rows.push(row(name, 1200, Work::Receive(how)));
    }
    for bytes in [1200, 160] {
        for run in [1, 5, 8, 10] {
            let how = if run == 1 { "no GSO".to_owned() } else { format!("GSO runs of {run}") };
            let name = format!("to {receivers} receivers that drain, {how}");
            rows.push(row(&name, bytes, Work::FanOut { run }));
        }
        let name = format!("to {receivers} receivers that drain, from one socket");
        rows.push(row(&name, bytes, Work::FanOutFromOne));
    }
    rows
}

fn row(name: &str, packet_bytes: usize, work: Work) -> Row {
    Row { name: name.to_owned(), packet_bytes, work }
}

impl Row {
    /// Measures it on the calling thread, which is pinned already; nanoseconds per packet.
    pub fn measure(&self, bench: &Bench) -> io::Result<f64> {
        let bytes = self.packet_bytes;
        match self.work {
            Work::Send { run } => send(bench, bytes, run),
            Work::SendMany => send_many(bench, bytes),
            Work::Ring { run, zero_copy } => ring(bench, bytes, run, zero_copy),
            Work::Receive(how) => receive(bench, bytes, how),
            Work::FanOut { run } => fan_out(bench, bytes, run),
            Work::FanOutFromOne => fan_out_from_one(bench, bytes),
            #[cfg(feature = "peers")]
            Work::Glommio => crate::peers::glommio(bench, bytes),
            #[cfg(feature = "peers")]
            Work::TokioUring => crate::peers::tokio_uring(bench, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn rows_have_names_of_their_own() {
        let rows = all(200);
        let mut names: Vec<_> = rows.iter().map(|row| (&row.name, row.packet_bytes)).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rows.len());
    }

    /// Every row that this machine can run gives a figure; how large is not a test's business.
    #[test]
    fn rows_run() {
        let time = Duration::from_millis(1);
        let bench = Bench { core: 0, other_core: 0, receivers: 4, time };
        for row in all(bench.receivers) {
            match row.measure(&bench) {
                Ok(ns) => assert!(ns > 0.0, "{}", row.name),
                // Containers often forbid io_uring, and some loopbacks have no GSO.
                Err(error) => eprintln!("{}: {error}", row.name),
            }
        }
    }
}
