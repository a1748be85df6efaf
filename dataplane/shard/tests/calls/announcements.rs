//! What receivers get that learn of a track by packets alone, while its source sends none.

use ringway_abi::call::{CallCommand, Codec, RouteSpec, SourceSpec};
use ringway_wire::payload::{opus, red};
use ringway_wire::rtp::RtpView;

use crate::world::{
    H264, OPUS, PCMU, VP8, World, payload, route, rtp, source, usual_payloads, vp8,
};

const RED: u8 = 63;

/// Peer 2 is subscribed to a source that sends nothing.
fn waiting(payload_type: u8, red_payload_type: u8, announce: bool) -> World {
    let mut world = World::connected(2);
    let mut payloads = usual_payloads();
    payloads[4] = payload(RED, Codec::Red, None, 48_000);
    for transport in [1, 2] {
        world.ask(CallCommand::SetPayloads { transport, first: true, payloads });
    }
    let spec = route(20, 10, 2, payload_type, 900);
    let source = source(10, 1, spec.kind, 500);
    world.ask(CallCommand::AddSource(SourceSpec { muted: true, ..source }));
    world.ask(CallCommand::AddRoute(RouteSpec { announce, red_payload_type, ..spec }));
    world
}

/// Takes what came: packets one behind the other, of one payload type, whose time goes on; gives
/// their number and the last sequence number.
fn take(
    world: &mut World,
    payload_type: u8,
    is_empty: impl Fn(&RtpView<'_>) -> bool,
) -> (usize, u16) {
    let packets = world.peer(2).take_packets();
    let views: Vec<_> = packets.iter().map(|one| RtpView::parse(one).expect("RTP")).collect();
    for pair in views.windows(2) {
        assert_eq!(pair[1].sequence(), pair[0].sequence().wrapping_add(1));
        assert!(pair[1].timestamp().wrapping_sub(pair[0].timestamp()) as i32 > 0);
    }
    for view in &views {
        assert_eq!((view.ssrc(), view.payload_type()), (900, payload_type));
        assert!(is_empty(view), "{:?}", view.payload());
    }
    (views.len(), views.last().map_or(0, RtpView::sequence))
}

fn is_padding(view: &RtpView<'_>) -> bool {
    view.payload().is_empty() && view.padding() > 0 && !view.marker()
}

fn is_silence(view: &RtpView<'_>) -> bool {
    view.payload().starts_with(&opus::SILENCE)
}

fn is_red_silence(view: &RtpView<'_>) -> bool {
    let red = red::Red::parse(view.payload()).expect("RED");
    red.primary_type() == OPUS && view.payload()[red.primary()].starts_with(&opus::SILENCE)
}

#[test]
fn they_get_packets_for_a_while() {
    let check = |payload_type, red, expect: usize, is_empty: fn(&RtpView<'_>) -> bool| {
        let mut world = waiting(payload_type, red, true);
        let seen = if red < 128 { red } else { payload_type };
        world.pass(95);
        assert_eq!(take(&mut world, seen, is_empty).0, 0, "the source gets a chance");
        world.pass(8_000);
        assert_eq!(take(&mut world, seen, is_empty).0, expect, "{payload_type}");
        let mut world = waiting(payload_type, red, false);
        world.pass(8_000);
        assert_eq!(take(&mut world, seen, is_empty).0, 0, "{payload_type}");
    };
    check(VP8, u8::MAX, 50, is_padding);
    check(H264, u8::MAX, 50, is_padding);
    check(OPUS, u8::MAX, 250, is_silence);
    check(OPUS, RED, 250, is_red_silence);
    check(PCMU, u8::MAX, 250, |view| view.payload() == [0xff; 160]);
}

/// What the source sends goes on with them.
#[test]
fn they_end_with_the_first_packet_of_the_source() {
    let sound = (OPUS, &b"sound"[..], is_silence as fn(&RtpView<'_>) -> bool);
    for (payload_type, body, is_empty) in [sound, (VP8, &vp8(5, true), is_padding)] {
        let mut world = waiting(payload_type, u8::MAX, true);
        world.pass(1_000);
        let (count, last) = take(&mut world, payload_type, is_empty);
        assert!(count >= 9, "{count}");
        world.ask(CallCommand::SetSource { source: 10, muted: false });
        world.send(1, &rtp(payload_type, 500, 7, 90_000, body));
        world.pass(1_000);
        let packets = world.peer(2).take_packets();
        let views = packets.iter().map(|packet| RtpView::parse(packet).expect("RTP"));
        let all: Vec<_> = views.map(|view| view.sequence()).collect();
        assert_eq!(all, [last.wrapping_add(1)]);
    }
}

/// Nobody notices where the source sends from the beginning on.
#[test]
fn they_are_not_needed_where_packets_come() {
    let mut world = waiting(VP8, u8::MAX, true);
    world.ask(CallCommand::SetSource { source: 10, muted: false });
    world.send(1, &rtp(VP8, 500, 7, 90_000, &vp8(5, true)));
    world.pass(1_000);
    let packets = world.peer(2).take_packets();
    assert_eq!(packets.len(), 1);
    let view = RtpView::parse(&packets[0]).expect("RTP");
    assert_eq!((view.sequence(), view.timestamp(), view.payload()), (7, 90_000, &vp8(5, true)[..]));
}
