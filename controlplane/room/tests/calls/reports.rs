//! What the data plane reports: who speaks, who is connected how well.

use ringway_room::calls::*;

use crate::house::{House, camera, media, microphone, subscribed, wish};

fn levels(house: &mut House, levels: &[(TrackSid, f32, bool)]) {
    let level = |(track, level, active): &(TrackSid, f32, bool)| AudioLevel {
        track: *track,
        level: *level,
        active: *active,
    };
    let event = MediaEvent::AudioLevels(levels.iter().map(level).collect());
    house.calls.handle_media(house.now_ms, event);
    house.pump();
}

fn speakers(heard: &[Notice]) -> Vec<(ParticipantSid, f32, bool)> {
    let list = |notice: &Notice| match notice {
        Notice::SpeakersChanged(list) => Some(list.as_ref().clone()),
        _ => None,
    };
    let all = heard.iter().filter_map(list).flatten();
    all.map(|speaker| (speaker.sid, speaker.level, speaker.active)).collect()
}

#[test]
fn speakers_are_told_to_those_who_hear_them() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut deaf = wish("deaf");
    deaf.auto_subscribe = false;
    let deaf = house.enter_as(deaf);
    let (of_ann, of_bob) = (house.microphone(ann), house.microphone(bob));
    house.hush();
    levels(&mut house, &[(of_ann, 0.3, true), (of_bob, 0.9, true)]);
    let both = [(bob, 1.0, true), (ann, 0.375, true)];
    assert_eq!(speakers(&house.heard(ann)), both, "the loudest first, in eighths");
    assert_eq!(speakers(&house.heard(bob)), both);
    assert!(house.heard(deaf).is_empty());
    levels(&mut house, &[(of_ann, 0.35, true), (of_bob, 0.95, true)]);
    assert_eq!(house.effects, 1, "small changes are not told");
    levels(&mut house, &[(of_ann, 0.35, true), (of_bob, 0.0, false)]);
    assert_eq!(speakers(&house.heard(ann)), [(bob, 0.0, false)]);

    // Who begins to hear a speaker is told, and who ceases to.
    house.hush();
    let tracks = vec![of_ann];
    house.ask(deaf, Request::UpdateSubscription { tracks: tracks.clone(), subscribe: true });
    assert_eq!(speakers(&house.heard(deaf)), [(ann, 0.375, true)]);
    house.ask(deaf, Request::UpdateSubscription { tracks, subscribe: false });
    assert_eq!(speakers(&house.heard(deaf)), [(ann, 0.0, false)]);

    house.ask(ann, Request::SetMuted { track: of_ann, muted: true });
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.0, false)]);
    levels(&mut house, &[(of_ann, 0.9, true)]);
    assert!(speakers(&house.heard(bob)).is_empty(), "late levels of a muted track");
}

#[test]
fn one_voice_in_several_tracks_is_one_speaker() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let (one, two) = (house.microphone(ann), house.publish(ann, microphone("second")));
    house.hush();
    levels(&mut house, &[(one, 0.2, true), (two, 0.7, true)]);
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.75, true)]);
    house.ask(ann, Request::MediaEnded { track: two });
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.25, true)]);
    levels(&mut house, &[(TrackSid::from_random([3; 12]), 1.0, true), (one, f32::NAN, true)]);
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.0, false)]);
}

#[test]
fn only_microphones_speak() {
    let check = |source: TrackSource, expect: &[f32]| {
        let mut house = House::new(Config::default());
        let (ann, bob) = (house.enter("ann"), house.enter("bob"));
        let track = house.publish(ann, AddTrack { source, ..microphone("other") });
        house.hush();
        levels(&mut house, &[(track, 1.0, true)]);
        let told = speakers(&house.heard(bob));
        assert_eq!(told.iter().map(|told| told.1).collect::<Vec<_>>(), expect, "{source:?}");
        // A voice beside it is as loud as it is.
        let voice = house.microphone(ann);
        house.hush();
        levels(&mut house, &[(track, 1.0, true), (voice, 0.5, true)]);
        let told = speakers(&house.heard(bob));
        assert_eq!(told.is_empty(), !expect.is_empty(), "{source:?}: {told:?}");
        assert!(told.iter().all(|told| told.1 == 0.5), "{source:?}: {told:?}");
    };
    check(TrackSource::Microphone, &[1.0]);
    check(TrackSource::ScreenShareAudio, &[]);
    check(TrackSource::Unknown, &[]);
}

