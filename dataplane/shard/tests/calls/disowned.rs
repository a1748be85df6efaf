//! What becomes of transports whose control plane is gone.

use ringway_abi::call::{CallCommand, SourceKind};

use crate::world::{OPUS, World, route, rtp, source};

const LINGER_MS: u64 = 10_000;

/// Three clients; the first sends sound, the second receives it. Their control plane has gone, and
/// another one has come.
fn disowned() -> World {
    let mut world = World::connected(3);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    assert!(flows(&mut world, 1));
    world.ask(CallCommand::Disown { linger_ms: LINGER_MS as u32 });
    world
}

/// Whether a packet of the first client reaches the second.
fn flows(world: &mut World, number: u16) -> bool {
    if world.peer(1).transport.is_ended() {
        return false;
    }
    world.send(1, &rtp(OPUS, 500, number, u32::from(number) * 960, b"sound"));
    !world.peer(2).take_packets().is_empty()
}

#[test]
fn media_flows_on_until_its_time_is_up() {
    let mut world = disowned();
    for second in 1..LINGER_MS / 1000 {
        assert!(flows(&mut world, 1 + second as u16), "after {second} s");
        world.pass(1000);
    }
    world.pass(1200);
    assert!(!flows(&mut world, 99));
    let ended = |key| world.peers.iter().any(|p| p.key == key && p.transport.is_ended());
    assert!(ended(1) && ended(2), "clients are told that it is over");
}

#[test]
fn who_serves_nobody_ends_at_once() {
    let mut world = disowned();
    world.pass(10);
    assert!(world.peer(3).transport.is_ended(), "it neither sends nor receives");
    assert!(flows(&mut world, 2));

    // The publisher comes back over another transport and closes this one.
    let (from, now_ns) = (world.peer(1).address, world.now.mono_ns);
    world.peer(1).transport.close();
    for datagram in world.peer(1).poll(now_ns) {
        world.arrive(from, &datagram);
    }
    world.peers.retain(|peer| peer.key != 1);
    world.pass(1000);
    assert!(world.peer(2).transport.is_ended(), "there is nothing left to receive");
}

#[test]
fn keys_are_free_for_the_next_control_plane() {
    let mut world = disowned();
    // They mean nothing that was there before.
    world.ask(CallCommand::CloseTransport { transport: 1 });
    world.ask(CallCommand::RemoveSource { source: 10 });
    world.ask(CallCommand::RemoveRoute { route: 20 });
    assert!(flows(&mut world, 2));

    world.open(4);
    world.open(5);
    world.pass(500);
    world.ask(CallCommand::AddSource(source(10, 4, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 5, OPUS, 900)));
    world.send(4, &rtp(OPUS, 500, 7, 960, b"sound"));
    assert_eq!(world.peer(5).take_packets().len(), 1);
    assert!(flows(&mut world, 3), "the old call still goes on");

    world.pass(LINGER_MS + 400);
    assert!(!flows(&mut world, 4));
    world.send(4, &rtp(OPUS, 500, 8, 1920, b"sound"));
    assert_eq!(world.peer(5).take_packets().len(), 1, "the end of the old harms the new");
}

#[test]
fn a_second_death_lengthens_nothing() {
    let mut world = disowned();
    world.pass(LINGER_MS - 2000);
    world.ask(CallCommand::Disown { linger_ms: LINGER_MS as u32 });
    assert!(flows(&mut world, 2));
    world.pass(2400);
    assert!(!flows(&mut world, 3));
}
