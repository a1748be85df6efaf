//! Both roles against each other: certificates, profiles, losses, timers, ends.

mod net;

use net::{Network, To, UNIX_S, Weather, context};
use ringway_dtls::{
    Config, Context, Event, Failure, Fingerprint, HashAlgorithm, KeyKind, MAX_APPLICATION_DATA_LEN,
    Role, SendError, Session, SrtpProfile,
};

use SrtpProfile::{AeadAes128Gcm, AeadAes256Gcm, Aes128CmSha1_80};

fn of_kind(key: KeyKind) -> Context {
    context(&Config { key, ..Config::default() })
}

fn with_profiles(profiles: &[SrtpProfile]) -> Context {
    context(&Config { srtp_profiles: profiles.to_vec(), ..Config::default() })
}

#[test]
fn both_kinds_of_certificates_connect_in_both_roles() {
    let (ecdsa, rsa) = (of_kind(KeyKind::P256), of_kind(KeyKind::Rsa2048));
    for (server, client) in [(&ecdsa, &ecdsa), (&ecdsa, &rsa), (&rsa, &ecdsa), (&rsa, &rsa)] {
        let mut network = Network::new(server, client, Weather::default());
        network.connect();
        network.check_connection();
        let seen = |told: &net::Told| told.connected.as_ref().map(|it| it.peer_fingerprint);
        assert_eq!(seen(&network.server_told), Some(*client.fingerprint()));
        assert_eq!(seen(&network.client_told), Some(*server.fingerprint()));
        for algorithm in [
            HashAlgorithm::Sha1,
            HashAlgorithm::Sha224,
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ] {
            let expect = Fingerprint::of(algorithm, client.certificate());
            assert_eq!(network.server.peer_fingerprint(algorithm), Some(expect));
        }
        assert_eq!((network.server.role(), network.client.role()), (Role::Server, Role::Client));
        assert_eq!(network.server.drops().total(), 0);
    }
}

#[test]
fn the_order_of_the_server_wins() {
    let all = [AeadAes128Gcm, AeadAes256Gcm, Aes128CmSha1_80];
    let mut orders = Vec::new();
    for one in all {
        orders.push(vec![one]);
        for two in all.into_iter().filter(|two| *two != one) {
            orders.push(vec![one, two]);
            let three = all.into_iter().find(|three| *three != one && *three != two);
            orders.push(vec![one, two, three.expect("three profiles")]);
        }
    }
    let contexts: Vec<Context> = orders.iter().map(|order| with_profiles(order)).collect();
    for (ours, server) in orders.iter().zip(&contexts) {
        for (theirs, client) in orders.iter().zip(&contexts) {
            let mut network = Network::new(server, client, Weather::default());
            network.connect();
            network.check_connection();
            let agreed = network.server_told.connected.and_then(|it| it.srtp);
            let expect = ours.iter().find(|profile| theirs.contains(profile)).copied();
            assert_eq!(agreed.map(|keys| keys.profile()), expect, "{ours:?} {theirs:?}");
        }
    }
}

/// What a browser does: counter mode first. It gets GCM all the same.
#[test]
fn nobody_who_offers_aead_gets_counter_mode() {
    let server = context(&Config::default());
    for theirs in [
        &[Aes128CmSha1_80, AeadAes256Gcm, AeadAes128Gcm][..],
        &[Aes128CmSha1_80, AeadAes256Gcm],
        &[Aes128CmSha1_80, AeadAes128Gcm],
    ] {
        let mut network = Network::new(&server, &with_profiles(theirs), Weather::default());
        network.connect();
        let agreed = network.server_told.connected.and_then(|it| it.srtp).expect("SRTP").profile();
        assert_ne!(agreed, Aes128CmSha1_80, "{theirs:?}");
    }
}

#[test]
fn connects_through_bad_networks() {
    // Waits are doubled, so what the network eats seven times in a row takes longer than half a
    // minute.
    let patient = Config { handshake_timeout_ms: 100_000, ..Config::default() };
    let (server, client) = (context(&patient), context(&patient));
    let small = context(&Config { mtu: 300, ..patient });
    for seed in 0..60 {
        for (loss_percent, repeat_percent, jitter_ns) in
            [(0, 0, 0), (10, 0, 0), (25, 10, 30_000_000), (40, 0, 0), (0, 100, 80_000_000)]
        {
            let weather = Weather { seed, loss_percent, repeat_percent, jitter_ns };
            let ends = if seed % 2 == 0 { (&server, &client) } else { (&small, &small) };
            let mut network = Network::new(ends.0, ends.1, weather);
            network.connect();
            network.check_connection();
        }
    }
}

