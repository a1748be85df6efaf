//! Layers change by command and by estimate; numbers wrap meanwhile.

use ringway_abi::call::Service;
use ringway_sim::calls::decoder::show;
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::{ALL, Meeting};
use ringway_sim::network::Path;
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;

fn watched(seed: u64, path: Path, coding: Coding) -> Meeting {
    let mut meeting = Meeting::new(seed, path);
    meeting.add_publisher();
    meeting.add_viewer();
    let camera = meeting.publish(0, coding, 3, seed.is_multiple_of(2));
    meeting.subscribe(0, camera);
    meeting.connect();
    meeting
}

#[test]
fn layers_change_by_command() {
    for_seeds(8, |seed| {
        let mut random = Random::new(seed);
        let lossy = seed % 2 == 1;
        let path = match lossy {
            true => Path { jitter_ns: 20_000_000, loss_permille: 30, ..Path::PERFECT },
            false => Path::PERFECT,
        };
        let coding = if seed < 6 { Coding::Vp8 } else { Coding::H264 };
        let mut meeting = watched(seed, path, coding);
        for _ in 0..10 {
            let max_layer = random.below(3) as u8;
            let max_temporal = random.below(4) as u8;
            let paused = random.chance(200);
            meeting.serve(0, 0, Service { max_layer, max_temporal, paused, ..ALL });
            meeting.run_ms(random.between(50, 900));
        }
        meeting.serve(0, 0, ALL);
        meeting.run_ms(1500);
        meeting.drain();
        let shown = show(&meeting.viewers[0].streams[0]);
        assert!(shown.changes >= 2, "{shown:?}");
        assert_eq!(shown.frames.last().expect("frames").layer, 2);
        // Only where nothing is known of the layers' clocks may time go on by arrival.
        assert!(shown.clock_error_ms <= if lossy { 150 } else { 50 }, "{shown:?}");
        if !lossy {
            assert_eq!(shown.holes, 0);
        }
    });
}

#[test]
fn a_narrow_path_gets_less_and_a_wide_one_more() {
    for_seeds(2, |seed| {
        let mut meeting = watched(seed, Path::PERFECT, Coding::Vp8);
        // The least that a path is given is enough for the lowest layer only.
        meeting.publishers[0].cameras[0].packets = Some(8);
        meeting.viewers[0].remb = Some(2_000_000);
        meeting.run_ms(3000);
        let layer = |meeting: &Meeting| {
            let stream = &meeting.viewers[0].streams[0];
            *show(stream).frames.last().expect("frames")
        };
        assert_eq!(layer(&meeting).layer, 2);
        // An estimate that falls is believed for some seconds.
        meeting.viewers[0].remb = Some(60_000);
        meeting.run_ms(4000);
        assert_eq!(layer(&meeting).layer, 0);
        meeting.viewers[0].remb = Some(50_000_000);
        meeting.run_ms(12_000);
        meeting.drain();
        assert_eq!(layer(&meeting).layer, 2);
        assert_eq!(show(&meeting.viewers[0].streams[0]).holes, 0);
    });
}

#[test]
fn a_layer_that_stops_is_replaced() {
    for_seeds(3, |seed| {
        let mut meeting = watched(seed, Path::PERFECT, Coding::Vp8);
        meeting.run_ms(1000);
        for (layer, running) in [(2, false), (1, false), (1, true), (2, true)] {
            meeting.publishers[0].cameras[0].encodings[layer].running = running;
            meeting.run_ms(3000);
        }
        meeting.drain();
        let shown = show(&meeting.viewers[0].streams[0]);
        let layers: Vec<u8> = shown.frames.iter().map(|frame| frame.layer).collect();
        let mut order = layers.clone();
        order.dedup();
        assert!(order.ends_with(&[2, 1, 0, 1, 2]), "{order:?}");
        assert_eq!(shown.holes, 0);
    });
}

#[test]
fn numbers_wrap() {
    // Publishers begin near the wrap half of the time; what viewers see begins below half of the
    // numbers, so this takes a while.
    let path = Path { loss_permille: 10, delay_ns: 5_000_000, ..Path::PERFECT };
    let mut meeting = watched(3, path, Coding::Vp8);
    meeting.publishers[0].cameras[0].packets = Some(60);
    for layer in 0..2 {
        meeting.publishers[0].cameras[0].encodings[layer].running = false;
    }
    let first = loop {
        meeting.run_ms(100);
        if let Some(number) = meeting.viewers[0].streams[0].got.keys().next() {
            break *number;
        }
    };
    while meeting.viewers[0].streams[0].highest().expect("begun") < (2 << 16) + 500 {
        meeting.run_ms(500);
        let asked = meeting.publishers[0].asked.len();
        assert!(asked < 100, "{asked}");
    }
    meeting.drain();
    let stream = &meeting.viewers[0].streams[0];
    let shown = show(stream);
    assert_eq!(shown.holes, 0, "from {first}");
    assert!(stream.repeats > 100);
}
