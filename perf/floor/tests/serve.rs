//! The generator against the least server: every packet arrives, once and in order.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ringway_loadgen::ports::{Ends, Targets};
use ringway_loadgen::receive::ReceiveEngine;
use ringway_loadgen::run::{Mark, Plan, run};
use ringway_loadgen::scenario::Scenario;

const VIDEO: &str = "name: t\nsummary: t\nmedia: video\ninputs: 2\nreceivers_per_input: 4\n\
    packet_bytes: 1200\npackets_per_frame: [10, 7]\nframes_per_second: 30\n\
    payload_type: 96\nclock_rate_hz: 90000\n";
const AUDIO: &str = "name: t\nsummary: t\nmedia: audio\ninputs: 20\nreceivers_per_input: 1\n\
    packet_bytes: 160\npackets_per_frame: [1]\nframes_per_second: 50\n\
    payload_type: 8\nclock_rate_hz: 8000\n";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(text: &str, server_engine: &str, engine: ReceiveEngine, port: u16) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.yaml");
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringway-floor"))
        .args(["scenario", file.to_str().unwrap(), "--engine", server_engine])
        .args(["--input-port", &port.to_string(), "--receiver-port", &(port + 50).to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let server = Server(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

    let scenario = Scenario::parse("t", text).unwrap();
    let targets = Targets::at(&scenario, Ends::LOOPBACK, port, port + 50);
    let plan = Plan {
        scenario,
        targets,
        warmup: Duration::from_millis(200),
        window: Duration::from_secs(1),
        engine,
    };
    let mut marks = Vec::new();
    let report = run(&plan, &AtomicBool::new(false), |mark| marks.push(mark)).unwrap();
    drop(server);
    let expect = plan.scenario.delivered_pps();
    assert_eq!(marks, [Mark::Opened, Mark::Closed]);
    assert_eq!(report.lost, 0, "{server_engine} {engine:?}: {report:?}");
    assert_eq!((report.duplicates, report.reordered, report.foreign), (0, 0, 0));
    assert_eq!(report.received, report.expected);
    assert!((report.received as f64 - expect).abs() < expect * 0.1, "{report:?}");
    assert!(report.p50_us > 0.0 && report.p50_us <= report.p999_us);
}

#[test]
fn nothing_is_lost() {
    check(VIDEO, "plain", ReceiveEngine::Plain, 7100);
    check(VIDEO, "uring", ReceiveEngine::Auto, 7100);
    check(AUDIO, "plain", ReceiveEngine::Auto, 7100);
    check(AUDIO, "uring", ReceiveEngine::Plain, 7100);
}
