//! Those who are not the peer: they change nothing, whatever they send and from wherever.

use ringway_proto::ice::{IceAgent, IceDrop, MAX_SOURCES, Path, PathProtocol};
use ringway_proto::srtp::SrtpDrop;
use ringway_proto::transport::{Received, TransportDrop, TransportEvent};

use crate::net::{Net, SECOND, Side, credentials, fingerprint, to_client, to_server};

fn stranger(port: u16) -> Path {
    Path { remote: ([192, 0, 2, 66], port).into(), protocol: PathProtocol::Udp, socket: 0 }
}

/// A check by somebody who knows the ufrag but not the password.
fn forged_check(nominate: bool) -> Vec<u8> {
    let mut agent = IceAgent::client(&credentials("client"), 99);
    let wrong = ringway_proto::ice::IceCredentials::new(b"server", b"a+guess+at+the+password");
    agent.set_remote(&wrong.expect("valid credentials"));
    agent.add_remote_candidate(to_server(0));
    if !nominate {
        agent.add_remote_candidate(to_server(1));
    }
    let mut out = [0; 300];
    let sent = agent.poll_transmit(0, &mut out).expect("a check");
    out[..sent.len].to_vec()
}

fn dropped(reason: TransportDrop) -> Received {
    Received::Dropped(reason)
}

#[test]
fn strangers_are_not_heard() {
    let mut net = Net::connected(1);
    let before = net.server.send_path();
    let rows = [
        (forged_check(true), TransportDrop::Ice(IceDrop::Integrity)),
        (forged_check(false), TransportDrop::Ice(IceDrop::Integrity)),
        (vec![0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], TransportDrop::Source),
        (vec![0x15, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 0], TransportDrop::Source),
        ([&[0x80, 96][..], &[0; 60]].concat(), TransportDrop::Source),
        ([&[0x80, 200][..], &[0; 60]].concat(), TransportDrop::Source),
        (vec![0x40; 20], TransportDrop::Protocol),
        (vec![], TransportDrop::Protocol),
    ];
    for (bytes, expect) in rows {
        for path in [stranger(1), stranger(2), to_client(3)] {
            assert_eq!(net.arrive(Side::Server, path, bytes.clone()), dropped(expect));
        }
    }
    net.run(20 * SECOND);
    assert_eq!((net.server.send_path(), &net.server_events), (before, &vec![]));
    assert_eq!(net.server.known_paths().count(), 1);
}

/// Somebody who can send with the peer's address.
#[test]
fn forged_packets_from_the_peers_own_address_change_nothing() {
    let mut net = Net::connected(2);
    net.send_rtp(Side::Client, 100);
    net.run(SECOND);
    let forged_rtp = [&[0x80, 111, 0, 101, 0, 0, 0, 1, 0, 0, 0, 7][..], &[0; 30]].concat();
    let rows = [
        (forged_check(true), dropped(TransportDrop::Ice(IceDrop::Integrity))),
        (forged_rtp, dropped(TransportDrop::Srtp(SrtpDrop::Forged))),
        (vec![0x80; 14], dropped(TransportDrop::Srtp(SrtpDrop::Malformed))),
        // A fatal alert and application data in the clear.
        (vec![0x15, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40], Received::Dtls),
        (vec![0x17, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40], Received::Dtls),
    ];
    for (bytes, expect) in rows {
        for _ in 0..200 {
            assert_eq!(net.arrive(Side::Server, to_client(0), bytes.clone()), expect);
            net.run(0);
        }
    }
    net.send_rtp(Side::Client, 101);
    net.run(SECOND);
    assert_eq!((net.at_server.len(), &net.server_events), (2, &vec![]));
}

#[test]
fn a_flood_of_dtls_is_bounded_while_the_session_is_away() {
    let mut net = Net::connected(3);
    let junk = vec![0x16; 60];
    let work = (0..3).find_map(|_| {
        net.server.handle_datagram(net.now_ns, to_client(0), &mut junk.clone());
        net.server.poll_dtls_work(net.now_ns)
    });
    let work = work.expect("work");
    let kept = (0..1000)
        .filter(|_| {
            let received = net.server.handle_datagram(net.now_ns, to_client(0), &mut junk.clone());
            received == Received::Dtls
        })
        .count();
    assert!((8..=32).contains(&kept), "{kept}");
    let long = net.server.handle_datagram(net.now_ns, to_client(0), &mut vec![0x16; 5000]);
    assert_eq!(long, dropped(TransportDrop::DtlsBacklog));
    net.server.handle_dtls_done(work.run());
    net.run(SECOND);
    assert!(net.server.is_connected() && net.server_events.is_empty());
}

/// Junk before and during the handshake, from an address that passed a check.
#[test]
fn handshakes_survive_junk() {
    for seed in 1..=20 {
        let mut net = Net::new(seed, IceAgent::lite(&credentials("server")));
        for _ in 0..100 {
            net.run(2_000_000);
            let kind = [0x14, 0x15, 0x16, 0x17][net.roll(4) as usize];
            let mut junk: Vec<u8> = (0..40).map(|_| net.roll(256) as u8).collect();
            junk[..3].copy_from_slice(&[kind, 0xfe, 0xfd]);
            junk[3..11].fill(0);
            let path = if net.roll(2) == 0 { to_client(0) } else { stranger(5) };
            net.arrive(Side::Server, path, junk);
        }
        net.run(20 * SECOND);
        let connected = net.server.is_connected() && net.client.is_connected();
        assert!(connected, "seed {seed}: {:?} {:?}", net.server_events, net.client_events);
    }
}

#[test]
fn a_peer_with_thousands_of_ports_stays_small() {
    let mut net = Net::connected(4);
    let mut agent = IceAgent::client(&credentials("client"), 7);
    agent.set_remote(&credentials("server"));
    agent.add_remote_candidate(to_server(0));
    agent.add_remote_candidate(to_server(1)); // two, so that it does not nominate
    for port in 1..3000 {
        let mut out = [0; 300];
        let now_ns = u64::from(port) * SECOND;
        let sent = agent.poll_transmit(now_ns, &mut out).expect("a check");
        let received = net.arrive(Side::Server, stranger(port), out[..sent.len].to_vec());
        let Received::Stun(heard) = received else { panic!("{received:?}") };
        assert_eq!(heard.learned, Some(stranger(port)));
        assert_eq!(heard.forgotten.is_some(), usize::from(port) >= MAX_SOURCES);
        assert_ne!(heard.forgotten, Some(to_client(0)));
    }
    assert_eq!(net.server.known_paths().count(), MAX_SOURCES);
    assert_eq!(net.server.send_path(), Some(to_client(0)));
}

#[test]
fn a_client_does_not_take_answers_of_others() {
    let mut net = Net::strangers(5, IceAgent::lite(&credentials("another")));
    // A server with the same ufrag and another password.
    net.client.set_remote(SECOND, &credentials("server"), fingerprint(Side::Server));
    net.client.add_remote_candidate(to_server(0));
    net.run(5 * SECOND);
    assert_eq!(net.client.send_path(), None);
    assert!(!net.server_events.iter().any(|e| matches!(e, TransportEvent::Connected { .. })));
}
