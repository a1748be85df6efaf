//! Loss on the way in: asked for, repaired by RTX, passed on where its number was kept for it.

use ringway_abi::call::{CallCommand, Layer, SourceKind, SourceSpec, Text};
use ringway_wire::rtcp::write::write_nack;
use ringway_wire::rtcp::{Compound, NackEntry, Packet};
use ringway_wire::rtp::RtpView;

use crate::world::{VP8, VP8_RTX, World, route, source, vp8};

/// Ids of the publisher's extensions.
const MID: u8 = 1;
const RID: u8 = 2;
const REPAIRED_RID: u8 = 3;

fn packet(
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
    names: &[(u8, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x90, 0x80 | payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(90_000_u32.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    let mut elements = Vec::new();
    for (id, name) in names {
        elements.push(id << 4 | (name.len() as u8 - 1));
        elements.extend(name.as_bytes());
    }
    elements.resize(elements.len().next_multiple_of(4), 0);
    bytes.extend([0xbe, 0xde, 0, elements.len() as u8 / 4]);
    bytes.extend(elements);
    bytes.extend(body);
    bytes
}

fn frame(number: u16) -> Vec<u8> {
    [&vp8(number, number == 1)[..], &[number as u8; 600]].concat()
}

/// The same behind its own number.
fn again(number: u16) -> Vec<u8> {
    [&number.to_be_bytes()[..], &frame(number)].concat()
}

#[test]
fn what_was_lost_comes_by_its_repaired_rid() {
    let mut world = World::connected(2);
    let ids = [MID, RID, REPAIRED_RID, 0, 0, 0, 0, 0, 0, 0, 0];
    world.ask(CallCommand::SetExtensions { transport: 1, ids });
    let layer = |rid: &str| Layer { rid: Text::new(rid.as_bytes()).expect("short"), ..Layer::ANY };
    let layers = [layer("q"), layer("h"), layer("f")];
    let spec = source(10, 1, SourceKind::Camera, 1);
    world.ask(CallCommand::AddSource(SourceSpec { layers, layer_count: 3, ..spec }));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, VP8, 900)));

    let media = [(MID, "0"), (RID, "h")];
    for number in (1..=12).filter(|number| number % 4 != 2) {
        world.send(1, &packet(VP8, 777, number, &media, &frame(number)));
    }
    world.pass(60);
    let mut wanted = Vec::new();
    for rtcp in &world.peer(1).rtcp {
        for packet in Compound::parse(rtcp).expect("RTCP").packets() {
            if let Packet::Nack(nack) = packet {
                assert_eq!(nack.media_ssrc, 777);
                wanted.extend(nack.entries().flat_map(|entry| entry.sequences()));
            }
        }
    }
    wanted.dedup();
    assert_eq!(wanted[..3], [2, 6, 10]);
    let mut numbers: Vec<u8> =
        world.peer(2).take_packets().iter().map(|p| p[p.len() - 1]).collect();
    assert_eq!(numbers, [1, 3, 4, 5, 7, 8, 9, 11, 12]);

    // The first one tells whose repetitions these are, the others need not.
    let repaired = [(MID, "0"), (REPAIRED_RID, "h")];
    world.send(1, &packet(VP8_RTX, 778, 50, &repaired, &again(2)));
    world.send(1, &packet(VP8_RTX, 778, 51, &[], &again(6)));
    // Repeated once more, it is known; padding that only probes repeats nothing.
    world.send(1, &packet(VP8_RTX, 778, 52, &[], &again(6)));
    world.send(1, &packet(VP8_RTX, 778, 53, &[], &[]));
    world.send(1, &packet(VP8_RTX, 778, 54, &[], &again(10)));
    let packets = world.peer(2).take_packets();
    for (packet, number) in packets.iter().zip([2_u16, 6, 10]) {
        let view = RtpView::parse(packet).expect("RTP");
        assert_eq!((view.ssrc(), view.sequence(), view.payload_type()), (900, number, VP8));
        assert_eq!(view.payload(), frame(number));
        numbers.push(number as u8);
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(1..=12), "{numbers:?}");
    // And goes out again from where it was kept.
    world.pass(200);
    let mut out = [0; 64];
    let entry = NackEntry { packet_id: 6, bitmask: 0 };
    let len = write_nack(&mut out, 1, 900, &[entry]).expect("room");
    world.send_rtcp(2, &out[..len]);
    let packets = world.peer(2).take_packets();
    let view = RtpView::parse(&packets[0]).expect("RTP");
    assert_eq!((packets.len(), view.ssrc(), &view.payload()[2..]), (1, 901, &frame(6)[..]));
}
