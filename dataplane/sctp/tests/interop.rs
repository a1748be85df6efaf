//! Ours against dcsctp, and against itself, in virtual time over links of all sorts.

mod network;

use network::{Arrived, End, Kind, Link, MS, Net, Random, SECOND, Said};
use ringway_sctp::SendOptions;

const RELIABLE: SendOptions =
    SendOptions { unordered: false, max_retransmissions: None, lifetime_ns: None };
const UNORDERED: SendOptions = SendOptions { unordered: true, ..RELIABLE };
const LOSSY: SendOptions =
    SendOptions { unordered: true, max_retransmissions: Some(0), lifetime_ns: Some(300 * MS) };

type Make = fn(u64) -> [End; 2];

const PAIRS: [(&str, Make); 3] = [
    ("ours and ours", |seed| [End::ours(seed), End::ours(seed + 1)]),
    ("ours and foreign", |seed| [End::ours(seed), End::foreign()]),
    ("foreign and ours", |seed| [End::foreign(), End::ours(seed)]),
];

fn rough() -> Link {
    Link { jitter_ns: 20 * MS, loss: 100_000, duplication: 50_000, ..Link::default() }
}

fn payload(random: &mut Random, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    let seed = random.next();
    bytes.extend((0..len as u64).map(|at| ((at * at) ^ (seed >> (at % 50))) as u8));
    bytes
}

fn number(arrived: &Arrived) -> u32 {
    u32::from_be_bytes(arrived.payload[..4].try_into().expect("four"))
}

#[test]
fn either_side_or_both_connect() {
    for (name, make) in PAIRS {
        for seed in 0..60 {
            let link = if seed % 2 == 0 { Link::default() } else { rough() };
            let mut net = Net::new(seed, link, make(seed));
            if seed % 3 != 1 {
                net.ends[0].connect();
            }
            if seed % 3 != 0 {
                let wait_ns = net.random.below(60) * MS;
                net.run(wait_ns);
                net.ends[1].connect();
            }
            net.run(30 * SECOND);
            for end in &net.ends {
                assert!(end.is_connected(), "{name}, seed {seed}");
                assert_eq!(end.said, [Said::Connected], "{name}, seed {seed}");
            }
            net.send(0, 1, b"hello", RELIABLE);
            net.send(1, 1, b"hello", RELIABLE);
            net.run(60 * SECOND);
            assert!(net.ends.iter().all(|end| end.arrived.len() == 1), "{name}, seed {seed}");
        }
    }
}

/// Messages both ways over three streams; what is reliable arrives once, whole, in order.
#[test]
fn reliable_messages_arrive_once_and_in_order() {
    for (name, make) in PAIRS {
        for seed in 100..140 {
            let link = if seed % 4 == 0 { Link::default() } else { rough() };
            let mut net = Net::connected(seed, link, make(seed));
            let mut random = Random(seed);
            let mut sent = [Vec::new(), Vec::new()];
            for count in 0..60_u32 {
                let from = random.below(2) as usize;
                let stream = random.below(3) as u16;
                let most = [20, 1_000, 5_000, if seed < 104 { 262_140 } else { 20_000 }];
                let most = most[random.below(4) as usize];
                let len = random.below(most) as usize;
                let message = payload(&mut random, count, len);
                let how = if stream == 2 { UNORDERED } else { RELIABLE };
                net.send(from, stream, &message, how);
                sent[from].push((stream, message));
                if random.chance(300_000) {
                    net.run(net.now_ns + random.below(100) * MS);
                }
            }
            net.run(net.now_ns + 400 * SECOND);
            for (from, sent) in sent.iter().enumerate() {
                let arrived = &net.ends[1 - from].arrived;
                assert_eq!(arrived.len(), sent.len(), "{name}, seed {seed}");
                for stream in 0..3 {
                    let mut expect: Vec<&Vec<u8>> =
                        sent.iter().filter(|one| one.0 == stream).map(|one| &one.1).collect();
                    let mut found: Vec<&Vec<u8>> = arrived
                        .iter()
                        .filter(|one| one.stream == stream)
                        .map(|one| &one.payload)
                        .collect();
                    if stream == 2 {
                        expect.sort();
                        found.sort();
                    }
                    assert!(expect == found, "{name}, seed {seed}, stream {stream}");
                }
            }
            assert!(net.ends.iter().all(End::is_connected), "{name}, seed {seed}");
        }
    }
}

