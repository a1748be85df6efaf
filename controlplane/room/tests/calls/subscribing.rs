//! Who receives what, and how much of it.

use ringway_room::calls::*;

use crate::house::{House, camera, media, microphone, subscribed, unsubscribed, wish};

fn subscription(tracks: &[TrackSid], subscribe: bool) -> Request {
    Request::UpdateSubscription { tracks: tracks.to_vec(), subscribe }
}

fn settled(heard: &[Notice]) -> Vec<RouteSettings> {
    let settings = |notice: &Notice| match notice {
        Notice::RouteSettings { settings, .. } => Some(*settings),
        Notice::Subscribe(subscribe) => Some(subscribe.settings),
        _ => None,
    };
    heard.iter().filter_map(settings).collect()
}

#[test]
fn who_asks_for_nothing_gets_everything() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let track = house.camera(ann);
    house.hush();
    let joined = house.join(wish("bob")).expect("admitted").participant.sid;
    assert_eq!(subscribed(&house.heard(joined)), [track], "in the first offer");
    house.connect(joined);
    assert!(subscribed(&house.heard(joined)).is_empty(), "once");

    let mut old = wish("old");
    old.client.protocol = 7;
    let old = house.join(old).expect("admitted").participant.sid;
    assert!(subscribed(&house.heard(old)).is_empty(), "cannot take tracks so early");
    house.connect(old);
    assert_eq!(subscribed(&house.heard(old)), [track]);

    let mut manual = wish("manual");
    manual.auto_subscribe = false;
    let manual = house.enter_as(manual);
    assert!(subscribed(&house.heard(manual)).is_empty());
    house.ask(manual, subscription(&[track], true));
    let heard = house.heard(manual);
    let Some(Notice::Subscribe(told)) = heard.get(1) else { panic!("{heard:?}") };
    assert_eq!((told.publisher, told.publisher_identity.as_str()), (ann, "ann"));
    house.ask(manual, subscription(&[track], true));
    assert!(house.heard(manual).is_empty(), "already");
    house.ask(manual, subscription(&[track], false));
    assert_eq!(unsubscribed(&house.heard(manual)), [track]);
    house.ask(ann, subscription(&[track], true));
    assert!(subscribed(&house.heard(ann)).is_empty(), "not to oneself");
}

#[test]
fn tracks_that_come_between_join_and_media_are_not_missed() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let bob = house.join(wish("bob")).expect("admitted").participant.sid;
    let track = house.camera(ann);
    assert!(subscribed(&house.heard(bob)).is_empty());
    house.connect(bob);
    assert_eq!(subscribed(&house.heard(bob)), [track]);
}

#[test]
fn a_track_may_be_wanted_before_it_exists() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let mut manual = wish("bob");
    manual.auto_subscribe = false;
    let bob = house.enter_as(manual);
    let track = house.announce(ann, microphone("mic"));
    house.ask(bob, subscription(&[track], true));
    assert!(house.heard(bob).is_empty());
    house.ask(ann, Request::MediaPublished(Box::new(media(track, "audio/opus", "mic"))));
    assert_eq!(subscribed(&house.heard(bob)), [track]);

    let [never, other] = [TrackSid::from_random([1; 12]), TrackSid::from_random([2; 12])];
    house.ask(bob, subscription(&[never, other], true));
    house.ask(bob, subscription(&[other], false));
    house.pass(59_999);
    house.hush();
    house.pass(1);
    let error = SubscriptionError::TrackNotFound;
    let failed = Notice::SubscriptionResponse { track: never, error };
    assert_eq!(house.heard(bob), [failed]);
}

#[test]
fn wishes_for_nothing_are_bounded() {
    let mut config = Config::default();
    config.limits.awaited_tracks = 10;
    let mut house = House::new(config);
    let ann = house.enter("ann");
    let none: Vec<_> = (0..200).map(|index| TrackSid::from_random([index; 12])).collect();
    house.hush();
    for _ in 0..5 {
        house.ask(ann, subscription(&none, true));
        let settings = TrackSettings::default();
        house.ask(ann, Request::TrackSettings { tracks: none.clone(), settings });
        house.ask(ann, subscription(&none, false));
    }
    house.ask(ann, subscription(&none, true));
    house.pass(70_000);
    let failed = |notice: &&Notice| matches!(notice, Notice::SubscriptionResponse { .. });
    assert_eq!(house.heard(ann).iter().filter(failed).count(), 10);
    let [mic, bob] = [microphone("mic"), microphone("bob")];
    let speaker = house.enter(&bob.cid);
    let track = house.publish(speaker, mic);
    assert_eq!(subscribed(&house.heard(ann)), [track], "real ones are not in the way");
}

