//! Handshakes that are handed out.

use ringway_abi::call::{CallCommand, CallEvent, SourceKind};
use ringway_shard::call::Handshake;

use crate::world::{OPUS, World, route, rtp, source};

fn connected(world: &World) -> Vec<u64> {
    let of = |event: &CallEvent| match event {
        CallEvent::Connected { transport, .. } => Some(*transport),
        _ => None,
    };
    let mut keys: Vec<u64> = world.events.iter().filter_map(of).collect();
    keys.sort_unstable();
    keys
}

/// Lets both ends talk until the shard waits for handshakes alone; gives what it handed out.
fn steps(world: &mut World) -> Vec<Handshake> {
    world.settle();
    let now = world.now;
    std::iter::from_fn(|| world.calls.poll_handshake(now)).collect()
}

/// Does all handshakes elsewhere, in the given order.
fn finish(world: &mut World, backwards: bool) {
    for _ in 0..20 {
        let mut out = steps(world);
        if backwards {
            out.reverse();
        }
        for step in out {
            world.calls.handle_handshake(step.run());
        }
        world.pass(5);
    }
}

#[test]
fn nothing_connects_before_its_steps_come_back() {
    let mut world = World::strangers(0);
    world.calls.hand_out_handshakes();
    (1..=3).for_each(|key| world.open(key));
    let out = steps(&mut world);
    assert_eq!(out.len(), 3, "one step of each");
    // Repetitions of the peers' wait for the step that is out.
    world.pass(1_500);
    assert!(steps(&mut world).is_empty() && connected(&world).is_empty());
    for step in out {
        world.calls.handle_handshake(step.run());
    }
    finish(&mut world, true);
    assert_eq!(connected(&world), [1, 2, 3]);
}

/// A peer that waits is spoken to, whoever does the handshakes; media goes both ways.
#[test]
fn peers_that_wait_are_spoken_to() {
    for handed_out in [false, true] {
        let mut world = World::strangers(1);
        if handed_out {
            world.calls.hand_out_handshakes();
        }
        world.open_waiting(2);
        finish(&mut world, false);
        assert_eq!(connected(&world), [1, 2], "handed out: {handed_out}");
        world.ask(CallCommand::AddSource(source(10, 2, SourceKind::Audio, 500)));
        world.ask(CallCommand::AddRoute(route(20, 10, 1, OPUS, 900)));
        world.ask(CallCommand::AddSource(source(11, 1, SourceKind::Audio, 600)));
        world.ask(CallCommand::AddRoute(route(21, 11, 2, OPUS, 901)));
        world.send(2, &rtp(OPUS, 500, 7, 960, b"sound"));
        world.send(1, &rtp(OPUS, 600, 7, 960, b"sound"));
        world.pass(50);
        for key in [1, 2] {
            let packets = world.peer(key).take_packets();
            assert!(packets.iter().any(|packet| packet.ends_with(b"sound")), "{key}");
        }
    }
}

#[test]
fn a_step_of_a_transport_that_is_gone_is_forgotten() {
    let mut world = World::strangers(0);
    world.calls.hand_out_handshakes();
    (1..=2).for_each(|key| world.open(key));
    let out = steps(&mut world);
    world.ask(CallCommand::CloseTransport { transport: 1 });
    world.settle();
    // Its slot is another's now.
    world.open(3);
    for step in out {
        world.calls.handle_handshake(step.run());
    }
    finish(&mut world, false);
    assert_eq!(connected(&world), [2, 3]);
}

#[test]
fn media_flows_while_a_handshake_is_out() {
    let mut world = World::connected(2);
    world.calls.hand_out_handshakes();
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    world.open(3);
    let out = steps(&mut world);
    assert_eq!(out.len(), 1);
    for sequence in 0..5 {
        world.send(1, &rtp(OPUS, 500, sequence, 960 * u32::from(sequence), b"sound"));
    }
    assert_eq!(world.peer(2).take_packets().len(), 5);
    // What was connected says goodbye by itself.
    world.ask(CallCommand::CloseTransport { transport: 1 });
    world.settle();
    assert!(steps(&mut world).is_empty());
    assert!(world.peer(1).transport.is_ended());
    world.calls.handle_handshake(out.into_iter().next().expect("one").run());
    finish(&mut world, false);
    assert_eq!(connected(&world), [3]);
}
