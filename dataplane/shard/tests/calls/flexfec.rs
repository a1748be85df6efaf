//! Pictures that are lost on the way in and recovered from the repairs that come along.

use ringway_abi::call::{CallCommand, Layer, SourceKind, SourceSpec};
use ringway_abi::counters::Counter;
use ringway_wire::rtcp::{Compound, Packet};
use ringway_wire::rtp::RtpView;

use crate::world::{VP8, VP8_RTX, World, route, rtp, source, vp8};

const MEDIA: u32 = 500;
const RTX: u32 = 501;
const FEC: u32 = 502;
/// Nobody has to know it: repairs are told by their SSRC.
const FEC_TYPE: u8 = 115;
/// Id of the transport-wide number.
const NUMBER: u8 = 5;

/// A camera at 1, who pairs repairs with it if `paired`, watched by 2.
fn watched(paired: bool) -> World {
    let mut world = World::connected(2);
    let ids = [0, 0, 0, 0, 0, NUMBER, 0, 0, 0, 0, 0];
    world.ask(CallCommand::SetExtensions { transport: 1, ids });
    world.ask(CallCommand::AddSource(camera(paired)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, VP8, 900)));
    world
}

fn camera(paired: bool) -> SourceSpec {
    let mut spec = source(10, 1, SourceKind::Camera, MEDIA);
    let fec_ssrc = paired.then_some(FEC);
    spec.layers[0] = Layer { ssrc: Some(MEDIA), rtx_ssrc: Some(RTX), fec_ssrc, ..Layer::ANY };
    spec
}

/// A packet under the transport-wide `number`, with `padding` octets of padding.
fn numbered(bare: &[u8], number: u16, padding: u8) -> Vec<u8> {
    let mut packet = bare.to_vec();
    let [high, low] = number.to_be_bytes();
    packet.splice(12..12, [0xbe, 0xde, 0, 1, NUMBER << 4 | 1, high, low, 0]);
    packet[0] |= 0x10;
    if padding > 0 {
        packet[0] |= 0x20;
        packet.resize(packet.len() + usize::from(padding) - 1, 0);
        packet.push(padding);
    }
    packet
}

/// Packet `sequence` of the camera, each a frame and longer than the one before; some are padded.
fn packet(sequence: u16, number: u16) -> Vec<u8> {
    let bare = rtp(VP8, MEDIA, sequence, u32::from(sequence) * 3000, &frame(sequence));
    numbered(&bare, number, if sequence.is_multiple_of(3) { 5 } else { 0 })
}

fn frame(sequence: u16) -> Vec<u8> {
    let body = vec![sequence as u8; usize::from(sequence % 50)];
    [&vp8(sequence, sequence % 1000 == 1)[..], &body].concat()
}

/// The payload of a repair of packets `base` and those that follow by `mask`, up to 15 of them.
fn repair(base: u16, mask: u16) -> Vec<u8> {
    let protected: Vec<Vec<u8>> = (0..15)
        .filter(|at| mask >> at & 1 == 1)
        .map(|at| packet(base.wrapping_add(at), 0))
        .collect();
    let longest = protected.iter().map(Vec::len).max().expect("something is protected");
    let mut bytes = vec![0; 20 + longest - 12];
    let mut xor = |at: usize, from: &[u8]| {
        bytes[at..].iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
    };
    for packet in &protected {
        xor(0, &[packet[0] & 0x3f, packet[1]]);
        xor(2, &(packet.len() as u16 - 12).to_be_bytes());
        xor(4, &packet[4..8]);
        xor(20, &packet[12..]);
    }
    bytes[8] = 1;
    bytes[12..16].copy_from_slice(&MEDIA.to_be_bytes());
    bytes[16..18].copy_from_slice(&base.to_be_bytes());
    bytes[18..20].copy_from_slice(&(mask.reverse_bits() >> 1 | 0x8000).to_be_bytes());
    bytes
}

fn send_repair(world: &mut World, sequence: u16, number: u16, payload: &[u8]) {
    world.send(1, &numbered(&rtp(FEC_TYPE, FEC, sequence, 0, payload), number, 0));
}

/// Payloads of what came to the viewer since the last call, in the order of its numbers; these
/// have no gap but where `gaps`.
fn seen(world: &mut World, gaps: bool) -> Vec<Vec<u8>> {
    let packets = world.peer(2).take_packets();
    let views = packets.iter().map(|packet| RtpView::parse(packet).expect("RTP"));
    let mut all: Vec<(u16, Vec<u8>)> = views
        .map(|view| {
            assert_eq!((view.ssrc(), view.payload_type()), (900, VP8));
            (view.sequence(), view.payload().to_vec())
        })
        .collect();
    all.sort_unstable();
    let follow = |pair: &[(u16, Vec<u8>)]| pair[1].0 == pair[0].0.wrapping_add(1);
    assert!(gaps || all.windows(2).all(follow));
    all.into_iter().map(|one| one.1).collect()
}

/// Numbers that the publisher was asked for again, and how many arrivals it was told of.
fn told(world: &mut World) -> (Vec<u16>, usize) {
    let (mut asked, mut arrived) = (Vec::new(), 0);
    for rtcp in std::mem::take(&mut world.peer(1).rtcp) {
        for packet in Compound::parse(&rtcp).expect("RTCP").packets() {
            match packet {
                Packet::Nack(nack) => {
                    asked.extend(nack.entries().flat_map(|entry| entry.sequences()));
                }
                Packet::Twcc(feedback) => arrived += feedback.arrived(),
                _ => {}
            }
        }
    }
    asked.sort_unstable();
    asked.dedup();
    (asked, arrived)
}

