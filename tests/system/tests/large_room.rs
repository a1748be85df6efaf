//! A room larger than a core: participants of one room on two shards.

use std::fs;
use std::process::Command;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::ports::free_udp_pair;
use ringway_system::program::binary;
use ringway_system::token::{KEY, SECRET};
use serde_json::Value;

/// Sound and a small picture of two publishers.
const SCENARIO: &str = "\
kind: call
name: large-room
summary: two publishers, many listeners
publishers: 2
publishers_subscribe: true
audio: { packets_per_second: 10, payload_bytes: 60, talk_ms: 4000, pause_ms: 100 }
video:
  frames_per_second: 15
  payload_bytes: 1000
  frame_sizes: [1.0]
  layers:
    - { rid: q, width: 320, height: 180, kbps: 60 }
    - { rid: h, width: 640, height: 360, kbps: 150 }
    - { rid: f, width: 1280, height: 720, kbps: 300 }
";

/// Lets two publishers and `listeners` share a room on two shards; the report of the load.
fn call(listeners: u32, join_limit_s: u32) -> Option<Value> {
    if std::thread::available_parallelism().map_or(1, std::num::NonZero::get) < 2 {
        eprintln!("skipped: two shards need two cores");
        return None;
    }
    let rtc = format!("{{udp_port: {}, tcp_port: 0, node_ip: [\"127.0.0.1\"]}}", free_udp_pair());
    let options = Options::default()
        .dataplane("cores", "[0, 1]")
        .dataplane("log", "info")
        .controlplane("log", "info")
        .controlplane("rtc", &rtc)
        .controlplane("room", "{participants_per_shard: 1}");
    let appliance = Appliance::start(options);
    let scenario = appliance.folder().join("large-room.yaml");
    fs::write(&scenario, format!("{SCENARIO}subscribers: {listeners}\n")).expect("written");
    let load = Command::new(binary("ringway-load"))
        .arg(&scenario)
        .args(["--url", &appliance.url().replace("http", "ws")])
        .args(["--api-key", KEY, "--api-secret", SECRET, "--seconds", "3"])
        .args(["--join-per-second", "50", "--join-limit", &join_limit_s.to_string()])
        .output()
        .expect("the load runs");
    let text = String::from_utf8_lossy(&load.stderr);
    assert!(load.status.success(), "{text}");
    let report: Value = serde_json::from_slice(&load.stdout).expect("a report");
    eprintln!("{report}");
    let metrics = appliance.client().get("/metrics");
    let metrics = Metrics::parse(&metrics.body);
    let third = report["delivered"].as_f64().expect("a number") / 3.0;
    for shard in ["0", "1"] {
        let sent = metrics.sum("ringway_packets_sent_total", &[("shard", shard)]);
        assert!(sent > third, "shard {shard} sends {sent}");
    }
    assert!(metrics.sum("ringway_packets_handed_over_total", &[]) > 0.0);
    Some(report)
}

fn judge(report: &Value, participants: u64) {
    let number = |name: &str| report[name].as_f64().expect("a number");
    assert_eq!(report["participants"], participants);
    assert_eq!(report["failures"].as_array().map(Vec::len), Some(0));
    assert!(number("received") > 0.0 && number("loss") < 0.001);
    assert!(number("received") >= 0.98 * number("wanted"));
    assert_eq!(number("foreign"), 0.0);
}

#[test]
fn participants_of_one_room_hear_each_other_across_shards() {
    if let Some(report) = call(38, 60) {
        judge(&report, 40);
    }
}

#[test]
#[ignore = "takes minutes without optimisation: cargo test --release -- --ignored"]
fn five_hundred_participants_of_one_room() {
    if let Some(report) = call(498, 120) {
        judge(&report, 500);
    }
}
