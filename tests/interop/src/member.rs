//! Somebody in a room, whatever the client: joins, publishes, watches the others.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use ringway_system::patience::until;
use serde_json::{Value, json};

use crate::browser::Tab;
use crate::pass::Pass;
use crate::peer::Peer;
use crate::show::{Seen, Sent, Show};
use crate::stage::Stage;

/// Media comes within a second or two, higher layers and reports of quality a few seconds later; a
/// machine with two cores that encodes and decodes everything itself may take its time.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Between two questions. Raised: tests take longer; lowered: asking slows what is asked about.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Pictures that must come, so that it is not only the first key frame.
const ENOUGH_FRAMES: u64 = 15;

/// Sources, as all clients call them.
pub const CAMERA: &str = "camera";
/// See [`CAMERA`].
pub const MICROPHONE: &str = "microphone";
/// See [`CAMERA`].
pub const SCREEN: &str = "screen_share";

/// Which of LiveKit's two signalling paths a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `/rtc`: one peer connection for each direction.
    V0,
    /// `/rtc/v1`: one for both.
    V1,
}

/// A client and who it is.
#[derive(Debug)]
pub struct Member {
    /// Identity in the room.
    pub identity: String,
    client: Client,
    /// What it was last asked and answered, for a test that fails.
    last: RefCell<String>,
}

#[derive(Debug)]
enum Client {
    Tab(Tab),
    Program(Peer),
}

impl Member {
    pub(crate) fn in_tab(identity: &str, tab: Tab) -> Self {
        let client = Client::Tab(tab);
        Self { identity: identity.to_owned(), client, last: RefCell::default() }
    }

    pub(crate) fn of_program(identity: &str, peer: Peer) -> Self {
        let client = Client::Program(peer);
        Self { identity: identity.to_owned(), client, last: RefCell::default() }
    }

    /// Calls one of the functions of the client's script.
    ///
    /// # Panics
    /// When it goes wrong there.
    pub fn ask(&self, call: &str, with: &Value) -> Value {
        let answer = match &self.client {
            Client::Tab(tab) => tab.try_ask(call, with),
            Client::Program(peer) => peer.ask(&json!({ "call": call, "with": with })),
        };
        *self.last.borrow_mut() = format!("{call} {with} -> {answer:?}");
        answer.unwrap_or_else(|error| panic!("{}: {call}: {error}", self.identity))
    }

    /// Joins the stage's room with the client's defaults.
    pub fn join(&self, stage: &Stage, path: Path) {
        self.join_with(stage, path, &json!({}));
    }

    /// Joins with further `options` of the client, such as `{"adaptiveStream": true}` of a tab.
    pub fn join_with(&self, stage: &Stage, path: Path, options: &Value) {
        let token = stage.token(&self.identity);
        self.join_by(stage, path, (options, &json!({})), &token);
    }

    /// Joins so that media takes no way but a relay.
    pub fn join_relayed(&self, stage: &Stage, path: Path) {
        let relay = json!({ "rtcConfig": { "iceTransportPolicy": "relay" } });
        let token = stage.token(&self.identity);
        self.join_by(stage, path, (&json!({}), &relay), &token);
    }

    /// Joins as an agent.
    pub fn join_as_agent(&self, stage: &Stage, path: Path) {
        let pass = Pass::new(&stage.room(), &self.identity).of_kind("agent");
        let token = stage.server.sign(&pass);
        self.join_by(stage, path, (&json!({}), &json!({})), &token);
    }

    /// Joins with `options` of the client and of its connecting.
    fn join_by(
        &self,
        stage: &Stage,
        path: Path,
        (options, connect): (&Value, &Value),
        token: &str,
    ) {
        let (url, single) = (stage.server.ws(), path == Path::V1);
        let with = json!({
            "url": url, "token": token, "single": single, "options": options, "connect": connect,
        });
        self.ask("join", &with);
        if let Client::Tab(tab) = &self.client {
            // A client that is refused on one path may have taken the other.
            let expect = if single { "/rtc/v1" } else { "/rtc" };
            assert_eq!(tab.sockets(), [expect], "{} took another path", self.identity);
        }
    }

    /// Publishes a pattern and a tone.
    pub fn publish(&self, show: &Show) {
        self.ask("publish", &show.arguments());
    }

