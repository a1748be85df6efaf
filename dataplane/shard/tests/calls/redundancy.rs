//! Sound that comes with its last frames repeated, and is lost in part.

use ringway_abi::call::{CallCommand, Codec, RouteSpec, SourceKind, SourceSpec};
use ringway_wire::rtcp::{Compound, Packet};
use ringway_wire::rtp::RtpView;

use crate::world::{OPUS, World, payload, route, rtp, source, usual_payloads};

const RED: u8 = 63;
/// Of a packet, in the clock of its timestamps.
const FRAME: u32 = 960;

/// A packet with the frames before it, those of `numbers`, the oldest first.
fn packet(sequence: u16, numbers: &[u16]) -> Vec<u8> {
    let (mut heads, mut frames) = (Vec::new(), Vec::new());
    for number in numbers {
        let frame = frame(*number);
        let offset = FRAME * u32::from(sequence - number);
        let word = offset << 10 | frame.len() as u32;
        heads.extend([0x80 | OPUS]);
        heads.extend(&word.to_be_bytes()[1..]);
        frames.extend(frame);
    }
    heads.push(OPUS);
    frames.extend(frame(sequence));
    rtp(RED, 500, sequence, timestamp(sequence), &[heads, frames].concat())
}

fn frame(number: u16) -> Vec<u8> {
    vec![number as u8; 20 + usize::from(number)]
}

fn timestamp(sequence: u16) -> u32 {
    90_000 + FRAME * u32::from(sequence)
}

/// Who takes RED listens at 3, who does not at 2.
fn listening() -> World {
    listening_to(source(10, 1, SourceKind::Audio, 500))
}

fn listening_to(spec: SourceSpec) -> World {
    let mut world = World::connected(3);
    for transport in 1..=3 {
        let mut payloads = usual_payloads();
        payloads[3] = payload(RED, Codec::Red, None, 48_000);
        world.ask(CallCommand::SetPayloads { transport, first: true, payloads });
    }
    world.ask(CallCommand::AddSource(spec));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    let spec = route(30, 10, 3, OPUS, 910);
    world.ask(CallCommand::AddRoute(RouteSpec { red_payload_type: RED, ..spec }));
    world
}

/// Numbers, counted from the first, timestamps and payloads of what came to a listener.
fn heard(world: &mut World, peer: u64) -> Vec<(u16, u32, Vec<u8>)> {
    let packets = world.peer(peer).take_packets();
    let mut all: Vec<_> = packets
        .iter()
        .map(|packet| {
            let view = RtpView::parse(packet).expect("RTP");
            (view.sequence(), view.timestamp(), view.payload().to_vec())
        })
        .collect();
    all.sort_unstable();
    all
}

#[test]
fn what_is_lost_is_taken_out_of_what_comes() {
    let mut world = listening();
    world.send(1, &packet(1, &[]));
    // 2 and 3 are lost; 4 has both. 1 is there already.
    world.send(1, &packet(4, &[1, 2, 3]));
    world.pass(200);
    let plain = heard(&mut world, 2);
    let (first, begin) = (plain[0].0, plain[0].1);
    for (at, (sequence, time, payload)) in (0_u16..).zip(&plain) {
        assert_eq!(sequence.wrapping_sub(first), at);
        assert_eq!(time.wrapping_sub(begin), FRAME * u32::from(at));
        assert_eq!(*payload, frame(at + 1));
    }
    assert_eq!(plain.len(), 4);
    // Who takes RED gets the same, each in a block of its own.
    let blocks: Vec<Vec<u8>> = heard(&mut world, 3).into_iter().map(|one| one.2).collect();
    let single = |number| [&[OPUS][..], &frame(number)].concat();
    assert_eq!(blocks[..3], [single(1), single(2), single(3)]);
    assert_eq!(blocks[3], RtpView::parse(&packet(4, &[1, 2, 3])).expect("RTP").payload());
    // Nobody asks for what is there, and what comes late after all is no news.
    let asked = world.peer(1).rtcp.iter().any(|rtcp| {
        let compound = Compound::parse(rtcp).expect("RTCP");
        compound.packets().any(|packet| matches!(packet, Packet::Nack(_)))
    });
    assert!(!asked);
    world.send(1, &packet(3, &[2]));
    assert!(heard(&mut world, 2).is_empty() && heard(&mut world, 3).is_empty());
}

/// What is encrypted looks as if it were redundancy, and is none.
#[test]
fn nothing_is_taken_out_of_what_is_encrypted() {
    let spec = SourceSpec { encrypted: true, ..source(10, 1, SourceKind::Audio, 500) };
    let mut world = listening_to(spec);
    world.send(1, &packet(1, &[]));
    world.send(1, &packet(4, &[1, 2, 3]));
    world.pass(200);
    let numbers: Vec<u16> = heard(&mut world, 3).iter().map(|one| one.0).collect();
    assert!(numbers.len() == 2 && numbers[1].wrapping_sub(numbers[0]) == 3, "{numbers:?}");
}

#[test]
fn what_makes_no_sense_makes_nothing_up() {
    let mut world = listening();
    world.send(1, &packet(1, &[]));
    let good = packet(3, &[2]);
    // No sound, no time of its own, nothing in it, more than there is.
    let mut other = good.clone();
    other[12] = 0x80 | 126;
    let mut timeless = good.clone();
    (timeless[13], timeless[14]) = (0, timeless[14] & 3);
    let mut empty = good.clone();
    (empty[14], empty[15]) = (empty[14] & !3, 0);
    let mut long = good;
    long[14] |= 3;
    for (at, bad) in (0_u16..).zip([other, timeless, empty, long]) {
        let mut bad = bad;
        bad[2..4].copy_from_slice(&(3 + 2 * at).to_be_bytes());
        world.send(1, &bad);
    }
    let numbers: Vec<u16> = heard(&mut world, 2).iter().map(|one| one.0).collect();
    assert!(numbers.len() >= 4, "{numbers:?}");
    assert!(numbers.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) >= 2), "{numbers:?}");
}
