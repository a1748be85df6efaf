//! A forger who can send from the peer's address, and honest peers that connect all the same.

mod net;

use net::{Network, To, Weather, context};
use ringway_dtls::{Config, Drop, Failure, Session};

fn record(kind: u8, epoch: u16, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd];
    record.extend_from_slice(&epoch.to_be_bytes());
    record.extend_from_slice(&sequence.to_be_bytes()[2..]);
    record.extend_from_slice(&u16::try_from(body.len()).expect("short").to_be_bytes());
    record.extend_from_slice(body);
    record
}

fn fragment(kind: u8, message_len: u32, number: u16, offset: u32, body: &[u8]) -> Vec<u8> {
    let mut fragment = vec![kind];
    fragment.extend_from_slice(&message_len.to_be_bytes()[1..]);
    fragment.extend_from_slice(&number.to_be_bytes());
    fragment.extend_from_slice(&offset.to_be_bytes()[1..]);
    let len = u32::try_from(body.len()).expect("short");
    fragment.extend_from_slice(&len.to_be_bytes()[1..]);
    fragment.extend_from_slice(body);
    fragment
}

/// What a forger can write without knowing anything: name, datagrams.
fn forgeries() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let oversized = |number: u16| record(22, 0, 9, &fragment(1, 0xff_ff00, number, 0, &[0; 100]));
    let pieces = |number: u16| record(22, 0, 9, &fragment(1, 8000, number, 5, &[7; 10]));
    vec![
        ("random bytes", (0..50).map(|at| vec![at; 3 + usize::from(at)]).collect()),
        ("fatal alert", vec![record(21, 0, 0, &[2, 40])]),
        ("close_notify", vec![record(21, 0, 0, &[1, 0])]),
        ("malformed alert", vec![record(21, 0, 0, &[2])]),
        ("application data", vec![record(23, 0, 0, b"data")]),
        ("malformed hello", vec![record(22, 0, 0, &fragment(1, 4, 0, 0, b"abcd"))]),
        ("empty hello", vec![record(22, 0, 0, &fragment(1, 0, 0, 0, b""))]),
        ("half a fragment", vec![record(22, 0, 0, &[1, 0, 0])]),
        ("oversized fragments", (0..5).map(oversized).collect()),
        ("fragments of all messages", (0..30).map(pieces).collect()),
        ("many pieces of one hello", (0..30).map(|_| pieces(0)).collect()),
        ("sealed junk", (0..30).map(|at| record(23, 1, at, &[3; 60])).collect()),
        ("sealed handshake junk", vec![record(22, 1, 1 << 47, &[3; 60])]),
        ("an old record with a high number", vec![record(20, 0, (1 << 48) - 1, &[1])]),
        ("change of ciphers", vec![record(20, 0, 0, &[1])]),
        ("bad change of ciphers", vec![record(20, 0, 0, &[3, 3])]),
        ("server's message", vec![record(22, 0, 0, &fragment(2, 4, 0, 0, b"abcd"))]),
        ("hello request", vec![record(22, 0, 0, &fragment(0, 0, 0, 0, b""))]),
        ("finished", vec![record(22, 0, 0, &fragment(20, 12, 4, 0, &[0; 12]))]),
        ("heartbeat", vec![record(24, 0, 0, &[1, 0x40, 0])]),
        ("stream of a later version", vec![vec![0x2f; 40]]),
    ]
}

/// A server that has answered is beyond the malformed hello, which changes nothing any more: all
/// forgeries of the list are harmless at every point. `at` is how many steps of an honest handshake
/// come first.
fn check(name: &str, datagrams: &[Vec<u8>], at: usize) {
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    for _ in 0..at {
        network.step();
    }
    for datagram in datagrams {
        network.hand(To::Server, datagram);
        // A client cannot tell a server's message from an honest one.
        if name != "server's message" {
            network.hand(To::Client, datagram);
        }
    }
    let done = network.run(60_000_000_000, Network::both_connected);
    let failed = (network.server_told.failed, network.client_told.failed);
    assert!(done, "{name} after {at} steps: {failed:?}");
    network.check_connection();
    let drops = network.server.drops().total() + network.client.drops().total();
    // What is sealed goes to AWS-LC, which drops without counting.
    assert!(drops > 0 || name.starts_with("sealed"), "{name} after {at} steps was not counted");
}

#[test]
fn forgeries_are_harmless_at_every_step() {
    for (name, datagrams) in forgeries() {
        for at in 0..8 {
            // A well-formed change of ciphers passes on the way; it is only early.
            if name.contains("change of ciphers") || name.contains("high number") {
                continue;
            }
            check(name, &datagrams, at);
        }
    }
}

#[test]
fn early_changes_of_ciphers_are_harmless() {
    for (name, datagrams) in forgeries() {
        if !(name.contains("change of ciphers") || name.contains("high number")) {
            continue;
        }
        for at in 0..8 {
            let shared = context(&Config::default());
            let mut network = Network::new(&shared, &shared, Weather::default());
            for _ in 0..at {
                network.step();
            }
            for datagram in &datagrams {
                network.hand(To::Server, datagram);
            }
            let done = network.run(60_000_000_000, Network::both_connected);
            assert!(done, "{name} after {at} steps: {:?}", network.server_told.failed);
            network.check_connection();
        }
    }
}

