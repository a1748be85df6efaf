//! Offers and what comes of them: tracks of several codecs, how their sections are told apart, what
//! subscribers receive; and offers beyond our bounds.

mod stage;

use std::sync::Arc;

use ringway_room::calls::{Notice, Request, TrackCodec, TrackInfo, TrackKind};
use ringway_signal::join::Join;
use ringway_signal::plane::{AddRoute, Ask, Codec};
use ringway_signal::proto;
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use stage::{Said, Stage, client, description, line, sd, track, track_sid};

fn v0() -> Stage {
    let mut stage = Stage::new(Join::default(), client("chrome", 17));
    stage.said();
    stage
}

/// A camera with a backup codec.
fn with_backup(first: &str, backup: &str) -> Arc<TrackInfo> {
    let mut info = track(3, TrackKind::Video, first);
    let codec = track(3, TrackKind::Video, backup).codecs[0].clone();
    Arc::make_mut(&mut info).codecs.push(codec);
    info
}

/// The client offers.
fn offers(stage: &mut Stage, version: u32, lines: &[stage::Line]) -> Said {
    let sdp = description(version, "abcd", "actpass", lines);
    stage.says(Says::Offer(sd("offer", version, sdp)))
}

/// Codec and section of each source that was added.
fn added(said: &Said) -> Vec<(Codec, &str)> {
    let asks = said.plane.iter();
    let added = asks.filter_map(|ask| match ask {
        Ask::AddSource(add) => Some((add.codec, add.mid.as_str())),
        _ => None,
    });
    added.collect()
}

/// Firefox gives the sender another id than the track has: the room knows what it must be.
#[test]
fn a_backup_codec_under_another_name_is_asked_for_as_announced() {
    let mut stage = v0();
    let camera = with_backup("video/VP8", "video/VP9");
    stage.announce("cam", &camera);
    let first = || line("video", "sendonly", "cam", "");
    let said = offers(&mut stage, 1, &[first()]);
    assert_eq!(added(&said), [(Codec::Vp8, "0")]);
    // As the room tells it: the backup codec is the one of this cid.
    let mut noted = camera.clone();
    Arc::make_mut(&mut noted).codecs[1].sdp_cid = "{other}".into();
    stage.around.backups.insert("video/VP9", Arc::clone(&noted));
    let said = offers(&mut stage, 2, &[first(), line("video", "sendonly", "{other}", "")]);
    assert_eq!(added(&said), [(Codec::Vp9, "1")]);
    let [Request::MediaPublished(media)] = &said.room[..] else { panic!("{}", said.kinds()) };
    assert_eq!(
        (media.track, &*media.mime_type, &*media.sdp_cid),
        (camera.sid, "video/VP9", "{other}")
    );
    // The section of a track stays its section under another name, and keeps its codec.
    stage.around.matches.insert("{other}".into(), noted);
    let first = line("video", "sendonly", "cam", "");
    let said = offers(&mut stage, 3, &[first, line("video", "sendonly", "{third}", "")]);
    assert_eq!(said.kinds(), "<Answer");
    let sections: Vec<&str> = said.answer().sdp.split("m=video").skip(1).collect();
    assert!(sections[0].starts_with(" 9 UDP/TLS/RTP/SAVPF 96"), "{}", sections[0]);
    assert!(sections[1].starts_with(" 9 UDP/TLS/RTP/SAVPF 98"), "{}", sections[1]);
}

/// Routes have the payload types of one codec, so another codec in a section is another source.
#[test]
fn a_section_that_changes_its_codec_has_another_source() {
    let mut stage = v0();
    let lines = || [line("video", "sendonly", "cam", "")];
    offers(&mut stage, 1, &lines());
    // Too late for the answer: the client sends its own favourite until it offers again.
    let camera = track(3, TrackKind::Video, "video/VP9");
    let said = stage.announce("cam", &camera);
    assert_eq!(added(&said), [(Codec::Vp8, "0")]);
    let said = offers(&mut stage, 2, &lines());
    assert_eq!(added(&said), [(Codec::Vp9, "0")]);
    assert!(said.kinds().contains("#RemoveSource #AddSource !Unpublished !Published"));
}

