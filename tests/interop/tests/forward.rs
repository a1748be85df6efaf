//! FFmpeg sends H.264 and Opus to the appliance; two other FFmpegs decode what it forwards.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use ringway_interop::clip::{AUDIO_TYPE, Clip, LENGTH_S, SAMPLE_RATE, TONE_HZ, Target, VIDEO_TYPE};
use ringway_interop::listener::{Header, Listener, rtp_header};
use ringway_interop::player::{HELD_BACK, Played, Player, Session};
use ringway_interop::verdict::{same_pictures, tone_share};
use ringway_system::appliance::{Appliance, Options};
use ringway_system::http::Client;
use ringway_system::patience::until;
use ringway_system::ports::free_udp_pair;
use serde_json::{Value, json};

/// Shards publish in turns of a fraction of a second.
const STATS_TIMEOUT: Duration = Duration::from_secs(5);

/// One way of forwarding that the whole path is tried with.
struct Variant {
    /// Address of input and players.
    address: IpAddr,
    /// RTCP shares the RTP port, in and out.
    mux: bool,
    /// What destinations have rewritten: SSRC, video and audio payload type.
    rewrite: Option<(u32, u8, u8)>,
    engine: &'static str,
    /// Two shards; players are served by the one that their forward does not live on.
    two_shards: bool,
}

/// Destinations of a forward that its own shard serves before another one gets any: the share of
/// the control plane's placement.
const SHARE: usize = 128;

impl Default for Variant {
    fn default() -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { address, mux: false, rewrite: None, engine: "auto", two_shards: false }
    }
}

#[test]
fn plain() {
    check(&Variant::default());
}

#[test]
fn plain_engine() {
    check(&Variant { engine: "plain", ..Variant::default() });
}

#[test]
fn rtcp_mux() {
    check(&Variant { mux: true, ..Variant::default() });
}

#[test]
fn rewritten() {
    check(&Variant { rewrite: Some((0x1234_5678, 100, 101)), ..Variant::default() });
}

/// Whether two shards can run here; says so if not.
fn two_cores() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores < 2 {
        eprintln!("skipped: two shards need two cores");
    }
    cores >= 2
}

#[test]
fn two_shards() {
    if two_cores() {
        check(&Variant { two_shards: true, ..Variant::default() });
    }
}

#[test]
fn two_shards_rewritten_on_the_plain_engine() {
    if two_cores() {
        let rewrite = Some((0x1234_5678, 100, 101));
        check(&Variant { two_shards: true, rewrite, engine: "plain", ..Variant::default() });
    }
}

#[test]
fn ipv6() {
    let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
    UdpSocket::bind((address, 0))
        .expect("this test needs IPv6 on loopback: sysctl -w net.ipv6.conf.lo.disable_ipv6=0");
    check(&Variant { address, ..Variant::default() });
}

fn check(variant: &Variant) {
    let folder = tempfile::tempdir().expect("a temp folder");
    let clip = Clip::make(folder.path());
    let mut options = Options::default().dataplane("engine", variant.engine);
    if variant.two_shards {
        options = options.dataplane("cores", "[0, 1]");
    }
    let appliance = Appliance::start(options);
    let client = appliance.client();
    // Takes what the home shard's own destinations are sent; nobody reads it.
    let sink = UdpSocket::bind((variant.address, 0)).expect("bind any UDP port");
    let sink_port = sink.local_addr().expect("a bound socket has an address").port();

    let (first, one) = start_player("one", variant, folder.path());
    let (second, two) = start_player("two", variant, folder.path());
    let listener = Listener::start(variant.address);
    let video = [one.video, two.video];
    let fill = if variant.two_shards { vec![sink_port; SHARE] } else { Vec::new() };
    let video = create(&client, variant, "video", &fill, &video, Some(listener.port()));
    let audio = create(&client, variant, "audio", &fill, &[one.audio, two.audio], None);

    let target = Target {
        address: variant.address,
        video: input_port(&appliance, &video),
        audio: input_port(&appliance, &audio),
        mux: variant.mux,
    };
    let mut sender = clip.send("sender", target, folder.path());
    assert!(sender.wait().success(), "the sender failed: {}", sender.log());

    let headers: Vec<Header> =
        listener.finish().iter().filter_map(|packet| rtp_header(packet)).collect();
    judge_headers(&headers, variant);
    judge_stats(&client, &video, headers.len());
    for (name, player) in [("one", first), ("two", second)] {
        judge(name, &clip, &player.finish(clip.pictures.len()));
    }
}

