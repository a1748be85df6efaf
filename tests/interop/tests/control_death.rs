//! `kill -9` for the control plane during a call: media keeps flowing without it, and once it is
//! back the clients that can come back by themselves do. The same for forwards is in
//! `tests/system`, which needs no clients.

use ringway_interop::browser::Browser;
use ringway_interop::member::{PATIENCE, Path};
use ringway_interop::peer::Peer;
use ringway_interop::python::{Certificate, aiortc, livekit};
use ringway_interop::show::{BRIGHT, Seen};
use ringway_interop::stage::{self, Stage};
use ringway_system::patience::until;
use serde_json::{Value, json};

/// Pictures and blocks of sound that must come while the control plane is dead.
const FRAMES_WITHOUT: u64 = 45;

fn ask(client: &Peer, call: &str, with: &Value) -> Value {
    let answer = client.ask(&json!({ "call": call, "with": with }));
    answer.unwrap_or_else(|error| panic!("{call}: {error}"))
}

fn whip(stage: &Stage, identity: &str) -> Peer {
    let client = aiortc(stage, Certificate::Ecdsa);
    let mut with = BRIGHT.plain_arguments();
    with["url"] = json!(format!("{}/whip/v1", stage.server.http()));
    with["token"] = json!(stage.token(identity));
    assert_eq!(ask(&client, "whip", &with)["status"], 201);
    client
}

fn livekit_clients_come_back(path: Path) {
    stage::on(|stage| {
        let (publisher, viewer) = (livekit(stage, "anna"), livekit(stage, "viewer"));
        publisher.join(stage, path);
        viewer.join(stage, path);
        publisher.publish(&BRIGHT);
        viewer.wait_show("anna", &BRIGHT);

        // Without signalling libwebrtc's clients give their connections up by themselves, so here
        // only their return is judged.
        let before = viewer.events().len();
        stage.server.kill_controlplane();
        stage.server.start_controlplane();
        viewer.wait_event(before, "TrackSubscribed", "anna");
        viewer.wait_show("anna", &BRIGHT);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn livekit_v0() {
    livekit_clients_come_back(Path::V0);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn livekit_v1() {
    livekit_clients_come_back(Path::V1);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn whip_to_whep() {
    stage::on(|stage| {
        let publisher = whip(stage, "camera-1");
        let player = aiortc(stage, Certificate::Ecdsa);
        let url = format!("{}/whep/v1", stage.server.http());
        ask(&player, "whep", &json!({ "url": url, "token": stage.token("player") }));
        let frames = |kind: &str| {
            let played = ask(&player, "played", &json!({ "kind": kind }));
            Seen::read(&played).map_or(0, |seen| seen.frames)
        };
        let wait_more = |what| {
            let before = (frames("video"), frames("audio"));
            until(PATIENCE, what, || {
                let (pictures, sounds) = (frames("video"), frames("audio"));
                let enough = pictures >= before.0 + FRAMES_WITHOUT;
                (enough && sounds >= before.1 + FRAMES_WITHOUT).then_some(())
            });
        };
        wait_more("the show before");
        stage.server.kill_controlplane();
        wait_more("the show without a control plane");
        drop(publisher);
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn the_page_comes_back() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let url = format!("{}/?room={}", stage.server.http(), stage.room());
        let tab = browser.visit("page", &url);
        tab.ask("click", &json!({ "selector": "#start" }));
        let script = "[...document.querySelectorAll('#tiles figure:not([hidden])')]
            .map((tile) => Number(tile.dataset.frames)).at(0) ?? 0";
        let frames = || tab.ask("evaluate", &json!({ "script": script })).as_u64().unwrap_or(0);
        until(PATIENCE, "the room", || (frames() > FRAMES_WITHOUT).then_some(()));

        stage.server.kill_controlplane();
        let before = frames();
        until(PATIENCE, "media without a control plane", || {
            (frames() > before + FRAMES_WITHOUT).then_some(())
        });

        // A new session counts from the beginning.
        let last = frames();
        stage.server.start_controlplane();
        until(PATIENCE, "a new session", || (frames() < last).then_some(()));
        until(PATIENCE, "the room again", || (frames() > FRAMES_WITHOUT).then_some(()));
    });
}
