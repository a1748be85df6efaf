//! The life of rooms and sessions in time.

use ringway_room::calls::*;
use ringway_room::placement::ROOM_SHARE;

use crate::house::{House, left, updates, wish};

fn create(name: &str, config: RoomConfig) -> CreateRoom {
    CreateRoom { name: name.to_owned(), config, ..CreateRoom::default() }
}

#[test]
fn an_empty_room_waits_and_a_left_one_goes_sooner() {
    let mut house = House::new(Config::default());
    house.calls.create_room(0, create("hall", RoomConfig::default())).expect("made");
    house.pass(299_999);
    assert_eq!(house.calls.counts().rooms, 1);
    house.pass(1);
    assert_eq!(house.calls.counts().rooms, 0);
    let ended = |fact: &Fact| matches!(fact, Fact::RoomFinished(_, RoomEndReason::IdleTimeout));
    assert_eq!(house.facts.iter().filter(|fact| ended(fact)).count(), 1);

    let ann = house.enter("ann");
    house.pass(1_000_000);
    let mut servant = wish("recorder");
    servant.grants.recorder = true;
    let servant = house.enter_as(servant);
    house.ask(ann, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(19_999);
    assert_eq!(house.calls.counts().rooms, 1);
    let back = house.enter("ann");
    house.pass(100_000);
    assert_eq!(house.calls.counts().rooms, 1, "somebody came in time");
    house.ask(back, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(20_000);
    assert_eq!(house.calls.counts(), CallCounts::default());
    let end = (DisconnectReason::RoomClosed, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(servant)), Some(end), "it served an empty room");
}

/// LiveKit asks one question for all three: does somebody only serve the room?
#[test]
fn the_hidden_keep_a_room_open_and_are_counted() {
    let check = |change: fn(&mut Join), stays: bool| {
        let mut house = House::new(Config { max_participants: 1, ..Config::default() });
        let mut first = wish("first");
        change(&mut first);
        let first = house.enter_as(first);
        let counted = house.calls.list_rooms(&[])[0].num_participants;
        assert_eq!(counted, u32::from(stays), "num_participants");
        let full = house.calls.validate(&wish("second")).err();
        assert_eq!(full, stays.then_some(Refusal::RoomFull), "max_participants");
        house.pass(1_000_000);
        assert_eq!(house.calls.counts().rooms, usize::from(stays), "what ends a room");
        house.ask(first, Request::Leave { reason: DisconnectReason::ClientInitiated });
        house.pass(19_999);
        assert_eq!(house.calls.counts().rooms, usize::from(stays));
        house.pass(1);
        assert_eq!(house.calls.counts().rooms, 0, "somebody was here, so it goes sooner");
    };
    check(|join| join.grants.hidden = true, true);
    check(|_| (), true);
    check(|join| (join.grants.hidden, join.grants.recorder) = (true, true), false);
    check(|join| join.grants.agent = true, false);
    check(|join| join.kind = ParticipantKind::Agent, false);
    check(|join| join.kind = ParticipantKind::Egress, false);
    check(|join| join.kind = ParticipantKind::Sip, true);
}

#[test]
fn rooms_are_configured_by_request_token_and_preset() {
    let mut config = Config::default();
    let preset = RoomConfig { max_participants: 7, empty_timeout_s: 9, ..RoomConfig::default() };
    config.presets.insert("small".to_owned(), preset);
    let mut house = House::new(config);
    let mut join = wish("ann");
    join.room_preset = "small".to_owned();
    join.room_config = Some(RoomConfig { max_participants: 3, ..RoomConfig::default() });
    let room = house.join(join).expect("admitted").room;
    assert_eq!((room.max_participants, room.empty_timeout_s), (3, 9));
    assert_eq!(room.departure_timeout_s, 20);

    let more = RoomConfig { departure_timeout_s: 5, ..RoomConfig::default() };
    let again = house.calls.create_room(0, create("hall", more)).expect("there");
    assert_eq!(again.sid, room.sid, "the same room");
    assert_eq!((again.departure_timeout_s, again.max_participants), (5, 3));
    let named = CreateRoom { preset: "none".to_owned(), ..create("x", RoomConfig::default()) };
    assert_eq!(house.calls.create_room(0, named).err(), Some(OperationError::PresetNotFound));
    let none = house.calls.create_room(0, create("", RoomConfig::default()));
    assert_eq!(none.err(), Some(OperationError::RoomNameEmpty));
    assert_eq!(house.calls.list_rooms(&["hall".to_owned(), "no".to_owned()]).len(), 1);
}

#[test]
fn a_least_playout_delay_is_enough() {
    let delays = |min, max| RoomConfig {
        min_playout_delay_ms: min,
        max_playout_delay_ms: max,
        ..RoomConfig::default()
    };
    let rows = [((0, 0), (0, 0)), ((100, 0), (100, 10_000)), ((0, 90), (0, 90)), ((1, 2), (1, 2))];
    for ((min, max), expect) in rows {
        let mut said = Config::default();
        (said.min_playout_delay_ms, said.max_playout_delay_ms) = (min, max);
        let room = |config, asked: RoomConfig| {
            let mut house = House::new(config);
            let room = house.calls.create_room(0, create("hall", asked)).expect("made");
            (room.min_playout_delay_ms, room.max_playout_delay_ms)
        };
        assert_eq!(room(said, RoomConfig::default()), expect, "by the operator");
        assert_eq!(room(Config::default(), delays(min, max)), expect, "by who makes the room");
    }
}

#[test]
fn a_deleted_room_ends_all_sessions() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    house.microphone(ann);
    house.hush();
    house.calls.delete_room(house.now_ms, "hall").expect("there");
    house.pump();
    let end = (DisconnectReason::RoomDeleted, LeaveAction::Disconnect);
    for sid in [ann, bob] {
        assert_eq!(left(&house.heard(sid)), Some(end));
    }
    assert_eq!(house.calls.counts(), CallCounts::default());
    let gone = house.calls.delete_room(house.now_ms, "hall");
    assert_eq!(gone, Err(OperationError::RoomNotFound));
    let kinds = house.facts.iter().map(|fact| match fact {
        Fact::ParticipantLeft(..) => "left",
        Fact::TrackUnpublished(..) => "unpublished",
        Fact::RoomFinished(_, RoomEndReason::ApiDelete) => "finished",
        _ => "other",
    });
    let kinds: Vec<&str> = kinds.collect();
    assert_eq!(kinds, ["unpublished", "left", "left", "finished"]);
    let again = house.enter("ann");
    assert_ne!(again, ann);
}