/// Lossy messages arrive whole, once, not late; reliable ones beside them all arrive.
#[test]
fn lossy_messages_are_not_late_and_hold_up_nothing() {
    for (name, make) in PAIRS {
        for seed in 200..230 {
            let link = Link { loss: 200_000, ..rough() };
            let mut net = Net::connected(seed, link, make(seed));
            let mut random = Random(seed);
            let mut sent = Vec::new();
            // In order, but not for ever: this direction's numbers are skipped.
            let ordered = SendOptions { unordered: false, ..LOSSY };
            let how = if seed % 2 == 0 { LOSSY } else { ordered };
            for count in 0..300_u32 {
                let len = random.below(if seed % 3 == 0 { 4_000 } else { 300 }) as usize;
                let message = payload(&mut random, count, len);
                net.send(0, 7, &message, how);
                sent.push((net.now_ns, message));
                if count % 30 == 0 {
                    net.send(0, 1, &count.to_be_bytes(), RELIABLE);
                }
                net.run(net.now_ns + 20 * MS);
            }
            net.run(net.now_ns + 30 * SECOND);
            let arrived = &net.ends[1].arrived;
            let mut seen = vec![false; 300];
            let mut last = None;
            for one in arrived.iter().filter(|one| one.stream == 7) {
                let at = number(one) as usize;
                let (sent_ns, message) = &sent[at];
                assert!(*message == one.payload, "{name}, seed {seed}, {at}");
                assert!(!std::mem::replace(&mut seen[at], true), "{name}, seed {seed}: twice");
                let age_ns = one.at_ns - sent_ns;
                // dcsctp takes its time to skip what an ordered stream has lost.
                let slow = !how.unordered && name == "foreign and ours";
                let most_ns = if how.unordered {
                    400
                } else if slow {
                    30_000
                } else {
                    5_000
                };
                assert!(age_ns < most_ns * MS, "{name}, seed {seed}: {} ms", age_ns / MS);
                assert!(how.unordered || last < Some(at), "{name}, seed {seed}: order");
                last = Some(at);
            }
            let count = seen.iter().filter(|seen| **seen).count();
            let least = if seed % 3 == 0 { 20 } else { 180 };
            assert!(count > least && count < 300, "{name}, seed {seed}: {count}");
            let reliable = arrived.iter().filter(|one| one.stream == 1).count();
            assert_eq!(reliable, 10, "{name}, seed {seed}");
            // dcsctp does not always say to the end what it has given up.
            for end in net.ends.iter_mut().filter(|_| name != "foreign and ours") {
                if let Kind::Ours(association) = &mut end.kind {
                    let held = association.held_bytes();
                    assert!(held < 10_000, "{name}, seed {seed}: {held}");
                }
            }
        }
    }
}

#[test]
fn streams_are_reset_and_begin_anew() {
    for (name, make) in PAIRS {
        for seed in 300..330 {
            let link = if seed % 2 == 0 { Link::default() } else { rough() };
            let mut net = Net::connected(seed, link, make(seed));
            for round in 0..3_u32 {
                for from in 0..2 {
                    for count in 0..5 {
                        net.send(from, 3, &(round * 10 + count).to_be_bytes(), RELIABLE);
                        net.send(from, 5, &(round * 10 + count).to_be_bytes(), RELIABLE);
                    }
                }
                net.run(net.now_ns + 20 * SECOND);
                net.ends[0].reset(&[3]);
                let wait_ns = net.random.below(3) * 30 * MS;
                net.run(net.now_ns + wait_ns);
                net.ends[1].reset(&[3]);
                net.run(net.now_ns + 20 * SECOND);
            }
            for end in &net.ends {
                let expect = [
                    Said::Connected,
                    Said::Reset(vec![3]),
                    Said::Reset(vec![3]),
                    Said::Reset(vec![3]),
                ];
                assert_eq!(end.said, expect, "{name}, seed {seed}");
                for stream in [3, 5] {
                    let found: Vec<u32> =
                        end.arrived.iter().filter(|one| one.stream == stream).map(number).collect();
                    let expect: Vec<u32> = (0..15).map(|at| at / 5 * 10 + at % 5).collect();
                    assert_eq!(found, expect, "{name}, seed {seed}, stream {stream}");
                }
            }
        }
    }
}

