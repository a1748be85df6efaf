//! Encryption between the ends: the server passes on what it cannot read, and receivers know what
//! it makes itself.

use ringway_interop::browser::Browser;
use ringway_interop::member::{CAMERA, MICROPHONE, Member, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::{BRIGHT, DARK, Seen, Show};
use ringway_interop::stage::{self, Stage};
use serde_json::{Value, json};

const KEY: &str = "what the server never sees";
const WRONG_KEY: &str = "what nobody else has";

/// Packets that must have come, so that there was something to decode.
const ENOUGH_PACKETS: u64 = 20;

fn join(member: &Member, stage: &Stage, path: Path, key: &str) {
    member.join_with(stage, path, &json!({ "key": key }));
}

/// What a member was told of one kind.
fn told(member: &Member, event: &str) -> Vec<Value> {
    let events = member.events().into_iter();
    events.filter(|one| one["event"] == event).map(|one| one["what"].clone()).collect()
}

/// One mutes both tracks and unmutes them. The other one hears nothing meanwhile, and then has all
/// of it again.
fn pause(from: &Member, to: &Member, show: &Show) {
    let before = to.events().len();
    for source in [CAMERA, MICROPHONE] {
        from.ask("mute", &json!({ "source": source, "muted": true }));
    }
    let muted = to.wait_event(before, "TrackMuted", &from.identity);
    to.wait_seen(&from.identity, MICROPHONE, "silence", |seen| !show.is_heard(seen));
    for source in [CAMERA, MICROPHONE] {
        from.ask("mute", &json!({ "source": source, "muted": false }));
    }
    to.wait_event(muted, "TrackUnmuted", &from.identity);
    to.wait_show(&from.identity, show);
}

/// One says something over both channels and in a stream, to everybody.
fn say(from: &Member, to: &Member) {
    let before = to.events().len();
    for (topic, reliable) in [("kept", true), ("lossy", false)] {
        let say = json!({ "text": "hello", "topic": topic, "reliable": reliable, "to": [] });
        from.ask("say", &say);
    }
    from.ask("stream", &json!({ "text": "word ".repeat(10_000) }));
    let first = to.wait_event(before, "DataReceived", &from.identity);
    to.wait_event(first, "DataReceived", &from.identity);
    to.wait_event(before, "TextStream", &from.identity);
    let said = told(to, "DataReceived");
    for topic in ["kept", "lossy"] {
        assert!(said.contains(&json!([topic, "hello"])), "{said:?}");
    }
    assert!(told(to, "TextStream").contains(&json!("word ".repeat(10_000))));
}

fn expect_no_errors(members: &[&Member]) {
    for member in members {
        let errors = told(member, "EncryptionError");
        assert!(errors.is_empty(), "{}: {errors:?}", member.identity);
    }
}

/// Two tabs with a key, and one with another.
fn two_and_a_stranger(stage: &Stage, path: Path, show: Show) {
    let browser = Browser::start(stage, &[]);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| browser.member(name));
    for (member, key) in [(&alice, KEY), (&bob, KEY), (&carol, WRONG_KEY)] {
        join(member, stage, path, key);
    }
    alice.publish(&show);
    bob.wait_show("alice", &show);
    carol.wait_event(0, "EncryptionError", "alice");
    for source in [CAMERA, MICROPHONE] {
        let came = |seen: &Seen| seen.packets > ENOUGH_PACKETS;
        let seen = carol.wait_seen("alice", source, "packets", came);
        assert_eq!((seen.frames, seen.width), (0, 0), "{seen:?}");
        assert!(seen.energy < 1e-6, "{seen:?}");
    }
    pause(&alice, &bob, &show);
    say(&alice, &bob);
    expect_no_errors(&[&alice, &bob]);
    assert!(told(&carol, "DataReceived").is_empty() && told(&carol, "TextStream").is_empty());
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browsers_v1_vp8() {
    stage::on(|stage| two_and_a_stranger(stage, Path::V1, BRIGHT.simulcast()));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browsers_v0_h264() {
    stage::on(|stage| two_and_a_stranger(stage, Path::V0, DARK.codec("h264")));
}

fn browser_and_python(stage: &Stage, path: Path, codec: &'static str) {
    let browser = Browser::start(stage, &[]);
    let (alice, bob) = (browser.member("alice"), livekit(stage, "bob"));
    let (bright, dark) = (BRIGHT.codec(codec), DARK.codec(codec));
    join(&alice, stage, path, KEY);
    join(&bob, stage, path, KEY);
    alice.publish(&bright);
    bob.publish(&dark);
    alice.wait_show("bob", &dark);
    bob.wait_show("alice", &bright);
    pause(&alice, &bob, &bright);
    pause(&bob, &alice, &dark);
    say(&alice, &bob);
    say(&bob, &alice);
    expect_no_errors(&[&alice, &bob]);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_and_python_v1_vp8() {
    stage::on(|stage| browser_and_python(stage, Path::V1, "vp8"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn browser_and_python_v0_h264() {
    stage::on(|stage| browser_and_python(stage, Path::V0, "h264"));
}
