//! WHIP and WHEP: one offer, one answer, and what comes later without words.

mod stage;

use ringway_room::calls::{DisconnectReason, LeaveAction, Notice, Request, TrackKind};
use ringway_signal::Session;
use ringway_signal::join::Join;
use ringway_signal::oneshot::{Direct, OneShotError, announcements, parse_offer};
use ringway_signal::plane::{Ask, Codec, DataOpening, SetData};
use stage::{Around, Stage, client, description, line, start, track};

fn stage(direct: Direct, browser: &str) -> Stage {
    let joined = stage::joined();
    let join = Join { auto_subscribe: true, ..Join::default() };
    let session = Session::one_shot(start(join, client(browser, 0), &joined), direct);
    Stage { session, around: Around::default(), now_ms: 0 }
}

#[test]
fn whip_publishes_what_it_offers() {
    let lines = [line("audio", "sendonly", "mic", ""), line("video", "sendonly", "cam", "q;h;f")];
    let offer = description(1, "abcd", "actpass", &lines);
    let mut stage = stage(Direct::Whip, "OBS Studio");
    let tracks = announcements(&parse_offer(&offer).unwrap(), true);
    let shown: Vec<_> = tracks.iter().map(|add| (add.name.as_str(), add.cid.as_str())).collect();
    assert_eq!(shown, [("synthesized-microphone", "mic"), ("synthesized-camera", "cam")]);
    assert_eq!(tracks[1].layers.len(), 3);
    assert_eq!(tracks[1].simulcast_codecs[0].video_layer_mode, 3);
    stage.session.announce(tracks);
    assert_eq!(stage.said().kinds(), "@AddTrack @AddTrack");
    stage.announce("mic", &track(1, TrackKind::Audio, ""));
    stage.announce("cam", &track(2, TrackKind::Video, ""));
    let answer = stage.session.handle_one_offer(&offer, &stage.around).unwrap();
    assert!(answer.sdp.contains("a=setup:passive") && answer.sdp.contains(&answer.etag));
    let said = stage.said();
    assert!(said.client.is_empty());
    assert_eq!(said.room.len(), 2);
    assert!(matches!(
        &said.plane[..],
        [
            Ask::OpenTransport { .. },
            Ask::SetRemote { .. },
            Ask::SetMedia { .. },
            Ask::AddSource(_),
            Ask::AddSource(_),
        ]
    ));
    // Nobody can be told to come back.
    let said = stage.is_told(Notice::CloseSignal);
    assert_eq!(said.room, [Request::Leave { reason: DisconnectReason::ConnectionTimeout }]);
    let (reason, action) = (DisconnectReason::ConnectionTimeout, LeaveAction::Disconnect);
    let said = stage.is_told(Notice::Leave { reason, action });
    assert!(said.kinds().ends_with("#CloseTransport !Unpublished !Unpublished !HangUp !End"));
}

#[test]
fn candidates_and_restarts() {
    let offer = description(1, "abcd", "actpass", &[line("audio", "sendonly", "mic", "")]);
    let mut stage = stage(Direct::Whip, "chrome");
    stage.announce("mic", &track(1, TrackKind::Audio, ""));
    let answer = stage.session.handle_one_offer(&offer, &stage.around).unwrap();
    stage.said();
    let fragment = |ufrag: &str| {
        format!(
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:0123456789abcdef01234567\r\n\
                 m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
                 a=candidate:1 1 udp 2130706431 192.0.2.9 5000 typ host\r\n"
        )
    };
    let mut check = |etag: &str, text: &str, expect| {
        assert_eq!(stage.session.handle_fragment(etag, text), expect, "{etag} {text}");
    };
    check(&answer.etag, &fragment("abcd"), Ok(()));
    check(&format!("\"{}\"", answer.etag), &fragment("abcd"), Ok(()));
    check("other", &fragment("abcd"), Err(OneShotError::OtherSession));
    check(&answer.etag, &fragment("wxyz"), Err(OneShotError::OtherCredentials));
    check(&answer.etag, "nonsense", Err(OneShotError::NotFragment));
    assert_eq!(stage.said().kinds(), "#AddCandidate");
    let restarted = stage.session.handle_restart(&fragment("wxyz")).unwrap();
    assert_ne!(restarted.etag, answer.etag);
    assert!(restarted.sdp.contains(&format!("a=ice-ufrag:{}", restarted.etag)));
    assert_eq!(stage.said().kinds(), "#RestartIce #SetRemote");
    assert_eq!(stage.session.handle_restart(""), Err(OneShotError::NotFragment));
}