#[test]
fn many_speakers_reach_everybody_in_few_messages() {
    let mut house = House::new(Config::default());
    let people: Vec<_> = (0..70).map(|index| house.enter(&format!("p{index}"))).collect();
    let tracks: Vec<_> = people.iter().map(|sid| house.microphone(*sid)).collect();
    house.hush();
    let all: Vec<_> = tracks.iter().map(|track| (*track, 0.5, true)).collect();
    levels(&mut house, &all);
    assert_eq!(house.effects, 2, "one message per 64 speakers");
    for sid in people {
        assert_eq!(speakers(&house.heard(sid)).len(), 70);
    }
}

fn quality(house: &mut House, list: &[(ParticipantSid, TrackSid, u32)]) {
    let lost = |(participant, track, lost): &(ParticipantSid, TrackSid, u32)| TrackQuality {
        lost: *lost,
        ..window(*participant, *track)
    };
    windows(house, list.iter().map(lost).collect());
}

/// A window in which all of a thousand packets came.
fn window(participant: ParticipantSid, track: TrackSid) -> TrackQuality {
    TrackQuality {
        participant,
        track,
        mime_type: "video/VP8",
        expected: 1000,
        lost: 0,
        heard: true,
        lacking_permille: 0,
    }
}

fn windows(house: &mut House, windows: Vec<TrackQuality>) {
    house.calls.handle_media(house.now_ms, MediaEvent::Quality(windows));
    house.pump();
}

fn layers(house: &mut House, track: TrackSid, live: u8, pictures: [Picture; 3]) {
    let layers = SourceLayers { track, mime_type: "video/VP8", live, pictures };
    house.calls.handle_media(house.now_ms, MediaEvent::SourceLayers(layers));
    house.pump();
}

/// A camera whose three layers come in streams of their own.
fn simulcast(house: &mut House, from: ParticipantSid) -> TrackSid {
    let track = house.announce(from, camera("cam"));
    let mut media = media(track, "video/VP8", "cam");
    media.layers = crate::house::layers();
    for (layer, rid) in media.layers.iter_mut().zip(["q", "h", "f"]) {
        layer.rid = rid.to_owned();
    }
    house.ask(from, Request::MediaPublished(Box::new(media)));
    track
}

fn grades(heard: &[Notice]) -> Vec<(ParticipantSid, ConnectionQuality)> {
    let list = |notice: &Notice| match notice {
        Notice::ConnectionQuality(list) => Some(list.as_ref().clone()),
        _ => None,
    };
    let all = heard.iter().filter_map(list).flatten();
    all.map(|info| (info.participant, info.quality)).collect()
}

#[test]
fn quality_is_told_when_it_changes() {
    use ConnectionQuality::{Excellent, Poor};
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.microphone(ann);
    house.hush();
    quality(&mut house, &[(ann, track, 0), (bob, track, 0)]);
    assert_eq!(grades(&house.heard(bob)), [(ann, Excellent), (bob, Excellent)]);
    assert_eq!(grades(&house.heard(ann)), [(ann, Excellent)], "ann receives nothing from bob");
    house.pass(5_000);
    quality(&mut house, &[(ann, track, 5), (bob, track, 5)]);
    assert!(grades(&house.heard(bob)).is_empty(), "no change");
    house.pass(5_000);
    quality(&mut house, &[(ann, track, 1000)]);
    assert_eq!(grades(&house.heard(bob)), [(ann, Poor)]);
    for _ in 0..50 {
        house.pass(5_000);
        quality(&mut house, &[(ann, track, 1000)]);
    }
    assert!(grades(&house.heard(bob)).is_empty(), "statistics alone never say lost");

    house.hush();
    // Recovery takes several good windows.
    let mut count = 0;
    while grades(&house.heard(bob)).last() != Some(&(ann, Excellent)) {
        house.pass(5_000);
        quality(&mut house, &[(ann, track, 0)]);
        count += 1;
        assert!(count < 10);
    }
    assert!(count > 2, "{count}");
    house.hush();
    // A report about a track that is not received says nothing.
    quality(&mut house, &[(bob, TrackSid::from_random([1; 12]), 1000)]);
    assert!(house.told.is_empty());

    let cid = house.enter("cid");
    let heard = house.heard(cid);
    assert_eq!(subscribed(&heard), [track]);
    assert_eq!(grades(&heard), [(ann, Excellent)], "who begins to receive is told");
}

