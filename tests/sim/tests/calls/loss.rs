//! Paths that lose, double, delay and reorder, in both directions.

use ringway_sim::calls::decoder::{Shown, play, show};
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::network::Path;
use ringway_sim::seeds::for_seeds;

/// One camera and one microphone to two viewers for `ms`.
fn call(seed: u64, path: Path, coding: Coding, by_rid: bool, ms: u64) -> Meeting {
    let mut meeting = Meeting::new(seed, path);
    meeting.add_publisher();
    meeting.add_viewer();
    meeting.add_viewer();
    let camera = meeting.publish(0, coding, 3, by_rid);
    let sound = meeting.publish_sound(0);
    for viewer in 0..2 {
        meeting.subscribe(viewer, camera);
        meeting.subscribe(viewer, sound);
    }
    meeting.connect();
    meeting.run_ms(ms);
    meeting.drain();
    meeting
}

/// What viewer `at` saw; sound is checked too.
fn judge(meeting: &Meeting, at: usize, most_holes_percent: usize) -> Shown {
    let [video, sound] = &meeting.viewers[at].streams[..] else { panic!("two streams") };
    let shown = show(video);
    let (packets, holes) = play(sound);
    for (packets, holes) in [(packets, holes), (video.got.len(), shown.holes)] {
        assert!(packets > 0);
        assert!(holes * 100 <= packets * most_holes_percent, "{holes} holes in {packets} packets");
    }
    shown
}

#[test]
fn without_loss_everything_is_seen() {
    for_seeds(6, |seed| {
        let coding = [Coding::Vp8, Coding::H264][seed as usize % 2];
        let meeting = call(seed, Path::PERFECT, coding, seed.is_multiple_of(3), 4000);
        let made = &meeting.publishers[0].cameras[0].encodings[2].made;
        for at in 0..2 {
            let shown = judge(&meeting, at, 0);
            assert!(shown.decoded + 15 >= made.len(), "{} of {}", shown.decoded, made.len());
            assert_eq!((shown.skipped, &meeting.viewers[at].peer.drops[..]), (0, &[][..]));
            let last = shown.frames.last().expect("frames");
            assert_eq!(last.layer, 2, "the best layer is sent");
            assert!(shown.clock_error_ms <= 40, "{} ms", shown.clock_error_ms);
        }
    });
}

#[test]
fn loss_is_repaired() {
    // Loss and doubles of a thousand, jitter in ms, holes that may be left in per cent.
    let rows =
        [(10, 0, 0, 0), (50, 20, 10, 1), (100, 20, 30, 1), (200, 50, 100, 8), (0, 100, 100, 0)];
    for_seeds(rows.len() as u64 * 2, |seed| {
        let (loss, double, jitter_ms, holes) = rows[seed as usize % rows.len()];
        let path = Path {
            loss_permille: loss,
            double_permille: double,
            reorder_permille: 50,
            held_ns: 4_000_000,
            delay_ns: 10_000_000,
            jitter_ns: jitter_ms * 1_000_000,
            ..Path::PERFECT
        };
        let coding = if seed < 5 { Coding::Vp8 } else { Coding::H264 };
        // On a bad path requests for the first key frame get lost, too.
        let ms = if loss >= 100 { 9000 } else { 4000 };
        let meeting = call(seed, path, coding, seed.is_multiple_of(2), ms);
        for at in 0..2 {
            let shown = judge(&meeting, at, holes);
            let made = &meeting.publishers[0].cameras[0].encodings[2].made;
            // Each request that is lost costs a second.
            let least = if loss >= 100 { made.len() / 10 } else { made.len() / 4 };
            let video = &meeting.viewers[at].streams[0];
            let (asked, seen) = (meeting.publishers[0].asked.len(), shown.frames.len());
            let what = format!("{asked} key frames asked for, {seen} frames seen, {}", shown.holes);
            assert!(shown.decoded >= least, "{} decoded, {what} holes", shown.decoded);
            assert!(loss < 50 || video.repeats > 0, "NACKs are answered");
        }
        assert!(loss < 50 || meeting.publishers[0].repeated > 0, "the publisher is asked");
    });
}

#[test]
fn without_nacks_holes_stay_and_the_rest_is_sound() {
    for_seeds(3, |seed| {
        let path = Path { loss_permille: 50, delay_ns: 5_000_000, ..Path::PERFECT };
        let mut meeting = Meeting::new(seed, path);
        meeting.add_publisher();
        meeting.add_viewer();
        meeting.publishers[0].repeats = false;
        meeting.viewers[0].asks = false;
        let camera = meeting.publish(0, Coding::Vp8, 3, false);
        meeting.subscribe(0, camera);
        meeting.connect();
        meeting.run_ms(4000);
        let stream = &meeting.viewers[0].streams[0];
        let shown = show(stream);
        assert!(shown.holes > 3 && stream.repeats == 0, "{shown:?}");
    });
}
