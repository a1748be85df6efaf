//! A hostile peer at the data plane's door, as an observer and as the control plane: forwarding is
//! untouched, and the next control plane joins and works.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringway_abi::counters::Counter;
use ringway_abi::join::{JoinError, join};
use ringway_abi::lane::lane_words;
use ringway_abi::layout::{ABI_VERSION, COMMAND_SLOTS, HEADER_WORDS, LAYOUT_HASH, MAGIC};
use ringway_abi::message::{
    Command, DestinationSpec, Event, Outcome, Refusal, Rewrite, SourcePolicy,
};
use ringway_abi::{JoinRefusal, Message, Role};
use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::patience::until;
use ringway_system::sink::Sink;
use ringway_system::source::{Pace, Source};
use ringway_system::steering::{Steering, open_forward};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// Words of the lines that a lane begins with: `tail`, `head` and `asleep`.
const LINE_WORDS: u64 = HEADER_WORDS as u64;

/// Words of a region before its first lane, a command lane.
const COMMANDS_AT: u64 = HEADER_WORDS as u64;

/// Words of a region before its first event lane, which follows the command lane.
const EVENTS_AT: u64 = COMMANDS_AT + lane_words::<Command>(COMMAND_SLOTS) as u64;

/// A live appliance with a stream through it.
struct Victim {
    appliance: Appliance,
    forward: Value,
    source: Source,
    sink: Sink,
}

impl Victim {
    fn start(engine: &str) -> Self {
        let appliance = Appliance::start(Options::default().dataplane("engine", engine));
        let sink = Sink::start("127.0.0.1");
        let to = json!([{ "address": "127.0.0.1", "port": sink.port() }]);
        let forward = appliance.client().post("/v1/forwards", &json!({ "destinations": to }));
        let forward = forward.expect(201);
        let port = forward["input"]["port"].as_u64().expect("a port") as u16;
        let source = Source::start(([127, 0, 0, 1], port).into(), Pace::default());
        sink.wait_past(20);
        Self { appliance, forward, source, sink }
    }

    /// With its control plane killed, so that the place is free.
    fn headless(engine: &str) -> Self {
        let mut victim = Self::start(engine);
        victim.appliance.kill_controlplane();
        victim
    }

    fn socket(&self) -> &Path {
        self.appliance.socket()
    }

    /// The control plane comes back and works, and not one packet was lost.
    fn expect_unharmed(mut self) {
        let id = self.forward["id"].as_str().expect("an id").to_owned();
        if self.appliance.client_with(None).send("GET", "/", None).is_err() {
            self.appliance.start_controlplane();
        }
        self.appliance.wait_joined();
        let known = self.appliance.wait_active(&id);
        assert_eq!(known["input"], self.forward["input"]);
        let client = self.appliance.client();
        let late = Sink::start("127.0.0.1");
        let to = json!({ "address": "127.0.0.1", "port": late.port() });
        client.post(&format!("/v1/forwards/{id}/destinations"), &to).expect(201);
        late.wait_past(self.source.sent());
        let created = client.post("/v1/forwards", &json!({})).expect(201);
        let created = created["id"].as_str().expect("an id");
        client.delete(&format!("/v1/forwards/{created}")).expect(204);
        let dataplane = self.appliance.dataplane();
        assert!(dataplane.ended().is_none(), "the data plane died");
        self.sink.expect_exactly(0..self.source.stop());
    }
}

fn connect(path: &Path) -> rustix::io::Result<OwnedFd> {
    // Programs that other tests start meanwhile must not inherit it, or it never ends.
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn say(socket: &OwnedFd, bytes: &[u8]) {
    // The door may have hung up already.
    let mut control = SendAncillaryBuffer::default();
    let parts = [IoSlice::new(bytes)];
    let _ = rustix::net::sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL);
}

