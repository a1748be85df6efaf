//! The hand-over through a real socket: the door on its thread, peers on the test's.

use super::*;
use crate::boot::tests::boot;
use crate::join::{JoinError, Joined, join};
use crate::layout::{ABI_VERSION, LAYOUT_HASH};
use crate::listener;
use rustix::fs::OFlags;
use rustix::net::SocketAddrUnix;
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Longer than anything here takes on the slowest machine: a bound for a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

struct House {
    directory: tempfile::TempDir,
    events: mpsc::Receiver<DoorEvent>,
    stop: StopHandle,
    thread: Option<JoinHandle<Result<(), DoorError>>>,
    shard_bells: Vec<Arc<OwnedFd>>,
    pages: Arc<PagesOwner>,
}

impl House {
    fn new(hello_timeout: Duration) -> House {
        let directory = tempfile::tempdir().expect("a directory");
        let pages = Arc::new(PagesOwner::create(&boot()).expect("memory"));
        let shard_bells: Vec<_> = (0..2).map(|_| Arc::new(bell::bell().expect("a bell"))).collect();
        let path = directory.path().join("socket");
        let mut door = Door::bind(&path, Arc::clone(&pages), shard_bells.clone()).expect("a door");
        door.hello_timeout = hello_timeout;
        let stop = door.stop_handle();
        let (send, events) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            door.run(move |event| send.send(event).expect("the test still listens"))
        });
        House { directory, events, stop, thread: Some(thread), shard_bells, pages }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    fn join(&self, role: Role) -> Result<Joined, JoinError> {
        join(&self.path(), role, PATIENCE)
    }

    /// A connection on which the test speaks for itself.
    fn connect(&self) -> OwnedFd {
        let socket = listener::socket(SocketFlags::empty()).expect("a socket");
        let address = SocketAddrUnix::new(self.path()).expect("an address");
        rustix::net::connect(&socket, &address).expect("a connection");
        socket
    }

    fn event(&self) -> DoorEvent {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }

    fn control_joined(&self) -> Vec<ShardLink> {
        match self.event() {
            DoorEvent::ControlJoined { pid, shards } if pid == std::process::id() => shards,
            _ => panic!("control should have joined"),
        }
    }

    fn refused(&self) -> JoinRefusal {
        match self.event() {
            DoorEvent::Refused { pid, reason } if pid == std::process::id() => reason,
            _ => panic!("a peer should have been refused"),
        }
    }

    fn control_left(&self) {
        assert!(matches!(self.event(), DoorEvent::ControlLeft { .. }));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(Ok(())))));
            assert!(!self.path().exists(), "the socket file goes with the door");
        }
    }
}

