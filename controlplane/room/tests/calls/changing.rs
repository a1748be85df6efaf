//! Names, permissions, mute: by participants themselves and by administrators.

use ringway_room::calls::*;

use crate::house::{
    House, camera, left, microphone, response, subscribed, unsubscribed, updates, wish,
};

fn metadata(request_id: u32, name: &str, metadata: &str, attributes: &[(&str, &str)]) -> Request {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let attributes = attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Request::UpdateMetadata {
        request_id,
        name: text(name),
        metadata: text(metadata),
        attributes: attributes.collect(),
    }
}

#[test]
fn own_metadata_needs_a_permission_and_keeps_its_limits() {
    let check = |allowed: bool, request: Request, expect: Option<RequestReason>| {
        let mut house = House::new(Config::default());
        let bob = house.enter("bob");
        let mut join = wish("ann");
        join.grants.can_update_own_metadata = Some(allowed);
        let ann = house.enter_as(join);
        house.pass(5_000);
        house.hush();
        house.ask(ann, request);
        let heard = house.heard(ann);
        assert_eq!(response(&heard), expect, "{heard:?}");
        let done = matches!(expect, None | Some(RequestReason::Ok));
        assert_eq!(updates(&house.heard(bob)).len(), usize::from(done));
        let token = heard.iter().any(|n| matches!(n, Notice::RefreshToken(_)));
        assert_eq!(token, done, "a new token says the new claims");
    };
    check(false, metadata(1, "new", "", &[]), Some(RequestReason::NotAllowed));
    check(true, metadata(1, "new", "", &[]), Some(RequestReason::Ok));
    check(true, metadata(0, "new", "", &[]), Some(RequestReason::Ok));
    check(true, metadata(1, "", "text", &[("k", "v")]), Some(RequestReason::Ok));
    let long = "n".repeat(257);
    check(true, metadata(0, &long, "", &[]), Some(RequestReason::LimitExceeded));
    let large = "m".repeat(512 * 1024 + 1);
    check(true, metadata(1, "", &large, &[]), Some(RequestReason::LimitExceeded));
    let large = "v".repeat(64 * 1024);
    check(true, metadata(1, "", "", &[("k", &large)]), Some(RequestReason::LimitExceeded));
}

#[test]
fn attributes_add_up_and_empty_ones_go() {
    let mut house = House::new(Config::default());
    let mut join = wish("ann");
    join.grants.can_update_own_metadata = Some(true);
    let ann = house.enter_as(join);
    house.ask(ann, metadata(1, "", "", &[("a", "1"), ("b", "2")]));
    house.ask(ann, metadata(1, "", "", &[("a", ""), ("c", "3")]));
    let info = house.info(ann);
    let have: Vec<_> = info.attributes.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(have, [("b", "2"), ("c", "3")]);
    let half = "v".repeat(40 * 1024);
    house.ask(ann, metadata(1, "", "", &[("x", &half)]));
    house.hush();
    house.ask(ann, metadata(1, "", "", &[("y", &half)]));
    assert_eq!(response(&house.heard(ann)), Some(RequestReason::LimitExceeded), "in sum");
}

#[test]
fn tracks_are_muted_by_their_owners_and_by_administrators() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.microphone(ann);
    house.hush();
    house.ask(ann, Request::SetMuted { track, muted: true });
    assert!(updates(&house.heard(bob))[0].tracks[0].muted);
    let own = Notice::TrackMuted { track, muted: true, remote: false };
    assert!(house.heard(ann).contains(&own));
    house.ask(ann, Request::SetMuted { track, muted: true });
    assert!(house.heard(bob).is_empty(), "already");
    house.ask(bob, Request::SetMuted { track, muted: false });
    assert_eq!(response(&house.heard(bob)), Some(RequestReason::NotFound), "not its own");

    let now_ms = house.now_ms;
    let refused = house.calls.mute_track(now_ms, "hall", "ann", track, false);
    assert_eq!(refused.err(), Some(OperationError::RemoteUnmuteDisabled));
    house.ask(ann, Request::SetMuted { track, muted: false });
    house.hush();
    let done = house.calls.mute_track(now_ms, "hall", "ann", track, true);
    assert!(done.is_ok_and(|info| info.muted));
    house.pump();
    let remote = Notice::TrackMuted { track, muted: true, remote: true };
    assert!(house.heard(ann).contains(&remote));
    let absent = house.calls.mute_track(now_ms, "hall", "bob", track, true);
    assert_eq!(absent.err(), Some(OperationError::TrackNotFound));

    let pending = house.announce(ann, microphone("later"));
    house.ask(ann, Request::SetMuted { track: pending, muted: true });
    let found = house.calls.match_media(ann, "later", TrackKind::Audio, &[]);
    assert!(matches!(found, MediaMatch::Track(info) if info.muted));
}

#[test]
fn tracks_say_what_they_are() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let (mic, cam) = (house.microphone(ann), house.camera(ann));
    let features = vec![AudioFeature::NoiseSuppression, AudioFeature::Stereo];
    let audio =
        |track| Request::UpdateAudioTrack { request_id: 3, track, features: features.clone() };
    let video = |track| Request::UpdateVideoTrack { request_id: 0, track, width: 9, height: 16 };
    for (request, expect) in [
        (audio(mic), Some(RequestReason::Ok)),
        (audio(cam), Some(RequestReason::NotFound)),
        (video(cam), None),
        (video(mic), Some(RequestReason::NotFound)),
    ] {
        house.hush();
        house.ask(ann, request);
        assert_eq!(response(&house.heard(ann)), expect);
    }
    let tracks = &house.info(ann).tracks;
    assert!(tracks[0].stereo && tracks[0].version > TimedVersion::default());
    assert_eq!((tracks[1].width, tracks[1].height), (9, 16));
    house.ask(bob, audio(mic));
    assert_eq!(response(&house.heard(bob)), Some(RequestReason::NotFound));
}

