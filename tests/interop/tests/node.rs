//! The unmodified `@livekit/rtc-node` package with browsers and its Python sister in one room.

use ringway_interop::browser::Browser;
use ringway_interop::meeting::{exchange, meet, subscribe_again, talk};
use ringway_interop::member::{CAMERA, MICROPHONE, Path};
use ringway_interop::show::{BRIGHT, DARK};
use ringway_interop::{node, python, stage};
use serde_json::json;

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn node_and_browser_v1() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (node::livekit(stage, "alice"), browser.member("bob"));
        meet(stage, Path::V1, (&alice, BRIGHT.simulcast()), (&bob, DARK.simulcast()));
        alice.wait_speaker("bob");
        bob.wait_speaker("alice");
        let before = alice.events().len();
        bob.ask("mute", &json!({ "source": MICROPHONE, "muted": true }));
        alice.wait_event(before, "TrackMuted", "bob");
        alice.wait_seen("bob", MICROPHONE, "silence", |seen| !DARK.is_heard(seen));
        alice.ask("leave", &json!({}));
        bob.wait_event(0, "ParticipantDisconnected", "alice");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn node_and_browser_v0_h264() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (node::livekit(stage, "alice"), browser.member("bob"));
        let (bright, dark) = (BRIGHT.codec("h264"), DARK.codec("h264"));
        meet(stage, Path::V0, (&alice, bright), (&bob, dark));
        for (viewer, whom) in [(&alice, "bob"), (&bob, "alice")] {
            let seen = viewer.watch(whom, CAMERA).expect("a subscription");
            assert_eq!(seen.codec, "video/H264", "{seen:?}");
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn node_and_python_v1() {
    stage::on(|stage| {
        let (alice, bob) = (node::livekit(stage, "alice"), python::livekit(stage, "bob"));
        meet(stage, Path::V1, (&alice, BRIGHT.codec("h264")), (&bob, DARK.simulcast()));
        let seen = alice.watch("bob", CAMERA).expect("a subscription");
        assert!(stage.server.is_right_cipher(&seen.cipher), "{seen:?}");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn node_and_python_v0() {
    stage::on(|stage| {
        let (alice, bob) = (node::livekit(stage, "alice"), python::livekit(stage, "bob"));
        meet(stage, Path::V0, (&alice, BRIGHT.simulcast()), (&bob, DARK));
        subscribe_again(&alice, "bob", &DARK);
        alice.ask("unpublish", &json!({ "source": CAMERA }));
        bob.wait_event(0, "TrackUnsubscribed", "alice");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn node_and_node() {
    stage::on(|stage| {
        let (alice, bob) = (node::livekit(stage, "alice"), node::livekit(stage, "bob"));
        meet(stage, Path::V1, (&alice, BRIGHT), (&bob, DARK));
        talk(&alice, &bob);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_between_node_and_browser() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (node::livekit(stage, alice), browser.member(bob));
            exchange(stage, path, &alice, &bob);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_between_node_and_python() {
    stage::on(|stage| {
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (node::livekit(stage, alice), python::livekit(stage, bob));
            exchange(stage, path, &alice, &bob);
        }
    });
}
