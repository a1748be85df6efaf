//! Hostile networks: NATs that move their clients, clients that change networks, narrow paths,
//! losses in one direction and in bursts, half a second of delay.

use ringway_sim::calls::decoder::{play, show};
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::calls::stream::Stream;
use ringway_sim::network::Path;
use ringway_sim::plane::STEP_NS;
use ringway_sim::seeds::for_seeds;

const MS: u64 = 1_000_000;
const USUAL: Path = Path { delay_ns: 20 * MS, ..Path::PERFECT };

/// One camera and one microphone to one viewer, on a path from and a path to each of them.
fn meeting(seed: u64, from: Path, to: Path) -> Meeting {
    let mut meeting = Meeting::new(seed, from);
    meeting.add_publisher();
    meeting.add_viewer();
    for peer in [&meeting.publishers[0].peer, &meeting.viewers[0].peer] {
        for address in peer.addresses.clone() {
            meeting.plane.network.set_paths(address, from, to);
        }
    }
    let camera = meeting.publish(0, Coding::Vp8, 3, false);
    let sound = meeting.publish_sound(0);
    meeting.subscribe(0, camera);
    meeting.subscribe(0, sound);
    meeting
}

fn connected(seed: u64, path: Path) -> Meeting {
    let mut meeting = meeting(seed, path, path);
    meeting.connect();
    meeting.run_ms(1500);
    meeting
}

/// How long nothing arrived at a stream at most, ms, since an instant, ns.
fn longest_silence_ms(stream: &Stream, since_ns: u64) -> u64 {
    let mut times: Vec<u64> = stream.got.values().map(|got| got.at_ns).collect();
    times.sort_unstable();
    let times: Vec<u64> = times.into_iter().filter(|at_ns| *at_ns >= since_ns).collect();
    let pauses = times.windows(2).map(|two| two[1] - two[0]);
    pauses.max().unwrap_or(u64::MAX) / MS
}

/// Runs on, and judges what the viewer got since `since_ns`: picture and sound pause for at most
/// `most_ms`, and what is shown is sound.
fn judge(mut meeting: Meeting, since_ns: u64, most_ms: u64) {
    meeting.run_ms(2500);
    let end_ns = meeting.plane.now_ns();
    meeting.drain();
    let [video, sound] = &meeting.viewers[0].streams[..] else { panic!("two streams") };
    let shown = show(video);
    let (packets, _) = play(sound);
    assert!(packets > 0 && shown.decoded > 0, "{shown:?}");
    for stream in [video, sound] {
        let silence_ms = longest_silence_ms(stream, since_ns);
        assert!(silence_ms <= most_ms, "{silence_ms} ms without a packet, {most_ms} are allowed");
        let last_ns = stream.got.values().map(|got| got.at_ns).max().unwrap_or(0);
        assert!(last_ns + 200 * MS > end_ns, "media flows at the end");
    }
}

/// What a publisher sends is taken at once wherever it comes from: its seal proves whose it is.
#[test]
fn a_nat_moves_a_publisher() {
    for_seeds(4, |seed| {
        let mut meeting = connected(seed, USUAL);
        let (since_ns, asked) = (meeting.plane.now_ns(), meeting.publishers[0].asked.len());
        for _ in 0..3 {
            meeting.rebind(meeting.publishers[0].peer.addresses[0]);
            meeting.run_ms(700);
        }
        assert_eq!(meeting.publishers[0].asked.len(), asked, "nothing was lost");
        // Requests reach it at its new address.
        let now_ms = meeting.plane.now_ns() / MS;
        let viewer = &mut meeting.viewers[0];
        viewer.ask_key_frame(&mut meeting.plane, 0);
        meeting.run_ms(200);
        let asked = meeting.publishers[0].asked.last();
        assert!(asked.is_some_and(|(at_ms, _)| *at_ms >= now_ms), "{asked:?}");
        judge(meeting, since_ns, 100);
    });
}

/// A viewer says something once a second, and from then on gets media where it is now.
#[test]
fn a_nat_moves_a_viewer() {
    for_seeds(4, |seed| {
        let mut meeting = connected(seed, USUAL);
        let since_ns = meeting.plane.now_ns();
        for round in 0..3 {
            meeting.run_ms(137 * round);
            meeting.rebind(meeting.viewers[0].peer.addresses[0]);
            let at_ns = meeting.plane.now_ns();
            let sent = meeting.viewers[0].reports;
            while meeting.viewers[0].reports == sent {
                meeting.step();
            }
            let said_ns = meeting.plane.now_ns();
            assert!(said_ns - at_ns <= 1_000 * MS + STEP_NS);
            meeting.run_ms(900);
            let after = |ns: u64| move |got: &&u64| **got > ns;
            let times: Vec<u64> =
                meeting.viewers[0].streams[1].got.values().map(|got| got.at_ns).collect();
            let back_ns = times.iter().filter(after(at_ns)).min().expect("media is back");
            // Its report, our check, its answer, a packet of sound.
            let most_ns = said_ns + 4 * USUAL.delay_ns + 30 * MS;
            assert!(*back_ns <= most_ns, "{} ms late", (back_ns - said_ns) / MS);
        }
        judge(meeting, since_ns, 1_100);
    });
}

