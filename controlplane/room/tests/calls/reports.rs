//! What the data plane reports: who speaks, who is connected how well.

use ringway_room::calls::*;

use crate::house::{House, microphone, subscribed, wish};

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
    let quality = |(participant, track, lost): &(ParticipantSid, TrackSid, u32)| TrackQuality {
        participant: *participant,
        track: *track,
        expected: 1000,
        lost: *lost,
        jitter_us: 1_000,
        rtt_us: 20_000,
    };
    let event = MediaEvent::Quality(list.iter().map(quality).collect());
    house.calls.handle_media(house.now_ms, event);
    house.pump();
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
    quality(&mut house, &[(ann, track, 5), (bob, track, 5)]);
    assert!(house.told.is_empty(), "no change");
    quality(&mut house, &[(ann, track, 1000)]);
    assert_eq!(grades(&house.heard(bob)), [(ann, Poor)]);
    for _ in 0..50 {
        quality(&mut house, &[(ann, track, 1000)]);
    }
    assert!(grades(&house.heard(bob)).is_empty(), "statistics alone never say lost");

    house.hush();
    // A silent window says nothing; recovery takes several good ones.
    let silent =
        TrackQuality { participant: ann, track, expected: 0, lost: 0, jitter_us: 0, rtt_us: 0 };
    house.calls.handle_media(house.now_ms, MediaEvent::Quality(vec![silent]));
    house.pump();
    assert!(house.told.is_empty());
    let mut windows = 0;
    while grades(&house.heard(bob)).last() != Some(&(ann, Excellent)) {
        quality(&mut house, &[(ann, track, 0)]);
        windows += 1;
        assert!(windows < 10);
    }
    assert!(windows > 2, "{windows}");
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
    quality(&mut house, &[(ann, track, 1000)]);
    assert_eq!(grades(&house.heard(bob)), [(ann, Poor)]);
    house.pass(10_000);
    assert!(grades(&house.heard(bob)).is_empty(), "still bad, as far as anybody knows");
    house.ask(ann, Request::SetMuted { track, muted: true });
    house.pass(5_000);
    assert_eq!(grades(&house.heard(bob)), [(ann, Excellent)]);
    house.pass(60_000);
    assert!(grades(&house.heard(bob)).is_empty(), "told once");
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
