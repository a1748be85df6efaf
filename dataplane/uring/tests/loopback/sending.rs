#![allow(unsafe_code)] // No library sets SO_NO_CHECK.
//! Batches to peers: contents, sizes, order, failures.

use std::os::fd::AsRawFd;

use ringway_uring::{EngineKind, Failure, MAX_RUN_BYTES, MAX_SEGMENTS, Piece};

use crate::rig::{Rig, pattern, peer, receive, with_both};

#[test]
fn one_packet_goes_to_many_with_headers_of_their_own() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let (input, bound) = rig.open("127.0.0.1:0", true);
        let payload = pattern(1, 1188);
        peer("127.0.0.1:0").0.send_to(&payload, bound.local).unwrap();
        let arrival = rig.arrival();
        assert_eq!(rig.engine.bytes(&arrival), payload);

        let peers: Vec<_> = (0..100).map(|_| peer("127.0.0.1:0")).collect();
        let shared = rig.push_pieces(&[arrival.piece(0)]);
        for (index, (_, to)) in peers.iter().enumerate() {
            if index % 2 == 0 {
                rig.push(input, *to, shared, 0, index as u32);
                continue;
            }
            let header = rig.batch.push_scratch(&pattern(index, 12)).unwrap();
            let pieces = rig.push_pieces(&[header, arrival.piece(0)]);
            rig.push(input, *to, pieces, 0, index as u32);
        }
        rig.send();
        // The bytes are free again: what becomes of them now must not be seen by anyone.
        rig.engine.bytes_mut(&arrival).fill(0xee);
        rig.batch.push_scratch(&[0xee; 4096]).unwrap();
        rig.engine.release(arrival.buffer);

        for (index, (peer, _)) in peers.iter().enumerate() {
            let mut expect = if index % 2 == 0 { Vec::new() } else { pattern(index, 12) };
            expect.extend(&payload);
            assert_eq!(receive(peer), expect, "peer {index}");
        }
        assert_eq!(rig.failures, []);
        assert_eq!((rig.tally.packets, rig.tally.runs, rig.tally.failed_packets), (100, 100, 0));
    });
}

#[test]
fn a_run_arrives_as_separate_packets() {
    let most = MAX_SEGMENTS as u16;
    let largest = (MAX_RUN_BYTES / u32::from(most)) as u16;
    let rows = [
        (1200, &[1200 * 5][..]),
        (1200, &[1200 * 4 + 1]),
        (1200, &[1199]),
        (1200, &[1200]),
        (100, &[12, 88, 12, 88, 12, 20]),
        (100, &[1, 198, 51]),
        (largest, &[u32::from(largest) * u32::from(most)]),
    ];
    with_both(|kind| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            for (segment, pieces) in rows {
                check_run(kind, address, segment, pieces);
            }
        }
    });
}

fn check_run(kind: EngineKind, address: &str, segment: u16, lens: &[u32]) {
    let mut rig = Rig::new(kind, 16);
    let (from, _) = rig.open(address, false);
    let (peer, to) = peer(address);
    let sent = pattern(3, lens.iter().sum::<u32>() as usize);
    let mut rest = &sent[..];
    let mut pieces = Vec::new();
    for len in lens {
        let (head, tail) = rest.split_at(*len as usize);
        pieces.push(rig.batch.push_scratch(head).unwrap());
        rest = tail;
    }
    let pieces = rig.push_pieces(&pieces);
    rig.push(from, to, pieces, segment, 0);
    rig.send();
    assert_eq!(rig.failures, []);
    for expect in sent.chunks(segment.into()) {
        assert_eq!(receive(&peer), expect, "{kind:?} {address} {segment} {lens:?}");
    }
    assert_eq!((rig.tally.messages, rig.tally.gso_fallbacks), (1, 0));
    assert_eq!(rig.tally.packets, sent.chunks(segment.into()).len() as u64);
}

#[test]
fn many_runs_keep_their_order_and_their_socket() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let (peer, to) = peer("127.0.0.1:0");
        let sources = [rig.open("127.0.0.1:0", false), rig.open("127.0.0.1:0", false)];
        for index in 0..1000_usize {
            let (from, _) = &sources[index / 3 % 2];
            rig.push_bytes(*from, to, &pattern(index, 40), 0, 0);
        }
        rig.send();
        for index in 0..1000 {
            let mut bytes = [0; 64];
            let (len, from) = peer.recv_from(&mut bytes).unwrap();
            assert_eq!(bytes[..len], pattern(index, 40), "{kind:?} packet {index}");
            assert_eq!(from, sources[index / 3 % 2].1.local);
        }
    });
}