#[test]
fn settings_become_layers() {
    let full = RouteSettings { paused: false, max_spatial: 2, max_temporal: 3, priority: 1 };
    let check = |settings: TrackSettings, change: fn(&mut AddTrack), expect: RouteSettings| {
        let mut house = House::new(Config::default());
        let (ann, bob) = (house.enter("ann"), house.enter("bob"));
        let mut add = camera("cam");
        change(&mut add);
        let track = house.publish(ann, add);
        house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
        assert_eq!(settled(&house.heard(bob)).last(), Some(&expect), "{settings:?}");
    };
    let size = |width, height| TrackSettings { width, height, ..TrackSettings::default() };
    let layer = |max_spatial| RouteSettings { max_spatial, ..full };
    check(size(320, 180), |_| (), layer(0));
    check(size(340, 190), |_| (), layer(0));
    check(size(400, 220), |_| (), layer(1));
    check(size(640, 360), |_| (), layer(1));
    check(size(4000, 2000), |_| (), layer(2));
    check(size(1, 1), |_| (), layer(0));
    let quality = |quality| TrackSettings { quality, ..TrackSettings::default() };
    check(quality(VideoQuality::Low), |_| (), layer(0));
    check(quality(VideoQuality::Medium), |_| (), layer(1));
    check(quality(VideoQuality::High), |_| (), layer(2));
    let paused = RouteSettings { paused: true, ..layer(0) };
    check(quality(VideoQuality::Off), |_| (), paused);
    check(TrackSettings { disabled: true, ..size(640, 360) }, |_| (), paused);
    // Sizes that nobody said: what LiveKit's clients send.
    check(size(320, 180), |add| add.layers.clear(), layer(0));
    check(size(640, 360), |add| add.layers.clear(), layer(1));
    let portrait = |add: &mut AddTrack| {
        add.layers.clear();
        (add.width, add.height) = (720, 1280);
    };
    check(size(180, 320), portrait, layer(0));
    check(size(360, 640), portrait, layer(1));
    // Two layers, as a small camera has.
    check(quality(VideoQuality::High), |add| add.layers.truncate(2), layer(1));
    check(quality(VideoQuality::Low), |add| drop(add.layers.remove(0)), layer(0));
    check(size(640, 360), |add| drop(add.layers.remove(0)), layer(0));
    check(size(1280, 720), |add| drop(add.layers.remove(0)), layer(1));
    // A low and a high one, as ingress and the command line have them.
    let outer = |add: &mut AddTrack| drop(add.layers.remove(1));
    check(size(320, 180), outer, layer(0));
    check(size(640, 360), outer, layer(1));
    check(size(1280, 720), outer, layer(1));
    check(quality(VideoQuality::Low), outer, layer(0));
    check(quality(VideoQuality::Medium), outer, layer(1));
    check(quality(VideoQuality::High), outer, layer(1));
    let screen = |add: &mut AddTrack| add.source = TrackSource::ScreenShare;
    check(TrackSettings::default(), screen, RouteSettings { priority: 255, ..full });
    let urgent = TrackSettings { priority: 9, ..TrackSettings::default() };
    check(urgent, screen, RouteSettings { priority: 9, ..full });
}

#[test]
fn settings_are_told_once_and_follow_the_track() {
    let mut house = House::new(Config::default());
    let mut join = wish("bob");
    join.adaptive_stream = true;
    let (ann, bob) = (house.enter("ann"), house.enter_as(join));
    let track = house.camera(ann);
    assert_eq!(settled(&house.heard(bob))[0].max_spatial, 0, "until the client says its size");
    let settings = TrackSettings { width: 640, height: 360, ..TrackSettings::default() };
    for expect in [vec![1], vec![]] {
        house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
        let spatial: Vec<_> = settled(&house.heard(bob)).iter().map(|s| s.max_spatial).collect();
        assert_eq!(spatial, expect);
    }
    let mut layers = crate::house::layers();
    layers.remove(0);
    house.ask(ann, Request::UpdateVideoLayers { track, layers });
    let heard = house.heard(bob);
    assert_eq!(settled(&heard)[0].max_spatial, 0, "the same size is the lowest layer now");
    assert!(heard.iter().any(|n| matches!(n, Notice::SubscribedTrackChanged { .. })));
}

#[test]
fn settings_that_come_early_are_kept_for_a_minute() {
    for (wait_ms, expect) in [(60_000, 0), (60_001, 2)] {
        let mut house = House::new(Config::default());
        let (ann, bob) = (house.enter("ann"), house.enter("bob"));
        let track = house.announce(ann, camera("cam"));
        let settings = TrackSettings { quality: VideoQuality::Low, ..TrackSettings::default() };
        house.ask(bob, Request::TrackSettings { tracks: vec![track], settings });
        house.pass(wait_ms);
        house.ask(ann, Request::MediaPublished(Box::new(media(track, "video/VP8", "cam"))));
        assert_eq!(settled(&house.heard(bob))[0].max_spatial, expect);
    }
}

