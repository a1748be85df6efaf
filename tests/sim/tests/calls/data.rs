//! Data channels over bad paths, with peers that misbehave, and through a change of networks.

use ringway_abi::counters::Counter;
use ringway_proto::sctp::Label;
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::network::Path;
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;

/// A field of Protobuf with bytes.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(value);
    out
}

/// A line of chat that says its number, with the number as LiveKit's clients give it.
fn numbered(number: u16, bytes: usize) -> Vec<u8> {
    let mut text = number.to_be_bytes().to_vec();
    text.resize(bytes.max(2), 0);
    let mut message = field(9, &text);
    message.extend([
        0x80,
        1,
        number as u8 | 0x80,
        (number >> 7) as u8 | 0x80,
        (number >> 14) as u8,
    ]);
    message
}

/// Whose messages viewer `at` got, which number they had, and when.
fn heard(meeting: &Meeting, at: usize) -> Vec<(usize, u16, u64)> {
    let messages = meeting.viewers[at].peer.messages.iter();
    let read = messages.map(|(at_ms, message)| {
        let bytes = &message.payload;
        let from = (0..9).find(|from| bytes.ends_with(&field_of_sid(*from)));
        let start = bytes.iter().skip(1).position(|byte| byte & 0x80 == 0).expect("a length") + 2;
        let number = u16::from_be_bytes([bytes[start], bytes[start + 1]]);
        (from.expect("a sender"), number, *at_ms)
    });
    read.collect()
}

fn field_of_sid(of: usize) -> Vec<u8> {
    [&[0x8a, 1, 4][..], format!("PA_{of}").as_bytes()].concat()
}

fn talking(seed: u64, path: Path, people: usize) -> Meeting {
    let mut meeting = Meeting::new(seed, path);
    for _ in 0..people {
        meeting.add_viewer();
    }
    meeting.connect();
    (0..people).for_each(|at| meeting.open_data(at));
    meeting
}

/// Everybody got all that each other one said, once and in order.
fn judge(meeting: &Meeting, said: u16, speakers: &[usize], listeners: &[usize]) {
    for at in listeners {
        let got = heard(meeting, *at);
        for from in speakers.iter().filter(|from| *from != at) {
            let numbers = got.iter().filter(|(who, ..)| who == from).map(|(_, number, _)| *number);
            assert!(numbers.eq(1..=said), "{at} of {from}: {got:?}");
        }
    }
}

#[test]
fn reliable_messages_arrive_in_order_over_any_path() {
    for_seeds(4, |seed| {
        let path = Path::poor(&mut Random::new(seed));
        let mut meeting = talking(seed, path, 3);
        for number in 1..=150 {
            for at in 0..3 {
                assert!(meeting.say(at, Label::Reliable, &numbered(number, 100)));
                meeting.say(at, Label::Lossy, &field(9, b"is not counted"));
            }
            meeting.run_ms(20);
        }
        meeting.run_ms(20_000);
        for viewer in &mut meeting.viewers {
            viewer.peer.messages.retain(|(_, message)| message.label == Label::Reliable);
        }
        judge(&meeting, 150, &[0, 1, 2], &[0, 1, 2]);
    });
}

#[test]
fn a_change_of_networks_loses_nothing() {
    for_seeds(3, |seed| {
        let path = Path { delay_ns: 20_000_000, ..Path::PERFECT };
        let mut meeting = talking(seed, path, 2);
        let away = Path { loss_permille: 1000, ..Path::PERFECT };
        for number in 1..=300 {
            match number {
                // For six seconds nothing of either network arrives.
                100 => {
                    for address in meeting.viewers[0].peer.addresses.clone() {
                        meeting.plane.network.set_path(address, away);
                    }
                }
                220 => {
                    for address in meeting.viewers[0].peer.addresses.clone() {
                        meeting.plane.network.set_path(address, path);
                    }
                    meeting.restart_ice(0);
                    meeting.viewers[0].peer.change_network(1);
                }
                _ => {}
            }
            (0..2).for_each(|at| assert!(meeting.say(at, Label::Reliable, &numbered(number, 100))));
            meeting.run_ms(50);
        }
        meeting.run_ms(20_000);
        judge(&meeting, 300, &[0, 1], &[0, 1]);
    });
}

#[test]
fn a_peer_that_acknowledges_nothing_costs_a_bounded_queue_and_nobody_else() {
    for_seeds(2, |seed| {
        let path = Path { delay_ns: 5_000_000, ..Path::PERFECT };
        let mut meeting = talking(seed, path, 3);
        meeting.viewers[2].peer.mute = true;
        for number in 1..=1_500 {
            assert!(meeting.say(0, Label::Reliable, &numbered(number, 1_000)));
            meeting.run_ms(5);
        }
        meeting.run_ms(500);
        judge(&meeting, 1_500, &[0], &[1]);
        let slowest = heard(&meeting, 1).windows(2).map(|pair| pair[1].2 - pair[0].2).max();
        assert!(slowest.is_some_and(|ms| ms < 50), "{slowest:?}");
        // For five seconds as much may wait as there is memory for, then 512 kB.
        assert!(meeting.plane.counter(0, Counter::DataSlow) > 400);
        assert_eq!(meeting.plane.counter(0, Counter::DataEnded), 0);
        // SCTP gives it up.
        meeting.run_ms(180_000);
        assert_eq!(meeting.plane.counter(0, Counter::DataEnded), 1);
        assert!(meeting.say(0, Label::Reliable, &numbered(1_501, 100)));
        meeting.run_ms(100);
        judge(&meeting, 1_501, &[0], &[1]);
    });
}

#[test]
fn a_sender_beyond_its_rate_waits_and_loses_nothing() {
    for_seeds(2, |seed| {
        let path = Path { delay_ns: 2_000_000, ..Path::PERFECT };
        let mut meeting = talking(seed, path, 6);
        // 60 kB to five, a hundred times: 30 MB, where 5 MB may come at once and 25 in a second.
        let (mut flooded, mut number) = (0, 0);
        for ms in 0..3_000 {
            if flooded < 100 && meeting.say(0, Label::Reliable, &numbered(flooded + 1, 60_000)) {
                flooded += 1;
            }
            if ms % 20 == 0 {
                number += 1;
                assert!(meeting.say(1, Label::Reliable, &numbered(number, 100)));
            }
            meeting.run_ms(1);
        }
        meeting.run_ms(5_000);
        assert!(meeting.plane.counter(0, Counter::DataHeld) > 0, "{flooded}");
        assert_eq!(meeting.plane.counter(0, Counter::DataSlow), 0);
        judge(&meeting, flooded, &[0], &[1, 2, 5]);
        judge(&meeting, number, &[1], &[0, 3]);
    });
}
