//! RTCP in both directions.

use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_abi::message::{DestinationSpec, Rewrite};
use ringway_sim::judge::{at, compound, destination, forward, rtp_sent, rtp_taken, view};
use ringway_sim::kernel::Sent;
use ringway_sim::network::Path;
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;
use ringway_wire::ntp;
use ringway_wire::rtcp::{FirEntry, Packet, Pli, ReceiverReport, ReportBlock, write};

const KEY: u64 = 7;
const NTP: u64 = 0x1122_3344_5566_7788;
const RTCP: &str = "192.0.2.1:5005";

fn plane(seed: u64) -> (Plane, Source, Vec<(DestinationSpec, u32)>) {
    let mut plane = Plane::new(Setup::new(seed, 2));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let line = Rewrite { contiguous: true, ..Rewrite::default() };
    let rewrites = [
        Rewrite::default(),
        Rewrite { ssrc: Some(5), ..Rewrite::default() },
        Rewrite { payload_type: Some(9), ..Rewrite::default() },
        line,
        Rewrite { ssrc: Some(6), ..line },
    ];
    let mut specs = Vec::new();
    for (n, rewrite) in (0_u16..).zip(rewrites.into_iter().cycle().take(20)) {
        let address = at(&format!("203.0.113.1:{}", 6000 + 2 * n));
        let mut spec = destination(u64::from(n) + 1, (n / 5) % 2, address);
        spec.rewrite = rewrite;
        if n >= 10 {
            spec.rtcp = spec.rtp;
        }
        let slot = plane.add(0, KEY, spec.clone()).expect("room");
        specs.push((spec, slot));
    }
    let source = Source::new(seed, at("198.51.100.1:4000"), at("192.0.2.1:5004"), at(RTCP));
    (plane, source, specs)
}

/// The RTCP among what was sent.
fn rtcp_sent<'a>(plane: &'a Plane, spec: &DestinationSpec) -> Vec<&'a Sent> {
    let mut sent = plane.sent_to(spec.rtcp);
    sent.retain(|sent| (200..=207).contains(&sent.packet.bytes[1]));
    sent
}

#[test]
fn sender_reports_are_translated() {
    for_seeds(8, |seed| {
        let (mut plane, mut source, specs) = plane(seed);
        let loss = Path { loss_permille: 100, ..Path::PERFECT };
        plane.network.set_path(source.rtp, loss);
        let first_ssrc = source.ssrc;
        let mut reports = Vec::new();
        for epoch in 0..3_u64 {
            for _ in 0..10 {
                source.send_frame(&mut plane, 3, 3000);
                plane.run_ms(33);
            }
            plane.settle();
            source.send_report(&mut plane, NTP + epoch);
            plane.settle();
            reports.push((source.ssrc, source.timestamp));
            if epoch < 2 {
                source.restart();
            }
        }
        let taken = rtp_taken(&plane, source.rtp, source.to_rtp);
        for (spec, slot) in &specs {
            let sent = plane.sent_to(spec.rtp);
            let reported = rtcp_sent(&plane, spec);
            assert_eq!(reported.len(), 3);
            for (epoch, report) in reported.iter().enumerate() {
                let from = if spec.rtp == spec.rtcp { 5004 } else { 5005 };
                assert_eq!(report.packet.from.port(), from);
                let before: Vec<&Sent> =
                    sent.iter().filter(|sent| sent.at_ns < report.at_ns).copied().collect();
                let before = rtp_sent(&before);
                let last = view(before.last().expect("packets went before"));
                let shift =
                    last.timestamp().wrapping_sub(view(&taken[before.len() - 1]).timestamp());
                let (ssrc, timestamp) = reports[epoch];
                let line = if spec.rewrite.contiguous { first_ssrc } else { ssrc };
                let ssrc = spec.rewrite.ssrc.unwrap_or(line);
                assert_eq!(last.ssrc(), ssrc);
                let octets: usize = before.iter().map(|packet| view(packet).payload().len()).sum();
                let packets = compound(&report.packet.bytes);
                let [Packet::SenderReport(report, blocks), Packet::Sdes(sdes)] = packets[..] else {
                    panic!("not a sender report with a name: {packets:?}");
                };
                assert!(blocks.is_empty());
                assert_eq!(sdes.cname(ssrc), Some(&b"source"[..]));
                assert_eq!((report.ssrc, report.ntp), (ssrc, NTP + epoch as u64));
                assert_eq!(report.rtp_timestamp, timestamp.wrapping_add(shift));
                assert_eq!(report.packet_count, before.len() as u32);
                assert_eq!(report.octet_count, octets as u32);
            }
            assert_eq!(plane.destination_stats(spec.shard, *slot).rtcp_packets, 3);
        }
        plane.assert_no_leak();
    });
}