/// The client answers on the connection that it receives on.
fn answer(stage: &mut Stage, id: u32, lines: &[stage::Line]) -> Said {
    let sdp = description(id, "efgh", "active", lines);
    stage.says(Says::Answer(sd("answer", id, sdp)))
}

fn routes(said: &Said) -> Vec<AddRoute> {
    let add = |ask: &Ask| match ask {
        Ask::AddRoute(add) => Some((**add).clone()),
        _ => None,
    };
    said.plane.iter().filter_map(add).collect()
}

/// Another codec of a track is there, too.
fn gains(stage: &mut Stage, camera: &TrackInfo, codec: Codec) {
    let mut sources = stage.around.sources[&camera.sid].clone();
    stage.has_source(camera, codec);
    sources.append(&mut stage.around.sources[&camera.sid].clone());
    stage.around.sources.insert(camera.sid, sources);
    stage.session.handle_source(camera.sid, &stage.around);
}

/// pion's application sees one codec per track, so another one comes as another stream.
#[test]
fn who_cannot_change_codecs_is_subscribed_anew() {
    use proto::client_info::Sdk;
    let data = || line("application", "", "", "");
    let video = |direction| line("video", direction, "", "");
    let vp8 = Notice::ReceiveCodec { track: track_sid(3), mime_type: "video/VP8".into() };
    for (sdk, anew) in [(Sdk::Go, true), (Sdk::Unknown, true), (Sdk::Js, false)] {
        let mut client = client("", 17);
        client.info.sdk = sdk as i32;
        let mut stage = Stage::new(Join { auto_subscribe: true, ..Join::default() }, client);
        let camera = with_backup("video/VP9", "video/VP8");
        stage.has_source(&camera, Codec::Vp9);
        stage.subscribe(&camera);
        stage.after(10);
        let first = routes(&answer(&mut stage, 1, &[data(), video("recvonly")])).remove(0);
        assert_eq!(first.payload_type, 98);
        gains(&mut stage, &camera, Codec::Vp8);
        assert_eq!(stage.said().kinds(), "", "{sdk:?}: nobody asked for it");
        let said = stage.is_told(vp8.clone());
        let gone = Ask::RemoveRoute { route: first.route };
        assert_eq!(said.plane.first(), Some(&gone), "{sdk:?}");
        if !anew {
            assert_eq!(routes(&said)[0].ssrc, first.ssrc);
            continue;
        }
        assert_eq!(said.kinds(), "#RemoveRoute");
        let said = stage.after(300);
        assert_eq!(said.kinds(), "<Offer", "{sdk:?}");
        let offer = said.offer();
        assert_eq!(offer.mid_to_track_id.len(), 1);
        assert_eq!(offer.mid_to_track_id["2"], camera.sid.to_string());
        let lines = [data(), video("inactive"), video("recvonly")];
        let said = answer(&mut stage, 2, &lines);
        let [second] = &routes(&said)[..] else { panic!("{sdk:?}: {}", said.kinds()) };
        assert_eq!((second.payload_type, second.mid.as_str()), (96, "2"));
        assert!(second.ssrc != first.ssrc && second.rtx_ssrc != first.rtx_ssrc);
        assert!(said.room.is_empty(), "the room has heard of it: {}", said.kinds());
        assert_eq!(stage.is_told(vp8.clone()).kinds(), "");
    }
}

/// On a single connection the client has to offer another section.
#[test]
fn who_cannot_change_codecs_is_asked_for_a_section() {
    let mut go = client("", 17);
    go.info.sdk = proto::client_info::Sdk::Go as i32;
    let mut stage = Stage::new(Join { single: true, ..Join::default() }, go);
    stage.said();
    let camera = with_backup("video/VP9", "video/VP8");
    stage.has_source(&camera, Codec::Vp9);
    stage.subscribe(&camera);
    let video = || line("video", "recvonly", "", "");
    let first = routes(&offers(&mut stage, 1, &[video()])).remove(0);
    stage.after(200);
    gains(&mut stage, &camera, Codec::Vp8);
    let vp8 = Notice::ReceiveCodec { track: camera.sid, mime_type: "video/VP8".into() };
    assert_eq!(stage.is_told(vp8).kinds(), "#RemoveRoute");
    assert_eq!(stage.after(300).kinds(), "<MediaSectionsRequirement");
    let [second] = &routes(&offers(&mut stage, 2, &[video(), video()]))[..] else { panic!() };
    assert_eq!((first.payload_type, second.payload_type), (98, 96));
    assert_eq!((first.mid.as_str(), second.mid.as_str()), ("0", "1"));
    assert_ne!(first.ssrc, second.ssrc);
}

