//! Clients that are told to reach the server by its TURN server only.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ringway_interop::browser::Browser;
use ringway_interop::member::{Member, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::{BRIGHT, DARK};
use ringway_interop::stage::{self, Stage};
use ringway_system::ports::{free_tcp_port, free_udp_pair};

const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dataplane/shard/tests/data");

/// One relays all of its media, the other one none.
fn meet(stage: &Stage, path: Path, alice: &Member, bob: &Member) {
    alice.join_relayed(stage, path);
    bob.join(stage, path);
    alice.publish(&BRIGHT.simulcast());
    bob.publish(&DARK);
    alice.wait_show(&bob.identity, &DARK);
    bob.wait_show(&alice.identity, &BRIGHT);
    // One connection for both directions, or one for each.
    let least = if path == Path::V1 { 1.0 } else { 2.0 };
    let relays = stage.server.metric("ringway_turn_allocations");
    assert!(relays >= least, "{relays} relays");
    let before = bob.events().len();
    alice.ask("leave", &serde_json::json!({}));
    bob.wait_event(before, "ParticipantDisconnected", &alice.identity);
}

fn udp(_: &str) -> String {
    format!("{{enabled: true, udp_port: {}}}", free_udp_pair())
}

fn tcp(_: &str) -> String {
    format!("{{enabled: true, udp_port: 0, tcp_port: {}}}", free_tcp_port())
}

/// The key as a server takes it: for nobody else to read, which a checkout cannot promise.
fn private_key() -> String {
    let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/turn.key.pem");
    fs::copy(format!("{KEYS}/turn.key.pem"), path).expect("the key is copied");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    path.to_owned()
}

fn tls(address: &str) -> String {
    let (port, key) = (free_tcp_port(), private_key());
    format!(
        "{{enabled: true, udp_port: 0, tls_port: {port}, domain: \"{address}\", \
         cert_file: {KEYS}/turn.cert.pem, key_file: {key}}}"
    )
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_by_udp() {
    stage::on_with(udp, |stage| {
        let browser = Browser::start(stage, &[]);
        meet(stage, Path::V1, &browser.member("alice"), &livekit(stage, "bob"));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_with_two_connections_by_tcp() {
    stage::on_with(tcp, |stage| {
        let browser = Browser::start(stage, &[]);
        meet(stage, Path::V0, &browser.member("alice"), &livekit(stage, "bob"));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_by_tls() {
    stage::on_with(tls, |stage| {
        // Nobody vouches for the certificate of a test.
        let browser = Browser::start(stage, &["--ignore-certificate-errors"]);
        meet(stage, Path::V1, &browser.member("alice"), &livekit(stage, "bob"));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn python_by_udp() {
    stage::on_with(udp, |stage| {
        meet(stage, Path::V0, &livekit(stage, "alice"), &livekit(stage, "bob"));
    });
}
