//! Who may send: latch, pins, and what strangers cost.

use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_abi::message::{Command, Event, InputPolicy, Outcome, SourcePolicy};
use ringway_sim::judge::{at, destination, forward};
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::source::Source;

const KEY: u64 = 7;
const A: &str = "198.51.100.1:4000";
const A2: &str = "198.51.100.1:4002";
const B: &str = "198.51.100.2:4000";

/// A packet: when (ms), from where, with which SSRC, and why it is refused.
type Row = (u64, &'static str, u32, Option<Counter>);

fn check(source: SourcePolicy, ssrc: Option<u32>, rows: &[Row]) {
    let mut plane = Plane::new(Setup::new(1, 2));
    let mut spec = forward(KEY, at("[::]:5004"));
    spec.policy = InputPolicy { source, ssrc };
    let bound = plane.create(0, spec).expect("a free port");
    for shard in 0..2 {
        let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
        plane.add(0, KEY, destination(u64::from(shard) + 1, shard, address)).expect("room");
    }
    let begin_ns = plane.now_ns();
    let mut refused = 0;
    let mut sources = Vec::new();
    for (index, &(at_ms, from, ssrc, reason)) in rows.iter().enumerate() {
        while plane.now_ns() < begin_ns + at_ms * 1_000_000 {
            plane.step();
        }
        let mut source = Source::new(1, at(from), at("192.0.2.1:5004"), at("192.0.2.1:5005"));
        source.ssrc = ssrc;
        source.sequence = index as u16;
        let before = (plane.sent.len(), reason.map(|reason| plane.counter(0, reason)));
        source.send_audio(&mut plane, 100, 160);
        plane.step();
        plane.step();
        let sent = plane.sent.len() - before.0;
        let row = format!("{source:?} {:?}", rows[index]);
        assert_eq!(sent, if reason.is_some() { 0 } else { 2 }, "{row}");
        if let Some(reason) = reason {
            refused += 1;
            assert_eq!(Some(plane.counter(0, reason) - 1), before.1, "{row}");
        } else if sources.last() != Some(&(at(from), ssrc)) {
            sources.push((at(from), ssrc));
        }
    }
    let told: Vec<(SocketAddr, u32)> = plane.news.iter().map(|(_, event)| told(event)).collect();
    assert_eq!(told, sources, "{source:?}");
    let stats = plane.forward_stats(0, bound.stats_slot);
    assert_eq!((stats.packets, stats.refused), (rows.len() as u64 - refused, refused));
    plane.assert_no_leak();
}

fn told(event: &Event) -> (SocketAddr, u32) {
    match event {
        Event::SourceIs { forward: KEY, address, ssrc } => (*address, *ssrc),
        other => panic!("not news of a source: {other:?}"),
    }
}

#[test]
fn strangers_are_refused_and_counted() {
    let source = Some(Counter::DropSource);
    let ssrc = Some(Counter::DropSsrc);
    check(SourcePolicy::Any, None, &[(0, A, 1, None), (10, B, 2, None), (20, A, 1, None)]);
    check(SourcePolicy::Any, Some(1), &[(0, A, 2, ssrc), (10, B, 1, None), (20, A, 1, None)]);
    check(
        SourcePolicy::Latch { silence_ms: 100 },
        None,
        &[
            (0, A, 1, None),
            (10, B, 1, source),
            (20, A2, 1, source),
            (90, A, 1, None),
            (150, B, 2, source),
            (220, B, 2, None),
            (230, A, 1, source),
        ],
    );
    check(
        SourcePolicy::Latch { silence_ms: 100 },
        Some(1),
        &[
            (0, B, 2, ssrc),
            (10, A, 1, None),
            (20, A, 2, ssrc),
            (300, B, 2, ssrc),
            (310, B, 1, None),
        ],
    );
    check(
        SourcePolicy::Address(at(A).ip()),
        None,
        &[(0, B, 1, source), (10, A, 1, None), (20, A2, 1, None), (30, B, 1, source)],
    );
    check(
        SourcePolicy::Exact(at(A)),
        None,
        &[(0, A2, 1, source), (10, A, 1, None), (20, B, 1, source), (30, A, 2, None)],
    );
    check(
        SourcePolicy::Exact(at("[::ffff:198.51.100.1]:4000")),
        None,
        &[(0, A2, 1, source), (10, A, 1, None)],
    );
}

#[test]
fn a_new_policy_takes_effect_at_once() {
    let mut plane = Plane::new(Setup::new(1, 1));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    plane.add(0, KEY, destination(1, 0, at("203.0.113.1:6000"))).expect("room");
    let to = (at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    let [mut a, mut b] = [A, B].map(|from| Source::new(1, at(from), to.0, to.1));
    b.ssrc = 2;
    for (policy, expect) in [
        (SourcePolicy::Any, 2),
        (SourcePolicy::Address(b.rtp.ip()), 1),
        (SourcePolicy::Exact(at(A2)), 0),
        (SourcePolicy::Latch { silence_ms: 1000 }, 1),
    ] {
        let (forward, policy) = (KEY, InputPolicy { source: policy, ssrc: None });
        let outcome = plane.ask(0, |request| Command::UpdateForward { request, forward, policy });
        assert!(matches!(outcome, Outcome::Forward(_)), "{outcome:?}");
        let before = plane.sent.len();
        a.send_audio(&mut plane, 100, 160);
        b.send_audio(&mut plane, 100, 160);
        plane.settle();
        assert_eq!(plane.sent.len() - before, expect, "{policy:?}");
    }
}

#[test]
fn rtcp_of_strangers_is_refused_and_counted() {
    let mut plane = Plane::new(Setup::new(1, 1));
    let bound = plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    plane.add(0, KEY, destination(1, 0, at("203.0.113.1:6000"))).expect("room");
    let to = (at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    let [mut a, mut b] = [A, B].map(|from| Source::new(1, at(from), to.0, to.1));
    // Nobody sends yet: RTCP alone makes no source.
    a.send_report(&mut plane, 1);
    plane.settle();
    a.send_audio(&mut plane, 100, 160);
    plane.settle();
    b.send_report(&mut plane, 2);
    b.send_bye(&mut plane);
    // The right address, another stream.
    let ssrc = std::mem::replace(&mut a.ssrc, 5);
    a.send_report(&mut plane, 3);
    plane.settle();
    assert_eq!(plane.counter(0, Counter::DropSource), 4);
    assert_eq!(plane.sent_to(at("203.0.113.1:6001")).len(), 0);
    a.ssrc = ssrc;
    a.send_report(&mut plane, 4);
    plane.settle();
    assert_eq!(plane.sent_to(at("203.0.113.1:6001")).len(), 1);
    let stats = plane.forward_stats(0, bound.stats_slot);
    assert_eq!((stats.refused, stats.rtcp_packets), (4, 1));
}
