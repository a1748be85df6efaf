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
fn null_is_as_good_as_absent() {
    let names = |value: &Claims| {
        let value = serde_json::to_value(value).unwrap();
        let names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        names
    };
    let said = json!({
        "sub": "a", "video": {"roomJoin": true, "canPublishSources": ["camera", null]},
        "attributes": {"k": null}, "kindDetails": [null], "roomConfig": {"metadata": null},
    });
    let mut all = json!({
        "sub": null, "jti": null, "name": null, "kind": null, "kindDetails": null,
        "metadata": null, "attributes": null, "video": null, "roomConfig": null,
        "roomPreset": null, "sha256": null, "exp": null,
    });
    assert_eq!(claims(all.clone()), Claims::default());
    let video = [
        "roomCreate",
        "roomList",
        "roomRecord",
        "roomAdmin",
        "roomJoin",
        "room",
        "destinationRoom",
        "canPublish",
        "canSubscribe",
        "canPublishData",
        "canPublishSources",
        "canUpdateOwnMetadata",
        "ingressAdmin",
        "hidden",
        "recorder",
        "agent",
        "canSubscribeMetrics",
        "canManageAgentSession",
    ];
    all["video"] = video.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    assert_eq!(claims(all).video, Some(VideoGrant::default()));
    let read = claims(said);
    assert_eq!(names(&read), ["attributes", "kindDetails", "roomConfig", "sub", "video"]);
    assert_eq!(read.attributes["k"], "");
    let sources = read.video.unwrap().sources();
    assert_eq!(sources, [TrackSource::Camera, TrackSource::Unknown]);
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