#[test]
fn offers_that_cannot_be_met() {
    let check = |direct, offer: &str, expect| {
        let mut stage = stage(direct, "chrome");
        let answered = stage.session.handle_one_offer(offer, &stage.around);
        assert_eq!(answered.map(|_| ()), expect, "{offer}");
    };
    check(Direct::Whip, "", Err(OneShotError::NotSdp));
    check(Direct::Whip, "v=0\r\n", Err(OneShotError::NotSdp));
    let strange = description(1, "abcd", "actpass", &[line("audio", "sendonly", "m", "")]);
    let strange = strange.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    check(Direct::Whip, &strange, Err(OneShotError::NotAcceptable));
    // Data alone is something, but no comfort to who sends media.
    let data = description(1, "abcd", "actpass", &[line("application", "", "", "")]);
    check(Direct::Whip, &data, Ok(()));
    let lines = [line("audio", "sendonly", "m", ""), line("application", "", "", "")];
    let both = description(1, "abcd", "actpass", &lines);
    check(Direct::Whip, &both, Ok(()));
    let strange = both.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP");
    check(Direct::Whip, &strange, Err(OneShotError::NotAcceptable));
    let held = description(1, "abcd", "holdconn", &[line("audio", "sendonly", "m", "")]);
    check(Direct::Whip, &held, Err(OneShotError::NotAcceptable));
}

/// `a=setup:passive`: the client is the DTLS server and we begin, also after a restart of ICE.
#[test]
fn who_waits_for_dtls_is_answered_actively() {
    for (direct, direction) in [(Direct::Whip, "sendonly"), (Direct::Whep, "recvonly")] {
        let mut stage = stage(direct, "chrome");
        stage.announce("mic", &track(1, TrackKind::Audio, ""));
        let offer = description(1, "abcd", "passive", &[line("audio", direction, "mic", "")]);
        let answer = stage.session.handle_one_offer(&offer, &stage.around).unwrap();
        assert!(answer.sdp.contains("a=setup:active") && !answer.sdp.contains("setup:passive"));
        let plane = stage.said().plane;
        let [Ask::OpenTransport { transport, .. }, begin, Ask::SetRemote { .. }, ..] = &plane[..]
        else {
            panic!("{plane:?}")
        };
        assert_eq!(*begin, Ask::BeginDtls { transport: *transport });
        let fragment = "a=ice-ufrag:wxyz\r\na=ice-pwd:0123456789abcdef01234567\r\n";
        stage.session.handle_restart(fragment).unwrap();
        assert_eq!(stage.said().kinds(), "#RestartIce #SetRemote");
    }
}

