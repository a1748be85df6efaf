//! Calls whose participants are on several shards.

use ringway_abi::call::{CallCommand, CallEvent};
use ringway_abi::counters::Counter;
use ringway_abi::message::{Event, Outcome};
use ringway_sim::calls::decoder::{Shown, play, show};
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::{ALL, Meeting};
use ringway_sim::network::Path;
use ringway_sim::seeds::for_seeds;

/// Camera and microphone of a publisher on shard 0, and a viewer of both on each shard.
fn watched(seed: u64, path: Path, coding: Coding, shards: u16) -> Meeting {
    let mut meeting = Meeting::spread(seed, path, shards);
    meeting.add_publisher();
    for shard in 0..shards {
        meeting.shard = shard;
        meeting.add_viewer();
    }
    let camera = meeting.publish(0, coding, 3, seed.is_multiple_of(2));
    let sound = meeting.publish_sound(0);
    for viewer in 0..usize::from(shards) {
        meeting.subscribe(viewer, camera);
        meeting.subscribe(viewer, sound);
    }
    meeting.connect();
    meeting
}

/// What viewer `at` saw; sound is checked too.
fn judge(meeting: &Meeting, at: usize, most_holes_percent: usize) -> Shown {
    let [video, sound] = &meeting.viewers[at].streams[..] else { panic!("two streams") };
    let shown = show(video);
    let (packets, holes) = play(sound);
    for (packets, holes) in [(packets, holes), (video.got.len(), shown.holes)] {
        assert!(packets > 0, "viewer {at}");
        assert!(holes * 100 <= packets * most_holes_percent, "{holes} holes in {packets} packets");
    }
    shown
}

fn counter(meeting: &Meeting, shard: u16, counter: Counter) -> u64 {
    meeting.plane.counter(shard, counter)
}

#[test]
fn viewers_on_other_shards_see_what_those_at_home_see() {
    for_seeds(6, |seed| {
        let coding = [Coding::Vp8, Coding::H264][seed as usize % 2];
        let mut meeting = watched(seed, Path::PERFECT, coding, 3);
        meeting.run_ms(4000);
        meeting.drain();
        let made = meeting.publishers[0].cameras[0].encodings[2].made.len();
        for at in 0..3 {
            let shown = judge(&meeting, at, 0);
            assert!(shown.decoded + 15 >= made, "{} of {made}", shown.decoded);
            assert_eq!(shown.frames.last().expect("frames").layer, 2, "the best layer is sent");
            assert!(shown.clock_error_ms <= 40, "{} ms", shown.clock_error_ms);
            assert!(meeting.viewers[at].streams[0].report.is_some(), "reports are passed on");
        }
        assert!(counter(&meeting, 0, Counter::HandedOver) > 2 * made as u64);
        assert_eq!(counter(&meeting, 0, Counter::DropShardLane), 0);
        // Whoever joins late asks for a key frame, through the home.
        let speaks = |(shard, event): &(usize, Event)| match event {
            Event::Call(CallEvent::Levels { count: 1.., .. } | CallEvent::SourceLayers { .. }) => {
                Some(*shard)
            }
            _ => None,
        };
        assert!(meeting.plane.news.iter().filter_map(speaks).all(|shard| shard == 0));
    });
}

#[test]
fn loss_is_repaired_on_every_shard() {
    let rows = [(10, 0, 0), (50, 20, 1), (100, 20, 1)];
    for_seeds(rows.len() as u64 * 2, |seed| {
        let (loss, double, holes) = rows[seed as usize % rows.len()];
        let path = Path {
            loss_permille: loss,
            double_permille: double,
            reorder_permille: 50,
            held_ns: 4_000_000,
            delay_ns: 10_000_000,
            jitter_ns: 10_000_000,
            ..Path::PERFECT
        };
        let coding = if seed < 3 { Coding::Vp8 } else { Coding::H264 };
        let mut meeting = watched(seed, path, coding, 2);
        meeting.run_ms(if loss >= 100 { 9000 } else { 5000 });
        meeting.drain();
        let made = meeting.publishers[0].cameras[0].encodings[2].made.len();
        for at in 0..2 {
            let shown = judge(&meeting, at, holes);
            let least = if loss >= 100 { made / 10 } else { made / 4 };
            assert!(shown.decoded >= least, "{} of {made}", shown.decoded);
            let video = &meeting.viewers[at].streams[0];
            assert!(loss < 50 || video.repeats > 0, "NACKs are answered");
        }
    });
}

