//! Two members of a room: they see and hear each other, talk, and send each other files.

use std::time::Instant;

use ringway_system::patience::until;
use serde_json::{Value, json};

use crate::member::{CAMERA, Member, PATIENCE, Path};
use crate::show::Show;
use crate::stage::Stage;

/// More than may wait for somebody who does not read.
const FILE_BYTES: u64 = 3_000_000;

/// Both join and publish, and each sees and hears what the other one sent.
pub fn meet(stage: &Stage, path: Path, one: (&Member, Show), two: (&Member, Show)) {
    one.0.join(stage, path);
    two.0.join(stage, path);
    one.0.publish(&one.1);
    two.0.publish(&two.1);
    one.0.wait_show(&two.0.identity, &two.1);
    two.0.wait_show(&one.0.identity, &one.1);
}

/// `viewer` gives up a camera that shows `show`, and takes it again.
pub fn subscribe_again(viewer: &Member, whom: &str, show: &Show) {
    let camera = |wanted| json!({ "identity": whom, "source": CAMERA, "wanted": wanted });
    let before = viewer.events().len();
    viewer.ask("subscribe", &camera(false));
    let gone = viewer.wait_event(before, "TrackUnsubscribed", whom);
    viewer.ask("subscribe", &camera(true));
    viewer.wait_event(gone, "TrackSubscribed", whom);
    viewer.wait_show(whom, show);
}

/// Of two who have met, the first tries one of its client's scenarios, and is back by itself.
pub fn come_back(scenario: &str, one: (&Member, Show), two: (&Member, Show)) {
    let (before, at) = (one.0.events().len(), Instant::now());
    one.0.ask("simulate", &json!({ "scenario": scenario }));
    one.0.wait_told(before, "Reconnected");
    eprintln!("{scenario}: back after {:?}", at.elapsed());
    two.0.wait_show(&one.0.identity, &one.1);
    one.0.wait_show(&two.0.identity, &two.1);
    eprintln!("{scenario}: seen both ways after {:?}", at.elapsed());
}

/// Checks that nobody was seen to leave where `scenario` only cuts the signalling.
///
/// # Panics
/// When somebody was.
pub fn stays(viewer: &Member, scenario: &str) {
    let resumed = scenario == "signal-reconnect" || scenario.starts_with("disconnect-signal");
    let events = viewer.events();
    let again = events.iter().filter(|one| one["event"] == "ParticipantDisconnected").count();
    assert!(!resumed || again == 0, "a resumed participant was seen to leave");
}

/// `viewer` asks for one layer after the other by name, of a camera of 540 lines in three layers.
pub fn switch_layers(viewer: &Member, whom: &str) {
    // Up, down and up again: a switch down needs no key frame of the publisher's own making.
    for (name, height) in [("HIGH", 540), ("LOW", 180), ("MEDIUM", 360), ("HIGH", 540)] {
        let what = json!({ "identity": whom, "source": CAMERA, "quality": name });
        viewer.ask("quality", &what);
        viewer.wait_seen(whom, CAMERA, name, |seen| seen.height.abs_diff(height) < 20);
        viewer.wait_pictures(whom, CAMERA);
    }
}

/// Each says something to the other over every kind of channel, and calls a procedure.
///
/// # Panics
/// When something else arrives than was said.
pub fn talk(one: &Member, two: &Member) {
    for (from, to) in [(one, two), (two, one)] {
        let before = to.events().len();
        for (topic, reliable) in [("kept", true), ("lossy", false)] {
            let to = [&to.identity];
            let say = json!({ "text": "hello", "topic": topic, "reliable": reliable, "to": to });
            from.ask("say", &say);
        }
        let nobody = json!({ "text": "?", "topic": "", "reliable": true, "to": ["nobody"] });
        from.ask("say", &nobody);
        from.ask("stream", &json!({ "text": "word ".repeat(10_000) }));
        let first = to.wait_event(before, "DataReceived", &from.identity);
        to.wait_event(first, "DataReceived", &from.identity);
        to.wait_event(before, "TextStream", &from.identity);
        let heard = &to.events()[before..];
        let of = |name: &str| heard.iter().filter(|one| one["event"] == name).collect::<Vec<_>>();
        let said = of("DataReceived");
        assert_eq!(said.len(), 2, "{said:?}");
        for topic in ["kept", "lossy"] {
            assert!(said.iter().any(|one| one["what"] == json!([topic, "hello"])), "{said:?}");
        }
        assert_eq!(of("TextStream")[0]["what"], json!("word ".repeat(10_000)));
        let call = json!({ "to": to.identity, "payload": "good morning" });
        let expect = format!("{} said good morning", from.identity);
        assert_eq!(from.ask("call", &call), json!(expect));
    }
}

/// A member and `whom`, a client without signalling that is asked by `ask` and has opened a data
/// channel `chat` of its own, hear each other.
///
/// # Panics
/// When one hears anything else.
pub fn talk_without_signalling(member: &Member, whom: &str, ask: impl Fn(&str, &Value) -> Value) {
    // A message may come before the news of who sends it.
    member.wait_event(0, "ParticipantConnected", whom);
    let hello = json!({ "label": "chat", "text": "hello" });
    until(PATIENCE, "the channel to open", || (ask("utter", &hello) == true).then_some(()));
    member.wait_event(0, "DataReceived", whom);
    let heard = member.events().into_iter().filter(|one| one["event"] == "DataReceived");
    assert!(heard.map(|one| one["what"].clone()).eq([json!(["", "hello"])]));
    for (text, reliable, to) in [
        ("kept", true, vec![whom]),
        ("lossy", false, vec![whom]),
        ("for others", true, vec!["nobody"]),
    ] {
        let say = json!({ "text": text, "topic": "aside", "reliable": reliable, "to": to });
        member.ask("say", &say);
    }
    // Only bytes of the application's can be told over a channel that is its own.
    member.ask("stream", &json!({ "text": "words" }));
    member.ask("say", &json!({ "text": "last", "topic": "", "reliable": true, "to": [] }));
    let heard = until(PATIENCE, "three messages", || {
        let heard = ask("utterances", &json!({})).as_array().cloned().unwrap_or_default();
        (heard.len() >= 3).then_some(heard)
    });
    let mut said: Vec<_> = heard.iter().map(|one| (one[0].as_str(), one[1].as_str())).collect();
    said.sort_unstable();
    assert_eq!(said, ["kept", "last", "lossy"].map(|text| (Some("chat"), Some(text))));
}

/// Both join without publishing, and exchange all that is no media.
pub fn exchange(stage: &Stage, path: Path, one: &Member, two: &Member) {
    one.join(stage, path);
    two.join(stage, path);
    one.wait_event(0, "ParticipantConnected", &two.identity);
    talk(one, two);
    send_files(one, two);
}

/// Each sends the other a file.
///
/// # Panics
/// When it arrives otherwise than it was sent.
pub fn send_files(one: &Member, two: &Member) {
    for (from, to) in [(one, two), (two, one)] {
        let file = json!({ "name": "film.bin", "bytes": FILE_BYTES, "to": [to.identity] });
        from.ask("file", &file);
        to.wait_event(0, "File", &from.identity);
        let came = to.events().into_iter().find(|one| one["event"] == "File");
        assert_eq!(came.expect("it came")["what"], json!(["film.bin", [FILE_BYTES, -1]]));
    }
}
