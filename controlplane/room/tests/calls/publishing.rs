//! Announcing and sending tracks.

use ringway_room::calls::*;

use crate::house::{House, camera, layers, media, microphone, response, subscribed, updates, wish};

/// What a section is that may carry any codec.
fn find(
    house: &House,
    from: ParticipantSid,
    cid: &str,
    kind: TrackKind,
    claimed: &[TrackSid],
) -> MediaMatch {
    let mimes = ["audio/opus", "video/VP8", "video/VP9", "video/H264"];
    house.calls.match_media(from, &OfferedMedia { cid, kind, mimes: &mimes, claimed })
}

#[test]
fn announcements_are_checked() {
    let check = |grants: Grants, change: fn(&mut AddTrack), expect: Option<RequestReason>| {
        let mut house = House::new(Config::default());
        let mut join = wish("ann");
        join.grants = Grants { room_join: true, ..grants };
        let ann = house.enter_as(join);
        house.hush();
        let mut add = microphone("mic");
        change(&mut add);
        house.ask(ann, Request::AddTrack(Box::new(add)));
        let heard = house.heard(ann);
        assert_eq!(response(&heard), expect, "{heard:?}");
        let published = heard.iter().any(|n| matches!(n, Notice::TrackPublished { .. }));
        assert_eq!(published, expect.is_none());
    };
    let all = Grants::default();
    let none = Grants { can_publish: Some(false), ..Grants::default() };
    let voice = Grants { can_publish_sources: vec![TrackSource::Microphone], ..Grants::default() };
    check(all.clone(), |_| (), None);
    check(none, |_| (), Some(RequestReason::NotAllowed));
    check(voice.clone(), |_| (), None);
    let camera_source = |add: &mut AddTrack| add.source = TrackSource::Camera;
    check(voice, camera_source, Some(RequestReason::NotAllowed));
    let data = |add: &mut AddTrack| add.kind = TrackKind::Data;
    check(all.clone(), data, Some(RequestReason::UnsupportedType));
    let document = |add: &mut AddTrack| add.name = "n".repeat(2000);
    check(all.clone(), document, None);
    let long = |add: &mut AddTrack| add.stream = "s".repeat(2000);
    check(all.clone(), long, Some(RequestReason::LimitExceeded));
    let absent = |add: &mut AddTrack| add.sid = Some(TrackSid::from_random([9; 12]));
    check(all, absent, Some(RequestReason::NotFound));
}

#[test]
fn an_announced_track_is_described() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let mut add = camera("cam");
    add.layers.reverse();
    let plain = house.announce(ann, add);
    house.ask(ann, Request::MediaPublished(Box::new(media(plain, "video/VP8", "cam"))));
    let info = house.calls.track(plain).expect("published").1;
    assert!(info.simulcast);
    assert_eq!((info.mime_type.as_str(), info.mid.as_str()), ("video/VP8", "0"));
    assert_eq!(info.codecs[0].layers, layers(), "in the order of quality");
    assert_eq!(info.codecs[0].mode, Some(LayerMode::OnePerStream));
    assert_eq!(info.stream, "camera");

    let mut add = camera("cam2");
    add.codecs[0].codec = "video/vp9".to_owned();
    add.codecs.push(AnnouncedCodec { codec: "vp8".to_owned(), ..add.codecs[0].clone() });
    add.source = TrackSource::ScreenShare;
    let scalable = house.announce(ann, add);
    let MediaMatch::Track(info) = find(&house, ann, "cam2", TrackKind::Video, &[]) else {
        panic!("no match")
    };
    assert_eq!(info.sid, scalable);
    let codecs: Vec<&str> = info.codecs.iter().map(|codec| codec.mime_type.as_str()).collect();
    assert_eq!(codecs, ["video/VP9", "video/VP8"]);
    assert_eq!(info.codecs[0].mode, Some(LayerMode::MultiplePerStream));
    assert!(!info.simulcast);
    assert_eq!(info.stream, "screen");

    let mut add = microphone("mic");
    add.stereo = true;
    add.disable_dtx = true;
    (add.encryption, add.packet_trailer_features) = (Encryption::Gcm, vec![1, 2]);
    let audio = house.publish(ann, add);
    let info = house.calls.track(audio).expect("published").1;
    assert_eq!(info.audio_features, [AudioFeature::Stereo, AudioFeature::NoDtx]);
    assert_eq!(info.backup_codec_policy, BackupCodecPolicy::Simulcast);
    assert_eq!((info.encryption, &*info.packet_trailer_features), (Encryption::Gcm, &[1, 2][..]));
}

