//! Janus's dialect: JSON over a WebSocket, and the VideoRoom plug-in with its multistream viewers.
//!
//! A participant is one session with up to two handles, each of which has one peer connection:
//! a member of the room, which hears of others' feeds and publishes, and a viewer that receives all
//! feeds. Only one description of the viewer's is under way at a time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use self::message::{Heard, Jsep, PLUGIN, ROOM_EXISTS, RoomEvent, Step};
use super::agreement::{Agreement, Seat};
use super::conversation::Conversation;
use crate::call::track::News;

mod message;

const PROTOCOL: HeaderValue = HeaderValue::from_static("janus-protocol");
/// A session is given up after 60 s of silence; clients of the server's own kind say something
/// this often.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// A participant's conversation with a Janus.
pub(super) struct Janus {
    url: String,
    seat: Seat,
    room: u64,
    agreement: Agreement,
    server: String,
    session: Option<u64>,
    member: Option<u64>,
    viewer: Option<u64>,
    /// Subscriptions that nobody was asked for yet.
    wanted: Vec<Value>,
    /// The viewer is in the room.
    watches: bool,
    /// The viewer waits for something.
    negotiates: bool,
    says: Vec<Value>,
    over: bool,
}

impl Janus {
    pub(super) fn new(url: &str, seat: Seat) -> Self {
        let mut this = Self {
            url: url.to_owned(),
            room: message::room_number(&seat.room),
            agreement: Agreement::new(&seat),
            seat,
            server: String::new(),
            session: None,
            member: None,
            viewer: None,
            wanted: Vec::new(),
            watches: false,
            negotiates: false,
            says: Vec::new(),
            over: false,
        };
        this.say(Step::Info, None, json!({ "janus": "info" }));
        this
    }

    fn say(&mut self, step: Step, handle: Option<u64>, body: Value) {
        self.says.push(message::request(step, self.session, handle, body));
    }

    /// Asks the plug-in.
    fn ask(&mut self, step: Step, handle: Option<u64>, body: Value, sdp: Option<(&str, String)>) {
        let mut message = json!({ "janus": "message", "body": body });
        if let Some((kind, sdp)) = sdp {
            // The lowest layer is the first of our simulcast line; a viewer's number of a layer
            // counts from the lowest one.
            message["jsep"] = json!({ "type": kind, "sdp": sdp, "rid_order": "lmh" });
        }
        self.say(step, handle, message);
    }

    fn attach(&mut self, step: Step) {
        self.say(step, None, json!({ "janus": "attach", "plugin": PLUGIN }));
    }

    fn handle(&mut self, mut heard: Heard) {
        let step = heard.transaction.unwrap_or(Step::Unknown);
        match heard.janus.as_str() {
            "server_info" => self.handle_info(&heard),
            "success" | "event" => match (heard.event(), heard.data) {
                (Some(event), _) => self.handle_event(step, heard.sender, &event, heard.jsep),
                (None, Some(made)) => self.handle_made(step, made.id),
                (None, None) => {}
            },
            "error" => {
                let reason = heard.refusal().unwrap_or_default();
                self.fail(format!("Janus refused {step:?}: {reason}"));
            }
            "hangup" => {
                let reason = heard.reason.unwrap_or_default();
                self.fail(format!("Janus hung up: {reason}"));
            }
            "timeout" => self.fail("Janus gave up the session".into()),
            // Acknowledgements, what connections do, what media comes: the load sees for itself.
            _ => {}
        }
    }

    fn fail(&mut self, reason: String) {
        self.over = true;
        self.agreement.tell_failed(reason);
    }

    fn handle_info(&mut self, heard: &Heard) {
        match heard.server() {
            Some(server) => {
                self.server = server;
                self.say(Step::Session, None, json!({ "janus": "create" }));
            }
            None => self.fail("this Janus has no VideoRoom plug-in".into()),
        }
    }