fn hello(words: [u64; 8]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A control peer that was let in and has the raw descriptors.
struct Intruder {
    /// Closing it would be leaving.
    _socket: OwnedFd,
    pages: File,
    lanes: File,
    own_bell: OwnedFd,
    shard_bell: OwnedFd,
}

impl Intruder {
    /// Says a good hello, as soon as the place is free, and takes the descriptors.
    fn join(path: &Path) -> Self {
        until(PATIENCE, "the place of the control plane to be free", || Self::try_join(path))
    }

    fn try_join(path: &Path) -> Option<Self> {
        let socket = connect(path).ok()?;
        let role = Role::Control as u64;
        let words = [MAGIC, u64::from(ABI_VERSION), LAYOUT_HASH, role, 0, 0, 0, 0];
        say(&socket, &hello(words));
        let mut bytes = [0; 64];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
        let mut fds = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let fds: Vec<OwnedFd> = fds.next()?.collect();
        let [pages, lanes, own_bell, shard_bell] = <[OwnedFd; 4]>::try_from(fds).ok()?;
        Some(Self {
            _socket: socket,
            pages: pages.into(),
            lanes: lanes.into(),
            own_bell,
            shard_bell,
        })
    }

    fn write(&self, word: u64, values: &[u64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.lanes.write_all_at(&bytes, word * 8).expect("lanes are writable");
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.shard_bell, &1u64.to_ne_bytes());
    }
}

fn counter(steering_socket: &Path, counter: Counter) -> u64 {
    let joined = join(steering_socket, Role::Observer, PATIENCE).expect("an observer may look");
    joined.pages.counters(0).map_or(0, |counters| counters[counter as usize])
}

#[test]
fn peers_that_say_nothing_or_rubbish_are_let_go() {
    let victim = Victim::start("auto");
    let good = [MAGIC, u64::from(ABI_VERSION), LAYOUT_HASH, 2, 0, 0, 0, 0];
    let with = |word: usize, value: u64| {
        let mut words = good;
        words[word] = value;
        hello(words)
    };
    let mut rubbish =
        vec![b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 64], vec![0xff; 65], vec![1]];
    rubbish.extend([with(0, 1), with(1, 99), with(2, 1), with(3, 0), with(3, 3), vec![9; 200_000]]);
    for bytes in &rubbish {
        let socket = connect(victim.socket()).expect("the door is open");
        say(&socket, bytes);
        // An answer with the reason, then the end.
        let mut file = File::from(socket);
        let mut answer = [0; 128];
        until(PATIENCE, "the door to hang up", || {
            (file.read(&mut answer).ok()? == 0).then_some(())
        });
    }
    let silent: Vec<OwnedFd> =
        (0..12).map(|_| connect(victim.socket()).expect("the door is open")).collect();
    for socket in silent {
        let mut file = File::from(socket);
        let mut answer = [0; 128];
        until(PATIENCE, "the door to hang up", || {
            (file.read(&mut answer).ok()? == 0).then_some(())
        });
    }
    victim.expect_unharmed();
}

#[test]
fn floods_of_connections_keep_nobody_out() {
    let victim = Victim::start("auto");
    let flood: Vec<OwnedFd> =
        (0..500).map(|_| connect(victim.socket()).expect("the door is open")).collect();
    // While all of them still hold their ends.
    let joined = join(victim.socket(), Role::Observer, PATIENCE).expect("an observer gets in");
    assert_eq!(joined.pages.boot().limits.shards, 1);
    drop(flood);
    let (mut observers, mut refused) = (vec![joined], None);
    while refused.is_none() {
        match join(victim.socket(), Role::Observer, PATIENCE) {
            Ok(joined) => observers.push(joined),
            Err(error) => refused = Some(error),
        }
    }
    let reason = refused.expect("more observers than there is room for").to_string();
    assert!(reason.contains(&format!("{} observers", observers.len())), "{reason}");
    // An observer talks where there is nothing to say, and is let go; another takes its place.
    let talker = observers.pop().expect("an observer");
    (&talker.socket).write_all(&[7; 64]).expect("sent");
    until(PATIENCE, "room for an observer", || {
        join(victim.socket(), Role::Observer, PATIENCE).ok()
    });
    victim.expect_unharmed();
}

#[test]
fn a_second_control_plane_is_told_about_the_first() {
    let mut victim = Victim::start("auto");
    let first = victim.appliance.controlplane().pid();
    match Steering::try_join(victim.appliance.socket()) {
        Err(JoinError::Refused { reason: JoinRefusal::ControlTaken { pid }, .. }) => {
            assert_eq!(pid, first);
        }
        other => panic!("not refused: {other:?}"),
    }
    victim.expect_unharmed();
}