/// What waited before a reset goes before it, what is sent after it goes after it.
#[test]
fn a_reset_does_not_overtake_messages() {
    for seed in 330..350 {
        for (name, make) in PAIRS.into_iter().take(2) {
            let mut net = Net::connected(seed, rough(), make(seed));
            let long = vec![7; 60_000];
            net.send(0, 3, &long, RELIABLE);
            net.ends[0].reset(&[3]);
            net.send(0, 3, b"after", RELIABLE);
            net.send(0, 4, b"beside", RELIABLE);
            net.run(net.now_ns + 60 * SECOND);
            let of = |stream: u16| {
                let found = net.ends[1].arrived.iter().filter(move |one| one.stream == stream);
                found.map(|one| one.payload.clone()).collect::<Vec<_>>()
            };
            assert!(of(3) == [long, b"after".to_vec()], "{name}, seed {seed}");
            assert_eq!(of(4), [b"beside"], "{name}, seed {seed}");
            let reset = net.ends[1].said.contains(&Said::Reset(vec![3]));
            assert!(reset, "{name}, seed {seed}: {:?}", net.ends[1].said);
        }
    }
}

#[test]
fn both_sides_learn_of_the_end() {
    for (name, make) in PAIRS {
        for closes in 0..2 {
            let mut net = Net::connected(1, Link::default(), make(1));
            net.send(0, 1, &[1; 5_000], RELIABLE);
            net.ends[closes].close();
            net.run(net.now_ns + SECOND);
            for end in &net.ends {
                assert!(!end.is_connected(), "{name}");
            }
            assert_eq!(net.ends[1 - closes].said, [Said::Connected, Said::Ended], "{name}");
        }
    }
}

#[test]
fn the_peer_shuts_down() {
    for seed in 0..20 {
        let link = if seed == 0 { Link::default() } else { rough() };
        let mut net = Net::connected(seed, link, [End::foreign(), End::ours(seed)]);
        net.send(1, 1, &[1; 50_000], RELIABLE);
        net.send(0, 1, &[1; 5_000], RELIABLE);
        net.ends[0].shutdown();
        net.run(net.now_ns + 100 * SECOND);
        for end in &net.ends {
            assert_eq!(end.said, [Said::Connected, Said::Ended], "seed {seed}");
        }
        // Of dcsctp's own messages it may not wait for the end.
        assert_eq!(net.ends[0].arrived.len(), 1, "seed {seed}");
    }
}

#[test]
fn a_peer_that_vanishes_is_noticed() {
    for (name, make) in PAIRS {
        for idle in [false, true] {
            let mut net = Net::connected(1, Link::default(), make(1));
            net.cut = true;
            if !idle {
                net.send(0, 1, b"anyone?", RELIABLE);
                net.send(1, 1, b"anyone?", RELIABLE);
            }
            net.run(net.now_ns + 100 * SECOND);
            assert!(net.ends.iter().all(End::is_connected), "{name}: too early");
            net.run(net.now_ns + 300 * SECOND);
            assert!(net.ends.iter().all(|end| !end.is_connected()), "{name}");
        }
        // One that is only away for a while is not.
        let mut net = Net::connected(1, Link::default(), make(1));
        net.run(net.now_ns + 500 * SECOND);
        net.cut = true;
        net.send(0, 1, b"there", RELIABLE);
        net.run(net.now_ns + 50 * SECOND);
        net.cut = false;
        net.run(net.now_ns + 70 * SECOND);
        assert_eq!(net.ends[1].arrived.len(), 1, "{name}");
    }
}

#[test]
fn nobody_answers_an_init() {
    let mut net = Net::new(1, Link::default(), [End::ours(1), End::ours(2)]);
    net.cut = true;
    net.ends[0].connect();
    net.run(200 * SECOND);
    assert_eq!(net.ends[0].said, [Said::Ended]);
    assert_eq!(net.ends[0].deadline(), None);
    assert!(net.ends[0].packets <= 9);
}

/// A peer that does not take messages is waited for; nothing is lost.
#[test]
fn a_slow_reader_gets_everything() {
    for (name, make) in PAIRS {
        for seed in 400..410 {
            let link = if seed % 2 == 0 { Link::default() } else { rough() };
            let mut net = Net::connected(seed, link, make(seed));
            let mut random = Random(seed);
            net.ends[1].held = true;
            let len = if seed % 3 == 0 { 30 } else { 3_000 };
            let sent: Vec<_> = (0..1_000).map(|at| payload(&mut random, at, len)).collect();
            for message in &sent {
                net.send(0, 1, message, RELIABLE);
            }
            net.run(net.now_ns + 300 * SECOND);
            assert_eq!(net.ends[1].arrived, [], "{name}, seed {seed}");
            if let Kind::Ours(association) = &mut net.ends[1].kind {
                assert!(association.held_bytes() < 1_500_000);
            }
            net.ends[1].held = false;
            net.ends[1].take(net.now_ns);
            net.run(net.now_ns + 300 * SECOND);
            let found: Vec<_> = net.ends[1].arrived.iter().map(|one| &one.payload).collect();
            let said = net.ends.each_ref().map(|end| end.said.clone());
            assert_eq!(found.len(), sent.len(), "{name}, seed {seed} {said:?}");
            assert!(found.iter().zip(&sent).all(|(found, sent)| *found == sent), "seed {seed}");
        }
    }
}

