//! Messages of data channels, and data tracks, between clients of a room on different shards.

use ringway_abi::call::{CallCommand, DataOpening, Text};
use ringway_abi::counters::Counter;
use ringway_proto::sctp::{Incoming, Label};
use ringway_shard::call::ShardLane;

use crate::data::{BOTH, chat, frame, halt, join, pages, passed, push_to, send, set, take};
use crate::world::World;

/// Two shards; client 1 is on the first, 2 and 3 are on the second.
fn shards() -> [World; 2] {
    shards_of(1)
}

/// The same, where so many clients of the first shard are connected.
fn shards_of(clients: u64) -> [World; 2] {
    let mut worlds = [World::connected(clients), World::connected(3)];
    let (a, b) = ShardLane::pair();
    worlds[0].calls.join_shards(0, vec![None, Some(a)]);
    worlds[1].calls.join_shards(1, vec![Some(b), None]);
    let [here, there] = &mut worlds;
    join(here, 1, BOTH, DataOpening::Client);
    join(there, 2, BOTH, DataOpening::Client);
    join(there, 3, BOTH, DataOpening::Client);
    here.pass(5);
    worlds
}

#[test]
fn everybody_or_whom_it_names_gets_it_on_the_other_shard_too() {
    let [mut here, mut there] = shards();
    for label in [Label::Reliable, Label::Lossy] {
        send(&mut here, 1, label, &chat(None));
        there.pass(20);
        for key in [2, 3] {
            let payload = passed(label, chat(None), 1);
            assert_eq!(take(&mut there, key), [Incoming { label, payload }]);
        }
        send(&mut here, 1, label, &chat(Some("member3")));
        there.pass(20);
        assert_eq!((take(&mut there, 2).len(), take(&mut there, 3).len()), (0, 1));
        send(&mut there, 2, label, &chat(None));
        here.pass(20);
        let payload = passed(label, chat(None), 2);
        assert_eq!(take(&mut here, 1), [Incoming { label, payload }]);
        assert_eq!((take(&mut there, 2).len(), take(&mut there, 3).len()), (0, 1));
    }
    assert_eq!(here.counters.get(Counter::DataReceived), 4, "each counts where it comes in");
    assert_eq!(there.counters.get(Counter::DataReceived), 2);
}

#[test]
fn who_comes_back_gets_what_came_from_the_other_shard() {
    let [mut here, mut there] = shards();
    for sequence in [1, 2, 3] {
        let mut message = chat(None);
        message.extend([0x80, 1, sequence]);
        send(&mut here, 1, Label::Reliable, &message);
        there.pass(20);
    }
    assert_eq!(take(&mut there, 2).len(), 3);
    let publisher = Text::new(b"PA_1").expect("short");
    there.ask(CallCommand::ReplayData { transport: 2, publisher, after: 1 });
    there.pass(20);
    assert_eq!(take(&mut there, 2).len(), 2);
}

/// Client 1 of the first shard sends, and 10 ms pass on both.
fn push(worlds: &mut [World; 2], to: Option<&str>, pages: &mut std::ops::Range<u16>) {
    push_to(&mut worlds[0], to, pages);
    worlds.iter_mut().for_each(|world| world.pass(10));
}

#[test]
fn who_sends_to_one_that_is_slow_on_another_shard_waits_and_nothing_is_lost() {
    let mut worlds = shards();
    let (mut rest, mut got) = (0..20_000, Vec::new());
    halt(&mut worlds[1], 3, true);
    (0..100).for_each(|_| push(&mut worlds, Some("member3"), &mut rest));
    let received = worlds[0].counters.get(Counter::DataReceived);
    assert!((4_000..6_000).contains(&received), "{received} wait there, the rest with the sender");
    assert!(worlds[0].counters.get(Counter::DataHeld) > 0 && rest.start < 15_000, "{rest:?}");
    let end_ns = worlds[1].now.mono_ns + 120_000_000_000;
    while got.len() < 20_000 && worlds[1].now.mono_ns < end_ns {
        halt(&mut worlds[1], 3, false);
        push(&mut worlds, Some("member3"), &mut rest);
        halt(&mut worlds[1], 3, true);
        got.extend(pages(&mut worlds[1], 3));
    }
    assert!(got.iter().copied().eq(0..20_000), "{}", got.len());
    let lost = |world: &World| world.counters.get(Counter::DataSlow);
    assert_eq!(worlds.each_ref().map(lost), [0, 0]);
}