#[test]
fn who_never_connects_is_removed() {
    let mut house = House::new(Config::default());
    let watcher = house.enter("watcher");
    let ann = house.join(wish("ann")).expect("admitted").participant.sid;
    house.pass(59_999);
    assert!(house.calls.participant(ann).is_some());
    house.pass(1);
    let end = (DisconnectReason::JoinFailure, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(ann)), Some(end));
    assert!(matches!(house.facts.last(), Some(Fact::ParticipantAborted(..))));
    house.pass(3_000);
    assert!(house.calls.participant(watcher).is_some());
    // Who only signals is removed with its socket.
    let bob = house.join(wish("bob")).expect("admitted").participant.sid;
    house.ask(bob, Request::SignalClosed);
    let end = (DisconnectReason::SignalClose, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(bob)), Some(end));
}

#[test]
fn a_failed_connection_may_come_back() {
    let failed = Request::PeerConnection { primary: true, state: ConnectionState::Failed };
    let resume = |sid| {
        let mut join = wish("ann");
        join.reconnect = Some(Reconnect { sid: Some(sid) });
        join
    };
    let mut house = House::new(Config::default());
    house.enter("watcher");
    let ann = house.enter("ann");
    house.hush();
    house.ask(ann, failed.clone());
    assert_eq!(house.heard(ann), [Notice::CloseSignal]);
    house.ask(ann, Request::SignalClosed);
    house.pass(4_999);
    house.join(resume(ann)).expect("in time");
    house.pass(10_000);
    house.connect(ann);
    house.pass(60_000);
    assert!(house.calls.participant(ann).is_some());

    house.ask(ann, failed.clone());
    house.ask(ann, Request::SignalClosed);
    for _ in 0..2 {
        house.pass(2_000);
        house.join(resume(ann)).expect("in time");
        house.hush();
        house.pass(14_999);
        assert_eq!(house.heard(ann), []);
        house.pass(1);
        assert_eq!(house.heard(ann), [Notice::CloseSignal], "it resumed but did not connect");
        house.ask(ann, Request::SignalClosed);
    }
    house.join(resume(ann)).expect("in time");
    house.connect(ann);
    house.pass(60_000);
    assert!(house.calls.participant(ann).is_some());

    house.ask(ann, failed.clone());
    house.join(resume(ann)).expect("in time");
    house.ask(ann, Request::SignalClosed);
    house.pass(15_000);
    let end = (DisconnectReason::ConnectionTimeout, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(ann)), Some(end), "it resumed and went again");

    let ann = house.enter("ann");
    house.ask(ann, failed);
    house.pass(5_000);
    assert_eq!(left(&house.heard(ann)), Some(end));
    assert_eq!(house.join(resume(ann)).err(), Some(Refusal::StateMismatch));
}

