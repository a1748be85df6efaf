//! Every destination gets what reached the forward, once, in order, and as its rewrite says.

use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_abi::message::{Rewrite, RtcpInput};
use ringway_sim::judge::{
    assert_same, at, destination, forward, is_rtp, rewritten, rtp_sent, rtp_taken, view,
};
use ringway_sim::machine::BatchRoom;
use ringway_sim::network::Path;
use ringway_sim::plane::{Plane, STEP_NS, Setup};
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;

const KEY: u64 = 7;

/// Rewrites that keep the source's own numbering.
fn rewrites(random: &mut Random) -> Vec<Rewrite> {
    let ssrc = Some(random.any() as u32);
    let payload_type = Some(random.below(64) as u8);
    vec![
        Rewrite::default(),
        Rewrite { ssrc, ..Rewrite::default() },
        Rewrite { payload_type, ..Rewrite::default() },
        Rewrite { ssrc, payload_type, contiguous: false },
    ]
}

struct Families {
    listen: &'static str,
    to: &'static str,
    from: &'static str,
    receivers: &'static [&'static str],
}

const FAMILIES: [Families; 3] = [
    Families {
        listen: "0.0.0.0:5004",
        to: "192.0.2.1:5004",
        from: "198.51.100.1:4000",
        receivers: &["203.0.113.1"],
    },
    Families {
        listen: "[2001:db8::1]:5004",
        to: "[2001:db8::1]:5004",
        from: "[2001:db8:1::1]:4000",
        receivers: &["2001:db8:2::1"],
    },
    Families {
        listen: "[::]:5004",
        to: "192.0.2.1:5004",
        from: "198.51.100.1:4000",
        receivers: &["203.0.113.1", "2001:db8:2::1"],
    },
];

#[test]
fn every_destination_gets_every_packet_as_its_rewrite_says() {
    for_seeds(150, |seed| {
        let mut random = Random::new(seed);
        let shards = random.between(1, 3) as u16;
        let mut setup = Setup::new(seed, shards);
        if random.chance(500) {
            // One run of the longest kind and nothing more.
            setup.room = BatchRoom { runs: 1, pieces: 128, scratch: 768 };
        }
        let families = random.pick(&FAMILIES);
        let mut plane = Plane::new(setup);
        let home = random.below(shards.into()) as u16;
        plane.create(home, forward(KEY, at(families.listen))).expect("a free port");
        let mut specs = Vec::new();
        for (index, rewrite) in rewrites(&mut random).into_iter().cycle().take(12).enumerate() {
            let ip = random.pick(families.receivers).parse().expect("an address");
            let address = SocketAddr::new(ip, 6000 + 2 * index as u16);
            let shard = random.below(shards.into()) as u16;
            let mut spec = destination(index as u64 + 1, shard, address);
            spec.rewrite = rewrite;
            let slot = plane.add(home, KEY, spec.clone()).expect("room");
            specs.push((spec, slot));
        }
        let (from, to) = (at(families.from), at(families.to));
        plane.network.set_path(from, Path::poor(&mut random));
        let mut source = Source::new(seed, from, to, to);
        source.sequence = 65_500;
        for _ in 0..40 {
            let packets = random.between(1, 15) as usize;
            source.send_frame(&mut plane, packets, 3000);
            plane.run_ms(random.below(20));
        }
        plane.settle();
        let taken = rtp_taken(&plane, from, to);
        assert!(taken.len() > 100, "only {} packets came", taken.len());
        for (spec, slot) in &specs {
            let expect: Vec<_> = taken.iter().map(|p| rewritten(p, &spec.rewrite)).collect();
            let sent = plane.sent_to(spec.rtp);
            assert_same(&rtp_sent(&sent), &expect, &spec.rtp.to_string());
            let mail = plane.take_mail(spec.rtp);
            assert_eq!(mail.len(), expect.len());
            let bytes: usize =
                mail.iter().map(|(_, packet)| view(&packet.bytes).bytes().len()).sum();
            let stats = plane.destination_stats(spec.shard, *slot);
            assert_eq!((stats.key, stats.forward), (spec.key, KEY));
            assert_eq!((stats.packets, stats.bytes), (expect.len() as u64, bytes as u64));
            assert_eq!((stats.dropped, stats.rtcp_packets), (0, 0));
        }
        let deliveries: u64 = plane.machines.iter().map(|machine| machine.deliveries).sum();
        assert_eq!(deliveries, plane.sent.len() as u64);
        let counted: u64 =
            (0..shards).map(|shard| plane.counter(shard, Counter::PacketsSent)).sum();
        assert_eq!(counted, plane.sent.len() as u64);
        plane.assert_no_leak();
    });
}

