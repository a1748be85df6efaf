//! VP9 and AV1 with all sizes in one stream, and in a stream for each: whoever asks for a size gets
//! it, and pictures go on.

use ringway_interop::browser::Browser;
use ringway_interop::member::{CAMERA, Member, Path};
use ringway_interop::stage::{self, Stage};
use serde_json::{Value, json};

/// The camera's height.
const HEIGHT: u64 = 540;

/// What each quality should show of it: layers of one stream halve their size, a stream for each
/// size has livekit-client's presets.
fn sizes(simulcast: bool) -> [(&'static str, u64); 5] {
    let (low, medium) = if simulcast { (180, 360) } else { (HEIGHT / 4, HEIGHT / 2) };
    [("LOW", low), ("MEDIUM", medium), ("HIGH", HEIGHT), ("LOW", low), ("HIGH", HEIGHT)]
}

/// Encoders round sizes to what they like.
const TOLERANCE: u64 = 20;

fn publish(member: &Member, codec: &str, simulcast: bool, mode: &str) {
    let camera = json!({
        "width": 960, "height": HEIGHT, "codec": codec, "simulcast": simulcast,
        "more": { "scalabilityMode": mode, "backupCodec": false },
    });
    member.ask("camera", &camera);
}

/// One asks for one size after the other, another one looks at the highest all the time.
fn watch_sizes(stage: &Stage, path: Path, codec: &str, simulcast: bool, mode: &str) {
    let browser = Browser::start(stage, &[]);
    let (alice, bob) = (browser.member("alice"), browser.member("bob"));
    alice.join(stage, path);
    bob.join(stage, path);
    publish(&alice, codec, simulcast, mode);
    let mime = format!("video/{}", codec.to_uppercase());
    assert_eq!(bob.wait_pictures("alice", CAMERA).codec, mime);
    for (name, height) in sizes(simulcast) {
        let what = json!({ "identity": "alice", "source": CAMERA, "quality": name });
        bob.ask("quality", &what);
        bob.wait_seen("alice", CAMERA, &format!("{name}: a height of {height}"), |seen| {
            seen.height.abs_diff(height) < TOLERANCE
        });
        let seen = bob.wait_pictures("alice", CAMERA);
        assert!(seen.height.abs_diff(height) < TOLERANCE, "{name}: {seen:?}");
    }
    let layers = alice.ask("sending", &json!({ "source": CAMERA }));
    let count = layers.as_array().map_or(0, Vec::len);
    assert_eq!(count, if simulcast { 3 } else { 1 }, "{layers}");
    let _: Value = alice.ask("leave", &json!({}));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn vp9_in_one_stream_v1() {
    stage::on(|stage| watch_sizes(stage, Path::V1, "vp9", false, "L3T3_KEY"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn vp9_in_one_stream_v0() {
    stage::on(|stage| watch_sizes(stage, Path::V0, "vp9", false, "L3T3"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn av1_in_one_stream_v1() {
    stage::on(|stage| watch_sizes(stage, Path::V1, "av1", false, "L3T3_KEY"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn av1_in_one_stream_v0() {
    stage::on(|stage| watch_sizes(stage, Path::V0, "av1", false, "L3T3"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn vp9_in_a_stream_for_each_size() {
    stage::on(|stage| watch_sizes(stage, Path::V1, "vp9", true, "L1T3"));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn av1_in_a_stream_for_each_size() {
    stage::on(|stage| watch_sizes(stage, Path::V1, "av1", true, "L1T3"));
}
