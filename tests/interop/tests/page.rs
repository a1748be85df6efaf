//! The page at `/`: one click publishes, and the room is played back.

use ringway_interop::browser::{Browser, Tab};
use ringway_interop::member::{CAMERA, PATIENCE, Path};
use ringway_interop::python::livekit;
use ringway_interop::show::BRIGHT;
use ringway_interop::stage::{self, Stage};
use ringway_system::patience::until;
use serde_json::{Value, json};

/// The outer bars of the page's test pattern, the left one and the right one.
const BARS: [[i64; 3]; 2] = [[232, 232, 232], [58, 85, 217]];
/// Colour conversion and compression change a channel by less.
const TOLERANCE: i64 = 45;

/// Pictures decoded by each tile that is shown.
const DECODED: &str = "[...document.querySelectorAll('#tiles figure:not([hidden])')]
    .map((tile) => Number(tile.dataset.frames))";

/// Colours of the outer bars in the first tile; null before its first picture.
const COLOURS: &str = "(() => {
    const video = document.querySelector('#tiles figure:not([hidden]) video');
    if (!video?.videoWidth) return null;
    const canvas = new OffscreenCanvas(64, 36);
    const brush = canvas.getContext('2d');
    brush.drawImage(video, 0, 0, 64, 36);
    return [4, 60].map((x) => [...brush.getImageData(x, 4, 1, 1).data].slice(0, 3));
})()";

fn open(stage: &Stage, browser: &Browser, name: &str) -> Tab {
    let url = format!("{}/?room={}", stage.server.http(), stage.room());
    let tab = browser.visit(name, &url);
    evaluate(&tab, &format!("document.getElementById('identity').value = '{name}'"));
    tab
}

fn evaluate(tab: &Tab, script: &str) -> Value {
    tab.ask("evaluate", &json!({ "script": script }))
}

fn click(tab: &Tab, selector: &str) {
    tab.ask("click", &json!({ "selector": selector }));
}

fn text(tab: &Tab, selector: &str) -> String {
    tab.ask("text", &json!({ "selector": selector })).as_str().unwrap_or_default().to_owned()
}

/// Waits until as many tiles play, each with pictures that really were decoded.
fn wait_tiles(tab: &Tab, count: usize) {
    until(PATIENCE, "the tiles of the room", || {
        let decoded = evaluate(tab, DECODED);
        let decoded: Vec<u64> = decoded.as_array()?.iter().filter_map(Value::as_u64).collect();
        (decoded.len() == count && decoded.iter().all(|frames| *frames > 20)).then_some(())
    });
}

fn shows_bars(tab: &Tab) -> bool {
    let colours: Option<[[i64; 3]; 2]> = serde_json::from_value(evaluate(tab, COLOURS)).ok();
    let near =
        |(a, b): (&[i64; 3], &[i64; 3])| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE);
    colours.is_some_and(|colours| colours.iter().zip(&BARS).all(near))
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn one_click_publishes_and_plays_the_room() {
    stage::on(|stage| {
        let viewer = livekit(stage, "viewer");
        viewer.join(stage, Path::V1);
        let browser = Browser::start(stage, &[]);
        let tab = open(stage, &browser, "anna");
        click(&tab, "#start");
        viewer.wait_pictures("anna", CAMERA);
        wait_tiles(&tab, 1);
        assert_eq!(text(&tab, "#room-title"), format!("Room {}", stage.room()));
        assert_eq!(text(&tab, "#own-state"), "live");
        for measured in ["fps", "bit/s", "%", " ms", "VP8"] {
            let figures = text(&tab, "#own-figures");
            assert!(figures.contains(measured), "{measured}: {figures}");
        }

        // Somebody who comes later gets a tile of its own.
        viewer.publish(&BRIGHT);
        wait_tiles(&tab, 2);

        // The other source; who stops is gone for the others.
        click(&tab, "#start");
        viewer.wait_event(0, "ParticipantDisconnected", "anna");
        evaluate(&tab, "document.querySelector('[value=pattern]').click()");
        viewer.ask("leave", &json!({}));
        click(&tab, "#start");
        until(PATIENCE, "the pattern in the room", || shows_bars(&tab).then_some(()));
        if let Some(file) = std::env::var_os("RINGWAY_TEST_SCREENSHOT") {
            tab.ask("screenshot", &json!({ "file": file.to_string_lossy() }));
        }
    });
}

#[test]
#[ignore = "needs browsers and further clients: make test-calls"]
fn what_goes_wrong_is_said() {
    stage::on(|stage| {
        let browser = Browser::start(stage, &[]);
        let tab = open(stage, &browser, "anna");
        evaluate(&tab, "document.getElementById('room').value = 'x'.repeat(300)");
        click(&tab, "#watch");
        until(PATIENCE, "a reason", || text(&tab, "#message").contains("256 bytes").then_some(()));
        assert_eq!(text(&tab, "#room-state"), "ended");
    });
}