#[test]
fn a_codec_that_is_not_enabled_is_replaced() {
    let check = |enabled: &[&str], asked: &str, expect: &str| {
        let enabled_codecs = enabled.iter().map(|codec| (*codec).to_owned()).collect();
        let mut house = House::new(Config { enabled_codecs, ..Config::default() });
        let ann = house.enter("ann");
        let mut add = camera("cam");
        add.codecs[0].codec = asked.to_owned();
        house.announce(ann, add);
        let found = find(&house, ann, "cam", TrackKind::Video, &[]);
        let MediaMatch::Track(info) = found else { panic!("{found:?}") };
        let codec = info.codecs.first().map_or("", |codec| codec.mime_type.as_str());
        assert_eq!(codec, expect, "{asked}");
    };
    check(&["video/VP8", "video/H264"], "h264", "video/H264");
    check(&["video/VP8", "video/H264"], "av1", "video/VP8");
    check(&["video/H264"], "vp8", "video/H264");
    check(&["video/H264"], "nonsense é", "video/H264");
    check(&["audio/opus"], "vp8", "");
}

#[test]
fn media_makes_a_track_public() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.announce(ann, microphone("mic"));
    assert!(house.heard(bob).is_empty(), "announced tracks are nobody's business");
    assert!(house.calls.track(track).is_none());
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "audio/red", "other id"))));
    let heard = house.heard(bob);
    let seen = updates(&heard);
    assert!(seen[0].is_publisher && seen[0].tracks[0].sid == track);
    assert_eq!(seen[0].tracks[0].mime_type, "audio/red");
    assert_eq!(crate::house::subscribed(&heard), [track]);
    let place = |find: fn(&Notice) -> bool| heard.iter().position(find);
    let told = place(|notice| matches!(notice, Notice::ParticipantUpdate(_)));
    assert!(told < place(|n| matches!(n, Notice::Subscribe(_))), "who it is comes first");
    assert!(matches!(house.facts[..], [Fact::TrackPublished(..)]), "{:?}", house.facts);

    house.hush();
    house.ask(ann, Request::MediaEnded { track });
    let heard = house.heard(bob);
    assert_eq!(crate::house::unsubscribed(&heard), [track]);
    assert!(!updates(&heard)[0].is_publisher, "at once, though it publishes no longer");
    let heard = house.heard(ann);
    assert!(heard.contains(&Notice::SourceEnded { track }), "{heard:?}");
    assert!(matches!(house.facts[..], [Fact::TrackUnpublished(..)]));
}

#[test]
fn sections_are_matched_to_announcements() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let mic = house.announce(ann, microphone("mic"));
    let mut add = camera("cam");
    add.codecs.push(AnnouncedCodec {
        codec: "h264".to_owned(),
        cid: "backup".to_owned(),
        ..add.codecs[0].clone()
    });
    let cam = house.announce(ann, add);
    let screen = house.announce(ann, camera("screen"));
    let check = |house: &House, cid: &str, kind, claimed: &[TrackSid], expect: Option<TrackSid>| {
        let found = match find(house, ann, cid, kind, claimed) {
            MediaMatch::Track(info) => Some(info.sid),
            MediaMatch::Unknown => None,
            MediaMatch::Abandoned => panic!("abandoned"),
        };
        assert_eq!(found, expect, "{cid}");
    };
    check(&house, "mic", TrackKind::Audio, &[], Some(mic));
    check(&house, "cam", TrackKind::Video, &[], Some(cam));
    check(&house, "backup", TrackKind::Video, &[], Some(cam));
    check(&house, "screen", TrackKind::Video, &[], Some(screen));
    check(&house, "changed", TrackKind::Video, &[], Some(cam));
    check(&house, "changed", TrackKind::Video, &[cam], Some(screen));
    check(&house, "changed", TrackKind::Video, &[cam, screen], None);
    check(&house, "changed", TrackKind::Audio, &[mic], None);
    house.ask(ann, Request::MediaPublished(Box::new(media(cam, "video/VP8", "sdp"))));
    check(&house, "sdp", TrackKind::Video, &[], Some(cam));
    check(&house, "cam", TrackKind::Video, &[cam, screen], Some(cam));
}

