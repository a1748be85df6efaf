//! What real clients said to LiveKit 1.13.5, played to a session: livekit-client 2.23.0 in Chromium
//! 156 over either version, and the Python client 1.2.1 (libwebrtc). Files are numbered as they
//! came; `query.txt` is the query of the connection, a field a line, without the token.

mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ringway_room::calls::{AddTrack, Request, TrackCodec, TrackKind, VideoQuality};
use ringway_signal::client::Client;
use ringway_signal::join::Join;
use ringway_signal::plane::{AddSource, Ask, Codec, Layer};
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use ringway_signal::wire::decode_binary;
use ringway_signal::{Output, proto};
use stage::{Said, Stage, track};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

fn joins(name: &str) -> Join {
    let text = std::fs::read_to_string(folder(name).join("query.txt")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    Join::from_query(pairs, name.ends_with("v1"), true).unwrap()
}

/// An answer to our offer, not to LiveKit's, whose numbers begin elsewhere.
fn answers(message: &Says, id: u32) -> Says {
    match message.clone() {
        Says::Answer(answer) => Says::Answer(proto::SessionDescription { id, ..answer }),
        other => other,
    }
}

fn messages(name: &str) -> BTreeMap<String, Says> {
    let files = std::fs::read_dir(folder(name)).unwrap().map(|file| file.unwrap().path());
    let frames = files.filter(|path| path.extension().is_some_and(|ending| ending == "bin"));
    let read = |path: PathBuf| {
        let message = decode_binary(&std::fs::read(&path).unwrap()).unwrap().message;
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), message.unwrap())
    };
    frames.map(read).collect()
}

/// The room's part: an announced track is taken up.
fn take_up(stage: &mut Stage, add: &AddTrack, number: u8) -> Said {
    let mut info = (*track(number, add.kind, "")).clone();
    info.codecs = if add.codecs.is_empty() {
        vec![TrackCodec { cid: add.cid.clone(), ..TrackCodec::default() }]
    } else {
        let codec = |codec: &ringway_room::calls::AnnouncedCodec| TrackCodec {
            mime_type: format!("video/{}", codec.codec),
            cid: codec.cid.clone(),
            layers: codec.layers.clone(),
            mode: Some(codec.mode),
            ..TrackCodec::default()
        };
        add.codecs.iter().map(codec).collect()
    };
    info.layers.clone_from(&add.layers);
    info.audio_features.clone_from(&add.audio_features);
    stage.announce(&add.cid, &Arc::new(info))
}

/// Plays a conversation. What the data plane was asked for in the end, by kind of media.
fn play(name: &str, numbers: &[&str]) -> (Stage, Vec<AddSource>, Vec<Said>) {
    let join = joins(name);
    let client = Client::new(join.client.clone(), "", "");
    let mut stage = Stage::new(join, client);
    let mut sources = Vec::new();
    let mut all = vec![stage.said(), stage.begin(), stage.after(10)];
    let messages = messages(name);
    for number in numbers {
        let message = messages[*number].clone();
        let is_offer = matches!(message, Says::Offer(_));
        let mut said = stage.says(message);
        assert!(!is_offer || said.answer().sdp.starts_with("v=0"), "{name}/{number}");
        if let Some(Request::AddTrack(add)) = said.room.first() {
            let (add, count) = (add.clone(), sources.len() + all.len());
            said = take_up(&mut stage, &add, u8::try_from(count).unwrap() + 10);
        }
        for ask in &said.plane {
            if let Ask::AddSource(source) = ask {
                sources.push((**source).clone());
            }
        }
        assert!(!said.rest.contains(&Output::HangUp), "{name}/{number}: {}", said.kinds());
        all.push(said);
    }
    (stage, sources, all)
}

fn rids() -> Vec<Layer> {
    ["q", "h", "f"].map(|rid| Layer::Rid(rid.to_owned())).to_vec()
}

#[test]
fn joins_are_read() {
    let join = joins("js_v1");
    assert!(join.single && join.auto_subscribe && join.adaptive_stream);
    assert_eq!((join.client.protocol, join.client.version.as_str()), (17, "2.23.0"));
    assert_eq!(join.offer.as_ref().map(|offer| offer.id), Some(1));
    let join = joins("python_v1");
    assert!(join.single && join.auto_subscribe && join.offer.is_some());
    let join = joins("js_v0");
    assert!(!join.single && join.adaptive_stream && join.offer.is_none());
}

