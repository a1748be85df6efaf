//! Forwards over several shards: loans, full lanes, destinations that come, go and move.

use ringway_abi::counters::Counter;
use ringway_abi::message::{Command, DestinationSpec};
use ringway_sim::judge::{assert_same, at, destination, forward, rtp_sent, rtp_taken};
use ringway_sim::plane::{Plane, Setup};
use ringway_sim::seeds::for_seeds;
use ringway_sim::source::Source;

const KEY: u64 = 7;

fn plane(seed: u64, shards: u16) -> (Plane, Source, Vec<DestinationSpec>) {
    let mut plane = Plane::new(Setup::new(seed, shards));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("a free port");
    let specs: Vec<_> = (0..shards)
        .map(|shard| {
            let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
            destination(u64::from(shard) + 1, shard, address)
        })
        .collect();
    for spec in &specs {
        plane.add(0, KEY, spec.clone()).expect("room");
    }
    let (rtp, rtcp) = (at("192.0.2.1:5004"), at("192.0.2.1:5005"));
    (plane, Source::new(seed, at("198.51.100.1:4000"), rtp, rtcp), specs)
}

#[test]
fn a_stalled_shard_costs_only_its_own_destinations() {
    let (mut plane, mut source, specs) = plane(1, 3);
    plane.machines[1].stalled = true;
    for _ in 0..600 {
        source.send_frame(&mut plane, 10, 3000);
        source.send_report(&mut plane, 1 << 40);
        plane.step();
    }
    plane.settle();
    let taken = rtp_taken(&plane, source.rtp, source.to_rtp);
    assert_eq!(taken.len(), 6000, "the home goes on receiving");
    for shard in [0, 2] {
        let spec = &specs[shard];
        assert_same(&rtp_sent(&plane.sent_to(spec.rtp)), &taken, &spec.rtp.to_string());
        assert_eq!(plane.sent_to(spec.rtcp).len(), 600);
    }
    assert_eq!(plane.sent_to(specs[1].rtp).len(), 0);
    let dropped = plane.counter(0, Counter::DropShardLane);
    assert_eq!(plane.counter(0, Counter::HandedOver), 12_000 - dropped);
    assert!(dropped > 4000, "{dropped}");
    // It wakes up: what was lent to it goes out, then all goes on as before.
    plane.machines[1].stalled = false;
    plane.settle();
    let late = rtp_sent(&plane.sent_to(specs[1].rtp));
    assert_same(&late, &taken[..6000 - dropped as usize], "what the lane held");
    plane.assert_no_leak();
    let before = late.len();
    source.send_frame(&mut plane, 10, 3000);
    plane.settle();
    assert_eq!(rtp_sent(&plane.sent_to(specs[1].rtp)).len(), before + 10);
    plane.assert_no_leak();
}

#[test]
fn what_a_lane_cannot_hold_is_counted_for_each_destination() {
    let (mut plane, mut source, _) = plane(1, 3);
    let late = plane.add(0, KEY, destination(9, 1, at("203.0.113.9:6000"))).expect("room");
    let slots: Vec<(u16, u32)> = (1..=3)
        .map(|key| {
            let shard = key as u16 - 1;
            let address = at(&format!("203.0.113.1:{}", 6000 + 2 * shard));
            // Added again, it tells where its record is.
            (shard, plane.add(0, KEY, destination(key, shard, address)).expect("room"))
        })
        .chain([(1, late)])
        .collect();
    plane.machines[1].stalled = true;
    for _ in 0..1000 {
        source.send_audio(&mut plane, 160, 160);
        // Reports crowd the lane that tells of the loss.
        source.send_report(&mut plane, 1 << 40);
        plane.step();
    }
    plane.machines[1].stalled = false;
    plane.run_ms(300);
    plane.settle();
    let missed = plane.counter(0, Counter::DropShardLane);
    assert!(missed > 400, "{missed}");
    for (shard, slot) in slots {
        let stats = plane.destination_stats(shard, slot);
        let expect = if shard == 1 { missed } else { 0 };
        assert_eq!((stats.dropped, stats.packets), (expect, 1000 - expect), "shard {shard}");
    }
    // Told once.
    plane.run_ms(1000);
    assert_eq!(plane.destination_stats(1, late).dropped, missed);
}