#[test]
fn who_is_not_measured_is_connected_well() {
    use ConnectionQuality::{Excellent, Poor};
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let waiting = house.join(wish("waiting")).expect("admitted").participant.sid;
    house.pass(4_999);
    assert!(grades(&house.heard(ann)).is_empty(), "with the next round");
    house.pass(1);
    assert_eq!(grades(&house.heard(ann)), [(ann, Excellent)], "who is alone");
    assert!(grades(&house.heard(waiting)).is_empty(), "not before its media is up");
    house.pass(20_000);
    assert!(grades(&house.heard(ann)).is_empty(), "told once");

    // Who publishes muted, to those who receive it.
    let track = house.publish(ann, AddTrack { muted: true, ..microphone("mic") });
    house.hush();
    let bob = house.enter("bob");
    assert_eq!(grades(&house.heard(bob)), [(ann, Excellent)], "who begins to receive is told");
    house.pass(5_000);
    assert_eq!(grades(&house.heard(bob)), [(bob, Excellent)]);
    assert!(grades(&house.heard(ann)).is_empty(), "ann receives nothing from bob");

    // What made it bad is muted: nothing bad is left.
    house.ask(ann, Request::SetMuted { track, muted: false });
    house.pass(5_000);
    quality(&mut house, &[(ann, track, 1000)]);
    assert_eq!(grades(&house.heard(bob)), [(ann, Poor)]);
    house.pass(10_000);
    assert!(grades(&house.heard(bob)).is_empty(), "still bad, as far as anybody knows");
    house.ask(ann, Request::SetMuted { track, muted: true });
    assert_eq!(grades(&house.heard(bob)), [(ann, Excellent)], "at once");
    house.pass(60_000);
    assert!(grades(&house.heard(bob)).is_empty(), "told once");
}

#[test]
fn silence_is_poor_and_a_dead_peer_is_lost() {
    use ConnectionQuality::{Excellent, Good, Lost, Poor};
    for (protocol, expect) in [(17, Lost), (0, Lost), (10, Poor)] {
        let mut house = House::new(Config::default());
        let mut join = wish("ann");
        join.client.protocol = protocol;
        let (ann, bob) = (house.enter_as(join), house.enter("bob"));
        let track = house.camera(ann);
        house.pass(5_000);
        house.hush();
        let silent = TrackQuality { expected: 0, ..window(ann, track) };
        windows(&mut house, vec![silent]);
        assert_eq!(grades(&house.heard(bob)), [(ann, Poor)]);
        house.pass(5_000);
        windows(&mut house, vec![TrackQuality { heard: false, ..silent }]);
        let told: Vec<_> = (expect != Poor).then_some((ann, expect)).into_iter().collect();
        assert_eq!(grades(&house.heard(bob)), told);
        house.pass(5_000);
        quality(&mut house, &[(ann, track, 0)]);
        // From 20, or from 40.
        assert_eq!(grades(&house.heard(bob)), [(ann, Good)]);

        // What nobody wants, or is muted, need not come.
        house.ask(bob, Request::Leave { reason: DisconnectReason::ClientInitiated });
        house.pass(5_000);
        house.hush();
        windows(&mut house, vec![silent]);
        house.pass(5_000);
        assert_eq!(grades(&house.heard(ann)), [(ann, Excellent)], "nothing is asked of it");
        let cid = house.enter("cid");
        house.pass(1_000);
        house.hush();
        windows(&mut house, vec![silent]);
        assert!(grades(&house.heard(cid)).is_empty(), "it was asked a second ago");
    }
}

