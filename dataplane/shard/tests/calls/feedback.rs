//! Peers get the feedback that they negotiated, and no other.

use ringway_abi::call::{CallCommand, Codec, PAYLOADS, Payload, SourceKind, feedback};
use ringway_wire::rtcp::{Compound, Packet};

use crate::world::{VP8, World, payload, route, rtp, source, vp8};

/// What kinds of feedback the publisher of a lossy video got.
fn heard(bits: u8) -> Vec<&'static str> {
    let mut world = World::connected(2);
    let mut payloads = [Payload::UNUSED; PAYLOADS];
    payloads[0] = Payload { feedback: bits, ..payload(VP8, Codec::Vp8, None, 90_000) };
    world.ask(CallCommand::SetPayloads { transport: 1, first: true, payloads });
    let ids = [0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0];
    world.ask(CallCommand::SetExtensions { transport: 1, ids });
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, VP8, 900)));
    for sequence in [1_u16, 2, 4, 5] {
        let mut packet = rtp(VP8, 500, sequence, 3000, &[]);
        packet[0] |= 0x10;
        packet.extend([0xbe, 0xde, 0, 1, 0x51, 0, sequence as u8, 0]);
        // Never a key frame: the route waits for one.
        packet.extend(vp8(sequence, false));
        world.send(1, &packet);
    }
    world.pass(900);
    let mut kinds = Vec::new();
    for rtcp in &world.peer(1).rtcp {
        for packet in Compound::parse(rtcp).expect("RTCP").packets() {
            kinds.push(match packet {
                Packet::Nack(nack) => {
                    let numbers = nack.entries().flat_map(|entry| entry.sequences());
                    assert_eq!(numbers.collect::<Vec<_>>(), [3]);
                    "nack"
                }
                Packet::Pli(_) => "pli",
                Packet::Fir(_) => "fir",
                Packet::Twcc(_) => "twcc",
                _ => continue,
            });
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn as_negotiated() {
    use feedback::{FIR, NACK, PLI, REMB, TRANSPORT_CC};
    assert!(heard(0).is_empty());
    assert_eq!(heard(NACK), ["nack"]);
    assert_eq!(heard(PLI), ["pli"]);
    assert_eq!(heard(FIR), ["fir"]);
    assert_eq!(heard(FIR | PLI), ["pli"]);
    assert_eq!(heard(TRANSPORT_CC), ["twcc"]);
    assert_eq!(heard(NACK | PLI | FIR | TRANSPORT_CC | REMB), ["nack", "pli", "twcc"]);
}

/// Who sends compounds alone has a report in front of every request, so somebody has to look.
#[test]
fn requests_behind_reports_are_looked_for() {
    let mut world = World::connected(2);
    assert!(!world.calls.bundles_requests());
    let steps = [(1, true), (1, true), (2, true), (1, false), (2, false), (2, true)];
    for ((transport, bundles), expected) in
        steps.into_iter().zip([true, true, true, true, false, true])
    {
        world.ask(CallCommand::SetRtcp { transport, reduced_size: !bundles });
        assert_eq!(world.calls.bundles_requests(), expected, "{transport} {bundles}");
    }
    for _ in 0..2 {
        world.ask(CallCommand::CloseTransport { transport: 2 });
        assert!(!world.calls.bundles_requests());
    }
}
