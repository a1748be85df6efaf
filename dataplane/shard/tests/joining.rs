//! Many clients join the real program at once: its threads do the handshakes, the shard goes on.

#[path = "calls/peer.rs"]
#[allow(dead_code)] // What the other tests need of it.
mod peer;

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use ringway_abi::bell;
use ringway_abi::call::{CallCommand, CallEvent, Text};
use ringway_abi::handover::Role;
use ringway_abi::join::{Joined, join};
use ringway_abi::message::{Command, Event, Outcome};
use ringway_proto::dtls;

use peer::{Peer, abi_credentials, abi_fingerprint};

const PATIENCE: Duration = Duration::from_secs(60);
const CLIENTS: u64 = 40;

/// A running data plane, joined as its control plane.
struct Plane {
    child: Child,
    joined: Joined,
    requests: u64,
    connected: Vec<u64>,
    _dir: tempfile::TempDir,
}

impl Plane {
    fn start(threads: u32) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("door.sock");
        let config = dir.path().join("dataplane.yaml");
        let door = socket.display();
        let text = format!("socket: {door}\ncores: [0]\nhandshake_threads: {threads}\n");
        std::fs::write(&config, text).expect("a configuration");
        let mut child = Process::new(env!("CARGO_BIN_EXE_ringway-dataplane"))
            .arg("--config")
            .arg(&config)
            .env("RINGWAY_DIE_WITH_PARENT", "1")
            .stdin(Stdio::null())
            .spawn()
            .expect("the data plane starts");
        let end = Instant::now() + PATIENCE;
        let joined = loop {
            assert!(child.try_wait().expect("a child").is_none(), "the data plane ended");
            assert!(Instant::now() < end, "the data plane lets nobody join");
            if let Ok(joined) = join(&socket, Role::Control, PATIENCE) {
                break joined;
            }
            std::thread::yield_now();
        };
        Self { child, joined, requests: 0, connected: Vec::new(), _dir: dir }
    }

    fn ask(&mut self, call: CallCommand) -> Outcome {
        self.requests += 1;
        let request = self.requests;
        let lane = &mut self.joined.control.as_mut().expect("lanes").shards[0];
        lane.commands.try_send(&Command::Call { request, call }).expect("room");
        if lane.commands.reader_sleeps() {
            bell::ring(&lane.bell);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(outcome) = self.hear(Some(request)) {
                return outcome;
            }
            assert!(Instant::now() < end, "no answer to {call:?}");
            std::thread::yield_now();
        }
    }

    /// Takes one event; gives the outcome of `request`.
    fn hear(&mut self, request: Option<u64>) -> Option<Outcome> {
        let lane = &mut self.joined.control.as_mut().expect("lanes").shards[0];
        match lane.events.try_receive()?.expect("a valid event") {
            Event::Done { request: done, outcome } if Some(done) == request => Some(outcome),
            Event::Call(CallEvent::Connected { transport, .. }) => {
                self.connected.push(transport);
                None
            }
            _ => None,
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client with a socket of its own.
struct Client {
    peer: Peer,
    socket: UdpSocket,
}

impl Client {
    /// Sends and takes what there is.
    fn turn(&mut self, now_ns: u64, server: SocketAddr) {
        let mut buffer = [0; 2048];
        while let Ok(len) = self.socket.recv(&mut buffer) {
            self.peer.take(now_ns, buffer[..len].to_vec());
        }
        for datagram in self.peer.poll(now_ns) {
            self.socket.send_to(&datagram, server).expect("sent");
        }
    }
}

fn check(threads: u32) {
    let mut plane = Plane::start(threads);
    let udp = "127.0.0.1:0".parse().expect("an address");
    let Outcome::Media { udp, fingerprint } = plane.ask(CallCommand::OpenMedia { udp }) else {
        panic!("no media");
    };
    let fingerprint = dtls::Fingerprint::new(dtls::HashAlgorithm::Sha256, &fingerprint);
    let start = Instant::now();
    let now_ns = || 1_000_000_000 + start.elapsed().as_nanos() as u64;
    let mut clients = Vec::new();
    for transport in 1..=CLIENTS {
        let local = abi_credentials(transport, "server");
        let trailer = Text::EMPTY;
        plane.ask(CallCommand::OpenTransport { transport, local, lite: true, trailer });
        let remote = abi_credentials(transport, "client");
        let theirs = abi_fingerprint();
        plane.ask(CallCommand::SetRemote { transport, remote, fingerprint: theirs });
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_nonblocking(true).expect("set");
        let peer = Peer::towards(transport, now_ns(), udp, fingerprint.expect("32 octets"));
        clients.push(Client { peer, socket });
    }
    let end = Instant::now() + PATIENCE;
    while plane.connected.len() < CLIENTS as usize {
        assert!(Instant::now() < end, "only {} connected", plane.connected.len());
        let now_ns = now_ns();
        clients.iter_mut().for_each(|client| client.turn(now_ns, udp));
        plane.hear(None);
        std::thread::yield_now();
    }
    plane.connected.sort_unstable();
    assert!(plane.connected.iter().copied().eq(1..=CLIENTS), "each once: {:?}", plane.connected);
}

#[test]
fn all_of_many_clients_connect() {
    check(1);
    check(3);
}
