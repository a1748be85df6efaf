//! Clients and strangers that behave badly: what they cost the others is bounded, and over when
//! they are.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::exposition::Metrics;
use ringway_system::patience::until;

use crate::party::{Guests, PATIENCE, Party};

/// Octets of the data plane that are in memory.
fn resident(appliance: &mut Appliance) -> u64 {
    let path = format!("/proc/{}/statm", appliance.dataplane().pid());
    let text = fs::read_to_string(path).expect("a running program has memory");
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.expect("the second number") * rustix::param::page_size() as u64
}

fn dropped(appliance: &Appliance) -> u64 {
    Metrics::parse(&appliance.client().get("/metrics").body).drops().values().sum()
}

#[test]
fn a_subscriber_that_stops_reading_is_let_go_and_harms_nobody() {
    let appliance = Appliance::start(Options::default());
    let party = Party::come(&appliance, "deaf", Guests::default());
    party.wait_flow(20, None);
    let deaf = 3;
    party.deafen(deaf);
    until(PATIENCE, "the server to give it up", || {
        party.wait_flow(10, Some(deaf));
        (!party.seen()[deaf].ends.is_empty()).then_some(())
    });
    let seen = party.seen();
    let mut others = seen.iter().enumerate().filter(|(at, _)| *at != deaf);
    assert!(others.all(|(_, one)| one.ends.is_empty()), "{seen:#?}");
    party.wait_flow(20, Some(deaf));
}

/// A hundred times what a voice is, in a room beside.
#[test]
fn a_publisher_that_floods_costs_bounded_memory() {
    const MOST_GROWTH: u64 = 128 << 20;
    let mut appliance = Appliance::start(Options::default());
    let party = Party::come(&appliance, "good", Guests::default());
    party.wait_flow(20, None);
    let before = resident(&mut appliance);
    let guests = Guests { talkers: 1, listeners: 3, packets_per_second: 5_000.0 };
    let flood = Party::come(&appliance, "flood", guests);
    flood.wait_flow(20_000, None);
    party.wait_flow(50, None);
    let grown = resident(&mut appliance).saturating_sub(before);
    println!("the data plane grew by {} KiB", grown >> 10);
    assert!(grown < MOST_GROWTH, "the data plane grew by {grown} octets");
    drop(flood);
    party.wait_flow(50, None);
    let ends = party.seen().into_iter().map(|one| one.ends.len()).sum::<usize>();
    assert_eq!(ends, 0, "{:#?}", party.seen());
}

/// What somebody sends who knows the port and nothing else, in turn: checks for nobody, handshakes,
/// media, reports and noise.
fn rubbish() -> Vec<Vec<u8>> {
    // RFC 8489 5: a binding request with a user name (0x0006) and an integrity (0x0008) that are
    // nobody's.
    let mut check = vec![0x00, 0x01, 0x00, 0x28, 0x21, 0x12, 0xa4, 0x42];
    check.extend([7; 12]);
    check.extend([0x00, 0x06, 0x00, 0x0b]);
    check.extend(b"wxyz12:abcd\0");
    check.extend([0x00, 0x08, 0x00, 0x14]);
    check.extend([9; 20]);
    // RFC 6347 4.1: a handshake record.
    let mut handshake = vec![0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0x00, 0x80, 0x01];
    handshake.resize(13 + 0x80, 0x55);
    let mut media = vec![0x80, 111, 0x12, 0x34, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef];
    media.resize(1_100, 0xa5);
    let mut report = vec![0x81, 201, 0, 7, 0xde, 0xad, 0xbe, 0xef];
    report.resize(60, 0x11);
    let noise = (0..1_200_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![check, handshake, media, report, noise, Vec::new(), vec![0x80], vec![0x16]]
}

/// Ends the attack also where the test fails meanwhile.
struct Ceasefire<'a>(&'a AtomicBool);

impl Drop for Ceasefire<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn attack(to: SocketAddr, stop: &AtomicBool, sent: &AtomicU64) {
    let sockets: Vec<UdpSocket> =
        (0..16).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let weapons = rubbish();
    while !stop.load(Ordering::Relaxed) {
        for socket in &sockets {
            for weapon in &weapons {
                // An error is the port's answer to the last one, at most.
                let _ = socket.send_to(weapon, to);
            }
        }
        sent.fetch_add((sockets.len() * weapons.len()) as u64, Ordering::Relaxed);
    }
}

/// Latency of the good packets without and with the attack: `perf/results` keeps what it prints.
/// To be run alone, with `--release`.
#[test]
#[ignore = "prints figures, judges nothing"]
fn figures_of_an_attack() {
    const PACKETS: u64 = 20_000;
    let appliance = Appliance::start(Options::default());
    let guests = Guests { talkers: 4, listeners: 4, ..Guests::default() };
    let party = Party::come(&appliance, "measured", guests);
    party.wait_flow(20, None);
    let calm = party.measure_p99(PACKETS);
    let to = SocketAddr::from(([127, 0, 0, 1], appliance.media_port()));
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ceasefire = Ceasefire(&stop);
        scope.spawn(|| attack(to, &stop, &sent));
        let (before, began) = (dropped(&appliance), Instant::now());
        let attacked = party.measure_p99(PACKETS);
        let seconds = began.elapsed().as_secs_f64();
        let absorbed = (dropped(&appliance) - before) as f64 / seconds;
        let sent = sent.load(Ordering::Relaxed) as f64 / seconds;
        println!("p99 {calm:?}, attacked {attacked:?}");
        println!("{sent:.0} datagrams per second sent, {absorbed:.0} absorbed");
    });
}

#[test]
fn rubbish_at_full_rate_ends_no_call() {
    const ABSORBED: u64 = 50_000;
    const MOST_GROWTH: u64 = 32 << 20;
    let mut appliance = Appliance::start(Options::default());
    let party = Party::come(&appliance, "attacked", Guests::default());
    party.wait_flow(20, None);
    let (before, memory) = (dropped(&appliance), resident(&mut appliance));
    let to = SocketAddr::from(([127, 0, 0, 1], appliance.media_port()));
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ceasefire = Ceasefire(&stop);
        scope.spawn(|| attack(to, &stop, &sent));
        let began = Instant::now();
        let absorbed = until(PATIENCE, "enough rubbish to be dropped", || {
            Some(dropped(&appliance) - before).filter(|absorbed| *absorbed >= ABSORBED)
        });
        let per_second = absorbed as f64 / began.elapsed().as_secs_f64();
        let sent = sent.load(Ordering::Relaxed);
        println!("{absorbed} of {sent} datagrams absorbed, {per_second:.0} per second");
        party.wait_flow(50, None);
    });
    party.wait_flow(50, None);
    let grown = resident(&mut appliance).saturating_sub(memory);
    assert!(grown < MOST_GROWTH, "the data plane grew by {grown} octets");
    let ends = party.seen().into_iter().map(|one| one.ends.len()).sum::<usize>();
    assert_eq!(ends, 0, "{:#?}", party.seen());
}
