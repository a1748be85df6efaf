//! ICE restarts, and peers whose address changes.

use ringway_sim::calls::decoder::{play, show};
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::network::Path;
use ringway_sim::seeds::for_seeds;

fn watched(seed: u64, path: Path) -> Meeting {
    let mut meeting = Meeting::watched(seed, path);
    meeting.run_ms(1000);
    meeting
}

fn judge(mut meeting: Meeting, longest_pause_ms: u32) {
    meeting.run_ms(2000);
    meeting.drain();
    let [video, sound] = &meeting.viewers[0].streams[..] else { panic!("two streams") };
    let shown = show(video);
    assert_eq!((shown.holes, play(sound).1), (0, 0));
    assert!(shown.longest_pause_ms <= longest_pause_ms, "{shown:?}");
    assert!(shown.decoded > 80, "{shown:?}");
}

#[test]
fn ice_restarts_and_media_flows_on() {
    for_seeds(3, |seed| {
        let mut meeting = watched(seed, Path { delay_ns: 10_000_000, ..Path::PERFECT });
        for _ in 0..3 {
            meeting.restart_ice(0);
            meeting.run_ms(700);
        }
        judge(meeting, 80);
    });
}

#[test]
fn a_viewer_changes_its_address() {
    for_seeds(3, |seed| {
        let mut meeting = watched(seed, Path { delay_ns: 10_000_000, ..Path::PERFECT });
        for network in [1, 0, 1] {
            meeting.viewers[0].peer.change_network(network);
            meeting.run_ms(700);
        }
        judge(meeting, 80);
    });
}

#[test]
fn a_publisher_changes_its_address() {
    for_seeds(3, |seed| {
        let mut meeting = watched(seed, Path { delay_ns: 10_000_000, ..Path::PERFECT });
        for network in [1, 0, 1] {
            meeting.publishers[0].peer.change_network(network);
            meeting.run_ms(700);
        }
        judge(meeting, 80);
    });
}