#[test]
fn whoever_comes_late_to_another_shard_gets_a_key_frame() {
    for_seeds(3, |seed| {
        let mut meeting = Meeting::spread(seed, Path::PERFECT, 2);
        meeting.add_publisher();
        let camera = meeting.publish(0, Coding::Vp8, 3, false);
        meeting.connect();
        meeting.run_ms(2000);
        meeting.shard = 1;
        for _ in 0..4 {
            meeting.add_viewer();
        }
        meeting.connect();
        let before = meeting.publishers[0].asked.len();
        (0..4).for_each(|at| {
            meeting.subscribe(at, camera);
        });
        meeting.run_ms(600);
        assert!(meeting.viewers.iter().all(|viewer| show(&viewer.streams[0]).decoded > 5));
        let asked = &meeting.publishers[0].asked[before..];
        assert!((1..=2).contains(&asked.len()), "{asked:?}");
        // Who insists does not get through more often than twice a second.
        for _ in 0..100 {
            (0..4).for_each(|at| meeting.viewers[at].ask_key_frame(&mut meeting.plane, 0));
            meeting.run_ms(20);
        }
        let asked = &meeting.publishers[0].asked;
        let apart = |pair: &[(u64, u32)]| pair[1].1 != pair[0].1 || pair[1].0 - pair[0].0 >= 500;
        assert!(asked.windows(2).all(apart) && asked.len() >= before + 3, "{asked:?}");
    });
}

#[test]
fn a_shard_that_stalls_affects_only_its_own() {
    for_seeds(4, |seed| {
        let mut meeting = watched(seed, Path::PERFECT, Coding::Vp8, 3);
        meeting.run_ms(1500);
        meeting.plane.machines[1].stalled = true;
        // Its lane fills up, and later nobody hands it anything any more.
        for _ in 0..12 {
            let handed = counter(&meeting, 0, Counter::HandedOver);
            meeting.run_ms(500);
            assert!(counter(&meeting, 0, Counter::HandedOver) > handed, "the third goes on");
        }
        for at in [0, 2] {
            assert!(judge(&meeting, at, 0).longest_pause_ms < 200, "viewer {at}");
        }
        meeting.plane.machines[1].stalled = false;
        meeting.run_ms(3000);
        let got = meeting.viewers[1].streams[0].got.len();
        meeting.run_ms(500);
        assert!(meeting.viewers[1].streams[0].got.len() > got + 20, "it gets packets again");
        meeting.drain();
        for at in [0, 2] {
            judge(&meeting, at, 0);
        }
        show(&meeting.viewers[1].streams[0]);
    });
}

#[test]
fn mute_and_end_reach_the_other_shards() {
    for_seeds(2, |seed| {
        let mut meeting = watched(seed, Path::PERFECT, Coding::Vp8, 2);
        meeting.run_ms(1500);
        let camera = meeting.publishers[0].cameras[0].source;
        meeting.command(CallCommand::SetSource { source: camera, muted: true });
        meeting.run_ms(700);
        meeting.command(CallCommand::SetSource { source: camera, muted: false });
        meeting.run_ms(1500);
        for at in 0..2 {
            let shown = judge(&meeting, at, 0);
            assert!(shown.longest_pause_ms >= 500 && shown.decoded > 40, "viewer {at}: {shown:?}");
        }
        let key = meeting.publishers[0].key;
        meeting.command(CallCommand::CloseTransport { transport: key });
        meeting.run_ms(1500);
        let got: Vec<usize> = meeting.viewers.iter().map(|v| v.streams[0].got.len()).collect();
        meeting.run_ms(1000);
        for (at, got) in got.into_iter().enumerate() {
            assert_eq!(meeting.viewers[at].streams[0].got.len(), got, "nothing comes any more");
            let route = meeting.viewers[at].streams[0].route;
            let gone = CallCommand::SetRoute { route, service: ALL };
            assert!(matches!(meeting.ask(gone), Outcome::Refused { .. }), "the route has ended");
        }
    });
}

#[test]
fn a_mirror_ends_with_its_last_route_or_its_transports() {
    for_seeds(4, |seed| {
        let mut meeting = watched(seed, Path::PERFECT, Coding::Vp8, 2);
        meeting.run_ms(1500);
        for stream in 0..2 {
            let route = meeting.viewers[1].streams[stream].route;
            meeting.command(CallCommand::RemoveRoute { route });
        }
        meeting.run_ms(3000);
        let handed = counter(&meeting, 0, Counter::HandedOver);
        meeting.run_ms(1000);
        assert_eq!(counter(&meeting, 0, Counter::HandedOver), handed, "nobody wants them");
        let camera = meeting.publishers[0].cameras[0].source;
        meeting.subscribe(1, camera);
        meeting.run_ms(2000);
        assert!(show(&meeting.viewers[1].streams[2]).decoded > 20);
        let reset = (seed % 2) as u16;
        let disown = CallCommand::Disown { linger_ms: 0 };
        assert_eq!(meeting.ask_shard(reset, disown), Outcome::Accepted);
        meeting.run_ms(3000);
        let handed = counter(&meeting, 0, Counter::HandedOver);
        meeting.run_ms(1000);
        assert_eq!(counter(&meeting, 0, Counter::HandedOver), handed, "shard {reset} forgot all");
        let calls = format!("{:?}", meeting.plane.machines[1].shard.calls);
        assert!(calls.contains("sources: 0"), "{calls}");
    });
}
