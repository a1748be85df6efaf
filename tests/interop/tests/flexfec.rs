//! Chromium that sends repairs of its pictures along (FlexFEC-03), as it does when it is told to.

use ringway_interop::browser::Browser;
use ringway_interop::member::{CAMERA, Path};
use ringway_interop::stage::{self, Stage};
use serde_json::json;

const FLEXFEC: &str = "--force-fieldtrials=WebRTC-FlexFEC-03-Advertised/Enabled/\
                       WebRTC-FlexFEC-03/Enabled/";

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn pictures_are_recovered_v0() {
    stage::on_repaired(|stage| recover(stage, Path::V0));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn pictures_are_recovered_v1() {
    stage::on_repaired(|stage| recover(stage, Path::V1));
}

fn recover(stage: &Stage, path: Path) {
    let (browser, other) = (Browser::start(stage, &[FLEXFEC]), Browser::start(stage, &[]));
    let (alice, bob) = (browser.member("alice"), other.member("bob"));
    alice.join(stage, path);
    bob.join(stage, path);
    // libwebrtc protects no simulcast.
    let camera = json!({ "width": 640, "height": 360, "codec": "vp8", "simulcast": false });
    alice.ask("camera", &camera);
    bob.wait_pictures("alice", CAMERA);
    // Where nothing is lost, or the way is so short that asking again is as good, none are sent.
    if !stage.worsen("8%", "40ms") {
        return eprintln!("the network loses nothing: only the negotiation was tried");
    }
    for kind in ["kind=\"received\"", "kind=\"recovered\""] {
        alice.wait(kind, || {
            (stage.server.metric_of("ringway_fec_packets_total", kind) > 0.0).then_some(())
        });
    }
    bob.wait_pictures("alice", CAMERA);
    assert!(stage.server.metric_of("ringway_packets_dropped_total", "reason=\"fec\"") == 0.0);
}