#[test]
fn an_association_that_begins_anew_is_noticed() {
    for (name, fresh) in [("ours", End::ours as fn(u64) -> End), ("foreign", |_| End::foreign())] {
        let mut net = Net::connected(1, Link::default(), [fresh(7), End::ours(2)]);
        net.send(1, 1, &[1; 50_000], RELIABLE);
        net.run(net.now_ns + 10 * MS);
        net.ends[0] = fresh(8);
        net.ends[0].connect();
        net.run(net.now_ns + 20 * SECOND);
        assert_eq!(net.ends[1].said, [Said::Connected, Said::Restarted], "{name}");
        for from in 0..2 {
            net.send(from, 1, b"again", RELIABLE);
        }
        net.run(net.now_ns + SECOND);
        for end in &net.ends {
            let last = end.arrived.last().expect("a message");
            assert_eq!(last.payload, b"again", "{name}");
        }
    }
}

fn percentile(sorted: &[u64], part: usize) -> u64 {
    sorted[(sorted.len() - 1) * part / 100] / MS
}

/// Latencies of 20 messages a second over 50 ms and 10 % loss, in ms.
fn latencies(make: Make, loss: u64) -> [u64; 3] {
    let mut all = Vec::new();
    for seed in 0..10 {
        let link = Link { loss, ..Link::default() };
        let mut net = Net::connected(seed, link, make(seed));
        let mut sent = Vec::new();
        for count in 0..300_u32 {
            net.send(0, 1, &count.to_be_bytes(), RELIABLE);
            sent.push(net.now_ns);
            net.run(net.now_ns + 50 * MS);
        }
        net.run(net.now_ns + 20 * SECOND);
        let arrived = &net.ends[1].arrived;
        assert_eq!(arrived.len(), 300);
        all.extend(arrived.iter().map(|one| one.at_ns - sent[number(one) as usize]));
    }
    all.sort_unstable();
    [percentile(&all, 50), percentile(&all, 99), percentile(&all, 100)]
}

/// Bits per second of messages over 10 Mbit/s.
fn throughput(make: Make, loss: u64) -> f64 {
    let mut bytes = 0;
    for seed in 0..3 {
        let link = Link { loss, bits_per_second: 10_000_000, ..Link::default() };
        let mut net = Net::connected(seed, link, make(seed));
        for _ in 0..40 {
            net.send(0, 1, &[7; 200_000], RELIABLE);
        }
        net.run(net.now_ns + 6 * SECOND);
        bytes += net.ends[1].arrived.len() * 200_000;
    }
    bytes as f64 * 8.0 / 18.0 / 1e6
}

#[test]
fn losses_are_repaired_as_fast_as_by_the_foreign_peer() {
    let foreign: Make = |_| [End::foreign(), End::foreign()];
    for loss in [100_000, 200_000] {
        let theirs = latencies(foreign, loss);
        println!("{loss}: foreign {theirs:?}");
        for (name, make) in PAIRS {
            let found = latencies(make, loss);
            println!("{loss}: {name} {found:?}");
            if name != "foreign and ours" {
                assert!(found[0] <= theirs[0] + 10 && found[1] <= theirs[1] + 20, "{name}");
            }
        }
    }
}

#[test]
fn bulk_is_as_fast_as_with_the_foreign_peer() {
    let foreign: Make = |_| [End::foreign(), End::foreign()];
    for loss in [0, 10_000, 100_000] {
        let theirs = throughput(foreign, loss);
        println!("{loss}: foreign {theirs:.2}");
        for (name, make) in PAIRS {
            let found = throughput(make, loss);
            println!("{loss}: {name} {found:.2}");
            if name != "foreign and ours" {
                assert!(found >= theirs * 0.9, "{name} at {loss}: {found} against {theirs}");
            }
        }
    }
}
