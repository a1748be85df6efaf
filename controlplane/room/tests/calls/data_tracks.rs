//! Data tracks: what is refused, who is told, who receives.

use std::sync::Arc;

use ringway_room::calls::*;

use crate::house::{House, wish};

fn track(handle: u32, name: &str) -> PublishDataTrack {
    PublishDataTrack {
        handle,
        name: name.to_owned(),
        encryption: Encryption::None,
        frame_encoding: None,
        schema: None,
    }
}

fn publish(house: &mut House, from: ParticipantSid, track: PublishDataTrack) -> Vec<Notice> {
    house.hush();
    house.ask(from, Request::PublishDataTrack(Box::new(track)));
    house.heard(from)
}

fn published(heard: &[Notice]) -> DataTrackSid {
    let found = heard.iter().find_map(|notice| match notice {
        Notice::DataTrackPublished(track) => Some(track.sid),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("not published: {heard:?}"))
}

/// What a subscriber was told to receive last; `None` if it was told nothing.
fn handles(heard: &[Notice]) -> Option<Vec<(u16, DataTrackSid)>> {
    let told = heard.iter().rev().find_map(|notice| match notice {
        Notice::DataTrackHandles(all) => Some(Arc::clone(all)),
        _ => None,
    })?;
    Some(told.iter().map(|one| (one.handle, one.track)).collect())
}

fn subscription(track: DataTrackSid, subscribe: bool) -> Request {
    Request::UpdateDataSubscription { updates: vec![(track, subscribe)] }
}

#[test]
fn a_track_that_is_not_valid_is_refused_with_its_reason() {
    let mut house = House::new(Config::default());
    let mut silent = wish("silent");
    silent.grants.can_publish_data = Some(false);
    let (ann, silent) = (house.enter("ann"), house.enter_as(silent));
    published(&publish(&mut house, ann, track(1, "a")));
    let mut check = |from, wish: PublishDataTrack, expect: RequestReason| {
        let heard = publish(&mut house, from, wish.clone());
        let asked = Asked::PublishDataTrack(Box::new(wish.clone()));
        let [Notice::RequestResponse { reason, asked: echo, .. }] = &heard[..] else {
            panic!("{wish:?}: {heard:?}");
        };
        assert_eq!((*reason, echo), (expect, &asked));
    };
    check(silent, track(1, "a"), RequestReason::NotAllowed);
    check(ann, track(0, "b"), RequestReason::InvalidHandle);
    check(ann, track(65_536, "b"), RequestReason::InvalidHandle);
    check(ann, track(2, ""), RequestReason::InvalidName);
    check(ann, track(2, &"b".repeat(257)), RequestReason::InvalidName);
    check(ann, track(1, "b"), RequestReason::DuplicateHandle);
    check(ann, track(2, "a"), RequestReason::DuplicateName);
    let custom = |name: &str| Some(DataEncoding::Custom(name.to_owned()));
    let encoded = |name: &str| PublishDataTrack { frame_encoding: custom(name), ..track(2, "b") };
    check(ann, encoded(""), RequestReason::InvalidRequest);
    check(ann, encoded(&"x".repeat(33)), RequestReason::InvalidRequest);
    let schema = Some(DataSchema { name: String::new(), encoding: None });
    check(ann, PublishDataTrack { schema, ..track(2, "b") }, RequestReason::InvalidRequest);
    published(&publish(&mut house, ann, encoded("cbor")));
    for handle in 3..=256 {
        published(&publish(&mut house, ann, track(handle, &format!("n{handle}"))));
    }
    let mut check = |from, wish: PublishDataTrack| publish(&mut house, from, wish);
    let heard = check(ann, track(257, "too many"));
    assert!(matches!(heard[..], [Notice::RequestResponse { .. }]), "{heard:?}");
    house.ask(ann, Request::UnpublishDataTrack { handle: 999 });
    let reason_of = |notice: &Notice| match notice {
        Notice::RequestResponse { reason, .. } => Some(*reason),
        _ => None,
    };
    assert_eq!(house.heard(ann).iter().find_map(reason_of), Some(RequestReason::NotFound));
}

#[test]
fn none_is_published_where_they_are_off() {
    let mut house = House::new(Config { data_tracks: false, ..Config::default() });
    let ann = house.enter("ann");
    let heard = publish(&mut house, ann, track(1, "a"));
    let [Notice::RequestResponse { reason: RequestReason::NotAllowed, .. }] = heard[..] else {
        panic!("{heard:?}");
    };
}

#[test]
fn everybody_hears_of_it_and_who_asks_receives_it() {
    let mut house = House::new(Config::default());
    let mut eager = wish("eager");
    eager.auto_subscribe_data = true;
    let (ann, bob, eager) = (house.enter("ann"), house.enter("bob"), house.enter_as(eager));
    let sid = published(&publish(&mut house, ann, track(7, "place")));
    let heard = house.heard(bob);
    let [Notice::ParticipantUpdate(update), ..] = &heard[..] else { panic!("{heard:?}") };
    assert!(update[0].is_publisher && update[0].data_tracks[0].name == "place");
    assert_eq!(handles(&heard), None);
    assert_eq!(handles(&house.heard(eager)), Some(vec![(1, sid)]));
    house.ask(bob, subscription(sid, true));
    house.ask(bob, subscription(sid, true));
    let heard = house.heard(bob);
    // That it may, and what it gets.
    assert_eq!((heard.len(), handles(&heard)), (2, Some(vec![(1, sid)])));
    // Nobody receives its own.
    house.ask(ann, subscription(sid, true));
    assert_eq!(handles(&house.heard(ann)), None);
    house.ask(bob, subscription(sid, false));
    assert_eq!(handles(&house.heard(bob)), Some(vec![]));
    house.ask(bob, subscription(sid, true));
    assert_eq!(handles(&house.heard(bob)), Some(vec![(2, sid)]), "handles are not used again soon");
    // Who comes later and wants everything gets it once its media is up.
    let mut late = wish("late");
    late.auto_subscribe_data = true;
    let late = house.enter_as(late);
    assert_eq!(handles(&house.heard(late)), Some(vec![(1, sid)]));
    house.hush();
    house.ask(ann, Request::UnpublishDataTrack { handle: 7 });
    assert!(matches!(house.heard(ann)[0], Notice::DataTrackUnpublished(_)));
    for subscriber in [bob, late, eager] {
        assert_eq!(handles(&house.heard(subscriber)), Some(vec![]));
    }
    assert!(!house.info(ann).is_publisher);
}

#[test]
fn permissions_begin_and_end_it() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let sid = published(&publish(&mut house, ann, track(7, "place")));
    let told = |allowed| Notice::DataPermissionUpdate { publisher: ann, track: sid, allowed };
    house.ask(bob, subscription(sid, true));
    assert!(house.heard(bob).contains(&told(true)), "the first verdict is told");
    house.hush();
    let only =
        |permissions| Request::SubscriptionPermission { all_participants: false, permissions };
    house.ask(ann, only(vec![]));
    let heard = house.heard(bob);
    assert_eq!((heard.contains(&told(false)), handles(&heard)), (true, Some(vec![])));
    let bobs = TrackPermission {
        identity: "bob".to_owned(),
        data_tracks: vec![sid],
        ..TrackPermission::default()
    };
    house.ask(ann, only(vec![bobs]));
    let heard = house.heard(bob);
    assert_eq!((heard.contains(&told(true)), handles(&heard)), (true, Some(vec![(2, sid)])));
    let mut change = |who: &str, change: fn(&mut Permission)| {
        let mut permission =
            house.calls.get_participant("hall", who).expect("is there").permission.clone();
        change(&mut permission);
        let permission = Some(permission);
        let update = UpdateParticipant { permission, ..UpdateParticipant::default() };
        house.calls.update_participant(house.now_ms, "hall", who, update).expect("changed");
        house.pump();
        (handles(&house.heard(bob)), house.heard(ann))
    };
    assert_eq!(change("bob", |p| p.can_subscribe = false).0, Some(vec![]));
    assert_eq!(change("bob", |p| p.can_subscribe = true).0, Some(vec![(3, sid)]));
    let (bobs, anns) = change("ann", |p| p.can_publish_data = false);
    assert_eq!(bobs, Some(vec![]));
    assert!(anns.iter().any(|notice| matches!(notice, Notice::DataTrackUnpublished(_))));
}