#[test]
fn missing_layers_count_for_as_long_as_they_are_missing() {
    use ConnectionQuality::{Excellent, Good, Poor};
    // The layers that come for a whole window, what the subscriber wants, the word for it.
    let check = |live: u8, quality: VideoQuality, expect| {
        let mut house = House::new(Config::default());
        let (ann, bob) = (house.enter("ann"), house.enter("bob"));
        let track = simulcast(&mut house, ann);
        layers(&mut house, track, 0b111, [Picture::default(); 3]);
        let settings = TrackSettings { quality, ..TrackSettings::default() };
        house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
        house.pass(5_000);
        layers(&mut house, track, live, [Picture::default(); 3]);
        windows(&mut house, vec![window(ann, track)]);
        for _ in 0..3 {
            house.pass(5_000);
            windows(&mut house, vec![window(ann, track)]);
        }
        let told = grades(&house.heard(bob));
        let last = told.iter().rfind(|(who, _)| *who == ann);
        assert_eq!(last, Some(&(ann, expect)), "{live:b} {quality:?}");
    };
    check(0b111, VideoQuality::High, Excellent);
    check(0b011, VideoQuality::High, Good);
    check(0b001, VideoQuality::High, Poor);
    check(0b001, VideoQuality::Medium, Good);
    check(0b001, VideoQuality::Low, Excellent);
    check(0b100, VideoQuality::High, Excellent);

    // What was announced for one stream and never came is not missed.
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.camera(ann);
    layers(&mut house, track, 0b001, [Picture::default(); 3]);
    house.pass(5_000);
    windows(&mut house, vec![window(ann, track)]);
    assert_eq!(grades(&house.heard(bob)), [(ann, Excellent), (bob, Excellent)]);

    // What a subscriber lacks is the subscriber's.
    house.hush();
    house.pass(5_000);
    windows(&mut house, vec![TrackQuality { lacking_permille: 1_000, ..window(bob, track) }]);
    assert_eq!(grades(&house.heard(bob)), [(bob, Good)]);
    let held_back = |paused| MediaEvent::RouteState { subscriber: bob, track, paused };
    house.calls.handle_media(house.now_ms, held_back(true));
    house.pump();
    assert_eq!(grades(&house.heard(bob)), [(bob, Poor)], "at once");
    windows(&mut house, vec![window(bob, track)]);
    assert!(grades(&house.heard(bob)).is_empty(), "as long as it is held back");
}

#[test]
fn only_the_codec_that_is_received_counts() {
    use ConnectionQuality::{Excellent, Poor};
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut add = camera("cam");
    add.backup_codec_policy = BackupCodecPolicy::Simulcast;
    add.codecs.push(AnnouncedCodec { codec: "h264".to_owned(), ..add.codecs[0].clone() });
    let track = house.announce(ann, add);
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "video/VP8", "cam"))));
    house.pass(5_000);
    let silent = TrackQuality { expected: 0, ..window(ann, track) };
    for (mime_type, expect) in [("video/H264", Excellent), ("video/VP8", Poor)] {
        windows(&mut house, vec![TrackQuality { mime_type, ..silent }]);
        house.pass(5_000);
        let told = grades(&house.heard(bob));
        assert_eq!(told.iter().rfind(|(who, _)| *who == ann), Some(&(ann, expect)));
    }
}

fn picture(width: u32, height: u32, fps: [u8; 4]) -> Picture {
    Picture { width, height, fps }
}