#[test]
fn javascript_over_one_connection() {
    let numbers = ["006", "007", "010", "011", "013", "015", "017", "036", "044"];
    let (mut stage, sources, all) = play("js_v1", &numbers);
    assert_eq!(all[1].kinds(), "<Answer #OpenTransport #SetData #SetRemote #SetMedia");
    assert_eq!(sources.len(), 2);
    let [camera, microphone] = &sources[..] else { panic!() };
    assert_eq!((camera.codec, camera.mid.as_str(), &camera.layers), (Codec::Vp8, "7", &rids()));
    assert_eq!((microphone.codec, microphone.mid.as_str()), (Codec::Red, "8"));
    // Sizes come from the announcement, names from the offer.
    let published = all.iter().flat_map(|said| &said.room).find_map(|request| match request {
        Request::MediaPublished(media) if media.simulcast => Some(media),
        _ => None,
    });
    let layers = published.unwrap().layers.iter();
    let layers: Vec<_> = layers.map(|l| (l.quality, l.rid.as_str(), l.width)).collect();
    let expect = [
        (VideoQuality::Low, "q", 320),
        (VideoQuality::Medium, "h", 640),
        (VideoQuality::High, "f", 1280),
    ];
    assert_eq!(layers, expect);
    // The last offer is answered with discontinuous transmission for the microphone only.
    let answer =
        all.iter().rev().find(|said| said.client.iter().any(|m| matches!(m, Hears::Answer(_))));
    assert_eq!(answer.unwrap().answer().sdp.matches("usedtx=1").count(), 1);
    // Three videos fit into what it offers from the beginning, in its own numbers.
    for number in 40..43 {
        let video = track(number, TrackKind::Video, "video/H264");
        stage.subscribe(&video);
    }
    let said = stage.after(200);
    let Some(Hears::MediaSectionsRequirement(needs)) = said.client.first() else { panic!() };
    assert_eq!((needs.num_audios, needs.num_videos), (0, 0));
    let offer = messages("js_v1")["036"].clone();
    let said = stage.says(offer);
    assert_eq!(said.answer().mid_to_track_id.len(), 3);
}

#[test]
fn javascript_over_two_connections() {
    let join = joins("js_v0");
    let client = Client::new(join.client.clone(), "", "");
    let mut stage = Stage::new(join, client);
    stage.after(10);
    let messages = messages("js_v0");
    assert_eq!(stage.says(answers(&messages["008"], 1)).kinds(), "#SetRemote #SetMedia");
    assert_eq!(
        stage.says(messages["011"].clone()).kinds(),
        "<Answer #OpenTransport #SetData #SetRemote #SetMedia"
    );
    assert_eq!(stage.says(messages["015"].clone()).kinds(), "");
    // The tracks that the other client had, in LiveKit's order.
    let (audio, video) =
        (track(40, TrackKind::Audio, "audio/red"), track(41, TrackKind::Video, "video/VP8"));
    stage.has_source(&audio, Codec::Red);
    stage.has_source(&video, Codec::Vp8);
    stage.subscribe(&audio);
    stage.subscribe(&video);
    assert_eq!(stage.after(200).offer().id, 2);
    let said = stage.says(answers(&messages["021"], 2));
    let mut routes: Vec<_> = said
        .plane
        .iter()
        .filter_map(|ask| match ask {
            Ask::AddRoute(add) => {
                Some((add.payload_type, add.rtx_payload_type, add.red_payload_type))
            }
            _ => None,
        })
        .collect();
    routes.sort_unstable();
    assert_eq!(routes, [(96, Some(97), None), (111, None, Some(63))]);
    assert_eq!(stage.says(messages["037"].clone()).kinds(), "@TrackSettings");
}

#[test]
fn javascript_publishes_over_two_connections() {
    let (_, sources, _) = play("js_v0", &["008", "011", "019", "022", "024", "029"]);
    let [camera, microphone] = &sources[..] else { panic!("{sources:?}") };
    assert_eq!((camera.codec, camera.mid.as_str(), &camera.layers), (Codec::Vp8, "1", &rids()));
    assert_eq!((microphone.codec, microphone.mid.as_str()), (Codec::Red, "2"));
}

#[test]
fn python_over_one_connection() {
    let numbers = ["007", "014", "015", "016", "019", "021", "025", "035", "038"];
    let (mut stage, sources, _) = play("python_v1", &numbers);
    let [microphone, camera] = &sources[..] else { panic!("{sources:?}") };
    assert_eq!((microphone.codec, microphone.mid.as_str()), (Codec::Red, "7"));
    assert_eq!((camera.codec, camera.mid.as_str()), (Codec::Vp8, "8"));
    assert!(camera.layers.len() > 1, "{:?}", camera.layers);
    assert_eq!(stage.says(messages("python_v1")["045"].clone()).kinds(), "@Leave");
}
