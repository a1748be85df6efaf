//! How long receivers are told to buffer.

use ringway_abi::call::{
    CallCommand, EXTENSION_KINDS, ExtensionKind, PlayoutBounds, RouteSpec, SourceKind,
};
use ringway_wire::extension::{ExtensionKind as Wire, ExtensionMap, Located};
use ringway_wire::extension_value::PlayoutDelay;
use ringway_wire::rtcp::write::{write_nack, write_receiver_report};
use ringway_wire::rtcp::{NackEntry, ReceiverReport, ReportBlock};
use ringway_wire::rtp::RtpView;

use crate::world::{VP8, World, route, rtp, source, vp8};

const ID: u8 = 6;

/// A camera's receiver that knows the extension, in a room with bounds.
fn watched(rtx: bool) -> World {
    let mut world = World::connected(2);
    let mut ids = [0; EXTENSION_KINDS];
    ids[ExtensionKind::PlayoutDelay as usize] = ID;
    world.ask(CallCommand::SetExtensions { transport: 2, ids });
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    let playout = Some(PlayoutBounds { min_ms: 100, max_ms: 500, adapts: true });
    let spec = RouteSpec { playout, ..route(20, 10, 2, VP8, 900) };
    let bare = RouteSpec { rtx_ssrc: None, rtx_payload_type: u8::MAX, ..spec };
    world.ask(CallCommand::AddRoute(if rtx { spec } else { bare }));
    world
}

/// What the receiver is told by all packets that have come: least and greatest delay, ms.
fn told(world: &mut World) -> Vec<Option<(u16, u16)>> {
    let mut map = ExtensionMap::default();
    map.insert(ID, Wire::PlayoutDelay);
    let read = |packet: Vec<u8>| {
        let view = RtpView::parse(&packet).expect("RTP");
        let data = Located::find(&view, &map);
        let delay = PlayoutDelay::read(data.get(&packet, Wire::PlayoutDelay)?)?;
        Some((delay.min_10ms * 10, delay.max_10ms * 10))
    };
    world.peer(2).take_packets().into_iter().map(read).collect()
}

fn send(world: &mut World, number: u16) -> Option<(u16, u16)> {
    let frame = rtp(VP8, 500, number, 3_000 * u32::from(number), &vp8(number, number == 1));
    world.send(1, &frame);
    let told = told(world);
    assert_eq!(told.len(), 1);
    told[0]
}

fn report(world: &mut World, highest: u16, jitter_ms: u32) {
    let block = ReportBlock {
        ssrc: 900,
        extended_highest_sequence: highest.into(),
        jitter: jitter_ms * 90,
        ..ReportBlock::default()
    };
    let mut out = [0; 64];
    let len = write_receiver_report(&mut out, &ReceiverReport { ssrc: 1 }, &[block]);
    world.send_rtcp(2, &out[..len.expect("room")]);
}

#[test]
fn they_are_told_until_they_have_heard_it_and_when_it_changes() {
    let mut world = watched(true);
    assert_eq!(send(&mut world, 1), Some((100, 500)));
    assert_eq!(send(&mut world, 2), Some((100, 500)));
    report(&mut world, 2, 0);
    assert_eq!(send(&mut world, 3), None);
    world.pass(1_000);
    report(&mut world, 3, 40);
    assert_eq!(send(&mut world, 4), Some((180, 500)));
    report(&mut world, 4, 18);
    assert_eq!(send(&mut world, 5), None);
}

#[test]
fn without_rtx_a_repetition_tells_what_the_packet_told() {
    let mut world = watched(false);
    assert_eq!(send(&mut world, 1), Some((100, 500)));
    report(&mut world, 1, 0);
    assert_eq!(send(&mut world, 2), None);
    world.pass(200);
    for number in [1, 2] {
        let before = world.peer(2).repeated;
        let mut out = [0; 64];
        let entry = NackEntry { packet_id: number, bitmask: 0 };
        let len = write_nack(&mut out, 1, 900, &[entry]).expect("room");
        world.send_rtcp(2, &out[..len]);
        // The very same octets: SRTP takes the repetition for a replay.
        assert_eq!(world.peer(2).repeated, before + 1, "{number}");
    }
    assert_eq!(told(&mut world), []);
}
