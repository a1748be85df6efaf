//! Messages of data channels between clients of a room on different shards.

use ringway_abi::call::{CallCommand, DataOpening, Text};
use ringway_abi::counters::Counter;
use ringway_proto::sctp::{Incoming, Label};
use ringway_shard::call::ShardLane;

use crate::data::{BOTH, chat, join, send, set, signed, take};
use crate::world::World;

/// Two shards; client 1 is on the first, 2 and 3 are on the second.
fn shards() -> [World; 2] {
    let mut worlds = [World::connected(1), World::connected(3)];
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
            assert_eq!(take(&mut there, key), [Incoming { label, payload: signed(chat(None), 1) }]);
        }
        send(&mut here, 1, label, &chat(Some("member3")));
        there.pass(20);
        assert_eq!((take(&mut there, 2).len(), take(&mut there, 3).len()), (0, 1));
        send(&mut there, 2, label, &chat(None));
        here.pass(20);
        assert_eq!(take(&mut here, 1), [Incoming { label, payload: signed(chat(None), 2) }]);
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
