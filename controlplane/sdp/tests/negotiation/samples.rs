//! Descriptions of real clients are read completely, and written so that they read the same.

use crate::peers::{SAMPLES, sample, text};
use ringway_sdp::{Description, Direction, Feedback, Kind, ParseError, Reason, Setup};

#[test]
fn every_sample_survives_being_written() {
    for (name, text) in SAMPLES {
        let read = Description::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Description::parse(&read.to_string()).as_ref(), Ok(&read), "{name}");
        assert_eq!(read.sections.len(), text.matches("\nm=").count(), "{name}");
        for section in &read.sections {
            assert!(!section.mid.is_empty(), "{name}");
            let named = |payload: &ringway_sdp::Payload| !payload.name.is_empty();
            assert!(section.payloads.iter().all(named), "{name}");
        }
    }
}

/// Counts `a=` lines of the original and what the reader made of them.
#[test]
fn nothing_typed_is_lost() {
    for (name, text) in SAMPLES {
        let read = sample(name);
        let lines = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
        let sum = |count: fn(&ringway_sdp::Section) -> usize| {
            read.sections.iter().map(count).sum::<usize>()
        };
        assert_eq!(sum(|s| s.extensions.len()), lines("a=extmap:"), "{name}");
        assert_eq!(sum(|s| s.rids.len()), lines("a=rid:"), "{name}");
        assert_eq!(sum(|s| s.simulcast.iter().count()), lines("a=simulcast:"), "{name}");
        assert_eq!(sum(|s| s.source_groups.len()), lines("a=ssrc-group:"), "{name}");
        assert_eq!(sum(|s| s.msids.len()), lines("a=msid:"), "{name}");
        assert_eq!(sum(|s| s.transport.candidates.len()), lines("a=candidate:"), "{name}");
        let parameters = |s: &ringway_sdp::Section| {
            s.payloads.iter().filter(|payload| !payload.fmtp.is_empty()).count()
        };
        assert_eq!(sum(parameters), lines("a=fmtp:"), "{name}");
    }
}

#[test]
fn chromium_publishing_is_understood() {
    let offer = sample("chromium-publish-vp8");
    assert_eq!(offer.bundle, ["0", "1", "2"]);
    assert!(!offer.ice_lite);
    let [audio, video, data] = offer.sections.as_slice() else { panic!() };
    assert_eq!((audio.kind, video.kind), (Kind::Audio, Kind::Video));
    assert_eq!(audio.direction, Direction::SendOnly);
    assert_eq!(audio.payloads[0].name, "opus");
    assert_eq!(audio.payloads[0].channels, 2);
    assert_eq!(audio.msid().unwrap().track.as_ref().unwrap().len(), 36);
    assert_eq!(video.repairs()[96], Some(97));
    let all = [
        Feedback::GOOG_REMB,
        Feedback::TRANSPORT_CC,
        Feedback::CCM_FIR,
        Feedback::NACK,
        Feedback::NACK_PLI,
    ];
    let all = all.into_iter().fold(Feedback::NONE, |sum, kind| sum | kind);
    assert_eq!(video.payload(96).unwrap().feedback, all);
    assert_eq!(video.payload(45).unwrap().parameter("level-idx"), Some("5"));
    assert_eq!(video.simulcast.as_ref().unwrap().send, ["q", "h", "f"]);
    assert_eq!(video.transport.setup, Some(Setup::ActPass));
    assert!(video.extmap_allow_mixed && !data.extmap_allow_mixed);
    assert_eq!((data.sctp_port, data.max_message_bytes), (Some(5000), Some(262_144)));
}

/// Firefox puts its fingerprint at session level.
#[test]
fn sections_inherit() {
    let offer = sample("firefox-publish-vp8");
    for section in &offer.sections {
        assert_eq!(section.transport.fingerprints.len(), 1);
        assert_eq!(section.transport.ice_options, ["trickle"]);
    }
    let directions = offer.sections[1].extensions.iter().filter_map(|e| e.direction);
    assert!(directions.clone().any(|direction| direction == Direction::SendOnly));
    assert!(directions.clone().any(|direction| direction == Direction::RecvOnly));
}