#[test]
fn a_backup_codec_is_known_though_the_client_calls_it_otherwise() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let backup = |cid: &str, codec: &str, track| AddTrack {
        sid: Some(track),
        codecs: vec![AnnouncedCodec {
            codec: codec.to_owned(),
            cid: cid.to_owned(),
            ..camera(cid).codecs[0].clone()
        }],
        ..camera(cid)
    };
    let kind = TrackKind::Video;
    let cam = house.announce(ann, camera("cam"));
    house.ask(ann, Request::MediaPublished(Box::new(media(cam, "video/VP8", "{cam}"))));
    house.announce(ann, backup("backup", "h264", cam));
    let check = |house: &House, mimes: &[&str], claimed: &[TrackSid], expect: Option<TrackSid>| {
        let offered = OfferedMedia { cid: "{other}", kind, mimes, claimed };
        let found = match house.calls.match_media(ann, &offered) {
            MediaMatch::Track(info) => Some(info),
            _ => None,
        };
        assert_eq!(found.as_ref().map(|info| info.sid), expect, "{mimes:?} {claimed:?}");
        let mut named = found.iter().flat_map(|info| &info.codecs);
        let named = named.find(|codec| codec.sdp_cid == "{other}").map(|one| &*one.mime_type);
        assert_eq!(named, expect.filter(|sid| *sid == cam).map(|_| "video/H264"));
    };
    // The section of the first codec has its track, the next one is that of the backup codec.
    check(&house, &["video/VP8", "video/h264"], &[cam], Some(cam));
    check(&house, &["video/VP8"], &[cam], None);
    check(&house, &[], &[cam], None);
    check(&house, &["video/H264"], &[cam, cam], None);
    // What was announced first is offered first.
    house.pass(1);
    let screen = house.announce(ann, camera("screen"));
    check(&house, &["video/VP8", "video/H264"], &[cam], Some(cam));
    check(&house, &["video/VP8", "video/H264"], &[cam, cam], Some(screen));
    check(&house, &["video/VP8"], &[cam], Some(screen));
    house.pass(1);
    house.announce(ann, backup("backup", "h264", cam));
    check(&house, &["video/VP8", "video/H264"], &[cam], Some(screen));
    // Once its media is there, nothing else is taken for it, unless it is announced anew.
    let mut second = media(cam, "video/H264", "{backup}");
    second.mid = "7".to_owned();
    house.ask(ann, Request::MediaPublished(Box::new(second)));
    check(&house, &["video/H264"], &[cam, cam, screen], None);
    house.announce(ann, backup("backup 2", "h264", cam));
    check(&house, &["video/H264"], &[cam, screen], Some(cam));
}

