//! The real program, steered over real shared memory: both engines, one shard and two.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use ringway_abi::bell;
use ringway_abi::handover::Role;
use ringway_abi::join::{Joined, join};
use ringway_abi::message::{
    Bound, Command, DestinationSpec, Event, ForwardSpec, InputPolicy, Outcome, Refusal, Rewrite,
    RtcpInput, SourcePolicy,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running data plane, joined as its control plane.
struct Plane {
    child: Child,
    joined: Joined,
    requests: u64,
    _dir: tempfile::TempDir,
}

impl Plane {
    fn start(engine: &str, cores: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("door.sock");
        let config = dir.path().join("dataplane.yaml");
        let text = format!("socket: {}\nengine: {engine}\ncores: {cores}\n", socket.display());
        std::fs::write(&config, text).expect("a configuration");
        let mut child = Process::new(env!("CARGO_BIN_EXE_ringway-dataplane"))
            .arg("--config")
            .arg(&config)
            .env("RINGWAY_DIE_WITH_PARENT", "1")
            .stdin(Stdio::null())
            .spawn()
            .expect("the data plane starts");
        let joined = until("the data plane lets us join", || {
            assert!(child.try_wait().expect("a child").is_none(), "the data plane ended");
            join(&socket, Role::Control, PATIENCE).ok()
        });
        Self { child, joined, requests: 0, _dir: dir }
    }

    /// Sends a command to `shard` and waits for its end.
    fn ask(&mut self, shard: usize, command: impl FnOnce(u64) -> Command) -> Outcome {
        self.requests += 1;
        let request = self.requests;
        let control = self.joined.control.as_mut().expect("lanes");
        let lane = &mut control.shards[shard];
        lane.commands.try_send(&command(request)).expect("room");
        if lane.commands.reader_sleeps() {
            bell::ring(&lane.bell);
        }
        until("the command ends", || match lane.events.try_receive()?.expect("a valid event") {
            Event::Done { request: done, outcome } if done == request => Some(outcome),
            _ => None,
        })
    }

    fn create(&mut self, key: u64, address: &str) -> Bound {
        let spec = forward(key, address, 0);
        match self.ask(0, |request| Command::CreateForward { request, spec }) {
            Outcome::Forward(bound) => bound,
            other => panic!("not created: {other:?}"),
        }
    }

    fn add(&mut self, forward: u64, key: u64, shard: u16, rtp: SocketAddr, rewrite: Rewrite) {
        let spec = DestinationSpec { key, shard, rtp, rtcp: rtp, rewrite };
        match self.ask(0, |request| Command::AddDestination { request, forward, spec }) {
            Outcome::Destination { .. } => {}
            other => panic!("not added: {other:?}"),
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(key: u64, address: &str, rtp_port: u16) -> ForwardSpec {
    ForwardSpec {
        key,
        address: address.parse().expect("an address"),
        rtp_port,
        rtcp: RtcpInput::NextPort,
        policy: InputPolicy { source: SourcePolicy::Any, ssrc: None },
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

fn receiver(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn packet(sequence: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 3000).to_be_bytes());
    packet.extend_from_slice(&0xdead_beef_u32.to_be_bytes());
    packet.extend((packet.len()..len).map(|at| (at as u8).wrapping_add(sequence as u8)));
    packet
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let len = socket.recv(&mut buffer).expect("a packet");
    buffer[..len].to_vec()
}

/// One forward, an untouched and a rewritten destination on each of `shards` shards.
fn check(engine: &str, cores: &str, shards: u16, any: &str, loopback: &str) {
    let mut plane = Plane::start(engine, cores);
    let bound = plane.create(7, any);
    let rewrite = Rewrite { ssrc: Some(0x0102_0304), payload_type: Some(111), contiguous: true };
    let mut receivers = Vec::new();
    for shard in 0..shards {
        for rewrite in [Rewrite::default(), rewrite] {
            let socket = receiver(&format!("{loopback}:0"));
            let to = socket.local_addr().expect("an address");
            plane.add(7, 100 + receivers.len() as u64, shard, to, rewrite);
            receivers.push((socket, rewrite));
        }
    }
    let sender = receiver(&format!("{loopback}:0"));
    let to = format!("{loopback}:{}", bound.rtp.port());
    // Less than a socket's buffer between two looks, so that loss would be the forwarder's.
    for burst in 0..20_u16 {
        let sent: Vec<_> = (0..10).map(|n| packet(burst * 10 + n, 1200 - n as usize % 3)).collect();
        for packet in &sent {
            sender.send_to(packet, &to).expect("sent");
        }
        for (socket, rewrite) in &receivers {
            for packet in &sent {
                let got = receive(socket);
                assert_eq!(got[12..], packet[12..], "payload");
                assert_eq!(got[2..8], packet[2..8], "sequence number and timestamp");
                let ssrc = rewrite.ssrc.unwrap_or(0xdead_beef);
                assert_eq!(got[8..12], ssrc.to_be_bytes(), "SSRC");
                assert_eq!(got[1], rewrite.payload_type.unwrap_or(96), "payload type");
            }
        }
    }
    let view = &plane.joined.pages;
    until("the record says what came", || {
        view.forward(0, bound.stats_slot, 7).filter(|stats| stats.packets == 200)
    });
}

#[test]
fn forwards_on_both_engines() {
    for engine in ["uring", "plain"] {
        check(engine, "auto", 1, "0.0.0.0", "127.0.0.1");
        check(engine, "[0, 1]", 2, "0.0.0.0", "127.0.0.1");
        check(engine, "auto", 1, "::", "127.0.0.1");
        check(engine, "[0, 1]", 2, "::", "[::1]");
    }
}

#[test]
fn a_port_in_use_is_refused_and_named() {
    let mut plane = Plane::start("auto", "auto");
    let taken = receiver("0.0.0.0:0");
    let port = taken.local_addr().expect("an address").port();
    let spec = forward(1, "0.0.0.0", port);
    let outcome = plane.ask(0, |request| Command::CreateForward { request, spec });
    assert_eq!(outcome, Outcome::Refused { reason: Refusal::PortInUse, errno: 0 });
}

#[test]
fn commands_may_be_repeated() {
    let mut plane = Plane::start("auto", "auto");
    let bound = plane.create(1, "127.0.0.1");
    let spec = forward(1, "127.0.0.1", bound.rtp.port());
    let again = plane.ask(0, |request| Command::CreateForward { request, spec });
    assert_eq!(again, Outcome::Forward(bound));
    for _ in 0..2 {
        let gone = plane.ask(0, |request| Command::RemoveForward { request, forward: 1 });
        assert_eq!(gone, Outcome::Removed);
    }
    // The port is free again.
    let spec = forward(2, "127.0.0.1", bound.rtp.port());
    let created = plane.ask(0, |request| Command::CreateForward { request, spec });
    assert!(matches!(created, Outcome::Forward(_)), "{created:?}");
}
