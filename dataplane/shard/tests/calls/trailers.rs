//! What clients append to pictures, and receivers that do not know it.

use ringway_abi::call::{CallCommand, RouteSpec, SourceKind};
use ringway_wire::rtcp::NackEntry;
use ringway_wire::rtcp::write::write_nack;
use ringway_wire::rtp::RtpView;

use crate::world::{VP8, World, route, rtp, source, vp8};

/// A frame's number, and what says that it is one.
const TRAILER: [u8; 11] = [
    0xff ^ 2,
    0xff ^ 4,
    0xff,
    0xff,
    0xff,
    0xff ^ 7, // frame 7
    0xff ^ 11,
    b'L',
    b'K',
    b'T',
    b'S',
];

fn last_payload(world: &mut World, peer: u64) -> Vec<u8> {
    let packets = world.peer(peer).take_packets();
    let packet = packets.last().expect("a packet");
    RtpView::parse(packet).expect("RTP").payload().to_vec()
}

#[test]
fn who_does_not_know_trailers_gets_none_not_even_again() {
    let mut world = World::connected(3);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    let ignorant = route(20, 10, 2, VP8, 900);
    world.ask(CallCommand::AddRoute(RouteSpec { cut_trailer: true, ..ignorant }));
    world.ask(CallCommand::AddRoute(route(30, 10, 3, VP8, 910)));

    let bare = [&vp8(5, true)[..], b"picture"].concat();
    let frame = [&bare[..], &TRAILER].concat();
    // Within a frame, the same octets are its picture's.
    let mut inside = rtp(VP8, 500, 7, 90_000, &frame);
    inside[1] &= 0x7f;
    world.send(1, &inside);
    assert_eq!(last_payload(&mut world, 2), frame);
    world.peer(3).take_packets();

    world.send(1, &rtp(VP8, 500, 8, 90_000, &frame));
    assert_eq!(last_payload(&mut world, 2), bare);
    assert_eq!(last_payload(&mut world, 3), frame);

    world.pass(200);
    let mut out = [0; 64];
    let entry = NackEntry { packet_id: 8, bitmask: 0 };
    let len = write_nack(&mut out, 1, 900, &[entry]).expect("room");
    world.send_rtcp(2, &out[..len]);
    let again = last_payload(&mut world, 2);
    assert_eq!(again, [&8_u16.to_be_bytes()[..], &bare].concat());
}