#[test]
fn one_cid_is_one_track_at_a_time() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let first = house.microphone(ann);
    for expect in [RequestReason::Queued; 3] {
        house.ask(ann, Request::AddTrack(Box::new(microphone("mic"))));
        assert_eq!(response(&house.heard(ann)), Some(expect));
    }
    house.ask(ann, Request::AddTrack(Box::new(microphone("mic"))));
    assert_eq!(response(&house.heard(ann)), Some(RequestReason::LimitExceeded));
    let none = find(&house, ann, "fresh", TrackKind::Audio, &[first]);
    assert_eq!(none, MediaMatch::Unknown, "a queued one has no media yet");

    house.ask(ann, Request::MediaEnded { track: first });
    let next = house.heard(ann).into_iter().find_map(|notice| match notice {
        Notice::TrackPublished { cid, track } => Some((cid, track.sid)),
        _ => None,
    });
    let (cid, next) = next.expect("the next one begins");
    assert_eq!(cid, "mic");
    house.ask(ann, Request::MediaPublished(Box::new(media(next, "audio/opus", "mic"))));
    assert_eq!(house.info(ann).tracks[0].sid, next);
}

#[test]
fn a_track_that_is_announced_again_keeps_its_id() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.announce(ann, microphone("mic"));
    house.ask(ann, Request::AddTrack(Box::new(microphone("mic"))));
    assert_eq!(response(&house.heard(ann)), Some(RequestReason::Queued));
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "audio/opus", "mic"))));
    // What is said about it is said about both.
    house.hush();
    house.ask(ann, Request::SetMuted { track, muted: true });
    assert!(updates(&house.heard(bob))[0].tracks[0].muted);
    let features = vec![AudioFeature::NoiseSuppression];
    let update = Request::UpdateAudioTrack { request_id: 1, track, features: features.clone() };
    house.ask(ann, update);
    assert_eq!(updates(&house.heard(bob))[0].tracks[0].audio_features, features);
    house.ask(ann, Request::MediaEnded { track });
    let next = house.heard(ann).into_iter().find_map(|notice| match notice {
        Notice::TrackPublished { track, .. } => Some(track),
        _ => None,
    });
    let next = next.expect("the next one begins");
    assert_eq!((next.sid, next.muted, &next.audio_features), (track, true, &features));
    assert!(house.info(ann).tracks.is_empty());
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "audio/opus", "mic"))));
    assert_eq!(subscribed(&house.heard(bob)), [track]);
}

#[test]
fn a_forbidden_announcement_leaves_the_published_track_alone() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let track = house.announce(ann, microphone("mic"));
    for _ in 0..2 {
        let mut other = microphone("mic");
        other.source = TrackSource::ScreenShareAudio;
        house.ask(ann, Request::AddTrack(Box::new(other)));
    }
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "audio/opus", "mic"))));
    house.hush();
    let mut permission = house.info(ann).permission.clone();
    permission.can_publish_sources = vec![TrackSource::Microphone];
    let update = UpdateParticipant { permission: Some(permission), ..UpdateParticipant::default() };
    house.calls.update_participant(house.now_ms, "hall", "ann", update).expect("changed");
    house.pump();
    let heard = house.heard(ann);
    assert!(!heard.iter().any(|one| matches!(one, Notice::TrackUnpublished { .. })), "{heard:?}");
    house.ask(ann, Request::MediaEnded { track });
    let heard = house.heard(ann);
    assert!(!heard.iter().any(|one| matches!(one, Notice::TrackPublished { .. })), "{heard:?}");
}

#[test]
fn pending_tracks_are_limited_and_stalled_ones_make_place() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let mut muted = microphone("muted");
    muted.muted = true;
    let muted = house.announce(ann, muted);
    let mut tracks = Vec::new();
    for index in 1..20 {
        tracks.push(house.announce(ann, microphone(&format!("mic {index}"))));
    }
    house.ask(ann, Request::AddTrack(Box::new(microphone("more"))));
    assert_eq!(response(&house.heard(ann)), Some(RequestReason::LimitExceeded));

    house.pass(30_000);
    house.hush();
    house.ask(ann, Request::AddTrack(Box::new(microphone("more"))));
    let heard = house.heard(ann);
    let ended = heard.iter().filter_map(|notice| match notice {
        Notice::TrackUnpublished { track } => Some(*track),
        _ => None,
    });
    let ended: Vec<_> = ended.collect();
    assert_eq!(ended, tracks, "all but the muted one");
    assert!(heard.iter().any(|n| matches!(n, Notice::TrackPublished { .. })));
    let late = find(&house, ann, "mic 3", TrackKind::Audio, &[]);
    assert_eq!(late, MediaMatch::Abandoned);
    let still = find(&house, ann, "muted", TrackKind::Audio, &[]);
    assert!(matches!(still, MediaMatch::Track(info) if info.sid == muted));
    house.announce(ann, microphone("mic 3"));
    let again = find(&house, ann, "mic 3", TrackKind::Audio, &[]);
    assert!(matches!(again, MediaMatch::Track(_)), "announced again");
}