#[test]
fn nobody_waits_for_another_shard_where_somebody_keeps_up() {
    // On the other shard itself, and on the sender's.
    for here in [false, true] {
        let mut worlds = shards_of(4);
        let (fast, slow) = if here { ((0, 4), [2, 3]) } else { ((1, 2), [3, 3]) };
        if here {
            join(&mut worlds[0], 4, BOTH, DataOpening::Client);
        }
        slow.iter().for_each(|key| halt(&mut worlds[1], *key, true));
        let mut rest = 0..8_000;
        (0..400).for_each(|_| push(&mut worlds, None, &mut rest));
        assert_eq!(rest.start, 8_000, "{here}");
        assert!(pages(&mut worlds[fast.0], fast.1).into_iter().eq(0..8_000), "{here}");
    }
}

#[test]
fn a_shard_without_members_hears_nothing_and_a_full_lane_is_counted() {
    let [mut here, mut there] = shards();
    for key in [2, 3] {
        there.ask(CallCommand::CloseTransport { transport: key });
    }
    there.pass(5);
    send(&mut here, 1, Label::Lossy, &chat(None));
    assert!(!here.calls.take_shard_touched(2), "there is no such shard");
    here.calls.take_shard_touched(1);
    send(&mut here, 1, Label::Lossy, &chat(None));
    assert!(!here.calls.take_shard_touched(1), "nobody is there");
    // The first newcomer is heard of, and then the shard stands still.
    set(1, BOTH, DataOpening::Client).into_iter().for_each(|command| there.ask(command));
    here.pass(5);
    for _ in 0..1_100 {
        send(&mut here, 1, Label::Lossy, &chat(None));
    }
    assert!((70..=100).contains(&here.counters.get(Counter::DataSlow)));
}

/// Client `transport` of the second shard gets a data track of the first, or none.
fn route(transport: u64, handle: u16, track: u64) -> CallCommand {
    CallCommand::SetDataRoute { transport, handle, track, home: 0 }
}

#[test]
fn a_data_track_goes_to_the_other_shard_while_somebody_there_subscribes() {
    let [mut here, mut there] = shards();
    let track = 77;
    let publish = |handle| CallCommand::SetDataTrack { transport: 1, handle, track };
    here.ask(publish(1));
    here.calls.take_shard_touched(1);
    send(&mut here, 1, Label::DataTrack, &frame(1, b"nobody"));
    assert!(!here.calls.take_shard_touched(1), "nobody subscribes");
    there.ask(route(2, 5, track));
    there.ask(route(3, 6, track));
    here.pass(5);
    send(&mut here, 1, Label::DataTrack, &frame(1, b"one"));
    there.pass(20);
    for (key, handle) in [(2, 5), (3, 6)] {
        let payload = frame(handle, b"one");
        assert_eq!(take(&mut there, key), [Incoming { label: Label::DataTrack, payload }]);
    }
    assert_eq!(here.counters.get(Counter::HandedOver), 1, "once, however many there are");
    there.ask(route(2, 5, 0));
    here.pass(5);
    send(&mut here, 1, Label::DataTrack, &frame(1, b"two"));
    there.pass(20);
    assert_eq!((take(&mut there, 2).len(), take(&mut there, 3).len()), (0, 1));
    there.ask(CallCommand::CloseTransport { transport: 3 });
    here.pass(5);
    here.calls.take_shard_touched(1);
    send(&mut here, 1, Label::DataTrack, &frame(1, b"three"));
    assert!(!here.calls.take_shard_touched(1), "nobody subscribes any more");
    assert_eq!(here.counters.get(Counter::HandedOver), 2);
}

#[test]
fn packets_of_data_tracks_that_find_no_room_in_the_lane_are_lost_to_that_shard_alone() {
    let [mut here, mut there] = shards();
    let track = 77;
    // The wish may be older than what it is for.
    there.ask(route(2, 5, track));
    here.pass(5);
    here.ask(CallCommand::SetDataTrack { transport: 1, handle: 1, track });
    let long = frame(1, &[7; 8_000 - 12]);
    for _ in 0..100 {
        send(&mut here, 1, Label::DataTrack, &long);
    }
    // 512 KiB for 800 kB.
    assert_eq!(here.counters.get(Counter::DropShardLane), 100 - 65);
    // Who says nothing for four seconds gets nothing, until it says again what it wants.
    here.pass(4_000);
    here.calls.take_shard_touched(1);
    send(&mut here, 1, Label::DataTrack, &frame(1, b"nobody"));
    assert!(!here.calls.take_shard_touched(1));
    // What waits is for nobody any more.
    there.ask(route(2, 5, 0));
    there.pass(20);
    assert_eq!(take(&mut there, 2), []);
    there.ask(route(2, 5, track));
    there.pass(1_000);
    here.pass(5);
    send(&mut here, 1, Label::DataTrack, &frame(1, b"again"));
    there.pass(20);
    let payload = frame(5, b"again");
    assert_eq!(take(&mut there, 2), [Incoming { label: Label::DataTrack, payload }]);
}