    /// What it sees or hears of a track; `None` without a subscription.
    pub fn watch(&self, whom: &str, source: &str) -> Option<Seen> {
        Seen::read(&self.ask("watch", &json!({ "identity": whom, "source": source })))
    }

    /// Watches a track until it is as it should be.
    ///
    /// # Panics
    /// When it does not become so.
    pub fn wait_seen(
        &self,
        whom: &str,
        source: &str,
        what: &str,
        mut right: impl FnMut(&Seen) -> bool,
    ) -> Seen {
        self.wait(&format!("{} to see of {whom}'s {source}: {what}", self.identity), || {
            self.watch(whom, source).filter(&mut right)
        })
    }

    /// Waits until pictures of a video track are decoded, one after the other.
    pub fn wait_pictures(&self, whom: &str, source: &str) -> Seen {
        let before = self.watch(whom, source).map_or(0, |seen| seen.frames);
        self.wait_seen(whom, source, "moving pictures", |seen| {
            seen.frames >= before + ENOUGH_FRAMES && seen.width > 0
        })
    }

    /// Waits until a track that is not played any more stands still for a second.
    pub fn wait_still(&self, whom: &str, source: &str) {
        let mut last = (u64::MAX, Instant::now());
        self.wait_seen(whom, source, "a standing picture", |seen| {
            if seen.frames != last.0 {
                last = (seen.frames, Instant::now());
            }
            last.1.elapsed() > Duration::from_secs(1)
        });
    }

    /// Waits until it sees and hears what `whom` publishes; returns what it sees.
    pub fn wait_show(&self, whom: &str, show: &Show) -> Seen {
        self.wait_pictures(whom, CAMERA);
        let seen = self.wait_seen(whom, CAMERA, "the colours", |seen| show.is_seen(seen));
        self.wait_seen(whom, MICROPHONE, "the tone", |seen| show.is_heard(seen));
        seen
    }

    /// Waits until something has happened since the `from`-th event; returns the place after it.
    pub fn wait_event(&self, from: usize, event: &str, who: &str) -> usize {
        let what = format!("{} to be told {event} of {who}", self.identity);
        self.wait_events(from, &what, |one| one["event"] == event && one["who"] == who)
    }

    /// Waits until it was told of something that has nobody as its subject, since the `from`-th
    /// event.
    pub fn wait_told(&self, from: usize, event: &str) {
        let what = format!("{} to be told {event}", self.identity);
        self.wait_events(from, &what, |one| one["event"] == event);
    }

    /// Waits until `whom` is among the active speakers.
    pub fn wait_speaker(&self, whom: &str) {
        let what = format!("{} to be told that {whom} speaks", self.identity);
        self.wait_events(0, &what, |one| {
            let speakers = one["what"].as_array().into_iter().flatten();
            one["event"] == "ActiveSpeakersChanged" && { speakers }.any(|speaker| speaker == whom)
        });
    }

    /// Waits until the layers that it sends of a video track are as they should be.
    pub fn wait_sending(&self, source: &str, what: &str, right: impl Fn(&[Sent]) -> bool) {
        self.wait(&format!("{} to send of its {source}: {what}", self.identity), || {
            let layers = self.ask("sending", &json!({ "source": source }));
            let layers = layers.as_array().into_iter().flatten().map(Sent::read);
            right(&layers.collect::<Vec<_>>()).then_some(())
        });
    }

    /// All that it was told so far.
    pub fn events(&self) -> Vec<Value> {
        self.ask("happened", &json!({})).as_array().cloned().unwrap_or_default()
    }

    fn wait_events(&self, from: usize, what: &str, right: impl Fn(&Value) -> bool) -> usize {
        self.wait(what, || {
            let events = self.events();
            events.iter().skip(from).position(&right).map(|place| from + place + 1)
        })
    }

    /// Waits until `look` finds something.
    ///
    /// # Panics
    /// When it does not in time.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let mut asked: Option<Instant> = None;
        until(PATIENCE, what, || {
            if asked.is_some_and(|at| at.elapsed() < ASK_EVERY) {
                return None;
            }
            asked = Some(Instant::now());
            look()
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} was last asked: {}", self.identity, self.last.borrow());
        }
    }
}
