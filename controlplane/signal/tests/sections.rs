//! Which section carries which track, and under which stream: rows of clients and rooms.

mod stage;

use std::sync::Arc;

use ringway_room::calls::{
    DisconnectReason, Notice, Request, SubscriptionError, TrackInfo, TrackKind, TrackSid,
};
use ringway_sdp::MAX_SECTIONS;
use ringway_signal::client::Client;
use ringway_signal::join::Join;
use ringway_signal::plane::{Ask, Codec};
use ringway_signal::proto;
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use stage::{Line, Stage, client, description, line, sd, track, track_sid};

const DATA: Line = Line { kind: "application", direction: "", cid: "", rids: "" };
const PLAYOUT_DELAY: &str = "playout-delay";

/// What one offer says of its video sections: the mid of each track, and the last stream.
fn offered(offer: &proto::SessionDescription) -> (String, String) {
    let (mid, _) = offer.mid_to_track_id.iter().next().expect("a section has a track");
    let stream = offer.sdp.lines().rev().find_map(|line| line.strip_prefix("a=msid:"));
    let stream = stream.and_then(|both| both.split(' ').next()).expect("so has a stream");
    let (publisher, stream) = stream.split_once('|').expect("LiveKit's form");
    assert_eq!(publisher, stage::participant(2).to_string());
    (mid.clone(), stream.to_owned())
}

/// One track, and another one when that has ended: what the offers of both say.
fn two_in_turn(stage: &mut Stage) -> [(String, String); 2] {
    stage.after(10);
    stage.says(Says::Answer(sd("answer", 0, description(1, "efgh", "active", &[DATA]))));
    let mut lines = vec![DATA];
    let mut version = 1;
    [6, 7].map(|number| {
        let video = track(number, TrackKind::Video, "video/VP8");
        stage.has_source(&video, Codec::Vp8);
        stage.subscribe(&video);
        let said = stage.after(200);
        let seen = offered(said.offer());
        let section: usize = seen.0.parse().unwrap();
        lines.truncate(section);
        for direction in ["recvonly", "inactive"] {
            version += 1;
            lines.truncate(section);
            lines.push(line("video", direction, "", ""));
            let answer = description(version, "efgh", "active", &lines);
            stage.says(Says::Answer(sd("answer", 0, answer)));
            stage.is_told(Notice::Unsubscribe { track: video.sid });
            stage.after(400);
        }
        seen
    })
}

#[test]
fn synced_streams_share_a_name_and_no_section() {
    let python = Client {
        info: proto::ClientInfo {
            sdk: proto::client_info::Sdk::Python as i32,
            protocol: 17,
            ..proto::ClientInfo::default()
        },
    };
    let (first, second) = (track_sid(6).to_string(), track_sid(7).to_string());
    let own = [first.as_str(), second.as_str()];
    let check = |client: Client, synced: bool, streams: [&str; 2], mids: [&str; 2]| {
        let change = |room: &mut ringway_room::calls::RoomInfo| room.sync_streams = synced;
        let mut stage = Stage::in_room(Join::default(), client.clone(), change);
        let seen = two_in_turn(&mut stage);
        let expect = [0, 1].map(|at| (mids[at].to_owned(), streams[at].to_owned()));
        assert_eq!(seen, expect, "{client:?} {synced}");
    };
    check(client("Chrome", 17), false, own, ["1", "1"]);
    check(client("Chrome", 17), true, ["camera"; 2], ["1", "2"]);
    check(client("Chrome", 10), true, ["camera"; 2], ["1", "2"]);
    check(client("Chrome", 9), true, own, ["1", "1"]);
    check(client("Firefox", 17), true, own, ["1", "1"]);
    check(client("Safari", 17), false, own, ["1", "2"]);
    check(python, true, ["camera"; 2], ["1", "2"]);
}

#[test]
fn a_synced_track_that_comes_again_keeps_its_stream() {
    let mut python = client("", 17);
    python.info.sdk = proto::client_info::Sdk::Python as i32;
    let mut stage = Stage::in_room(Join::default(), python, |room| room.sync_streams = true);
    stage.after(10);
    stage.says(Says::Answer(sd("answer", 1, description(1, "efgh", "active", &[DATA]))));
    let video = track(6, TrackKind::Video, "video/VP8");
    stage.has_source(&video, Codec::Vp8);
    stage.subscribe(&video);
    let lines = [DATA, line("video", "recvonly", "", "")];
    stage.after(200);
    stage.says(Says::Answer(sd("answer", 0, description(2, "efgh", "active", &lines))));
    stage.is_told(Notice::Unsubscribe { track: video.sid });
    stage.subscribe(&video);
    let said = stage.after(200);
    assert_eq!(said.kinds(), "");
    let said = stage.after(200);
    assert_eq!(offered(said.offer()), ("2".to_owned(), "camera".to_owned()));
}

