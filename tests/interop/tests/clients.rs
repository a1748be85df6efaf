//! Browsers and the unmodified `livekit` package (libwebrtc in Rust) in one room.

use ringway_interop::browser::Browser;
use ringway_interop::member::{CAMERA, MICROPHONE, Member, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::{BRIGHT, DARK, Show};
use ringway_interop::stage::{self, Stage};
use serde_json::json;

/// Both publish, and each sees and hears what the other one sent.
fn meet(stage: &Stage, path: Path, one: (&Member, Show), two: (&Member, Show)) {
    one.0.join(stage, path);
    two.0.join(stage, path);
    one.0.publish(&one.1);
    two.0.publish(&two.1);
    one.0.wait_show(&two.0.identity, &two.1);
    two.0.wait_show(&one.0.identity, &one.1);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn python_and_python_v1() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        meet(stage, Path::V1, (&alice, BRIGHT.simulcast()), (&bob, DARK.codec("h264")));
        let before = bob.events().len();
        for muted in [true, false] {
            alice.ask("mute", &json!({ "source": MICROPHONE, "muted": muted }));
            let event = if muted { "TrackMuted" } else { "TrackUnmuted" };
            bob.wait_event(before, event, "alice");
            let what = if muted { "silence" } else { "the tone" };
            bob.wait_seen("alice", MICROPHONE, what, |seen| BRIGHT.is_heard(seen) != muted);
        }
        alice.wait_event(0, "ConnectionQualityChanged", "alice");
        alice.ask("leave", &json!({}));
        bob.wait_event(before, "ParticipantDisconnected", "alice");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn python_and_python_v0() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        meet(stage, Path::V0, (&alice, BRIGHT), (&bob, DARK.simulcast()));
        let camera = |wanted| json!({ "identity": "alice", "source": CAMERA, "wanted": wanted });
        let before = bob.events().len();
        bob.ask("subscribe", &camera(false));
        let gone = bob.wait_event(before, "TrackUnsubscribed", "alice");
        bob.ask("subscribe", &camera(true));
        bob.wait_event(gone, "TrackSubscribed", "alice");
        bob.wait_show("alice", &BRIGHT);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_and_python_v1() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), livekit(stage, "bob"));
        meet(stage, Path::V1, (&alice, BRIGHT.simulcast()), (&bob, DARK.simulcast()));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_and_python_v0_h264() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), livekit(stage, "bob"));
        let (bright, dark) = (BRIGHT.codec("h264"), DARK.codec("h264"));
        meet(stage, Path::V0, (&alice, bright), (&bob, dark));
    });
}
