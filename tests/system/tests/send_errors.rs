//! Packets that the kernel refuses to send: counted by reason and by destination, and the other
//! destinations get everything.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::namespace::{inside, must, tc};
use ringway_system::packet::{SSRC, numbered};
use ringway_system::patience::until;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

fn to(address: impl Into<SocketAddr>) -> Value {
    let address = address.into();
    json!({ "address": address.ip(), "port": address.port() })
}

fn far(address: &str) -> Value {
    json!({ "address": address, "port": 6000, "rtcp": "mux" })
}

fn create(appliance: &Appliance, destinations: &[Value]) -> Value {
    let body = json!({ "destinations": destinations });
    appliance.client().post("/v1/forwards", &body).expect(201)
}

fn input(forward: &Value) -> SocketAddr {
    ([127, 0, 0, 1], forward["input"]["port"].as_u64().expect("a port") as u16).into()
}

/// Packets and drops of each destination, once they are `sent` together.
fn outcome(appliance: &Appliance, forward: &Value, sent: u64) -> Vec<(u64, u64)> {
    let path = format!("/v1/forwards/{}", forward["id"].as_str().expect("an id"));
    let what = format!("every destination to account for {sent} packets");
    until(PATIENCE, &what, || {
        let forward = appliance.client().get(&path).expect(200);
        let counts: Vec<(u64, u64)> = forward["destinations"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|destination| {
                let count = |name: &str| destination["stats"][name].as_u64().expect("a number");
                (count("packets"), count("dropped"))
            })
            .collect();
        counts.iter().all(|(packets, dropped)| packets + dropped == sent).then_some(counts)
    })
}

/// Waits until the metrics say that just these packets were dropped.
fn expect_drops(appliance: &Appliance, expect: &[(&str, u64)]) {
    let expect = expect.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    let mut drops = std::collections::BTreeMap::new();
    let start = std::time::Instant::now();
    until(PATIENCE + PATIENCE, "the metrics", || {
        drops = Metrics::parse(&appliance.client().get("/metrics").body).drops();
        assert!(drops == expect || start.elapsed() < PATIENCE, "{drops:?}, not {expect:?}");
        (drops == expect).then_some(())
    });
}

fn check_routes(engine: &str) {
    must(&["route", "add", "unreachable", "192.0.2.0/26"]);
    must(&["route", "add", "prohibit", "192.0.2.64/26"]);
    must(&["route", "add", "blackhole", "192.0.2.128/26"]);
    let appliance = Appliance::start(Options::default().dataplane("engine", engine));
    let sinks = [Sink::start("127.0.0.1"), Sink::start("127.0.0.1")];
    let forward = create(
        &appliance,
        &[
            to(sinks[0].address()),
            far("192.0.2.1"),
            far("192.0.2.65"),
            far("192.0.2.129"),
            // No route at all.
            far("198.51.100.1"),
            to(sinks[1].address()),
        ],
    );
    let source = Source::start(input(&forward), Pace { burst: 10, ..Pace::default() });
    source.flow(300);
    let sent = source.stop();
    sinks.iter().for_each(|sink| sink.expect_exactly(0..sent));
    let (good, bad) = ((sent, 0), (0, sent));
    assert_eq!(outcome(&appliance, &forward, sent), [good, bad, bad, bad, bad, good]);
    expect_drops(&appliance, &[("unreachable", 2 * sent), ("send_error", 2 * sent)]);
    let metrics = Metrics::parse(&appliance.client().get("/metrics").body);
    let packets = metrics.sum("ringway_packets_sent_total", &[])
        - metrics.sum("ringway_rtcp_sent_total", &[]);
    assert_eq!(packets, 2.0 * sent as f64, "dropped packets count as sent");
}

#[test]
fn routes_that_refuse_on_io_uring() {
    inside(|| check_routes("uring"));
}

#[test]
fn routes_that_refuse_on_plain_system_calls() {
    inside(|| check_routes("plain"));
}

/// A far destination behind an interface; nobody is there, but its packets leave.
fn add_interface(mtu: &str) {
    must(&["link", "add", "near", "type", "veth", "peer", "name", "beyond"]);
    must(&["link", "set", "near", "mtu", mtu, "up"]);
    must(&["link", "set", "beyond", "mtu", mtu, "up"]);
    must(&["address", "add", "10.77.0.1/24", "dev", "near"]);
    let (address, link) = ("10.77.0.2", "02:00:00:00:00:02");
    must(&["neighbor", "add", address, "lladdr", link, "nud", "permanent", "dev", "near"]);
}

