//! Conversations with what Janus 1.1.2 said in them, recorded: one that publishes, and one that
//! receives two publishers, the second of whom comes later.

use std::sync::Arc;

use ringway_proto::dtls::{Fingerprint, HashAlgorithm};

use super::*;
use crate::call::scenario::CallScenario;

const SCENARIO: &str = include_str!("../../../../scenarios/meeting-8x8.yaml");
const VIEWER: &str = include_str!("janus/viewer.jsonl");
const PUBLISHER: &str = include_str!("janus/publisher.jsonl");

fn janus(publishes: bool, subscribes: bool) -> Janus {
    let scenario = CallScenario::parse("meeting-8x8", SCENARIO).expect("a valid scenario");
    let certificate = Fingerprint::new(HashAlgorithm::Sha256, &[7; 32]).expect("32 bytes");
    Janus::new(
        "ws://192.0.2.2:8188",
        Seat {
            participant: 1,
            publishes,
            subscribes,
            room: "load".into(),
            scenario: Arc::new(scenario),
            certificate,
        },
    )
}

/// What it wants to say, as `transaction request`.
fn said(janus: &mut Janus) -> Vec<String> {
    let frames = janus.poll_frames().into_iter();
    let texts = frames.map(|frame| frame.into_text().expect("text").to_string());
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let summary = |text: String| {
        let message: Value = serde_json::from_str(&text).expect("JSON");
        let request = match &message["body"]["request"] {
            Value::Null => word(&message["janus"]),
            request => word(request),
        };
        format!("{} {request}", word(&message["transaction"]))
    };
    texts.map(summary).collect()
}

/// What it has to tell, in a word or two.
fn told(janus: &mut Janus) -> Vec<String> {
    let word = |news: News| match news {
        News::Joined { server, .. } => format!("joined {server}"),
        News::Connect { side, end, .. } => format!("connect {side:?} {}", end.address.ip()),
        News::Publish { tracks, .. } => format!("publish {}", tracks.len()),
        News::Receive { tracks, .. } => {
            let repaired = tracks.iter().filter(|track| track.rtx_ssrc.is_some()).count();
            format!("receive {}, {repaired} with repairs", tracks.len())
        }
        News::Failed { reason, .. } => reason,
    };
    janus.poll_news().into_iter().map(word).collect()
}

fn hear<'a>(janus: &mut Janus, lines: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut all = said(janus);
    for line in lines {
        janus.handle_frame(Message::text(line));
        all.extend(said(janus));
    }
    all
}

const JOINING: [&str; 5] =
    ["info info", "session create", "member attach", "room create", "join join"];

#[test]
fn viewers_take_feeds_as_they_come() {
    let mut janus = janus(false, true);
    let all = hear(&mut janus, VIEWER.lines());
    assert_eq!(all[..5], JOINING);
    let rest = ["viewer attach", "watch join", "start start", "watch subscribe", "start start"];
    assert_eq!(all[5..], rest);
    let expect = [
        "joined Janus WebRTC Server 1.1.2",
        "receive 2, 1 with repairs",
        "connect Subscriber 192.0.2.2",
        "receive 4, 2 with repairs",
    ];
    assert_eq!(told(&mut janus), expect);
    assert!(!janus.is_over() && !janus.negotiates && janus.wanted.is_empty());
}

#[test]
fn descriptions_are_settled_one_at_a_time() {
    let mut janus = janus(false, true);
    let mut lines: Vec<&str> = VIEWER.lines().collect();
    let feed = |line: &&str| !line.contains("transaction") && line.contains("publishers");
    let second = lines.iter().position(feed).expect("a second feed");
    let viewer = lines.iter().position(|line| line.contains("\"viewer\"")).expect("a viewer");
    // The second feed is there before the viewer's handle is: both are asked for at once.
    let early = lines.remove(second);
    lines.insert(viewer, early);
    let all = hear(&mut janus, lines[..=viewer + 1].iter().copied());
    assert_eq!(all[5..], ["viewer attach", "watch join"]);
    // And once more while the answer to that is awaited.
    assert_eq!(hear(&mut janus, [early]), [""; 0]);
    let all = hear(&mut janus, lines[viewer + 2..].iter().take(5).copied());
    assert_eq!(all, ["start start", "watch subscribe"]);
}

