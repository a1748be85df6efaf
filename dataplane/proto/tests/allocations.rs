//! Once connected, a transport allocates nothing: not for media, checks, strangers, nor time.
//!
//! What C allocates is not seen; AWS-LC's calls for AES, HMAC and SHA-1 make none.
// A global allocator is `unsafe` to write; this one only counts and passes on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ringway_proto::ice::{IceAgent, Path, PathProtocol};
use ringway_proto::srtp::{PacketIndex, RtpParts, SrtpProfile};
use ringway_proto::transport::{Received, TransportDrop};

#[path = "transport/net.rs"]
#[allow(dead_code)]
mod net;

use net::{MS, Net, Side, credentials, to_client, to_server};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // Fails only while the thread ends, when nothing is measured any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

/// `count` sealed packets of the client's, RTP and RTCP by turns.
fn sealed(net: &mut Net, count: u64) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for number in 0..count {
        let mut out = vec![0; 1500];
        let len = if number % 2 == 0 {
            let mut header = [0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, (number % 6) as u8];
            header[2..4].copy_from_slice(&(number as u16).to_be_bytes());
            let parts = RtpParts { header: &header, payload: &[7; 1000], ..RtpParts::default() };
            net.client.seal_rtp_into(PacketIndex::new(0, number as u16), &parts, &mut out)
        } else {
            net.client.seal_rtcp_into(&[0x80, 201, 0, 1, 0, 0, 0, 1], &mut out)
        };
        out.truncate(len.expect("keys").expect("sealed"));
        packets.push(out);
    }
    packets
}

fn checks(count: u64, nominate: bool) -> Vec<Vec<u8>> {
    let mut agent = IceAgent::client(&credentials("client"), 5);
    agent.set_remote(&credentials("server"));
    agent.add_remote_candidate(to_server(0));
    if !nominate {
        agent.add_remote_candidate(to_server(1));
    }
    let check = |number: u64| {
        let mut out = vec![0; 300];
        let sent = agent.poll_transmit(number * 10_000 * MS, &mut out).expect("a check");
        out.truncate(sent.len);
        out
    };
    (1..=count).map(check).collect()
}

fn stranger() -> Path {
    Path { remote: ([192, 0, 2, 9], 9).into(), protocol: PathProtocol::Udp, socket: 0 }
}

