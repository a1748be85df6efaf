//! Offers of real clients are answered with their own numbers, in the order that is wished for.

use crate::peers::{DATA, answer_with, capabilities, gated, local, repairing, sample, track};
use ringway_sdp::{
    Answer, AnswerRequest, ClientFacts, Codec, Description, Direction, Encodings, ExtensionKind,
    Feedback, Gates, Kind, LocalTransport, NegotiationError, Origin, Purpose, Rejection,
    SectionWish, Setup, answer,
};

fn wish(mid: &str, prefer: &[Codec]) -> SectionWish {
    SectionWish { mid: mid.to_owned(), prefer: prefer.to_vec(), dtx: true, stereo: false }
}

/// Payload types of a section's answer in order, retransmissions left out.
fn order(answer: &ringway_sdp::Answer, mid: &str) -> Vec<(u8, Codec)> {
    let section = answer.sections.iter().find(|section| section.mid == mid).unwrap();
    section.payloads.iter().map(|payload| (payload.payload_type, payload.codec)).collect()
}

#[test]
fn a_publisher_is_answered() {
    let offer = sample("chromium-publish-vp8");
    let wishes = [wish("0", &[Codec::Red, Codec::Opus]), wish("1", &[Codec::Vp8])];
    let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &wishes, &[]).unwrap();
    let text = answer.description.to_string();
    assert!(text.contains("a=ice-lite\r\na=group:BUNDLE 0 1 2\r\n"));
    assert_eq!(text.matches("a=setup:passive").count(), 3);
    assert_eq!(text.matches("a=candidate:").count(), 3);
    assert!(text.contains("192.0.2.9 7881 typ host tcptype passive\r\na=end-of-candidates"));
    assert!(text.contains("m=audio 9 UDP/TLS/RTP/SAVPF 63 111 0 8\r\n"));
    assert!(text.contains("a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1\r\n"));
    assert!(text.contains("a=rid:q recv\r\na=rid:h recv\r\na=rid:f recv\r\n"));
    assert!(text.contains("a=simulcast:recv q;h;f\r\n"));
    assert!(text.contains("a=max-message-size:65535\r\n"));
    assert_eq!(order(&answer, "0")[..2], [(63, Codec::Red), (111, Codec::Opus)]);
    // VP9 profile 2, and H.264 Baseline and Main, are not on.
    assert_eq!(
        order(&answer, "1"),
        [
            (96, Codec::Vp8),
            (108, Codec::H264),
            (114, Codec::H264),
            (45, Codec::Av1),
            (98, Codec::Vp9)
        ]
    );
    let video = &answer.sections[1];
    assert!(video.receives && !video.sends);
    let rids = ["q", "h", "f"].map(str::to_owned).to_vec();
    assert_eq!(video.encodings, Encodings::Rids(rids));
    assert_eq!(video.payloads[0].rtx_payload_type, Some(97));
    let feedback = video.payloads[0].feedback;
    assert!(feedback.contains(Feedback::TRANSPORT_CC | Feedback::NACK | Feedback::NACK_PLI));
    assert!(!feedback.contains(Feedback::GOOG_REMB));
    let ids: Vec<(u8, ExtensionKind)> = video.extensions.iter().map(|e| (e.id, e.kind)).collect();
    assert_eq!(
        ids,
        [
            (3, ExtensionKind::TransportCc),
            (4, ExtensionKind::Mid),
            (10, ExtensionKind::Rid),
            (11, ExtensionKind::RepairedRid),
            (12, ExtensionKind::DependencyDescriptor)
        ]
    );
    let Encodings::Ssrcs(audio) = &answer.sections[0].encodings else { panic!() };
    assert_eq!(audio.len(), 1);
    assert_eq!(answer.sections[0].payloads[0].red_inner_payload_type, Some(111));
    assert_eq!(answer.remote.setup, Setup::ActPass);
    assert_eq!(answer.remote.candidates.len(), 4);
    let data = answer.data.as_ref().unwrap();
    assert_eq!((data.remote_sctp_port, data.remote_max_message_bytes), (5000, 262_144));
    let media: Vec<u8> = answer.media.payloads.iter().map(|payload| payload.payload_type).collect();
    assert_eq!(media, [0, 8, 45, 63, 96, 98, 108, 111, 114]);
}