#[test]
fn flights_fit_the_mtu() {
    for mtu in [256, 300, 600, 1150, 1200] {
        let config = Config { mtu, key: KeyKind::Rsa2048, ..Config::default() };
        let shared = context(&config);
        let mut network = Network::new(&shared, &shared, Weather::default());
        network.connect();
        let longest = network.sent.iter().map(|(_, datagram)| datagram.len()).max();
        assert!(longest <= Some(usize::from(mtu)), "{longest:?} > {mtu}");
        if mtu == 256 {
            assert!(network.sent.len() > 10, "nothing was cut");
        }
    }
}

/// pion before its DTLS 3.1.4 drops a message that names a way to sign which it does not know: all
/// of RFC 8446 4.2.3 it does, ML-DSA not.
#[test]
fn only_usual_signatures_are_asked_for() {
    let usual: [u16; 10] =
        [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0603, 0x0806, 0x0601, 0x0201];
    // RFC 5246 7.4.4 and 7.4.1.4.1: behind its length in octets, in the request for a certificate
    // and in the hello of a client.
    let mut list = vec![0, 20];
    list.extend(usual.iter().flat_map(|number| number.to_be_bytes()));
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    network.connect();
    for server in [true, false] {
        let of = |to: &To| matches!(to, To::Client) == server;
        let sent: Vec<u8> =
            network.sent.iter().filter(|(to, _)| of(to)).flat_map(|(_, all)| all.clone()).collect();
        assert!(sent.windows(list.len()).any(|window| window == list), "server {server}");
    }
}

/// Virtual time, so the times are exact but for the library's rounding of the last 15 ms.
#[test]
fn a_lost_flight_is_repeated_after_200_ms() {
    let shared = context(&Config::default());
    let mut client = Session::client(&shared, 0);
    let hello = client.poll_transmit().expect("a hello").to_vec();
    let mut server = Session::server(&shared);
    assert_eq!(server.deadline(), None);
    server.handle_datagram(5_000_000, &hello);
    let mut due_ns = Vec::new();
    while server.poll_transmit().is_some() {}
    for _ in 0..4 {
        let deadline_ns = server.deadline().expect("a deadline");
        due_ns.push(deadline_ns);
        server.handle_timeout(deadline_ns - 16_000_000);
        assert!(server.poll_transmit().is_none(), "early");
        server.handle_timeout(deadline_ns);
        assert!(server.poll_transmit().is_some(), "late");
        while server.poll_transmit().is_some() {}
    }
    assert_eq!(due_ns, [205_000_000, 605_000_000, 1_405_000_000, 3_005_000_000]);
}

#[test]
fn a_handshake_that_stalls_is_given_up() {
    let config = Config { handshake_timeout_ms: 5_000, ..Config::default() };
    let shared = context(&config);
    let mut network =
        Network::new(&shared, &shared, Weather { loss_percent: 100, ..Weather::default() });
    let hello = network.client.poll_transmit().expect("a hello").to_vec();
    network.hand(To::Server, &hello);
    assert!(!network.run(60_000_000_000, Network::both_connected));
    let expect = Some(Failure::TimedOut { alert: None, refused: None });
    assert_eq!((network.server_told.failed, network.client_told.failed), (expect, expect));
    assert_eq!(network.now_ns, 5_000_000_000);
    assert_eq!((network.server.deadline(), network.client.deadline()), (None, None));
}

/// The last flight of a server has no timer: the client asks again, and the finished server
/// answers.
#[test]
fn a_finished_server_repeats_its_last_flight() {
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    assert!(network.run(u64::MAX, |network| network.server_told.connected.is_some()));
    // Its last flight is under way; a network with nothing in it stands for the loss.
    let (mut server, mut client) = (network.server, network.client);
    let now_ns = client.deadline().expect("the client waits");
    client.handle_timeout(now_ns);
    let mut again = Vec::new();
    while let Some(datagram) = client.poll_transmit() {
        again.push(datagram.to_vec());
    }
    assert!(!again.is_empty());
    for datagram in &again {
        server.handle_datagram(now_ns, datagram);
    }
    while let Some(datagram) = server.poll_transmit() {
        client.handle_datagram(now_ns, datagram);
    }
    assert!(matches!(client.poll_event(), Some(Event::Connected(_))));
    assert!(server.is_connected() && client.is_connected());
}

