//! A machine with several addresses: what answers a check comes from the address that was checked.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use ringway_proto::ice::{IceAgent, IceCredentials, Path, PathProtocol};
use ringway_system::appliance::{Appliance, Options};
use ringway_system::namespace::{inside, must};
use ringway_system::patience::until;
use ringway_system::token::Claims;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(20);
const OFFER: &str = include_str!("../../../controlplane/sdp/tests/data/chromium-publish-vp8.sdp");

/// The value of the first attribute of this name.
fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let prefix = format!("a={name}:");
    let found = sdp.lines().find_map(|line| line.strip_prefix(&prefix));
    found.unwrap_or_else(|| panic!("no {name} in {sdp}")).trim()
}

fn credentials(sdp: &str) -> IceCredentials {
    let (ufrag, password) = (attribute(sdp, "ice-ufrag"), attribute(sdp, "ice-pwd"));
    IceCredentials::new(ufrag.as_bytes(), password.as_bytes()).expect("valid")
}

/// A publisher's first check of `server`, from `client`; where its answer comes from.
fn answered_from(answer: &str, client: &UdpSocket, server: SocketAddr) -> SocketAddr {
    let mut agent = IceAgent::client(&credentials(OFFER), 1);
    agent.set_remote(&credentials(answer));
    agent.add_remote_candidate(Path { remote: server, protocol: PathProtocol::Udp, socket: 0 });
    let mut check = [0; 512];
    let len = agent.poll_transmit(0, &mut check).expect("a check").len;
    client.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    until(PATIENCE, "an answer", || {
        client.send_to(&check[..len], server).expect("sent");
        client.recv_from(&mut [0; 512]).ok().map(|(_, from)| from)
    })
}

fn check(engine: &str) {
    must(&["link", "add", "two", "type", "veth", "peer", "name", "far"]);
    must(&["link", "set", "far", "up"]);
    must(&["link", "set", "two", "up"]);
    must(&["address", "add", "10.91.0.1/24", "dev", "two"]);
    must(&["address", "add", "10.91.0.2/24", "dev", "two"]);
    let rtc = "{node_ip: 10.91.0.2, tcp_port: 0}";
    let options = Options::default().dataplane("engine", engine).controlplane("rtc", rtc);
    let appliance = Appliance::start(options);
    let video = json!({"roomJoin": true, "room": "r", "canPublish": true});
    let client = appliance.client_with(Some(Claims { video, ..Claims::default() }.sign()));
    let headers = [("content-type", "application/sdp")];
    let answer = until(PATIENCE, "calls", || {
        let answer = client.send_raw("POST", "/whip/v1", &headers, OFFER.as_bytes());
        // While the ports are being opened.
        answer.ok().filter(|answer| answer.status != 503)
    });
    assert_eq!(answer.status, 201, "{}", answer.body);
    let candidate: Vec<&str> = attribute(&answer.body, "candidate").split(' ').collect();
    let told: SocketAddr = format!("{}:{}", candidate[4], candidate[5]).parse().expect("address");
    assert_eq!(told.ip().to_string(), "10.91.0.2");
    // From the loopback address, which the kernel would choose to answer it from, too.
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    assert_eq!(answered_from(&answer.body, &client, told), told);
}

#[test]
fn uring_answers_from_the_address_that_was_asked() {
    inside(|| check("uring"));
}

#[test]
fn plain_answers_from_the_address_that_was_asked() {
    inside(|| check("plain"));
}
