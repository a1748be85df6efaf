//! A frame whose packets differ by an octet leaves in one run; who has no RTX gets it as it came.

use ringway_abi::call::{CallCommand, RouteSpec, SourceKind};
use ringway_abi::counters::Counter;
use ringway_shard::call::MOST_PADDING_OCTETS;
use ringway_wire::rtp::RtpView;

use crate::world::{VP8, World, route, rtp, source, vp8};

/// Octets of the payloads of one frame, as an encoder cuts it.
const LENGTHS: [usize; 6] = [600, 600, 601, 601, 601, 400];

fn frame(first: u16) -> Vec<Vec<u8>> {
    let packet = |(at, len): (usize, usize)| {
        let mut body = vp8(first, true);
        if at > 0 {
            body[0] &= !0x10; // Not the first of its partition.
        }
        body.resize(len, at as u8 + 1);
        let mut packet = rtp(VP8, 777, first + at as u16, 3_000, &body);
        if at + 1 < LENGTHS.len() {
            packet[1] &= 0x7f;
        }
        packet
    };
    LENGTHS.into_iter().enumerate().map(packet).collect()
}

fn check(most: usize, route: RouteSpec, runs_wanted: u64, padding_wanted: [usize; 6]) {
    let mut world = World::connected(2);
    world.calls.limit_padding(most);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 777)));
    world.ask(CallCommand::AddRoute(route));
    world.settle();
    let runs = |world: &World| {
        // Runs of two and more; what transports say themselves goes out alone.
        world.counters.get(Counter::Sends) - world.counters.get(Counter::Runs1)
    };
    let before = runs(&world);
    let came = frame(1);
    for packet in &came {
        let peer = world.peer(1);
        let (from, sealed) = (peer.address, peer.seal(packet));
        world.arrive(from, &sealed);
    }
    world.settle();
    assert_eq!(runs(&world) - before, runs_wanted);
    let got = world.peer(2).take_packets();
    assert_eq!(got.len(), came.len());
    for ((came, got), padding) in came.iter().zip(&got).zip(padding_wanted) {
        let (came, got) = (RtpView::parse(came).expect("RTP"), RtpView::parse(got).expect("RTP"));
        assert_eq!(got.padding(), padding);
        assert_eq!(got.payload()[4..], came.payload()[4..], "behind the descriptor");
    }
}

#[test]
fn a_frame_leaves_in_one_run() {
    for most in [1, MOST_PADDING_OCTETS, usize::MAX] {
        check(most, route(20, 10, 2, VP8, 900), 1, [1, 1, 0, 0, 0, 0]);
    }
}

#[test]
fn where_padding_is_off_it_leaves_as_it_came() {
    check(0, route(20, 10, 2, VP8, 900), 2, [0; 6]);
}

#[test]
fn without_rtx_it_leaves_as_it_came() {
    let plain = route(20, 10, 2, VP8, 900);
    let plain = RouteSpec { rtx_ssrc: None, rtx_payload_type: u8::MAX, ..plain };
    check(MOST_PADDING_OCTETS, plain, 2, [0; 6]);
}