#[test]
fn published_tracks_are_limited() {
    let mut config = Config::default();
    config.limits.published_tracks = 2;
    let mut house = House::new(config);
    let ann = house.enter("ann");
    house.publish(ann, microphone("1"));
    house.announce(ann, microphone("2"));
    house.ask(ann, Request::AddTrack(Box::new(microphone("3"))));
    assert_eq!(response(&house.heard(ann)), Some(RequestReason::LimitExceeded));
}

/// LiveKit knows no such bounds: ours are in nobody's way.
#[test]
fn bridges_publish_hundreds_of_tracks() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    for index in 0..500 {
        house.publish(ann, microphone(&format!("line {index}")));
    }
    assert_eq!(house.info(ann).tracks.len(), 500);
}

#[test]
fn names_of_tracks_are_limited_together() {
    const ALL: usize = 512 * 1024;
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let named = |cid: &str, bytes| AddTrack { name: "n".repeat(bytes), ..microphone(cid) };
    let first = house.publish(ann, named("1", ALL - 200_000));
    house.announce(ann, named("2", 100_000));
    house.ask(ann, Request::AddTrack(Box::new(named("2", 50_000))));
    assert_eq!(response(&house.heard(ann)), Some(RequestReason::Queued));
    for (bytes, expect) in [(50_001, Some(RequestReason::LimitExceeded)), (50_000, None)] {
        house.ask(ann, Request::AddTrack(Box::new(named("3", bytes))));
        assert_eq!(response(&house.heard(ann)), expect, "{bytes}");
    }
    house.ask(ann, Request::MediaEnded { track: first });
    house.announce(ann, named("4", 300_000));

    // What is no name, but an id, is short.
    for (bytes, expect) in [(1_025, Some(RequestReason::LimitExceeded)), (1_024, None)] {
        house.ask(ann, Request::AddTrack(Box::new(microphone(&"c".repeat(bytes)))));
        assert_eq!(response(&house.heard(ann)), expect, "{bytes}");
    }
}

#[test]
fn a_second_codec_joins_its_track() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.camera(ann);
    let mut add = camera("backup");
    add.sid = Some(track);
    add.codecs[0].codec = "h264".to_owned();
    assert_eq!(house.announce(ann, add), track);
    let mut second = media(track, "video/H264", "backup");
    second.mid = "7".to_owned();
    house.ask(ann, Request::MediaPublished(Box::new(second)));
    let info = house.calls.track(track).expect("published").1;
    let codecs: Vec<_> = info.codecs.iter().map(|c| (&*c.mime_type, &*c.mid)).collect();
    assert_eq!(codecs, [("video/VP8", "0"), ("video/H264", "7")]);
    assert_eq!(info.mime_type, "video/VP8");
    let changed = |notice: &Notice| match notice {
        Notice::SubscribedTrackChanged { track } => track.codecs.len() == 2,
        _ => false,
    };
    assert!(house.heard(bob).iter().any(changed));
    // Nobody else's track takes codecs.
    let mut add = camera("x");
    add.sid = Some(track);
    house.ask(bob, Request::AddTrack(Box::new(add)));
    assert_eq!(response(&house.heard(bob)), Some(RequestReason::NotFound));
}

