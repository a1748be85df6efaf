//! Who comes in, and as what.

use ringway_room::calls::*;

use crate::house::{House, left, updates, wish};

#[test]
fn tokens_and_limits_decide() {
    let check = |change: fn(&mut Join), expect: Result<(), Refusal>| {
        let mut house = House::new(Config::default());
        let mut join = wish("ann");
        change(&mut join);
        assert_eq!(house.calls.validate(&join), expect);
        assert_eq!(house.join(join).map(|_| ()), expect);
        assert_eq!(house.calls.counts().rooms, usize::from(expect.is_ok()), "{expect:?}");
    };
    check(|_| (), Ok(()));
    check(|join| join.grants.room_join = false, Err(Refusal::NotAllowed));
    check(|join| join.grants.room = "other".to_owned(), Err(Refusal::NotAllowed));
    check(|join| join.grants.room.clear(), Ok(()));
    check(|join| join.identity.clear(), Err(Refusal::IdentityEmpty));
    check(|join| join.identity = "i".repeat(256), Ok(()));
    check(|join| join.identity = "i".repeat(257), Err(Refusal::IdentityTooLong));
    check(
        |join| {
            join.grants.room.clear();
            join.room.clear();
        },
        Err(Refusal::RoomNameEmpty),
    );
    check(
        |join| {
            join.grants.room.clear();
            join.room = "r".repeat(257);
        },
        Err(Refusal::RoomNameTooLong),
    );
    check(|join| join.name = "n".repeat(257), Err(Refusal::NameTooLong));
    check(|join| join.metadata = "m".repeat(512 * 1024 + 1), Err(Refusal::MetadataTooLarge));
    check(
        |join| join.attributes = [("k".to_owned(), "v".repeat(64 * 1024))].into(),
        Err(Refusal::AttributesTooLarge),
    );
    check(|join| join.client.browser = "b".repeat(2000), Err(Refusal::ClientInfoTooLong));
    check(|join| join.client.capabilities = vec![1; 100], Err(Refusal::ClientInfoTooLong));
    check(|join| join.own_metadata = Some("x".to_owned()), Err(Refusal::MayNotUpdateMetadata));
    check(
        |join| join.own_attributes = [("a".to_owned(), "b".to_owned())].into(),
        Err(Refusal::MayNotUpdateMetadata),
    );
    check(|join| join.room_preset = "none".to_owned(), Err(Refusal::PresetNotFound));
    check(|join| join.publish_only = Some("screen".to_owned()), Ok(()));
    check(
        |join| {
            join.publish_only = Some("screen".to_owned());
            join.grants.can_publish = Some(false);
        },
        Err(Refusal::MayNotPublish),
    );
    check(|join| join.reconnect = Some(Reconnect { sid: None }), Err(Refusal::StateMismatch));
}

#[test]
fn presets_are_looked_for_where_a_room_is_made() {
    let mut house = House::new(Config::default());
    let named = |identity: &str| Join { room_preset: "none".to_owned(), ..wish(identity) };
    assert_eq!(house.join(named("ann")).err(), Some(Refusal::PresetNotFound));
    house.enter("bob");
    assert!(house.join(named("ann")).is_ok(), "LiveKit does not ask either");
}

#[test]
fn refusals_are_http_statuses() {
    for (refusal, status) in [
        (Refusal::NotAllowed, 401),
        (Refusal::MayNotPublish, 401),
        (Refusal::NoEgress, 403),
        (Refusal::RoomNotFound, 404),
        (Refusal::IdentityTooLong, 400),
        (Refusal::ServerFull, 503),
        (Refusal::Unavailable, 503),
        (Refusal::RoomFull, 429),
    ] {
        assert_eq!(refusal.status(), status, "{refusal}");
    }
}

#[test]
fn rooms_are_made_only_where_that_is_allowed() {
    let closed = Config { auto_create: false, ..Config::default() };
    let mut house = House::new(closed);
    assert_eq!(house.join(wish("ann")).err(), Some(Refusal::RoomNotFound));
    let mut creator = wish("ann");
    creator.grants.room_create = true;
    assert!(house.join(creator).is_ok());
    assert!(house.join(wish("bob")).is_ok());

    let mut small = Config::default();
    small.limits.rooms = 1;
    small.limits.participants = 2;
    let mut house = House::new(small);
    house.enter("ann");
    let mut other = wish("bob");
    other.room = "other".to_owned();
    other.grants.room.clear();
    assert_eq!(house.join(other).err(), Some(Refusal::ServerFull));
    house.enter("bob");
    assert_eq!(house.join(wish("cid")).err(), Some(Refusal::ServerFull));
}