#[test]
fn a_goodbye_ends_streams_but_no_line() {
    let (mut plane, mut source, specs) = plane(1);
    source.send_frame(&mut plane, 3, 3000);
    plane.settle();
    source.send_bye(&mut plane);
    plane.settle();
    for (spec, _) in &specs {
        let sent = rtcp_sent(&plane, spec);
        let byes: Vec<u32> = sent
            .iter()
            .flat_map(|sent| compound(&sent.packet.bytes))
            .filter_map(|packet| match packet {
                Packet::Bye(bye) => bye.sources().next(),
                _ => None,
            })
            .collect();
        let expect = match spec.rewrite {
            Rewrite { contiguous: true, .. } => vec![],
            Rewrite { ssrc, .. } => vec![ssrc.unwrap_or(source.ssrc)],
        };
        assert_eq!(byes, expect, "{:?}", spec.rewrite);
    }
}

/// A receiver report from `from` with one block.
fn send_block(plane: &mut Plane, from: SocketAddr, block: ReportBlock) {
    let mut out = vec![0; 64];
    let report = ReceiverReport { ssrc: 4242 };
    let len = write::write_receiver_report(&mut out, &report, &[block]).expect("room");
    out.truncate(len);
    plane.send(from, at(RTCP), out);
}

/// What reached the source: when it was sent, and its only block.
fn upstream(plane: &Plane, source: &Source) -> Vec<(u64, ReportBlock)> {
    let sent = plane.sent_to(source.rtcp);
    sent.into_iter()
        .map(|sent| match compound(&sent.packet.bytes)[..] {
            [Packet::ReceiverReport(report, blocks), Packet::Sdes(sdes)] => {
                assert!(sdes.cname(report.ssrc).is_some(), "our reports carry our name");
                assert_eq!((blocks.len(), sent.packet.from.port()), (1, 5005));
                (sent.at_ns, blocks.iter().next().expect("one"))
            }
            ref other => panic!("not a report upstream: {other:?}"),
        })
        .collect()
}

#[test]
fn the_source_hears_one_receiver_the_worst() {
    let (mut plane, mut source, specs) = plane(1);
    let block = |spec: &DestinationSpec, fraction_lost, cumulative_lost, jitter| ReportBlock {
        ssrc: spec.rewrite.ssrc.unwrap_or(source.ssrc),
        fraction_lost,
        cumulative_lost,
        jitter,
        ..ReportBlock::default()
    };
    // On the home shard, on the other, and one whose report speaks of another stream.
    let blocks = [
        (specs[1].0.rtcp, block(&specs[1].0, 10, 5, 1)),
        (specs[5].0.rtcp, block(&specs[5].0, 3, 50, 2)),
        (specs[3].0.rtcp, block(&specs[3].0, 1, -4, 70)),
        (specs[0].0.rtcp, ReportBlock { ssrc: 1, fraction_lost: 255, ..ReportBlock::default() }),
    ];
    let mut report_taken_ns = 0;
    for n in 0..1000_u64 {
        source.send_audio(&mut plane, 160, 160);
        if n % 50 == 0 && n < 500 {
            blocks.iter().for_each(|(from, block)| send_block(&mut plane, *from, *block));
        }
        if n == 10 {
            source.send_report(&mut plane, NTP);
            plane.run_ms(1);
            report_taken_ns = plane.now_ns();
            plane.run_ms(19);
            continue;
        }
        plane.run_ms(20);
    }
    let reports = upstream(&plane, &source);
    // 20 s of packets: the first report may come at once, one more every five seconds.
    assert!((4..=5).contains(&reports.len()), "{} reports", reports.len());
    for pair in reports.windows(2) {
        let apart_ms = (pair[1].0 - pair[0].0) / 1_000_000;
        assert!((4_950..=5_050).contains(&apart_ms), "reports {apart_ms} ms apart");
    }
    for (at_ns, block) in &reports {
        assert_eq!(block.ssrc, source.ssrc);
        if *at_ns < report_taken_ns {
            assert_eq!((block.last_sr, block.delay_since_last_sr), (0, 0));
            continue;
        }
        assert_eq!(block.last_sr, ntp::middle(NTP));
        let delay = ntp::short_from_ns(at_ns - report_taken_ns);
        assert!(block.delay_since_last_sr.abs_diff(delay) <= 1, "{block:?} {delay}");
        assert_eq!((block.fraction_lost, block.cumulative_lost, block.jitter), (10, 50, 70));
    }
    // The receivers fall silent; their figures go stale. Then the source falls silent too.
    for _ in 0..600 {
        source.send_audio(&mut plane, 160, 160);
        plane.run_ms(20);
    }
    let reports = upstream(&plane, &source);
    let (_, last) = reports.last().expect("reports");
    assert_eq!((last.fraction_lost, last.cumulative_lost), (0, 0));
    assert!(last.jitter < 10, "{last:?}");
    plane.run_ms(6_000);
    let count = upstream(&plane, &source).len();
    plane.run_ms(20_000);
    assert_eq!(upstream(&plane, &source).len(), count, "nobody is told about silence");
}