fn start_player(name: &str, variant: &Variant, folder: &Path) -> (Player, Session) {
    let (_, video_type, audio_type) = variant.rewrite.unwrap_or((0, VIDEO_TYPE, AUDIO_TYPE));
    let session = Session {
        address: variant.address,
        video: free_udp_pair(),
        audio: free_udp_pair(),
        video_type,
        audio_type,
    };
    (Player::start(name, session, folder), session)
}

/// Creates a forward to `fill` first, then to `ports`, and to `bare` with rtcp-mux; returns its id.
fn create(
    client: &Client,
    variant: &Variant,
    name: &str,
    fill: &[u16],
    ports: &[u16],
    bare: Option<u16>,
) -> String {
    let rtcp = if variant.mux { "mux" } else { "next_port" };
    let destination = |port: u16, rtcp: &str| {
        let mut object =
            json!({ "address": variant.address.to_string(), "port": port, "rtcp": rtcp });
        if let Some((ssrc, video_type, audio_type)) = variant.rewrite {
            object["ssrc"] = json!(ssrc);
            object["payload_type"] = json!(if name == "video" { video_type } else { audio_type });
            object["contiguous"] = json!(true);
        }
        object
    };
    let mut destinations: Vec<Value> = fill.iter().map(|port| destination(*port, "mux")).collect();
    destinations.extend(ports.iter().map(|port| destination(*port, rtcp)));
    destinations.extend(bare.map(|port| destination(port, "mux")));
    let body = json!({
        "name": name,
        "input": { "address": variant.address.to_string(), "rtcp": rtcp },
        "destinations": destinations,
    });
    let forward = client.post("/v1/forwards", &body).expect(201);
    for (index, to) in destinations_of(&forward).iter().enumerate() {
        let elsewhere = to["shard"] != forward["shard"];
        assert_eq!(elsewhere, variant.two_shards && index >= fill.len(), "{index}: {to}");
    }
    forward["id"].as_str().expect("a forward has an id").to_owned()
}

fn input_port(appliance: &Appliance, id: &str) -> u16 {
    let forward = appliance.wait_active(id);
    let port = forward["input"]["port"].as_u64().expect("a forward has a port");
    u16::try_from(port).expect("a port fits")
}

fn judge(name: &str, clip: &Clip, played: &Played) {
    // None may be missing at the front: players listen before the sender starts.
    let verdict = same_pictures(&clip.pictures, &played.pictures, 0, HELD_BACK);
    verdict.unwrap_or_else(|problem| panic!("player {name}: {problem}"));
    let expect = (LENGTH_S * SAMPLE_RATE) as usize;
    let heard = played.samples.len();
    assert!(heard * 10 >= expect * 9, "player {name} heard {heard} of {expect} samples");
    let share = tone_share(&played.samples, SAMPLE_RATE, TONE_HZ);
    assert!(share > 0.9, "player {name}: the tone has {share} of the power");
}

fn judge_headers(headers: &[Header], variant: &Variant) {
    let first = headers.first().expect("the bare socket got packets");
    for pair in headers.windows(2) {
        let expect = pair[0].sequence.wrapping_add(1);
        assert_eq!(pair[1].sequence, expect, "packets are lost, doubled or out of order");
        assert_eq!(pair[1].ssrc, first.ssrc, "one stream has one SSRC");
    }
    let payload_type = variant.rewrite.map_or(VIDEO_TYPE, |(_, video_type, _)| video_type);
    assert!(headers.iter().all(|header| header.payload_type == payload_type), "{first:?}");
    if let Some((ssrc, ..)) = variant.rewrite {
        assert_eq!(first.ssrc, ssrc);
    }
}

/// The statistics come to agree with what arrived.
fn judge_stats(client: &Client, id: &str, packets: usize) {
    let forward = until(STATS_TIMEOUT, "statistics that have seen every packet", || {
        let forward = client.get(&format!("/v1/forwards/{id}")).expect(200);
        let seen = |object: &Value| object["stats"]["packets"] == json!(packets);
        (seen(&forward) && destinations_of(&forward).iter().all(seen)).then_some(forward)
    });
    assert_eq!(forward["stats"]["lost"], 0, "{forward}");
    assert_eq!(forward["stats"]["payload_type"], VIDEO_TYPE, "{forward}");
    for destination in destinations_of(&forward) {
        assert_eq!(destination["stats"]["dropped"], 0, "{destination}");
    }
}

fn destinations_of(forward: &Value) -> &[Value] {
    forward["destinations"].as_array().expect("a list of destinations")
}