/// Commands that are well formed but mean nothing, or something of others'.
#[test]
fn commands_that_make_no_sense_are_refused() {
    let victim = Victim::headless("auto");
    let mut steering = Steering::join(victim.socket());
    let known = steering.inventory(0);
    let (key, bound) = known.forwards[0];
    let nowhere = "192.0.2.1:9".parse().expect("an address");
    let to = |key, shard, rtp| DestinationSpec {
        key,
        shard,
        rtp,
        rtcp: rtp,
        rewrite: Rewrite::default(),
    };
    let mut elsewhere = open_forward(key, "127.0.0.1", 1025);
    elsewhere.policy.source = SourcePolicy::Any;
    let add = |forward, spec| Command::AddDestination { request: 0, forward, spec };
    let create = |spec| Command::CreateForward { request: 0, spec };
    let high = DestinationSpec {
        rewrite: Rewrite { payload_type: Some(200), ..Rewrite::default() },
        ..to(1, 0, nowhere)
    };
    for (command, expect) in [
        (create(open_forward(0, "127.0.0.1", 0)), Refusal::Invalid),
        (create(elsewhere), Refusal::Conflict),
        (create(open_forward(77, "0.0.0.0", bound.port())), Refusal::PortInUse),
        (create(open_forward(78, "192.0.2.1", 0)), Refusal::AddressNotAvailable),
        (add(key, to(0, 0, nowhere)), Refusal::Invalid),
        (add(key, to(5, 9, nowhere)), Refusal::NoSuchShard),
        (add(key, to(5, 0, "[::1]:9".parse().expect("v6"))), Refusal::FamilyMismatch),
        (add(key, high), Refusal::Invalid),
        (add(4711, to(5, 0, nowhere)), Refusal::NoSuchForward),
        (
            Command::UpdateForward {
                request: 0,
                forward: 4711,
                policy: open_forward(1, "0.0.0.0", 0).policy,
            },
            Refusal::NoSuchForward,
        ),
    ] {
        let outcome = steering.ask(0, |number| numbered(&command, number));
        let refused = matches!(outcome, Outcome::Refused { reason, .. } if reason == expect);
        assert!(refused, "{command:?}: {outcome:?}, not {expect:?}");
    }
    assert_eq!(steering.inventory(0), known);
    drop(steering);
    victim.expect_unharmed();
}

fn numbered(command: &Command, number: u64) -> Command {
    let mut command = command.clone();
    match &mut command {
        Command::CreateForward { request, .. }
        | Command::UpdateForward { request, .. }
        | Command::RemoveForward { request, .. }
        | Command::AddDestination { request, .. }
        | Command::RemoveDestination { request, .. }
        | Command::Call { request, .. }
        | Command::Snapshot { request } => *request = number,
    }
    command
}

fn check_rubbish_in_the_lanes(engine: &str) {
    let victim = Victim::headless(engine);
    // Slots full of rubbish behind a plausible cursor: each is skipped and counted.
    let intruder = Intruder::join(victim.socket());
    let slots = COMMAND_SLOTS as u64;
    let words = COMMAND_SLOTS * Command::WORDS;
    let slots_at = COMMANDS_AT + 3 * LINE_WORDS;
    let mut tail = 0;
    for pattern in [u64::MAX, 0x0101_0101_0101_0101, 0x7f7f_7f7f_7f7f_7f7f, 0xdead_beef] {
        let before = counter(victim.socket(), Counter::CommandsInvalid);
        let rubbish: Vec<u64> = (0..words as u64).map(|n| pattern.wrapping_add(n << 32)).collect();
        intruder.write(slots_at, &rubbish);
        tail += slots;
        intruder.write(COMMANDS_AT, &[tail]);
        intruder.ring();
        until(PATIENCE, "rubbish to be counted", || {
            let invalid = counter(victim.socket(), Counter::CommandsInvalid);
            (invalid > before).then_some(())
        });
    }
    // Cursors that cannot be, forwards and backwards; the event lane, too.
    for cursor in [tail + slots + 1, u64::MAX, 0, tail + 1] {
        intruder.write(COMMANDS_AT, &[cursor]);
        intruder.write(EVENTS_AT + LINE_WORDS, &[cursor]);
        intruder.ring();
    }
    // The whole region, headers included.
    let bytes = intruder.lanes.metadata().expect("a size").len() as usize;
    intruder.lanes.write_all_at(&vec![0xa5; bytes], 0).expect("lanes are writable");
    intruder.ring();
    victim.source.flow(50);
    drop(intruder);
    victim.expect_unharmed();
}

#[test]
fn rubbish_in_the_lanes_costs_the_lanes_on_io_uring() {
    check_rubbish_in_the_lanes("uring");
}

#[test]
fn rubbish_in_the_lanes_costs_the_lanes_on_plain_system_calls() {
    check_rubbish_in_the_lanes("plain");
}

#[test]
fn shared_memory_cannot_be_cut_away_or_overwritten() {
    let victim = Victim::headless("auto");
    let intruder = Intruder::join(victim.socket());
    for file in [&intruder.pages, &intruder.lanes] {
        for length in [0, 4096, 1 << 30] {
            assert!(file.set_len(length).is_err(), "the memory can be resized to {length}");
        }
    }
    assert!(intruder.pages.write_at(&[0; 64], 0).is_err(), "an intruder writes pages");
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&intruder.pages));
    let reopened = File::options().read(true).write(true).open(again);
    let written = reopened.is_ok_and(|file| file.write_at(&[0; 64], 0).is_ok());
    assert!(!written, "an intruder opens the pages again and writes them");
    let seals = rustix::fs::SealFlags::WRITE;
    assert!(rustix::fs::fcntl_add_seals(&intruder.lanes, seals).is_err(), "lanes can be sealed");
    drop(intruder);
    victim.expect_unharmed();
}

