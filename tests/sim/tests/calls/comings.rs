//! Publishers that leave and come back, tracks that are muted, viewers who come late.

use ringway_abi::call::CallCommand;
use ringway_sim::calls::decoder::{play, show};
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::{Meeting, camera_spec};
use ringway_sim::network::Path;
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;

#[test]
fn whoever_comes_late_gets_a_key_frame_that_was_asked_for() {
    for_seeds(3, |seed| {
        let mut meeting = Meeting::new(seed, Path::PERFECT);
        meeting.add_publisher();
        let camera = meeting.publish(0, Coding::Vp8, 1, false);
        meeting.connect();
        meeting.run_ms(2000);
        let before = meeting.publishers[0].asked.len();
        assert_eq!(before, 0, "nobody watches");
        for _ in 0..6 {
            meeting.add_viewer();
            let at = meeting.viewers.len() - 1;
            meeting.subscribe(at, camera);
        }
        meeting.connect();
        meeting.run_ms(2000);
        let asked = meeting.publishers[0].asked.clone();
        assert!(!asked.is_empty() && asked.len() <= 3, "{asked:?}");
        // Viewers that insist do not get through more often than twice a second.
        for _ in 0..100 {
            for at in 0..6 {
                meeting.viewers[at].ask_key_frame(&mut meeting.plane, 0);
            }
            meeting.run_ms(20);
        }
        let asked = &meeting.publishers[0].asked;
        assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 500), "{asked:?}");
        assert!(asked.len() >= 4, "{asked:?}");
        meeting.drain();
        for viewer in &meeting.viewers {
            let shown = show(&viewer.streams[0]);
            assert_eq!(shown.holes, 0);
            assert!(shown.decoded > 60, "{shown:?}");
        }
    });
}

#[test]
fn muted_and_unmuted() {
    for_seeds(4, |seed| {
        let mut meeting = Meeting::new(seed, Path::PERFECT);
        meeting.add_publisher();
        meeting.add_viewer();
        let camera = meeting.publish(0, Coding::Vp8, 3, false);
        let sound = meeting.publish_sound(0);
        meeting.subscribe(0, camera);
        meeting.subscribe(0, sound);
        meeting.connect();
        for _ in 0..4 {
            meeting.run_ms(1000);
            for muted in [true, false] {
                for source in [camera, sound] {
                    meeting.command(CallCommand::SetSource { source, muted });
                }
                meeting.run_ms(if muted { 700 } else { 1500 });
            }
        }
        meeting.drain();
        let [video, sound] = &meeting.viewers[0].streams[..] else { panic!("two streams") };
        let shown = show(video);
        assert_eq!((shown.holes, play(sound).1), (0, 0));
        assert!(shown.longest_pause_ms >= 500, "{shown:?}");
        assert!(shown.decoded > 180, "{shown:?}");
    });
}

#[test]
fn a_publisher_leaves_and_comes_back_under_other_ssrcs() {
    for_seeds(4, |seed| {
        let mut random = Random::new(seed);
        let by_rid = seed.is_multiple_of(2);
        let mut meeting = Meeting::new(seed, Path::PERFECT);
        meeting.add_publisher();
        meeting.add_viewer();
        let camera = meeting.publish(0, Coding::Vp8, 3, by_rid);
        meeting.subscribe(0, camera);
        meeting.connect();
        for _ in 0..3 {
            meeting.run_ms(1500);
            for encoding in &mut meeting.publishers[0].cameras[0].encodings {
                encoding.renew(&mut random);
            }
            if !by_rid {
                let publisher = &meeting.publishers[0];
                let spec = camera_spec(&publisher.cameras[0], publisher.key);
                meeting.command(CallCommand::AddSource(spec));
            }
            meeting.run_ms(random.below(1500));
        }
        meeting.run_ms(2000);
        meeting.drain();
        let shown = show(&meeting.viewers[0].streams[0]);
        assert_eq!(shown.holes, 0);
        assert!(shown.decoded > 120, "{shown:?}");
        assert_eq!(shown.frames.last().expect("frames").layer, 2);
    });
}

#[test]
fn numbers_that_jump_begin_a_new_stretch() {
    for_seeds(4, |seed| {
        let mut meeting = Meeting::new(seed, Path::PERFECT);
        meeting.add_publisher();
        meeting.add_viewer();
        let camera = meeting.publish(0, Coding::Vp8, 3, false);
        let sound = meeting.publish_sound(0);
        meeting.subscribe(0, camera);
        meeting.subscribe(0, sound);
        meeting.connect();
        meeting.run_ms(1500);
        for encoding in &mut meeting.publishers[0].cameras[0].encodings {
            encoding.jump(10_000 + 3000 * (seed % 7));
        }
        meeting.publishers[0].microphones[0].next += 20_000;
        meeting.run_ms(2500);
        meeting.drain();
        let [video, sound] = &meeting.viewers[0].streams[..] else { panic!("two streams") };
        let shown = show(video);
        // The first packets after a jump are taken for strays.
        assert_eq!((shown.holes, play(sound).1), (0, 0));
        assert!(shown.decoded > 60, "{shown:?}");
    });
}