/// LiveKit's limits of a node: those who are in stay, and may resume.
#[test]
fn a_machine_that_serves_all_it_may_takes_nobody_else() {
    let mut config = Config::default();
    config.limits.tracks = 2;
    let mut house = House::new(config);
    let ann = house.enter("ann");
    house.microphone(ann);
    let bob = house.enter("bob");
    // What bob receives counts, too.
    assert_eq!(house.join(wish("cid")).err(), Some(Refusal::ServerFull));
    assert_eq!(house.calls.validate(&wish("cid")).err(), Some(Refusal::ServerFull));
    let mut again = wish("bob");
    again.reconnect = Some(Reconnect { sid: None });
    assert!(house.join(again).is_ok(), "a session that is there goes on");
    let reason = DisconnectReason::ClientInitiated;
    house.ask(bob, Request::Leave { reason });
    assert!(house.join(wish("cid")).is_ok(), "one track comes in, none goes out");
}

#[test]
fn a_machine_whose_lines_are_full_takes_nobody_else() {
    let mut config = Config::default();
    config.limits.bytes_per_s = 1_000_000;
    let mut house = House::new(config);
    for (bytes_per_s, full) in [(999_999, false), (1_000_000, true), (0, false)] {
        house.calls.handle_traffic(bytes_per_s);
        assert_eq!(house.calls.validate(&wish("dan")).is_err(), full, "{bytes_per_s}");
    }
}

#[test]
fn nothing_is_admitted_without_a_data_plane() {
    let mut house = House::new(Config::default());
    house.calls.handle_plane_lost(0);
    assert_eq!(house.join(wish("ann")).err(), Some(Refusal::Unavailable));
    assert_eq!(house.calls.counts().rooms, 0);
    house.calls.handle_plane_joined(0, 1);
    assert!(house.join(wish("ann")).is_ok());
}

#[test]
fn a_full_room_takes_only_those_who_serve_it() {
    let mut house = House::new(Config { max_participants: 2, ..Config::default() });
    house.enter("ann");
    house.enter("bob");
    assert_eq!(house.join(wish("cid")).err(), Some(Refusal::RoomFull));
    // Somebody's new session takes the place of the old one.
    assert!(house.join(wish("bob")).is_ok());
    let mut hidden = wish("eve");
    hidden.grants.hidden = true;
    assert_eq!(house.join(hidden).err(), Some(Refusal::RoomFull), "the hidden count");
    let serving: [fn(&mut Join); 4] = [
        |join| join.kind = ParticipantKind::Agent,
        |join| join.kind = ParticipantKind::Egress,
        |join| join.grants.recorder = true,
        |join| join.grants.agent = true,
    ];
    for (index, serve) in serving.into_iter().enumerate() {
        let mut join = wish(&format!("servant {index}"));
        serve(&mut join);
        assert!(house.join(join).is_ok(), "{index}");
    }
    let room = &house.calls.list_rooms(&[])[0];
    assert_eq!((room.num_participants, room.active_recording), (2, true));
}

#[test]
fn a_join_is_answered_with_the_room() {
    let region = "moon".to_owned();
    let config = Config { unix_start_ms: 1_700_000_000_000, region, ..Config::default() };
    let mut house = House::new(config);
    house.now_ms = 1234;
    let mut join = wish("ann");
    join.grants.can_update_own_metadata = Some(true);
    join.attributes = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "1".to_owned())].into();
    join.own_attributes =
        [("a".to_owned(), "2".to_owned()), ("b".to_owned(), String::new())].into();
    join.own_metadata = Some("mine".to_owned());
    let ann = house.join(join).expect("admitted");
    assert_eq!(ann.admission, Admission::New);
    assert_eq!(ann.participant.joined_at_ms, 1_700_000_001_234);
    assert_eq!(ann.participant.state, ParticipantState::Joined);
    assert_eq!(ann.participant.attributes["a"], "2");
    assert_eq!(ann.participant.attributes["b"], "1", "an empty value does not remove a key");
    assert_eq!(ann.participant.metadata, "mine");
    assert_eq!(ann.participant.region, "moon");
    assert_eq!(ann.room.num_participants, 1);
    assert!(ann.others.is_empty());
    assert_eq!(ann.sif_trailer.len(), 12);
    assert!(ann.participant.sid.to_string().starts_with("PA_"));

    let mut hidden = wish("eve");
    hidden.grants.hidden = true;
    let eve = house.join(hidden).expect("admitted");
    assert_eq!(eve.others.len(), 1);
    let bob = house.join(wish("bob")).expect("admitted");
    let identities: Vec<&str> = bob.others.iter().map(|p| p.identity.as_str()).collect();
    assert_eq!(identities, ["ann"]);
    assert_eq!((bob.shard, bob.sif_trailer), (ann.shard, ann.sif_trailer));
}