#[test]
fn messages_keep_their_borders() {
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    network.connect();
    let now_ns = network.now_ns;
    for len in [1, 2, 100, 1200, MAX_APPLICATION_DATA_LEN] {
        let message: Vec<u8> = (0..len).map(|at| at.to_le_bytes()[0]).collect();
        network.client.send_application_data(now_ns, &message).expect("sent");
        let datagram = network.client.poll_transmit().expect("a datagram").to_vec();
        assert_eq!(datagram.len(), len + 37);
        network.hand(To::Server, &datagram);
        // RFC 6347 4.1.2.6: a replay changes nothing.
        network.hand(To::Server, &datagram);
        assert_eq!(network.server_told.messages.pop(), Some(message));
        assert!(network.server_told.messages.is_empty());
    }
    for len in [0, MAX_APPLICATION_DATA_LEN + 1] {
        let result = network.client.send_application_data(now_ns, &vec![0; len]);
        assert_eq!(result, Err(SendError::Length(len)));
    }
}

#[test]
fn closing_is_heard_and_answered() {
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    network.connect();
    let now_ns = network.now_ns;
    network.client.close(now_ns);
    assert!(network.run(u64::MAX, |network| network.server_told.closed));
    for session in [&mut network.server, &mut network.client] {
        assert!(!session.is_connected());
        assert_eq!(session.send_application_data(now_ns, b"x"), Err(SendError::NotConnected));
        assert_eq!(session.peer_fingerprint(HashAlgorithm::Sha256), None);
        session.close(now_ns);
        assert!(session.poll_event().is_none());
    }
    assert!(!network.client_told.closed, "who closes needs no event");
}

#[test]
fn no_shared_profile_ends_by_the_deadline() {
    // A server whose certificate is RSA, and what stands in for a client that knows nothing: a
    // hello whose cipher suites are replaced by ones that nobody has.
    let shared = context(&Config { handshake_timeout_ms: 1_000, ..Config::default() });
    let mut client = Session::client(&shared, 0);
    let mut hello = client.poll_transmit().expect("a hello").to_vec();
    // Record and fragment headers, version, random, session id and cookie of length 0, length.
    let suites_at = 13 + 12 + 2 + 32 + 1 + 1 + 2;
    let len = usize::from(u16::from_be_bytes([hello[suites_at - 2], hello[suites_at - 1]]));
    hello[suites_at..suites_at + len].fill(0x13);
    let mut server = Session::server(&shared);
    server.handle_datagram(7, &hello);
    assert_eq!(server.deadline(), Some(1_000_000_007));
    assert!(server.poll_transmit().is_none() && server.poll_event().is_none());
    server.handle_timeout(1_000_000_007);
    match server.poll_event() {
        Some(Event::Failed(Failure::TimedOut { alert: None, refused: Some(reason) })) => {
            assert_eq!(reason, "NO_SHARED_CIPHER");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn handshakes_move_between_threads() {
    let shared = context(&Config::default());
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                let mut networks: Vec<Network> = (0..4)
                    .map(|more| {
                        let weather = Weather { seed: seed + more, ..Weather::default() };
                        Network::new(&shared, &shared, weather)
                    })
                    .collect();
                for network in &mut networks {
                    network.step();
                    network.step();
                }
                networks
            })
        })
        .collect();
    for thread in threads {
        for mut network in thread.join().expect("a thread that ends well") {
            network.connect();
            network.check_connection();
        }
    }
}

/// The dates stand where people look for them: a day before, ten years after.
#[test]
fn certificates_are_valid_around_their_making() {
    let made = Context::new(&Config::default(), UNIX_S).expect("a context");
    let text = String::from_utf8_lossy(made.certificate()).into_owned();
    assert!(text.contains("270114080000Z"), "a day before 2027-01-15 08:00:00");
    assert!(text.contains("370112080000Z"), "3650 days after it");
}
