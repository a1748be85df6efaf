//! What a message costs, ours and dcsctp's, nanoseconds of this machine:
//! `cargo run --release -p ringway-sctp --example cost`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dcsctp::api as foreign;
use ringway_sctp::{Association, Config, SendOptions};

const ROUNDS: u64 = 20_000;

/// Spent on: sending and building the packet, taking it and the message out, taking the SACK.
#[derive(Default)]
struct Cost {
    send: Duration,
    receive: Duration,
    sack: Duration,
}

impl Cost {
    fn print(&self, name: &str, messages: u64) {
        let ns = |time: Duration| time.as_nanos() as f64 / messages as f64;
        println!(
            "{name:24} send {:7.0}  receive {:7.0}  SACK {:7.0}  in all {:7.0} ns a message",
            ns(self.send),
            ns(self.receive),
            ns(self.sack),
            ns(self.send + self.receive + self.sack),
        );
    }
}

fn timed<T>(sum: &mut Duration, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = run();
    *sum += start.elapsed();
    value
}

fn ours(len: usize, batch: u64, zero_checksum: bool) -> Cost {
    let mut ends =
        [1, 2].map(|seed| Association::new(0, Config { zero_checksum, ..Config::new(seed, seed) }));
    let mut buffer = Vec::with_capacity(1_200);
    ends[0].connect();
    for _ in 0..3 {
        for from in 0..2 {
            while ends[from].poll_packet(0, &mut buffer) {
                ends[1 - from].handle_packet(0, &buffer);
            }
        }
    }
    let payload = vec![7; len];
    let mut cost = Cost::default();
    let mut packets: Vec<Vec<u8>> = (0..64).map(|_| Vec::with_capacity(1_200)).collect();
    for round in 0..ROUNDS {
        let now_ns = round * 10_000_000;
        let [one, other] = &mut ends;
        let mut used = 0;
        timed(&mut cost.send, || {
            for _ in 0..batch {
                one.send(now_ns, 1, 53, &payload, SendOptions::default()).expect("taken");
                while one.poll_packet(now_ns, &mut packets[used]) {
                    used += 1;
                }
            }
        });
        timed(&mut cost.receive, || {
            for packet in &packets[..used] {
                other.handle_packet(now_ns, packet);
                while let Some(message) = other.poll_message() {
                    black_box(message);
                }
            }
        });
        used = 0;
        timed(&mut cost.receive, || {
            while other.poll_packet(now_ns, &mut packets[used]) {
                used += 1;
            }
        });
        timed(&mut cost.sack, || {
            for packet in &packets[..used] {
                one.handle_packet(now_ns, packet);
            }
            while one.poll_packet(now_ns, &mut buffer) {}
        });
    }
    cost
}

type Socket = Box<dyn foreign::DcSctpSocket>;

fn packets(socket: &mut Socket) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Some(event) = socket.poll_event() {
        if let foreign::SocketEvent::SendPacket(packet) = event {
            packets.push(packet);
        }
    }
    packets
}

fn theirs(len: usize, batch: u64) -> Cost {
    let options = foreign::Options::default();
    let mut ends: [Socket; 2] = std::array::from_fn(|_| dcsctp::new_socket("", &options));
    ends[0].connect();
    for _ in 0..3 {
        for from in 0..2 {
            for packet in packets(&mut ends[from]) {
                ends[1 - from].handle_input(&packet);
            }
        }
    }
    let payload = vec![7; len];
    let mut cost = Cost::default();
    for round in 0..ROUNDS {
        let now = foreign::SocketTime::zero() + Duration::from_millis(10 * round);
        let [one, other] = &mut ends;
        let mut sent = Vec::new();
        timed(&mut cost.send, || {
            one.advance_time(now);
            for _ in 0..batch {
                let (stream, ppid) = (foreign::StreamId(1), foreign::PpId(53));
                let message = foreign::Message::new(stream, ppid, payload.clone());
                one.send(message, &foreign::SendOptions::default()).expect("taken");
                sent.append(&mut packets(one));
            }
        });
        let sacks = timed(&mut cost.receive, || {
            other.advance_time(now);
            for packet in &sent {
                other.handle_input(packet);
                while let Some(message) = other.get_next_message() {
                    black_box(message);
                }
            }
            packets(other)
        });
        timed(&mut cost.sack, || {
            for packet in &sacks {
                one.handle_input(packet);
            }
            black_box(packets(one));
        });
    }
    cost
}

fn main() {
    for (len, batch) in [(100, 2), (1_000, 2), (100, 8)] {
        println!("{batch} x {len} B");
        let messages = ROUNDS * batch;
        ours(len, batch, false).print("ours", messages);
        ours(len, batch, true).print("ours, without checksum", messages);
        theirs(len, batch).print("dcsctp", messages);
    }
}
