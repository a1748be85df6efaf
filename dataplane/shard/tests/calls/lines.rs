//! What a receiver sees under one SSRC goes on, whoever it comes from. `peer.rs` fails where a
//! number is used twice, and its transport refuses replays.

use ringway_abi::call::{CallCommand, SourceKind};
use ringway_wire::rtcp::NackEntry;
use ringway_wire::rtcp::write::write_nack;
use ringway_wire::rtp::RtpView;

use crate::world::{OPUS, VP8, World, route, rtp, source, vp8};

fn nack(world: &mut World, ssrc: u32, sequence: u16) {
    let mut out = [0; 64];
    let entry = NackEntry { packet_id: sequence, bitmask: 0 };
    let len = write_nack(&mut out, 1, ssrc, &[entry]).expect("room");
    world.send_rtcp(2, &out[..len]);
}

/// What came: SSRC, number and timestamp of each packet.
fn came(world: &mut World) -> Vec<(u32, u16, u32)> {
    let packets = world.peer(2).take_packets();
    let heads = packets.iter().map(|packet| {
        let view = RtpView::parse(packet).expect("RTP");
        (view.ssrc(), view.sequence(), view.timestamp())
    });
    heads.collect()
}

/// What ends a route.
enum End {
    /// Another one under its SSRC.
    Another,
    Route,
    Source,
}

#[test]
fn another_route_under_an_ssrc_goes_on_with_its_numbers() {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    world.ask(CallCommand::AddSource(source(11, 1, SourceKind::Camera, 600)));
    let mut sequence = 40_000;
    let mut last: Option<(u16, u32)> = None;
    let mut goes_on = |came: &[(u32, u16, u32)]| {
        for &(_, number, timestamp) in came {
            if let Some((number_before, timestamp_before)) = last {
                assert_eq!(number, number_before.wrapping_add(1));
                assert!(timestamp.wrapping_sub(timestamp_before) as i32 > 0);
            }
            last = Some((number, timestamp));
        }
        last.expect("something came").0
    };
    for (key, from, end) in [
        (20, 10, End::Another),
        (20, 10, End::Another),
        (21, 11, End::Route),
        (22, 10, End::Source),
        (23, 11, End::Another),
    ] {
        world.ask(CallCommand::AddRoute(route(key, from, 2, VP8, 900)));
        let ssrc = if from == 10 { 500 } else { 600 };
        for _ in 0..3 {
            sequence += 1;
            let timestamp = u32::from(sequence) * 3000;
            world.send(1, &rtp(VP8, ssrc, sequence, timestamp, &vp8(sequence & 0x7fff, true)));
            world.pass(20);
        }
        let media = came(&mut world);
        assert_eq!(media.len(), 3, "route {key}");
        let number = goes_on(&media);
        // Retransmissions have numbers of their own.
        nack(&mut world, 900, number);
        let repeated = came(&mut world);
        assert!(repeated.len() == 1 && repeated[0].0 == 901, "a repetition on route {key}");
        match end {
            End::Another => {}
            End::Route => world.ask(CallCommand::RemoveRoute { route: key }),
            End::Source => {
                world.ask(CallCommand::RemoveSource { source: from });
                world.pass(150);
                let black = came(&mut world);
                assert!(!black.is_empty());
                goes_on(&black);
            }
        }
    }
}

#[test]
fn without_rtx_the_same_octets_come_again() {
    for (kind, payload_type) in [(SourceKind::Audio, OPUS), (SourceKind::Camera, VP8)] {
        let mut world = World::connected(2);
        world.ask(CallCommand::SetExtensions {
            transport: 2,
            ids: [0, 0, 0, 0, 3, 5, 0, 0, 0, 0, 0],
        });
        world.ask(CallCommand::AddSource(source(10, 1, kind, 500)));
        let mut spec = route(20, 10, 2, payload_type, 900);
        (spec.rtx_ssrc, spec.rtx_payload_type) = (None, u8::MAX);
        world.ask(CallCommand::AddRoute(spec));
        world.send(1, &rtp(payload_type, 500, 1, 3000, &vp8(1, true)));
        world.pass(20);
        let (_, number, _) = came(&mut world)[0];
        let before = world.peer(2).repeated;
        nack(&mut world, 900, number);
        assert_eq!(world.peer(2).repeated, before + 1, "the packet comes again as it was");
        // Once packets look otherwise it could only come as other octets.
        world.pass(200);
        world.ask(CallCommand::SetExtensions {
            transport: 2,
            ids: [0, 0, 0, 0, 4, 5, 0, 0, 0, 0, 0],
        });
        nack(&mut world, 900, number);
        assert_eq!((world.peer(2).repeated, came(&mut world).len()), (before + 1, 0));
    }
}