#[test]
fn whep_fills_its_sections_with_what_there_is() {
    let lines = [line("audio", "recvonly", "", ""), line("video", "recvonly", "", "")];
    let offer = description(1, "abcd", "actpass", &lines);
    let mut stage = stage(Direct::Whep, "chrome");
    let video = track(1, TrackKind::Video, "video/VP8");
    stage.has_source(&video, Codec::Vp8);
    assert_eq!(stage.subscribe(&video).kinds(), "");
    let answer = stage.session.handle_one_offer(&offer, &stage.around).unwrap();
    assert_eq!(answer.sdp.matches("a=sendonly").count(), 2);
    let said = stage.said();
    assert_eq!(said.kinds(), "@SubscribedMedia #OpenTransport #SetRemote #SetMedia #AddRoute");
    let Some(Ask::AddRoute(first)) = said.plane.last() else { panic!() };
    assert_eq!((first.mid.as_str(), first.payload_type), ("1", 96));
    // A second video has to wait until the first one is gone; then it goes on in its stream.
    let second = track(2, TrackKind::Video, "video/VP8");
    stage.has_source(&second, Codec::Vp8);
    assert_eq!(stage.subscribe(&second).kinds(), "");
    let said = stage.is_told(Notice::Unsubscribe { track: video.sid });
    assert_eq!(said.kinds(), "@SubscribedMedia #RemoveRoute #AddRoute");
    let Some(Ask::AddRoute(next)) = said.plane.last() else { panic!() };
    assert_eq!((next.ssrc, next.mid.as_str()), (first.ssrc, "1"));
    // Audio comes later and has a section of its own.
    let audio = track(3, TrackKind::Audio, "audio/opus");
    stage.subscribe(&audio);
    stage.has_source(&audio, Codec::Opus);
    stage.session.handle_source(audio.sid, &stage.around);
    let said = stage.said();
    let Some(Ask::AddRoute(route)) = said.plane.last() else { panic!("{}", said.kinds()) };
    assert_eq!((route.mid.as_str(), route.payload_type), ("0", 111));
}

/// What the plane was told of data.
fn data_of(plane: &[Ask]) -> Vec<&SetData> {
    let told = plane.iter().filter_map(|ask| match ask {
        Ask::SetData(set) => Some(&**set),
        _ => None,
    });
    told.collect()
}

#[test]
fn who_offers_data_has_data() {
    for (direct, direction) in [(Direct::Whip, "sendonly"), (Direct::Whep, "recvonly")] {
        let mut stage = stage(direct, "chrome");
        stage.announce("mic", &track(1, TrackKind::Audio, ""));
        let lines = [line("audio", direction, "mic", ""), line("application", "", "", "")];
        let offer = description(1, "abcd", "actpass", &lines);
        let answer = stage.session.handle_one_offer(&offer, &stage.around).unwrap().sdp;
        let section = answer.split("m=application ").nth(1).expect("it is there");
        assert!(section.starts_with("9 UDP/DTLS/SCTP webrtc-datachannel\r\n"), "{section}");
        for attribute in ["sctp-port:5000", "max-message-size:65535", "setup:passive", "mid:1"] {
            assert!(section.contains(&format!("a={attribute}\r\n")), "{attribute}: {section}");
        }
        assert!(answer.contains("a=group:BUNDLE 0 1\r\n"), "{answer}");
        let plane = stage.said().plane;
        let [set] = data_of(&plane)[..] else { panic!("{plane:?}") };
        assert!(set.publishes && set.delivers && set.bare, "{set:?}");
        assert_eq!(set.opening, DataOpening::Client);
        assert_eq!(set.identity, stage::joined().participant.identity);
        // What it may do changes without words.
        let mut own = (*stage::joined().participant).clone();
        own.permission.can_publish_data = false;
        stage.session.handle_own_state(&own);
        let plane = stage.said().plane;
        let [set] = data_of(&plane)[..] else { panic!("{plane:?}") };
        assert!(!set.publishes && set.delivers && set.bare, "{set:?}");
    }
}

#[test]
fn who_offers_no_data_has_none() {
    let mut stage = stage(Direct::Whip, "chrome");
    stage.announce("mic", &track(1, TrackKind::Audio, ""));
    let lines = [line("audio", "sendonly", "mic", ""), line("application", "", "", "")];
    let offer = description(1, "abcd", "actpass", &lines);
    let rejected = offer.replace("m=application 9", "m=application 0");
    let answer = stage.session.handle_one_offer(&rejected, &stage.around).unwrap().sdp;
    assert!(answer.contains("m=application 0 ") && !answer.contains("a=sctp-port"), "{answer}");
    assert_eq!(data_of(&stage.said().plane), [] as [&SetData; 0]);
    stage.session.handle_own_state(&stage::joined().participant);
    assert_eq!(data_of(&stage.said().plane), [] as [&SetData; 0]);
}