#[test]
fn own_loss_is_reported_and_counted() {
    for_seeds(4, |seed| {
        let mut plane = Plane::new(Setup::new(seed, 1));
        let bound = plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
        let mut source = Source::new(seed, at("198.51.100.1:4000"), at("192.0.2.1:5004"), at(RTCP));
        source.sequence = 65_400;
        let first = u64::from(source.sequence);
        plane.network.set_path(source.rtp, Path { loss_permille: 100, ..Path::PERFECT });
        for _ in 0..900 {
            source.send_audio(&mut plane, 160, 160);
            plane.run_ms(20);
        }
        plane.settle();
        let taken = rtp_taken(&plane, source.rtp, source.to_rtp);
        let number = |packet: &Vec<u8>| {
            let sequence = u64::from(view(packet).sequence());
            if sequence < first { sequence + 65_536 } else { sequence }
        };
        let of = |packets: &[Vec<u8>]| {
            let expected = number(packets.last().expect("some")) - number(&taken[0]) + 1;
            (expected, expected - packets.len() as u64)
        };
        let (_, lost) = of(&taken);
        assert_eq!(plane.forward_stats(0, bound.stats_slot).lost, lost);
        let mut before = (0, 0);
        for (at_ns, block) in upstream(&plane, &source) {
            let count = plane.taken.iter().filter(|taken| taken.at_ns <= at_ns).count();
            let now = of(&taken[..count]);
            let fraction = (now.1 - before.1) * 256 / (now.0 - before.0);
            assert_eq!(u64::from(block.fraction_lost), fraction);
            assert_eq!(block.cumulative_lost as u64, now.1);
            let highest = number(&taken[count - 1]) as u32;
            assert_eq!(block.extended_highest_sequence, highest);
            before = now;
        }
        // A restart forgets nothing that was lost.
        source.sequence = source.sequence.wrapping_add(30_000);
        plane.network.set_path(source.rtp, Path::PERFECT);
        for _ in 0..5 {
            source.send_audio(&mut plane, 160, 160);
            plane.run_ms(20);
        }
        assert_eq!(plane.forward_stats(0, bound.stats_slot).lost, lost);
    });
}