fn check_mtu(engine: &str) {
    const ROUNDS: u64 = 100;
    add_interface("1300");
    let appliance = Appliance::start(Options::default().dataplane("engine", engine));
    let sink = Sink::start("127.0.0.1");
    let mut rewritten = far("10.77.0.2");
    rewritten["ssrc"] = json!(9);
    let forward = create(&appliance, &[to(sink.address()), far("10.77.0.2"), rewritten]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    // Two that are too long, and between them, and behind them in the same run, some that are not.
    let lengths = [1400, 1400, 600, 600, 1400, 200];
    for round in 0..ROUNDS {
        for (index, length) in (0..).zip(lengths) {
            let number = round * lengths.len() as u64 + index;
            let packet = numbered(number, SSRC, length);
            socket.send_to(&packet, input(&forward)).expect("sent");
        }
        sink.wait_past(round * lengths.len() as u64);
    }
    let sent = ROUNDS * lengths.len() as u64;
    sink.expect_exactly(0..sent);
    let partly = (3 * ROUNDS, 3 * ROUNDS);
    assert_eq!(outcome(&appliance, &forward, sent), [(sent, 0), partly, partly]);
    expect_drops(&appliance, &[("send_error", 6 * ROUNDS)]);
}

#[test]
fn packets_larger_than_the_mtu_on_io_uring() {
    inside(|| check_mtu("uring"));
}

#[test]
fn packets_larger_than_the_mtu_on_plain_system_calls() {
    inside(|| check_mtu("plain"));
}

fn check_full_buffer(engine: &str) {
    add_interface("1500");
    let slow = ["rate", "1mbit", "burst", "16kb", "limit", "10mb"];
    let queue = [&["qdisc", "add", "dev", "near", "root", "tbf"][..], &slow].concat();
    if let Err(reason) = tc(&queue) {
        eprintln!("skipped, because this kernel has no slow queue (sch_tbf): {reason}");
        return;
    }
    // The least that the configuration admits.
    let options = Options::default().dataplane("engine", engine);
    let appliance = Appliance::start(options.dataplane("send_buffer_bytes", "65536"));
    let sink = Sink::start("127.0.0.1");
    let slow = create(&appliance, &[far("10.77.0.2")]);
    let good = create(&appliance, &[to(sink.address())]);
    let flood = Source::start(input(&slow), Pace { burst: 20, bytes: 1200, ..Pace::default() });
    let source = Source::start(input(&good), Pace::default());
    flood.flow(2000);
    let (flooded, sent) = (flood.stop(), source.stop());
    sink.expect_exactly(0..sent);
    assert_eq!(outcome(&appliance, &good, sent), [(sent, 0)]);
    let [(packets, dropped)] = outcome(&appliance, &slow, flooded)[..] else {
        panic!("one destination")
    };
    assert!(packets > 0 && dropped > 0, "{packets} sent, {dropped} dropped");
    expect_drops(&appliance, &[("send_buffer", dropped)]);
}

#[test]
fn a_full_send_buffer_on_io_uring() {
    inside(|| check_full_buffer("uring"));
}

#[test]
fn a_full_send_buffer_on_plain_system_calls() {
    inside(|| check_full_buffer("plain"));
}

/// What needs no privilege: nobody may broadcast unasked, and nobody listens at a closed port.
fn check_refusals(engine: &str) {
    let appliance = Appliance::start(Options::default().dataplane("engine", engine));
    let sink = Sink::start("127.0.0.1");
    let closed = Sink::start("127.0.0.1").address();
    let forward = create(&appliance, &[far("255.255.255.255"), to(sink.address()), to(closed)]);
    let source = Source::start(input(&forward), Pace::default());
    source.flow(100);
    let sent = source.stop();
    sink.expect_exactly(0..sent);
    assert_eq!(outcome(&appliance, &forward, sent), [(0, sent), (sent, 0), (sent, 0)]);
    let drops = Metrics::parse(&appliance.client().get("/metrics").body).drops();
    assert_eq!(drops.values().sum::<u64>(), sent, "{drops:?}");
}

#[test]
fn refused_packets_on_io_uring() {
    check_refusals("uring");
}

#[test]
fn refused_packets_on_plain_system_calls() {
    check_refusals("plain");
}
