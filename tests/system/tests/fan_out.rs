//! One forward, thousands of destinations, two shards: every destination receives every packet.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::packet::{Header, header, number, numbered};
use ringway_system::patience::until;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the product promises.
const DESTINATIONS: usize = 2000;

/// Packets that are sent together.
const BURST: u64 = 10;

/// Raises the limit of open files; returns how many receivers it allows.
fn receivers_allowed() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("a soft limit may be raised to the hard one");
    let allowed = limit.maximum.map_or(usize::MAX, |most| most.saturating_sub(100) as usize);
    if allowed < DESTINATIONS {
        eprintln!("only {allowed} of {DESTINATIONS} destinations: raise `ulimit -Hn`");
    }
    allowed.min(DESTINATIONS)
}

fn receivers(count: usize) -> Vec<UdpSocket> {
    let bind = |_| {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket
    };
    (0..count).map(bind).collect()
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("a bound socket has an address")
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).expect("a packet was lost");
    buffer[..length].to_vec()
}

/// Whether two shards can run here; says so if not.
fn two_cores() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores < 2 {
        eprintln!("skipped: two shards need two cores");
    }
    cores >= 2
}

fn two_shards(engine: &str) -> Appliance {
    Appliance::start(Options::default().dataplane("engine", engine).dataplane("cores", "[0, 1]"))
}

fn check_fan_out(engine: &str) {
    if !two_cores() {
        return;
    }
    let appliance = two_shards(engine);
    let client = appliance.client();
    let sockets = receivers(receivers_allowed());
    let destinations: Vec<Value> = sockets
        .iter()
        .enumerate()
        .map(|(index, socket)| {
            let mut to = json!({ "address": "127.0.0.1", "port": address(socket).port(),
                                 "rtcp": "mux" });
            if index % 3 == 1 {
                to["ssrc"] = json!(index + 1);
                to["payload_type"] = json!(100);
            }
            to
        })
        .collect();
    let forward = client.post("/v1/forwards", &json!({ "destinations": destinations }));
    let forward = forward.expect(201);
    let path = format!("/v1/forwards/{}", forward["id"].as_str().expect("an id"));
    let mut shards: BTreeMap<u64, usize> = BTreeMap::new();
    for destination in forward["destinations"].as_array().expect("a list") {
        *shards.entry(destination["shard"].as_u64().expect("a number")).or_default() += 1;
    }
    assert!(shards.len() == 2, "not spread over two shards: {shards:?}");
    assert!(shards.values().all(|count| *count >= sockets.len() / 4), "{shards:?}");

    let source = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let to = ("127.0.0.1", forward["input"]["port"].as_u64().expect("a port") as u16);
    let bursts = 12;
    for burst in 0..bursts {
        for index in 0..BURST {
            let packet = numbered(burst * BURST + index, 1, 300 + (index as usize % 3) * 100);
            source.send_to(&packet, to).expect("sent");
        }
        for (index, socket) in sockets.iter().enumerate() {
            let ssrc = if index % 3 == 1 { index as u32 + 1 } else { 1 };
            for expect in burst * BURST..(burst + 1) * BURST {
                let packet = receive(socket);
                let of = format!("destination {index}");
                assert_eq!(number(&packet), Some(expect), "{of}");
                assert_eq!(header(&packet).map(|header| header.ssrc), Some(ssrc), "{of}");
            }
        }
    }
    let sent = bursts * BURST;
    until(PATIENCE, "the statistics of all destinations", || {
        let forward = client.get(&path).expect(200);
        let to = forward["destinations"].as_array().expect("a list");
        to.iter().all(|to| to["stats"]["packets"] == sent).then_some(())
    });
    let metrics = Metrics::parse(&client.get("/metrics").body);
    assert_eq!(metrics.drops(), BTreeMap::new());
    assert_eq!(metrics.sum("ringway_destinations", &[]), sockets.len() as f64);

    // Both shards forget them.
    client.delete(&path).expect(204);
    until(PATIENCE, "both shards to be empty", || {
        let metrics = Metrics::parse(&client.get("/metrics").body);
        let count = metrics.sum("ringway_destinations", &[]) + metrics.sum("ringway_forwards", &[]);
        (count == 0.0).then_some(())
    });
}

#[test]
fn every_destination_receives_every_packet_on_io_uring() {
    check_fan_out("uring");
}

#[test]
fn every_destination_receives_every_packet_on_plain_system_calls() {
    check_fan_out("plain");
}

/// A source as (first sequence number, first timestamp, SSRC, packets).
type Talk = (u16, u32, u32, u16);

/// Three sources one after the other, each from its own socket and with numbers of its own, as an
/// encoder that is restarted sends them. Contiguous destinations on either shard see one stream.
fn check_source_change(engine: &str) {
    if !two_cores() {
        return;
    }
    let appliance = two_shards(engine);
    // More than one shard's share, so that the last ones are served by the other.
    let sockets = receivers(160);
    let destinations: Vec<Value> = sockets
        .iter()
        .enumerate()
        .map(|(index, socket)| {
            let port = address(socket).port();
            json!({ "address": "127.0.0.1", "port": port, "contiguous": index % 2 == 0 })
        })
        .collect();
    let body = json!({ "input": { "source": "any" }, "destinations": destinations });
    let forward = appliance.client().post("/v1/forwards", &body).expect(201);
    let shards: Vec<u64> = forward["destinations"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|to| to["shard"].as_u64().expect("a number"))
        .collect();
    assert_ne!(shards.first(), shards.last(), "one shard serves all");
    let to = ("127.0.0.1", forward["input"]["port"].as_u64().expect("a port") as u16);
    let talks: [Talk; 3] =
        [(65_500, u32::MAX - 30_000, 11, 100), (7, 5, 22, 60), (40_000, 1 << 31, 33, 60)];
    let mut last: Vec<Option<Header>> = vec![None; sockets.len()];
    for (first, timestamp, ssrc, packets) in talks {
        let source = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        for index in 0..packets {
            let mut packet = numbered(u64::from(index), ssrc, 200);
            let ticks = u32::from(index) * 3000;
            packet[2..4].copy_from_slice(&first.wrapping_add(index).to_be_bytes());
            packet[4..8].copy_from_slice(&timestamp.wrapping_add(ticks).to_be_bytes());
            source.send_to(&packet, to).expect("sent");
            let original = header(&packet).expect("a header");
            for (at, socket) in sockets.iter().enumerate() {
                let packet = receive(socket);
                assert_eq!(number(&packet), Some(u64::from(index)), "destination {at}");
                let now = header(&packet).expect("a header");
                if at % 2 == 1 {
                    assert_eq!(now, original, "destination {at}");
                } else if let Some(last) = last[at] {
                    assert_eq!(now.sequence, last.sequence.wrapping_add(1), "destination {at}");
                    assert_eq!(now.ssrc, last.ssrc, "destination {at}");
                    let step = now.timestamp.wrapping_sub(last.timestamp);
                    assert!(step != 0 && step < 1 << 20, "destination {at}: {step} ticks");
                    assert!(index == 0 || step == 3000, "destination {at}: {step} ticks");
                }
                last[at] = Some(now);
            }
        }
    }
    // Nothing else came.
    for socket in &sockets {
        socket.set_nonblocking(true).expect("a socket's mode");
        assert!(socket.recv(&mut [0; 64]).is_err(), "something was sent twice");
    }
}

#[test]
fn contiguous_streams_outlive_their_sources_on_io_uring() {
    check_source_change("uring");
}

#[test]
fn contiguous_streams_outlive_their_sources_on_plain_system_calls() {
    check_source_change("plain");
}