/// RFC 8859 5.2: one transport has one kind of RTCP, whatever its sections say.
#[test]
fn rtcp_is_reduced_where_every_section_says_so() {
    for (name, purpose, reduced) in [
        ("chromium-publish-vp8", Purpose::Publisher, true),
        ("chromium-single-publishing", Purpose::Single, true),
        ("gstreamer-publish", Purpose::Publisher, true),
        ("aiortc-publish", Purpose::Publisher, false),
        // Only for video.
        ("firefox-publish-vp8", Purpose::Publisher, false),
    ] {
        let offer = sample(name);
        let answer = answer_with(&offer, &capabilities(purpose), &[], &[]).unwrap();
        assert_eq!(answer.media.reduced_rtcp, reduced, "{name}");
    }
}

#[test]
fn canonical_names_are_bounded() {
    for (stream, expect) in [
        ("PA_x|TR_y", "PA_x|TR_y".to_owned()),
        ("", String::new()),
        (&"a".repeat(64), "a".repeat(64)),
        (&"a".repeat(65), "a".repeat(64)),
        // Never half a character.
        (&"\u{e9}".repeat(40), "\u{e9}".repeat(32)),
        (&format!("a{}", "\u{e9}".repeat(40)), format!("a{}", "\u{e9}".repeat(31))),
    ] {
        assert_eq!(ringway_sdp::cname(stream), expect);
    }
}

/// Every number of every answer is one of the offer's, with the offer's meaning.
#[test]
fn numbers_are_those_of_the_offer() {
    for (name, purpose) in [
        ("aiortc-publish", Purpose::Publisher),
        ("aiortc-whep", Purpose::Subscriber),
        ("chromium-publish-h264", Purpose::Publisher),
        ("chromium-publish-second", Purpose::Publisher),
        ("chromium-publish-restart", Purpose::Publisher),
        ("chromium-single-publishing", Purpose::Single),
        ("chromium-whep", Purpose::Subscriber),
        ("firefox-publish-vp8", Purpose::Publisher),
        ("firefox-single-publishing", Purpose::Single),
        ("firefox-whep", Purpose::Subscriber),
        ("gstreamer-publish", Purpose::Publisher),
    ] {
        let offer = sample(name);
        let answer = answer_with(&offer, &capabilities(purpose), &[], &[]).unwrap();
        assert_eq!(answer.description.sections.len(), offer.sections.len(), "{name}");
        for (ours, theirs) in answer.description.sections.iter().zip(&offer.sections) {
            assert_eq!((&ours.mid, ours.kind), (&theirs.mid, theirs.kind), "{name}");
            assert!(!ours.is_rejected(), "{name} {}", ours.mid);
            for payload in &ours.payloads {
                let offered = theirs.payload(payload.payload_type).unwrap();
                assert_eq!(payload.name, offered.name, "{name}");
                assert_eq!(payload.clock_rate, offered.clock_rate, "{name}");
                let union = offered.feedback | payload.feedback;
                assert_eq!(union, offered.feedback, "{name}");
            }
            for extension in &ours.extensions {
                let offered = theirs.extensions.iter().find(|e| e.id == extension.id).unwrap();
                assert_eq!(extension.uri, offered.uri, "{name}");
            }
        }
        assert!(answer.sections.iter().all(|section| !section.payloads.is_empty()), "{name}");
    }
}

#[test]
fn the_preferred_codec_comes_first_or_alone() {
    let offer = sample("chromium-publish-vp8");
    let check = |facts: ClientFacts<'_>, prefer: &[Codec], expect: &[u8]| {
        let capabilities = gated(Purpose::Publisher, &Gates::of(&facts));
        let wishes = [wish("1", prefer)];
        let answer = answer_with(&offer, &capabilities, &wishes, &[]).unwrap();
        let found: Vec<u8> = order(&answer, "1").iter().map(|(number, _)| *number).collect();
        assert_eq!(found, expect, "{facts:?} {prefer:?}");
    };
    let chrome = ClientFacts { browser: "Chrome", os: "Linux", ..ClientFacts::default() };
    check(chrome, &[], &[96, 108, 114, 45, 98]);
    check(chrome, &[Codec::Vp9], &[98, 96, 108, 114, 45]);
    check(chrome, &[Codec::Av1, Codec::H264], &[45, 108, 114, 96, 98]);
    check(chrome, &[Codec::H265], &[96, 108, 114, 45, 98]);
    let firefox = ClientFacts { browser: "Firefox", os: "Linux", ..ClientFacts::default() };
    check(firefox, &[], &[96, 108, 114, 98]);
    check(firefox, &[Codec::Vp9], &[98]);
    check(firefox, &[Codec::H264], &[108, 114]);
    check(firefox, &[Codec::Av1], &[96, 108, 114, 98]);
    let mobile = ClientFacts { browser: "Firefox", os: "Android", ..ClientFacts::default() };
    check(mobile, &[], &[96, 98]);
}

