//! Rows of what tokens grant.

use serde_json::{Value, json};

use super::*;

fn claims(value: Value) -> Claims {
    serde_json::from_value(value).unwrap()
}

#[test]
fn sources() {
    let check = |names: Value, expect: &[TrackSource]| {
        let shown = names.to_string();
        let video = json!({"video": {"canPublishSources": names}});
        assert_eq!(claims(video).video.unwrap().sources(), expect, "{shown}");
    };
    check(json!([]), &[]);
    check(json!(["camera", "SCREEN_SHARE"]), &[TrackSource::Camera, TrackSource::ScreenShare]);
    check(json!(["novelty"]), &[TrackSource::Unknown]);
}

#[test]
fn claims_read_back() {
    let text = json!({
        "sub": "a", "name": "A", "kind": "agent", "metadata": "m", "attributes": {"k": "v"},
        "video": {"roomJoin": true, "room": "r", "canPublish": false},
        "roomConfig": {"emptyTimeout": 5, "maxParticipants": 3},
    });
    let read = claims(text.clone());
    assert_eq!(read.kind(), Kind::Agent);
    assert_eq!(read.room_config.as_ref().map(|config| config.max_participants), Some(3));
    assert_eq!(serde_json::to_value(&read).unwrap(), text);
    // Claims that we do not know come with tokens of newer SDKs.
    let more = json!({"sub": "a", "sip": {"admin": true}, "kindDetails": ["forwarded", "x"]});
    assert_eq!(claims(more).kind_details(), [1]);
}
