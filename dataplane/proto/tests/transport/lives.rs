//! What transports live through: bad networks, restarts, changes of network, and their end.

use ringway_proto::dtls::{DtlsRole, HashAlgorithm};
use ringway_proto::ice::{IceAgent, IceCredentials};
use ringway_proto::srtp::SrtpProfile;
use ringway_proto::transport::{
    CONNECT_TIMEOUT_MS, Received, TransportDrop, TransportEvent, TransportFailure,
};

use crate::net::{
    MS, Net, SECOND, Side, Weather, client_as, credentials, fingerprint, full_agent,
    full_agent_behind_nat, other_fingerprint, to_client, to_server,
};

fn lite() -> IceAgent {
    IceAgent::lite(&credentials("server"))
}

const PROFILE: Option<SrtpProfile> = Some(SrtpProfile::AeadAes128Gcm);

#[test]
fn connects_and_carries_media_both_ways() {
    for agent in [lite(), full_agent(), full_agent_behind_nat()] {
        let mut net = Net::new(1, agent);
        net.run(SECOND);
        let expect = |path| vec![TransportEvent::Connected { profile: PROFILE, path }];
        assert_eq!(net.server_events, expect(to_client(0)));
        assert_eq!(net.client_events, expect(to_server(0)));
        for index in 65_500..65_600 {
            net.send_rtp(Side::Client, index);
            net.send_rtp(Side::Server, index);
            net.run(10 * MS);
        }
        net.run(100 * MS);
        assert_eq!((net.at_client.len(), net.at_server.len()), (100, 100));
        assert!(net.at_server.iter().all(|(_, packet)| packet.ends_with(b"sound")));
        assert_eq!(net.dropped, []);
    }
}

/// `a=setup:passive`: the client waits for the server's ClientHello. Whether signalling says so
/// before or after the client's first check, the server begins over the path of that check.
#[test]
fn who_waits_is_spoken_to() {
    for (agent, late) in
        [(lite(), false), (lite(), true), (full_agent(), false), (full_agent(), true)]
    {
        let mut net = Net::strangers(5, agent);
        net.client = client_as(5, DtlsRole::Server);
        net.client.set_remote(net.now_ns, &credentials("server"), fingerprint(Side::Server));
        net.client.add_remote_candidate(to_server(0));
        if late {
            net.run(SECOND / 2);
            assert!(!net.client.is_connected() && !net.server.is_connected());
        }
        net.server.begin_dtls();
        net.server.set_remote(net.now_ns, &credentials("client"), fingerprint(Side::Client));
        net.weather.loss_percent = 10;
        net.run(10 * SECOND);
        net.weather.loss_percent = 0;
        assert!(net.client.is_connected() && net.server.is_connected(), "late: {late}");
        assert_eq!(net.server.dtls_role(), DtlsRole::Client);
        for index in 0..10 {
            net.send_rtp(Side::Client, index);
            net.send_rtp(Side::Server, index);
        }
        net.run(SECOND);
        assert_eq!((net.at_client.len(), net.at_server.len()), (10, 10));
        // It is what it is by now.
        net.server.begin_dtls();
        assert!(net.server.is_connected());
    }
}

/// A client that said it would wait, and begins: nobody is served, and nothing else happens.
#[test]
fn two_clients_of_dtls_do_not_connect() {
    let mut net = Net::new(6, lite());
    net.server.begin_dtls();
    net.run(60 * SECOND);
    assert!(net.client.is_ended() && net.server.is_ended());
}

#[test]
fn a_full_agent_checks_what_signalling_told() {
    for agent in [full_agent(), full_agent_behind_nat()] {
        let mut net = Net::strangers(2, agent);
        net.server.set_remote(net.now_ns, &credentials("client"), fingerprint(Side::Client));
        net.client.set_remote(net.now_ns, &credentials("server"), fingerprint(Side::Server));
        net.run(SECOND);
        assert_eq!(net.client.known_paths().count(), 0);
        net.server.add_remote_candidate(to_client(0));
        net.server.handle_timeout(net.now_ns);
        net.run(SECOND);
        assert_eq!(net.client.known_paths().collect::<Vec<_>>(), [to_server(0)]);
    }
}