#[test]
fn nothing_is_sent_to_what_was_removed() {
    for_seeds(10, |seed| {
        let (mut plane, mut source, specs) = plane(seed, 3);
        for spec in &specs {
            source.send_frame(&mut plane, 20, 3000);
            plane.step();
            source.send_frame(&mut plane, 20, 3000);
            // Packets and the removal reach the home in the same turn.
            let destination = spec.key;
            plane.submit(0, |request| Command::RemoveDestination {
                request,
                forward: KEY,
                destination,
            });
            plane.step();
            // The other shard heard of it in this step at the latest.
            plane.step();
            let count =
                |plane: &Plane| (plane.sent_to(spec.rtp).len(), plane.sent_to(spec.rtcp).len());
            let before = count(&plane);
            source.send_frame(&mut plane, 20, 3000);
            source.send_report(&mut plane, 1 << 40);
            plane.settle();
            assert_eq!(count(&plane), before, "{}", spec.rtp);
            plane.assert_no_leak();
        }
        assert_eq!(plane.counter(0, Counter::Destinations), 0);
        let handed_over = plane.counter(0, Counter::HandedOver);
        source.send_frame(&mut plane, 20, 3000);
        plane.settle();
        assert_eq!(plane.counter(0, Counter::HandedOver), handed_over, "nobody needs a loan");
    });
}

#[test]
fn removal_of_a_forward_frees_its_sockets_everywhere() {
    let (mut plane, mut source, _) = plane(1, 3);
    source.send_frame(&mut plane, 50, 3000);
    plane.step();
    source.send_frame(&mut plane, 50, 3000);
    plane.submit(0, |request| Command::RemoveForward { request, forward: KEY });
    plane.settle();
    plane.assert_no_leak();
    assert!(plane.host.is_free());
    assert!(plane.machines.iter().all(|machine| machine.table.is_empty()));
    plane.create(0, forward(KEY, at("0.0.0.0:5004"))).expect("the port is free again");
}

#[test]
fn a_destination_moves_between_shards() {
    let (mut plane, mut source, specs) = plane(1, 3);
    let mut spec = specs[0].clone();
    for shard in [1, 2, 0, 2] {
        spec.shard = shard;
        plane.add(0, KEY, spec.clone()).expect("room");
        plane.settle();
        let before = plane.sent_to(spec.rtp).len();
        source.send_frame(&mut plane, 20, 3000);
        plane.settle();
        let sent = plane.sent_to(spec.rtp);
        assert_eq!(sent.len(), before + 20);
        assert!(sent[before..].iter().all(|sent| sent.shard == usize::from(shard)));
    }
    plane.assert_no_leak();
}

#[test]
fn answers_that_come_late_change_nothing() {
    // Commands that overtake the answers of the other shards: what counts is the last one.
    let add = |plane: &mut Plane, spec: &DestinationSpec| {
        let (forward, spec) = (KEY, spec.clone());
        plane.submit(0, |request| Command::AddDestination { request, forward, spec })
    };
    let remove = |plane: &mut Plane, destination| {
        let forward = KEY;
        plane.submit(0, |request| Command::RemoveDestination { request, forward, destination })
    };
    let (mut plane, mut source, _) = plane(1, 3);
    let spec = destination(9, 1, at("203.0.113.9:7000"));
    let elsewhere = DestinationSpec { shard: 2, ..spec.clone() };
    let here = DestinationSpec { shard: 0, ..spec.clone() };
    let alone: [u64; 3] = [1, 2, 3];
    alone.iter().for_each(|key| plane.remove(0, KEY, *key));
    plane.settle();
    let rows: [(&[&DestinationSpec], bool); 5] = [
        (&[&spec], true),
        (&[&spec, &elsewhere], true),
        (&[&spec, &elsewhere, &spec], true),
        (&[&spec, &elsewhere, &here], true),
        (&[&spec, &elsewhere, &here], false),
    ];
    for (row, (specs, stays)) in rows.into_iter().enumerate() {
        for spec in specs {
            add(&mut plane, spec);
        }
        if !stays {
            remove(&mut plane, 9);
        }
        plane.settle();
        let (sent, lent) = (plane.sent.len(), plane.counter(0, Counter::HandedOver));
        source.send_frame(&mut plane, 10, 3000);
        plane.settle();
        let remote = stays && specs.last().expect("a row").shard != 0;
        assert_eq!(plane.sent.len() - sent, if stays { 10 } else { 0 }, "row {row}");
        let lent = plane.counter(0, Counter::HandedOver) - lent;
        assert_eq!(lent, if remote { 10 } else { 0 }, "loans in row {row}");
        remove(&mut plane, 9);
        plane.settle();
        plane.assert_no_leak();
    }
}