    /// A session or a handle was made.
    fn handle_made(&mut self, step: Step, id: u64) {
        match step {
            Step::Session => {
                self.session = Some(id);
                self.attach(Step::Member);
            }
            Step::Member => {
                self.member = Some(id);
                let room = message::create_room(self.room, &self.seat.scenario);
                self.ask(Step::Room, self.member, room, None);
            }
            Step::Viewer => {
                self.viewer = Some(id);
                self.negotiates = false;
                self.watch();
            }
            _ => {}
        }
    }

    /// The plug-in answered, or has something to tell.
    fn handle_event(
        &mut self,
        step: Step,
        sender: Option<u64>,
        event: &RoomEvent,
        jsep: Option<Jsep>,
    ) {
        let exists = step == Step::Room && event.error_code == Some(ROOM_EXISTS);
        if let Some(reason) = event.refusal().filter(|_| !exists) {
            self.fail(format!("VideoRoom refused {step:?}: {reason}"));
            return;
        }
        match step {
            Step::Room => {
                let body = json!({
                    "request": "join", "ptype": "publisher", "room": self.room,
                    "id": self.seat.participant + 1,
                });
                self.ask(Step::Join, self.member, body, None);
            }
            Step::Join => {
                self.agreement.tell_joined(self.server.clone());
                if self.seat.publishes {
                    let offer = Some(("offer", self.agreement.offer()));
                    self.ask(Step::Publish, self.member, json!({ "request": "publish" }), offer);
                }
            }
            Step::Watch if jsep.is_none() => self.negotiates = false,
            Step::Start => self.negotiates = false,
            _ => {}
        }
        if let Some(jsep) = jsep {
            self.handle_description(&jsep);
        }
        if sender == self.member && self.seat.subscribes {
            self.wanted.extend(event.subscriptions(&self.seat.scenario));
        }
        self.watch();
    }

    fn handle_description(&mut self, jsep: &Jsep) {
        let result = match jsep.kind.as_str() {
            "answer" => self.agreement.handle_answer(&jsep.sdp),
            "offer" => self.agreement.handle_offer(&jsep.sdp).map(|sdp| {
                let answer = Some(("answer", sdp));
                self.ask(Step::Start, self.viewer, json!({ "request": "start" }), answer);
            }),
            other => Err(format!("Janus sent a description of type {other}")),
        };
        if let Err(reason) = result {
            self.fail(reason);
        }
    }

    /// Asks for the feeds that are new, once the viewer has nothing else under way.
    fn watch(&mut self) {
        if self.wanted.is_empty() || self.negotiates {
            return;
        }
        self.negotiates = true;
        if self.viewer.is_none() {
            self.attach(Step::Viewer);
            return;
        }
        let streams = std::mem::take(&mut self.wanted);
        let body = if self.watches {
            json!({ "request": "subscribe", "streams": streams })
        } else {
            json!({
                "request": "join", "ptype": "subscriber", "room": self.room, "streams": streams,
            })
        };
        self.watches = true;
        self.ask(Step::Watch, self.viewer, body, None);
    }
}

impl Conversation for Janus {
    fn opening(&self) -> Result<Request, Error> {
        let mut request = self.url.as_str().into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", PROTOCOL);
        Ok(request)
    }

    fn alive_every(&self) -> Duration {
        KEEP_ALIVE
    }

    fn handle_frame(&mut self, frame: Message) {
        if let Message::Text(text) = frame
            && let Some(heard) = Heard::parse(&text)
        {
            self.handle(heard);
        }
    }

    fn handle_alive(&mut self) {
        if self.session.is_some() {
            self.say(Step::Alive, None, json!({ "janus": "keepalive" }));
        }
    }

    fn handle_leave(&mut self) {
        if self.session.is_some() {
            self.say(Step::Leave, None, json!({ "janus": "destroy" }));
        }
    }

    fn poll_frames(&mut self) -> Vec<Message> {
        self.says.drain(..).map(|says| Message::text(says.to_string())).collect()
    }

    fn poll_news(&mut self) -> Vec<News> {
        self.agreement.poll_news()
    }

    fn is_over(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
#[path = "janus_tests.rs"]
mod tests;
