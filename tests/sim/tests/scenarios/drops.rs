//! Every drop reason of the counters table can be provoked, is counted as often as it happened, and
//! stands in the manual; the manual names no other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ringway_abi::counters::Counter;
use ringway_abi::message::{Command, InputPolicy, SourcePolicy};
use ringway_sim::judge::{at, destination, forward};
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::source::Source;

const KEY: u64 = 7;

/// The drop reasons of the table, by their label.
fn reasons() -> impl Iterator<Item = (Counter, &'static str)> {
    let family = Counter::DropShort.info().name;
    let members = Counter::ALL.iter().filter(move |counter| counter.info().name == family);
    members.map(|counter| (*counter, counter.info().label.expect("reasons have a label").1))
}

/// A forward for one address and SSRC only, to a destination on each of two shards.
fn scene() -> (Plane, Source) {
    let mut plane = Plane::new(Setup::new(1, 2));
    let (rtp, rtcp) = (at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    let source = Source::new(1, at("198.51.100.1:4000"), rtp, rtcp);
    let mut spec = forward(KEY, at("0.0.0.0:5004"));
    spec.policy = InputPolicy { source: SourcePolicy::Exact(source.rtp), ssrc: Some(source.ssrc) };
    plane.create(0, spec).expect("a free port");
    for shard in 0..2 {
        let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
        plane.add(0, KEY, destination(u64::from(shard) + 1, shard, address)).expect("room");
    }
    (plane, source)
}

/// Makes the plane drop packets for `reason`; how many.
fn provoke(plane: &mut Plane, source: &mut Source, reason: &str) -> u64 {
    let mut send = |plane: &mut Plane, change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = source.write(200);
        change(&mut packet);
        plane.send(source.rtp, source.to_rtp, packet);
    };
    match reason {
        "short" => {
            send(plane, &|packet| packet.truncate(1));
            send(plane, &|packet| packet.truncate(11));
            2
        }
        "truncated" => {
            send(plane, &|packet| packet.resize(3000, 0));
            1
        }
        "version" => {
            send(plane, &|packet| packet[0] |= 0xc0);
            // RTCP has the same version.
            plane.send(source.rtcp, source.to_rtcp, vec![0xc0, 200, 0, 1, 0, 0, 0, 1]);
            2
        }
        "header" => {
            // Fifteen contributing sources need sixty octets.
            send(plane, &|packet| {
                packet[0] = 0x8f;
                packet.truncate(40);
            });
            1
        }
        "rtcp" => {
            plane.send(source.rtcp, source.to_rtcp, vec![0x80, 200, 0, 9, 0, 0, 0, 1]);
            1
        }
        "protocol" => {
            let binding_request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
            plane.send(source.rtp, source.to_rtp, binding_request);
            // RTP where RTCP is expected.
            let packet = source.write(200);
            plane.send(source.rtp, source.to_rtcp, packet);
            2
        }
        "source" => {
            let packet = source.write(200);
            plane.send(at("198.51.100.2:4000"), source.to_rtp, packet);
            1
        }
        "ssrc" => {
            send(plane, &|packet| packet[11] ^= 1);
            1
        }
        other => provoke_outwards(plane, source, other),
    }
}

/// The reasons on the way out.
fn provoke_outwards(plane: &mut Plane, source: &mut Source, reason: &str) -> u64 {
    let mut refuse = |errno| {
        (plane.faults.permille, plane.faults.errno) = (1000, errno);
        source.send_audio(plane, 160, 160);
        2
    };
    match reason {
        "send_buffer" => refuse(11),  // EAGAIN
        "unreachable" => refuse(113), // EHOSTUNREACH
        "send_error" => refuse(1),    // EPERM
        "no_forward" => {
            // Lent to the other shard, which hears of the removal before it takes the packet.
            plane.machines[1].stalled = true;
            source.send_audio(plane, 160, 160);
            plane.run_ms(2);
            plane.submit(0, |request| Command::RemoveForward { request, forward: KEY });
            plane.run_ms(2);
            plane.machines[1].stalled = false;
            1
        }
        "shard_lane" => {
            // A shard that stands still may hold half of the home's 1024 buffers.
            plane.machines[1].stalled = true;
            for _ in 0..600 {
                source.send_audio(plane, 160, 160);
                plane.run_ms(1);
            }
            600 - 512
        }
        other => panic!("{other} is in the table, but nothing here makes it happen"),
    }
}

#[test]
fn every_reason_can_happen_and_is_counted() {
    // There is neither TCP nor TURN here: dataplane/shard/tests/tcp.rs and the gateway's own tests
    // have them. Nor are there layers within a stream, or repairs: sfu's tests of layered streams
    // and the shard's of FlexFEC have those.
    let elsewhere = ["tcp_lane", "tcp_peer", "turn", "descriptor", "fec"];
    let here = |reason: &str| !elsewhere.contains(&reason);
    for (counter, reason) in reasons().filter(|(_, reason)| here(reason)) {
        let (mut plane, mut source) = scene();
        let provoked = provoke(&mut plane, &mut source, reason);
        plane.settle();
        let count = |counter| (0..2).map(|shard| plane.counter(shard, counter)).sum::<u64>();
        assert_eq!(count(counter), provoked, "{reason}");
        for (other, name) in reasons().filter(|(other, _)| *other != counter) {
            assert_eq!(count(other), 0, "{name} is counted, {reason} was provoked");
        }
    }
}

#[test]
fn the_manual_explains_every_reason_and_no_other() {
    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/trouble.md");
    let manual = fs::read_to_string(manual).expect("the manual");
    let section = manual.split("## Packets are dropped").nth(1).expect("a section on drops");
    let table = section.split("| reason |").nth(1).expect("a table of reasons");
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    // Behind the line under the head, up to the first line that is no row.
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cell = row.split('|').nth(1).expect("a first cell");
        for word in cell.split('`').skip(1).step_by(2) {
            *explained.entry(word).or_default() += 1;
        }
    }
    let expect: BTreeMap<&str, usize> = reasons().map(|(_, reason)| (reason, 1)).collect();
    assert_eq!(explained, expect);
}
