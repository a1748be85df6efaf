//! Rubbish at the ports of a live forward: every datagram of it is dropped and counted, none is
//! forwarded, and the good stream beside it loses nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::packet::{SSRC, numbered};
use ringway_system::patience::until;
use ringway_system::ports::free_udp_pair;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// SSRC of hostile packets that are valid otherwise.
const STRANGER: u32 = 0x0bad_cafe;

/// Largest payload of a UDP datagram over IPv4.
const HUGE: usize = 65_507;

/// Datagrams sent before the shard is given time to look at them: far less than its buffers hold.
const VOLLEY: usize = 64;

/// Repeatable random bytes (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Every file of every corpus of the fuzz targets.
fn corpus() -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let entries = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        entries.map(|entry| entry.expect("a readable folder").path()).collect()
    };
    let files: Vec<Vec<u8>> = entries(&root)
        .iter()
        .flat_map(|target| entries(target))
        .map(|file| fs::read(file).expect("a readable corpus file"))
        .filter(|bytes| bytes.len() <= HUGE)
        .collect();
    assert!(files.len() > 50, "only {} files in the corpus", files.len());
    files
}

/// Everything bad that comes to mind. Nothing of it may be taken for the good stream.
fn arsenal() -> Vec<Vec<u8>> {
    let mut random = Random(0x5eed);
    let mut all = corpus();
    all.push(Vec::new());
    all.extend((0..400).map(|n| random.bytes(1 + n * 3)));
    // RTP and RTCP cut short everywhere, at a length where every cut is another packet.
    let packet = numbered(7, STRANGER, 60);
    all.extend((1..packet.len()).map(|length| packet[..length].to_vec()));
    let report = [&[0x80, 200, 0, 6][..], &STRANGER.to_be_bytes(), &[0; 20]].concat();
    all.extend((1..=report.len()).map(|length| report[..length].to_vec()));
    // Every first byte: all versions, paddings, extensions and counts of sources.
    for first in 0..=255 {
        let mut packet = numbered(9, STRANGER, 40);
        packet[0] = first;
        all.push(packet);
    }
    // Every packet type and payload type.
    for second in 0..=255 {
        let mut packet = numbered(11, STRANGER, 40);
        packet[1] = second;
        all.push(packet);
    }
    for length in [2048, 2049, 4096, 9000, 65_000, HUGE] {
        all.push(numbered(13, STRANGER, length));
        all.push(random.bytes(length));
    }
    all
}

/// What is bad even if it comes from the good stream's own address: truncated by the buffers, no
/// RTP at all, or cut.
fn arsenal_of_the_source() -> Vec<Vec<u8>> {
    let whole = numbered(5, SSRC, 400);
    let mut all = vec![Vec::new(), vec![0x80], whole[..11].to_vec(), numbered(5, SSRC, HUGE)];
    // The right address with another's SSRC.
    all.push(numbered(5, STRANGER, 400));
    for first in (0..=127).chain(192..=255) {
        let mut packet = whole.clone();
        packet[0] = first;
        all.push(packet);
    }
    // Fifteen sources, an extension and a padding that are longer than the packet.
    for (first, length) in [(0x8f, 40), (0x90, 15), (0xa0, 28)] {
        let mut packet = whole[..length].to_vec();
        packet[0] = first;
        packet[length - 1] = 255;
        all.push(packet);
    }
    all
}

fn drops(appliance: &Appliance) -> BTreeMap<String, u64> {
    Metrics::parse(&appliance.client().get("/metrics").body).drops()
}

/// Sends everything to both ports; waits until `sent` drops are counted in all.
fn attack(
    appliance: &Appliance,
    socket: &UdpSocket,
    ports: [SocketAddr; 2],
    weapons: &[Vec<u8>],
    sent: &mut u64,
) {
    for volley in weapons.chunks(VOLLEY) {
        for weapon in volley {
            for port in ports {
                socket.send_to(weapon, port).expect("the kernel takes it");
                *sent += 1;
            }
        }
        until(PATIENCE, &format!("{sent} drops"), || {
            (drops(appliance).values().sum::<u64>() == *sent).then_some(())
        });
    }
}

