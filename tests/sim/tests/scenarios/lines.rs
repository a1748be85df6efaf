//! Contiguous lines: one unbroken stream, whatever the source does.

use std::collections::HashMap;

use ringway_abi::message::{InputPolicy, Rewrite, SourcePolicy};
use ringway_sim::judge::{at, destination, forward, rtp_sent, rtp_taken, shift, view};
use ringway_sim::network::Path;
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;

const KEY: u64 = 7;
const LINE: Rewrite = Rewrite { ssrc: Some(77), payload_type: None, contiguous: true };

fn plane(seed: u64, shards: u16, rewrite: Rewrite) -> (Plane, Source) {
    let mut plane = Plane::new(Setup::new(seed, shards));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    for shard in 0..shards {
        let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
        let mut spec = destination(u64::from(shard) + 1, shard, address);
        spec.rewrite = rewrite;
        plane.add(0, KEY, spec).expect("room");
    }
    let source =
        Source::new(seed, at("198.51.100.1:4000"), at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    (plane, source)
}

/// Checks all lines of a plane: inside an epoch one constant is added; the first packet of an epoch
/// gets the next number, and time goes on. `epoch_of` tells a packet's epoch by its id.
fn check(plane: &Plane, source: &Source, shards: u16, ssrc: u32, epochs: &HashMap<Vec<u8>, usize>) {
    let taken = rtp_taken(plane, source.rtp, source.to_rtp);
    for shard in 0..shards {
        let sent = rtp_sent(&plane.sent_to(at(&format!("203.0.113.1:{}", 6000 + 2 * shard))));
        assert_eq!(sent.len(), taken.len());
        let mut epoch = None;
        let mut added = (0, 0);
        let mut newest: Option<(u16, u32)> = None;
        for (packet, out) in taken.iter().zip(&sent) {
            let now = shift(packet, out, ssrc, &LINE);
            let (sequence, timestamp) = (view(out).sequence(), view(out).timestamp());
            let of = epochs[packet];
            if epoch != Some(of) {
                if let Some((before, time)) = newest {
                    assert_eq!(sequence, before.wrapping_add(1), "first packet of epoch {of}");
                    let ahead = timestamp.wrapping_sub(time);
                    assert!((1..1 << 31).contains(&ahead), "time of epoch {of}: {ahead}");
                }
                (epoch, added) = (Some(of), now);
            }
            assert_eq!(now, added, "shift inside epoch {of}");
            if newest.is_none_or(|(before, _)| sequence.wrapping_sub(before) < 0x8000) {
                newest = Some((sequence, timestamp));
            }
        }
    }
}

#[test]
fn lines_go_on_over_restarts_jumps_and_loss() {
    for_seeds(400, |seed| {
        let mut random = Random::new(seed);
        let shards = random.between(1, 2) as u16;
        let (mut plane, mut source) = plane(seed, shards, LINE);
        let poor = Path::poor(&mut random);
        let mut epochs = HashMap::new();
        for epoch in 0..12 {
            if epoch > 0 {
                match random.below(4) {
                    0 => source.restart(),
                    1 => source.sequence = source.sequence.wrapping_add(20_000),
                    2 => source.sequence = source.sequence.wrapping_sub(30_000),
                    // The same numbers, another source: only the SSRC says so.
                    _ => source.ssrc = source.ssrc.wrapping_add(1),
                }
            }
            for n in 0..random.between(2, 60) {
                // A jump is one by its first two packets; what is lost or late right there is
                // another story, told below.
                let calm = n < 10;
                plane.network.set_path(source.rtp, if calm { Path::PERFECT } else { poor });
                let packet = source.write(random.between(8, 300) as usize);
                plane.send(source.rtp, source.to_rtp, packet.clone());
                epochs.insert(packet, epoch);
                source.timestamp = source.timestamp.wrapping_add(160);
                if calm || random.chance(500) {
                    plane.run_ms(random.between(1, 20));
                }
            }
            plane.settle();
        }
        check(&plane, &source, shards, 77, &epochs);
        plane.assert_no_leak();
    });
}

#[test]
fn a_line_keeps_the_ssrc_that_it_began_with() {
    let (mut plane, mut source) = plane(1, 2, Rewrite { ssrc: None, ..LINE });
    let first = source.ssrc;
    let mut epochs = HashMap::new();
    for epoch in 0..5 {
        for _ in 0..3 {
            let packet = source.write(100);
            plane.send(source.rtp, source.to_rtp, packet.clone());
            epochs.insert(packet, epoch);
            plane.run_ms(20);
        }
        source.restart();
        // Asking again changes nothing, and neither does another payload type later on.
        for shard in 0..2 {
            let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
            let mut spec = destination(u64::from(shard) + 1, shard, address);
            spec.rewrite = Rewrite { ssrc: None, ..LINE };
            plane.add(0, KEY, spec).expect("it is there");
        }
    }
    plane.settle();
    check(&plane, &source, 2, first, &epochs);
}

#[test]
fn packets_around_a_jump_do_not_break_the_line() {
    // Sequence numbers as they arrive, sequence numbers as they leave.
    let rows: &[(&str, &[u16], &[u16])] = &[
        ("loss stays visible", &[10, 12, 15], &[10, 12, 15]),
        ("the wrap is no jump", &[65_534, 65_535, 0, 1], &[65_534, 65_535, 0, 1]),
        ("a jump", &[10, 40_000, 40_001, 40_003], &[10, 11, 12, 14]),
        ("a late packet after a jump", &[10, 11, 40_000, 9, 40_001], &[10, 11, 12, 13, 14]),
        (
            "a late packet after its end",
            &[10, 11, 40_000, 40_001, 9, 40_002],
            &[10, 11, 12, 13, 14, 15],
        ),
        ("a stray that nothing follows", &[10, 11, 40_000, 12, 13], &[10, 11, 12, 13, 14]),
        ("loss right after a jump", &[10, 40_000, 40_002, 40_003], &[10, 11, 12, 13]),
        ("two jumps", &[10, 40_000, 20_000, 20_001], &[10, 11, 12, 13]),
    ];
    for (why, arrive, leave) in rows {
        let (mut plane, mut source) = plane(1, 1, LINE);
        for sequence in *arrive {
            source.sequence = *sequence;
            source.send_audio(&mut plane, 100, 160);
            plane.run_ms(20);
        }
        plane.settle();
        let sent = rtp_sent(&plane.sent_to(at("203.0.113.1:6000")));
        let sequences: Vec<u16> = sent.iter().map(|packet| view(packet).sequence()).collect();
        assert_eq!(sequences, *leave, "{why}");
        let times: Vec<u32> = sent.iter().map(|packet| view(packet).timestamp()).collect();
        let ahead = |pair: &[u32]| (1..1 << 31).contains(&pair[1].wrapping_sub(pair[0]));
        assert!(times.windows(2).all(ahead), "{why}: {times:?}");
    }
}

#[test]
fn another_source_takes_over_after_silence() {
    let (mut plane, mut source) = plane(1, 2, LINE);
    let policy = InputPolicy { source: SourcePolicy::Latch { silence_ms: 200 }, ssrc: None };
    let forward = KEY;
    plane.ask(0, |request| ringway_abi::message::Command::UpdateForward {
        request,
        forward,
        policy,
    });
    let mut other = Source::new(2, at("198.51.100.9:4000"), source.to_rtp, source.to_rtcp);
    for n in 0..30 {
        if n < 10 {
            source.send_audio(&mut plane, 100, 160);
        }
        other.send_audio(&mut plane, 100, 160);
        plane.run_ms(20);
    }
    plane.settle();
    for shard in 0..2 {
        let sent = rtp_sent(&plane.sent_to(at(&format!("203.0.113.1:{}", 6000 + 2 * shard))));
        // Ten of the first; its last came at 180 ms; the other is heard from 380 ms on.
        assert_eq!(sent.len(), 10 + 11);
        for pair in sent.windows(2) {
            let (a, b) = (view(&pair[0]), view(&pair[1]));
            assert_eq!((b.ssrc(), b.sequence()), (77, a.sequence().wrapping_add(1)));
        }
    }
}