#[test]
fn stereo_and_silence_are_asked_for() {
    let offer = sample("chromium-publish-vp8");
    for (dtx, stereo, expect) in [
        (false, false, ""),
        (true, false, ";usedtx=1"),
        (false, true, ";stereo=1;maxaveragebitrate=510000"),
        (true, true, ";usedtx=1;stereo=1;maxaveragebitrate=510000"),
    ] {
        let wishes = [SectionWish { mid: "0".to_owned(), prefer: Vec::new(), dtx, stereo }];
        let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &wishes, &[]).unwrap();
        let opus = answer.description.sections[0].payload(111).unwrap().fmtp.clone();
        assert_eq!(opus, format!("minptime=10;useinbandfec=1{expect}"));
    }
}

/// Firefox numbers differently, has no simulcast SSRCs and says directions of extensions.
#[test]
fn firefox_is_answered_in_its_own_numbers() {
    let offer = sample("firefox-publish-vp8");
    let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap();
    assert_eq!(order(&answer, "0"), [(109, Codec::Opus), (0, Codec::Pcmu), (8, Codec::Pcma)]);
    assert!(order(&answer, "1").contains(&(120, Codec::Vp8)));
    let text = answer.description.to_string();
    assert!(text.contains("a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"));
    assert!(!text.contains("csrc-audio-level"));
    assert!(text.contains("a=simulcast:recv q;h;f\r\n"));
    // As a receiver it does not take what it only sends.
    let offer = sample("firefox-single-publishing");
    let answer = answer_with(&offer, &capabilities(Purpose::Single), &[], &[]).unwrap();
    for section in answer.sections.iter().filter(|section| section.kind == Kind::Video) {
        let rid = section.extensions.iter().any(|e| e.kind == ExtensionKind::Rid);
        assert_eq!(rid, section.receives, "{}", section.mid);
    }
}

/// An emptied section keeps its layers: Chromium would give up those that the answer leaves out.
#[test]
fn inactive_sections_keep_their_layers() {
    let offer = sample("chromium-publish-second");
    let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap();
    let section = answer.description.section("1").unwrap();
    assert_eq!(section.direction, Direction::Inactive);
    assert_eq!(section.simulcast.as_ref().unwrap().receive, ["q", "h", "f"]);
    assert!(!answer.sections[1].receives);
    assert_eq!(answer.sections[1].encodings, Encodings::Unsignalled);
}

#[test]
fn an_ice_restart_is_noticed() {
    let remote = |name| {
        let offer = sample(name);
        answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap().remote
    };
    let (first, restart) = (remote("chromium-publish-second"), remote("chromium-publish-restart"));
    assert_ne!(first.ufrag, restart.ufrag);
    assert!(!first.has_restarted(&first));
    assert_eq!(first.fingerprint.digest.len(), restart.fingerprint.digest.len());
    assert!(restart.has_restarted(&first));
}

