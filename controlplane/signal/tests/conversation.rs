//! Conversations of both versions, in rows: what the client says or the room tells, and what the
//! session makes of it. `<` to the client, `@` to the room, `#` to the data plane, `!` the rest.

mod stage;

use std::sync::Arc;

use ringway_room::calls::{
    DataEncoding, DataTrackHandle, DataTrackInfo, DataTrackSid, DisconnectReason, Encryption,
    LeaveAction, MediaPublished, Notice, Request, SubscriptionError, TrackKind, VideoQuality,
};
use ringway_signal::client::Client;
use ringway_signal::join::Join;
use ringway_signal::plane::{Ask, Codec, Layer};
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::{Output, proto};
use stage::{Stage, client, description, line, sd, settings, track, track_sid};

const DATA: stage::Line = stage::Line { kind: "application", direction: "", cid: "", rids: "" };

fn v0() -> Stage {
    Stage::new(Join { auto_subscribe: true, ..Join::default() }, client("chrome", 17))
}

/// The offer of a JavaScript client, inside its join request.
fn v1() -> Stage {
    v1_of(client("chrome", 17))
}

fn v1_of(client: Client) -> Stage {
    let mut lines = vec![DATA];
    lines.extend((0..3).map(|_| line("audio", "recvonly", "", "")));
    lines.extend((0..3).map(|_| line("video", "recvonly", "", "")));
    let offer = sd("offer", 1, description(1, "abcd", "actpass", &lines));
    let join = Join { single: true, offer: Some(offer), ..Join::default() };
    Stage::new(join, client)
}

#[test]
fn a_dual_connection_begins_with_an_offer_of_data_channels() {
    let mut stage = v0();
    let said = stage.said();
    assert_eq!(said.kinds(), "<Join");
    let Hears::Join(join) = &said.client[0] else { panic!() };
    assert!(join.subscriber_primary && join.fast_publish);
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert_eq!(join.sif_trailer, [1, 2, 3]);
    let server = join.server_info.as_ref().unwrap();
    assert_eq!((server.version.as_str(), server.node_id.as_str()), ("1.13.7", "ND_1"));
    let people = join.participant.iter().chain(&join.other_participants);
    let mut regions = people.map(|one| &one.region).chain([&server.region, &join.server_region]);
    assert!(regions.all(|region| region == "moon"));
    assert_eq!(join.other_participants.len(), 1);
    assert_eq!(join.room.as_ref().unwrap().creation_time_ms, 1_700_000_000_000);
    assert_eq!(stage.after(9).kinds(), "");
    let said = stage.after(1);
    assert_eq!(said.kinds(), "<Offer #OpenTransport #SetData");
    let trailer = join.sif_trailer.clone();
    assert!(matches!(&said.plane[0], Ask::OpenTransport { trailer: told, .. } if *told == trailer));
    let offer = said.offer();
    assert_eq!(offer.id, 1);
    assert!(offer.sdp.contains("m=application") && offer.sdp.contains("a=ice-lite"));
    assert!(offer.sdp.contains("192.0.2.1 7882 typ host"));
    let answer = description(1, "efgh", "active", &[DATA]);
    let said = stage.says(Says::Answer(sd("answer", 1, answer.clone())));
    assert_eq!(said.kinds(), "#SetRemote #SetMedia");
    // The same again is nobody's answer.
    assert_eq!(stage.says(Says::Answer(sd("answer", 1, answer))).kinds(), "");
    assert_eq!(stage.session.ignored().stale_answers, 1);
}

