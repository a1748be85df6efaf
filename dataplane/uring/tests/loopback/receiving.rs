//! Packets from peers: contents, time stamps, buffers that run out, a bell that wakes.

use std::net::UdpSocket;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ringway_uring::{EngineKind, ring_bell};

use crate::rig::{PATIENCE, Rig, bind_to, pattern, peer, with_both};

#[test]
fn arrivals_tell_sender_time_and_socket() {
    with_both(|kind| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let mut rig = Rig::new(kind, 16);
            let (first, first_bound) = rig.open(address, true);
            let (second, second_bound) = rig.open(address, true);
            let (peer, from) = peer(address);
            let mut earlier = 0;
            for (socket, bound) in [(first, first_bound), (second, second_bound)] {
                peer.send_to(b"hello", bound.local).unwrap();
                let arrival = rig.arrival();
                assert_eq!((arrival.socket, arrival.from), (socket, from), "{kind:?}");
                assert_eq!(rig.engine.bytes(&arrival), b"hello");
                assert!(arrival.kernel_ns > earlier && !arrival.truncated);
                assert_eq!(arrival.queue_drops, 0);
                earlier = arrival.kernel_ns;
                rig.engine.release(arrival.buffer);
            }
        }
    });
}

#[test]
fn buffers_go_round() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let (_, bound) = rig.open("127.0.0.1:0", true);
        let (peer, _) = peer("127.0.0.1:0");
        for round in 0..40 {
            for index in 0..4 {
                peer.send_to(&pattern(round + index, 1000), bound.local).unwrap();
            }
            for index in 0..4 {
                assert_eq!(rig.payload(), pattern(round + index, 1000), "{kind:?} {round}");
            }
            assert_eq!(rig.engine.buffers_free(), 16);
        }
        assert_eq!(rig.engine.tally().receive_stalls, 0);
    });
}

#[test]
fn a_buffer_stays_until_its_last_holder_lets_go() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 2);
        let (_, bound) = rig.open("127.0.0.1:0", true);
        let (peer, _) = peer("127.0.0.1:0");
        peer.send_to(b"kept", bound.local).unwrap();
        let kept = rig.arrival();
        rig.engine.retain(kept.buffer);
        rig.engine.release(kept.buffer);
        for index in 0..20 {
            peer.send_to(&pattern(index, 100), bound.local).unwrap();
            assert_eq!(rig.payload(), pattern(index, 100));
        }
        assert_eq!((rig.engine.bytes(&kept), rig.engine.buffers_free()), (&b"kept"[..], 1));
        rig.engine.release(kept.buffer);
        assert_eq!(rig.engine.buffers_free(), 2);
    });
}

#[test]
fn receiving_goes_on_after_the_pool_was_empty() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 8);
        let sockets: Vec<_> = (0..3).map(|_| rig.open("127.0.0.1:0", true)).collect();
        let (peer, _) = peer("127.0.0.1:0");
        for index in 0..60 {
            peer.send_to(&pattern(index, 500), sockets[index % 3].1.local).unwrap();
        }
        let held: Vec<_> = (0..8).map(|_| rig.arrival()).collect();
        assert_eq!(rig.engine.buffers_free(), 0);
        // One look finds the pool empty, another must not spin on it.
        for _ in 0..4 {
            rig.engine.wait(Some(Duration::ZERO)).unwrap();
            assert!(rig.engine.next_arrival().is_none());
        }
        assert!(rig.engine.tally().receive_stalls > 0, "{kind:?}");
        let mut payloads = Vec::new();
        for arrival in held {
            payloads.push(rig.engine.bytes(&arrival).to_vec());
            rig.engine.release(arrival.buffer);
        }
        while payloads.len() < 60 {
            payloads.push(rig.payload());
        }
        payloads.sort();
        let mut expect: Vec<_> = (0..60).map(|index| pattern(index, 500)).collect();
        expect.sort();
        assert_eq!(payloads, expect, "{kind:?}");
    });
}

#[test]
fn long_and_empty_datagrams_are_received() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 8);
        let (_, bound) = rig.open("127.0.0.1:0", true);
        let (peer, _) = peer("127.0.0.1:0");
        let room = 2048 - 104;
        for (len, truncated) in
            [(0, false), (room, false), (room + 1, true), (9000, true), (1, false)]
        {
            let sent = pattern(1, len);
            peer.send_to(&sent, bound.local).unwrap();
            let arrival = rig.arrival();
            assert_eq!(rig.engine.bytes(&arrival), &sent[..len.min(room)], "{kind:?} {len}");
            assert_eq!(arrival.truncated, truncated, "{kind:?} {len}");
            rig.engine.release(arrival.buffer);
        }
        assert_eq!(rig.engine.tally().receive_errors, 0);
    });
}

