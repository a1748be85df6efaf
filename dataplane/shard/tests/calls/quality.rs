//! How well media travelled, as the control plane hears it.

use ringway_abi::call::{CallCommand, CallEvent, SourceKind, Subject};
use ringway_wire::rtcp::write::{write_receiver_report, write_sender_report};
use ringway_wire::rtcp::{Compound, Packet, ReceiverReport, ReportBlock, SenderReport};
use ringway_wire::rtp::RtpView;

use crate::world::{OPUS, World, route, rtp, source};

/// Plays two windows of sound of which every tenth packet is lost on the way in; the receiver
/// reports `lost` of a hundred. Gives what was told of the last window: expected, lost, and the
/// round trip in ms.
fn told(lost: u32) -> [Option<(u32, u32, u32)>; 2] {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    let mut heard = None;
    let mut found = [None; 2];
    let mut highest = 0;
    for sequence in 0..900_u16 {
        if sequence % 10 != 9 {
            let timestamp = 960 * u32::from(sequence);
            world.send(1, &rtp(OPUS, 500, sequence, timestamp, b"sound"));
        }
        if let Some(packet) = world.peer(2).take_packets().last() {
            highest = u32::from(RtpView::parse(packet).expect("RTP").sequence());
        }
        world.pass(20);
        if sequence % 50 == 0 {
            let lost = i32::from(sequence) * lost as i32 / 100;
            exchange_reports(&mut world, &mut heard, highest, lost);
        }
        for event in std::mem::take(&mut world.events) {
            let CallEvent::Quality { subject, expected, lost, rtt_us, .. } = event else {
                continue;
            };
            let place = usize::from(matches!(subject, Subject::Route(20)));
            assert!(matches!(subject, Subject::Route(20) | Subject::Source(10)));
            found[place] = Some((expected, lost, rtt_us / 1000));
        }
    }
    found
}

/// The publisher reports, and 40 ms later the subscriber, who says that it heard of the last report
/// that was passed on 30 ms after it left. `heard` is that report's NTP time and when it left.
fn exchange_reports(world: &mut World, heard: &mut Option<(u64, u64)>, highest: u32, lost: i32) {
    let mut out = [0; 128];
    let report = SenderReport {
        ssrc: 500,
        ntp: world.now.unix_ns << 4,
        rtp_timestamp: 1,
        packet_count: 1,
        octet_count: 1,
    };
    let len = write_sender_report(&mut out, &report, &[]).expect("room");
    world.peer(2).rtcp.clear();
    world.send_rtcp(1, &out[..len]);
    if let Some(rtcp) = world.peer(2).rtcp.pop() {
        let compound = Compound::parse(&rtcp).expect("RTCP");
        let ntp = compound.packets().find_map(|packet| match packet {
            Packet::SenderReport(report, _) => Some(report.ntp),
            _ => None,
        });
        *heard = ntp.map(|ntp| (ntp, world.now.mono_ns));
    }
    world.pass(40);
    let (ntp, left_ns) = heard.expect("the first report is passed on");
    let waited_ms = (world.now.mono_ns - left_ns) / 1_000_000 - 30;
    let block = ReportBlock {
        ssrc: 900,
        fraction_lost: 0,
        cumulative_lost: lost,
        extended_highest_sequence: highest,
        jitter: 96,
        last_sr: (ntp >> 16) as u32,
        delay_since_last_sr: (waited_ms * 65_536 / 1_000) as u32,
    };
    let len = write_receiver_report(&mut out, &ReceiverReport { ssrc: 2 }, &[block]).expect("room");
    world.send_rtcp(2, &out[..len]);
}

#[test]
fn every_five_seconds() {
    let [source, route] = told(0);
    let (expected, lost, _) = source.expect("the source is told of");
    assert!((200..=260).contains(&expected), "{expected}");
    assert!((expected / 10).abs_diff(lost) <= 2, "{lost} of {expected}");
    let (expected, lost, round_trip_ms) = route.expect("the route is told of");
    assert!((150..=300).contains(&expected) && lost == 0, "{lost} of {expected}");
    assert!((29..=31).contains(&round_trip_ms), "{round_trip_ms} ms");
    let [_, route] = told(4);
    let (_, lost, _) = route.expect("the route is told of");
    assert!((6..=14).contains(&lost), "{lost}");
}