fn counts(world: &World) -> [u64; 4] {
    let all = [Counter::FecReceived, Counter::FecRecovered, Counter::DropFec, Counter::DropSsrc];
    all.map(|counter| world.counters.get(counter))
}

fn frames(numbers: impl IntoIterator<Item = u16>) -> Vec<Vec<u8>> {
    numbers.into_iter().map(frame).collect()
}

#[test]
fn what_was_lost_comes_without_asking() {
    // One that is shorter than the others, one that is padded, the newest of all.
    for lost in 2..=4_u16 {
        let mut world = watched(true);
        for sequence in (1..=4).filter(|sequence| *sequence != lost) {
            world.send(1, &packet(sequence, sequence));
        }
        send_repair(&mut world, 1, lost, &repair(1, 0b1111));
        assert_eq!(seen(&mut world, false), frames(1..=4), "{lost}");
        world.pass(200);
        // The transport-wide number of the repair is the one that the lost packet might have had:
        // its sender hears of four arrivals.
        assert_eq!(told(&mut world), (vec![], 4), "{lost}");
        // It comes late after all: no news.
        world.send(1, &packet(lost, 5));
        assert!(seen(&mut world, true).is_empty());
        assert_eq!(counts(&world), [1, 1, 0, 0]);
    }
}

#[test]
fn one_repair_makes_another_useful() {
    let mut world = watched(true);
    // 3 and 4 are lost. The first repair waits for the second, which has 3 and 5.
    world.send(1, &packet(1, 1));
    world.send(1, &packet(2, 2));
    send_repair(&mut world, 1, 3, &repair(1, 0b1111));
    world.send(1, &packet(5, 4));
    assert_eq!(seen(&mut world, true), frames([1, 2, 5]));
    send_repair(&mut world, 2, 5, &repair(3, 0b101));
    assert_eq!(seen(&mut world, true), frames([3, 4]));
    world.pass(200);
    assert_eq!(told(&mut world).0, [0_u16; 0]);
    assert_eq!(counts(&world), [2, 2, 0, 0]);
    // A source that is no longer repaired knows nobody who repairs it.
    world.ask(CallCommand::AddSource(camera(false)));
    send_repair(&mut world, 3, 6, &repair(1, 0b1));
    assert_eq!(counts(&world), [2, 2, 0, 1]);
}

#[test]
fn what_cannot_be_recovered_is_asked_for() {
    let mut world = watched(true);
    for sequence in [1, 4, 5] {
        world.send(1, &packet(sequence, sequence));
    }
    // 2 and 3 are lost, and one repair is not enough for both.
    send_repair(&mut world, 1, 6, &repair(1, 0b1111));
    world.pass(60);
    assert_eq!(seen(&mut world, true), frames([1, 4, 5]));
    assert_eq!(told(&mut world).0, [2, 3]);
    // What is sent again has other octets than what was protected.
    let again = [&2_u16.to_be_bytes()[..], &frame(2)].concat();
    world.send(1, &rtp(VP8_RTX, RTX, 1, 6000, &again));
    assert_eq!(seen(&mut world, true), frames([2]));
    send_repair(&mut world, 2, 7, &repair(1, 0b111));
    assert_eq!(seen(&mut world, true), Vec::<Vec<u8>>::new());
    // Without it, 3 can be recovered.
    send_repair(&mut world, 3, 8, &repair(1, 0b1101));
    assert_eq!(seen(&mut world, true), frames([3]));
    assert_eq!(counts(&world), [3, 1, 0, 0]);
}

#[test]
fn refused_repairs_are_counted_and_harm_nothing() {
    let mut world = watched(true);
    world.send(1, &packet(1, 1));
    world.send(1, &packet(3, 2));
    let good = repair(1, 0b111);
    let changes: [&[(usize, u8)]; 6] = [
        &[(0, good[0] | 0x80)],
        &[(0, good[0] | 0x40)],
        &[(8, 2)],
        &[(15, 0xff)],
        &[(18, 0x80), (19, 0)],
        // Of the length it makes more than there is.
        &[(2, 0x7f)],
    ];
    for (sequence, change) in (1..).zip(changes) {
        let mut bad = good.clone();
        for (at, octet) in change {
            bad[*at] = *octet;
        }
        send_repair(&mut world, sequence, 2 + sequence, &bad);
    }
    send_repair(&mut world, 7, 9, &good[..19]);
    assert_eq!(seen(&mut world, true), frames([1, 3]));
    assert_eq!(counts(&world), [7, 0, 6, 0]);
    send_repair(&mut world, 8, 10, &good);
    assert_eq!(seen(&mut world, true), frames([2]));
    assert_eq!(counts(&world), [8, 1, 6, 0]);
}

#[test]
fn a_new_numbering_forgets_repairs() {
    let mut world = watched(true);
    world.send(1, &packet(1, 1));
    send_repair(&mut world, 1, 2, &repair(1, 0b111));
    // Far off, twice: the sender began anew. What the old repair waited for would be 3.
    for (number, sequence) in (3..).zip([30_000, 30_001, 30_002]) {
        world.send(1, &packet(sequence, number));
    }
    seen(&mut world, true);
    for (number, sequence) in (6..).zip([1, 2]) {
        world.send(1, &packet(sequence, number));
    }
    seen(&mut world, true);
    assert_eq!(counts(&world), [1, 0, 0, 0]);
}