/// How often a description says it.
fn count(sdp: &str, what: &str) -> usize {
    sdp.matches(what).count()
}

#[test]
fn a_section_is_emptied_when_the_last_of_its_track_is_over() {
    let mut stage = Stage::new(Join::default(), client("", 17));
    stage.after(10);
    stage.says(Says::Answer(sd("answer", 1, description(1, "efgh", "active", &[DATA]))));
    let [first, second, unsent] = [6, 7, 8].map(|n| track(n, TrackKind::Video, "video/VP8"));
    stage.has_source(&first, Codec::Vp8);
    stage.subscribe(&first);
    stage.subscribe(&unsent);
    stage.after(200);
    let lines = ["recvonly"; 2].map(|direction| line("video", direction, "", ""));
    let mut lines: Vec<Line> = std::iter::once(DATA).chain(lines).collect();
    let said = stage.says(Says::Answer(sd("answer", 0, description(2, "efgh", "active", &lines))));
    let Some(Ask::AddRoute(route)) = said.plane.last() else { panic!("{}", said.kinds()) };
    let named = format!("a=ssrc:{} cname", route.ssrc);
    // The data plane sends black now; whoever wants an offer meanwhile gets one that says so. What
    // was never sent is taken out at once.
    stage.is_told(Notice::Unsubscribe { track: first.sid });
    stage.is_told(Notice::Unsubscribe { track: unsent.sid });
    stage.subscribe(&second);
    let said = stage.after(200);
    let sdp = &said.offer().sdp;
    assert_eq!((count(sdp, &named), count(sdp, "a=inactive")), (1, 1), "{sdp}");
    assert_eq!(said.offer().mid_to_track_id["3"], second.sid.to_string());
    lines.push(line("video", "recvonly", "", ""));
    lines[2].direction = "inactive";
    stage.says(Says::Answer(sd("answer", 0, description(3, "efgh", "active", &lines))));
    let said = stage.after(300);
    let sdp = &said.offer().sdp;
    assert_eq!((count(sdp, &named), count(sdp, "a=inactive")), (0, 2), "{sdp}");
}

#[test]
fn so_is_one_of_a_single_connection() {
    let lines = [DATA, line("video", "recvonly", "", "")];
    let mut version = 1;
    let mut offer = || {
        version += 1;
        sd("offer", version, description(version, "abcd", "actpass", &lines))
    };
    let join = Join { single: true, offer: Some(offer()), ..Join::default() };
    let mut stage = Stage::new(join, client("", 17));
    let video = track(6, TrackKind::Video, "video/VP8");
    stage.has_source(&video, Codec::Vp8);
    stage.subscribe(&video);
    let first = stage.begin();
    assert_eq!(first.answer().mid_to_track_id["1"], video.sid.to_string());
    stage.after(200);
    stage.is_told(Notice::Unsubscribe { track: video.sid });
    // It comes again, which has to wait as well.
    stage.subscribe(&video);
    let said = stage.says(Says::Offer(offer()));
    assert_eq!(said.kinds(), "<Answer");
    assert_eq!(count(&said.answer().sdp, "a=sendonly"), 1);
    let needs = |num_videos| proto::MediaSectionsRequirement { num_audios: 0, num_videos };
    assert_eq!(stage.after(300).client, [Hears::MediaSectionsRequirement(needs(1))]);
    let said = stage.says(Says::Offer(offer()));
    assert_eq!(count(&said.answer().sdp, "a=inactive"), 1);
}

