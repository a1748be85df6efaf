//! LiveKit's Go SDK (pion) in rooms: with itself, its Python sister and a browser.

use ringway_interop::browser::Browser;
use ringway_interop::go::livekit;
use ringway_interop::meeting::{come_back, exchange, meet, stays, subscribe_again, talk};
use ringway_interop::member::{CAMERA, MICROPHONE, Member, Path};
use ringway_interop::pass::Pass;
use ringway_interop::python;
use ringway_interop::show::{BRIGHT, DARK, Show};
use ringway_interop::stage::{self, Stage};
use serde_json::{Value, json};

/// Nothing was lost on the way, and nothing came twice.
fn is_whole(viewer: &Member, whom: &str) {
    for source in [CAMERA, MICROPHONE] {
        let seen = viewer.ask("watch", &json!({ "identity": whom, "source": source }));
        assert_eq!((&seen["lost"], &seen["doubles"]), (&json!(0), &json!(0)), "{source}: {seen}");
    }
}

/// Two members of Go's meet; what comes is whole and in the codec that was sent.
fn go_and_go(path: Path, one: Show, two: Show, codec: &str) {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        meet(stage, path, (&alice, one), (&bob, two));
        let seen = alice.watch("bob", CAMERA).expect("a subscription");
        assert_eq!(seen.codec, codec);
        alice.wait_speaker("bob");
        alice.wait_told(0, "LocalTrackSubscribed");
        is_whole(&alice, "bob");
        is_whole(&bob, "alice");
        alice.ask("leave", &json!({}));
        let gone = bob.wait_event(0, "ParticipantDisconnected", "alice");
        assert_eq!(bob.events()[gone - 1]["what"], json!("CLIENT_INITIATED"));
    });
}

macro_rules! meetings {
    ($($name:ident: $path:expr, $one:expr, $two:expr, $codec:literal;)*) => {$(
        #[test]
        #[ignore = "needs browsers and further clients: make test-calls"]
        fn $name() {
            go_and_go($path, $one, $two, $codec);
        }
    )*};
}

meetings! {
    vp8_v0: Path::V0, BRIGHT.simulcast(), DARK, "video/VP8";
    vp8_v1: Path::V1, BRIGHT, DARK.simulcast(), "video/VP8";
    h264_v0: Path::V0, BRIGHT, DARK.codec("h264"), "video/H264";
    h264_v1: Path::V1, BRIGHT.codec("h264"), DARK.codec("h264").simulcast(), "video/H264";
}

