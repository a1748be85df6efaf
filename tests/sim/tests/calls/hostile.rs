//! Strangers, forgers and repeaters on the media socket.

use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_proto::srtp::SrtpDrop;
use ringway_proto::transport::TransportDrop;
use ringway_sim::calls::decoder::{play, show};
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::network::Path;
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;

fn watched(seed: u64) -> Meeting {
    let mut meeting = Meeting::watched(seed, Path::PERFECT);
    meeting.run_ms(500);
    meeting
}

fn judge(mut meeting: Meeting) {
    meeting.run_ms(500);
    meeting.drain();
    let [video, sound] = &meeting.viewers[0].streams[..] else { panic!("two streams") };
    let shown = show(video);
    assert_eq!((shown.holes, play(sound).1), (0, 0));
    assert!(shown.decoded > 25, "{shown:?}");
    let drops = &meeting.viewers[0].peer.drops;
    let wrong = |drop: &&TransportDrop| match drop {
        TransportDrop::Srtp(reason) => *reason != SrtpDrop::Replayed,
        _ => false,
    };
    assert_eq!(drops.iter().find(wrong), None);
}

/// What anyone can send without knowing anything.
fn garbage(random: &mut Random) -> Vec<u8> {
    let len = random.between(0, 400) as usize;
    let mut bytes = random.bytes(len);
    let heads: [&[u8]; 7] = [
        &[0x80, 96],
        &[0x80, 200],
        &[22, 0xfe, 0xfd],
        &[23, 0xfe, 0xfd],
        &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42],
        &[0x40, 0],
        &[],
    ];
    let head = heads[random.below(7) as usize];
    if bytes.len() >= head.len() {
        bytes[..head.len()].copy_from_slice(head);
    }
    bytes
}

#[test]
fn strangers_get_nothing_and_disturb_nobody() {
    for_seeds(3, |seed| {
        let mut meeting = watched(seed);
        let mut random = Random::new(seed);
        let drops = [Counter::DropSource, Counter::DropProtocol, Counter::DropTruncated];
        let count = |meeting: &Meeting| -> u64 {
            drops.iter().map(|counter| meeting.plane.counter(0, *counter)).sum()
        };
        let (before, mut sent) = (count(&meeting), 0);
        for _ in 0..1000 {
            for _ in 0..5 {
                let port = 1024 + random.below(60_000) as u16;
                let from = SocketAddr::from(([203, 0, 113, random.below(256) as u8], port));
                let bytes = garbage(&mut random);
                meeting.plane.send(from, meeting.server, bytes);
                sent += 1;
            }
            meeting.step();
        }
        assert_eq!(count(&meeting) - before, sent, "every one of them is counted");
        let strangers = |address: &SocketAddr| address.ip().to_string().starts_with("203.0.113");
        let answered = meeting.plane.mail.keys().filter(|address| strangers(address)).count();
        assert_eq!(answered, 0, "nobody whose ufrag is unknown is answered");
        judge(meeting);
    });
}

#[test]
fn what_is_forged_or_repeated_is_dropped() {
    for_seeds(3, |seed| {
        let mut meeting = watched(seed);
        let mut random = Random::new(seed);
        let before = meeting.plane.counter(0, Counter::DropSource);
        for _ in 0..400 {
            meeting.step();
            let peer = &meeting.publishers[0].peer;
            let (from, mut bytes) = (peer.addresses[0], peer.last_sent.clone());
            match random.below(4) {
                // Somebody who can write the publisher's address, but has no key.
                0 => {
                    let at = random.between(2, bytes.len() as u64 - 1) as usize;
                    bytes[at] ^= 1 << random.below(8);
                }
                // A copy of what was sent, from where it was sent.
                1 => {}
                // The same from elsewhere.
                2 => {
                    let elsewhere = SocketAddr::from(([203, 0, 113, 7], 7));
                    meeting.plane.send(elsewhere, meeting.server, bytes);
                    continue;
                }
                _ => bytes = garbage(&mut random),
            }
            meeting.plane.send(from, meeting.server, bytes);
        }
        assert!(meeting.plane.counter(0, Counter::DropSource) - before > 200);
        judge(meeting);
    });
}

#[test]
fn a_viewer_gets_a_packet_once_however_often_it_comes() {
    for_seeds(2, |seed| {
        let path = Path { double_permille: 1000, ..Path::PERFECT };
        let mut meeting = Meeting::watched(seed, path);
        meeting.run_ms(1000);
        judge(meeting);
    });
}