const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

#[test]
fn errors_name_line_and_attribute() {
    let check = |lines: &str, line: u32, what: &'static str, reason: Reason| {
        let found = Description::parse(&format!("{HEAD}{lines}"));
        assert_eq!(found, Err(ParseError { line, what, reason }), "{lines}");
    };
    let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
    check("nonsense", 5, "line", Reason::NotALine);
    check("m=audio 9 UDP/TLS/RTP/SAVPF 200\r\n", 5, "m=", Reason::OutOfRange);
    check("m=audio 9\r\n", 5, "m=", Reason::Malformed);
    check("m=image 9 UDP/TLS/RTP/SAVPF 111\r\n", 5, "m=", Reason::Unknown);
    check(&format!("{audio}a=rtpmap:111 opus\r\n"), 6, "a=rtpmap", Reason::Malformed);
    check(&format!("{audio}a=fmtp:111\r\n"), 6, "a=fmtp", Reason::Malformed);
    check(&format!("{audio}a=ice-ufrag:abc\r\n"), 6, "a=ice-ufrag", Reason::Malformed);
    check(&format!("{audio}a=ice-pwd:too-short\r\n"), 6, "a=ice-pwd", Reason::Malformed);
    check("a=fingerprint:sha-256 AB\r\n", 5, "a=fingerprint", Reason::Malformed);
    check(&format!("{audio}a=setup:maybe\r\n"), 6, "a=setup", Reason::Unknown);
    check(&format!("{audio}a=ssrc:-1 cname:a\r\n"), 6, "a=ssrc", Reason::OutOfRange);
    check(&format!("{audio}a=simulcast:send\r\n"), 6, "a=simulcast", Reason::Malformed);
    check(&format!("{audio}a=rid:a both\r\n"), 6, "a=rid", Reason::Malformed);
    check(&format!("{audio}a=extmap:x urn:y\r\n"), 6, "a=extmap", Reason::OutOfRange);
    check(&format!("{audio}a=mid:\r\n"), 6, "a=mid", Reason::Malformed);
    let twice = format!("{audio}a=mid:0\r\n{audio}a=mid:0\r\n");
    check(&twice, 8, "a=mid", Reason::Twice);
    check(&audio.repeat(ringway_sdp::MAX_SECTIONS + 1), 1_029, "m=", Reason::TooMany);
    let ssrcs: String = (0..200).map(|ssrc| format!("a=ssrc:{ssrc} cname:a\r\n")).collect();
    check(&format!("{audio}{ssrcs}"), 134, "a=ssrc", Reason::TooMany);
    let missing = |what| Err(ParseError { line: 1, what, reason: Reason::Missing });
    assert_eq!(Description::parse(""), missing("v="));
    assert_eq!(Description::parse("v=0\r\ns=-\r\n"), missing("o="));
    assert_eq!(Description::parse("v=1\r\n"), missing("v="));
}

/// A text cut off anywhere is read or refused, and what is read is a beginning of the whole.
#[test]
fn every_prefix_is_read_or_refused() {
    for name in ["chromium-publish-vp8", "firefox-publish-vp8"] {
        let text = text(name);
        let whole = sample(name);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            if let Ok(read) = Description::parse(&text[..end]) {
                assert!(read.sections.len() <= whole.sections.len(), "{name} {end}");
            }
        }
    }
}

/// A name that a client chose cannot begin a line of ours.
#[test]
fn control_characters_do_not_reach_the_text() {
    let mut description = sample("chromium-whep");
    let evil = "x\r\na=ice-ufrag:evil\r\n y\u{0}";
    description.sections[0]
        .msids
        .push(ringway_sdp::Msid { stream: evil.to_owned(), track: Some(evil.to_owned()) });
    description.sections[0].payloads[0].fmtp = evil.to_owned();
    let written = description.to_string();
    assert!(!written.contains("\na=ice-ufrag:evil"));
    let read = Description::parse(&written).unwrap();
    assert_eq!(read.sections[0].transport, description.sections[0].transport);
}
