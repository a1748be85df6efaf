//! Our offers, and what real browsers answered to them.

use crate::peers::{
    DATA, answer_with, capabilities, gated, local, sample, subscriber_offer, track,
};
use ringway_sdp::{
    AcceptedAnswer, Codec, Description, Direction, Feedback, Gates, Kind, NegotiationError,
    OfferRequest, OfferSection, Origin, Purpose, Rejection, SendTrack, Setup, accept_answer,
    build_offer,
};

fn accept(round: u64, name: &str) -> Result<AcceptedAnswer, NegotiationError> {
    accept_answer(&subscriber_offer(round), &sample(name), &capabilities(Purpose::Subscriber))
}

#[test]
fn an_offer_has_what_clients_look_for() {
    let text = subscriber_offer(1).to_string();
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0 1 2 3",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=sctp-port:5000",
        "m=audio 9 UDP/TLS/RTP/SAVPF 63 111",
        "a=fmtp:63 111/111",
        "a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1",
        "a=rtcp-fb:111 nack",
        "a=msid:PA_x|TR_v TR_v",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=rtcp-fb:96 goog-remb",
        "a=fmtp:97 apt=96",
        "a=ssrc-group:FID 20 21",
        "a=ssrc:20 cname:PA_x|TR_v",
        "m=video 9 UDP/TLS/RTP/SAVPF 125 126 108 109 123 124",
        "a=extmap:9 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line}");
    }
    assert_eq!(text.matches("a=setup:actpass").count(), 4);
    assert_eq!(text.matches("a=candidate:").count(), 3);
    assert!(!text.contains("a=rtcp-fb:63"));
}

#[test]
fn emptied_and_given_up_sections_stay_in_their_places() {
    let offer = subscriber_offer(2).to_string();
    assert_eq!(offer.matches("a=inactive").count(), 2);
    assert!(!offer.contains("TR_v"));
    let offer = subscriber_offer(3);
    assert_eq!(offer.sections.len(), 5);
    assert_eq!(offer.section("2").unwrap().msid().unwrap().stream, "PA_x|TR_w");
    let offer = subscriber_offer(4);
    assert!(offer.sections[2].is_rejected());
    assert_eq!(offer.bundle, ["0", "1", "3", "4"]);
}

#[test]
fn chromium_answers() {
    let first = accept(1, "chromium-subscriber-answer-1").unwrap();
    assert_eq!(first.remote.setup, Setup::Active);
    assert_eq!(first.data.as_ref().unwrap().remote_max_message_bytes, 262_144);
    let sends: Vec<bool> = first.sections.iter().map(|section| section.sends).collect();
    assert_eq!(sends, [true, true, true]);
    let audio = &first.sections[0];
    assert_eq!(audio.payload_for(Codec::Red, "").unwrap().red_inner_payload_type, Some(111));
    assert_eq!(first.sections[1].payloads[0].rtx_payload_type, Some(97));
    // Chromium from Debian has no H.264 High.
    let numbers: Vec<u8> = first.sections[2].payloads.iter().map(|p| p.payload_type).collect();
    assert_eq!(numbers, [125, 108]);
    let second = accept(2, "chromium-subscriber-answer-2").unwrap();
    let sends: Vec<bool> = second.sections.iter().map(|section| section.sends).collect();
    assert_eq!(sends, [true, false, false]);
    assert!(!second.remote.has_restarted(&first.remote));
    let third = accept(3, "chromium-subscriber-answer-3").unwrap();
    assert!(third.sections.iter().all(|section| section.sends));
    let fourth = accept(4, "chromium-subscriber-answer-4").unwrap();
    assert_eq!(fourth.sections[1].rejection, Some(Rejection::ByPeer));
    assert!(fourth.sections[2].sends);
}

/// Firefox has no RED and, as Debian has it, no H.264: it rejects that section alone.
#[test]
fn firefox_answers() {
    let first = accept(1, "firefox-subscriber-answer-1").unwrap();
    assert_eq!(first.sections[0].payload_for(Codec::Red, ""), None);
    assert_eq!(first.sections[0].payload_for(Codec::Opus, "").unwrap().payload_type, 111);
    assert!(first.sections[1].sends);
    assert_eq!(first.sections[2].rejection, Some(Rejection::ByPeer));
    let fourth = accept(4, "firefox-subscriber-answer-4").unwrap();
    assert!(fourth.sections[2].sends);
}

#[test]
fn aiortc_answers() {
    let first = accept(1, "aiortc-subscriber-answer-1").unwrap();
    assert!(first.sections[0].sends && first.sections[1].sends);
    assert_eq!(first.sections[0].payload_for(Codec::Opus, "").unwrap().payload_type, 111);
}