#[test]
fn who_closes_its_media_may_still_say_why_it_goes() {
    let closed = Request::PeerConnection { primary: true, state: ConnectionState::Closed };
    let mut house = House::new(Config::default());
    let [ann, bob, cid] = ["ann", "bob", "cid"].map(|identity| house.enter(identity));
    house.hush();
    // LiveKit's Rust SDK closes its connections and then leaves.
    house.ask(ann, closed.clone());
    house.ask(ann, closed.clone());
    assert_eq!(house.heard(ann), []);
    house.ask(ann, Request::Leave { reason: DisconnectReason::ClientInitiated });
    let end = (DisconnectReason::ClientInitiated, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(ann)), Some(end));
    // Who says nothing is told to come back, and removed where that cannot be told.
    house.ask(bob, closed.clone());
    house.ask(cid, closed);
    house.ask(cid, Request::SignalClosed);
    house.pass(4_999);
    assert!(house.calls.participant(cid).is_some());
    house.pass(1);
    assert_eq!(house.calls.participant(cid), None);
    assert!(house.heard(bob).contains(&Notice::CloseSignal));
    house.pass(5_000);
    let end = (DisconnectReason::ConnectionTimeout, LeaveAction::Disconnect);
    assert_eq!(left(&house.heard(bob)), Some(end));
}

#[test]
fn a_lost_data_plane_sends_everybody_back_in() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    house.microphone(ann);
    let room = house.calls.list_rooms(&[])[0].sid;
    house.hush();
    house.calls.handle_plane_lost(house.now_ms);
    house.pump();
    for sid in [ann, bob] {
        let end = (DisconnectReason::MediaFailure, LeaveAction::Reconnect);
        assert_eq!(left(&house.heard(sid)), Some(end));
    }
    house.calls.handle_plane_joined(house.now_ms, 1);
    let joined = house.join(wish("ann")).expect("admitted");
    assert_eq!((joined.room.sid, joined.shard), (room, 0), "the room is still there");
    assert_eq!(joined.room.num_participants, 1);
    assert_eq!(house.calls.counts().tracks, 0);
}