fn set(house: &mut House, identity: &str, permission: Permission) {
    let update = UpdateParticipant { permission: Some(permission), ..Default::default() };
    let now_ms = house.now_ms;
    let result = house.calls.update_participant(now_ms, "hall", identity, update);
    assert!(result.is_ok());
    house.pump();
}

#[test]
fn a_permission_replaces_the_whole_one() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let (mic, cam) = (house.microphone(ann), house.camera(ann));
    let announced = house.announce(ann, camera("later"));
    house.hush();
    let mut permission = house.info(ann).permission.clone();
    permission.can_publish_sources = vec![TrackSource::Microphone];
    set(&mut house, "ann", permission.clone());
    let heard = house.heard(ann);
    let ended = |track| heard.contains(&Notice::TrackUnpublished { track });
    assert!(ended(cam) && ended(announced) && !ended(mic), "{heard:?}");
    let token = heard.iter().find_map(|notice| match notice {
        Notice::RefreshToken(claims) => Some(claims.grants.can_publish_sources.clone()),
        _ => None,
    });
    assert_eq!(token, Some(vec![TrackSource::Microphone]));
    let heard = house.heard(bob);
    assert_eq!(unsubscribed(&heard), [cam]);
    let last = updates(&heard).pop().expect("told");
    assert_eq!(last.permission, permission);
    assert_eq!(last.tracks.len(), 1);

    permission.can_publish = false;
    set(&mut house, "ann", permission);
    assert!(house.info(ann).tracks.is_empty());
}

#[test]
fn subscribing_is_taken_away_and_given_back() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.microphone(ann);
    house.hush();
    let full = house.info(bob).permission.clone();
    set(&mut house, "bob", Permission { can_subscribe: false, ..full.clone() });
    assert_eq!(unsubscribed(&house.heard(bob)), [track]);
    let second = house.publish(ann, microphone("2"));
    assert!(subscribed(&house.heard(bob)).is_empty());
    set(&mut house, "bob", full);
    assert_eq!(subscribed(&house.heard(bob)), [track, second], "the wishes were kept");
}

#[test]
fn the_hidden_are_nobodys_business() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.microphone(ann);
    house.pass(10_000);
    house.hush();
    let open = house.info(ann).permission.clone();
    set(&mut house, "ann", Permission { hidden: true, ..open.clone() });
    let heard = house.heard(bob);
    assert_eq!(unsubscribed(&heard), [track]);
    assert_eq!(updates(&heard).pop().map(|p| p.state), Some(ParticipantState::Disconnected));
    let own = updates(&house.heard(ann));
    assert!(own.iter().all(|p| p.state == ParticipantState::Active), "{own:?}");
    assert_eq!(house.calls.list_rooms(&[])[0].num_participants, 2, "they count all the same");
    let all = house.calls.list_participants("hall").map(|list| list.len());
    assert_eq!(all, Ok(2), "administrators see them");

    house.hush();
    let secret = house.publish(ann, camera("secret"));
    house.ask(ann, Request::SetMuted { track, muted: true });
    house.pass(10_000);
    assert!(updates(&house.heard(bob)).is_empty());
    set(&mut house, "ann", open);
    let heard = house.heard(bob);
    assert_eq!(updates(&heard).pop().map(|p| p.tracks.len()), Some(2));
    assert_eq!(unsubscribed(&heard), [secret], "bob's client dropped it: not knowing ann");
    assert_eq!(subscribed(&heard), [track, secret]);
}

#[test]
fn administrators_remove_and_rename() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let now_ms = house.now_ms;
    let update = UpdateParticipant {
        name: Some("Ann".to_owned()),
        metadata: Some("m".to_owned()),
        ..Default::default()
    };
    let info = house.calls.update_participant(now_ms, "hall", "ann", update).expect("done");
    assert_eq!((&*info.name, &*info.metadata), ("Ann", "m"), "whatever its own permission");
    let long = UpdateParticipant { name: Some("n".repeat(300)), ..Default::default() };
    let refused = house.calls.update_participant(now_ms, "hall", "ann", long);
    assert_eq!(refused.err(), Some(OperationError::NameTooLong));
    house.calls.remove_participant(now_ms, "hall", "ann").expect("done");
    house.pump();
    let end = (DisconnectReason::ParticipantRemoved, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(ann)), Some(end));
    house.pass(3_000);
    let last = updates(&house.heard(bob)).pop().expect("told");
    assert_eq!(last.disconnect_reason, DisconnectReason::ParticipantRemoved);

    let gone = house.calls.get_participant("hall", "ann").err();
    assert_eq!(gone, Some(OperationError::ParticipantNotFound));
    let nowhere = house.calls.remove_participant(now_ms, "none", "ann").err();
    assert_eq!(nowhere, Some(OperationError::RoomNotFound));
    assert_eq!(OperationError::RoomNotFound.twirp_code(), "not_found");
}

#[test]
fn administrators_subscribe_for_others() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.microphone(ann);
    house.hush();
    for (subscribe, change) in [(false, true), (false, false), (true, true)] {
        let now_ms = house.now_ms;
        let done = house.calls.update_subscriptions(now_ms, "hall", "bob", &[track], subscribe);
        assert_eq!(done, Ok(()));
        house.pump();
        assert_eq!(!house.heard(bob).is_empty(), change);
    }
}
