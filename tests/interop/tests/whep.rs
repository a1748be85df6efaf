//! WHEP: browsers and `aiortc` play what is published in the room.

use ringway_interop::browser::Browser;
use ringway_interop::meeting::talk_without_signalling;
use ringway_interop::member::{Member, PATIENCE, Path};
use ringway_interop::python::{Certificate, aiortc, livekit};
use ringway_interop::show::{BRIGHT, Seen};
use ringway_interop::stage::{self, Stage};
use ringway_system::patience::until;
use serde_json::{Value, json};

fn publisher(stage: &Stage) -> Member {
    let publisher = livekit(stage, "camera-1");
    publisher.join(stage, Path::V1);
    publisher.publish(&BRIGHT);
    publisher
}

fn arguments(stage: &Stage) -> Value {
    json!({
        "url": format!("{}/whep/v1", stage.server.http()),
        "token": stage.token("player"),
    })
}

/// Plays until the show is seen and heard, then ends.
fn play(stage: &Stage, ask: impl Fn(&str, &Value) -> Value) {
    let publisher = publisher(stage);
    let answer = ask("whep", &arguments(stage));
    assert_eq!(answer["status"], 201, "{answer}");
    let played = |kind: &str| Seen::read(&ask("played", &json!({ "kind": kind })));
    until(PATIENCE, "the colours by WHEP", || {
        played("video").filter(|seen| seen.frames > 20 && BRIGHT.is_seen(seen))
    });
    until(PATIENCE, "the tone by WHEP", || played("audio").filter(|seen| BRIGHT.is_heard(seen)));
    let ended = ask("end", &json!({}));
    assert_eq!(ended["status"], 200, "{ended}");
    publisher.ask("leave", &json!({}));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn chromium() {
    stage::on(|stage| play_in_tab(stage, &Browser::start(stage, &[])));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn firefox() {
    stage::on(|stage| play_in_tab(stage, &Browser::firefox(stage)));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_of_a_player() {
    stage::on(|stage| {
        let tab = Browser::start(stage, &[]).tab("player");
        let publisher = publisher(stage);
        let mut with = arguments(stage);
        with["data"] = json!({ "chat": { "ordered": false } });
        let answer = tab.ask("whep", &with);
        assert_eq!(answer["status"], 201, "{answer}");
        talk_without_signalling(&publisher, "player", |call, with| tab.ask(call, with));
    });
}

fn play_in_tab(stage: &Stage, browser: &Browser) {
    let tab = browser.tab("player");
    play(stage, |call, with| tab.ask(call, with));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn aiortc_ecdsa() {
    stage::on(|stage| play_with_aiortc(stage, Certificate::Ecdsa));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn aiortc_rsa() {
    stage::on(|stage| play_with_aiortc(stage, Certificate::Rsa));
}

fn play_with_aiortc(stage: &Stage, certificate: Certificate) {
    let client = aiortc(stage, certificate);
    play(stage, |call, with| {
        let answer = client.ask(&json!({ "call": call, "with": with }));
        answer.unwrap_or_else(|error| panic!("{call}: {error}"))
    });
}