#[test]
fn answers_to_something_else_are_refused() {
    let wrong = |index| Err(NegotiationError::AnswerMismatch { index });
    let found = accept(3, "chromium-subscriber-answer-1").map(|_| ());
    assert_eq!(found, wrong(4));
    let mut answer = sample("chromium-subscriber-answer-1");
    let capabilities = capabilities(Purpose::Subscriber);
    answer.sections[1].mid = "x".to_owned();
    assert_eq!(accept_answer(&subscriber_offer(1), &answer, &capabilities).map(|_| ()), wrong(1));
    answer.sections.swap(0, 1);
    assert_eq!(accept_answer(&subscriber_offer(1), &answer, &capabilities).map(|_| ()), wrong(0));
    let mut answer = sample("chromium-subscriber-answer-1");
    answer.bundle.pop();
    let apart = NegotiationError::NotBundled { mid: "3".to_owned() };
    let found = accept_answer(&subscriber_offer(1), &answer, &capabilities);
    assert_eq!(found.map(|_| ()), Err(apart));
    let mut answer = sample("chromium-subscriber-answer-1");
    answer.sections.iter_mut().for_each(|s| s.transport.setup = Some(Setup::HoldConn));
    let found = accept_answer(&subscriber_offer(1), &answer, &capabilities);
    assert_eq!(found.map(|_| ()), Err(NegotiationError::OnHold));
    answer.sections.iter_mut().for_each(|s| s.transport.setup = Some(Setup::Passive));
    let found = accept_answer(&subscriber_offer(1), &answer, &capabilities).unwrap();
    assert_eq!(found.remote.is_begun_by_us(None), Ok(true));
    assert_eq!(found.remote.is_begun_by_us(Some(false)), Err(NegotiationError::OtherRole));
}

#[test]
fn a_codec_that_the_client_must_not_have_cannot_be_offered() {
    let section = OfferSection {
        mid: "0".to_owned(),
        kind: Kind::Video,
        codecs: vec![Codec::FlexFec],
        track: Some(track("TR_v", 20)),
        stopped: false,
    };
    let capabilities = capabilities(Purpose::Subscriber);
    let build = |section: &OfferSection| {
        build_offer(&OfferRequest {
            origin: Origin::new(u64::MAX),
            local: &local(),
            capabilities: &capabilities,
            data: DATA,
            sections: std::slice::from_ref(section),
            all_codecs: false,
            empty: Direction::Inactive,
        })
    };
    let found = build(&section).map(|_| ());
    assert_eq!(found, Err(NegotiationError::CannotSend { mid: "0".to_owned() }));
    let empty = OfferSection { track: None, ..section };
    let offer = build(&empty).unwrap();
    assert_eq!(offer.origin, Origin { session_id: u64::MAX >> 1, version: 1 });
    assert_eq!(offer.origin.next(), Origin { session_id: u64::MAX >> 1, version: 2 });
}

/// RED repairs itself: where it is sent, Opus is not sent again.
#[test]
fn opus_inside_red_is_not_asked_for_again() {
    let check = |purpose, codecs: &[Codec], red: bool, nack: bool| {
        let section = OfferSection {
            mid: "0".to_owned(),
            kind: Kind::Audio,
            codecs: codecs.to_vec(),
            track: Some(SendTrack { red, ..track("TR_a", 10) }),
            stopped: false,
        };
        let offer = build_offer(&OfferRequest {
            origin: Origin::new(1),
            local: &local(),
            capabilities: &capabilities(purpose),
            data: DATA,
            sections: &[section],
            all_codecs: false,
            empty: Direction::Inactive,
        });
        let offer = offer.expect("an offer").to_string();
        assert_eq!(offer.contains("a=rtcp-fb:111 nack\r\n"), nack, "{codecs:?} {red}");
    };
    let red = [Codec::Red, Codec::Opus];
    check(Purpose::Subscriber, &red, true, false);
    check(Purpose::Subscriber, &red, false, true);
    check(Purpose::Subscriber, &[Codec::Opus], true, true);

    let mut offer = sample("chromium-single-empty").to_string();
    offer = offer.replace("a=rtcp-fb:111 ", "a=rtcp-fb:111 nack\r\na=rtcp-fb:111 ");
    let offer = Description::parse(&offer).unwrap();
    let sends: Vec<(String, SendTrack)> = [(0, true), (1, false)]
        .map(|(mid, red)| (format!("{mid}"), SendTrack { red, ..track("TR_a", 10 + mid) }))
        .to_vec();
    let found = |gates: &Gates| {
        let answer = answer_with(&offer, &gated(Purpose::Single, gates), &[], &sends).unwrap();
        let audio = answer.description.sections.into_iter().take(3);
        let nack = |section: ringway_sdp::Section| {
            section.payload(111).unwrap().feedback.contains(Feedback::NACK)
        };
        audio.map(nack).collect::<Vec<_>>()
    };
    assert_eq!(found(&Gates::default()), [false, true, true]);
    let deaf = Gates { no_subscribe: vec![Codec::Red], ..Gates::default() };
    assert_eq!(found(&deaf), [true, true, true], "it is unwrapped for this client");
}

/// pion takes the codecs of the first video for all that there will ever be.
#[test]
fn all_codecs_may_be_named_behind_those_that_are_sent() {
    let section = OfferSection {
        mid: "0".to_owned(),
        kind: Kind::Video,
        codecs: vec![Codec::H264],
        track: Some(track("TR_v", 20)),
        stopped: false,
    };
    let capabilities = capabilities(Purpose::Subscriber);
    let names = |all_codecs: bool| {
        let request = OfferRequest {
            origin: Origin::new(1),
            local: &local(),
            capabilities: &capabilities,
            data: DATA,
            sections: std::slice::from_ref(&section),
            all_codecs,
            empty: Direction::Inactive,
        };
        let offer = build_offer(&request).expect("an offer");
        let payloads = offer.sections[0].payloads.clone();
        payloads.iter().map(|one| (one.payload_type, one.name.clone())).collect::<Vec<_>>()
    };
    let (own, all) = (names(false), names(true));
    assert_eq!(all[..own.len()], own);
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let named = |list: &[(u8, String)]| list.iter().any(|(_, name)| name == codec.name());
        assert!(named(&all) && !named(&own), "{all:?}");
    }
    let mut numbers: Vec<u8> = all.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), all.len(), "each once: {all:?}");
}