#[test]
fn sizes_that_nobody_announced_are_taken_from_the_pictures() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut add = camera("cam");
    (add.width, add.height) = (0, 0);
    for layer in &mut add.layers {
        (layer.width, layer.height) = (0, 0);
    }
    let track = house.publish(ann, add);
    let settings = TrackSettings { width: 640, height: 360, ..TrackSettings::default() };
    house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
    house.hush();
    let sizes = [(320, 180), (640, 360), (1280, 720)];
    layers(&mut house, track, 0b111, sizes.map(|(width, height)| picture(width, height, [0; 4])));
    assert_eq!(settled(&house.heard(bob)), [1], "the middle one is enough");
    let info = house.info(ann).tracks[0].clone();
    assert_eq!((info.width, info.height), (1280, 720));
    for layers in [&info.layers, &info.codecs[0].layers] {
        assert!(layers.iter().map(|layer| (layer.width, layer.height)).eq(sizes));
    }
    // Its encoder makes do with less; then it says how large it is, and that counts.
    let half = [(160, 90), (320, 180), (640, 360)];
    layers(&mut house, track, 0b111, half.map(|(width, height)| picture(width, height, [0; 4])));
    assert_eq!(settled(&house.heard(bob)), [2]);
    assert_eq!(house.info(ann).tracks[0].height, 360);
    house.ask(ann, Request::UpdateVideoLayers { track, layers: crate::house::layers() });
    layers(&mut house, track, 0b111, half.map(|(width, height)| picture(width, height, [9; 4])));
    assert_eq!(house.info(ann).tracks[0].layers, crate::house::layers());

    // What was announced stays, whatever the encoder makes of it.
    let announced = house.publish(ann, camera("2"));
    layers(&mut house, announced, 0b111, [picture(160, 90, [0; 4]); 3]);
    let info = house.info(ann).tracks[1].clone();
    assert_eq!((info.width, info.layers[0].width), (1280, 320));
}

fn settled(heard: &[Notice]) -> Vec<u8> {
    let spatial = |notice: &Notice| match notice {
        Notice::RouteSettings { settings, .. } => Some(settings.max_spatial),
        _ => None,
    };
    heard.iter().filter_map(spatial).collect()
}

#[test]
fn pictures_per_second_are_chosen_among_those_that_come() {
    let check = |rates: [u8; 4], fps: u32, expect: u8| {
        let mut house = House::new(Config::default());
        let (ann, bob) = (house.enter("ann"), house.enter("bob"));
        let track = house.camera(ann);
        let settings = TrackSettings { fps, ..TrackSettings::default() };
        house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
        layers(
            &mut house,
            track,
            0b111,
            [picture(0, 0, [5; 4]), picture(0, 0, [5; 4]), picture(0, 0, rates)],
        );
        let temporal = house.heard(bob).into_iter().filter_map(|notice| match notice {
            Notice::Subscribe(subscribe) => Some(subscribe.settings.max_temporal),
            Notice::RouteSettings { settings, .. } => Some(settings.max_temporal),
            _ => None,
        });
        assert_eq!(temporal.last(), Some(expect), "{rates:?} {fps}");
    };
    check([0; 4], 7, 3); // nobody has counted
    check([8, 15, 30, 30], 0, 3);
    check([8, 15, 30, 30], 7, 0);
    check([8, 15, 30, 30], 15, 1);
    check([8, 15, 30, 30], 16, 1); // almost
    check([8, 15, 30, 30], 20, 2);
    check([8, 15, 30, 30], 60, 3);
    check([15, 30, 60, 60], 30, 1);
    check([4, 8, 15, 15], 10, 2);
    check([30; 4], 15, 0);
}

#[test]
fn who_pretends_to_speak_is_told_as_a_speaker_for_a_while() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let of_ann = house.microphone(ann);
    house.hush();
    house.ask(ann, Request::PretendToSpeak { seconds: 3 });
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.9, true)]);
    assert_eq!(speakers(&house.heard(ann)), [(ann, 0.9, true)]);
    house.pass(2_900);
    assert!(speakers(&house.heard(bob)).is_empty());
    house.pass(200);
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.0, false)]);

    // The last wish counts, and whoever speaks by then goes on.
    house.ask(ann, Request::PretendToSpeak { seconds: 1 });
    house.ask(ann, Request::PretendToSpeak { seconds: 2 });
    levels(&mut house, &[(of_ann, 0.5, true)]);
    house.hush();
    house.pass(1_900);
    assert!(speakers(&house.heard(bob)).is_empty());
    house.pass(200);
    assert_eq!(speakers(&house.heard(bob)), [(ann, 0.5, true)]);
}