#[test]
fn rooms_are_spread_over_shards() {
    let mut house = House::new(Config::default());
    let join = |house: &mut House, room: &str, identity: &str| {
        let mut join = wish(identity);
        join.room = room.to_owned();
        join.grants.room.clear();
        house.join(join).expect("admitted").shard
    };
    assert_eq!(join(&mut house, "a", "1"), 0);
    assert_eq!(join(&mut house, "a", "2"), 0);
    assert_eq!(join(&mut house, "b", "1"), 1);
    assert_eq!(join(&mut house, "a", "3"), 0, "a room stays where it is");
    house.calls.handle_loads(&[100, 900]);
    assert_eq!(join(&mut house, "c", "1"), 0);
    let pinned = CreateRoom { shard: Some(1), ..create("d", RoomConfig::default()) };
    house.calls.create_room(0, pinned).expect("made");
    assert_eq!(join(&mut house, "d", "1"), 1);
    let absent = CreateRoom { shard: Some(2), ..create("e", RoomConfig::default()) };
    assert_eq!(house.calls.create_room(0, absent).err(), Some(OperationError::Unavailable));
}

#[test]
fn a_large_room_goes_on_on_another_shard() {
    let mut house = House::new(Config::default());
    let of = |house: &mut House, at: u32| house.join(wish(&format!("p{at}"))).expect("admitted");
    let shards: Vec<u16> = (0..ROOM_SHARE + 3).map(|at| of(&mut house, at).shard).collect();
    let count = |shard| shards.iter().filter(|at| **at == shard).count() as u32;
    assert_eq!((count(0), count(1)), (ROOM_SHARE, 3));
    // Whoever resumes stays where it is; a busy shard gets nobody new.
    house.calls.handle_loads(&[100, 900]);
    let mut resumed = wish(&format!("p{ROOM_SHARE}"));
    resumed.reconnect = Some(Reconnect { sid: None });
    assert_eq!(house.join(resumed).expect("resumed").shard, 1);
    assert_eq!(of(&mut house, 1000).shard, 0);
}

fn tokens(heard: Vec<Notice>) -> Vec<TokenClaims> {
    let claims = |notice| match notice {
        Notice::RefreshToken(claims) => Some(*claims),
        _ => None,
    };
    heard.into_iter().filter_map(claims).collect()
}

#[test]
fn a_fresh_token_lasts_as_long_as_the_first_one_and_makes_the_same_room() {
    let unix_s = 1_700_000_000;
    let large = RoomConfig { max_participants: 100, ..RoomConfig::default() };
    let mut house = House::new(Config {
        unix_start_ms: unix_s * 1000,
        presets: [("large".to_owned(), large)].into(),
        ..Config::default()
    });
    let mut join = wish("ann");
    join.room_config = Some(RoomConfig { metadata: "m".to_owned(), ..RoomConfig::default() });
    join.room_preset = "large".to_owned();
    join.token_expires_s = unix_s + 1_000;
    let (config, preset) = (join.room_config.clone(), join.room_preset.clone());
    let ann = house.enter_as(join);
    let first = tokens(house.heard(ann));
    assert_eq!(first[0].ttl_s, 1_000);
    assert_eq!((&first[0].room_config, &first[0].room_preset), (&config, &preset));
    house.pass(300_000);
    assert_eq!(tokens(house.heard(ann))[0].ttl_s, 700);
    // Resuming with a token of ours moves nothing.
    let mut again = wish("ann");
    again.reconnect = Some(Reconnect { sid: Some(ann) });
    again.token_expires_s = unix_s + 900;
    house.join(again).expect("resumed");
    assert_eq!(tokens(house.heard(ann))[0].ttl_s, 700);
    house.pass(3_000_000);
    assert!(tokens(house.heard(ann)).iter().all(|token| token.ttl_s == 600));
}

