//! Calls that go on: the signalling is cut, a server says that it leaves, the data plane is killed.
//! Unmodified clients come back by themselves, with their tracks.
//!
//! livekit-client waits up to half a second before its first attempt, and says "reconnected" no
//! sooner than two seconds after the server has let it in again, whatever the server does.

use std::time::Instant;

use ringway_interop::browser::Browser;
use ringway_interop::meeting::{come_back, stays};
use ringway_interop::member::{CAMERA, Member, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::{BRIGHT, DARK};
use ringway_interop::stage::{self, Stage};
use serde_json::json;

fn tabs(stage: &Stage, path: Path) -> (Browser, Member, Member) {
    let browser = Browser::start(stage, &[]);
    let (alice, bob) = (browser.member("alice"), browser.member("bob"));
    alice.join(stage, path);
    bob.join(stage, path);
    alice.publish(&BRIGHT);
    bob.publish(&DARK);
    bob.wait_show("alice", &BRIGHT);
    alice.wait_show("bob", &DARK);
    (browser, alice, bob)
}

/// Alice tries one of her client's scenarios, and is back by herself.
fn simulate(path: Path, scenario: &str) {
    stage::on(|stage| {
        let (_browser, alice, bob) = tabs(stage, path);
        come_back(scenario, (&alice, BRIGHT), (&bob, DARK));
        stays(&bob, scenario);
    });
}

macro_rules! scenarios {
    ($($name:ident: $path:expr, $scenario:literal;)*) => {$(
        #[test]
        #[ignore = "needs browsers and further clients: make test-calls"]
        fn $name() {
            simulate($path, $scenario);
        }
    )*};
}

scenarios! {
    signal_cut_v0: Path::V0, "signal-reconnect";
    signal_cut_v1: Path::V1, "signal-reconnect";
    resume_cut_v1: Path::V1, "disconnect-signal-on-resume";
    resume_cut_silent_v0: Path::V0, "disconnect-signal-on-resume-no-messages";
    resume_fails_v1: Path::V1, "resume-reconnect";
    node_failure_v0: Path::V0, "node-failure";
    node_failure_v1: Path::V1, "node-failure";
    migration_v1: Path::V1, "migration";
    full_reconnect_v0: Path::V0, "full-reconnect";
    leave_full_reconnect_v1: Path::V1, "leave-full-reconnect";
}

/// The server says that it leaves: a client stays away.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn server_leave() {
    stage::on(|stage| {
        let (_browser, alice, bob) = tabs(stage, Path::V1);
        alice.ask("simulate", &json!({ "scenario": "server-leave" }));
        bob.wait_event(0, "ParticipantDisconnected", "alice");
        alice.wait_told(0, "Disconnected");
    });
}

fn dataplane_dies(stage: &Stage, name: &str, alice: &Member, bob: &Member) {
    let before = (alice.events().len(), bob.events().len());
    let at = Instant::now();
    stage.server.restart_dataplane();
    eprintln!("{name}: the data plane is back after {:?}", at.elapsed());
    alice.wait_event(before.0, "TrackSubscribed", "bob");
    bob.wait_event(before.1, "TrackSubscribed", "alice");
    eprintln!("{name}: tracks are subscribed after {:?}", at.elapsed());
    bob.wait_pictures("alice", CAMERA);
    alice.wait_pictures("bob", CAMERA);
    eprintln!("{name}: pictures both ways after {:?}", at.elapsed());
    bob.wait_show("alice", &BRIGHT);
    alice.wait_show("bob", &DARK);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn dataplane_killed_tabs_v0() {
    stage::on(|stage| {
        let (_browser, alice, bob) = tabs(stage, Path::V0);
        dataplane_dies(stage, "tabs v0", &alice, &bob);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn dataplane_killed_tabs_v1() {
    stage::on(|stage| {
        let (_browser, alice, bob) = tabs(stage, Path::V1);
        dataplane_dies(stage, "tabs v1", &alice, &bob);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn dataplane_killed_livekit() {
    stage::on(|stage| {
        let (anna, ben) = (livekit(stage, "alice"), livekit(stage, "bob"));
        anna.join(stage, Path::V1);
        ben.join(stage, Path::V1);
        anna.publish(&BRIGHT);
        ben.publish(&DARK);
        ben.wait_show("alice", &BRIGHT);
        anna.wait_show("bob", &DARK);
        dataplane_dies(stage, "livekit v1", &anna, &ben);
    });
}

/// The control plane is back: both come back to it.
fn controlplane_returns(stage: &Stage, before: (usize, usize), alice: &Member, bob: &Member) {
    let at = Instant::now();
    stage.server.start_controlplane();
    eprintln!("the control plane is back after {:?}", at.elapsed());
    alice.wait_event(before.0, "TrackSubscribed", "bob");
    bob.wait_event(before.1, "TrackSubscribed", "alice");
    eprintln!("tracks are subscribed after {:?}", at.elapsed());
    bob.wait_show("alice", &BRIGHT);
    alice.wait_show("bob", &DARK);
    eprintln!("seen both ways after {:?}", at.elapsed());
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn controlplane_killed_tabs() {
    stage::on(|stage| {
        let (_browser, alice, bob) = tabs(stage, Path::V1);
        let before = (alice.events().len(), bob.events().len());
        stage.server.kill_controlplane();
        // Media needs nobody who signals.
        bob.wait_pictures("alice", CAMERA);
        controlplane_returns(stage, before, &alice, &bob);
    });
}

/// It is told to stop: clients are told to begin anew, and do.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn controlplane_stopped_tabs() {
    stage::on(|stage| {
        let (_browser, alice, bob) = tabs(stage, Path::V1);
        let before = (alice.events().len(), bob.events().len());
        stage.server.stop_controlplane();
        controlplane_returns(stage, before, &alice, &bob);
    });
}
