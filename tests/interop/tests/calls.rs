//! Tabs of Chromium with the unmodified `livekit-client` call each other.

use ringway_interop::browser::Browser;
use ringway_interop::meeting::switch_layers;
use ringway_interop::member::{CAMERA, MICROPHONE, Member, Path, SCREEN};
use ringway_interop::show::{BRIGHT, DARK};
use ringway_interop::stage::{self, Stage};
use serde_json::{Value, json};

/// The fake camera in a size that clients make three layers of.
const CAMERA_WIDTH: u64 = 960;
const CAMERA_HEIGHT: u64 = 540;

fn camera(codec: &str, simulcast: bool) -> Value {
    json!({
        "width": CAMERA_WIDTH,
        "height": CAMERA_HEIGHT,
        "codec": codec,
        "simulcast": simulcast,
    })
}

/// Starts a browser with two tabs in the room.
fn two_tabs(stage: &Stage, path: Path) -> (Browser, Member, Member) {
    let browser = Browser::start(stage, &[]);
    let (alice, bob) = (browser.member("alice"), browser.member("bob"));
    alice.join(stage, path);
    bob.join(stage, path);
    (browser, alice, bob)
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn two_tabs_v1() {
    stage::on(|stage| meet(stage, Path::V1));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn two_tabs_v0() {
    stage::on(|stage| meet(stage, Path::V0));
}

/// Alice has camera, microphone and screen; Bob something whose colours and pitch are known.
fn meet(stage: &Stage, path: Path) {
    let (_browser, alice, bob) = two_tabs(stage, path);
    alice.wait_event(0, "ParticipantConnected", "bob");
    bob.publish(&BRIGHT.simulcast());
    alice.ask("camera", &json!({ "width": 640, "height": 360, "codec": "vp8", "simulcast": true }));
    alice.ask("microphone", &json!({}));
    alice.ask("screen", &json!({ "codec": "vp8" }));

    for source in [CAMERA, SCREEN] {
        let seen = bob.wait_pictures("alice", source);
        assert_eq!(seen.codec, "video/VP8", "{seen:?}");
        assert_eq!(seen.protocol, "udp", "{seen:?}");
        assert!(stage.server.is_right_cipher(&seen.cipher), "{seen:?}");
    }
    let heard = bob.wait_seen("alice", MICROPHONE, "sound", |seen| seen.energy > 0.0);
    bob.wait_seen("alice", MICROPHONE, "more sound", |seen| seen.energy > heard.energy);

    alice.wait_show("bob", &BRIGHT);
    alice.wait_speaker("bob");
    alice.wait_event(0, "ConnectionQualityChanged", "bob");
    bob.wait_event(0, "ConnectionQualityChanged", "bob");

    alice.ask("leave", &json!({}));
    bob.wait_event(0, "ParticipantDisconnected", "alice");
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_vp8() {
    stage::on(|stage| choose_layers(stage, Path::V1, "vp8", "video/VP8"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_h264() {
    stage::on(|stage| choose_layers(stage, Path::V0, "h264", "video/H264"));
}

/// Bob asks for one layer after the other, by name.
fn choose_layers(stage: &Stage, path: Path, codec: &str, mime: &str) {
    let (_browser, alice, bob) = two_tabs(stage, path);
    alice.ask("camera", &camera(codec, true));
    let seen = bob.wait_pictures("alice", CAMERA);
    assert_eq!(seen.codec, mime, "{seen:?}");
    switch_layers(&bob, "alice");
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn adaptive_stream() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), browser.member("bob"));
        alice.join(stage, Path::V1);
        bob.join_with(stage, Path::V1, &json!({ "adaptiveStream": true }));
        alice.ask("camera", &camera("vp8", true));
        bob.wait_pictures("alice", CAMERA);
        for (width, height) in [(960, 540), (160, 90), (960, 540)] {
            let element = json!({
                "identity": "alice", "source": CAMERA, "width": width, "height": height,
            });
            bob.ask("size", &element);
            let what = format!("a picture for {width}x{height}");
            bob.wait_seen("alice", CAMERA, &what, |seen| {
                if width == CAMERA_WIDTH { seen.width == width } else { seen.width <= 2 * width }
            });
            bob.wait_pictures("alice", CAMERA);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn mute_and_unmute() {
    stage::on(|stage| {
        let (_browser, alice, bob) = two_tabs(stage, Path::V1);
        alice.publish(&DARK);
        bob.wait_show("alice", &DARK);
        bob.wait_speaker("alice");

        let before = bob.events().len();
        for source in [CAMERA, MICROPHONE] {
            alice.ask("mute", &json!({ "source": source, "muted": true }));
        }
        let muted = bob.wait_event(before, "TrackMuted", "alice");
        bob.wait_still("alice", CAMERA);
        bob.wait_seen("alice", MICROPHONE, "silence", |seen| !DARK.is_heard(seen));

        for source in [CAMERA, MICROPHONE] {
            alice.ask("mute", &json!({ "source": source, "muted": false }));
        }
        bob.wait_event(muted, "TrackUnmuted", "alice");
        bob.wait_show("alice", &DARK);

        let before = bob.events().len();
        alice.ask("unpublish", &json!({ "source": CAMERA }));
        bob.wait_event(before, "TrackUnpublished", "alice");
        bob.wait_event(before, "TrackUnsubscribed", "alice");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn subscribe_and_unsubscribe() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), browser.member("bob"));
        alice.join(stage, Path::V0);
        bob.join(stage, Path::V0);
        alice.publish(&BRIGHT);
        bob.wait_show("alice", &BRIGHT);
        for turn in 0..2 {
            let before = bob.events().len();
            let camera =
                |wanted| json!({ "identity": "alice", "source": CAMERA, "wanted": wanted });
            bob.ask("subscribe", &camera(false));
            let gone = bob.wait_event(before, "TrackUnsubscribed", "alice");
            assert_eq!(bob.watch("alice", CAMERA), None, "turn {turn}");
            // The other track goes on.
            bob.wait_seen("alice", MICROPHONE, "the tone", |seen| BRIGHT.is_heard(seen));
            bob.ask("subscribe", &camera(true));
            bob.wait_event(gone, "TrackSubscribed", "alice");
            bob.wait_show("alice", &BRIGHT);
        }
    });
}

/// A browser that may not use UDP takes the TCP candidates.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn tcp_only() {
    stage::on(|stage| {
        let flag = "--webrtc-ip-handling-policy=disable_non_proxied_udp";
        let browser = Browser::start(stage, &[flag]);
        let (alice, bob) = (browser.member("alice"), browser.member("bob"));
        alice.join(stage, Path::V1);
        bob.join(stage, Path::V0);
        alice.publish(&BRIGHT);
        let seen = bob.wait_show("alice", &BRIGHT);
        assert_eq!(seen.protocol, "tcp", "{seen:?}");
    });
}

/// Clients of Firefox get a server that makes checks, too; others one that only answers them. The
/// browser only calls itself so: what is tried is the server.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn full_ice() {
    stage::on(|stage| {
        let firefox = "--user-agent=Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 \
                       Firefox/140.0";
        let browser = Browser::start(stage, &[firefox]);
        let (alice, bob) = (browser.member("alice"), browser.member("bob"));
        alice.join(stage, Path::V0);
        bob.join(stage, Path::V0);
        alice.publish(&BRIGHT);
        let seen = bob.wait_show("alice", &BRIGHT);
        assert!(seen.checks > 0, "{seen:?}");
        let other = Browser::start(stage, &[]);
        let carol = other.member("carol");
        carol.join(stage, Path::V0);
        let seen = carol.wait_show("alice", &BRIGHT);
        assert_eq!(seen.checks, 0, "{seen:?}");
    });
}
