//! Data tracks of rooms that several shards serve.

use std::ops::RangeInclusive;

use ringway_abi::call::CallCommand;
use ringway_abi::counters::Counter;
use ringway_abi::message::Refusal;
use ringway_proto::sctp::Label;
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::network::Path;
use ringway_sim::seeds::for_seeds;

const TRACK: u64 = 77;
/// Octets of a packet: some 260 fit into a lane.
const OCTETS: usize = 2_000;

/// A packet of a data track that says its number.
fn frame(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let mut packet = vec![0x18, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 9, high, low];
    packet.resize(OCTETS, 0);
    packet
}

/// Under which handle viewer `at` subscribes.
fn handle_of(at: usize) -> u16 {
    100 + at as u16
}

fn publish(meeting: &mut Meeting) {
    let transport = meeting.viewers[0].key;
    meeting.command(CallCommand::SetDataTrack { transport, handle: 1, track: TRACK });
}

fn subscribe(meeting: &mut Meeting, at: usize, track: u64) {
    let transport = meeting.viewers[at].key;
    let handle = handle_of(at);
    meeting.command(CallCommand::SetDataRoute { transport, handle, track, home: 0 });
}

/// The first one sends, a hundred packets in a second.
fn send(meeting: &mut Meeting, numbers: RangeInclusive<u16>) {
    meeting.run_ms(20);
    for number in numbers {
        assert!(meeting.say(0, Label::DataTrack, &frame(number)));
        meeting.run_ms(10);
    }
    meeting.run_ms(50);
}

/// The numbers that viewer `at` got since the last call.
fn take(meeting: &mut Meeting, at: usize) -> Vec<u16> {
    let messages = std::mem::take(&mut meeting.viewers[at].peer.messages);
    let numbers = messages.into_iter().map(|(_, message)| {
        assert_eq!((message.label, message.payload.len()), (Label::DataTrack, OCTETS));
        let [handle, number] =
            [2, 12].map(|at| u16::from_be_bytes([message.payload[at], message.payload[at + 1]]));
        assert_eq!(handle, handle_of(at));
        number
    });
    numbers.collect()
}

fn all(numbers: RangeInclusive<u16>) -> Vec<u16> {
    numbers.collect()
}

/// The publisher and a subscriber are on the first shard, two on the second, one on the third;
/// nobody subscribes yet.
fn spread(seed: u64) -> Meeting {
    let mut meeting = Meeting::spread(seed, Path::PERFECT, 3);
    for shard in [0, 0, 1, 1, 2] {
        meeting.shard = shard;
        meeting.add_viewer();
    }
    meeting.connect();
    (0..5).for_each(|at| meeting.open_data(at));
    meeting.run_ms(100);
    meeting
}

#[test]
fn packets_go_once_to_every_shard_that_has_subscribers() {
    for_seeds(4, |seed| {
        let mut meeting = spread(seed);
        // Which of both the shards hear of first is chance.
        if seed.is_multiple_of(2) {
            publish(&mut meeting);
        }
        (1..4).for_each(|at| subscribe(&mut meeting, at, TRACK));
        if !seed.is_multiple_of(2) {
            publish(&mut meeting);
        }
        let handed = |meeting: &Meeting| meeting.plane.counter(0, Counter::HandedOver);
        send(&mut meeting, 1..=50);
        for at in 1..4 {
            assert_eq!(take(&mut meeting, at), all(1..=50), "viewer {at}");
        }
        assert_eq!(handed(&meeting), 50, "one shard has subscribers, another has none");
        // One of the two goes, then the other one.
        subscribe(&mut meeting, 2, 0);
        send(&mut meeting, 51..=60);
        assert_eq!(take(&mut meeting, 3), all(51..=60));
        assert_eq!(handed(&meeting), 60);
        match seed < 2 {
            true => subscribe(&mut meeting, 3, 0),
            false => {
                let transport = meeting.viewers[3].key;
                meeting.command(CallCommand::CloseTransport { transport });
            }
        }
        subscribe(&mut meeting, 4, TRACK);
        send(&mut meeting, 61..=70);
        assert_eq!(handed(&meeting), 70, "now only the third has any");
        for (at, expect) in [(1, 51..=70), (4, 61..=70)] {
            assert_eq!(take(&mut meeting, at), all(expect), "viewer {at}");
        }
        for at in [0, 2, 3] {
            assert!(take(&mut meeting, at).is_empty(), "viewer {at}");
        }
        let transport = meeting.viewers[1].key;
        let far = CallCommand::SetDataRoute { transport, handle: 5, track: TRACK, home: 3 };
        assert_eq!(meeting.refused(far), Refusal::Invalid, "there is no such shard");
    });
}

#[test]
fn a_shard_that_stalls_loses_packets_of_its_own_subscribers_alone() {
    for_seeds(2, |seed| {
        let mut meeting = spread(seed);
        publish(&mut meeting);
        [1, 2, 4].into_iter().for_each(|at| subscribe(&mut meeting, at, TRACK));
        send(&mut meeting, 1..=10);
        meeting.plane.machines[1].stalled = true;
        // Its lane fills up, and later nobody hands it anything any more.
        send(&mut meeting, 11..=600);
        for at in [1, 4] {
            assert_eq!(take(&mut meeting, at), all(1..=600), "viewer {at}");
        }
        assert_eq!(take(&mut meeting, 2), all(1..=10));
        let lost = meeting.plane.counter(0, Counter::DropShardLane);
        assert!((90..=160).contains(&lost), "{lost}: four seconds, less what fits");
        meeting.plane.machines[1].stalled = false;
        meeting.run_ms(1500);
        take(&mut meeting, 2);
        send(&mut meeting, 601..=620);
        for at in [1, 2, 4] {
            assert_eq!(take(&mut meeting, at), all(601..=620), "viewer {at}");
        }
        assert_eq!(meeting.plane.counter(0, Counter::DropShardLane), lost);
    });
}