/// Who sends media of its own says something every 20 ms, and is back within a fraction of a second
/// also where checks get lost.
#[test]
fn a_nat_moves_both_on_a_lossy_path() {
    for_seeds(6, |seed| {
        let path = Path { loss_permille: 100, ..USUAL };
        let mut meeting = connected(seed, path);
        meeting.viewers[0].report_ns = 100 * MS;
        let since_ns = meeting.plane.now_ns();
        for _ in 0..3 {
            meeting.rebind(meeting.publishers[0].peer.addresses[0]);
            meeting.rebind(meeting.viewers[0].peer.addresses[0]);
            meeting.run_ms(1500);
        }
        judge(meeting, since_ns, 1_000);
    });
}

/// From Wi-Fi to a mobile network: the first one is dead at once, the second is worse.
#[test]
fn clients_change_networks_in_the_middle_of_a_call() {
    let mobile = Path { delay_ns: 60 * MS, jitter_ns: 30 * MS, loss_permille: 20, ..Path::PERFECT };
    for_seeds(4, |seed| {
        for publisher in [true, false] {
            let mut meeting = connected(seed, USUAL);
            let since_ns = meeting.plane.now_ns();
            for (network, other) in [(1, 0), (0, 1)] {
                let peer = match publisher {
                    true => &mut meeting.publishers[0].peer,
                    false => &mut meeting.viewers[0].peer,
                };
                meeting.plane.network.set_path(peer.addresses[network], mobile);
                meeting.plane.network.set_path(peer.addresses[other], Path::DEAD);
                peer.change_network(network as u32);
                meeting.run_ms(1500);
            }
            judge(meeting, since_ns, 1_000);
        }
    });
}

/// Nothing of ours is longer than 1200 octets: handshakes, reports, repetitions.
#[test]
fn all_gets_through_a_narrow_path() {
    for_seeds(4, |seed| {
        let path = Path { most_bytes: 1200, loss_permille: 50, ..USUAL };
        let mut meeting = meeting(seed, path, path);
        // With header and tag it leaves room for what a repetition adds.
        meeting.publishers[0].cameras[0].filler = Some(1100);
        meeting.connect();
        let since_ns = meeting.plane.now_ns() + 3_000 * MS;
        meeting.run_ms(3000);
        assert!(meeting.viewers[0].streams[0].repeats > 0, "something was sent again");
        assert_eq!(meeting.plane.network.too_long, 0);
        judge(meeting, since_ns, 500);
    });
}

#[test]
fn losses_in_one_direction() {
    for_seeds(6, |seed| {
        let lossy = Path { loss_permille: 200, ..USUAL };
        for (from, to) in [(lossy, USUAL), (USUAL, lossy)] {
            let mut meeting = meeting(seed, from, to);
            meeting.connect();
            meeting.run_ms(4000);
            let since_ns = meeting.plane.now_ns();
            judge(meeting, since_ns, 500);
        }
    });
}

#[test]
fn losses_in_bursts() {
    for_seeds(6, |seed| {
        let path = Path { burst_permille: 3, burst_ns: 150 * MS, ..USUAL };
        let mut meeting = meeting(seed, path, path);
        meeting.connect();
        meeting.run_ms(4000);
        let since_ns = meeting.plane.now_ns();
        judge(meeting, since_ns, 1_000);
    });
}

/// A round trip of a second: handshakes take their time, but get there, and losses are repaired as
/// long as packets are kept.
#[test]
fn half_a_second_of_delay() {
    for_seeds(4, |seed| {
        let path = Path { delay_ns: 500 * MS, jitter_ns: 20 * MS, ..Path::PERFECT };
        let lossy = Path { loss_permille: 10, ..path };
        let mut meeting = meeting(seed, path, if seed % 2 == 0 { path } else { lossy });
        meeting.connect();
        meeting.run_ms(6000);
        let since_ns = meeting.plane.now_ns();
        let asked = meeting.publishers[0].asked.len();
        assert!(asked <= 12, "{asked} key frames were asked for");
        judge(meeting, since_ns, 300);
    });
}