#[test]
fn whep_sends_what_is_placed() {
    let offer = sample("chromium-whep");
    let sends = [("0".to_owned(), track("TR_a", 10)), ("1".to_owned(), track("TR_v", 20))];
    let capabilities = capabilities(Purpose::Subscriber);
    let answer = answer_with(&offer, &capabilities, &[], &sends).unwrap();
    let text = answer.description.to_string();
    assert_eq!(text.matches("a=sendonly").count(), 2);
    assert!(text.contains("a=ssrc-group:FID 20 21\r\n"));
    assert!(!text.contains("a=ssrc-group:FID 10"));
    assert!(text.contains("a=msid:PA_x|TR_v TR_v\r\n"));
    assert!(text.contains(";sprop-stereo=1\r\n"));
    assert!(text.contains("a=rtcp-fb:96 goog-remb\r\n") && !text.contains("transport-cc"));
    let video = &answer.sections[1];
    assert!(video.sends && !video.receives);
    let h264 = "packetization-mode=1;profile-level-id=42e034";
    assert_eq!(video.payload_for(Codec::H264, h264).unwrap().payload_type, 108);
    // High is decoded by who has Constrained Baseline, as long as it takes the packets apart.
    let high = "packetization-mode=1;profile-level-id=640032";
    assert!(video.payload_for(Codec::H264, high).unwrap().fmtp.contains("packetization-mode=1"));
    let whole = "packetization-mode=0;profile-level-id=640032";
    assert!(video.payload_for(Codec::H264, whole).unwrap().fmtp.contains("packetization-mode=0"));
    assert_eq!(video.payload_for(Codec::Vp9, "profile-id=2"), None);
    assert_eq!(video.payload_for(Codec::H265, ""), None);
    let pairs = [("0", "TR_a"), ("1", "TR_v")].map(|(m, t)| (m.to_owned(), t.to_owned()));
    assert_eq!(answer.mid_to_track, pairs);
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    let offer = sample("chromium-publish-vp8");
    let sends = [("0".to_owned(), track("TR_a", 10))];
    for purpose in [Purpose::Publisher, Purpose::Single] {
        let found = answer_with(&offer, &capabilities(purpose), &[], &sends);
        let expect = NegotiationError::CannotSend { mid: "0".to_owned() };
        assert_eq!(found.map(|_| ()), Err(expect));
    }
}

const AUDIO: &str = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\na=setup:actpass\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:\
    17:18:19:1A:1B:1C:1D:1E:1F\r\na=rtcp-mux\r\na=sendonly\r\na=mid:0\r\n";

fn offer_of(sections: &str) -> Description {
    let head = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    Description::parse(&format!("{head}{sections}")).unwrap()
}

#[test]
fn offers_that_cannot_be_met_are_errors() {
    let check = |sections: &str, expect: Option<NegotiationError>| {
        let offer = offer_of(sections);
        let found = answer(&AnswerRequest {
            offer: &offer,
            origin: Origin::new(7),
            local: &local(),
            capabilities: &capabilities(Purpose::Publisher),
            data: DATA,
            wishes: &[],
            sends: &[],
            one_shot: true,
        });
        assert_eq!(found.err(), expect, "{sections}");
    };
    let video = AUDIO.replace("audio", "video").replace("opus/48000/2", "VP8/90000");
    let video = video.replace("mid:0", "mid:1").replace("111", "96");
    check(AUDIO, None);
    check(&format!("a=group:BUNDLE 0 1\r\n{AUDIO}{video}"), None);
    check("", Some(NegotiationError::NothingAccepted));
    let apart = NegotiationError::NotBundled { mid: "1".to_owned() };
    check(&format!("a=group:BUNDLE 0\r\n{AUDIO}{video}"), Some(apart));
    let rejected = video.replace("m=video 9", "m=video 0");
    check(&format!("a=group:BUNDLE 0\r\n{AUDIO}{rejected}"), None);
    check(&AUDIO.replace("a=mid:0\r\n", ""), Some(NegotiationError::NoMid { index: 0 }));
    check(&AUDIO.replace("actpass", "active"), None);
    check(&AUDIO.replace("actpass", "passive"), None);
    check(&AUDIO.replace("actpass", "holdconn"), Some(NegotiationError::OnHold));
    check(&AUDIO.replace("sha-256", "md5"), Some(NegotiationError::NoFingerprint));
    let pwd = "a=ice-pwd:0123456789abcdef012345\r\n";
    check(&AUDIO.replace(pwd, ""), Some(NegotiationError::NoIceCredentials));
    check(&format!("a=ice-lite\r\n{AUDIO}"), Some(NegotiationError::BothLite));
    check(&AUDIO.replace("opus/48000/2", "G722/8000"), Some(NegotiationError::NothingAccepted));
    check(&AUDIO.replace("a=rtcp-mux\r\n", ""), Some(NegotiationError::NothingAccepted));
    check(&AUDIO.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), Some(NegotiationError::NothingAccepted));
    let data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel";
    let data = AUDIO.replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", data).replace("mid:0", "mid:1");
    check(&data, None);
    check(&data.replace("webrtc-datachannel", "t38"), Some(NegotiationError::NothingAccepted));
    check(&format!("a=group:BUNDLE 0 1\r\n{AUDIO}{data}"), None);
    let strange = AUDIO.replace("opus/48000/2", "G722/8000");
    let strange = format!("a=group:BUNDLE 0 1\r\n{strange}{data}");
    check(&strange, Some(NegotiationError::NothingAccepted));
    let same = format!("a=group:BUNDLE 0 1\r\n{AUDIO}{}", video.replace("96", "111"));
    let conflict = NegotiationError::Conflict { what: "payload type", number: 111 };
    check(&same, Some(conflict));
}