#[test]
fn failures_name_their_run_at_once() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let (from, _) = rig.open("127.0.0.1:0", false);
        let (gone, _) = rig.open("127.0.0.1:0", false);
        rig.engine.detach(gone);
        let (peer, to) = peer("127.0.0.1:0");
        let forbidden = "255.255.255.255:9".parse().unwrap();
        let other_family = "[::1]:9".parse().unwrap();
        // Several hundred, so that failures cross from one submission to the next.
        for index in 0..300 {
            let tag = 10 * index;
            rig.push_bytes(from, forbidden, &[1; 100], 0, tag);
            rig.push_bytes(from, to, &[2; 100], 0, tag + 1);
            rig.push_bytes(from, forbidden, &[3; 100], 30, tag + 2);
            rig.push_bytes(gone, to, &[4; 100], 30, tag + 3);
            rig.push_bytes(from, other_family, &[5; 100], 0, tag + 4);
        }
        rig.send();
        rig.failures.sort_by_key(|failure| failure.tag);
        assert_eq!(rig.failures.len(), 300 * 4);
        for (index, failures) in rig.failures.chunks(4).enumerate() {
            let tag = 10 * index as u32;
            let expect = |tag, packets, errno| Failure { tag, packets, bytes: 100, errno };
            assert_eq!(failures[0], expect(tag, 1, libc::EACCES));
            assert_eq!(failures[1], expect(tag + 2, 4, libc::EACCES));
            assert_eq!(failures[2], expect(tag + 3, 4, libc::EBADF));
            assert_eq!((failures[3].tag, failures[3].packets), (tag + 4, 1));
        }
        assert_eq!((rig.tally.packets, rig.tally.failed_packets), (300, 3000));
        for _ in 0..300 {
            assert_eq!(receive(&peer), [2; 100]);
        }
    });
}

/// Without checksums the kernel refuses to segment, but sends single packets.
#[test]
fn refused_segmentation_falls_back_to_packets() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let (from, bound) = rig.open("127.0.0.1:0", false);
        switch_checksums_off(&bound.socket);
        let (peer, to) = peer("127.0.0.1:0");
        let (_spare, other) = crate::rig::peer("127.0.0.1:0");
        for round in 0..3 {
            let sent = pattern(round, 250);
            rig.push_bytes(from, to, &sent, 100, 7);
            rig.send();
            for expect in sent.chunks(100) {
                assert_eq!(receive(&peer), expect, "{kind:?} round {round}");
            }
        }
        assert_eq!(rig.failures, []);
        assert_eq!((rig.tally.packets, rig.tally.bytes), (9, 750));
        assert_eq!((rig.tally.gso_fallbacks, rig.tally.single_runs), (1, 2));
        rig.push_bytes(from, other, &[0; 250], 100, 8);
        rig.send();
        assert_eq!(rig.tally.gso_fallbacks, 2, "each route is tried for itself");
    });
}

fn switch_checksums_off(socket: &impl AsRawFd) {
    let on: libc::c_int = 1;
    let (value, len) = ((&raw const on).cast(), size_of::<libc::c_int>() as libc::socklen_t);
    // SAFETY: the kernel reads one integer that is alive.
    let outcome = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, value, len)
    };
    assert_eq!(outcome, 0);
}

#[test]
fn a_dual_stack_socket_reaches_both_families() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let (both, bound) = rig.open("[::]:0", true);
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (peer, to) = peer(address);
            rig.push_bytes(both, to, b"out", 0, 0);
            rig.send();
            assert_eq!((receive(&peer), rig.failures.len()), (b"out".to_vec(), 0), "{address}");
            let mut back = to;
            back.set_port(bound.local.port());
            peer.send_to(b"back", back).unwrap();
            let arrival = rig.arrival();
            assert_eq!((rig.engine.bytes(&arrival), arrival.from), (&b"back"[..], to));
            rig.engine.release(arrival.buffer);
        }
    });
}

#[test]
#[should_panic(expected = "lies outside of its pool")]
fn foreign_memory_is_never_sent() {
    let mut rig = Rig::new(EngineKind::Plain, 16);
    let (from, bound) = rig.open("127.0.0.1:0", false);
    let pieces = rig.push_pieces(&[Piece { pool: 0, offset: 16 * 2048 - 1, len: 2 }]);
    rig.push(from, bound.local, pieces, 0, 0);
    rig.send();
}