#[test]
fn packets_of_one_arrival_leave_in_as_few_runs_as_their_lengths_allow() {
    let mut plane = Plane::new(Setup::new(1, 1));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let mut rewrite = destination(2, 0, at("203.0.113.1:6002"));
    rewrite.rewrite.ssrc = Some(9);
    let identity = destination(1, 0, at("203.0.113.1:6000"));
    for spec in [&identity, &rewrite] {
        plane.add(0, KEY, spec.clone()).expect("room");
    }
    let from = at("198.51.100.1:4000");
    let mut source = Source::new(1, from, at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    let plain = |len: usize| {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        packet.resize(len, 7);
        packet
    };
    for len in [1200, 1200, 1200, 700, 300, 300, 12] {
        plane.send(source.rtp, source.to_rtp, plain(len));
    }
    source.send_bye(&mut plane);
    plane.settle();
    for spec in [identity, rewrite] {
        let sent = plane.sent_to(spec.rtp);
        let runs: Vec<usize> = sent.iter().map(|sent| sent.run).collect();
        assert_eq!(sent.len(), 7);
        let of_run = |n: usize| runs.iter().filter(|run| **run == runs[n]).count();
        assert_eq!((of_run(0), of_run(4)), (4, 3), "runs of {}: {runs:?}", spec.rtp);
    }
    assert_eq!(plane.counter(0, Counter::Sends), 4);
    assert_eq!(plane.counter(0, Counter::Runs4), 4);
}

#[test]
fn lengths_that_form_no_runs_do_not_stop_the_shard() {
    // Each packet is longer than the one before: as many runs as packets, for one destination more
    // than a batch holds.
    let mut plane = Plane::new(Setup::new(1, 2));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let mut specs = Vec::new();
    for (key, shard, ssrc) in [(1, 0, None), (2, 0, Some(1)), (3, 1, None), (4, 1, Some(2))] {
        let mut spec = destination(key, shard, at(&format!("203.0.113.1:{}", 6000 + 2 * key)));
        spec.rewrite.ssrc = ssrc;
        plane.add(0, KEY, spec.clone()).expect("room");
        specs.push(spec);
    }
    let (from, to) = (at("198.51.100.1:4000"), at("192.0.2.1:5004"));
    for len in 0..512_u16 {
        let mut packet = vec![0x80, 96];
        packet.extend(len.to_be_bytes());
        packet.resize(12 + usize::from(len), 1);
        plane.send(from, to, packet);
    }
    plane.settle();
    let taken = rtp_taken(&plane, from, to);
    assert_eq!(taken.len(), 512);
    for spec in specs {
        let expect: Vec<_> = taken.iter().map(|p| rewritten(p, &spec.rewrite)).collect();
        assert_same(&rtp_sent(&plane.sent_to(spec.rtp)), &expect, &spec.rtp.to_string());
    }
    plane.assert_no_leak();
}

#[test]
fn datagrams_longer_than_a_run_are_dropped_and_counted() {
    let mut setup = Setup::new(1, 2);
    setup.payload_bytes = 65_507;
    setup.buffers = 16;
    let mut plane = Plane::new(setup);
    let bound = plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    for shard in 0..2 {
        let address = at(&format!("203.0.113.1:600{}", 2 * shard));
        plane.add(0, KEY, destination(1 + u64::from(shard), shard, address)).expect("room");
    }
    let (from, to) = (at("198.51.100.1:4000"), at("192.0.2.1:5004"));
    for len in [65_507, 65_000, 65_001] {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        packet.resize(len, 7);
        plane.send(from, to, packet);
    }
    plane.settle();
    assert_eq!(plane.counter(0, Counter::DropTruncated), 2);
    assert_eq!(plane.forward_stats(0, bound.stats_slot).malformed, 2);
    assert_eq!(plane.sent.iter().map(|s| s.packet.bytes.len()).collect::<Vec<_>>(), [65_000; 2]);
    plane.assert_no_leak();
}

#[test]
fn thousands_of_destinations_over_two_shards() {
    let mut setup = Setup::new(3, 2);
    setup.room = BatchRoom { runs: 100, pieces: 2048, scratch: 8192 };
    let mut plane = Plane::new(setup);
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let address = |n: u16| SocketAddr::new([203, 0, 113, (n >> 8) as u8].into(), 10_000 + 2 * n);
    let specs: Vec<_> = (0..3000)
        .map(|n| {
            let mut spec = destination(u64::from(n) + 1, n % 2, address(n));
            spec.rewrite.ssrc = (n % 3 == 0).then_some(u32::from(n) + 1);
            spec
        })
        .collect();
    for spec in &specs {
        let forward = KEY;
        plane.submit(0, |request| ringway_abi::message::Command::AddDestination {
            request,
            forward,
            spec: spec.clone(),
        });
    }
    plane.settle();
    assert_eq!(plane.counter(0, Counter::Destinations), 1500);
    assert_eq!(plane.counter(1, Counter::Destinations), 1500);
    let (from, to) = (at("198.51.100.1:4000"), at("192.0.2.1:5004"));
    let mut source = Source::new(3, from, to, at("192.0.2.1:5005"));
    for _ in 0..3 {
        source.send_frame(&mut plane, 3, 3000);
        plane.step();
    }
    source.send_report(&mut plane, 1 << 40);
    plane.settle();
    let taken = rtp_taken(&plane, from, to);
    assert_eq!((taken.len(), plane.sent.len()), (9, 3000 * 10));
    let mut by_address = std::collections::HashMap::<_, Vec<_>>::new();
    for sent in plane.sent.iter().filter(|sent| is_rtp(&sent.packet.bytes)) {
        by_address.entry(sent.packet.to).or_default().push(sent.packet.bytes.clone());
    }
    for spec in &specs {
        let expect: Vec<_> = taken.iter().map(|p| rewritten(p, &spec.rewrite)).collect();
        assert_same(&by_address[&spec.rtp], &expect, &spec.rtp.to_string());
    }
    plane.assert_no_leak();
    plane.remove_forward(0, KEY);
    plane.settle();
    assert_eq!(plane.counter(0, Counter::Destinations), 0);
    assert_eq!(plane.counter(1, Counter::Destinations), 0);
    assert!(plane.host.is_free());
}

#[test]
fn refused_runs_are_taken_back_from_the_counts() {
    // EAGAIN, ECONNREFUSED, EPERM.
    for (errno, reason) in [
        (11, Counter::DropSendBuffer),
        (111, Counter::DropUnreachable),
        (1, Counter::DropSendError),
    ] {
        let mut plane = Plane::new(Setup::new(5, 2));
        plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
        let mut specs = Vec::new();
        for key in 1..=6_u16 {
            let address = at(&format!("203.0.113.1:{}", 6000 + 2 * key));
            let mut spec = destination(key.into(), key % 2, address);
            spec.rewrite.contiguous = key % 3 == 0;
            let slot = plane.add(0, KEY, spec.clone()).expect("room");
            specs.push((spec, slot));
        }
        plane.faults.permille = 300;
        plane.faults.errno = errno;
        let (from, to) = (at("198.51.100.1:4000"), at("192.0.2.1:5004"));
        let mut source = Source::new(5, from, to, at("192.0.2.1:5005"));
        for n in 0..50 {
            source.send_frame(&mut plane, 4, 3000);
            if n % 5 == 0 {
                source.send_report(&mut plane, 1 << 40);
            }
            plane.step();
        }
        plane.settle();
        let failed = |rtp: bool, to: SocketAddr, failed: bool| {
            let matches = plane.sent.iter().filter(|sent| {
                sent.packet.to == to && sent.failed == failed && is_rtp(&sent.packet.bytes) == rtp
            });
            matches.count() as u64
        };
        let mut expect = Vec::new();
        for (spec, slot) in &specs {
            let dropped = failed(true, spec.rtp, true) + failed(false, spec.rtcp, true);
            let sent = (failed(true, spec.rtp, false), failed(false, spec.rtcp, false));
            assert!(dropped > 0 && sent.0 > 0);
            expect.push((spec.shard, *slot, sent, dropped));
        }
        let all_failed = plane.sent.iter().filter(|sent| sent.failed).count() as u64;
        let sum = |plane: &Plane, c| plane.counter(0, c) + plane.counter(1, c);
        assert_eq!(sum(&plane, reason), all_failed);
        assert_eq!(sum(&plane, Counter::PacketsSent), plane.sent.len() as u64 - all_failed);
        for (shard, slot, (packets, rtcp), dropped) in expect {
            let stats = plane.destination_stats(shard, slot);
            assert_eq!(
                (stats.packets, stats.rtcp_packets, stats.dropped),
                (packets, rtcp, dropped)
            );
        }
        plane.assert_no_leak();
    }
}

#[test]
fn few_buffers_delay_packets_and_lose_none() {
    for_seeds(40, |seed| {
        let mut setup = Setup::new(seed, 1);
        setup.buffers = 8;
        let mut plane = Plane::new(setup);
        let mut spec = forward(KEY, at("0.0.0.0:5004"));
        spec.rtcp = RtcpInput::Mux;
        plane.create(0, spec).expect("a free port");
        let specs = [0, 1].map(|n: u16| {
            destination(u64::from(n) + 1, 0, at(&format!("203.0.113.1:{}", 6000 + 2 * n)))
        });
        for spec in &specs {
            plane.add(0, KEY, spec.clone()).expect("room");
        }
        let (from, to) = (at("198.51.100.1:4000"), at("192.0.2.1:5004"));
        let mut source = Source::new(seed, from, to, to);
        source.send_frame(&mut plane, 100, 3000);
        plane.step();
        assert!(plane.machines[0].queue.len() > 80, "the kernel keeps what has no buffer");
        plane.settle();
        let taken = rtp_taken(&plane, from, to);
        assert_eq!(taken.len(), 100);
        for spec in specs {
            assert_same(&rtp_sent(&plane.sent_to(spec.rtp)), &taken, &spec.rtp.to_string());
        }
        assert!(plane.now_ns() > STEP_NS);
        plane.assert_no_leak();
    });
}
