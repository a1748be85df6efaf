//! What cannot be parsed is dropped, counted by its reason, and never forwarded.

use std::collections::HashMap;
use std::fs;
use std::path::Path as FilePath;

use ringway_abi::counters::Counter;
use ringway_abi::message::RtcpInput;
use ringway_sim::judge::{at, destination, forward};
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;
use ringway_wire::rtcp::Compound;
use ringway_wire::sniff::{Protocol, sniff};
use ringway_wire::{RtpError, RtpView};

const KEY: u64 = 7;
const PAYLOAD_BYTES: usize = 2000;

/// Whatever a datagram may be dropped for on its way in.
const REASONS: [Counter; 8] = [
    Counter::DropShort,
    Counter::DropTruncated,
    Counter::DropVersion,
    Counter::DropHeader,
    Counter::DropRtcp,
    Counter::DropProtocol,
    Counter::DropSource,
    Counter::DropSsrc,
];

/// Every file of the corpora of the fuzz targets.
fn corpora() -> Vec<Vec<u8>> {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut found = Vec::new();
    for target in ["rtp", "rtcp", "sniff"] {
        for file in fs::read_dir(root.join(target)).expect("a corpus") {
            found.push(fs::read(file.expect("a file").path()).expect("a readable file"));
        }
    }
    assert!(found.len() > 30, "only {} files", found.len());
    found
}

/// What must be counted for a datagram; `None`: it is well formed.
fn reason(bytes: &[u8], rtp_port: bool, rtcp_port: bool) -> Option<Counter> {
    if bytes.len() > PAYLOAD_BYTES {
        return Some(Counter::DropTruncated);
    }
    if bytes.len() < 2 {
        return Some(Counter::DropShort);
    }
    match sniff(bytes) {
        Protocol::Rtp if rtp_port => match RtpView::parse(bytes) {
            Ok(_) => None,
            Err(RtpError::Short) => Some(Counter::DropShort),
            Err(RtpError::Version) => Some(Counter::DropVersion),
            Err(RtpError::Header) => Some(Counter::DropHeader),
        },
        Protocol::Rtcp if rtcp_port || rtp_port => match Compound::parse(bytes) {
            Ok(_) => None,
            Err(_) => Some(Counter::DropRtcp),
        },
        Protocol::Unknown => Some(Counter::DropVersion),
        _ => Some(Counter::DropProtocol),
    }
}

/// Something that is most likely not well formed.
fn rubbish(random: &mut Random, source: &mut Source, corpora: &[Vec<u8>]) -> Vec<u8> {
    match random.below(4) {
        0 => random.pick(corpora).clone(),
        1 => {
            let len = random.below(60) as usize;
            random.bytes(len)
        }
        2 => {
            // Nearly a packet of the source: one octet of the header is another, and it is cut.
            let mut bytes = source.write(200);
            bytes[random.below(12) as usize] = random.any() as u8;
            bytes.truncate(random.below(400) as usize);
            bytes
        }
        _ => {
            let mut bytes = source.write(200);
            bytes.resize(random.between(1900, 2100) as usize, 0);
            bytes
        }
    }
}

/// A forward to one destination on each shard, with its slot.
fn plane(seed: u64, mux: bool) -> (Plane, u32) {
    let mut setup = Setup::new(seed, 2);
    setup.payload_bytes = PAYLOAD_BYTES;
    let mut plane = Plane::new(setup);
    let mut spec = forward(KEY, at("0.0.0.0:5004"));
    if mux {
        spec.rtcp = RtcpInput::Mux;
    }
    let bound = plane.create(0, spec).expect("a free port");
    for shard in 0..2 {
        let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
        plane.add(0, KEY, destination(u64::from(shard) + 1, shard, address)).expect("room");
    }
    (plane, bound.stats_slot)
}

#[test]
fn malformed_datagrams_are_dropped_and_counted_by_reason() {
    let corpora = corpora();
    for_seeds(100, |seed| {
        let mut random = Random::new(seed);
        let mux = random.chance(500);
        let (mut plane, slot) = plane(seed, mux);
        let (rtp, rtcp) = (at("192.0.2.1:5004"), at("192.0.2.1:5005"));
        let mut source = Source::new(seed, at("198.51.100.1:4000"), rtp, rtcp);
        let mut expect: HashMap<Counter, u64> = HashMap::new();
        let mut good = 0;
        for _ in 0..400 {
            let bytes = rubbish(&mut random, &mut source, &corpora);
            let to_rtp = mux || random.chance(600);
            if let Some(reason) = reason(&bytes, to_rtp, !to_rtp) {
                *expect.entry(reason).or_default() += 1;
                plane.send(source.rtp, if to_rtp { rtp } else { rtcp }, bytes);
            }
            if random.chance(300) {
                source.send_audio(&mut plane, 100, 160);
                good += 1;
            }
            if random.chance(200) {
                plane.step();
            }
        }
        plane.settle();
        assert_eq!(plane.sent.len(), 2 * good, "only what is well formed is forwarded");
        let malformed: u64 = expect.values().sum();
        assert!(malformed > 100, "{expect:?}");
        for reason in REASONS {
            let expect = expect.get(&reason).copied().unwrap_or(0);
            assert_eq!(plane.counter(0, reason), expect, "{reason:?}");
        }
        let stats = plane.forward_stats(0, slot);
        assert_eq!((stats.packets, stats.malformed), (good as u64, malformed));
        plane.assert_no_leak();
    });
}

#[test]
fn anything_at_all_may_come_from_anyone() {
    // Here well-formed strangers are let in; nothing may break, whatever they say.
    let corpora = corpora();
    for_seeds(60, |seed| {
        let mut random = Random::new(seed);
        let mut plane = Plane::new(Setup::new(seed, 2));
        plane.create(0, forward(KEY, at("[::]:5004"))).expect("a free port");
        let addresses = ["198.51.100.1:4000", "198.51.100.2:4000", "203.0.113.1:6000"].map(at);
        for shard in 0..2 {
            let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
            let mut spec = destination(u64::from(shard) + 1, shard, address);
            spec.rewrite.contiguous = shard == 1;
            plane.add(0, KEY, spec).expect("room");
        }
        for _ in 0..2000 {
            let mut bytes = random.pick(&corpora).clone();
            for _ in 0..random.below(3) {
                let len = bytes.len() as u64;
                if len > 0 {
                    bytes[random.below(len) as usize] = random.any() as u8;
                }
            }
            let to = if random.chance(500) { "192.0.2.1:5004" } else { "192.0.2.1:5005" };
            plane.send(*random.pick(&addresses), at(to), bytes);
            if random.chance(100) {
                plane.step();
            }
        }
        plane.run_ms(6000);
        plane.settle();
        plane.assert_no_leak();
    });
}
