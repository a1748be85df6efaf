//! Firefox with the unmodified `livekit-client`, in one room with Chromium.
//!
//! WHIP, WHEP and the page at `/` in Firefox are in `whip.rs`, `whep.rs` and `page.rs`.

use ringway_interop::browser::Browser;
use ringway_interop::meeting::{meet, send_files, switch_layers, talk};
use ringway_interop::member::{CAMERA, MICROPHONE, Member, Path};
use ringway_interop::show::{BRIGHT, DARK, Seen};
use ringway_interop::stage::{self, Stage};
use serde_json::{Value, json};

/// A tab of Firefox and a tab of Chromium.
struct Pair {
    fox: Member,
    other: Member,
    _browsers: [Browser; 2],
}

impl Pair {
    fn open(stage: &Stage) -> Self {
        let browsers = [Browser::firefox(stage), Browser::start(stage, &[])];
        let (fox, other) = (browsers[0].member("fox"), browsers[1].member("other"));
        Self { fox, other, _browsers: browsers }
    }

    fn join(stage: &Stage, path: Path) -> Self {
        let pair = Self::open(stage);
        pair.fox.join(stage, path);
        pair.other.join(stage, path);
        pair
    }

    /// Both publish, and see and hear each other.
    fn show(stage: &Stage, path: Path) -> Self {
        let pair = Self::open(stage);
        meet(stage, path, (&pair.fox, BRIGHT), (&pair.other, DARK));
        pair
    }

    fn wait_shows(&self) {
        self.other.wait_show("fox", &BRIGHT);
        self.fox.wait_show("other", &DARK);
    }

    /// Both leave, so that others can have their names.
    fn leave(&self) {
        self.fox.ask("leave", &json!({}));
        self.other.ask("leave", &json!({}));
    }
}

/// A fake camera that clients make three layers of.
fn camera() -> Value {
    json!({ "width": 960, "height": 540, "codec": "vp8", "simulcast": true })
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn firefox_and_chromium_v1() {
    stage::on(|stage| {
        let pair = Pair::open(stage);
        meet(stage, Path::V1, (&pair.fox, BRIGHT), (&pair.other, DARK.simulcast()));
        pair.fox.wait_speaker("other");
        pair.other.wait_speaker("fox");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn firefox_and_chromium_v0() {
    stage::on(|stage| {
        let pair = Pair::open(stage);
        meet(stage, Path::V0, (&pair.fox, BRIGHT.simulcast()), (&pair.other, DARK));
    });
}

/// A Firefox without Mozilla's plug-in decodes no H264: it gets the publisher's backup.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn h264_or_its_backup() {
    stage::on(|stage| {
        for path in [Path::V1, Path::V0] {
            let pair = Pair::join(stage, path);
            pair.other.publish(&BRIGHT.codec("h264"));
            let seen = pair.fox.wait_show("other", &BRIGHT);
            let decodes = pair.fox.ask("decodes", &json!({}));
            let h264 = decodes.as_array().is_some_and(|all| all.contains(&json!("video/H264")));
            let expect = if h264 { "video/H264" } else { "video/VP8" };
            assert_eq!(seen.codec, expect, "{seen:?}");
            pair.leave();
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn cameras_and_microphones() {
    stage::on(|stage| {
        let pair = Pair::join(stage, Path::V1);
        for member in [&pair.fox, &pair.other] {
            member.ask("camera", &camera());
            member.ask("microphone", &json!({}));
        }
        for (viewer, whom) in [(&pair.fox, "other"), (&pair.other, "fox")] {
            let seen = viewer.wait_pictures(whom, CAMERA);
            assert_eq!(seen.codec, "video/VP8", "{seen:?}");
            let heard = viewer.wait_seen(whom, MICROPHONE, "sound", |seen| seen.energy > 0.0);
            viewer.wait_seen(whom, MICROPHONE, "more sound", |seen| seen.energy > heard.energy);
        }
        pair.fox.ask("leave", &json!({}));
        pair.other.wait_event(0, "ParticipantDisconnected", "fox");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_for_chromium() {
    stage::on(|stage| {
        let pair = Pair::join(stage, Path::V1);
        pair.fox.ask("camera", &camera());
        pair.other.wait_pictures("fox", CAMERA);
        switch_layers(&pair.other, "fox");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn layers_for_firefox() {
    stage::on(|stage| {
        let pair = Pair::join(stage, Path::V0);
        pair.other.ask("camera", &camera());
        pair.fox.wait_pictures("other", CAMERA);
        switch_layers(&pair.fox, "other");
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn data() {
    stage::on(|stage| {
        for path in [Path::V1, Path::V0] {
            let pair = Pair::join(stage, path);
            pair.fox.wait_event(0, "ParticipantConnected", "other");
            talk(&pair.fox, &pair.other);
            send_files(&pair.fox, &pair.other);
            pair.leave();
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn mute_and_unmute() {
    stage::on(|stage| {
        let pair = Pair::show(stage, Path::V1);
        let before = pair.other.events().len();
        for source in [CAMERA, MICROPHONE] {
            pair.fox.ask("mute", &json!({ "source": source, "muted": true }));
        }
        let muted = pair.other.wait_event(before, "TrackMuted", "fox");
        pair.other.wait_still("fox", CAMERA);
        let silent = |seen: &Seen| !BRIGHT.is_heard(seen);
        pair.other.wait_seen("fox", MICROPHONE, "silence", silent);
        for source in [CAMERA, MICROPHONE] {
            pair.fox.ask("mute", &json!({ "source": source, "muted": false }));
        }
        pair.other.wait_event(muted, "TrackUnmuted", "fox");
        pair.other.wait_show("fox", &BRIGHT);
    });
}

/// The signalling is cut, a resume fails, all of it begins anew.
#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn reconnects() {
    stage::on(|stage| {
        for path in [Path::V1, Path::V0] {
            let pair = Pair::show(stage, path);
            for scenario in ["signal-reconnect", "resume-reconnect", "full-reconnect"] {
                let before = pair.fox.events().len();
                pair.fox.ask("simulate", &json!({ "scenario": scenario }));
                pair.fox.wait_told(before, "Reconnected");
                pair.wait_shows();
            }
            pair.leave();
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn dataplane_killed() {
    stage::on(|stage| {
        for path in [Path::V1, Path::V0] {
            let pair = Pair::show(stage, path);
            let before = pair.fox.events().len();
            stage.server.restart_dataplane();
            pair.fox.wait_event(before, "TrackSubscribed", "other");
            pair.wait_shows();
            pair.leave();
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn controlplane_killed() {
    stage::on(|stage| {
        let pair = Pair::show(stage, Path::V1);
        let before = pair.fox.events().len();
        stage.server.kill_controlplane();
        // Media needs nobody who signals.
        pair.fox.wait_pictures("other", CAMERA);
        pair.other.wait_pictures("fox", CAMERA);
        stage.server.start_controlplane();
        pair.fox.wait_event(before, "TrackSubscribed", "other");
        pair.wait_shows();
    });
}
