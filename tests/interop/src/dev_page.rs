//! The server's own page at `/` in a tab: what a person sees there and clicks.

use ringway_system::patience::until;
use serde_json::{Value, json};

use crate::browser::{Browser, Tab};
use crate::member::PATIENCE;
use crate::stage::Stage;

/// The outer bars of the page's test pattern, the left one and the right one.
const BARS: [[i64; 3]; 2] = [[232, 232, 232], [58, 85, 217]];
/// Colour conversion and compression change a channel by less.
const TOLERANCE: i64 = 45;

/// Pictures of a tile, so that it is not only the first key frame.
const ENOUGH_FRAMES: u64 = 20;

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

/// The page, for one room and one person.
#[derive(Debug)]
pub struct DevPage {
    tab: Tab,
}

impl DevPage {
    /// Opens it for somebody in the stage's room.
    pub fn open(stage: &Stage, browser: &Browser, name: &str) -> Self {
        let url = format!("{}/?room={}", stage.server.http(), stage.room());
        let page = Self { tab: browser.visit(name, &url) };
        page.evaluate(&format!("document.getElementById('identity').value = '{name}'"));
        page
    }

    /// Runs a script.
    pub fn evaluate(&self, script: &str) -> Value {
        self.tab.ask("evaluate", &json!({ "script": script }))
    }

    /// Clicks.
    pub fn click(&self, selector: &str) {
        self.tab.ask("click", &json!({ "selector": selector }));
    }

    /// Text of an element.
    pub fn text(&self, selector: &str) -> String {
        let text = self.tab.ask("text", &json!({ "selector": selector }));
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until as many tiles play, each with pictures that really were decoded.
    pub fn wait_tiles(&self, count: usize) {
        until(PATIENCE, "the tiles of the room", || {
            let decoded = self.evaluate(DECODED);
            let decoded: Vec<u64> = decoded.as_array()?.iter().filter_map(Value::as_u64).collect();
            let all_play = decoded.iter().all(|frames| *frames > ENOUGH_FRAMES);
            (decoded.len() == count && all_play).then_some(())
        });
    }

    /// Waits until the first tile shows the page's test pattern.
    pub fn wait_pattern(&self) {
        until(PATIENCE, "the pattern in the room", || self.shows_bars().then_some(()));
    }

    /// Keeps a picture of it where `RINGWAY_TEST_SCREENSHOT` says.
    pub fn screenshot(&self) {
        if let Some(file) = std::env::var_os("RINGWAY_TEST_SCREENSHOT") {
            self.tab.ask("screenshot", &json!({ "file": file.to_string_lossy() }));
        }
    }

    fn shows_bars(&self) -> bool {
        let colours = serde_json::from_value::<Option<[[i64; 3]; 2]>>(self.evaluate(COLOURS));
        let near = |(a, b): (&[i64; 3], &[i64; 3])| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= TOLERANCE)
        };
        colours.ok().flatten().is_some_and(|colours| colours.iter().zip(&BARS).all(near))
    }
}