/// Otherwise nothing would ever come that the client could switch on.
#[test]
fn who_measures_its_pictures_begins_with_each_switched_on() {
    let check = |adaptive_stream: bool, add: AddTrack, expect: bool| {
        let mut house = House::new(Config::default());
        let ann = house.enter("ann");
        let bob = house.enter_as(Join { adaptive_stream, ..wish("bob") });
        let track = house.announce(ann, add);
        let size = TrackSettings { width: 640, height: 360, ..TrackSettings::default() };
        let hidden = Request::TrackSettings {
            tracks: vec![track],
            settings: TrackSettings { disabled: true, ..size },
        };
        house.ask(bob, hidden.clone());
        house.ask(ann, Request::MediaPublished(Box::new(media(track, "video/VP8", "cam"))));
        let begun = settled(&house.heard(bob));
        assert_eq!(begun.iter().map(|s| s.paused).collect::<Vec<_>>(), [expect]);
        // Whatever comes later counts, until the track is served anew.
        house.ask(bob, hidden);
        assert_eq!(settled(&house.heard(bob)).is_empty(), expect);
        let audience = |all_participants| Request::SubscriptionPermission {
            all_participants,
            permissions: vec![],
        };
        house.ask(ann, audience(false));
        house.hush();
        house.ask(ann, audience(true));
        let again = settled(&house.heard(bob));
        assert_eq!(again.iter().map(|s| s.paused).collect::<Vec<_>>(), [expect]);
    };
    check(true, camera("cam"), false);
    check(false, camera("cam"), true);
    check(true, microphone("cam"), true);
}

#[test]
fn publishers_choose_their_audience() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut recorder = wish("recorder");
    recorder.grants.recorder = true;
    let recorder = house.enter_as(recorder);
    let (mic, cam) = (house.microphone(ann), house.camera(ann));
    house.hush();
    let only =
        |permissions| Request::SubscriptionPermission { all_participants: false, permissions };
    house.ask(ann, only(vec![]));
    let heard = house.heard(bob);
    assert_eq!(unsubscribed(&heard), [mic, cam]);
    let told =
        |allowed, track| Notice::SubscriptionPermissionUpdate { publisher: ann, track, allowed };
    assert!(heard.contains(&told(false, mic)) && heard.contains(&told(false, cam)));
    assert!(unsubscribed(&house.heard(recorder)).is_empty(), "recorders cannot be refused");

    let by_identity = TrackPermission {
        identity: "bob".to_owned(),
        tracks: vec![mic],
        ..TrackPermission::default()
    };
    house.ask(ann, only(vec![by_identity]));
    assert_eq!(house.heard(bob).first(), Some(&told(true, mic)));
    let by_sid = TrackPermission { sid: Some(bob), all_tracks: true, ..Default::default() };
    house.ask(ann, only(vec![by_sid]));
    assert_eq!(subscribed(&house.heard(bob)), [cam]);
    house.ask(ann, only(vec![TrackPermission::default()]));
    assert!(house.heard(bob).is_empty(), "a list that names nobody is refused as a whole");

    // Who comes later is told that it may not.
    let late = house.enter("late");
    let heard = house.heard(late);
    assert!(subscribed(&heard).is_empty() && heard.contains(&told(false, mic)));
    house.ask(ann, Request::SubscriptionPermission { all_participants: true, permissions: vec![] });
    assert_eq!(subscribed(&house.heard(late)), [mic, cam]);
}

#[test]
fn the_first_verdict_is_told_and_then_what_changes() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut idle = wish("idle");
    idle.grants.can_subscribe = Some(false);
    let idle = house.enter_as(idle);
    let verdicts = |heard: Vec<Notice>| -> Vec<bool> {
        let verdict = |notice| match notice {
            Notice::SubscriptionPermissionUpdate { allowed, .. } => Some(allowed),
            _ => None,
        };
        heard.into_iter().filter_map(verdict).collect()
    };
    let mic = house.microphone(ann);
    let heard = house.heard(bob);
    let place = |wanted: fn(&Notice) -> bool| heard.iter().position(wanted);
    let told = place(|one| matches!(one, Notice::SubscriptionPermissionUpdate { .. }));
    assert!(told.is_some() && told < place(|one| matches!(one, Notice::Subscribe(_))));
    assert_eq!(verdicts(heard), [true]);
    assert!(verdicts(house.heard(idle)).is_empty(), "it may receive nothing, whoever allows it");
    let audience = |all_participants| Request::SubscriptionPermission {
        all_participants,
        permissions: Vec::new(),
    };
    for (all, expect) in [(true, vec![]), (false, vec![false]), (false, vec![]), (true, vec![true])]
    {
        house.ask(ann, audience(all));
        assert_eq!(verdicts(house.heard(bob)), expect, "{all}");
    }
    // With a wish ends what was told of it.
    house.ask(bob, subscription(&[mic], false));
    house.ask(bob, subscription(&[mic], true));
    assert_eq!(verdicts(house.heard(bob)), [true]);
}