#[test]
fn tokens_are_refreshed() {
    let mut house = House::new(Config::default());
    let mut join = wish("ann");
    join.metadata = "m".to_owned();
    join.grants.can_publish = Some(false);
    let ann = house.enter_as(join);
    let first = tokens(house.heard(ann));
    assert_eq!(first.len(), 1, "with the join");
    assert_eq!((&*first[0].identity, &*first[0].metadata), ("ann", "m"));
    let grants = &first[0].grants;
    assert!(grants.room_join && grants.room == "hall" && grants.can_publish == Some(false));
    assert_eq!((grants.can_publish_data, first[0].ttl_s), (Some(false), 600));
    assert_eq!((&first[0].room_config, &*first[0].room_preset), (&None, ""));
    house.pass(300_000);
    assert_eq!(tokens(house.heard(ann)).len(), 1);
    house.pass(3_000_000);
    assert_eq!(tokens(house.heard(ann)).len(), 10);
    house.ask(ann, Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(3_000_000);
    assert!(tokens(house.heard(ann)).is_empty());
    assert_eq!(house.calls.deadline(), None, "nothing is left behind");
}

#[test]
fn counts_are_told_every_five_seconds_and_metadata_at_once() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    house.pass(10_000);
    house.hush();
    let rooms = |heard: Vec<Notice>| -> Vec<(u32, String)> {
        let room = |notice| match notice {
            Notice::RoomUpdate(room) => Some((room.num_participants, room.metadata.clone())),
            _ => None,
        };
        heard.into_iter().filter_map(room).collect()
    };
    for index in 0..3 {
        house.enter(&format!("guest {index}"));
        house.pass(1_000);
    }
    assert!(rooms(house.heard(ann)).is_empty());
    house.pass(5_000);
    assert_eq!(rooms(house.heard(ann)), [(4, String::new())]);
    house.pass(20_000);
    assert!(rooms(house.heard(ann)).is_empty(), "only when something changed");
    let now_ms = house.now_ms;
    house.calls.update_room_metadata(now_ms, "hall", "news".to_owned()).expect("there");
    house.pump();
    assert_eq!(rooms(house.heard(ann)), [(4, "news".to_owned())]);
    let large = "m".repeat(600_000);
    let refused = house.calls.update_room_metadata(now_ms, "hall", large).err();
    assert_eq!(refused, Some(OperationError::MetadataTooLarge));
    let mut recorder = wish("recorder");
    recorder.kind = ParticipantKind::Egress;
    house.enter_as(recorder);
    assert_eq!(rooms(house.heard(ann)).len(), 1, "a recording is told at once");
}

#[test]
fn those_who_do_not_publish_are_told_in_batches() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    house.pass(10_000);
    house.hush();
    let guests: Vec<_> = (0..5).map(|index| house.enter(&format!("guest {index}"))).collect();
    house.ask(guests[0], Request::Leave { reason: DisconnectReason::ClientInitiated });
    house.pass(2_999);
    assert!(updates(&house.heard(ann)).is_empty());
    house.pass(1);
    let heard = house.heard(ann);
    let lists = heard.iter().filter(|n| matches!(n, Notice::ParticipantUpdate(_))).count();
    assert_eq!(lists, 1, "one message");
    let states: Vec<_> = updates(&heard).iter().map(|p| p.state).collect();
    let active = ParticipantState::Active;
    assert_eq!(states, [ParticipantState::Disconnected, active, active, active, active]);
    house.microphone(guests[1]);
    assert_eq!(updates(&house.heard(ann)).len(), 1, "publishers are told at once");
}

#[test]
fn large_batches_go_in_pieces() {
    let mut house = House::new(Config { update_batch_bytes: 3_000, ..Config::default() });
    let ann = house.enter("ann");
    house.pass(10_000);
    house.hush();
    for index in 0..10 {
        let mut join = wish(&format!("guest {index}"));
        join.metadata = "m".repeat(1_000);
        house.enter_as(join);
    }
    house.pass(3_000);
    let heard = house.heard(ann);
    assert_eq!(updates(&heard).len(), 10);
    assert_eq!(heard.iter().filter(|n| matches!(n, Notice::ParticipantUpdate(_))).count(), 5);
}

#[test]
fn a_stopping_server_says_so() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    house.calls.shut_down(house.now_ms);
    house.pump();
    let end = (DisconnectReason::ServerShutdown, LeaveAction::Reconnect);
    assert_eq!(left(&house.heard(ann)), Some(end));
    assert_eq!(house.calls.counts(), CallCounts::default());
}