/// RFC 8842: who offers `passive` waits for our ClientHello, and ends of DTLS do not change.
#[test]
fn we_begin_dtls_where_the_client_waits() {
    let check = |setup: &str, begins: Option<bool>, expect: Result<Setup, NegotiationError>| {
        let offer = offer_of(&AUDIO.replace("actpass", setup));
        let found = answer(&AnswerRequest {
            offer: &offer,
            origin: Origin::new(7),
            local: &LocalTransport { begins, ..local() },
            capabilities: &capabilities(Purpose::Publisher),
            data: DATA,
            wishes: &[],
            sends: &[],
            one_shot: true,
        });
        let setup_of = |answer: Answer| answer.description.sections[0].transport.setup.unwrap();
        assert_eq!(found.map(setup_of), expect, "{setup} {begins:?}");
    };
    let other = || Err(NegotiationError::OtherRole);
    for (setup, begins, expect) in [
        ("actpass", None, Ok(Setup::Passive)),
        ("actpass", Some(false), Ok(Setup::Passive)),
        ("actpass", Some(true), Ok(Setup::Active)),
        ("active", None, Ok(Setup::Passive)),
        ("active", Some(false), Ok(Setup::Passive)),
        ("active", Some(true), other()),
        ("passive", None, Ok(Setup::Active)),
        ("passive", Some(true), Ok(Setup::Active)),
        ("passive", Some(false), other()),
    ] {
        check(setup, begins, expect);
    }
}

#[test]
fn a_section_that_cannot_be_met_does_not_take_the_others_down() {
    let video = AUDIO.replace("audio", "video").replace("mid:0", "mid:1").replace("111", "96");
    let video = video.replace("opus/48000/2", "Theora/90000");
    let data = "m=application 9 DTLS/SCTP 5000\r\na=mid:2\r\n";
    // The first section, which carries the transport, is the one that is rejected.
    let offer = offer_of(&format!("a=group:BUNDLE 1 0 2\r\n{video}{AUDIO}{data}"));
    let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap();
    assert_eq!(answer.sections[0].rejection, Some(Rejection::NoCodec));
    assert_eq!(answer.sections[1].rejection, None);
    assert_eq!(answer.data, None);
    assert_eq!(answer.description.bundle, ["0"]);
    let text = answer.description.to_string();
    assert!(text.contains("m=video 0 UDP/TLS/RTP/SAVPF 96\r\n"));
    assert!(text.contains("m=application 0 DTLS/SCTP 5000\r\n"));
    assert_eq!(answer.description.sections[1].transport.candidates.len(), 3);
    assert!(answer.description.sections[0].transport.ufrag.is_empty());
}