#[test]
fn subscriptions_are_limited_and_places_are_given_on() {
    let mut config = Config::default();
    config.limits.subscriptions_video = 1;
    let mut house = House::new(config);
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let first = house.publish(ann, camera("1"));
    house.told.clear();
    let second = house.publish(ann, camera("2"));
    let audio = house.microphone(ann);
    assert_eq!(subscribed(&house.heard(bob)), [audio], "video is full");
    house.ask(bob, subscription(&[first], false));
    let heard = house.heard(bob);
    assert_eq!((unsubscribed(&heard), subscribed(&heard)), (vec![first], vec![second]));
    let third = house.publish(ann, camera("3"));
    house.told.clear();
    house.ask(ann, Request::MediaEnded { track: second });
    assert_eq!(subscribed(&house.heard(bob)), [third]);
}

#[test]
fn what_cannot_be_carried_is_not_tried_again_unasked() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.camera(ann);
    house.hush();
    let error = SubscriptionError::CodecUnsupported;
    house.ask(bob, Request::SubscribedMedia { track, outcome: Err(error) });
    let expect = [Notice::Unsubscribe { track }, Notice::SubscriptionResponse { track, error }];
    assert_eq!(house.heard(bob), expect);
    house.ask(bob, Request::SubscribedMedia { track, outcome: Ok(()) });
    assert!(house.heard(ann).is_empty(), "nothing is received");
    house.ask(bob, subscription(&[track], true));
    assert_eq!(subscribed(&house.heard(bob)), [track]);
    for expect in [1, 0] {
        house.ask(bob, Request::SubscribedMedia { track, outcome: Ok(()) });
        let told = house.heard(ann);
        let subscribed = Notice::TrackSubscribed { track };
        assert_eq!(told.iter().filter(|n| **n == subscribed).count(), expect, "told once");
    }
}

/// As with LiveKit: its clients drop what comes of somebody whom they were not told of.
#[test]
fn tracks_of_hidden_publishers_are_on_offer_too() {
    let mut house = House::new(Config::default());
    let bob = house.enter("bob");
    let player = house.enter_as(Join { auto_subscribe_hidden: false, ..wish("player") });
    let mut hidden = wish("eve");
    hidden.grants.hidden = true;
    let eve = house.enter_as(hidden);
    let track = house.microphone(eve);
    assert_eq!(subscribed(&house.heard(bob)), [track]);
    assert!(subscribed(&house.heard(player)).is_empty(), "it would play what is hidden");
    let late = house.enter("late");
    assert_eq!(subscribed(&house.heard(late)), [track]);
    let player = house.enter_as(Join { auto_subscribe_hidden: false, ..wish("late player") });
    assert!(subscribed(&house.heard(player)).is_empty());
    house.ask(player, subscription(&[track], true));
    assert_eq!(subscribed(&house.heard(player)), [track], "who asks for it gets it");
}

#[test]
fn the_hidden_do_not_betray_that_they_listen() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let mut hidden = wish("eve");
    hidden.grants.hidden = true;
    let eve = house.enter_as(hidden);
    let track = house.camera(ann);
    assert_eq!(subscribed(&house.heard(eve)), [track]);
    for (listener, expect) in [(eve, 0), (bob, 1), (eve, 0)] {
        house.hush();
        house.ask(listener, Request::SubscribedMedia { track, outcome: Ok(()) });
        let told = house.heard(ann);
        let subscribed = Notice::TrackSubscribed { track };
        let times = told.iter().filter(|notice| **notice == subscribed).count();
        assert_eq!(times, expect, "{listener}");
    }
}

#[test]
fn routes_that_are_held_back_are_told() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.camera(ann);
    house.hush();
    for (paused, expect) in [
        (false, None),
        (true, Some(StreamState::Paused)),
        (true, None),
        (false, Some(StreamState::Active)),
    ] {
        let event = MediaEvent::RouteState { subscriber: bob, track, paused };
        house.calls.handle_media(house.now_ms, event);
        house.pump();
        let told = expect.map(|state| Notice::StreamState { publisher: ann, track, state });
        let mut heard = house.heard(bob);
        heard.retain(|notice| matches!(notice, Notice::StreamState { .. }));
        assert_eq!(heard, Vec::from_iter(told));
    }
}
