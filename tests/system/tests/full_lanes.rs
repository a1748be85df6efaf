//! Thousands of commands by a control plane that never listens: forwarding goes on, events are lost
//! and said to be, and a snapshot then tells the truth.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ringway_abi::Counter;
use ringway_abi::message::{Command, DestinationSpec, Event, Outcome, Rewrite};
use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use ringway_system::steering::{Inventory, Steering, open_forward};

const PATIENCE: Duration = Duration::from_secs(20);

/// Commands that are answered but change nothing. Lane and queue of events hold some 5,000.
const COMMANDS: u64 = 8000;

/// Forwards created in between.
const FORWARDS: u64 = 40;

/// Keys of the forwards created in between.
const FIRST_KEY: u64 = 1000;

fn options(engine: &str) -> Options {
    Options::default().dataplane("engine", engine).without_controlplane()
}

fn destination(key: u64, rtp: SocketAddr) -> DestinationSpec {
    DestinationSpec { key, shard: 0, rtp, rtcp: rtp, rewrite: Rewrite::default() }
}

/// Sends the commands, and never listens; returns what the shard should have afterwards.
fn talk_without_listening(steering: &mut Steering, to: SocketAddr) -> BTreeSet<(u64, u64)> {
    let mut expect = BTreeSet::new();
    for round in 0..COMMANDS {
        let request = steering.next_request();
        let nobody = Command::RemoveForward { request, forward: 5_000_000 + round };
        steering.send(0, &nobody);
        if round % (COMMANDS / FORWARDS) != 0 {
            continue;
        }
        let key = FIRST_KEY + round / (COMMANDS / FORWARDS);
        let request = steering.next_request();
        let spec = open_forward(key, "127.0.0.1", 0);
        steering.send(0, &Command::CreateForward { request, spec });
        for number in 0..3 {
            let (request, spec) = (steering.next_request(), destination(key * 10 + number, to));
            steering.send(0, &Command::AddDestination { request, forward: key, spec });
            expect.insert((key, key * 10 + number));
        }
        let (request, destination) = (steering.next_request(), key * 10);
        steering.send(0, &Command::RemoveDestination { request, forward: key, destination });
        expect.remove(&(key, destination));
        // Every fourth one goes again.
        if key.is_multiple_of(4) {
            let request = steering.next_request();
            steering.send(0, &Command::RemoveForward { request, forward: key });
            expect.retain(|(forward, _)| *forward != key);
        }
    }
    expect
}

/// What of an inventory concerns the forwards created in between.
fn created(inventory: &Inventory) -> (BTreeSet<u64>, BTreeSet<(u64, u64)>) {
    let forwards = inventory.forwards.iter().map(|(key, _)| *key);
    let destinations = inventory.destinations.iter().map(|(forward, key, _)| (*forward, *key));
    (
        forwards.filter(|key| *key >= FIRST_KEY).collect(),
        destinations.filter(|(forward, _)| *forward >= FIRST_KEY).collect(),
    )
}

fn check(engine: &str) {
    let mut appliance = Appliance::start(options(engine));
    let mut steering = Steering::join(appliance.socket());
    let sink = Sink::start("127.0.0.1");
    let bound = steering.create(1, "127.0.0.1");
    steering.add(1, 2, sink.address());
    let source = Source::start(bound.rtp, Pace::default());
    sink.wait_past(20);

    let expect = talk_without_listening(&mut steering, sink.address());
    let handled = COMMANDS + FORWARDS * 5;
    let counters = until(PATIENCE, "all commands to be carried out", || {
        let counters = steering.pages().counters(0)?;
        (counters[Counter::CommandsHandled as usize] >= handled).then_some(counters)
    });
    assert!(counters[Counter::EventsLost as usize] > 0, "the lanes are larger than this test");
    assert_eq!(counters[Counter::CommandsInvalid as usize], 0);

    // What was not lost comes in order; then the shard says that some was.
    let mut last = 0;
    until(PATIENCE, "the shard to say that events are lost", || {
        while let Some(event) = steering.receive(0) {
            match event {
                Event::Resync => return Some(()),
                Event::Done { request, .. } => {
                    assert!(request > last, "request {request} is answered after {last}");
                    last = request;
                }
                _ => {}
            }
        }
        None
    });
    let truth = steering.inventory(0);
    let forwards: BTreeSet<u64> = expect.iter().map(|(forward, _)| *forward).collect();
    assert_eq!(created(&truth), (forwards, expect));
    assert!(truth.forwards.contains(&(1, bound.rtp)));
    assert_eq!(truth.forwards.len() as u64, 1 + FORWARDS * 3 / 4);

    // Ports are those that the snapshot says: each takes packets for its two destinations.
    let (key, port) = *truth.forwards.iter().find(|(key, _)| *key >= FIRST_KEY).expect("some");
    let second = Source::start(port, Pace::default());
    until(PATIENCE, "packets of another forward", || {
        (!sink.heard().repeated().is_empty()).then_some(())
    });
    drop(second);
    let gone = steering.ask(0, |request| Command::RemoveForward { request, forward: key });
    assert_eq!(gone, Outcome::Removed);
    source.flow(20);
    sink.wait_all(0..source.stop());
    assert!(appliance.dataplane().ended().is_none());
}

#[test]
fn a_snapshot_tells_the_truth_on_io_uring() {
    check("uring");
}

#[test]
fn a_snapshot_tells_the_truth_on_plain_system_calls() {
    check("plain");
}

/// The real control plane finds the mess that the deaf one left, and clears it up.
#[test]
fn the_next_control_plane_removes_what_nobody_wants() {
    let mut appliance = Appliance::start(Options::default());
    let client = appliance.client();
    let wanted = client.post("/v1/forwards", &serde_json::json!({ "name": "wanted" })).expect(201);
    appliance.kill_controlplane();
    let mut steering = Steering::join(appliance.socket());
    talk_without_listening(&mut steering, ([127, 0, 0, 1], 9).into());
    drop(steering);
    appliance.start_controlplane();
    appliance.wait_joined();
    let port = wanted["input"]["port"].as_u64().expect("a port") as u16;
    until(PATIENCE, "the others to be gone", || {
        (appliance.forward_ports() == [port, port + 1]).then_some(())
    });
    appliance.wait_active(wanted["id"].as_str().expect("an id"));
}