/// Both programs share the open eventfds and their flags: a shard must not trust them.
fn check_bells(engine: &str) {
    let victim = Victim::headless(engine);
    let intruder = Intruder::join(victim.socket());
    let blocking = rustix::fs::OFlags::empty();
    for bell in [&intruder.own_bell, &intruder.shard_bell] {
        rustix::fs::fcntl_setfl(bell, blocking).expect("flags of an open file are shared");
    }
    // A full counter: whoever rings a blocking bell now waits for ever.
    let full = (u64::MAX - 1).to_ne_bytes();
    rustix::io::write(&intruder.own_bell, &full).expect("an eventfd takes this");
    // The receiver of events sleeps, so that the shard rings for the answer.
    intruder.write(EVENTS_AT + 2 * LINE_WORDS, &[1]);
    let mut words = vec![0; Command::WORDS];
    Command::Snapshot { request: 1 }.to_words(&mut words);
    intruder.write(COMMANDS_AT + 3 * LINE_WORDS, &words);
    intruder.write(COMMANDS_AT, &[1]);
    intruder.ring();
    let answered = |events: u64| {
        let mut bytes = [0; 8];
        intruder.lanes.read_exact_at(&mut bytes, EVENTS_AT * 8).expect("lanes are readable");
        (u64::from_le_bytes(bytes) >= events).then_some(())
    };
    until(PATIENCE, "the shard to answer", || answered(1));
    victim.sink.wait_past(victim.source.sent() + 50);
    // Silence the shard's bell as fast as it rings, so that the shard finds it silent.
    let thief = intruder.shard_bell.try_clone().expect("a descriptor");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stealing = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = rustix::io::read(&thief, &mut [0; 8]);
            }
        });
        for _ in 0..100 {
            intruder.ring();
            victim.source.flow(1);
        }
        // Nobody rings now.
        victim.sink.wait_past(victim.source.sent() + 20);
        stop.store(true, Ordering::Relaxed);
        until(PATIENCE, "the thief to wake up", || {
            intruder.ring();
            stealing.is_finished().then_some(())
        });
    });
    drop(intruder);
    victim.expect_unharmed();
}

#[test]
fn bells_cannot_stop_a_shard_on_io_uring() {
    check_bells("uring");
}

#[test]
fn bells_cannot_stop_a_shard_on_plain_system_calls() {
    check_bells("plain");
}

/// Talks after it joined, never listens, and dies in the middle of it, again and again.
#[test]
fn control_peers_that_die_without_goodbye_harm_nobody() {
    let victim = Victim::headless("auto");
    for round in 0..20 {
        let mut steering = Steering::join(victim.socket());
        for number in 0..round * 40 {
            let forward = 1_000_000 + number;
            steering.send(0, &Command::RemoveForward { request: number, forward });
        }
        steering.send(0, &Command::Snapshot { request: 0 });
        if round % 4 == 0 {
            let spec = open_forward(900 + round, "127.0.0.1", 0);
            steering.send(0, &Command::CreateForward { request: 1, spec });
        }
    }
    // What they left behind is found and removed.
    let port = victim.forward["input"]["port"].as_u64().expect("a port");
    let mut victim = victim;
    victim.appliance.start_controlplane();
    victim.appliance.wait_joined();
    until(PATIENCE, "strays to be removed", || {
        let metrics = Metrics::parse(&victim.appliance.client().get("/metrics").body);
        (metrics.sum("ringway_forwards", &[]) == 1.0).then_some(())
    });
    let ports = victim.appliance.forward_ports();
    assert_eq!(ports, [port as u16, port as u16 + 1]);
    victim.expect_unharmed();
}

/// An event lane that nobody empties: the shard says so when somebody listens again.
#[test]
fn events_that_nobody_takes_are_lost_and_said_to_be() {
    let victim = Victim::headless("auto");
    let mut steering = Steering::join(victim.socket());
    for request in 1..=7000 {
        steering.send(0, &Command::RemoveForward { request, forward: 5 });
    }
    until(PATIENCE, "the shard to say that events are lost", || {
        std::iter::from_fn(|| steering.receive(0)).find(|event| *event == Event::Resync)
    });
    drop(steering);
    victim.expect_unharmed();
}