fn check(engine: &str) {
    let mut appliance = Appliance::start(Options::default().dataplane("engine", engine));
    let pid = appliance.dataplane().pid();
    let pair = free_udp_pair();
    let rtp = Sink::start_at(([127, 0, 0, 1], pair).into());
    let rtcp = Sink::start_at(([127, 0, 0, 1], pair + 1).into());
    let forward = appliance.client().post(
        "/v1/forwards",
        &json!({ "input": { "ssrc": SSRC },
                 "destinations": [{ "address": "127.0.0.1", "port": pair }] }),
    );
    let forward = forward.expect(201);
    let path = format!("/v1/forwards/{}", forward["id"].as_str().expect("an id"));
    let port = forward["input"]["port"].as_u64().expect("a port") as u16;
    let ports = [port, port + 1].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let source = Source::start(ports[0], Pace::default());
    rtp.wait_past(20);

    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut sent = 0;
    attack(&appliance, &stranger, ports, &arsenal(), &mut sent);
    attack(&appliance, source.socket(), ports, &arsenal_of_the_source(), &mut sent);

    source.flow(50);
    let good = source.stop();
    rtp.expect_exactly(0..good);
    rtcp.expect_silence();
    let reasons = drops(&appliance);
    for reason in ["short", "truncated", "version", "header", "rtcp", "protocol", "source", "ssrc"]
    {
        assert!(reasons.contains_key(reason), "nothing was dropped for {reason}: {reasons:?}");
    }
    let stats = until(PATIENCE, "the forward's statistics to agree", || {
        let stats = appliance.client().get(&path).expect(200)["stats"].clone();
        let count = |name: &str| stats[name].as_u64().expect("a number");
        let agrees = count("packets") == good && count("malformed") + count("refused") == sent;
        agrees.then_some(stats)
    });
    assert_eq!((&stats["lost"], &stats["ssrc"]), (&json!(0), &json!(SSRC)), "{stats}");
    assert_eq!(stats["source_changes"], first_change(&stats), "{stats}");
    assert_eq!(appliance.dataplane().pid(), pid);
    assert!(appliance.dataplane().ended().is_none(), "the data plane died");
}

/// The first source may or may not be counted as a change; nobody else was one.
fn first_change(stats: &Value) -> Value {
    json!(stats["source_changes"].as_u64().unwrap_or(9).min(1))
}

#[test]
fn rubbish_harms_nobody_on_io_uring() {
    check("uring");
}

#[test]
fn rubbish_harms_nobody_on_plain_system_calls() {
    check("plain");
}

/// As fast as the kernel takes it, while a stream flows on another forward.
#[test]
fn a_flood_at_one_forward_leaves_the_other_alone() {
    let appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let sink = Sink::start("127.0.0.1");
    let to = json!([{ "address": "127.0.0.1", "port": sink.port() }]);
    let port = |forward: &Value| forward["input"]["port"].as_u64().expect("a port") as u16;
    let good = client.post("/v1/forwards", &json!({ "destinations": to })).expect(201);
    let bad = client.post("/v1/forwards", &json!({ "input": { "ssrc": 1 } })).expect(201);
    let source = Source::start(([127, 0, 0, 1], port(&good)).into(), Pace::default());
    let target = SocketAddr::from(([127, 0, 0, 1], port(&bad)));
    let flood = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let mut random = Random(1);
    let weapons: Vec<Vec<u8>> = (0..64).map(|n| random.bytes(1 + n * 20)).collect();
    let goal = source.sent() + 300;
    while source.sent() < goal {
        for weapon in &weapons {
            let _ = flood.send_to(weapon, target);
        }
    }
    sink.expect_exactly(0..source.stop());
}