#[test]
fn key_frames_are_asked_for_but_not_too_often() {
    let (mut plane, mut source, specs) = plane(1);
    source.send_frame(&mut plane, 3, 3000);
    plane.settle();
    let pli = |plane: &mut Plane, from| {
        let mut out = vec![0; 12];
        let pli = Pli { sender_ssrc: 1, media_ssrc: 2 };
        write::write_pli(&mut out, &pli).expect("room");
        plane.send(from, at(RTCP), out);
    };
    let fir = |plane: &mut Plane, from| {
        let mut out = vec![0; 20];
        write::write_fir(&mut out, 1, &[FirEntry { ssrc: 2, sequence: 9 }]).expect("room");
        plane.send(from, at(RTCP), out);
    };
    // Every 100 ms for 2 s, by any destination on any shard: one in 500 ms is passed on.
    for n in 0..20_usize {
        let from = specs[n % 10].0.rtcp;
        if n % 2 == 0 {
            pli(&mut plane, from)
        } else {
            fir(&mut plane, from)
        }
        // One that is no destination is not heard.
        pli(&mut plane, at("203.0.113.99:6001"));
        plane.run_ms(100);
    }
    let asked: Vec<_> = plane.sent_to(source.rtcp);
    let mut numbers = Vec::new();
    for sent in &asked {
        let packets = compound(&sent.packet.bytes);
        let [Packet::ReceiverReport(..), Packet::Pli(pli), Packet::Fir(fir)] = packets[..] else {
            panic!("not a request for a key frame: {packets:?}");
        };
        assert_eq!(pli.media_ssrc, source.ssrc);
        let entries: Vec<_> = fir.entries().collect();
        assert_eq!((entries.len(), entries[0].ssrc), (1, source.ssrc));
        numbers.push(entries[0].sequence);
    }
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn receiver_reports_become_figures_of_their_destination() {
    let (mut plane, mut source, specs) = plane(1);
    let path = Path { delay_ns: 10_000_000, ..Path::PERFECT };
    source.send_frame(&mut plane, 3, 3000);
    plane.settle();
    // A line keeps its first source's SSRC, and is reported under it.
    let first = source.ssrc;
    source.restart();
    source.send_frame(&mut plane, 3, 3000);
    plane.settle();
    // One on each shard, one with a line of its own choosing, one whose RTCP shares the RTP port.
    for index in [0, 5, 8, 12] {
        let (spec, slot) = &specs[index];
        plane.network.set_path(spec.rtcp, path);
        source.send_report(&mut plane, NTP + index as u64);
        plane.settle();
        plane.take_mail(spec.rtcp);
        let heard_ns = rtcp_sent(&plane, spec).last().expect("a report").at_ns + path.delay_ns;
        plane.run_ms(300);
        let line = if spec.rewrite.contiguous { first } else { source.ssrc };
        let block = ReportBlock {
            ssrc: spec.rewrite.ssrc.unwrap_or(line),
            fraction_lost: 7,
            cumulative_lost: 77,
            jitter: 777,
            last_sr: ntp::middle(NTP + index as u64),
            delay_since_last_sr: ntp::short_from_ns(plane.now_ns() - heard_ns),
            ..ReportBlock::default()
        };
        send_block(&mut plane, spec.rtcp, block);
        plane.settle();
        let stats = plane.destination_stats(spec.shard, *slot);
        assert_eq!((stats.reports, stats.fraction_lost, stats.lost, stats.jitter), (1, 7, 77, 777));
        // 10 ms there, 10 ms back, and the time that the turns of two shards take.
        assert!((20_000..=23_000).contains(&stats.round_trip_us), "{stats:?}");
        let age_ms = (plane.now().unix_ns - stats.last_report_ns) / 1_000_000;
        assert!(age_ms < 10, "{age_ms} ms ago");
    }
}

#[test]
fn what_was_removed_is_no_longer_heard() {
    let (mut plane, mut source, specs) = plane(1);
    source.send_frame(&mut plane, 3, 3000);
    plane.settle();
    for index in [0, 5, 12] {
        let spec = &specs[index].0;
        plane.remove(0, KEY, spec.key);
        let before = plane.counter(0, Counter::DropSource);
        send_block(&mut plane, spec.rtcp, ReportBlock::default());
        plane.settle();
        assert_eq!(plane.counter(0, Counter::DropSource), before + 1, "{}", spec.rtcp);
    }
    let heard = plane.counter(0, Counter::RtcpReceived);
    send_block(&mut plane, specs[1].0.rtcp, ReportBlock::default());
    plane.settle();
    assert_eq!(plane.counter(0, Counter::RtcpReceived), heard + 1);
}
