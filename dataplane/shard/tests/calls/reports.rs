//! Sender reports that reach subscribers.

use ringway_abi::call::{CallCommand, SourceKind};
use ringway_wire::rtcp::write::write_sender_report;
use ringway_wire::rtcp::{Compound, Packet, SenderReport};

use crate::world::{OPUS, VP8, World, route, rtp, source, vp8};

/// The publisher says that at the NTP time `ntp` its clock stood at `timestamp`.
fn report(world: &mut World, ntp: u64, timestamp: u32) {
    let report =
        SenderReport { ssrc: 500, ntp, rtp_timestamp: timestamp, packet_count: 9, octet_count: 99 };
    let mut out = [0; 64];
    let len = write_sender_report(&mut out, &report, &[]).expect("room");
    world.send_rtcp(1, &out[..len]);
}

/// Takes what the subscriber was told: NTP time, timestamp and packets.
fn told(world: &mut World) -> Vec<(u64, u32, u32)> {
    let mut all = Vec::new();
    for rtcp in std::mem::take(&mut world.peer(2).rtcp) {
        all.extend(Compound::parse(&rtcp).expect("RTCP").packets().filter_map(|one| match one {
            Packet::SenderReport(report, _) if report.ssrc == 900 => {
                Some((report.ntp, report.rtp_timestamp, report.packet_count))
            }
            _ => None,
        }));
    }
    all
}

/// Whoever subscribes need not wait for the publisher's next report: browsers make one of sound
/// every 5 s, and until then nobody knows which sound belongs to which picture.
#[test]
fn the_last_one_comes_with_the_first_packet() {
    let key = vp8(5, true);
    for (kind, payload_type, body) in
        [(SourceKind::Audio, OPUS, &b"sound"[..]), (SourceKind::Camera, VP8, &key)]
    {
        for held in [false, true] {
            let mut world = World::connected(2);
            if held {
                world.calls.hold_sound(2_000_000, 0);
            }
            world.ask(CallCommand::AddSource(source(10, 1, kind, 500)));
            world.send(1, &rtp(payload_type, 500, 6, 90_000, body));
            report(&mut world, 77 << 32, 90_500);
            world.pass(1_000);
            world.ask(CallCommand::AddRoute(route(20, 10, 2, payload_type, 900)));
            world.pass(100);
            assert_eq!(told(&mut world), []);
            world.send(1, &rtp(payload_type, 500, 7, 93_000, body));
            world.send(1, &rtp(payload_type, 500, 8, 96_000, body));
            world.pass(100);
            let first = told(&mut world);
            assert_eq!(
                first.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(),
                [(77 << 32, 90_500)]
            );
            // The next ones are as seldom as ever.
            report(&mut world, 78 << 32, 140_500);
            world.pass(3_500);
            assert_eq!(told(&mut world), []);
            world.pass(600);
            report(&mut world, 83 << 32, 440_500);
            world.pass(100);
            assert_eq!(told(&mut world), [(83 << 32, 440_500, 2)]);
        }
    }
}

/// Where there is none, there is none to be sent.
#[test]
fn none_is_made_up() {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    world.send(1, &rtp(OPUS, 500, 7, 93_000, b"sound"));
    world.pass(6_000);
    assert_eq!(told(&mut world), []);
    report(&mut world, 77 << 32, 90_500);
    world.pass(100);
    assert_eq!(told(&mut world), [(77 << 32, 90_500, 1)]);
}
