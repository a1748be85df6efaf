//! Round trips that are measured with extended reports.

use ringway_abi::call::{CallCommand, SourceKind};
use ringway_wire::ntp;
use ringway_wire::rtcp::write::{write_delay_since, write_reference_time};
use ringway_wire::rtcp::{Compound, DelaySince, Extended, Packet};

use crate::world::{OPUS, VP8, World, route, rtp, source, vp8};

/// A video of peer 1, which nobody watches: no report of the shard's could be answered.
fn publishing() -> World {
    let mut world = World::connected(1);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    world.send(1, &rtp(VP8, 500, 1, 3000, &vp8(1, true)));
    world.pass(1_000);
    world
}

/// Looks at all that a peer was told, with the SSRC of whoever told it.
fn heard<T>(world: &mut World, peer: u64, look: impl Fn(&Extended<'_>) -> Option<T>) -> Vec<T> {
    let mut all = Vec::new();
    for rtcp in std::mem::take(&mut world.peer(peer).rtcp) {
        let compound = Compound::parse(&rtcp).expect("RTCP");
        all.extend(compound.packets().filter_map(|packet| match packet {
            Packet::Extended(report) => look(&report),
            _ => None,
        }));
    }
    all
}

/// How often the publisher is asked for a packet that it has lost.
fn requests(world: &mut World, ms: u64) -> usize {
    world.peer(1).rtcp.clear();
    world.send(1, &rtp(VP8, 500, 3, 9000, &vp8(3, false)));
    world.pass(ms);
    let nacks = |rtcp: &Vec<u8>| {
        let compound = Compound::parse(rtcp).expect("RTCP");
        compound.packets().filter(|packet| matches!(packet, Packet::Nack(_))).count()
    };
    world.peer(1).rtcp.iter().map(nacks).sum()
}

#[test]
fn who_only_publishes_is_asked_and_believed() {
    let mut unknown = publishing();
    let before = requests(&mut unknown, 280);
    assert!(before >= 3, "{before}");
    let mut world = publishing();
    let times = heard(&mut world, 1, |report| Some((report.ssrc, report.reference_time()?)));
    let (ssrc, time) = *times.last().expect("a question");
    // It has come, and was answered 100 ms later; this is 400 ms after it was sent.
    let since = |ssrc| DelaySince {
        ssrc,
        last_reference: ntp::middle(time),
        delay: ntp::short_from_ns(100_000_000),
    };
    let sent_ms = (u64::from(ntp::middle(time)) * 1000) >> 16;
    world.pass((sent_ms + 400).saturating_sub(world.now.mono_ns / 1_000_000));
    let mut out = [0; 64];
    // What is said of somebody else is not about us.
    let len = write_delay_since(&mut out, 500, &DelaySince { delay: 0, ..since(ssrc ^ 1) });
    world.send_rtcp(1, &out[..len.expect("room")]);
    let len = write_delay_since(&mut out, 500, &since(ssrc)).expect("room");
    world.send_rtcp(1, &out[..len]);
    assert_eq!(requests(&mut world, 280), 1);
}

/// Reports wait in the kernel until somebody looks.
#[test]
fn what_waited_is_as_old_as_its_arrival() {
    let mut world = World::connected(2);
    world.pass(1_000);
    let mut out = [0; 64];
    let len = write_reference_time(&mut out, 1, 0x0102_0304_0506_0708).expect("room");
    world.send_rtcp_late(2, &out[..len], 40);
    let delays = heard(&mut world, 2, |report| Some(report.delays().next()?.delay));
    assert_eq!(delays, [ntp::short_from_ns(40_000_000)]);

    // An answer that has waited here for nearly all of the time since the question: the round trip
    // was short, and a lost packet is asked for often.
    let often = |under_way_ms: Option<u64>| {
        let mut world = publishing();
        let times = heard(&mut world, 1, |report| Some((report.ssrc, report.reference_time()?)));
        let (ssrc, time) = *times.last().expect("a question");
        world.pass(400);
        let asked_ms = (u64::from(ntp::middle(time)) * 1000) >> 16;
        let age_ms = world.now.mono_ns / 1_000_000 - asked_ms;
        let since = DelaySince { ssrc, last_reference: ntp::middle(time), delay: 0 };
        let len = write_delay_since(&mut out, 500, &since).expect("room");
        world.send_rtcp_late(1, &out[..len], under_way_ms.map_or(0, |ms| age_ms - ms));
        requests(&mut world, 280)
    };
    assert_eq!([None, Some(30)].map(often), [1, 5]);
}

#[test]
fn who_asks_is_answered() {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    let ask = |world: &mut World, ssrc, time| {
        let mut out = [0; 64];
        let len = write_reference_time(&mut out, ssrc, time).expect("room");
        world.send_rtcp(2, &out[..len]);
        heard(world, 2, |report| Some((report.ssrc, report.delays().next()?)))
    };
    let since = |ssrc| DelaySince { ssrc, last_reference: 0x0304_0506, delay: 0 };
    // Go's client asks in the name of a track, and looks for the answer there.
    assert_eq!(ask(&mut world, 900, 0x0102_0304_0506_0708), [(900, since(900))]);
    let other = ask(&mut world, 1, 0x0102_0304_0506_0708);
    assert!(other.len() == 1 && other[0].0 != 900 && other[0].1 == since(1), "{other:?}");
    assert_eq!(ask(&mut world, 900, 0), []);
}
