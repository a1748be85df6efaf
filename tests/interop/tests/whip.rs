//! WHIP: what a browser, `aiortc` and GStreamer publish reaches the room.

use ringway_interop::browser::Browser;
use ringway_interop::meeting::talk_without_signalling;
use ringway_interop::member::{CAMERA, Member, PATIENCE, Path};
use ringway_interop::peer::Peer;
use ringway_interop::python::{Certificate, aiortc, gstreamer, livekit};
use ringway_interop::show::{BRIGHT, Show};
use ringway_interop::stage::{self, Stage};
use ringway_system::patience::until;
use serde_json::{Value, json};

/// What a WHIP client needs to publish `show` as `identity`.
fn arguments(stage: &Stage, identity: &str, show: &Show) -> Value {
    let mut with = show.plain_arguments();
    with["url"] = json!(format!("{}/whip/v1", stage.server.http()));
    with["token"] = json!(stage.token(identity));
    with
}

/// Asks a client that is a program of its own.
fn ask(client: &Peer, call: &str, with: &Value) -> Value {
    let answer = client.ask(&json!({ "call": call, "with": with }));
    answer.unwrap_or_else(|error| panic!("{call}: {error}"))
}

fn viewer(stage: &Stage) -> Member {
    let viewer = livekit(stage, "viewer");
    viewer.join(stage, Path::V1);
    viewer
}

/// The client publishes, the viewer sees and hears it, and is told when it ends. (GStreamer does
/// not say which cipher it uses.)
fn publish(stage: &Stage, client: &Peer) {
    let viewer = viewer(stage);
    let answer = ask(client, "whip", &arguments(stage, "camera-1", &BRIGHT));
    assert_eq!(answer["status"], 201, "{answer}");
    viewer.wait_show("camera-1", &BRIGHT);
    let sent = ask(client, "sent", &json!({}));
    assert_eq!(sent["state"], "connected", "{sent}");
    if let Some(cipher) = sent["cipher"].as_str() {
        assert!(stage.server.is_right_cipher(cipher), "{sent}");
    }
    let ended = ask(client, "end", &json!({}));
    assert_eq!(ended["status"], 200, "{ended}");
    viewer.wait_event(0, "ParticipantDisconnected", "camera-1");
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn aiortc_ecdsa() {
    stage::on(|stage| publish(stage, &aiortc(stage, Certificate::Ecdsa)));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn aiortc_rsa() {
    stage::on(|stage| publish(stage, &aiortc(stage, Certificate::Rsa)));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn gstreamer_webrtcbin() {
    stage::on(|stage| publish(stage, &gstreamer(stage)));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn chromium() {
    stage::on(|stage| publish_from_tab(stage, &Browser::start(stage, &[])));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn firefox() {
    stage::on(|stage| publish_from_tab(stage, &Browser::firefox(stage)));
}

/// Publishes, trickles, restarts ICE and ends. (Not every browser says which cipher it uses.)
fn publish_from_tab(stage: &Stage, browser: &Browser) {
    let viewer = viewer(stage);
    let tab = browser.tab("camera-1");
    let nothing = json!({});

    let answer = tab.ask("whip", &arguments(stage, "camera-1", &BRIGHT));
    assert_eq!(answer["status"], 201, "{answer}");
    assert_eq!(answer["type"], "application/sdp", "{answer}");
    assert!(answer["etag"].as_str().is_some_and(|tag| !tag.is_empty()), "{answer}");
    let trickled = tab.ask("trickle", &nothing);
    assert_eq!(trickled["status"], 204, "{trickled}");
    viewer.wait_show("camera-1", &BRIGHT);
    let sent = tab.ask("sent", &nothing);
    if let Some(cipher) = sent["cipher"].as_str() {
        assert!(stage.server.is_right_cipher(cipher), "{sent}");
    }

    let restarted = tab.ask("restart", &nothing);
    assert_eq!(restarted["status"], 200, "{restarted}");
    // RFC 9725 4.3.1: a restart starts a new session of ICE, which has a tag of its own.
    if !stage.server.is_livekit() {
        assert_ne!(restarted["ufrag"], answer["ufrag"], "{restarted}");
        assert_ne!(restarted["etag"], answer["etag"], "{restarted}");
    }
    until(PATIENCE, "the connection after the restart of ICE", || {
        let now = tab.ask("sent", &nothing);
        let fresh = now["ufrag"] != sent["ufrag"] && now["state"] == "connected";
        fresh.then_some(())
    });
    viewer.wait_pictures("camera-1", CAMERA);

    let ended = tab.ask("end", &nothing);
    assert_eq!(ended["status"], 200, "{ended}");
    viewer.wait_event(0, "ParticipantDisconnected", "camera-1");
}

/// The client publishes and has a data channel besides. (Asking it waits for its answer.)
fn talk(stage: &Stage, ask: impl Fn(&str, &Value) -> Value) {
    let viewer = viewer(stage);
    let mut with = arguments(stage, "camera-1", &BRIGHT);
    with["data"] = json!({ "chat": {} });
    let answer = ask("whip", &with);
    assert_eq!(answer["status"], 201, "{answer}");
    talk_without_signalling(&viewer, "camera-1", &ask);
    viewer.wait_show("camera-1", &BRIGHT);
    let ended = ask("end", &json!({}));
    assert_eq!(ended["status"], 200, "{ended}");
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_of_browsers() {
    let browsers: [fn(&Stage) -> Browser; 2] =
        [|stage| Browser::start(stage, &[]), Browser::firefox];
    for start in browsers {
        stage::on(|stage| {
            let tab = start(stage).tab("camera-1");
            talk(stage, |call, with| tab.ask(call, with));
        });
    }
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data_of_aiortc() {
    stage::on(|stage| {
        let client = aiortc(stage, Certificate::Ecdsa);
        talk(stage, |call, with| self::ask(&client, call, with));
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn a_bad_token_is_refused() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let tab = browser.tab("camera-1");
        let mut with = arguments(stage, "camera-1", &BRIGHT);
        with["token"] = json!("nonsense");
        let error = tab.try_ask("whip", &with).expect_err("a bad token opens nothing");
        assert!(error.contains(": 401 "), "{error}");
    });
}