#[test]
fn a_publish_only_session_stands_beside_its_owner() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    let track = house.microphone(ann);
    let mut join = wish("ann");
    join.publish_only = Some("screen".to_owned());
    let screen = house.enter_as(join);
    let info = house.info(screen);
    assert_eq!(info.identity, "ann#screen");
    assert!(!info.permission.can_subscribe && info.permission.can_publish);
    let heard = house.heard(screen);
    assert!(crate::house::subscribed(&heard).is_empty(), "subscribed to {track}");
    assert!(house.calls.participant(ann).is_some());
}

#[test]
fn the_same_identity_replaces_the_old_session() {
    let mut house = House::new(Config::default());
    let watcher = house.enter("watcher");
    let mut old_client = wish("old client");
    old_client.client.protocol = 11;
    let old_client = house.enter_as(old_client);
    let first = house.enter("ann");
    let track = house.microphone(first);
    house.hush();

    let second = house.enter("ann");
    assert_ne!(first, second);
    let end = (DisconnectReason::DuplicateIdentity, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(first)), Some(end));
    assert!(!house.ask(first, Request::SignalClosed), "the old session is over");

    // Current clients see the new session at once, and take it for the end of the old one.
    let heard = house.heard(watcher);
    assert_eq!(crate::house::unsubscribed(&heard), [track]);
    let seen: Vec<_> = updates(&heard).iter().map(|p| (p.sid, p.state)).collect();
    assert_eq!(seen, [(second, ParticipantState::Joined)]);
    // Old ones must be told of both.
    let seen: Vec<_> = updates(&house.heard(old_client)).iter().map(|p| (p.sid, p.state)).collect();
    let ended = (first, ParticipantState::Disconnected);
    assert_eq!(seen, [ended, (second, ParticipantState::Joined)]);
}

#[test]
fn a_session_is_resumed_with_all_that_it_has() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let track = house.camera(bob);
    house.pass(10_000);
    assert!(house.ask(ann, Request::SignalClosed));
    let cid = house.enter("cid");
    house.ask(cid, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(20_000);
    house.hush();

    let mut join = wish("ann");
    join.reconnect = Some(Reconnect { sid: Some(ann) });
    let joined = house.join(join.clone()).expect("resumed");
    assert_eq!(joined.participant.sid, ann);
    assert_eq!(joined.participant.state, ParticipantState::Active);
    let Admission::Resumed { departed } = joined.admission else { panic!("new") };
    let departed: Vec<_> = departed.iter().map(|p| (p.sid, p.state)).collect();
    assert_eq!(departed, [(cid, ParticipantState::Disconnected)]);
    let others: Vec<_> = joined.others.iter().map(|p| p.sid).collect();
    assert_eq!(others, [bob]);
    let heard = house.heard(ann);
    assert!(matches!(heard[..], [Notice::RefreshToken(_)]), "{heard:?}");
    // Its subscription is still served.
    house.ask(bob, Request::MediaEnded { track });
    assert_eq!(crate::house::unsubscribed(&house.heard(ann)), [track]);

    join.reconnect = Some(Reconnect { sid: None });
    assert_eq!(house.join(join.clone()).map(|joined| joined.participant.sid), Ok(ann));
    join.reconnect = Some(Reconnect { sid: Some(bob) });
    assert_eq!(house.join(join).err(), Some(Refusal::StateMismatch));
}

#[test]
fn who_left_long_before_the_break_is_not_told_again() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let stay = house.enter("stay");
    house.ask(bob, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(3_001);
    house.ask(ann, Request::SignalClosed);
    let mut join = wish("ann");
    join.reconnect = Some(Reconnect { sid: Some(ann) });
    let joined = house.join(join).expect("resumed");
    assert_eq!(joined.admission, Admission::Resumed { departed: vec![] });
    assert_eq!(joined.others.iter().map(|p| p.sid).collect::<Vec<_>>(), [stay]);
}

#[test]
fn who_comes_back_before_others_heard_of_the_departure_is_one_switch() {
    let mut house = House::new(Config::default());
    let watcher = house.enter("watcher");
    let mut old_client = wish("old client");
    old_client.client.protocol = 9;
    let old_client = house.enter_as(old_client);
    let first = house.enter("ann");
    house.pass(5_000);
    house.ask(first, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.hush();
    let second = house.enter("ann");
    let now: Vec<_> = updates(&house.heard(watcher)).iter().map(|p| p.sid).collect();
    assert_eq!(now, [second]);
    let now: Vec<_> = updates(&house.heard(old_client)).iter().map(|p| p.sid).collect();
    assert_eq!(now, [first, second]);
}