/// Each layer by name, up and down, from a publisher that makes key frames only when it is asked or
/// once a second.
fn layers(path: Path, show: Show) {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        meet(stage, path, (&alice, show.simulcast()), (&bob, DARK));
        for (name, height) in [("HIGH", 360), ("LOW", 90), ("MEDIUM", 180), ("HIGH", 360)] {
            let what = json!({ "identity": "alice", "source": CAMERA, "quality": name });
            bob.ask("quality", &what);
            bob.wait_seen("alice", CAMERA, name, |seen| seen.height == height);
            bob.wait_pictures("alice", CAMERA);
        }
        is_whole(&bob, "alice");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_vp8_v0() {
    layers(Path::V0, BRIGHT);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_h264_v1() {
    layers(Path::V1, BRIGHT.codec("h264"));
}

/// Mutes, lets rest, unsubscribes and unpublishes; each comes back but for the last.
fn switches(path: Path) {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        meet(stage, path, (&alice, BRIGHT.simulcast()), (&bob, DARK));
        for muted in [true, false] {
            let before = bob.events().len();
            alice.ask("mute", &json!({ "source": MICROPHONE, "muted": muted }));
            bob.wait_event(before, if muted { "TrackMuted" } else { "TrackUnmuted" }, "alice");
            let what = if muted { "silence" } else { "the tone" };
            bob.wait_seen("alice", MICROPHONE, what, |seen| BRIGHT.is_heard(seen) != muted);
        }
        let camera = |wanted| json!({ "identity": "alice", "source": CAMERA, "wanted": wanted });
        bob.ask("enable", &camera(false));
        bob.wait_still("alice", CAMERA);
        bob.ask("enable", &camera(true));
        bob.wait_pictures("alice", CAMERA);
        subscribe_again(&bob, "alice", &BRIGHT);
        for source in [CAMERA, MICROPHONE] {
            let before = bob.events().len();
            alice.ask("unpublish", &json!({ "source": source }));
            bob.wait_event(before, "TrackUnpublished", "alice");
        }
        // With two connections pion loses what comes in sections that it has used before, from a
        // LiveKit just so.
        if path == Path::V1 {
            alice.publish(&DARK);
            bob.wait_show("alice", &DARK);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn switches_v0() {
    switches(Path::V0);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn switches_v1() {
    switches(Path::V1);
}

/// Tracks that come with the request to join, as this package alone does.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn publishes_while_joining() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        bob.join(stage, Path::V1);
        for (name, show) in [("plain", BRIGHT), ("layered", DARK.simulcast())] {
            let carol = livekit(stage, name);
            carol.join_with(stage, Path::V1, &json!({ "publish": show.arguments() }));
            bob.wait_show(name, &show);
        }
        // Who comes later sees it, too, on the other path.
        alice.join_with(stage, Path::V0, &json!({}));
        bob.wait_event(0, "ParticipantConnected", "alice");
    });
}

/// A member that subscribes by itself only to what it asks for.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn subscribes_by_hand() {
    stage::on(|stage| {
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (livekit(stage, alice), livekit(stage, bob));
            alice.join(stage, path);
            bob.join_with(stage, path, &json!({ "manual": true }));
            alice.publish(&BRIGHT);
            bob.wait_event(0, "TrackPublished", &alice.identity);
            let wanted = json!({ "identity": alice.identity, "source": CAMERA, "wanted": true });
            bob.wait("the camera to be known", || {
                let seen = bob.ask("seen", &json!({ "identity": alice.identity }));
                (!seen["tracks"][CAMERA].is_null()).then_some(())
            });
            bob.ask("subscribe", &wanted);
            bob.wait_pictures(&alice.identity, CAMERA);
            assert_eq!(bob.watch(&alice.identity, MICROPHONE), None);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_between_go_and_go() {
    stage::on(|stage| {
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (livekit(stage, alice), livekit(stage, bob));
            exchange(stage, path, &alice, &bob);
            alice.ask("chat", &json!({ "text": "good evening" }));
            bob.wait_event(0, "ChatMessage", &alice.identity);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_between_go_and_python() {
    stage::on(|stage| {
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (livekit(stage, alice), python::livekit(stage, bob));
            exchange(stage, path, &alice, &bob);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn go_and_python_v0() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), python::livekit(stage, "bob"));
        meet(stage, Path::V0, (&alice, BRIGHT.simulcast()), (&bob, DARK.codec("h264")));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn go_and_python_v1() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), python::livekit(stage, "bob"));
        meet(stage, Path::V1, (&alice, BRIGHT.codec("h264")), (&bob, DARK.simulcast()));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn go_and_browser() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (livekit(stage, "alice"), browser.member("bob"));
        meet(stage, Path::V1, (&alice, BRIGHT.simulcast()), (&bob, DARK.simulcast()));
        talk(&alice, &bob);
    });
}

/// Who may change what others know of them does so; who may not cannot.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn describes_itself() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        let may = |who: &str, may: bool| {
            let pass = Pass::new(&stage.room(), who).with("canUpdateOwnMetadata", json!(may));
            stage.server.sign(&pass)
        };
        join_by(stage, &alice, Path::V1, &may("alice", true));
        join_by(stage, &bob, Path::V0, &may("bob", false));
        alice.wait_event(0, "ParticipantConnected", "bob");
        let about = |viewer: &Member, whom: &str| viewer.ask("seen", &json!({ "identity": whom }));
        let described = |attributes: Value| {
            let (name, metadata) = ("Al", "tired");
            json!({ "name": name, "metadata": metadata, "attributes": attributes })
        };
        alice.ask("describe", &described(json!({ "mood": "calm", "seat": "4" })));
        for viewer in [&alice, &bob] {
            viewer.wait("alice's attributes to come", || {
                let seen = about(viewer, "alice");
                let right = json!({ "mood": "calm", "seat": "4" });
                (seen["attributes"] == right && seen["name"] == "Al" && seen["metadata"] == "tired")
                    .then_some(())
            });
        }
        bob.ask("describe", &described(json!({ "mood": "bad" })));
        // An empty value takes an attribute away. It comes after what Bob wished.
        alice.ask("describe", &json!({ "attributes": { "seat": "" } }));
        bob.wait("an attribute to go", || {
            (about(&bob, "alice")["attributes"] == json!({ "mood": "calm" })).then_some(())
        });
        assert_eq!(about(&alice, "bob")["attributes"], json!({}));
    });
}

/// Joins with a token of the test's own.
fn join_by(stage: &Stage, member: &Member, path: Path, token: &str) {
    let with = json!({
        "url": stage.server.ws(), "token": token, "single": path == Path::V1,
        "options": {}, "connect": {},
    });
    member.ask("join", &with);
}

/// A publisher chooses who may subscribe.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn permits_some() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        let carol = livekit(stage, "carol");
        alice.join(stage, Path::V1);
        alice.ask("permit", &json!({ "all": false, "identities": ["bob"] }));
        alice.publish(&BRIGHT);
        bob.join(stage, Path::V1);
        carol.join(stage, Path::V0);
        bob.wait_show("alice", &BRIGHT);
        assert_eq!(carol.watch("alice", CAMERA), None);
        let before = bob.events().len();
        alice.ask("permit", &json!({ "all": false, "identities": ["carol"] }));
        carol.wait_show("alice", &BRIGHT);
        bob.wait_event(before, "TrackUnsubscribed", "alice");
    });
}

/// Alice tries one of her client's scenarios, and is back by herself.
fn simulate(path: Path, scenario: &str) {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        meet(stage, path, (&alice, BRIGHT.simulcast()), (&bob, DARK));
        come_back(scenario, (&alice, BRIGHT), (&bob, DARK));
        talk(&alice, &bob);
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
    node_failure_v0: Path::V0, "node-failure";
    node_failure_v1: Path::V1, "node-failure";
    migration_v0: Path::V0, "migration";
    migration_v1: Path::V1, "migration";
    leave_full_reconnect_v0: Path::V0, "leave-full-reconnect";
    leave_full_reconnect_v1: Path::V1, "leave-full-reconnect";
    tcp_alone_v1: Path::V1, "force-tls";
}

/// The server says that somebody speaks who does not, and that it leaves.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn speakers_and_leave() {
    stage::on(|stage| {
        let (alice, bob) = (livekit(stage, "alice"), livekit(stage, "bob"));
        alice.join(stage, Path::V1);
        bob.join(stage, Path::V0);
        alice.wait_event(0, "ParticipantConnected", "bob");
        alice.ask("simulate", &json!({ "scenario": "speaker" }));
        // Others hear of those whom they are subscribed to.
        alice.wait_speaker("alice");
        alice.ask("simulate", &json!({ "scenario": "server-leave" }));
        bob.wait_event(0, "ParticipantDisconnected", "alice");
        alice.wait_told(0, "Disconnected");
    });
}
