//! UDP ports of calls out of a range: what is opened, what clients are told, what is passed over.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;
use ringway_system::ports::{free_tcp_port, free_udp_pair};
use ringway_system::sockets::udp_ports;
use ringway_system::token::Claims;
use serde_json::json;

/// A taken port is complained about after ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const OFFER: &str = include_str!("../../../controlplane/sdp/tests/data/chromium-publish-vp8.sdp");

/// Settings with two shards whose ports come out of a range.
fn on_range(first: u16, last: u16, livekit: bool) -> Options {
    let rtc = match livekit {
        true => format!("{{port_range_start: {first}, port_range_end: {last}, tcp_port: 0}}"),
        false => format!("{{udp_port: \"{first}-{last}\", tcp_port: 0}}"),
    };
    Options::default().dataplane("cores", "[0, 1]").controlplane("rtc", &rtc)
}

/// Two free ports in a row, and two more.
fn four_ports() -> (u16, u16) {
    loop {
        let (first, second) = (free_udp_pair(), free_udp_pair());
        if second == first + 2 {
            return (first, second + 1);
        }
    }
}

fn wait_log(appliance: &mut Appliance, text: &str) -> String {
    until(PATIENCE, text, || {
        let log = appliance.controlplane().log();
        log.contains(text).then_some(log)
    })
}

/// The UDP ports that answers to publishers of several rooms name.
fn told(appliance: &Appliance) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for room in 0..4 {
        for (protocol, port) in candidates(appliance, &room.to_string()) {
            assert_eq!(protocol, "udp");
            ports.insert(port);
        }
    }
    ports
}

/// Protocols and ports of the candidates that an answer to a publisher names.
fn candidates(appliance: &Appliance, room: &str) -> Vec<(String, u16)> {
    let video = json!({"roomJoin": true, "room": room, "canPublish": true});
    let client = appliance.client_with(Some(Claims { video, ..Claims::default() }.sign()));
    let headers = [("content-type", "application/sdp")];
    let answer = client.send_raw("POST", "/whip/v1", &headers, OFFER.as_bytes());
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.body);
    let candidates = answer.body.lines().filter_map(|line| line.strip_prefix("a=candidate:"));
    let read = candidates.map(|candidate| {
        let words: Vec<&str> = candidate.split(' ').collect();
        (words[2].to_ascii_lowercase(), words[5].parse().expect("a port"))
    });
    read.collect()
}

/// The ports of a range that the data plane has open.
fn taken(appliance: &mut Appliance, range: (u16, u16)) -> BTreeSet<u16> {
    let ports = udp_ports(appliance.dataplane().pid());
    ports.into_iter().filter(|port| (range.0..=range.1).contains(port)).collect()
}

#[test]
fn each_shard_has_a_port_of_the_range_and_says_so() {
    for livekit in [false, true] {
        let range = four_ports();
        let mut appliance = Appliance::start(on_range(range.0, range.1, livekit));
        wait_log(&mut appliance, "calls can be made");
        let first_two = BTreeSet::from([range.0, range.0 + 1]);
        assert_eq!(taken(&mut appliance, range), first_two);
        assert_eq!(told(&appliance), first_two, "rooms are spread over the shards");
    }
}

#[test]
fn two_appliances_share_a_range_and_a_third_finds_it_full() {
    let range = four_ports();
    let mut one = Appliance::start(on_range(range.0, range.1, false));
    wait_log(&mut one, "calls can be made");
    let mut other = Appliance::start(on_range(range.0, range.1, true));
    let log = wait_log(&mut other, "calls can be made");
    assert!(log.contains("somebody else has this UDP port"), "{log}");
    assert_eq!(told(&one), taken(&mut one, range));
    assert_eq!(told(&other), taken(&mut other, range));
    assert_eq!(told(&other), BTreeSet::from([range.0 + 2, range.1]));
    let mut third = Appliance::start(on_range(range.0, range.1, false));
    let log = wait_log(&mut third, "every shard needs a UDP port of its own");
    assert!(!log.contains("calls can be made"), "{log}");
    // Forwards need none of these.
    let body = json!({"name": "still works"});
    assert_ne!(third.client().post("/v1/forwards", &body).status, 503);
    // A data plane that comes back finds its ports again, if nobody waits for them.
    drop(third);
    one.restart_dataplane();
    until(PATIENCE, "the first ports again", || {
        (taken(&mut one, range) == BTreeSet::from([range.0, range.0 + 1])).then_some(())
    });
}

#[test]
fn ports_that_get_free_are_taken() {
    let range = four_ports();
    let other = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, range.0)).expect("a free port");
    let rtc = format!("{{udp_port: {}, tcp_port: 0}}", range.0);
    let mut appliance = Appliance::start(Options::default().controlplane("rtc", &rtc));
    let log = wait_log(&mut appliance, "no calls until the UDP port for media is free");
    assert!(!log.contains("calls can be made"), "{log}");
    drop(other);
    wait_log(&mut appliance, "calls can be made");
    assert_eq!(told(&appliance), BTreeSet::from([range.0]));

    // The same where none of several was free.
    let range = (range.0 + 1, range.0 + 2);
    let others = [range.0, range.1].map(|port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
    let mut appliance = Appliance::start(on_range(range.0, range.1, false));
    wait_log(&mut appliance, "every shard needs a UDP port of its own");
    drop(others);
    wait_log(&mut appliance, "calls can be made");
    assert_eq!(told(&appliance), BTreeSet::from([range.0, range.1]));
}

#[test]
fn ports_of_others_are_passed_over() {
    let range = four_ports();
    let _v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, range.0)).expect("a free port");
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, range.0 + 2));
    let mut appliance = Appliance::start(on_range(range.0, range.1, false));
    let log = wait_log(&mut appliance, "calls can be made");
    assert!(log.contains(&format!("port={}", range.0)), "{log}");
    let expect = match v6.is_ok() {
        true => BTreeSet::from([range.0 + 1, range.1]),
        false => BTreeSet::from([range.0 + 1, range.0 + 2]),
    };
    assert_eq!(taken(&mut appliance, range), expect);
}

#[test]
fn with_tcp_forced_no_port_for_udp_is_open_to_anybody() {
    let (udp, tcp) = (free_udp_pair(), free_tcp_port());
    let rtc = format!("{{udp_port: {udp}, tcp_port: {tcp}, force_tcp: true, node_ip: 127.0.0.1}}");
    let mut appliance =
        Appliance::start(Options::default().dataplane("cores", "[0, 1]").controlplane("rtc", &rtc));
    let log = wait_log(&mut appliance, "calls can be made");
    assert!(!log.contains("media is received"), "{log}");
    assert_eq!(candidates(&appliance, "r"), [("tcp".to_owned(), tcp)]);
    assert!(taken(&mut appliance, (udp, udp + 1)).is_empty());
    // What the shards have instead is out of reach of other machines.
    for port in udp_ports(appliance.dataplane().pid()) {
        let other = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), port));
        assert!(other.is_ok(), "port {port} is bound on every address");
    }
    // Without the TCP port there is no way at all.
    let taken = std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
        .expect("a free port");
    let tcp = taken.local_addr().expect("an address").port();
    let rtc = format!("{{tcp_port: {tcp}, force_tcp: true}}");
    let mut appliance = Appliance::start(Options::default().controlplane("rtc", &rtc));
    let log = wait_log(&mut appliance, "no calls over TCP");
    assert!(!log.contains("calls can be made"), "{log}");
}