#[test]
fn who_leaves_takes_its_tracks_along() {
    let mut house = House::new(Config::default());
    let (ann, bob) = (house.enter("ann"), house.enter("bob"));
    let sid = published(&publish(&mut house, ann, track(7, "place")));
    house.ask(bob, subscription(sid, true));
    house.hush();
    house.ask(ann, Request::Leave { reason: DisconnectReason::ClientInitiated });
    assert_eq!(handles(&house.heard(bob)), Some(vec![]));
    house.ask(bob, subscription(sid, true));
    assert_eq!(handles(&house.heard(bob)), None);
    let rooms = house.calls.list_rooms(&[]);
    assert_eq!((rooms[0].num_participants, rooms[0].num_publishers), (1, 0));
}

#[test]
fn who_receives_one_is_told_where_it_comes_in() {
    let mut house = House::new(Config { participants_per_shard: 1, ..Config::default() });
    let joined = ["ann", "bob"].map(|identity| house.join(wish(identity)).expect("admitted"));
    let [ann, bob] = joined.each_ref().map(|joined| joined.participant.sid);
    [ann, bob].into_iter().for_each(|sid| house.connect(sid));
    assert_ne!(joined[0].shard, joined[1].shard, "the room is on both");
    for (from, to, shard) in [(ann, bob, joined[0].shard), (bob, ann, joined[1].shard)] {
        let sid = published(&publish(&mut house, from, track(7, "place")));
        house.ask(to, subscription(sid, true));
        let heard = house.heard(to);
        let told = heard.iter().find_map(|notice| match notice {
            Notice::DataTrackHandles(all) => Some((all[0].publisher, all[0].shard)),
            _ => None,
        });
        assert_eq!(told, Some((from, shard)));
    }
}
