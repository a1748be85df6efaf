//! Browsers and the unmodified `livekit` package (libwebrtc in Rust) in one room.

use ringway_interop::browser::Browser;
use ringway_interop::meeting::{meet, send_files, subscribe_again, talk};
use ringway_interop::member::{MICROPHONE, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::{BRIGHT, DARK};
use ringway_interop::stage;
use serde_json::json;

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
        subscribe_again(&bob, "alice", &BRIGHT);
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

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_between_browser_and_python() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (browser.member(alice), livekit(stage, bob));
            alice.join(stage, path);
            bob.join(stage, path);
            alice.wait_event(0, "ParticipantConnected", &bob.identity);
            talk(&alice, &bob);
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn files_between_browser_and_python() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), livekit(stage, "bob"));
        alice.join(stage, Path::V1);
        bob.join(stage, Path::V0);
        alice.wait_event(0, "ParticipantConnected", "bob");
        send_files(&alice, &bob);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_tracks_between_browser_and_python() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        for (path, alice, bob) in [(Path::V1, "alice", "bob"), (Path::V0, "carol", "dave")] {
            let (alice, bob) = (browser.member(alice), livekit(stage, bob));
            alice.join(stage, path);
            bob.join(stage, path);
            alice.wait_event(0, "ParticipantConnected", &bob.identity);
            for (from, to) in [(&alice, &bob), (&bob, &alice)] {
                let before = to.events().len();
                from.ask("publish_data", &json!({ "name": "place" }));
                let known = to.wait_event(before, "DataTrackPublished", &from.identity);
                // One that fits into a packet, and one that does not. What comes before the
                // subscription stands is lost.
                for length in [10, 30_000] {
                    let text = "x".repeat(length);
                    let frame = json!([length, text.chars().take(20).collect::<String>()]);
                    let came = |one: &serde_json::Value| {
                        one["event"] == "DataFrame" && one["what"] == frame
                    };
                    to.wait(&format!("a frame of {length}"), || {
                        from.ask("push", &json!({ "text": text }));
                        to.events()[known..].iter().any(came).then_some(())
                    });
                }
                from.ask("unpublish_data", &json!({}));
                to.wait("the end of the track", || {
                    let gone = |one: &serde_json::Value| one["event"] == "DataTrackUnpublished";
                    to.events()[known..].iter().any(gone).then_some(())
                });
            }
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn chat_between_browsers() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), browser.member("bob"));
        alice.join(stage, Path::V1);
        bob.join(stage, Path::V0);
        alice.wait_event(0, "ParticipantConnected", "bob");
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.ask("chat", &json!({ "text": "good evening" }));
            to.wait_event(0, "ChatMessage", &from.identity);
            let said = to.events().into_iter().filter(|one| one["event"] == "ChatMessage");
            let from_other = said.filter(|one| one["who"] == json!(from.identity));
            assert!(from_other.map(|one| one["what"].clone()).eq([json!("good evening")]));
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn transcriptions_come_from_agents_only() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let (alice, bob) = (browser.member("alice"), livekit(stage, "bob"));
        let carol = livekit(stage, "carol");
        alice.join(stage, Path::V1);
        bob.join(stage, Path::V1);
        carol.join_as_agent(stage, Path::V1);
        for other in ["bob", "carol"] {
            alice.wait_event(0, "ParticipantConnected", other);
        }
        bob.ask("transcribe", &json!({ "of": "alice", "text": "not an agent" }));
        carol.ask("transcribe", &json!({ "of": "alice", "text": "good evening" }));
        alice.wait_event(0, "Transcription", "alice");
        let heard = alice.events().into_iter().filter(|one| one["event"] == "Transcription");
        assert!(heard.map(|one| one["what"].clone()).eq([json!(["good evening"])]));
    });
}