#[test]
fn a_single_connection_is_answered_at_once() {
    let mut stage = v1();
    let said = stage.said();
    assert_eq!(said.kinds(), "<Join");
    let Hears::Join(join) = &said.client[0] else { panic!() };
    assert!(!join.subscriber_primary);
    let said = stage.begin();
    assert_eq!(said.kinds(), "<Answer #OpenTransport #SetData #SetRemote #SetMedia");
    let answer = said.answer();
    assert_eq!((answer.id, answer.r#type.as_str()), (1, "answer"));
    assert!(answer.sdp.contains("a=setup:passive") && answer.mid_to_track_id.is_empty());
    assert_eq!(answer.sdp.matches("a=inactive").count(), 6);
}

/// Go's client applies its offer beside reading what comes: the answer waits until it has done so.
#[test]
fn a_client_that_applies_its_offer_late_is_answered_when_it_has() {
    let go = || {
        let mut go = client("", 17);
        go.info.sdk = proto::client_info::Sdk::Go as i32;
        let mut stage = v1_of(go);
        stage.said();
        assert_eq!(stage.begin().kinds(), "");
        stage
    };
    let candidate = || {
        let candidate = "candidate:1 1 udp 2122194687 198.51.100.2 5000 typ host";
        let candidate_init = format!(r#"{{"candidate":"{candidate}","sdpMid":"0"}}"#);
        Says::Trickle(proto::TrickleRequest { candidate_init, ..Default::default() })
    };
    let full = "<Answer #OpenTransport #SetData #SetRemote #AddCandidate #SetMedia";
    let mut stage = go();
    assert_eq!(stage.says(candidate()).kinds(), full);
    assert_eq!(stage.after(1_000).kinds(), "", "it is answered once");
    let mut stage = go();
    assert_eq!(stage.after(199).kinds(), "");
    let said = stage.after(1);
    assert_eq!(said.kinds(), "<Answer #OpenTransport #SetData #SetRemote #SetMedia");
    assert!(!said.answer().sdp.contains("a=ice-lite"));
    // The next offer comes from a client that has applied the first.
    let mut stage = go();
    let again = description(2, "abcd", "actpass", &[DATA]);
    let said = stage.says(Says::Offer(sd("offer", 2, again)));
    let answers = said.client.iter().filter(|one| matches!(one, Hears::Answer(_))).count();
    assert_eq!(answers, 2, "{}", said.kinds());
}

#[test]
fn a_camera_is_published_over_either_connection() {
    for mut stage in [v0(), v1()] {
        stage.begin();
        stage.said();
        let add = proto::AddTrackRequest { cid: "cam".into(), r#type: 1, ..Default::default() };
        assert_eq!(stage.says(Says::AddTrack(add)).kinds(), "@AddTrack");
        let camera = track(5, TrackKind::Video, "video/VP9");
        assert_eq!(stage.announce("cam", &camera).kinds(), "<TrackPublished");
        let lines = [DATA, line("video", "sendonly", "cam", "h;f;q")];
        let sdp = description(2, "abcd", "actpass", &lines);
        let said = stage.says(Says::Offer(sd("offer", 7, sdp)));
        assert!(said.kinds().contains("@MediaPublished"), "{}", said.kinds());
        assert!(said.kinds().ends_with("!Published"), "{}", said.kinds());
        assert_eq!(said.answer().id, 7);
        // The announced codec comes first, with the offer's numbers.
        assert!(said.answer().sdp.contains("m=video 9 UDP/TLS/RTP/SAVPF 98 99 96"));
        assert!(said.answer().sdp.contains("a=simulcast:recv h;f;q"));
        let Some(Ask::AddSource(source)) = said.plane.last() else { panic!() };
        assert_eq!((source.codec, source.mid.as_str()), (Codec::Vp9, "1"));
        // The lowest quality first.
        assert_eq!(source.layers, ["q", "h", "f"].map(|rid| Layer::Rid(rid.into())));
        let Some(Request::MediaPublished(media)) = said.room.first() else { panic!() };
        let MediaPublished { track, mime_type, sdp_cid, simulcast, layers, .. } = &**media;
        assert_eq!(
            (*track, mime_type.as_str(), sdp_cid.as_str()),
            (camera.sid, "video/VP9", "cam")
        );
        assert!(*simulcast && layers.len() == 3 && layers[0].rid == "q");
        // The same offer changes nothing.
        let sdp = description(3, "abcd", "actpass", &lines);
        assert_eq!(stage.says(Says::Offer(sd("offer", 8, sdp))).kinds(), "<Answer");
        // The client mutes, and ends it.
        let mute = proto::MuteTrackRequest { sid: camera.sid.to_string(), muted: true };
        assert_eq!(stage.says(Says::Mute(mute)).kinds(), "@SetMuted");
        let muted = Notice::TrackMuted { track: camera.sid, muted: true, remote: false };
        assert_eq!(stage.is_told(muted).kinds(), "#SetSource");
        let lines = [DATA, line("video", "inactive", "", "")];
        let sdp = description(4, "abcd", "actpass", &lines);
        let said = stage.says(Says::Offer(sd("offer", 9, sdp)));
        assert_eq!(said.kinds(), "<Answer @MediaEnded #RemoveSource !Unpublished");
    }
}

/// FlexFEC repairs reach the data plane only where the setting says so.
#[test]
fn repairs_are_paired_by_ssrc() {
    for flexfec in [false, true] {
        let join = Join { auto_subscribe: true, ..Join::default() };
        let mut stage = Stage::otherwise(join, client("chrome", 17), |start| {
            Arc::make_mut(&mut start.settings).flexfec = flexfec;
        });
        stage.said();
        stage.announce("cam", &track(5, TrackKind::Video, "video/VP8"));
        let sdp = description(1, "abcd", "actpass", &[line("video", "sendonly", "cam", "")]);
        let sdp = sdp.replace("SAVPF 96 97 98 99", "SAVPF 96 97 98 99 115");
        let sdp = format!(
            "{sdp}a=rtpmap:115 flexfec-03/90000\r\na=rtcp-fb:115 transport-cc\r\n\
             a=fmtp:115 repair-window=10000000\r\na=ssrc-group:FID 5 6\r\n\
             a=ssrc-group:FEC-FR 5 7\r\na=ssrc:5 cname:a\r\na=ssrc:6 cname:a\r\n\
             a=ssrc:7 cname:a\r\n"
        );
        let said = stage.says(Says::Offer(sd("offer", 1, sdp)));
        let answered = said.answer().sdp.contains("a=rtpmap:115 flexfec-03/90000\r\n");
        assert_eq!(answered, flexfec);
        let Some(Ask::AddSource(source)) = said.plane.last() else { panic!("{}", said.kinds()) };
        let fec = flexfec.then_some(7);
        assert_eq!(source.layers, [Layer::Ssrc { ssrc: 5, rtx: Some(6), fec }]);
        assert_eq!(source.codec, Codec::Vp8);
    }
}

#[test]
fn what_is_between_the_ends_is_passed_on() {
    let mut stage = v0();
    stage.said();
    let add = proto::AddTrackRequest {
        cid: "cam".into(),
        r#type: 1,
        encryption: 1,
        // The last is none that anybody knows.
        packet_trailer_features: vec![1, 2, 99],
        ..Default::default()
    };
    let said = stage.says(Says::AddTrack(add));
    let [Request::AddTrack(add)] = &said.room[..] else { panic!("{}", said.kinds()) };
    assert_eq!((add.encryption, &add.packet_trailer_features[..]), (Encryption::Gcm, &[1, 2][..]));
    let mut camera = track(5, TrackKind::Video, "video/VP8");
    let info = std::sync::Arc::make_mut(&mut camera);
    (info.encryption, info.packet_trailer_features) = (Encryption::Gcm, vec![1, 2]);
    let said = stage.announce("cam", &camera);
    let [Hears::TrackPublished(told)] = &said.client[..] else { panic!("{}", said.kinds()) };
    let info = told.track.as_ref().expect("a track");
    assert_eq!((info.encryption, &info.packet_trailer_features[..]), (1, &[1, 2][..]));
}

#[test]
fn media_may_come_before_its_announcement() {
    let mut stage = v0();
    stage.said();
    let sdp = description(1, "abcd", "actpass", &[line("audio", "sendonly", "mic", "")]);
    let said = stage.says(Says::Offer(sd("offer", 1, sdp)));
    assert_eq!(said.kinds(), "<Answer #OpenTransport #SetData #SetRemote #SetMedia");
    let microphone = track(5, TrackKind::Audio, "");
    let said = stage.announce("mic", &microphone);
    assert_eq!(said.kinds(), "<TrackPublished @MediaPublished #AddSource !Published");
    // The room gives it up: nothing of it is taken in.
    let said = stage.is_told(Notice::TrackUnpublished { track: microphone.sid });
    assert_eq!(said.kinds(), "<TrackUnpublished #RemoveSource !Unpublished");
}

#[test]
fn a_track_is_offered_and_routed() {
    let mut stage = v0();
    stage.after(10);
    let answer = description(1, "efgh", "active", &[DATA]);
    stage.says(Says::Answer(sd("answer", 1, answer)));
    let mut video = track(6, TrackKind::Video, "video/VP8");
    let changed = Arc::make_mut(&mut video);
    (changed.encryption, changed.packet_trailer_features) = (Encryption::Gcm, vec![1]);
    stage.has_source(&video, Codec::Vp8);
    assert_eq!(stage.subscribe(&video).kinds(), "");
    // Soon after the last offer the longer pause counts.
    assert_eq!(stage.after(149).kinds(), "");
    let said = stage.after(1);
    let offer = said.offer();
    assert_eq!(offer.id, 2);
    let (publisher, sid) = (stage::participant(2), video.sid);
    assert!(offer.sdp.contains(&format!("a=msid:{publisher}|{sid} {sid}")), "{}", offer.sdp);
    assert_eq!(offer.mid_to_track_id["1"], sid.to_string());
    // While this is under way another track waits.
    let audio = track(7, TrackKind::Audio, "audio/red");
    stage.has_source(&audio, Codec::Red);
    stage.subscribe(&audio);
    assert_eq!(stage.after(150).kinds(), "");
    let answer = description(2, "efgh", "active", &[DATA, line("video", "recvonly", "", "")]);
    let said = stage.says(Says::Answer(sd("answer", 2, answer)));
    assert_eq!(said.kinds(), "<Offer @SubscribedMedia #SetMedia #AddRoute");
    let Some(Ask::AddRoute(route)) = said.plane.last() else { panic!() };
    assert_eq!((route.payload_type, route.rtx_payload_type), (96, Some(97)));
    // This client did not say that it knows what may be appended to pictures.
    assert!(route.encrypted && route.cut_trailer && !route.announce);
    let named = format!("a=ssrc:{} cname:{}\r\n", route.ssrc, route.cname);
    assert!(offer.sdp.contains(&named), "{named}: {}", offer.sdp);
    assert!(
        route.rtx_ssrc.is_some()
            && route.red_payload_type.is_none()
            && route.service.max_spatial == 2
    );
    // Sections of the client's own connection have the same names, and mean nothing here.
    let lines = [line("video", "sendonly", "cam", ""), line("audio", "sendonly", "mic", "")];
    let said = stage.says(Says::Offer(sd("offer", 1, description(1, "abcd", "actpass", &lines))));
    assert_eq!(said.kinds(), "<Answer #OpenTransport #SetData #SetRemote #SetMedia");
    let told = Notice::RouteSettings { track: sid, settings: settings(0) };
    assert_eq!(stage.is_told(told).kinds(), "#SetRoute");
    let lines = [DATA, line("video", "recvonly", "", ""), line("audio", "recvonly", "", "")];
    let said = stage.says(Says::Answer(sd("answer", 3, description(3, "efgh", "active", &lines))));
    let Some(Ask::AddRoute(route)) = said.plane.last() else { panic!("{}", said.kinds()) };
    let red = route.red_payload_type;
    assert_eq!((route.payload_type, route.rtx_ssrc, red), (111, None, Some(63)));
    // A track that comes back at once gets another section: where nothing has stopped, clients see
    // nothing begin. It has to wait until the first one has faded.
    assert_eq!(stage.is_told(Notice::Unsubscribe { track: sid }).kinds(), "#RemoveRoute");
    stage.subscribe(&video);
    assert_eq!(stage.after(200).kinds(), "");
    let said = stage.after(100);
    assert_eq!(said.offer().mid_to_track_id.get("1"), None);
    assert_eq!(said.offer().mid_to_track_id["3"], sid.to_string());
    // Once the client knows that it is empty, the section carries the next track.
    let video = line("video", "inactive", "", "");
    let lines = [DATA, video, line("audio", "recvonly", "", ""), line("video", "recvonly", "", "")];
    stage.says(Says::Answer(sd("answer", 4, description(4, "efgh", "active", &lines))));
    stage.subscribe(&track(8, TrackKind::Video, "video/VP8"));
    let said = stage.after(200);
    assert_eq!(said.offer().mid_to_track_id["1"], track_sid(8).to_string());
}

/// The stream's id that the last section of an offer has.
fn last_stream(offer: &str) -> &str {
    let stream = offer.lines().rev().find_map(|line| line.strip_prefix("a=msid:"));
    stream.and_then(|both| both.split(' ').next()).expect("a section has a track")
}

#[test]
fn a_client_that_remembers_streams_sees_a_new_one_when_a_track_comes_again() {
    use proto::client_info::Sdk;
    for (sdk, again) in [(Sdk::Js, false), (Sdk::Python, true), (Sdk::Go, false)] {
        let mut client = client("Chrome", 17);
        client.info.sdk = sdk as i32;
        let mut stage = Stage::new(Join::default(), client);
        stage.after(10);
        stage.says(Says::Answer(sd("answer", 1, description(1, "efgh", "active", &[DATA]))));
        let video = track(6, TrackKind::Video, "video/VP8");
        stage.has_source(&video, Codec::Vp8);
        let mut seen = Vec::new();
        let mut lines = vec![DATA];
        for turn in 0..3 {
            stage.subscribe(&video);
            let said = stage.after(200);
            seen.push(last_stream(&said.offer().sdp).to_owned());
            lines.truncate(1);
            lines.push(line("video", "recvonly", "", ""));
            let version = 2 + 2 * turn;
            let answer = description(version, "efgh", "active", &lines);
            let said = stage.says(Says::Answer(sd("answer", 0, answer)));
            let Some(Ask::AddRoute(route)) = said.plane.last() else { panic!("{}", said.kinds()) };
            // Go's client tells its application of a track when packets come.
            assert_eq!(route.announce, sdk == Sdk::Go);
            stage.is_told(Notice::Unsubscribe { track: video.sid });
            let said = stage.after(400);
            // pion would never use an inactive section again.
            let empty = if sdk == Sdk::Go { "a=recvonly" } else { "a=inactive" };
            assert!(said.offer().sdp.contains(empty), "{sdk:?}: {}", said.offer().sdp);
            lines[1] = line("video", "inactive", "", "");
            let answer = description(version + 1, "efgh", "active", &lines);
            stage.says(Says::Answer(sd("answer", 0, answer)));
        }
        let first = format!("{}|{}", stage::participant(2), video.sid);
        let numbered = |n: u32| format!("{}|{n}.{}", stage::participant(2), video.sid);
        match again {
            true => assert_eq!(seen, [first, numbered(1), numbered(2)]),
            false => assert_eq!(seen, [first.clone(), first.clone(), first]),
        }
    }
}

#[test]
fn red_is_unwrapped_for_those_who_do_not_know_it() {
    let mut stage =
        Stage::new(Join { auto_subscribe: true, ..Join::default() }, client("firefox", 17));
    let audio = track(7, TrackKind::Audio, "audio/red");
    stage.has_source(&audio, Codec::Red);
    stage.subscribe(&audio);
    let said = stage.after(10);
    assert!(!said.offer().sdp.contains("red/48000"), "{}", said.offer().sdp);
    let lines = [DATA, line("audio", "recvonly", "", "")];
    let said = stage.says(Says::Answer(sd("answer", 1, description(1, "efgh", "active", &lines))));
    let Some(Ask::AddRoute(route)) = said.plane.last() else { panic!("{}", said.kinds()) };
    assert_eq!((route.payload_type, route.red_payload_type), (111, None));
    // What is encrypted cannot be unwrapped.
    let mut audio = track(9, TrackKind::Audio, "audio/red");
    Arc::make_mut(&mut audio).encryption = Encryption::Gcm;
    stage.has_source(&audio, Codec::Red);
    let said = stage.subscribe(&audio);
    let outcome = Err(SubscriptionError::CodecUnsupported);
    assert_eq!(said.room, [Request::SubscribedMedia { track: audio.sid, outcome }]);
    // AV1 is nothing for Firefox.
    let said = stage.subscribe(&track(8, TrackKind::Video, "video/AV1"));
    let outcome = Err(SubscriptionError::CodecUnsupported);
    assert_eq!(said.room, [Request::SubscribedMedia { track: track_sid(8), outcome }]);
}

#[test]
fn a_single_connection_asks_for_sections() {
    let mut stage = v1();
    stage.begin();
    let videos: Vec<_> = (10..15).map(|n| track(n, TrackKind::Video, "video/VP8")).collect();
    for video in &videos {
        stage.has_source(video, Codec::Vp8);
        stage.subscribe(video);
    }
    let said = stage.after(10);
    let needs = |audios, videos| {
        let told = proto::MediaSectionsRequirement { num_audios: audios, num_videos: videos };
        Hears::MediaSectionsRequirement(told)
    };
    // Three sections are there; a requirement of nothing makes the client offer them again.
    assert_eq!(said.client, [needs(0, 2)]);
    stage.subscribe(&track(20, TrackKind::Video, "video/VP8"));
    assert_eq!(stage.after(150).client, [needs(0, 1)]);
    // The client has added two so far.
    let mut lines = vec![DATA];
    lines.extend((0..5).map(|_| line("video", "recvonly", "", "")));
    let offer = description(2, "abcd", "actpass", &lines);
    let said = stage.says(Says::Offer(sd("offer", 2, offer)));
    assert_eq!(said.answer().mid_to_track_id.len(), 5);
    assert_eq!(said.client.last(), Some(&needs(0, 1)));
    assert_eq!(said.plane.iter().filter(|ask| matches!(ask, Ask::AddRoute(_))).count(), 5);
    let mid = said.answer().mid_to_track_id.iter().find(|row| *row.1 == videos[4].sid.to_string());
    let mid = mid.unwrap().0.clone();
    // A track keeps its section over later offers.
    let offer = description(3, "abcd", "actpass", &lines);
    let said = stage.says(Says::Offer(sd("offer", 3, offer)));
    assert_eq!(said.answer().mid_to_track_id[&mid], videos[4].sid.to_string());
    assert!(
        !said.plane.iter().any(|ask| matches!(ask, Ask::AddRoute(_) | Ask::RemoveRoute { .. }))
    );
    // One is no longer received: the one that waits takes its place in the next round.
    let said = stage.is_told(Notice::Unsubscribe { track: videos[0].sid });
    assert_eq!(said.kinds(), "#RemoveRoute");
    // One more is on its way already.
    assert_eq!(stage.after(400).client, [needs(0, 0)]);
    let kept = mid;
    lines.push(line("video", "recvonly", "", ""));
    let offer = description(4, "abcd", "actpass", &lines);
    let said = stage.says(Says::Offer(sd("offer", 4, offer)));
    // The section that was left stops first: it carries nothing in this round.
    let answer = said.answer();
    assert_eq!(answer.mid_to_track_id.len(), 5);
    assert_eq!(answer.mid_to_track_id[&kept], videos[4].sid.to_string());
    assert!(!answer.mid_to_track_id.values().any(|name| *name == videos[0].sid.to_string()));
    stage.has_source(&videos[0], Codec::Vp8);
    stage.subscribe(&videos[0]);
    assert_eq!(stage.after(200).client, [needs(0, 0)]);
}

#[test]
fn an_ice_restart_of_the_client_is_answered_with_new_credentials() {
    let mut stage = v1();
    let first = stage.begin();
    let ufrag = |sdp: &str| {
        let line = sdp.lines().find(|line| line.starts_with("a=ice-ufrag:")).unwrap();
        line.to_owned()
    };
    let offer = description(2, "wxyz", "actpass", &[DATA]);
    let said = stage.says(Says::Offer(sd("offer", 2, offer)));
    assert!(said.kinds().contains("#RestartIce #SetRemote"), "{}", said.kinds());
    assert_ne!(ufrag(&first.answer().sdp), ufrag(&said.answer().sdp));
}

#[test]
fn candidates_reach_a_server_that_checks() {
    let trickle = |line: &str, target: i32| {
        let candidate_init = format!(r#"{{"candidate":"{line}","sdpMid":"0"}}"#);
        Says::Trickle(proto::TrickleRequest { candidate_init, target, ..Default::default() })
    };
    let udp = |port: u16| format!("candidate:1 1 udp 2122194687 198.51.100.2 {port} typ host");
    let ports = |said: &stage::Said| -> Vec<u16> {
        let port = |ask: &Ask| match ask {
            Ask::AddCandidate { address, .. } => Some(address.port()),
            _ => None,
        };
        said.plane.iter().filter_map(port).collect()
    };
    for (browser, disable_ice_lite, lite) in
        [("firefox", false, false), ("chrome", true, false), ("chrome", false, true)]
    {
        let join = Join { auto_subscribe: true, disable_ice_lite, ..Join::default() };
        let mut stage = Stage::new(join, client(browser, 17));
        stage.said();
        let said = stage.after(10);
        assert_eq!(said.offer().sdp.contains("a=ice-lite"), lite, "{browser}");
        // What comes before the answer waits for it.
        assert_eq!(stage.says(trickle(&udp(5000), 1)).kinds(), "");
        let candidate = format!("a={}\r\n", udp(5001));
        let answer = description(1, "efgh", "active", &[DATA]);
        let said = stage.says(Says::Answer(sd("answer", 1, answer + &candidate)));
        let expect = |ports: &[u16]| if lite { Vec::new() } else { ports.to_vec() };
        assert_eq!(ports(&said), expect(&[5000, 5001]));
        let said = stage.says(trickle(&udp(5002), 1));
        assert_eq!(ports(&said), expect(&[5002]));
        // Known, another connection's, hidden, over TCP, of credentials that are not these.
        for (line, target) in [
            (udp(5002), 1),
            (udp(5003), 0),
            ("candidate:1 1 udp 1 a-b-c.local 5004 typ host".to_owned(), 1),
            ("candidate:1 1 tcp 1 198.51.100.2 9 typ host tcptype active".to_owned(), 1),
            (udp(5005) + " ufrag wxyz", 1),
        ] {
            assert_eq!(stage.says(trickle(&line, target)).kinds(), "", "{line}");
        }
        for port in 6000..6100 {
            stage.says(trickle(&udp(port), 1));
        }
        assert_eq!(stage.says(trickle(&udp(7000), 1)).kinds(), "", "there is a bound");
    }
}

#[test]
fn where_there_is_no_udp_everybody_is_told_of_tcp_and_no_address_is_tried() {
    use proto::client_info::Sdk;
    for sdk in [Sdk::Js, Sdk::Go] {
        // Firefox has the server check.
        let mut client = client("firefox", 17);
        client.info.sdk = sdk as i32;
        let join = Join { auto_subscribe: true, ..Join::default() };
        let mut stage = Stage::otherwise(join, client, |start| {
            std::sync::Arc::make_mut(&mut start.plane).shards[0].udp.clear();
        });
        let said = stage.after(10);
        let sdp = &said.offer().sdp;
        assert!(sdp.contains("192.0.2.1 7881 typ host tcptype passive"), "{sdp}");
        assert!(!sdp.to_ascii_lowercase().contains(" udp "), "{sdp}");
        let answer = description(1, "efgh", "active", &[DATA]);
        let candidate = "a=candidate:1 1 udp 2122194687 198.51.100.2 5000 typ host\r\n";
        let said = stage.says(Says::Answer(sd("answer", 1, answer + candidate)));
        assert_eq!(said.kinds(), "#SetRemote #SetMedia");
        // A wish for UDP cannot be granted.
        let wish = proto::simulate_scenario::Scenario::SwitchCandidateProtocol(0);
        let said = stage.says(Says::Simulate(proto::SimulateScenario { scenario: Some(wish) }));
        assert!(!said.offer().sdp.to_ascii_lowercase().contains(" udp "));
    }
}

#[test]
fn small_talk() {
    let mut stage = v0();
    stage.said();
    stage.now_ms = 5;
    let said = stage.says(Says::Ping(3));
    assert_eq!(said.client, [Hears::Pong(1_700_000_000_005)]);
    let said = stage.says(Says::PingReq(proto::Ping { timestamp: 3, rtt: 4 }));
    let pong = proto::Pong { last_ping_timestamp: 3, timestamp: 1_700_000_000_005 };
    assert_eq!(said.client, [Hears::PongResp(pong)]);
    let trickle = |text: &str| {
        Says::Trickle(proto::TrickleRequest { candidate_init: text.into(), ..Default::default() })
    };
    assert_eq!(stage.says(trickle(r#"{"candidate":""}"#)).kinds(), "");
    assert_eq!(stage.says(trickle("nonsense")).kinds(), "<RequestResponse");
    let mute = proto::MuteTrackRequest { sid: "no such".into(), muted: true };
    assert_eq!(stage.says(Says::Mute(mute)).kinds(), "<RequestResponse");
    let add = proto::AddTrackRequest { r#type: 2, ..Default::default() };
    assert_eq!(stage.says(Says::AddTrack(add)).kinds(), "@AddTrack");
    let add = proto::AddTrackRequest { r#type: 9, ..Default::default() };
    assert_eq!(stage.says(Says::AddTrack(add)).kinds(), "<RequestResponse");
    assert_eq!(stage.says(Says::Offer(sd("offer", 1, "v=1".into()))).kinds(), "");
    stage.session.handle_message(5, None, &stage.around);
    assert_eq!(stage.said().kinds(), "");
    let ignored = stage.session.ignored();
    assert_eq!((ignored.unknown, ignored.not_sdp, ignored.candidates), (1, 1, 1));
}

#[test]
fn a_description_that_cannot_be_met_ends_the_session() {
    let mut stage = v0();
    stage.said();
    let sdp = description(1, "abcd", "holdconn", &[DATA]);
    let said = stage.says(Says::Offer(sd("offer", 1, sdp)));
    assert_eq!(said.kinds(), "<Leave @Leave !HangUp");
    let Hears::Leave(leave) = &said.client[0] else { panic!() };
    assert_eq!((leave.reason, leave.action), (6, 2));
    assert_eq!(stage.says(Says::Ping(1)).kinds(), "");
}

#[test]
fn leaves_speak_the_clients_version() {
    for (protocol, can_reconnect, action) in [(17, false, 2), (13, false, 2), (12, true, 0)] {
        let mut stage = Stage::new(Join::default(), client("chrome", protocol));
        stage.said();
        let (reason, action_told) = (DisconnectReason::StateMismatch, LeaveAction::Reconnect);
        let said = stage.is_told(Notice::Leave { reason, action: action_told });
        let Hears::Leave(leave) = &said.client[0] else { panic!() };
        assert_eq!((leave.can_reconnect, leave.action), (can_reconnect, action), "{protocol}");
        assert_eq!(said.rest, [Output::HangUp, Output::End]);
    }
    let mut stage = v0();
    stage.after(10);
    let reason = DisconnectReason::ClientInitiated;
    let said = stage.is_told(Notice::Leave { reason, action: LeaveAction::Disconnect });
    assert_eq!(said.kinds(), "<Leave #CloseTransport !HangUp !End");
}

#[test]
fn who_leaves_to_come_back_is_not_told_that_it_is_over() {
    use proto::DisconnectReason::{ClientInitiated, UnknownReason};
    for (why, told) in [(ClientInitiated, "<Leave "), (UnknownReason, "")] {
        let mut stage = v0();
        stage.after(10);
        let leave = proto::LeaveRequest { reason: why as i32, ..Default::default() };
        assert_eq!(stage.says(Says::Leave(leave)).kinds(), "@Leave");
        let reason = DisconnectReason::ClientInitiated;
        let said = stage.is_told(Notice::Leave { reason, action: LeaveAction::Disconnect });
        assert_eq!(said.kinds(), format!("{told}#CloseTransport !HangUp !End"));
    }
}

#[test]
fn wanted_qualities_are_said_again_after_answers() {
    let mut stage = v0();
    stage.after(10);
    let codecs = vec![("video/VP8".to_owned(), VideoQuality::Low)];
    let told = Notice::SubscribedQuality { track: track_sid(5), codecs };
    let said = stage.is_told(told);
    let Hears::SubscribedQualityUpdate(update) = &said.client[0] else { panic!() };
    assert_eq!(update.subscribed_codecs[0].codec, "vp8");
    let enabled: Vec<_> = update.subscribed_codecs[0].qualities.iter().map(|q| q.enabled).collect();
    assert_eq!(enabled, [true, false, false]);
    let sdp = description(1, "abcd", "actpass", &[DATA]);
    stage.says(Says::Offer(sd("offer", 1, sdp)));
    assert_eq!(stage.after(1_999).kinds(), "");
    assert_eq!(stage.after(1).kinds(), "<SubscribedQualityUpdate");
    assert_eq!(stage.after(60_000).kinds(), "");
}

#[test]
fn a_session_is_resumed() {
    let mut stage = v0();
    stage.after(10);
    let answer = description(1, "efgh", "active", &[DATA]);
    stage.says(Says::Answer(sd("answer", 1, answer)));
    let joined = stage::joined();
    let state = proto::SyncState {
        track_sids_disabled: vec![track_sid(3).to_string()],
        ..proto::SyncState::default()
    };
    let join = Join { sync_state: Some(state), ..Join::default() };
    let (chrome, servers) = (client("chrome", 17), Vec::new());
    stage.session.handle_resumed(99, &joined, join, chrome, servers, &stage.around);
    let said = stage.said();
    assert_eq!(said.kinds(), "<Reconnect <Update <RoomUpdate <Offer @TrackSettings #RestartIce");
    let Hears::Update(update) = &said.client[1] else { panic!() };
    assert_eq!(update.participants.len(), 2);
    // A client that believes in a track that nobody knows must begin anew.
    let track = proto::TrackInfo { sid: track_sid(4).to_string(), ..Default::default() };
    let published = proto::TrackPublishedResponse { cid: "x".into(), track: Some(track) };
    let state = proto::SyncState { publish_tracks: vec![published], ..Default::default() };
    assert_eq!(stage.says(Says::SyncState(state)).kinds(), "<Leave @Leave !HangUp");
}

#[test]
fn data_tracks_are_published_and_received() {
    let mut stage = v0();
    stage.after(10);
    let answer = description(1, "efgh", "active", &[DATA]);
    stage.says(Says::Answer(sd("answer", 1, answer)));
    let wish = proto::PublishDataTrackRequest {
        pub_handle: 3,
        name: "place".into(),
        ..Default::default()
    };
    assert_eq!(stage.says(Says::PublishDataTrackRequest(wish)).kinds(), "@PublishDataTrack");
    let sid = DataTrackSid::from_random([3; 12]);
    let info = std::sync::Arc::new(DataTrackInfo {
        sid,
        handle: 3,
        name: "place".into(),
        encryption: Encryption::None,
        frame_encoding: Some(DataEncoding::Custom("cbor".into())),
        schema: None,
    });
    // The plane hears of it once the connection that carries it is open.
    let said = stage.is_told(Notice::DataTrackPublished(std::sync::Arc::clone(&info)));
    assert_eq!(said.kinds(), "<PublishDataTrackResponse");
    let offer = description(1, "abcd", "actpass", &[DATA]);
    let said = stage.says(Says::Offer(sd("offer", 1, offer)));
    assert!(said.kinds().contains("#SetData #SetDataTrack"), "{}", said.kinds());
    let handle = DataTrackHandle {
        handle: 9,
        track: sid,
        publisher: stage::participant(2),
        publisher_identity: "other".into(),
        shard: 2,
    };
    let handles: std::sync::Arc<[_]> = [handle].into();
    let said = stage.is_told(Notice::DataTrackHandles(std::sync::Arc::clone(&handles)));
    assert_eq!(said.kinds(), "<DataTrackSubscriberHandles #SetDataRoute");
    assert!(matches!(said.plane[0], Ask::SetDataRoute { handle: 9, home: 2, .. }));
    assert!(stage.is_told(Notice::DataTrackHandles(handles)).plane.is_empty());
    // A client that resumes is told again, and how far it was heard.
    let Ask::SetDataTrack { transport, .. } =
        stage.is_told(Notice::DataTrackUnpublished(info)).plane[0]
    else {
        panic!()
    };
    stage.session.handle_heard(transport, 41);
    let joined = stage::joined();
    stage.session.handle_resumed(
        99,
        &joined,
        Join::default(),
        client("chrome", 17),
        Vec::new(),
        &stage.around,
    );
    let said = stage.said();
    let Hears::Reconnect(response) = &said.client[0] else { panic!() };
    assert_eq!(response.last_message_seq, 41);
    assert!(said.kinds().contains("<DataTrackSubscriberHandles"));
    let said = stage.is_told(Notice::DataTrackHandles([].into()));
    assert_eq!(said.kinds(), "<DataTrackSubscriberHandles #SetDataRoute");
    // A client that believes in a data track that nobody knows must begin anew.
    let info = proto::DataTrackInfo { sid: sid.to_string(), ..Default::default() };
    let published = proto::PublishDataTrackResponse { info: Some(info) };
    let state = proto::SyncState { publish_data_tracks: vec![published], ..Default::default() };
    assert_eq!(stage.says(Says::SyncState(state)).kinds(), "<Leave @Leave !HangUp");
}

/// A client's description without VP9.
fn without_vp9(sdp: &str) -> String {
    let sdp = sdp.replace("SAVPF 96 97 98 99", "SAVPF 96 97");
    let of_vp9 = |line: &&str| !line.contains(":98") && !line.contains(":99");
    sdp.split_inclusive("\r\n").filter(of_vp9).collect()
}

/// A camera in VP9 with a backup in VP8, which is sent on demand.
fn with_backup() -> std::sync::Arc<ringway_room::calls::TrackInfo> {
    let mut info = track(3, TrackKind::Video, "video/VP9");
    let vp8 = track(3, TrackKind::Video, "video/VP8").codecs[0].clone();
    std::sync::Arc::make_mut(&mut info).codecs.push(vp8);
    info
}

fn receive(mime: &str) -> Request {
    Request::ReceiveCodec { track: track_sid(3), mime_type: mime.into() }
}

#[test]
fn who_cannot_decode_the_first_codec_waits_for_the_second() {
    for single in [false, true] {
        let mut stage = if single { v1() } else { v0() };
        stage.said();
        let camera = with_backup();
        stage.has_source(&camera, Codec::Vp9);
        let said = if single {
            let lines = [DATA, line("video", "recvonly", "", "")];
            let sdp = without_vp9(&description(1, "abcd", "actpass", &lines));
            stage.subscribe(&camera);
            stage.says(Says::Offer(sd("offer", 1, sdp)))
        } else {
            stage.subscribe(&camera);
            assert!(stage.after(10).offer().sdp.contains("VP9"));
            let lines = [DATA, line("video", "recvonly", "", "")];
            let sdp = without_vp9(&description(1, "efgh", "active", &lines));
            stage.says(Says::Answer(sd("answer", 1, sdp)))
        };
        assert_eq!(said.room, [receive("video/VP8")], "single {single}: {}", said.kinds());
        let routes =
            |asks: &[Ask]| asks.iter().filter(|ask| matches!(ask, Ask::AddRoute(_))).count();
        assert_eq!(routes(&said.plane), 0, "single {single}");
        // The publisher sends it now.
        let mut sources = stage.around.sources[&camera.sid].clone();
        stage.has_source(&camera, Codec::Vp8);
        sources.append(&mut stage.around.sources[&camera.sid].clone());
        stage.around.sources.insert(camera.sid, sources);
        stage.session.handle_source(camera.sid, &stage.around);
        let said = stage.said();
        assert_eq!(said.kinds(), "@SubscribedMedia #AddRoute", "single {single}");
        let Ask::AddRoute(route) = &said.plane[0] else { panic!() };
        assert_eq!(route.payload_type, 96);
    }
}

#[test]
fn a_route_changes_to_the_codec_that_the_room_wants() {
    let mut stage = v0();
    stage.said();
    let camera = with_backup();
    stage.has_source(&camera, Codec::Vp9);
    stage.subscribe(&camera);
    stage.after(10);
    let lines = [DATA, line("video", "recvonly", "", "")];
    let sdp = description(1, "efgh", "active", &lines);
    let said = stage.says(Says::Answer(sd("answer", 1, sdp)));
    let first = said.plane.iter().find_map(|ask| match ask {
        Ask::AddRoute(add) => Some(add.clone()),
        _ => None,
    });
    let first = first.expect("a route");
    assert_eq!(first.payload_type, 98);
    let vp9 = stage.around.sources[&camera.sid].clone();
    stage.has_source(&camera, Codec::Vp8);
    let vp8 = stage.around.sources[&camera.sid].clone();
    stage.around.sources.insert(camera.sid, [vp9.clone(), vp8].concat());
    // Nobody asked it to change.
    stage.session.handle_source(camera.sid, &stage.around);
    assert_eq!(stage.said().kinds(), "");
    let wanted = Notice::ReceiveCodec { track: camera.sid, mime_type: "video/VP8".into() };
    let said = stage.is_told(wanted.clone());
    assert_eq!(said.kinds(), "#RemoveRoute #AddRoute");
    assert_eq!(said.plane[0], Ask::RemoveRoute { route: first.route });
    let Ask::AddRoute(second) = &said.plane[1] else { panic!() };
    assert_eq!((second.ssrc, second.payload_type), (first.ssrc, 96));
    assert_eq!(stage.is_told(wanted).kinds(), "");
    // The backup ends: back to the first, and the room hears of it.
    let gone = second.source;
    stage.around.sources.insert(camera.sid, vp9);
    stage.session.handle_source_gone(camera.sid, gone, &stage.around);
    let said = stage.said();
    assert_eq!(said.room, [receive("video/VP9")]);
    assert_eq!(said.kinds(), "@ReceiveCodec #RemoveRoute #AddRoute");
}
