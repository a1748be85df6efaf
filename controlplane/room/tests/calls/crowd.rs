//! Large rooms: the cost of one event does not grow with the square of the people.

use ringway_room::calls::*;

use crate::house::{House, camera, wish};

const PEOPLE: usize = 200;

#[test]
fn two_hundred_come_into_a_room_of_two_hundred() {
    let mut house = House::new(Config::default());
    let mut quiet = Vec::new();
    for index in 0..PEOPLE {
        quiet.push(house.enter(&format!("early {index}")));
    }
    house.pass(10_000);
    house.hush();
    for index in 0..PEOPLE {
        house.enter(&format!("late {index}"));
        house.pass(10);
    }
    house.pass(10_000);
    // Per newcomer a token, a fact and its quality; per 3 s one batch; per 5 s one room update.
    assert!(house.effects <= 3 * PEOPLE + 8, "{}", house.effects);
    let heard = house.heard(quiet[0]);
    assert!(heard.len() <= 6, "{}", heard.len());
    let shared = |notice: &Notice| match notice {
        Notice::ParticipantUpdate(list) => Some(std::sync::Arc::as_ptr(list)),
        _ => None,
    };
    let first = heard.iter().find_map(shared);
    let other = house.heard(quiet[1]).iter().find_map(shared);
    assert_eq!(first, other, "all are told the same list: it is encoded once");
}

#[test]
fn a_publisher_in_a_crowd_costs_two_messages_each() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    for index in 0..PEOPLE {
        house.enter(&format!("guest {index}"));
    }
    house.pass(10_000);
    let track = house.camera(ann);
    // `announce` forgot what was told before: an update to all, a verdict, a subscription and how ann
    // is connected to each, a fact.
    assert!(house.effects <= 2 * PEOPLE + 4, "{}", house.effects);
    house.hush();
    house.ask(ann, Request::SetMuted { track, muted: true });
    assert!(house.effects <= 2, "{}", house.effects);
    house.hush();
    house.ask(ann, Request::MediaEnded { track });
    assert!(house.effects <= 5, "{}", house.effects);
    house.hush();
    house.calls.delete_room(house.now_ms, "hall").expect("there");
    house.pump();
    assert!(house.effects <= 2 * (PEOPLE + 1) + 1, "{}", house.effects);
}

#[test]
fn everybody_publishes_to_everybody() {
    let mut house = House::new(Config::default());
    let people: Vec<_> = (0..40).map(|index| house.enter(&format!("p{index}"))).collect();
    for sid in &people {
        house.publish(*sid, camera("cam"));
    }
    let full = people.len() * (people.len() - 1);
    assert_eq!(house.calls.counts().subscriptions, full);
    let mut join = wish("p0");
    join.adaptive_stream = true;
    house.enter_as(join);
    let one_fewer_publisher = (people.len() - 1) * (people.len() - 1);
    assert_eq!(house.calls.counts().subscriptions, one_fewer_publisher);
    for sid in &people[1..] {
        house.ask(*sid, Request::Leave { reason: DisconnectReason::ClientInitiated });
    }
    assert_eq!(house.calls.counts().subscriptions, 0);
    assert_eq!(house.calls.counts().participants, 1);
}
