//! Commands of the control plane: idempotent, refused with a reason, told exactly by a snapshot.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_abi::message::{
    Command, DestinationSpec, Event, ForwardSpec, Outcome, Refusal, RtcpInput, SourcePolicy,
};
use ringway_abi::stats::{DestinationStats, ForwardStats};
use ringway_shard::sockets::OpenError;
use ringway_sim::judge::{at, destination, forward};
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;

const KEY: u64 = 7;

#[test]
fn what_is_asked_twice_is_done_once() {
    let mut plane = Plane::new(Setup::new(1, 2));
    let spec = forward(KEY, at("0.0.0.0:5004"));
    let bound = plane.create(0, spec.clone()).expect("a free port");
    assert_eq!((bound.rtp, bound.rtcp), (at("0.0.0.0:5004"), at("0.0.0.0:5005")));
    assert_eq!(plane.create(0, spec.clone()), Ok(bound));
    assert_eq!(plane.create(0, ForwardSpec { rtp_port: 0, ..spec.clone() }), Ok(bound));
    for other in [
        ForwardSpec { rtp_port: 5006, ..spec.clone() },
        ForwardSpec { address: at("[::]:1").ip(), ..spec.clone() },
        ForwardSpec { rtcp: RtcpInput::Mux, ..spec.clone() },
    ] {
        assert_eq!(plane.create(0, other), Err(Refusal::Conflict));
    }
    let mut source =
        Source::new(1, at("198.51.100.1:4000"), at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    for shard in 0..2 {
        let key = u64::from(shard) + 1;
        let spec = destination(key, shard, at(&format!("203.0.113.1:{}", 6000 + 2 * shard)));
        let slot = plane.add(0, KEY, spec.clone()).expect("room");
        source.send_audio(&mut plane, 100, 160);
        plane.settle();
        assert_eq!(plane.add(0, KEY, spec.clone()), Ok(slot));
        source.send_audio(&mut plane, 100, 160);
        plane.settle();
        assert_eq!(plane.destination_stats(shard, slot).packets, 2, "counts go on");
        // The same destination elsewhere: the old address hears nothing more.
        let moved = DestinationSpec { rtp: at("203.0.113.9:7000"), ..spec.clone() };
        assert_eq!(plane.add(0, KEY, moved), Ok(slot));
        source.send_audio(&mut plane, 100, 160);
        plane.settle();
        assert_eq!(plane.sent_to(spec.rtp).len(), 2);
        plane.remove(0, KEY, key);
        plane.remove(0, KEY, key);
        assert_eq!(plane.counter(shard, Counter::Destinations), 0);
    }
    plane.remove_forward(0, KEY);
    plane.remove_forward(0, KEY);
    plane.settle();
    assert!(plane.host.is_free());
    assert!(plane.machines.iter().all(|machine| machine.table.is_empty()));
}

#[test]
fn refusals_say_why() {
    let mut setup = Setup::new(1, 2);
    (setup.forwards, setup.destinations, setup.ports) = (3, 2, (30_001, 30_005));
    let mut plane = Plane::new(setup);
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let ask = |plane: &mut Plane, spec| plane.create(0, spec).err();
    let with = |key, address: &str, rtcp| ForwardSpec { rtcp, ..forward(key, at(address)) };
    use Refusal::*;
    let rows = [
        (with(8, "0.0.0.0:5004", RtcpInput::Mux), PortInUse),
        (with(8, "0.0.0.0:5006", RtcpInput::Port(5005)), PortInUse),
        (with(8, "192.0.2.99:5006", RtcpInput::Mux), AddressNotAvailable),
        (with(8, "0.0.0.0:80", RtcpInput::Mux), PermissionDenied),
        (with(8, "0.0.0.0:5006", RtcpInput::Port(0)), Invalid),
        (with(8, "0.0.0.0:65535", RtcpInput::NextPort), Invalid),
        (with(0, "0.0.0.0:5006", RtcpInput::Mux), Invalid),
    ];
    for (spec, expect) in rows {
        assert_eq!(ask(&mut plane, spec.clone()), Some(expect), "{spec:?}");
        assert_eq!(plane.machines[0].table.len(), 2, "sockets after {spec:?}");
    }
    plane.host.refuse_next = Some(OpenError::Io(105));
    let outcome = plane.ask(0, |request| Command::CreateForward {
        request,
        spec: with(8, "0.0.0.0:5006", RtcpInput::Mux),
    });
    assert_eq!(outcome, Outcome::Refused { reason: Io, errno: 105 });
    // Only the even port 30002 and, in 30001 to 30005, 30004 have a port after them.
    let ports: Vec<_> = (8..10)
        .map(|key| plane.create(0, forward(key, at("0.0.0.0:0"))).expect("a free pair").rtp.port())
        .collect();
    assert!(ports.contains(&30_002) && ports.contains(&30_004), "{ports:?}");
    assert_eq!(ask(&mut plane, forward(10, at("0.0.0.0:5100"))), Some(TableFull));
    plane.remove_forward(0, KEY);
    assert_eq!(ask(&mut plane, forward(10, at("0.0.0.0:0"))), Some(PortRangeExhausted));
    destinations_are_refused(&mut plane);
}

fn destinations_are_refused(plane: &mut Plane) {
    use Refusal::*;
    let good = || destination(1, 0, at("203.0.113.1:6000"));
    let mut odd_type = good();
    odd_type.rewrite.payload_type = Some(128);
    let rows = [
        (KEY, good(), NoSuchForward),
        (8, DestinationSpec { shard: 2, ..good() }, NoSuchShard),
        (8, DestinationSpec { key: 0, ..good() }, Invalid),
        (8, destination(1, 0, at("203.0.113.1:0")), Invalid),
        (8, odd_type, Invalid),
        (8, destination(1, 0, at("[2001:db8:2::1]:6000")), FamilyMismatch),
    ];
    for (forward, spec, expect) in rows {
        assert_eq!(plane.add(0, forward, spec.clone()), Err(expect), "{spec:?}");
    }
    for key in 1..=2 {
        for shard in 0..2 {
            let port = 6000 + 10 * key + 2 * shard;
            let address = at(&format!("203.0.113.1:{port}"));
            plane.add(0, 8, destination((port).into(), shard, address)).expect("room");
        }
    }
    for shard in 0..2 {
        let spec = destination(99, shard, at("203.0.113.1:6900"));
        assert_eq!(plane.add(0, 8, spec), Err(TableFull));
        let spec = destination((6010 + 2 * shard).into(), shard, at("203.0.113.1:6900"));
        assert!(plane.add(0, 8, spec).is_ok(), "one that is there needs no room");
    }
    plane.machines[0].shard.handle_invalid_command();
    assert_eq!(plane.counter(0, Counter::CommandsInvalid), 1);
}

type Told = BTreeMap<u64, (ForwardSpec, BTreeMap<u64, DestinationSpec>)>;

fn told(plane: &mut Plane, shard: u16) -> Told {
    let mut told = Told::new();
    for event in plane.snapshot(shard) {
        match event {
            Event::ForwardIs { spec, bound, .. } => {
                assert_eq!(bound.rtp, SocketAddr::new(spec.address, spec.rtp_port));
                assert_eq!(plane.forward_stats(shard, bound.stats_slot).key, spec.key);
                assert!(told.insert(spec.key, (spec, BTreeMap::new())).is_none(), "told twice");
            }
            Event::DestinationIs { forward, spec, stats_slot, .. } => {
                let stats = plane.destination_stats(spec.shard, stats_slot);
                assert_eq!((stats.key, stats.forward), (spec.key, forward));
                let of = &mut told.get_mut(&forward).expect("its forward comes first").1;
                assert!(of.insert(spec.key, spec).is_none(), "told twice");
            }
            other => panic!("not part of a snapshot: {other:?}"),
        }
    }
    told
}

#[test]
fn a_snapshot_tells_exactly_what_is_there() {
    for_seeds(100, |seed| {
        let mut random = Random::new(seed);
        let shards = random.between(1, 3) as u16;
        let mut plane = Plane::new(Setup::new(seed, shards));
        let mut model = Told::new();
        for _ in 0..150 {
            let key = random.between(1, 4);
            let spec = forward(key, at(&format!("[::]:{}", 5000 + 2 * key)));
            let port = 6000 + 2 * random.below(8) as u16;
            let shard = random.below(shards.into()) as u16;
            let mut to = destination(u64::from(port), shard, at(&format!("203.0.113.1:{port}")));
            to.rewrite.contiguous = random.chance(500);
            match (random.below(8), model.get_mut(&key)) {
                (0, known) => {
                    let known = known.is_some();
                    plane.remove_forward(0, key);
                    model.remove(&key);
                    if known {
                        // A port is free once no shard has its socket any more.
                        plane.settle();
                    }
                }
                (1 | 2, None) => {
                    plane.create(0, spec.clone()).expect("a free port");
                    model.insert(key, (spec, BTreeMap::new()));
                }
                (1 | 2, Some((spec, _))) => {
                    spec.policy.source =
                        SourcePolicy::Latch { silence_ms: random.below(99) as u32 };
                    plane.create(0, spec.clone()).expect("it is there");
                }
                (3 | 4, Some((_, known))) => {
                    plane.remove(0, key, to.key);
                    known.remove(&to.key);
                }
                (_, Some((_, known))) => {
                    plane.add(0, key, to.clone()).expect("room");
                    known.insert(to.key, to);
                }
                (_, None) => {
                    assert_eq!(plane.add(0, key, to), Err(Refusal::NoSuchForward));
                }
            }
        }
        assert_eq!(told(&mut plane, 0), model);
        for shard in 1..shards {
            assert_eq!(told(&mut plane, shard), Told::new(), "only the home tells");
        }
        for shard in 0..shards {
            let of = |spec: &&DestinationSpec| spec.shard == shard;
            let served = model.values().flat_map(|(_, to)| to.values()).filter(of).count();
            assert_eq!(plane.counter(shard, Counter::Destinations), served as u64);
        }
        model.keys().for_each(|key| plane.remove_forward(0, *key));
        plane.settle();
        assert!(plane.host.is_free());
    });
}

#[test]
fn a_snapshot_tells_who_sends() {
    let mut plane = Plane::new(Setup::new(1, 1));
    for key in [KEY, 8] {
        let address = at(&format!("0.0.0.0:{}", 5000 + 2 * key));
        plane.create(0, forward(key, address)).expect("a free port");
    }
    let mut source =
        Source::new(1, at("198.51.100.1:4000"), at("192.0.2.1:5014"), at("192.0.2.1:5015"));
    source.send_audio(&mut plane, 100, 160);
    plane.settle();
    let told = plane.snapshot(0);
    let is = |event: &Event| matches!(event, Event::ForwardIs { spec, .. } if spec.key == KEY);
    let of = told.iter().position(is).expect("the forward is told");
    let expect = Event::SourceIs { forward: KEY, address: source.rtp, ssrc: source.ssrc };
    assert_eq!(told.get(of + 1), Some(&expect), "its source follows it");
    assert_eq!(told.len(), 3, "the other forward has none: {told:?}");
}

#[test]
fn lost_events_are_owned_up_to() {
    let mut plane = Plane::new(Setup::new(1, 1));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    plane.machines[0].lane_events = 0;
    let mut last = 0;
    for _ in 0..5000 {
        last = plane.submit(0, |request| Command::RemoveForward { request, forward: 99 });
    }
    while !plane.machines[0].commands.is_empty() {
        plane.step();
    }
    let lost = plane.counter(0, Counter::EventsLost);
    assert!(lost > 0 && lost < 5000, "{lost}");
    // The control plane reads again, a few at a time.
    let mut heard = Vec::new();
    let mut asked = false;
    plane.machines[0].lane_events = 100;
    for _ in 0..100 {
        plane.step();
        heard.extend(plane.machines[0].events.drain(..));
        if heard.last() == Some(&Event::Resync) && !asked {
            asked = true;
            last = plane.submit(0, |request| Command::Snapshot { request });
        }
    }
    let resync = heard.iter().position(|event| *event == Event::Resync).expect("told so");
    assert_eq!(resync as u64, 5000 - lost, "what was not lost comes first");
    let [Event::ForwardIs { .. }, Event::Done { request, outcome }] = &heard[resync + 1..] else {
        panic!("not a snapshot: {:?}", &heard[resync + 1..]);
    };
    assert_eq!((*request, *outcome), (last, Outcome::SnapshotEnd));
}

#[test]
fn a_new_control_plane_hears_nothing_of_the_old_ones() {
    let mut plane = Plane::new(Setup::new(1, 1));
    plane.machines[0].lane_events = 0;
    plane.submit(0, |request| Command::CreateForward {
        request,
        spec: forward(KEY, at("0.0.0.0:5004")),
    });
    plane.submit(0, |request| Command::Snapshot { request });
    plane.step();
    plane.machines[0].shard.reset_events();
    plane.machines[0].lane_events = usize::MAX;
    plane.news.clear();
    plane.step();
    assert_eq!(plane.outcome(1), None);
    assert_eq!(told(&mut plane, 0).len(), 1);
}

#[test]
fn records_of_what_is_gone_are_free() {
    let mut plane = Plane::new(Setup::new(1, 2));
    let bound = plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let slots: Vec<u32> = (0..2)
        .map(|shard| {
            let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
            plane.add(0, KEY, destination(u64::from(shard) + 1, shard, address)).expect("room")
        })
        .collect();
    assert_eq!(plane.forward_stats(0, bound.stats_slot).key, KEY);
    assert_eq!(plane.destination_stats(1, slots[1]).key, 2);
    plane.remove_forward(0, KEY);
    plane.settle();
    assert_eq!(plane.forward_stats(0, bound.stats_slot), ForwardStats::default());
    for shard in 0..2 {
        let stats = plane.destination_stats(shard, slots[usize::from(shard)]);
        assert_eq!(stats, DestinationStats::default());
    }
    // Whoever comes next starts from nothing.
    let again = plane.create(0, forward(8, at("0.0.0.0:5004"))).expect("a free port");
    assert_eq!(again.stats_slot, bound.stats_slot);
    let stats = plane.forward_stats(0, again.stats_slot);
    assert_eq!(stats, ForwardStats { key: 8, ..ForwardStats::default() });
}