#[test]
fn unwanted_layers_are_given_up_after_a_while() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let track = house.camera(ann);
    let told = |house: &mut House| -> Vec<Vec<(String, VideoQuality)>> {
        let codecs = |notice: Notice| match notice {
            Notice::SubscribedQuality { codecs, .. } => Some(codecs),
            _ => None,
        };
        house.heard(ann).into_iter().filter_map(codecs).collect()
    };
    let vp8 = |quality| vec![vec![("video/VP8".to_owned(), quality)]];
    house.pass(4_999);
    assert!(told(&mut house).is_empty());
    house.pass(1);
    assert_eq!(told(&mut house), vp8(VideoQuality::Off));
    let bob = house.enter("bob");
    assert_eq!(told(&mut house), vp8(VideoQuality::High));
    let settings = TrackSettings { width: 300, height: 170, ..TrackSettings::default() };
    house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
    house.pass(4_000);
    let cid = house.enter("cid");
    house.pass(10_000);
    assert!(told(&mut house).is_empty(), "it was wanted again in time");
    house.ask(cid, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(5_000);
    assert_eq!(told(&mut house), vp8(VideoQuality::Low));
    let settings = TrackSettings { disabled: true, ..settings };
    house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
    house.pass(5_000);
    assert_eq!(told(&mut house), vp8(VideoQuality::Off));
}

#[test]
fn the_layer_that_is_sent_is_the_one_that_is_asked_for() {
    for ((width, height), expect) in [((640, 360), None), ((320, 180), Some(VideoQuality::Low))] {
        let mut house = House::new(Config::default());
        let (ann, bob) = (house.enter("ann"), house.enter("bob"));
        let mut add = camera("cam");
        add.layers.remove(1);
        let track = house.publish(ann, add);
        let settings = TrackSettings { width, height, ..TrackSettings::default() };
        house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
        house.hush();
        house.pass(10_000);
        let told = house.heard(ann).into_iter().find_map(|notice| match notice {
            Notice::SubscribedQuality { codecs, .. } => Some(codecs[0].1),
            _ => None,
        });
        assert_eq!(told, expect, "low and high: the middle is high");
    }
}

#[test]
fn a_second_codec_is_asked_for_when_somebody_needs_it() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut add = camera("cam");
    add.codecs[0].codec = "vp9".to_owned();
    add.codecs.push(AnnouncedCodec { codec: "vp8".to_owned(), ..add.codecs[0].clone() });
    let track = house.announce(ann, add);
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "video/VP9", "cam"))));
    house.hush();
    let mime_type = "video/VP8".to_owned();
    house.ask(bob, Request::ReceiveCodec { track, mime_type });
    let codecs = house.heard(ann).into_iter().find_map(|notice| match notice {
        Notice::SubscribedQuality { codecs, .. } => Some(codecs),
        _ => None,
    });
    let expect = [("video/VP9", VideoQuality::High), ("video/VP8", VideoQuality::High)];
    let expect = expect.map(|(mime, quality)| (mime.to_owned(), quality));
    assert_eq!(codecs.as_deref(), Some(&expect[..]));
}

#[test]
fn codecs_of_sound_are_asked_for_when_somebody_needs_them() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let told = |house: &mut House| -> Vec<Vec<(String, bool)>> {
        let codecs = |notice: Notice| match notice {
            Notice::SubscribedAudioCodecs { codecs, .. } => Some(codecs),
            _ => None,
        };
        house.heard(ann).into_iter().filter_map(codecs).collect()
    };
    let expect = |rows: &[(&str, bool)]| {
        vec![rows.iter().map(|(mime, wanted)| ((*mime).to_owned(), *wanted)).collect::<Vec<_>>()]
    };
    // One codec alone is sent anyway.
    house.microphone(ann);
    house.pass(10_000);
    assert!(told(&mut house).is_empty());
    let mut add = microphone("two");
    let named = |codec: &str| AnnouncedCodec {
        codec: codec.to_owned(),
        cid: "two".to_owned(),
        layers: Vec::new(),
        mode: LayerMode::Unused,
    };
    add.codecs = vec![named("opus"), named("pcmu")];
    let track = house.publish(ann, add);
    assert_eq!(told(&mut house), expect(&[("audio/opus", true)]));
    let mime_type = "audio/PCMU".to_owned();
    house.ask(bob, Request::ReceiveCodec { track, mime_type });
    assert_eq!(told(&mut house), expect(&[("audio/opus", true), ("audio/PCMU", true)]));
    house.pass(5_000);
    assert_eq!(told(&mut house), expect(&[("audio/opus", false), ("audio/PCMU", true)]));
    // A pause is short.
    let settings = TrackSettings { disabled: true, ..TrackSettings::default() };
    house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
    house.pass(10_000);
    assert!(told(&mut house).is_empty());
    house.ask(bob, Request::UpdateSubscription { tracks: vec![track], subscribe: false });
    house.pass(5_000);
    assert_eq!(told(&mut house), expect(&[("audio/opus", false), ("audio/PCMU", false)]));
    house.enter("cid");
    assert_eq!(told(&mut house), expect(&[("audio/opus", true), ("audio/PCMU", false)]));
}