/// Sound in two codecs: both are published, and each subscriber gets one that it knows.
#[test]
fn sound_may_have_two_codecs() {
    let mut stage = v0();
    let mut microphone = track(3, TrackKind::Audio, "audio/opus");
    let pcmu = track(3, TrackKind::Audio, "audio/PCMU").codecs[0].clone();
    let info = Arc::make_mut(&mut microphone);
    info.codecs[0].cid = "a".into();
    info.codecs.push(TrackCodec { cid: "b".into(), ..pcmu });
    stage.announce("a", &microphone);
    stage.announce("b", &microphone);
    let audio = |cid| line("audio", "sendonly", cid, "");
    let said = offers(&mut stage, 1, &[audio("a"), audio("b")]);
    assert_eq!(added(&said), [(Codec::Opus, "0"), (Codec::Pcmu, "1")]);
    let mimes: Vec<&str> = said
        .room
        .iter()
        .map(|request| match request {
            Request::MediaPublished(media) => media.mime_type.as_str(),
            _ => "",
        })
        .collect();
    assert_eq!(mimes, ["audio/opus", "audio/PCMU"]);

    for (only_pcmu, expect) in [(false, 111), (true, 0)] {
        let mut stage = Stage::new(Join { single: true, ..Join::default() }, client("", 17));
        stage.said();
        stage.has_source(&microphone, Codec::Opus);
        gains(&mut stage, &microphone, Codec::Pcmu);
        stage.subscribe(&microphone);
        let mut sdp = description(1, "abcd", "actpass", &[line("audio", "recvonly", "", "")]);
        if only_pcmu {
            let kept = |line: &&str| !line.contains(":111") && !line.contains(":63");
            sdp = sdp.replace("SAVPF 111 63 0 8", "SAVPF 0 8");
            sdp = sdp.split_inclusive("\r\n").filter(kept).collect();
        }
        let said = stage.says(Says::Offer(sd("offer", 1, sdp)));
        let [route] = &routes(&said)[..] else { panic!("{}", said.kinds()) };
        assert_eq!(route.payload_type, expect);
    }
}

/// An offer beyond our bounds is answered by a word of farewell instead of by nothing.
#[test]
fn an_offer_that_is_too_long_is_no_riddle() {
    use proto::leave_request::Action;
    let long = |count: usize| {
        let lines: Vec<_> = (0..count).map(|_| line("audio", "recvonly", "", "")).collect();
        description(1, "abcd", "actpass", &lines)
    };
    let check = |begun: bool, sdp: String, expect: Option<Action>| {
        let mut stage = Stage::new(Join { single: true, ..Join::default() }, client("", 17));
        stage.said();
        if begun {
            offers(&mut stage, 1, &[line("audio", "recvonly", "", "")]);
        }
        let said = stage.says(Says::Offer(sd("offer", 2, sdp)));
        let action = said.client.iter().find_map(|message| match message {
            Hears::Leave(leave) => Some(leave.action()),
            _ => None,
        });
        assert_eq!(action, expect, "{}", said.kinds());
        if expect.is_some() {
            assert_eq!(said.kinds(), "<Leave @Leave !HangUp");
        }
        assert_eq!(stage.session.ignored().not_sdp, 1);
    };
    let over = ringway_sdp::MAX_SECTIONS + 1;
    check(true, long(over), Some(Action::Reconnect));
    check(false, long(over), Some(Action::Disconnect));
    check(true, "nonsense".into(), None);
}