#[test]
fn forgeries_between_lost_datagrams_are_harmless() {
    for seed in 0..40 {
        let weather = Weather { seed, loss_percent: 20, ..Weather::default() };
        let shared = context(&Config::default());
        let mut network = Network::new(&shared, &shared, weather);
        let forgeries = forgeries();
        let mut at = usize::try_from(seed).expect("small");
        let done = network.run(60_000_000_000, Network::both_connected);
        assert!(done);
        let mut network = Network::new(&shared, &shared, weather);
        while !network.both_connected() && network.now_ns < 60_000_000_000 {
            at += 1;
            for datagram in &forgeries[at % forgeries.len()].1 {
                network.hand(To::Server, datagram);
            }
            assert!(network.step(), "seed {seed}: {:?}", network.server_told.failed);
        }
        assert!(network.both_connected(), "seed {seed}: {:?}", network.server_told.failed);
        network.check_connection();
    }
}

/// Whatever is seen on the wire and sent again, to either end, at any time, changes nothing.
#[test]
fn replays_of_everything_are_harmless() {
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    while !network.both_connected() {
        network.step();
        let seen = network.sent.clone();
        for (to, datagram) in seen.into_iter().filter(|(to, _)| *to == To::Server) {
            network.hand(to, &datagram);
        }
    }
    for (to, datagram) in network.sent.clone() {
        network.hand(to, &datagram);
        let other = if to == To::Server { To::Client } else { To::Server };
        network.hand(other, &datagram);
    }
    network.check_connection();
}

#[test]
fn a_forged_alert_is_only_told() {
    let shared = context(&Config { handshake_timeout_ms: 1_000, ..Config::default() });
    let mut network = Network::new(&shared, &shared, Weather::default());
    network.step();
    network.hand(To::Server, &record(21, 0, 0, &[2, 42]));
    assert_eq!(network.server.drops().get(Drop::PlaintextAlert), 1);
    while let Some(deadline_ns) = network.server.deadline() {
        network.server.handle_timeout(deadline_ns);
    }
    network.collect();
    let expect = Some(Failure::TimedOut { alert: Some(42), refused: None });
    assert_eq!(network.server_told.failed, expect);
}

/// A forger gets no more bytes out of a server than a hello is worth, and nothing for junk.
#[test]
fn junk_is_not_answered() {
    let shared = context(&Config::default());
    let mut server = Session::server(&shared);
    for (name, datagrams) in forgeries() {
        for datagram in datagrams {
            server.handle_datagram(1, &datagram);
            assert!(server.poll_transmit().is_none(), "{name}");
        }
    }
    assert!(server.poll_event().is_none());

    let mut client = Session::client(&shared, 0);
    let hello = client.poll_transmit().expect("a hello").to_vec();
    let mut answered = 0;
    for _ in 0..1000 {
        server.handle_datagram(2, &hello);
        while let Some(datagram) = server.poll_transmit() {
            answered += datagram.len();
        }
    }
    assert!(answered > 0 && answered < 2 * 1200, "{answered} bytes");
}

/// What a thousand forged datagrams make a session keep, before and after its first answer.
#[test]
fn memory_is_bounded() {
    let shared = context(&Config::default());
    let mut client = Session::client(&shared, 0);
    let hello = client.poll_transmit().expect("a hello").to_vec();
    for (underway, at_most_kib) in [(false, 40), (true, 70)] {
        let mut sessions: Vec<Session> = (0..100).map(|_| Session::server(&shared)).collect();
        let before_kib = resident_kib();
        for session in &mut sessions {
            if underway {
                session.handle_datagram(1, &hello);
            }
            for round in 0..1000_u16 {
                // Pieces that never make a whole, so that none of them is looked at.
                let (kind, number) = [(1, 0), (11, 1), (16, 2), (15, 3)][usize::from(round % 4)];
                let body = fragment(kind, 8000, number, u32::from(round) * 7, &[9; 600]);
                session.handle_datagram(1, &record(22, 0, u64::from(round), &body));
                session.handle_datagram(1, &record(23, 1, u64::from(round), &[9; 1000]));
            }
            assert!(session.poll_event().is_none());
        }
        let each_kib = resident_kib().saturating_sub(before_kib) / sessions.len();
        println!("{each_kib} KiB per session under attack, underway: {underway}");
        assert!(each_kib < at_most_kib, "{each_kib} KiB each, underway: {underway}");
    }
}

/// Messages that nobody polls, and datagrams that nobody sends, are lost beyond a bound.
#[test]
fn queues_are_bounded() {
    let shared = context(&Config::default());
    let mut network = Network::new(&shared, &shared, Weather::default());
    network.connect();
    for _ in 0..1000 {
        network.client.send_application_data(network.now_ns, &[1; 1000]).expect("sent");
        if let Some(datagram) = network.client.poll_transmit() {
            network.server.handle_datagram(network.now_ns, datagram);
        }
        network.server.send_application_data(network.now_ns, &[1; 1000]).expect("sent");
    }
    let lost = network.server.drops().get(Drop::QueueFull);
    // 64 KiB of each.
    assert!((1860..=1880).contains(&lost), "{lost}");
    network.collect();
    network.check_connection();
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}
