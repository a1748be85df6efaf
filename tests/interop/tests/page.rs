//! The page at `/`: one click publishes, and the room is played back.

use ringway_interop::browser::Browser;
use ringway_interop::dev_page::DevPage;
use ringway_interop::member::{CAMERA, PATIENCE, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::BRIGHT;
use ringway_interop::stage::{self, Stage};
use ringway_system::patience::until;
use serde_json::json;

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn one_click_publishes_and_plays_the_room() {
    stage::on(|stage| publish_and_play(stage, &Browser::start(stage, &[])));
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn one_click_in_firefox() {
    stage::on(|stage| publish_and_play(stage, &Browser::firefox(stage)));
}

fn publish_and_play(stage: &Stage, browser: &Browser) {
    let viewer = livekit(stage, "viewer");
    viewer.join(stage, Path::V1);
    let page = DevPage::open(stage, browser, "anna");
    page.click("#start");
    viewer.wait_pictures("anna", CAMERA);
    page.wait_tiles(1);
    assert_eq!(page.text("#room-title"), format!("Room {}", stage.room()));
    assert_eq!(page.text("#own-state"), "live");
    for measured in ["fps", "bit/s", "%", " ms", "VP8"] {
        let figures = page.text("#own-figures");
        assert!(figures.contains(measured), "{measured}: {figures}");
    }

    // Somebody who comes later gets a tile of its own.
    viewer.publish(&BRIGHT);
    page.wait_tiles(2);

    // The other source; who stops is gone for the others.
    page.click("#start");
    viewer.wait_event(0, "ParticipantDisconnected", "anna");
    page.evaluate("document.querySelector('[value=pattern]').click()");
    viewer.ask("leave", &json!({}));
    page.click("#start");
    page.wait_pattern();
    page.screenshot();
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn what_goes_wrong_is_said() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let page = DevPage::open(stage, &browser, "anna");
        page.evaluate("document.getElementById('room').value = 'x'.repeat(300)");
        page.click("#watch");
        until(PATIENCE, "a reason", || page.text("#message").contains("256 bytes").then_some(()));
        assert_eq!(page.text("#room-state"), "ended");
    });
}
