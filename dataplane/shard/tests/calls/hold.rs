//! Sound that waits for other sound on a busy shard: one run per subscriber, and repetitions that
//! are the same octets.

use ringway_abi::call::{CallCommand, SourceKind};
use ringway_abi::counters::Counter;
use ringway_wire::rtcp::NackEntry;
use ringway_wire::rtcp::write::write_nack;
use ringway_wire::rtp::RtpView;

use crate::world::{MS, OPUS, World, route, rtp, source};

/// The client that listens to the others.
const LISTENER: u64 = 4;
/// Octets of what the speakers say.
const LENGTHS: [usize; 3] = [90, 100, 95];

/// Three who speak and one who listens, on a shard that is as busy as `permille` says.
fn meeting(hold_ms: u64, permille: u32) -> World {
    let mut world = World::connected(4);
    world.calls.hold_sound(hold_ms * MS, 50);
    for _ in 0..100 {
        world.calls.observe_busy(permille);
    }
    for speaker in 1..=3 {
        let ssrc = 500 + 10 * speaker as u32;
        world.ask(CallCommand::AddSource(source(speaker, speaker, SourceKind::Audio, ssrc)));
        let key = 20 + speaker;
        world.ask(CallCommand::AddRoute(route(key, speaker, LISTENER, OPUS, 900 + speaker as u32)));
    }
    world.settle();
    world
}

/// Everybody says something at the same time.
fn speak(world: &mut World, number: u16) {
    for (speaker, len) in (1..=3).zip(LENGTHS) {
        let ssrc = 500 + 10 * speaker as u32;
        let body = vec![speaker as u8; len];
        let packet = rtp(OPUS, ssrc, number, 960 * u32::from(number), &body);
        let peer = world.peer(speaker);
        let (from, sealed) = (peer.address, peer.seal(&packet));
        world.arrive(from, &sealed);
    }
    world.settle();
}

/// What the listener got: SSRC, number, octets of payload and of padding.
fn heard(world: &mut World) -> Vec<(u32, u16, usize, usize)> {
    let packets = world.peer(LISTENER).take_packets();
    let heads = packets.iter().map(|packet| {
        let view = RtpView::parse(packet).expect("RTP");
        (view.ssrc(), view.sequence(), view.payload().len(), view.padding())
    });
    heads.collect()
}

/// Runs of several packets so far.
fn long_runs(world: &World) -> u64 {
    world.counters.get(Counter::Sends) - world.counters.get(Counter::Runs1)
}

#[test]
fn on_a_busy_shard_sounds_leave_in_one_run() {
    let mut world = meeting(4, 1_000);
    for number in 1..=3 {
        let before = long_runs(&world);
        speak(&mut world, number);
        assert_eq!(heard(&mut world), [], "all wait");
        let due_ns = world.calls.held_until().expect("something waits");
        assert_eq!(due_ns / MS, world.now.mono_ns / MS + 4, "for as long as they may");
        world.pass(5);
        let got = heard(&mut world);
        let facts: Vec<_> = got.iter().map(|(ssrc, _, len, pad)| (*ssrc, *len, *pad)).collect();
        assert_eq!(facts, [(901, 90, 10), (902, 100, 0), (903, 95, 5)]);
        assert_eq!(long_runs(&world) - before, 1);
        assert_eq!(world.calls.held_until(), None);
    }
    assert_eq!(world.counters.get(Counter::HeldPackets), 9);
    // The world looks only every 5 ms.
    assert_eq!(world.counters.get(Counter::HeldNs), 9 * 5 * MS);
}

#[test]
fn a_shard_with_time_to_spare_sends_at_once() {
    for (hold_ms, permille) in [(4, 10), (0, 1_000)] {
        let mut world = meeting(hold_ms, permille);
        speak(&mut world, 1);
        let got = heard(&mut world);
        let padding: Vec<usize> = got.iter().map(|one| one.3).collect();
        assert_eq!(padding, [0; 3], "{hold_ms} ms, {permille} ‰");
        assert_eq!(world.counters.get(Counter::HeldPackets), 0);
    }
}

#[test]
fn a_repetition_is_the_same_octets() {
    let mut world = meeting(4, 1_000);
    speak(&mut world, 1);
    world.pass(5);
    // Of the next packets some leave as they came.
    for _ in 0..100 {
        world.calls.observe_busy(0);
    }
    speak(&mut world, 2);
    let got = heard(&mut world);
    assert_eq!(got.iter().filter(|one| one.3 > 0).count(), 2);
    assert_eq!(got.len(), 6);
    for (count, (ssrc, number, ..)) in (1..).zip(got) {
        let mut out = [0; 64];
        let entry = NackEntry { packet_id: number, bitmask: 0 };
        let len = write_nack(&mut out, 1, ssrc, &[entry]).expect("room");
        world.send_rtcp(LISTENER, &out[..len]);
        assert_eq!(world.peer(LISTENER).repeated, count, "{ssrc} {number}");
    }
}

#[test]
fn what_goes_away_while_sound_waits_is_not_missed() {
    let mut world = meeting(4, 1_000);
    speak(&mut world, 1);
    world.ask(CallCommand::RemoveSource { source: 1 });
    world.ask(CallCommand::RemoveRoute { route: 22 });
    world.pass(5);
    let heard_of: Vec<u32> = heard(&mut world).iter().map(|one| one.0).collect();
    assert!(heard_of.contains(&903) && !heard_of.contains(&902), "{heard_of:?}");
    // Sound goes on waiting and leaving.
    speak(&mut world, 2);
    world.pass(5);
    assert!(heard(&mut world).iter().any(|one| one.0 == 903));
    // Nor does the one who listens leave anything behind.
    speak(&mut world, 3);
    world.ask(CallCommand::CloseTransport { transport: LISTENER });
    world.pass(10);
    assert_eq!(world.calls.held_until(), None);
}

#[test]
fn more_than_may_wait_leaves_at_once_and_sound_goes_on() {
    let mut world = meeting(4, 1_000);
    for number in 1..=200 {
        speak(&mut world, number);
    }
    assert!(heard(&mut world).len() > 500, "not all of them wait");
    world.pass(5);
    heard(&mut world);
    speak(&mut world, 201);
    world.pass(5);
    assert_eq!(heard(&mut world).len(), 3);
}