#[test]
fn drops_of_a_full_socket_are_told() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 64);
        let bound = bind_to("127.0.0.1:0");
        let small = socket2::SockRef::from(&*bound.socket);
        small.set_recv_buffer_size(8192).unwrap();
        let (peer, _) = peer("127.0.0.1:0");
        for _ in 0..50 {
            peer.send_to(&[0; 1000], bound.local).unwrap();
        }
        rig.engine.attach(bound.socket.clone(), true).unwrap();
        let mut taken = 0;
        // Those that came before the first drop do not know of it; the next one does.
        let drops = loop {
            let arrival = rig.arrival();
            rig.engine.release(arrival.buffer);
            taken += 1;
            if arrival.queue_drops > 0 {
                break arrival.queue_drops;
            }
            peer.send_to(&[0; 1000], bound.local).unwrap();
        };
        assert!(taken < 50 && drops > 0, "{kind:?} {taken} {drops}");
    });
}

#[test]
fn the_bell_wakes_a_sleeping_engine() {
    with_both(|kind| {
        for buffers in [8, 1] {
            let (ready, engine_is_ready) = mpsc::channel();
            let (woken, engine_was_woken) = mpsc::channel();
            let thread = thread::spawn(move || {
                let mut rig = Rig::new(kind, buffers);
                let (_, bound) = rig.open("127.0.0.1:0", true);
                // With a pool of one buffer the engine sleeps while it can receive nothing.
                peer("127.0.0.1:0").0.send_to(b"x", bound.local).unwrap();
                let held = rig.arrival();
                ready.send(rig.engine.bell()).unwrap();
                for _ in 0..3 {
                    rig.engine.wait(None).unwrap();
                    woken.send(()).unwrap();
                }
                rig.engine.release(held.buffer);
            });
            let bell = engine_is_ready.recv_timeout(PATIENCE).unwrap();
            for _ in 0..3 {
                ring_bell(&bell);
                engine_was_woken.recv_timeout(PATIENCE).unwrap();
            }
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_bell_rung_before_the_wait_is_not_lost() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 8);
        let (from, bound) = rig.open("127.0.0.1:0", false);
        for _ in 0..3 {
            ring_bell(rig.engine.bell());
            // Sending may take the bell's completion; the wait must know nevertheless.
            rig.push_bytes(from, bound.local, b"x", 0, 0);
            rig.send();
            rig.engine.wait(None).unwrap();
        }
    });
}

#[test]
fn a_wait_ends_without_any_event() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 8);
        rig.engine.wait(Some(Duration::from_micros(300))).unwrap();
        rig.engine.wait(Some(Duration::ZERO)).unwrap();
        assert!(rig.engine.next_arrival().is_none(), "{kind:?}");
    });
}

/// A completion queue much shorter than what completes at once: nothing may be lost.
#[test]
fn a_short_completion_queue_loses_nothing() {
    with_both(|kind| {
        let mut rig = Rig::with(kind, 4096, |config| config.completion_entries = Some(1));
        let sockets: Vec<_> = (0..30).map(|_| rig.open("127.0.0.1:0", true)).collect();
        rig.engine.wait(Some(Duration::ZERO)).unwrap();
        let (from, _) = rig.open("127.0.0.1:0", false);
        let forbidden = "255.255.255.255:9".parse().unwrap();
        for round in 0..2 {
            send_all(&peer("127.0.0.1:0").0, 2000, |index| sockets[index % 30].1.local);
            for tag in 0..1000 {
                rig.push_bytes(from, forbidden, &[0; 10], 0, tag);
            }
            rig.send();
            assert_eq!(rig.failures.len(), 1000 * (round + 1), "{kind:?}");
            let mut payloads: Vec<_> = (0..2000).map(|_| rig.payload()).collect();
            payloads.sort();
            let mut expect: Vec<_> = (0..2000_u32).map(|i| i.to_be_bytes().to_vec()).collect();
            expect.sort();
            assert_eq!(payloads, expect, "{kind:?}");
        }
    });
}

fn send_all(peer: &UdpSocket, count: usize, to: impl Fn(usize) -> std::net::SocketAddr) {
    for index in 0..count {
        peer.send_to(&(index as u32).to_be_bytes(), to(index)).unwrap();
    }
}

#[test]
#[should_panic(expected = "released more often than held")]
fn a_buffer_released_twice_is_a_bug() {
    let mut rig = Rig::new(EngineKind::Plain, 8);
    let (_, bound) = rig.open("127.0.0.1:0", true);
    peer("127.0.0.1:0").0.send_to(b"x", bound.local).unwrap();
    let arrival = rig.arrival();
    rig.engine.release(arrival.buffer);
    rig.engine.release(arrival.buffer);
}