/// H.264 of parameters that no row has is taken where there is nothing better, and goes to whom it
/// can be decoded by.
#[test]
fn other_h264_is_the_last_resort() {
    let section = |fmtps: &[&str]| {
        let numbers: Vec<String> = (96..).take(fmtps.len()).map(|pt| pt.to_string()).collect();
        let mut text = AUDIO.replace("m=audio", "m=video");
        text = text.replace("SAVPF 111\r\n", &format!("SAVPF {}\r\n", numbers.join(" ")));
        text = text.replace("a=rtpmap:111 opus/48000/2\r\n", "");
        for (number, fmtp) in numbers.iter().zip(fmtps) {
            let line = match *fmtp {
                "" => format!("a=rtpmap:{number} VP8/90000\r\n"),
                fmtp => {
                    let (profile, mode) = fmtp.split_once('/').unwrap();
                    let fmtp = format!("profile-level-id={profile};packetization-mode={mode}");
                    format!("a=rtpmap:{number} H264/90000\r\na=fmtp:{number} {fmtp}\r\n")
                }
            };
            text.push_str(&line);
        }
        text
    };
    let check = |purpose, fmtps: &[&str], expect: &[u8]| {
        let text = section(fmtps);
        let received = text.replace("a=sendonly", "a=recvonly");
        let text = if purpose == Purpose::Publisher { text } else { received };
        let answer = answer_with(&offer_of(&text), &capabilities(purpose), &[], &[]).unwrap();
        let found: Vec<u8> = order(&answer, "0").iter().map(|row| row.0).collect();
        assert_eq!(found, expect, "{fmtps:?}");
        answer
    };
    for purpose in [Purpose::Publisher, Purpose::Subscriber] {
        check(purpose, &["42e01f/1", "42001f/1", "4d001f/1"], &[96]);
        check(purpose, &["42001f/1"], &[96]);
        check(purpose, &["", "4d001f/1", "42001f/0", "f4001f/1", "42001f/2"], &[96, 97, 98]);
        check(purpose, &["f4001f/1"], &[]);
        check(purpose, &["42e01f/2"], &[]);
    }
    let can = |fmtps: &[&str], stream: &str, expect: Option<u8>| {
        let answer = check(Purpose::Subscriber, fmtps, &[96, 97][..fmtps.len()]);
        let found = answer.sections[0].payload_for(Codec::H264, stream);
        assert_eq!(found.map(|payload| payload.payload_type), expect, "{fmtps:?} {stream}");
    };
    let (whole, cut) = ("profile-level-id=42e01f", "profile-level-id=42e01f;packetization-mode=1");
    can(&["4d001f/0"], whole, Some(96));
    can(&["4d001f/0"], cut, None);
    can(&["4d001f/1"], whole, Some(96));
    can(&["4d001f/1", "4d001f/0"], whole, Some(97));
    can(&["4d001f/1"], "profile-level-id=f4001f;packetization-mode=1", None);
}

/// A section that is only bundled has port 0 in the offer; that is no rejection.
#[test]
fn bundle_only_is_no_rejection() {
    let video = AUDIO.replace("audio", "video").replace("mid:0", "mid:1\r\na=bundle-only");
    let video = video.replace("opus/48000/2", "VP8/90000").replace("111", "96");
    let video = video.replace("m=video 9", "m=video 0");
    let offer = offer_of(&format!("a=group:BUNDLE 0 1\r\n{AUDIO}{video}"));
    let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap();
    assert_eq!(answer.sections[1].rejection, None);
    assert_eq!(answer.description.sections[1].port, 9);
    assert!(!answer.description.sections[1].bundle_only);
}

#[test]
fn encodings_by_ssrc_are_paired() {
    let video = AUDIO.replace("audio", "video").replace("opus/48000/2", "VP8/90000");
    let check = |lines: &str, expect: &[(u32, Option<u32>, Option<u32>)]| {
        let offer = offer_of(&format!("{video}{lines}"));
        let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap();
        let found = match &answer.sections[0].encodings {
            Encodings::Ssrcs(list) => {
                list.iter().map(|e| (e.ssrc, e.rtx_ssrc, e.fec_ssrc)).collect()
            }
            Encodings::Unsignalled => Vec::new(),
            Encodings::Rids(_) => panic!(),
        };
        assert_eq!(found, expect, "{lines}");
    };
    check("", &[]);
    check("a=ssrc:5 cname:a\r\n", &[(5, None, None)]);
    check(
        "a=ssrc-group:FID 5 6\r\na=ssrc:6 cname:a\r\na=ssrc:5 cname:a\r\n",
        &[(5, Some(6), None)],
    );
    check("a=ssrc-group:FID 5 6\r\na=ssrc-group:FEC-FR 5 7\r\n", &[(5, Some(6), Some(7))]);
    check(
        "a=ssrc-group:SIM 1 2 3\r\na=ssrc-group:FID 1 4\r\na=ssrc-group:FID 3 6\r\n",
        &[(1, Some(4), None), (2, None, None), (3, Some(6), None)],
    );
    check("a=ssrc-group:SIM 1 2 3 4\r\n", &[(1, None, None), (2, None, None), (3, None, None)]);
}