/// Rows of weather with the time in which so many of a hundred connect. With a quarter of all
/// datagrams lost, some wait for the sixth and seventh repetition, which double their distance.
#[test]
fn connects_in_bad_weather() {
    let rows = [
        (Weather { delay_ms: 20, jitter_ms: 30, ..Weather::default() }, 2, 100),
        (Weather { delay_ms: 5, repeat_percent: 50, jitter_ms: 20, ..Weather::default() }, 2, 100),
        (Weather { delay_ms: 50, loss_percent: 10, jitter_ms: 20, ..Weather::default() }, 10, 99),
        (Weather { delay_ms: 20, loss_percent: 25, ..Weather::default() }, 20, 97),
        (
            Weather {
                delay_ms: 20,
                loss_percent: 25,
                repeat_percent: 20,
                jitter_ms: 60,
                ..Weather::default()
            },
            20,
            97,
        ),
    ];
    for (weather, seconds, expect) in rows {
        let connects = |seed: &u64| {
            let agent = if seed.is_multiple_of(4) { full_agent() } else { lite() };
            let mut net = Net::new(*seed, agent);
            net.weather = weather;
            net.run(seconds * SECOND);
            let connected = net.client.is_connected() && net.server.is_connected();
            if !connected {
                println!("seed {seed}: {:?} {:?}", net.client_events, net.server_events);
            }
            connected
        };
        let found = (1..=100).filter(connects).count();
        println!("{found} of 100 within {seconds} s: {weather:?}");
        assert!(found >= expect, "{found} of 100 in {weather:?}");
    }
}

#[test]
fn handshakes_may_be_done_on_another_thread() {
    let mut net = Net::new(3, lite());
    net.elsewhere = true;
    net.weather.loss_percent = 10;
    net.run(10 * SECOND);
    assert!(net.client.is_connected() && net.server.is_connected());
}

#[test]
fn another_network_is_followed_with_the_first_nomination() {
    let mut net = Net::connected(4);
    net.client.nominate(to_server(1));
    net.run(21 * MS);
    assert_eq!(net.server_events, [TransportEvent::PathChanged(to_client(1))]);
    net.run(20 * MS);
    assert_eq!(net.client_events, [TransportEvent::PathChanged(to_server(1))]);
    net.send_rtp(Side::Server, 1);
    net.send_rtp(Side::Client, 1);
    net.run(21 * MS);
    assert_eq!(net.at_client.iter().map(|(path, _)| *path).collect::<Vec<_>>(), [to_server(1)]);
    assert_eq!(net.at_server.iter().map(|(path, _)| *path).collect::<Vec<_>>(), [to_client(1)]);
    // And back.
    net.client.nominate(to_server(0));
    net.run(21 * MS);
    assert_eq!(net.server.send_path(), Some(to_client(0)));
}

#[test]
fn an_ice_restart_keeps_keys_and_media() {
    let mut net = Net::connected(5);
    let (new_server, new_client) = (credentials("server2"), credentials("client2"));
    net.server.restart_ice(&new_server);
    net.send_rtp(Side::Client, 1);
    net.send_rtp(Side::Server, 1);
    // The client goes on with the old credentials until signalling tells it.
    net.run(3 * SECOND);
    let refused = |(side, received): &(Side, Received)| {
        *side == Side::Server && matches!(received, Received::Dropped(TransportDrop::Ice(_)))
    };
    assert!(net.dropped.iter().any(refused), "old credentials are refused: {:?}", net.dropped);
    net.client.restart_ice(&new_client);
    net.client.set_remote(net.now_ns, &new_server, fingerprint(Side::Server));
    net.server.set_remote(net.now_ns, &new_client, fingerprint(Side::Client));
    net.dropped.clear();
    net.run(20 * SECOND);
    assert_eq!(net.dropped, []);
    net.send_rtp(Side::Client, 2);
    net.send_rtp(Side::Server, 2);
    net.run(SECOND);
    assert_eq!((net.at_client.len(), net.at_server.len()), (2, 2));
    assert_eq!((&net.client_events, &net.server_events), (&vec![], &vec![]));
}

#[test]
fn a_peer_that_is_gone_fails_in_two_steps_and_may_come_back_between() {
    let mut net = Net::connected(6);
    net.run(60 * SECOND);
    assert_eq!(net.server_events, [], "checks keep it alive");
    net.weather.cut = true;
    net.run(11 * SECOND);
    assert_eq!(net.server_events, [TransportEvent::Disconnected]);
    net.weather.cut = false;
    net.run(3 * SECOND);
    assert_eq!(net.server_events, [TransportEvent::Disconnected, TransportEvent::Recovered]);
    net.server_events.clear();
    net.weather.cut = true;
    net.run(16 * SECOND);
    let failed = TransportEvent::Failed(TransportFailure::Silent);
    assert_eq!(net.server_events, [TransportEvent::Disconnected, failed]);
    assert!(net.server.is_ended() && net.server.sealer().is_none());
}