fn refusal_of(joined: Result<Joined, JoinError>) -> JoinRefusal {
    match joined {
        Err(JoinError::Refused { reason, .. }) => reason,
        other => panic!("should have been refused: {other:?}"),
    }
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn control_and_shards_talk_both_ways() {
    let house = House::new(HELLO_TIMEOUT);
    let joined = house.join(Role::Control).expect("welcome");
    assert_eq!(joined.pages.boot(), &boot());
    let mut control = joined.control.expect("lanes");
    let mut shards = house.control_joined();
    assert_eq!((shards.len(), control.shards.len()), (2, 2));

    let command = Command::Snapshot { request: 7 };
    assert!(shards[1].commands.prepare_sleep());
    control.shards[1].commands.try_send(&command).expect("room");
    assert!(control.shards[1].commands.reader_sleeps());
    bell::ring(&control.shards[1].bell);
    // Control has one bell for all shards; the door passes it on.
    house.shard_bells.iter().for_each(|bell| wait_for(&**bell));
    assert_eq!(shards[1].commands.try_receive(), Some(Ok(command)));
    assert_eq!(shards[0].commands.try_receive(), None);

    assert!(control.shards[0].events.prepare_sleep());
    shards[0].events.try_send(&Event::Resync).expect("room");
    assert!(shards[0].events.reader_sleeps());
    bell::ring(&*shards[0].bell);
    wait_for(&control.bell);
    assert_eq!(control.shards[0].events.try_receive(), Some(Ok(Event::Resync)));
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn a_second_control_is_refused_until_the_first_is_gone() {
    let house = House::new(HELLO_TIMEOUT);
    let mut first = house.join(Role::Control).expect("welcome");
    let mut old = house.control_joined();
    let taken = JoinRefusal::ControlTaken { pid: std::process::id() };
    assert_eq!(refusal_of(house.join(Role::Control)), taken);
    assert_eq!(house.refused(), taken);

    // Dropped without a word, with a message under way.
    let lanes = &mut first.control.as_mut().expect("lanes").shards;
    lanes[0].commands.try_send(&Command::Snapshot { request: 1 }).expect("room");
    drop(first);
    let second = house.join(Role::Control).expect("welcome after the first is gone");
    house.control_left();
    let mut new = house.control_joined();
    assert_eq!(new[0].commands.try_receive(), None, "fresh lanes");
    assert!(old[0].commands.try_receive().is_some(), "what was sent whole can be read");
    let mut control = second.control.expect("lanes");
    control.shards[0].commands.try_send(&Command::Snapshot { request: 2 }).expect("room");
    assert_eq!(old[0].commands.try_receive(), None);
    assert!(new[0].commands.try_receive().is_some());
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn observers_see_the_pages_and_are_bounded() {
    let house = House::new(HELLO_TIMEOUT);
    let mut shard = house.pages.shard(1);
    let mut observers: Vec<_> =
        (0..MAX_OBSERVERS).map(|_| house.join(Role::Observer).expect("welcome")).collect();
    shard.beat(42);
    assert!(observers.iter().all(|joined| joined.pages.beat_ns(1) == 42));
    assert!(observers.iter().all(|joined| joined.control.is_none()));
    let full = JoinRefusal::TooManyObservers { limit: MAX_OBSERVERS as u32 };
    assert_eq!(refusal_of(house.join(Role::Observer)), full);
    assert_eq!(house.refused(), full);
    house.join(Role::Control).expect("control has a place of its own");
    observers.pop();
    house.join(Role::Observer).expect("a place is free");
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn strangers_are_told_what_is_wrong() {
    let house = House::new(HELLO_TIMEOUT);
    let rows = [
        (0, 1, JoinRefusal::WrongMagic),
        (1, 99, JoinRefusal::OtherVersion { data_plane: ABI_VERSION, peer: 99 }),
        (2, 98, JoinRefusal::OtherLayout { data_plane: LAYOUT_HASH, peer: 98 }),
    ];
    for (word, value, expect) in rows {
        let socket = house.connect();
        let mut hello = handover::hello(Role::Observer);
        hello[word] = value;
        handover::send(&socket, &hello, &[]).expect("sent");
        let Ok(Received::Message(answer, fds)) = handover::receive(&socket) else {
            panic!("an answer")
        };
        assert_eq!(handover::read_answer(&answer), Some(handover::Answer::Refused(expect)));
        assert!(fds.is_empty());
        assert_eq!(house.refused(), expect);
    }
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0; 4096]] {
        let socket = house.connect();
        rustix::io::write(&socket, bytes).expect("sent");
        assert_eq!(house.refused(), JoinRefusal::WrongMagic);
    }
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn the_silent_are_let_go_and_delay_nobody() {
    let house = House::new(Duration::from_millis(50));
    let silent = house.connect();
    let joined = house.join(Role::Observer).expect("welcome meanwhile");
    assert_eq!(house.refused(), JoinRefusal::Silent { ms: 50 });
    let Ok(Received::Message(answer, _)) = handover::receive(&silent) else { panic!("a reason") };
    let reason = JoinRefusal::Silent { ms: 50 };
    assert_eq!(handover::read_answer(&answer), Some(handover::Answer::Refused(reason)));
    assert!(matches!(handover::receive(&silent), Ok(Received::End)));
    drop(joined);
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn more_silent_peers_than_places_do_not_shut_the_door() {
    let house = House::new(HELLO_TIMEOUT);
    let crowd: Vec<_> = (0..3 * MAX_WAITING).map(|_| house.connect()).collect();
    house.join(Role::Control).expect("welcome");
    house.control_joined();
    drop(crowd);
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn a_peer_that_talks_out_of_turn_is_let_go() {
    let house = House::new(HELLO_TIMEOUT);
    let mut joined = house.join(Role::Control).expect("welcome");
    house.control_joined();
    rustix::io::write(&joined.socket, &[1]).expect("sent");
    house.control_left();
    let end = joined.socket.read(&mut [0; 8]);
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn peers_see_the_data_plane_end() {
    let house = House::new(HELLO_TIMEOUT);
    let path = house.path();
    let mut joined = house.join(Role::Observer).expect("welcome");
    drop(house);
    assert_eq!(joined.socket.read(&mut [0; 8]).expect("an end"), 0);
    assert_eq!(joined.pages.boot(), &boot(), "the pages outlive their writer");
    let gone = join(&path, Role::Observer, PATIENCE);
    assert!(matches!(gone, Err(JoinError::NotRunning { .. })), "{gone:?}");
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn a_door_that_does_not_answer_is_a_timeout() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let _listener = Listener::bind(&path).expect("a listener that nobody serves");
    let timeout = Duration::from_millis(20);
    let late = join(&path, Role::Observer, timeout);
    assert!(matches!(late, Err(JoinError::Timeout { .. })), "{late:?}");
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn bells_are_one_for_each_shard() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = Arc::new(PagesOwner::create(&boot()).expect("memory"));
    let door = Door::bind(&directory.path().join("socket"), pages, Vec::new());
    assert!(matches!(door.map(drop), Err(DoorError::Bells { bells: 0, shards: 2 })));
}

/// Waits until a bell rings, and silences it.
fn wait_for(bell: impl AsFd) {
    let mut fds = [PollFd::new(&bell, PollFlags::IN)];
    let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
    let rang = rustix::event::poll(&mut fds, Some(&patience));
    assert_eq!(rang, Ok(1), "the bell does not ring");
    assert!(bell::silence(&bell));
}

#[test]
#[cfg_attr(miri, ignore = "sockets")]
fn a_peer_that_misuses_its_bells_makes_nobody_wait() {
    let house = House::new(HELLO_TIMEOUT);
    let mut joined = house.join(Role::Control).expect("joined");
    let control = joined.control.as_mut().expect("lanes");
    let shards = house.control_joined();
    // It takes the flag away that keeps readers from waiting, then rings and silences at once, so
    // that the door finds the bell silent or not; and it never reads its own.
    let bell = &control.shards[0].bell;
    rustix::fs::fcntl_setfl(bell, OFlags::empty()).expect("flags");
    rustix::fs::fcntl_setfl(&control.bell, OFlags::empty()).expect("flags");
    for _ in 0..1000 {
        bell::ring(bell);
        bell::silence_foreign(bell);
        bell::ring(&*shards[0].bell);
    }
    // The door still opens, and control can still wake the shards.
    assert!(house.join(Role::Observer).is_ok());
    bell::ring(bell);
    house.shard_bells.iter().for_each(|bell| wait_for(&**bell));
}