#[test]
fn media_is_opened_and_sealed_without_allocating() {
    let mut net = Net::connected(1);
    let mut packets = sealed(&mut net, 4000);
    // Each SSRC takes a place once.
    for packet in &mut packets[..12] {
        net.server.handle_datagram(net.now_ns, to_client(0), packet);
    }
    let mut out = [0; 1500];
    let found = allocations(|| {
        for packet in &mut packets[12..] {
            let received = net.server.handle_datagram(net.now_ns, to_client(0), packet);
            match received {
                Received::Rtp(opened) => assert_eq!(opened.len, 1012),
                Received::Rtcp(len) => assert_eq!(len, 8),
                other => panic!("{other:?}"),
            }
            // Replayed.
            let again = net.server.handle_datagram(net.now_ns, to_client(0), packet);
            assert!(matches!(again, Received::Dropped(TransportDrop::Srtp(_))));
            net.server.handle_timeout(net.now_ns);
            assert_eq!(net.server.poll_transmit(net.now_ns, &mut out), None);
        }
        for number in 0..4000_u16 {
            let mut header = [0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
            header[2..4].copy_from_slice(&number.to_be_bytes());
            for (prefix, suffix) in [(&[][..], &[][..]), (&[1, 2][..], &[1][..])] {
                let parts = RtpParts { header: &header, prefix, payload: &[7; 1000], suffix };
                let index = PacketIndex::new(u32::from(prefix.len() == 2), number);
                let sealed = net.server.seal_rtp_into(index, &parts, &mut out);
                assert!(sealed.expect("keys").is_ok());
            }
            let sealed = net.server.seal_rtcp_into(&[0x80, 201, 0, 1, 0, 0, 0, 1], &mut out);
            assert!(sealed.expect("keys").is_ok());
        }
    });
    assert_eq!(found, 0);
}

#[test]
fn every_profile_opens_and_seals_without_allocating() {
    use ringway_proto::srtp::{MasterKey, SrtpOpener, SrtpSealer};
    for profile in SrtpProfile::ALL {
        let key: Vec<u8> = (0..).take(profile.key_bytes()).collect();
        let salt: Vec<u8> = (9..).take(profile.salt_bytes()).collect();
        let master = MasterKey::new(profile, &key, &salt).expect("the profile's lengths");
        let (mut sealer, mut opener) = (SrtpSealer::new(&master), SrtpOpener::new(&master));
        let mut out = [0; 1500];
        let mut round = |number: u16| {
            let mut header = [0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
            header[2..4].copy_from_slice(&number.to_be_bytes());
            let index = PacketIndex::new(0, number);
            let len = sealer.seal_into(index, &header, &[7; 1000], &mut out).expect("sealed");
            assert_eq!(opener.open_rtp(&mut out[..len]).map(|opened| opened.len), Ok(1012));
            let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
            let len = sealer.seal_rtcp_into(&report, &mut out).expect("sealed");
            assert_eq!(opener.open_rtcp(&mut out[..len]), Ok(8));
        };
        round(0);
        assert_eq!(allocations(|| (1..2000).for_each(round)), 0, "{profile:?}");
    }
}

#[test]
fn checks_are_answered_without_allocating() {
    let mut net = Net::connected(2);
    let (mut plain, mut nominations) = (checks(500, false), checks(500, true));
    let mut out = [0; 1500];
    let found = allocations(|| {
        for (number, check) in plain.iter_mut().chain(&mut nominations).enumerate() {
            // From ever new ports, so that sources come and go.
            let remote = ([198, 51, 100, 1], 1 + number as u16).into();
            let path = Path { remote, ..to_client(0) };
            let received = net.server.handle_datagram(net.now_ns, path, check);
            assert!(matches!(received, Received::Stun(_)), "{received:?}");
            let sent = net.server.poll_transmit(net.now_ns, &mut out).expect("an answer");
            assert_eq!(sent.path, path);
        }
    });
    // The queue of events is made when the first path changes.
    assert!(found <= 8, "{found}");
}

#[test]
fn strangers_cost_nothing_that_stays() {
    let mut net = Net::connected(3);
    let mut packets = sealed(&mut net, 2);
    let mut check = checks(1, true).remove(0);
    let tail = check.len() - 20;
    check[tail] ^= 1; // a wrong fingerprint
    packets.push(check.clone());
    check.truncate(check.len() - 8);
    let length = (check.len() - 20) as u16;
    check[2..4].copy_from_slice(&length.to_be_bytes()); // no fingerprint, a wrong integrity
    packets.push(check);
    packets.push([&[22, 254, 253][..], &[0; 60]].concat());
    packets.push(vec![0x40; 60]);
    packets.push(vec![0; 20]);
    packets.push(vec![]);
    let mut forged = packets[0].clone();
    forged[20] ^= 1;
    let mut out = [0; 1500];
    let found = allocations(|| {
        for _ in 0..1000 {
            for packet in &mut packets {
                let received = net.server.handle_datagram(net.now_ns, stranger(), packet);
                assert!(matches!(received, Received::Dropped(_)), "{received:?}");
                while net.server.poll_transmit(net.now_ns, &mut out).is_some() {}
            }
            // With the peer's own address.
            let received = net.server.handle_datagram(net.now_ns, to_client(0), &mut forged);
            assert!(matches!(received, Received::Dropped(TransportDrop::Srtp(_))));
        }
    });
    assert_eq!(found, 0);
    assert_eq!(net.server.known_paths().count(), 1);
    let _ = Side::Client;
}
