//! SSRCs that are used again: their numbers must go on, for SRTP and for the receiver.

use ringway_abi::call::CallCommand;
use ringway_proto::transport::TransportDrop;
use ringway_sim::calls::decoder::show;
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::{Meeting, sound_spec};
use ringway_sim::network::Path;
use ringway_sim::random::Random;
use ringway_sim::seeds::for_seeds;

/// What a player does whose only video is that of another publisher now.
#[test]
fn another_source_under_the_same_ssrc_goes_on() {
    for_seeds(4, |seed| {
        let path = Path { loss_permille: 20, delay_ns: 5_000_000, ..Path::PERFECT };
        let mut meeting = Meeting::new(seed, path);
        meeting.add_publisher();
        meeting.add_publisher();
        meeting.add_viewer();
        let cameras = [0, 1].map(|at| meeting.publish(at, Coding::Vp8, 3, false));
        meeting.subscribe(0, cameras[0]);
        meeting.connect();
        let stream = &meeting.viewers[0].streams[0];
        let (mut route, ssrc, rtx_ssrc) = (stream.route, stream.ssrc, stream.rtx_ssrc);
        let mut counts = Vec::new();
        for round in 1..6_usize {
            meeting.run_ms(1200);
            let stream = &meeting.viewers[0].streams[0];
            counts.push((stream.got.len(), stream.highest()));
            if round % 2 == 1 {
                // As told, or without having been told that the old one ended.
                meeting.command(CallCommand::RemoveRoute { route });
            }
            let next = if round % 3 == 2 { route } else { route + 1000 };
            route = next;
            let spec = meeting.route_spec(0, cameras[round % 2], route, ssrc, rtx_ssrc);
            meeting.command(CallCommand::AddRoute(spec));
        }
        meeting.run_ms(1200);
        meeting.drain();
        let viewer = &meeting.viewers[0];
        let of_media = |drop: &&TransportDrop| matches!(drop, TransportDrop::Srtp(_));
        assert_eq!(viewer.peer.drops.iter().find(of_media), None, "nothing looks like a replay");
        let stream = &viewer.streams[0];
        assert!(counts.is_sorted(), "{counts:?}");
        assert!(stream.got.len() > 100 + counts[0].0, "{counts:?}");
        assert!(stream.holes().len() * 50 < stream.got.len());
        // Time goes on across sources, too.
        let mut stamps = stream.got.values().filter(|got| got.content.is_some());
        let first = stamps.next().expect("packets");
        let last = stamps.next_back().expect("packets");
        let ticks = last.timestamp.wrapping_sub(first.timestamp);
        let ms = (last.at_ns - first.at_ns) / 1_000_000;
        assert!((u64::from(ticks) / 90).abs_diff(ms) < 300, "{ticks} ticks in {ms} ms");
    });
}

#[test]
fn one_stream_is_shown_as_ever_after_its_route_is_asked_for_again() {
    let mut meeting = Meeting::new(1, Path::PERFECT);
    meeting.add_publisher();
    meeting.add_viewer();
    let camera = meeting.publish(0, Coding::Vp8, 1, false);
    meeting.subscribe(0, camera);
    meeting.connect();
    let stream = &meeting.viewers[0].streams[0];
    let (route, ssrc, rtx_ssrc) = (stream.route, stream.ssrc, stream.rtx_ssrc);
    for _ in 0..5 {
        meeting.run_ms(900);
        let spec = meeting.route_spec(0, camera, route, ssrc, rtx_ssrc);
        meeting.command(CallCommand::AddRoute(spec));
    }
    meeting.run_ms(1000);
    meeting.drain();
    let shown = show(&meeting.viewers[0].streams[0]);
    assert_eq!(shown.holes, 0);
    assert!(shown.decoded > 70, "{shown:?}");
}

/// Without RTX the answer to a NACK is the packet itself: under its number nothing else may leave,
/// whatever the publisher or the control plane does meanwhile.
#[test]
fn a_repetition_is_the_packet_or_nothing() {
    for_seeds(4, |seed| {
        let mut random = Random::new(seed);
        let path = Path { loss_permille: 150, delay_ns: 20_000_000, ..Path::PERFECT };
        let mut meeting = Meeting::new(seed, path);
        meeting.add_publisher();
        meeting.add_viewer();
        let sound = meeting.publish_sound(0);
        meeting.subscribe(0, sound);
        meeting.connect();
        for round in 0..12_u64 {
            meeting.run_ms(150);
            if round % 3 != 0 {
                // The same numbers stand for other packets.
                meeting.publishers[0].microphones[0].renew(&mut random);
                let publisher = &meeting.publishers[0];
                let spec = sound_spec(&publisher.microphones[0], publisher.key);
                meeting.command(CallCommand::AddSource(spec));
            } else {
                let transport = meeting.viewers[0].key;
                let mut ids = [0; 11];
                ids[..4].copy_from_slice(&[1, 2, 3, 4 + round as u8 % 5]);
                meeting.command(CallCommand::SetExtensions { transport, ids });
            }
        }
        meeting.drain();
        assert!(meeting.viewers[0].streams[0].got.len() > 20);
    });
}