#[test]
fn media_alone_keeps_a_peer_alive() {
    let mut net = Net::connected(7);
    // The client's checks no longer fit, its media does.
    net.server.restart_ice(&credentials("server2"));
    for index in 0..60 {
        net.send_rtp(Side::Client, index);
        net.send_rtp(Side::Server, index);
        net.run(SECOND);
    }
    assert_eq!((net.at_server.len(), &net.server_events), (60, &vec![]));
    assert_eq!((net.at_client.len(), &net.client_events), (60, &vec![]));
}

#[test]
fn a_peer_that_never_comes_is_given_up() {
    let mut net = Net::new(8, lite());
    net.weather.cut = true;
    net.run(CONNECT_TIMEOUT_MS * MS - MS);
    assert_eq!(net.server_events, []);
    net.run(2 * MS);
    assert_eq!(net.server_events, [TransportEvent::Failed(TransportFailure::Unreached)]);
}

#[test]
fn a_peer_that_only_checks_is_given_up() {
    let mut net = Net::strangers(9, lite());
    net.server.set_remote(net.now_ns, &credentials("client"), fingerprint(Side::Client));
    let mut peer = IceAgent::client(&credentials("client"), 1);
    peer.set_remote(&credentials("server"));
    peer.add_remote_candidate(to_server(0));
    for _ in 0..10 {
        assert_eq!(net.server_events, []);
        let mut out = [0; 300];
        let sent = peer.poll_transmit(net.now_ns, &mut out).expect("a check");
        net.arrive(Side::Server, to_client(0), out[..sent.len].to_vec());
        net.run(2 * SECOND);
    }
    net.run(MS);
    assert_eq!(net.server_events, [TransportEvent::Failed(TransportFailure::Unfinished)]);
}

#[test]
fn closing_tells_the_peer() {
    for side in [Side::Client, Side::Server] {
        let mut net = Net::connected(10);
        if side == Side::Client {
            net.client.close()
        } else {
            net.server.close()
        }
        net.run(SECOND);
        let (own, other) = match side {
            Side::Client => (&net.client_events, &net.server_events),
            Side::Server => (&net.server_events, &net.client_events),
        };
        assert_eq!((own, other), (&vec![], &vec![TransportEvent::Closed]), "{side:?}");
        assert!(net.client.is_ended() && net.server.is_ended());
        let late = net.arrive(Side::Server, to_client(0), vec![0x80; 40]);
        assert_eq!(late, Received::Dropped(TransportDrop::Ended));
    }
}

#[test]
fn messages_pass_over_dtls() {
    let mut net = Net::connected(11);
    assert!(net.client.send_data(b"from the client"));
    assert!(net.server.send_data(b"from the server"));
    net.run(SECOND);
    let data = |text: &[u8]| vec![TransportEvent::Data(text.into())];
    assert_eq!(net.server_events, data(b"from the client"));
    assert_eq!(net.client_events, data(b"from the server"));
}

/// The answer may reach us after the client's first packets: the handshake waits for nobody, keys
/// wait for the fingerprint.
#[test]
fn keys_wait_for_the_fingerprint() {
    type Row = (HashAlgorithm, Side, bool);
    let rows: [Row; 6] = [
        (HashAlgorithm::Sha256, Side::Client, true),
        (HashAlgorithm::Sha384, Side::Client, true),
        (HashAlgorithm::Sha512, Side::Client, true),
        (HashAlgorithm::Sha1, Side::Client, false),
        (HashAlgorithm::Sha256, Side::Server, false),
        (HashAlgorithm::Sha512, Side::Server, false),
    ];
    for late in [false, true] {
        for (algorithm, whose, good) in rows {
            let mut net = Net::strangers(12, lite());
            let wanted = other_fingerprint(whose, algorithm);
            let client: IceCredentials = credentials("client");
            net.client.set_remote(SECOND, &credentials("server"), fingerprint(Side::Server));
            net.client.add_remote_candidate(to_server(0));
            if late {
                net.run(SECOND);
                assert!(net.client.is_connected() && !net.server.is_connected());
                assert!(net.server.sealer().is_none());
                net.send_rtp(Side::Client, 1);
                net.run(SECOND);
                assert_eq!(net.at_server, []);
            }
            net.server.set_remote(net.now_ns, &client, wanted);
            net.run(SECOND);
            assert_eq!(net.server.is_connected(), good, "{algorithm:?} {whose:?} late {late}");
            if !good {
                let failed = TransportEvent::Failed(TransportFailure::Fingerprint);
                assert_eq!(net.server_events, [failed]);
                assert!(net.server.sealer().is_none());
            }
        }
    }
}