#[test]
fn layers_are_named_and_only_wanted_streams_asked_for() {
    let joined = VIEWER.lines().find(|line| line.contains("\"joined\"")).expect("joined");
    let event = Heard::parse(joined).and_then(|mut heard| heard.event()).expect("an event");
    let mut scenario = CallScenario::parse("meeting-8x8", SCENARIO).expect("a valid scenario");
    let sound = json!({ "feed": 1, "mid": "0" });
    let best = json!({ "feed": 1, "mid": "1", "substream": 2, "temporal": 2 });
    assert_eq!(event.subscriptions(&scenario), [sound.clone(), best]);
    let video = scenario.video.as_mut().expect("video");
    video.layers.truncate(1);
    assert_eq!(event.subscriptions(&scenario), [sound, json!({ "feed": 1, "mid": "1" })]);
}

#[test]
fn publishers_offer_and_hear_where_to_send() {
    let mut janus = janus(true, false);
    let all = hear(&mut janus, PUBLISHER.lines());
    assert_eq!(all[..5], JOINING);
    assert_eq!(all[5..], ["publish publish"]);
    let expect = ["joined Janus WebRTC Server 1.1.2", "publish 2", "connect Publisher 192.0.2.2"];
    assert_eq!(told(&mut janus), expect);
    janus.handle_alive();
    janus.handle_leave();
    assert_eq!(said(&mut janus), ["alive keepalive", "leave destroy"]);
    assert_eq!(janus.agreement.tracks().len(), 2);
    assert!(matches!(janus.opening(), Ok(request)
        if request.headers()["Sec-WebSocket-Protocol"] == "janus-protocol"));
}

#[test]
fn refusals_end_it() {
    let check = |line: &str, expect: &str| {
        let mut janus = janus(false, true);
        hear(&mut janus, VIEWER.lines().take(5));
        told(&mut janus);
        janus.handle_frame(Message::text(line));
        assert_eq!(told(&mut janus), [expect], "{line}");
        assert!(janus.is_over());
    };
    check(
        r#"{"janus":"event","transaction":"watch","sender":1,"plugindata":{"data":
            {"videoroom":"event","error_code":428,"error":"No such feed (9)"}}}"#,
        "VideoRoom refused Watch: No such feed (9) (428)",
    );
    check(
        r#"{"janus":"error","transaction":"join","error":{"code":459,"reason":"No such handle"}}"#,
        "Janus refused Join: No such handle (459)",
    );
    check(r#"{"janus":"hangup","reason":"DTLS alert"}"#, "Janus hung up: DTLS alert");
    check(r#"{"janus":"timeout"}"#, "Janus gave up the session");
    check(r#"{"janus":"server_info","plugins":{}}"#, "this Janus has no VideoRoom plug-in");
}

#[test]
fn what_is_no_message_is_passed_over() {
    let mut janus = janus(false, true);
    said(&mut janus);
    let deep = "[".repeat(100_000);
    for text in ["", "{", "{}", "[]", "7", r#"{"janus":7}"#, r#"{"janus":"success"}"#, &deep] {
        janus.handle_frame(Message::text(text));
    }
    janus.handle_frame(Message::binary(vec![0; 9]));
    assert!(said(&mut janus).is_empty() && told(&mut janus).is_empty() && !janus.is_over());
}

#[test]
fn rooms_have_numbers() {
    let (one, other) = (message::room_number("load-a"), message::room_number("load-b"));
    assert!(one != other && one < 1 << 53 && other < 1 << 53);
}
