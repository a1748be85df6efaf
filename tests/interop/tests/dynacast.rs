//! What a publisher sends follows what subscribers want and can decode: layers that nobody watches
//! are not sent ("dynacast"), and who cannot decode a codec gets its backup.

use ringway_interop::browser::Browser;
use ringway_interop::member::{CAMERA, Member, Path};
use ringway_interop::show::Sent;
use ringway_interop::stage::{self, Stage};
use serde_json::json;

/// What the unmodified client takes for Firefox, which gets no AV1.
const FIREFOX: &str = "--user-agent=Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 \
                       Firefox/140.0";

/// LiveKit's numbers of the policies.
const SIMULCAST: u32 = 1;
const REGRESSION: u32 = 2;

fn wait_rids(member: &Member, active: &[&str]) {
    member.wait_sending(CAMERA, &format!("only {active:?}"), |layers| {
        layers.len() == 3 && layers.iter().all(|one| one.active == active.contains(&&*one.rid))
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_v0() {
    stage::on(|stage| pause_layers(stage, Path::V0));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_v1() {
    stage::on(|stage| pause_layers(stage, Path::V1));
}

fn pause_layers(stage: &Stage, path: Path) {
    let browser = Browser::start(stage, &[]);
    let (alice, bob) = (browser.member("alice"), browser.member("bob"));
    alice.join_with(stage, path, &json!({ "dynacast": true }));
    let camera = json!({ "width": 960, "height": 540, "codec": "vp8", "simulcast": true });
    alice.ask("camera", &camera);
    // Nobody watches.
    wait_rids(&alice, &[]);
    bob.join(stage, path);
    bob.wait_pictures("alice", CAMERA);
    wait_rids(&alice, &["q", "h", "f"]);
    for (name, active) in [("LOW", &["q"][..]), ("MEDIUM", &["q", "h"]), ("HIGH", &["q", "h", "f"])]
    {
        let what = json!({ "identity": "alice", "source": CAMERA, "quality": name });
        bob.ask("quality", &what);
        wait_rids(&alice, active);
        bob.wait_pictures("alice", CAMERA);
    }
    bob.wait_seen("alice", CAMERA, "the highest layer", |seen| seen.height.abs_diff(540) < 20);
    bob.ask("leave", &json!({}));
    wait_rids(&alice, &[]);
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn backup_codec_beside_the_first() {
    stage::on(|stage| need_backup(stage, SIMULCAST));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn backup_codec_for_everybody() {
    stage::on(|stage| need_backup(stage, REGRESSION));
}

/// Alice sends AV1; Carol decodes that, Bob does not.
fn need_backup(stage: &Stage, policy: u32) {
    let (browser, other) = (Browser::start(stage, &[]), Browser::start(stage, &[FIREFOX]));
    let (alice, carol, bob) =
        (browser.member("alice"), browser.member("carol"), other.member("bob"));
    alice.join_with(stage, Path::V1, &json!({ "dynacast": true }));
    carol.join(stage, Path::V1);
    alice.ask(
        "camera",
        &json!({
            "width": 640, "height": 360, "codec": "av1", "simulcast": false,
            "more": { "backupCodecPolicy": policy, "scalabilityMode": "L1T1" },
        }),
    );
    assert_eq!(carol.wait_pictures("alice", CAMERA).codec, "video/AV1");
    bob.join(stage, Path::V0);
    assert_eq!(bob.wait_pictures("alice", CAMERA).codec, "video/VP8");
    let sent = |codec: &'static str| move |one: &&Sent| one.codec == codec && one.active;
    if policy == REGRESSION {
        carol.wait_seen("alice", CAMERA, "the backup codec", |seen| seen.codec == "video/VP8");
        alice.wait_sending(CAMERA, "no AV1", |layers| {
            layers.iter().all(|one| one.codec != "video/AV1" || !one.active)
                && layers.iter().any(|one| sent("video/VP8")(&one))
        });
    } else {
        alice.wait_sending(CAMERA, "both codecs", |layers| {
            let both = ["video/AV1", "video/VP8"];
            both.iter().all(|codec| layers.iter().any(|one| sent(codec)(&one)))
        });
        let seen = carol.watch("alice", CAMERA).expect("a subscription");
        assert_eq!(seen.codec, "video/AV1", "{seen:?}");
    }
    carol.wait_pictures("alice", CAMERA);
    bob.wait_pictures("alice", CAMERA);
}
