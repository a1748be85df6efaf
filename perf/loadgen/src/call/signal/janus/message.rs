//! Messages of Janus's API and of its VideoRoom plug-in, as far as we speak them.
//!
//! Every request has a transaction that comes back with whatever answers it, so ours is named for
//! the step that it is.

use ringway_sdp::MAX_SECTIONS;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::call::scenario::CallScenario;

/// The plug-in that forwards.
pub(super) const PLUGIN: &str = "janus.plugin.videoroom";
/// VideoRoom's code for a room that is there already.
pub(super) const ROOM_EXISTS: i64 = 427;
/// Streams of one feed that are looked at: it is one peer connection of somebody's.
const MAX_STREAMS: usize = MAX_SECTIONS;

/// What a request is for, and the transaction of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// What the server is.
    Info,
    /// A session, which ends with its WebSocket.
    Session,
    /// The handle that takes part in the room, and publishes.
    Member,
    /// The room itself, made by whoever comes first.
    Room,
    /// Coming in.
    Join,
    /// The offer of what is published.
    Publish,
    /// The handle that receives.
    Viewer,
    /// Which feeds it shall receive.
    Watch,
    /// The answer to the server's offer of them.
    Start,
    /// Still there.
    Alive,
    /// Over.
    Leave,
    /// Nothing that we asked for.
    #[serde(other)]
    Unknown,
}

/// What the server says.
#[derive(Debug, Deserialize)]
pub(super) struct Heard {
    pub(super) janus: String,
    pub(super) transaction: Option<Step>,
    pub(super) sender: Option<u64>,
    pub(super) data: Option<Id>,
    plugindata: Option<PluginData>,
    pub(super) jsep: Option<Jsep>,
    error: Option<Refusal>,
    pub(super) reason: Option<String>,
    name: Option<String>,
    version_string: Option<String>,
    plugins: Option<serde_json::Map<String, Value>>,
}

/// The id of something new.
#[derive(Debug, Deserialize)]
pub(super) struct Id {
    pub(super) id: u64,
}

/// A description, in either direction.
#[derive(Debug, Deserialize)]
pub(super) struct Jsep {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) sdp: String,
}

#[derive(Debug, Deserialize)]
struct PluginData {
    data: RoomEvent,
}

/// What the plug-in says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RoomEvent {
    #[serde(default)]
    publishers: Vec<Feed>,
    pub(super) error_code: Option<i64>,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: i64,
    reason: String,
}

/// Somebody who publishes.
#[derive(Debug, Deserialize)]
pub(super) struct Feed {
    id: u64,
    #[serde(default)]
    streams: Vec<FeedStream>,
}

#[derive(Debug, Deserialize)]
struct FeedStream {
    #[serde(rename = "type")]
    kind: String,
    mid: String,
    #[serde(default)]
    disabled: bool,
}

impl Heard {
    /// Reads a message; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// What the plug-in says in it.
    pub(super) fn event(&mut self) -> Option<RoomEvent> {
        self.plugindata.take().map(|plugin| plugin.data)
    }

    /// Why the core refused a request.
    pub(super) fn refusal(&self) -> Option<String> {
        self.error.as_ref().map(|error| format!("{} ({})", error.reason, error.code))
    }

    /// What the server calls itself; `None` when it has no VideoRoom.
    pub(super) fn server(&self) -> Option<String> {
        self.plugins.as_ref()?.get(PLUGIN)?;
        let name = self.name.as_deref().unwrap_or("Janus");
        Some(format!("{name} {}", self.version_string.as_deref().unwrap_or_default()))
    }
}

impl RoomEvent {
    /// Why the plug-in refused a request.
    pub(super) fn refusal(&self) -> Option<String> {
        let code = self.error_code?;
        Some(format!("{} ({code})", self.error.as_deref().unwrap_or("no reason")))
    }

    /// The streams of everybody who publishes now, one subscription for each.
    ///
    /// A viewer gets the best layer if it names none; it is named so that this does not depend on
    /// a default.
    pub(super) fn subscriptions(&self, scenario: &CallScenario) -> Vec<Value> {
        let layers = scenario.video.as_ref().map_or(0, |video| video.layers.len());
        let of_feed = |feed: &Feed| {
            let id = feed.id;
            let streams = feed.streams.iter().take(MAX_STREAMS).filter(|it| !it.disabled);
            let subscription = |stream: &FeedStream| match stream.kind.as_str() {
                "video" if layers > 1 => Some(json!({
                    "feed": id, "mid": stream.mid, "substream": layers - 1, "temporal": 2,
                })),
                "audio" | "video" => Some(json!({ "feed": id, "mid": stream.mid })),
                _ => None,
            };
            streams.filter_map(subscription).collect::<Vec<_>>()
        };
        self.publishers.iter().flat_map(of_feed).collect()
    }
}

/// A request to the core, or to a handle of it.
pub(super) fn request(step: Step, session: Option<u64>, handle: Option<u64>, body: Value) -> Value {
    let mut message = body;
    message["transaction"] = json!(step);
    if let Some(session) = session {
        message["session_id"] = json!(session);
    }
    if let Some(handle) = handle {
        message["handle_id"] = json!(handle);
    }
    message
}

/// The room, with nothing in it that the others do not have either: no bit rate for publishers,
/// no key frames by the clock, no events of who speaks.
pub(super) fn create_room(room: u64, scenario: &CallScenario) -> Value {
    json!({
        "request": "create", "room": room, "publishers": scenario.participants().max(1),
        "audiocodec": "opus", "videocodec": "vp8", "opus_dtx": true,
        "transport_wide_cc_ext": true, "audiolevel_event": false, "notify_joining": false,
    })
}

/// A room's number, from its name.
pub(super) fn room_number(name: &str) -> u64 {
    // FNV-1a; the top bits fall away, since a number in JSON has only 53 bits everywhere.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 16).max(1)
}