/// Repairs are taken where the setting says so, whatever becomes of the other codecs, and are never
/// sent.
#[test]
fn repairs_of_publishers_are_taken_if_they_may() {
    let video = AUDIO.replace("audio", "video").replace("opus/48000/2", "VP8/90000");
    let video = video.replace("SAVPF 111", "SAVPF 115 111 98");
    let lines = "a=rtpmap:115 flexfec-03/90000\r\na=rtcp-fb:115 transport-cc\r\n\
                 a=rtcp-fb:115 goog-remb\r\na=fmtp:115 repair-window=10000000\r\n\
                 a=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\n\
                 a=ssrc-group:FEC-FR 5 7\r\na=ssrc:5 cname:a\r\na=ssrc:7 cname:a\r\n";
    let offer = offer_of(&format!("{video}{lines}"));
    let trims = Gates { ignores_codec_order: true, ..Gates::default() };
    let wishes = [wish("0", &[Codec::Vp8])];
    let check = |gates: &Gates, flexfec, expect: &[u8]| {
        for purpose in [Purpose::Publisher, Purpose::Single] {
            let answer =
                answer_with(&offer, &repairing(purpose, gates, flexfec), &wishes, &[]).unwrap();
            let numbers: Vec<u8> = order(&answer, "0").iter().map(|one| one.0).collect();
            assert_eq!(numbers, expect);
            let text = answer.description.to_string();
            for line in [
                "a=rtpmap:115 flexfec-03/90000\r\n",
                "a=fmtp:115 repair-window=10000000\r\n",
                "a=rtcp-fb:115 transport-cc\r\n",
            ] {
                assert_eq!(text.contains(line), flexfec, "{line}");
            }
            assert!(!text.contains("a=rtcp-fb:115 goog-remb"));
            let Encodings::Ssrcs(found) = &answer.sections[0].encodings else { panic!() };
            assert_eq!((found[0].ssrc, found[0].fec_ssrc), (5, Some(7)));
        }
    };
    check(&Gates::default(), false, &[111, 98]);
    check(&Gates::default(), true, &[111, 98, 115]);
    check(&trims, false, &[111]);
    check(&trims, true, &[111, 115]);
    // A section that we send in has none, and repairs alone are no media.
    let both = offer_of(&format!("{}{lines}", video.replace("sendonly", "recvonly")));
    let capabilities = repairing(Purpose::Single, &Gates::default(), true);
    let answer = answer_with(&both, &capabilities, &[], &[]).unwrap();
    assert_eq!(order(&answer, "0"), [(111, Codec::Vp8), (98, Codec::Vp9)]);
    let alone = video.replace("VP8/90000", "Theora/90000");
    let alone = offer_of(&format!("{alone}{}", lines.replace("VP9", "VP99")));
    let answer = answer_with(&alone, &capabilities, &[], &[]).unwrap();
    assert_eq!(answer.sections[0].rejection, Some(Rejection::NoCodec));
}

#[test]
fn encodings_without_what_they_need_are_left_out() {
    let video = AUDIO.replace("audio", "video").replace("opus/48000/2", "VP8/90000");
    let extension = "a=extmap:5 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
    let check = |lines: &str, expect: &[&str]| {
        let offer = offer_of(&format!("{video}{lines}"));
        let answer = answer_with(&offer, &capabilities(Purpose::Publisher), &[], &[]).unwrap();
        let found = match &answer.sections[0].encodings {
            Encodings::Rids(rids) => rids.clone(),
            _ => Vec::new(),
        };
        assert_eq!(found, expect, "{lines}");
        let rids = &answer.description.sections[0].rids;
        assert!(rids.iter().all(|rid| !rid.sends) && rids.len() == expect.len());
    };
    let two = "a=rid:l send\r\na=rid:h send\r\na=simulcast:send l;h\r\n";
    check(&format!("{extension}{two}"), &["l", "h"]);
    // Without the extension nobody could tell the encodings apart.
    check(two, &[]);
    check(&format!("{extension}a=rid:l send\r\n"), &[]);
    check(&format!("{extension}{two}a=rid:x send\r\n"), &["l", "h"]);
    let paused = "a=rid:l send\r\na=rid:h send\r\na=simulcast:send ~l,x;h\r\n";
    check(&format!("{extension}{paused}"), &["l", "h"]);
    let narrow = "a=rid:l send pt=111,7;max-width=320\r\na=rid:h send pt=9\r\n\
                  a=simulcast:send l;h\r\n";
    check(&format!("{extension}{narrow}"), &["l"]);
    let four = "a=rid:a send\r\na=rid:b send\r\na=rid:c send\r\na=rid:d send\r\n\
                a=simulcast:send a;b;c;d\r\n";
    check(&format!("{extension}{four}"), &["a", "b", "c"]);
}