#[test]
fn a_single_connection_in_a_synced_room_asks_for_a_section_of_each_track() {
    let check = |synced: bool, videos: u32| {
        let lines = [DATA, line("video", "recvonly", "", "")];
        let offer = sd("offer", 1, description(1, "abcd", "actpass", &lines));
        let join = Join { single: true, offer: Some(offer), ..Join::default() };
        let mut stage =
            Stage::in_room(join, client("Chrome", 17), |room| room.sync_streams = synced);
        stage.begin();
        let mut version = 1;
        let mut offer = |stage: &mut Stage| {
            version += 1;
            let sdp = description(version, "abcd", "actpass", &lines);
            stage.says(Says::Offer(sd("offer", version, sdp)))
        };
        for number in [6, 7] {
            let video = track(number, TrackKind::Video, "video/VP8");
            stage.has_source(&video, Codec::Vp8);
            stage.subscribe(&video);
            let said = stage.after(200);
            if number == 7 {
                let needs =
                    |num_videos| proto::MediaSectionsRequirement { num_audios: 0, num_videos };
                assert_eq!(said.client, [Hears::MediaSectionsRequirement(needs(videos))]);
                return;
            }
            offer(&mut stage);
            stage.is_told(Notice::Unsubscribe { track: video.sid });
            // The section is seen to stop.
            stage.after(400);
            offer(&mut stage);
        }
    };
    check(false, 0);
    check(true, 1);
}

#[test]
fn pictures_are_held_back_unless_that_breaks_the_sync() {
    let check = |browser: &str, synced: bool, expect: bool| {
        let mut stage = Stage::in_room(Join::default(), client(browser, 17), |room| {
            (room.sync_streams, room.max_playout_delay_ms) = (synced, 400);
        });
        let video = track(6, TrackKind::Video, "video/VP8");
        stage.has_source(&video, Codec::Vp8);
        stage.subscribe(&video);
        let said = stage.after(10);
        let held = said.offer().sdp.contains(PLAYOUT_DELAY);
        assert_eq!(held, expect, "{browser} {synced}");
    };
    check("Chrome", false, true);
    check("Chrome", true, true);
    check("Firefox", false, true);
    check("Firefox", true, false);
}

/// One of many tracks.
fn numbered(number: usize) -> Arc<TrackInfo> {
    let mut video = track(0, TrackKind::Video, "video/VP8");
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Arc::make_mut(&mut video).sid = TrackSid::from_random(bytes);
    video
}

const NO_PLACE: Result<(), SubscriptionError> = Err(SubscriptionError::Unknown);

#[test]
fn a_client_whose_sections_are_used_up_begins_anew_if_that_helps() {
    // One section is that of data.
    let most = MAX_SECTIONS - 1;
    let check = |ended: usize, again: bool| {
        let mut stage = Stage::new(Join::default(), client("Safari", 17));
        for number in 0..most {
            let video = numbered(number);
            assert!(stage.subscribe(&video).room.is_empty(), "{number}");
            if number < ended {
                stage.is_told(Notice::Unsubscribe { track: video.sid });
            }
        }
        let more = numbered(most);
        let said = stage.subscribe(&more);
        let expect = match again {
            true => Request::Leave { reason: DisconnectReason::StateMismatch },
            false => Request::SubscribedMedia { track: more.sid, outcome: NO_PLACE },
        };
        assert_eq!(said.room, [expect], "{ended}");
        let leaves = said.client.iter().any(|message| matches!(message, Hears::Leave(_)));
        assert_eq!(leaves, again, "{ended}");
    };
    check(0, false);
    check(MAX_SECTIONS / 2 - 1, false);
    check(MAX_SECTIONS / 2, true);
    check(most, true);
}

#[test]
fn so_does_one_with_a_single_connection() {
    let most = MAX_SECTIONS - 1;
    let check = |ended: usize, again: bool| {
        let mut lines = vec![DATA];
        lines.extend((0..most).map(|_| line("video", "recvonly", "", "")));
        let offer = sd("offer", 1, description(1, "abcd", "actpass", &lines));
        let join = Join { single: true, offer: Some(offer), ..Join::default() };
        let mut stage = Stage::new(join, client("Safari", 17));
        for number in 0..most {
            stage.subscribe(&numbered(number));
        }
        assert_eq!(stage.begin().answer().mid_to_track_id.len(), most);
        for number in 0..ended {
            stage.is_told(Notice::Unsubscribe { track: numbered(number).sid });
        }
        let more = numbered(most);
        stage.subscribe(&more);
        let said = stage.after(200);
        let expect = match again {
            true => Request::Leave { reason: DisconnectReason::StateMismatch },
            false => Request::SubscribedMedia { track: more.sid, outcome: NO_PLACE },
        };
        assert_eq!(said.room, [expect], "{ended}");
        // Nothing is asked for that no offer can have.
        let asks = said.client.iter().any(|message| match message {
            Hears::MediaSectionsRequirement(told) => told.num_videos > 0,
            _ => false,
        });
        assert!(!asks, "{ended}");
    };
    check(0, false);
    check(MAX_SECTIONS / 2, true);
}