/// Ann sends VP9 with a backup in VP8; Bob can decode only the latter, Cid both.
fn with_backup(house: &mut House, policy: BackupCodecPolicy) -> (ParticipantSid, TrackSid) {
    let ann = house.enter("ann");
    let mut add = camera("cam");
    add.backup_codec_policy = policy;
    add.codecs[0].codec = "vp9".to_owned();
    let cid = String::new();
    add.codecs.push(AnnouncedCodec { codec: "vp8".to_owned(), cid, ..add.codecs[0].clone() });
    let track = house.announce(ann, add);
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "video/VP9", "cam"))));
    (ann, track)
}

#[test]
fn a_track_goes_back_to_its_backup_codec() {
    use BackupCodecPolicy::{PreferRegression, Regression, Simulcast};
    for (policy, threshold, goes_back) in [
        (PreferRegression, 5, true),
        (PreferRegression, 3, false),
        (PreferRegression, 0, true),
        (Regression, 3, true),
        (Simulcast, 0, false),
    ] {
        let row = format!("{policy:?} {threshold}");
        let config = Config { codec_regression_threshold: threshold, ..Config::default() };
        let mut house = House::new(config);
        let (ann, track) = with_backup(&mut house, policy);
        let (bob, cid) = (house.enter("bob"), house.enter("cid"));
        let receive = |mime: &str| Request::ReceiveCodec { track, mime_type: mime.to_owned() };
        house.ask(bob, receive("video/VP8"));
        house.hush();
        house.ask(ann, Request::MediaPublished(Box::new(media(track, "video/VP8", "backup"))));
        let moved = |notice: &Notice| match notice {
            Notice::ReceiveCodec { mime_type, .. } => Some(mime_type == "video/VP8"),
            _ => None,
        };
        // Bob has it already.
        assert_eq!(house.heard(bob).iter().find_map(moved), None, "{row}");
        assert_eq!(house.heard(cid).iter().find_map(moved), goes_back.then_some(true), "{row}");
        house.pass(5_000);
        let told = house.heard(ann).into_iter().find_map(|notice| match notice {
            Notice::SubscribedQuality { codecs, .. } => Some(codecs),
            _ => None,
        });
        let expect = [("video/VP9", VideoQuality::Off), ("video/VP8", VideoQuality::High)];
        let expect = expect.map(|(mime, quality)| (mime.to_owned(), quality)).to_vec();
        assert_eq!(told, goes_back.then_some(expect), "{row}");
        // Who comes later receives what the others do.
        let dan = house.enter("dan");
        assert_eq!(house.heard(dan).iter().find_map(moved), goes_back.then_some(true), "{row}");
        // Somebody who knows only the first codec has it sent again.
        house.hush();
        house.ask(dan, receive("video/VP9"));
        let again = house.heard(ann).iter().any(|notice| match notice {
            Notice::SubscribedQuality { codecs, .. } => codecs[0].1 == VideoQuality::High,
            _ => false,
        });
        assert_eq!(again, goes_back, "{row}");
    }
}
