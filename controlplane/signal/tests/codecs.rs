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
