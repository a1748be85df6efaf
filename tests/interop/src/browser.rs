//! Chromium, and its tabs.

use std::process::Command;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::clients::{folder, program, script};
use crate::member::Member;
use crate::peer::Peer;
use crate::stage::Stage;

/// A running Chromium with fake camera, microphone and screen.
#[derive(Debug)]
pub struct Browser {
    peer: Rc<Peer>,
}

/// One tab, with the page of `browser/page.html` or any other.
#[derive(Debug, Clone)]
pub struct Tab {
    peer: Rc<Peer>,
    name: String,
}

impl Browser {
    /// Starts it, with further `flags`.
    ///
    /// # Panics
    /// When there is no Chromium: a test that is skipped proves nothing.
    pub fn start(stage: &Stage, flags: &[&str]) -> Self {
        let chromium = program(&["chromium", "chromium-browser", "google-chrome"]);
        let chromium = chromium.expect("Chromium is missing: run tests/need chromium");
        let mut command = Command::new("node");
        command.arg(script("browser/browser.mjs")).args(flags);
        command.env("RINGWAY_CLIENTS", folder()).env("RINGWAY_CHROMIUM", chromium);
        Self { peer: Rc::new(Peer::start("browser", command, stage.folder())) }
    }

    /// Opens a tab that can take part in calls.
    pub fn tab(&self, name: &str) -> Tab {
        self.open(name, &json!({}))
    }

    /// Opens a tab with any page.
    pub fn visit(&self, name: &str, url: &str) -> Tab {
        self.open(name, &json!({ "url": url }))
    }

    /// Opens a tab as a member of a room.
    pub fn member(&self, name: &str) -> Member {
        Member::in_tab(name, self.tab(name))
    }

    fn open(&self, name: &str, with: &Value) -> Tab {
        let tab = Tab { peer: Rc::clone(&self.peer), name: name.to_owned() };
        tab.ask("open", with);
        tab
    }
}

impl Tab {
    /// Calls a function of the page, or `sockets`, `click`, `text`, `evaluate`, `screenshot`,
    /// `close` of the tab itself.
    ///
    /// # Errors
    /// What the page threw.
    pub fn try_ask(&self, call: &str, with: &Value) -> Result<Value, String> {
        self.peer.ask(&json!({ "tab": self.name, "call": call, "with": with }))
    }

    /// The same, for what must go well.
    ///
    /// # Panics
    /// When it does not.
    pub fn ask(&self, call: &str, with: &Value) -> Value {
        self.try_ask(call, with)
            .unwrap_or_else(|error| panic!("{}: {call} {with}: {error}", self.name))
    }

    /// Paths of the WebSockets that the page has opened.
    pub fn sockets(&self) -> Vec<String> {
        let answer = self.ask("sockets", &json!({}));
        let paths = answer.as_array().into_iter().flatten();
        paths.filter_map(|path| path.as_str().map(str::to_owned)).collect()
    }
}
