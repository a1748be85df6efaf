//! Chromium and Firefox, and their tabs.

use std::path::Path;
use std::process::Command;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::clients::{folder, program, script};
use crate::member::Member;
use crate::peer::Peer;
use crate::stage::Stage;

/// A running browser with fake camera and microphone; Chromium has a fake screen, too.
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
    /// Starts Chromium, with further `flags`.
    ///
    /// # Panics
    /// When there is none: a test that is skipped proves nothing.
    pub fn start(stage: &Stage, flags: &[&str]) -> Self {
        let program = program(&["chromium", "chromium-browser", "google-chrome"]);
        let program = program.expect("Chromium is missing: run tests/need chromium");
        Self::launch(stage, "chromium", &program, flags)
    }

    /// Starts Firefox.
    ///
    /// # Panics
    /// When there is none: a test that is skipped proves nothing.
    pub fn firefox(stage: &Stage) -> Self {
        let program = program(&["firefox-esr", "firefox"]);
        let program = program.expect("Firefox is missing: run tests/need firefox");
        Self::launch(stage, "firefox", &program, &[])
    }

    fn launch(stage: &Stage, kind: &str, program: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new("node");
        // Node 20 has it, but hides it.
        command.arg("--experimental-websocket");
        command.arg(script("browser/browser.mjs")).arg(kind).arg(program).args(flags);
        // A profile that nobody removed goes with the stage.
        command.env("RINGWAY_CLIENTS", folder()).env("TMPDIR", stage.folder());
        Self { peer: Rc::new(Peer::start(kind, command, stage.folder())) }
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
    /// Calls a function of the page, or `click`, `text`, `evaluate`, `screenshot`, `close` of the
    /// tab itself.
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

    /// Paths of the WebSockets that a page of calls has opened.
    pub fn sockets(&self) -> Vec<String> {
        let answer = self.ask("sockets", &json!({}));
        let paths = answer.as_array().into_iter().flatten();
        paths.filter_map(|path| path.as_str().map(str::to_owned)).collect()
    }
}
