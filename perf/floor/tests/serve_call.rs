//! The generator's call against the least server: every packet arrives, once, in order, and opens.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ringway_loadgen::call::run::{CallPlan, CallTarget, run};
use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::run::Mark;

const MEETING: &str = "kind: call\nname: t\nsummary: t\npublishers: 3\n\
    publishers_subscribe: true\nsubscribers: 2\nvideo:\n  frames_per_second: 30\n  \
    payload_bytes: 1130\n  frame_sizes: [0.9, 1.3, 1.0]\n  layers:\n    \
    - {rid: q, width: 320, height: 180, kbps: 120}\n    \
    - {rid: f, width: 1280, height: 720, kbps: 1500}\naudio:\n  packets_per_second: 50\n  \
    payload_bytes: 100\n  talk_ms: 400\n  pause_ms: 100\n";

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(engine: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.yaml");
    std::fs::write(&file, MEETING).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringway-floor"))
        .args(["scenario", file.to_str().unwrap(), "--engine", engine])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let server = Server(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");

    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let plan = CallPlan {
        scenario: CallScenario::parse("t", MEETING).unwrap(),
        target: CallTarget::Floor { server: loopback, generator: loopback },
        warmup: Duration::from_millis(100),
        window: Duration::from_secs(1),
        join_per_second: 50.0,
        join_limit: Duration::from_secs(10),
    };
    let mut marks = Vec::new();
    let report = run(&plan, &AtomicBool::new(false), |mark| marks.push(mark)).unwrap();
    drop(server);
    assert_eq!(marks, [Mark::Opened, Mark::Closed]);
    assert_eq!((report.lost, report.duplicates, report.reordered), (0, 0, 0), "{report:?}");
    assert_eq!((report.foreign, report.dropped.len()), (0, 0), "{report:?}");
    assert_eq!(report.srtp_profile, "AEAD_AES_128_GCM");
    assert!(report.expected > 0 && report.received == report.expected, "{report:?}");
    let ratio = report.delivered as f64 / plan.scenario.delivered_pps();
    assert!((0.8..1.2).contains(&ratio), "{report:?}");
    assert!(report.best == 1.0 && report.p50_us > 0.0, "{report:?}");
}

#[test]
fn nothing_is_lost() {
    check("plain");
    check("uring");
}
