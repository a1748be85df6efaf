//! How well media travelled, and what it is like, as the control plane hears it.

use ringway_abi::call::{CallCommand, CallEvent, Picture, SourceKind, Subject};
use ringway_wire::rtcp::write::write_receiver_report;
use ringway_wire::rtcp::{ReceiverReport, ReportBlock};
use ringway_wire::rtp::RtpView;

use crate::world::{MS, OPUS, VP8, World, route, rtp, source};

/// Plays two windows of sound of which every tenth packet is lost on the way in; the receiver
/// reports `lost` of a hundred. Gives what was told of the last window: expected, lost.
fn told(lost: u32) -> [Option<(u32, u32)>; 2] {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    let mut found = [None; 2];
    let mut highest = 0;
    for sequence in 0..900_u16 {
        if sequence % 10 != 9 {
            let timestamp = 960 * u32::from(sequence);
            world.send(1, &rtp(OPUS, 500, sequence, timestamp, b"sound"));
        }
        if let Some(packet) = world.peer(2).take_packets().last() {
            highest = u32::from(RtpView::parse(packet).expect("RTP").sequence());
        }
        world.pass(20);
        if sequence % 50 == 0 {
            let lost = i32::from(sequence) * lost as i32 / 100;
            report(&mut world, highest, lost);
        }
        for event in std::mem::take(&mut world.events) {
            let CallEvent::Quality { subject, expected, lost, heard, lacking_permille } = event
            else {
                continue;
            };
            assert_eq!((heard, lacking_permille), (true, 0));
            let place = usize::from(matches!(subject, Subject::Route(20)));
            assert!(matches!(subject, Subject::Route(20) | Subject::Source(10)));
            found[place] = Some((expected, lost));
        }
    }
    found
}

/// The subscriber reports.
pub(crate) fn report(world: &mut World, highest: u32, lost: i32) {
    let block = ReportBlock {
        ssrc: 900,
        fraction_lost: 0,
        cumulative_lost: lost,
        extended_highest_sequence: highest,
        jitter: 96,
        last_sr: 0,
        delay_since_last_sr: 0,
    };
    let mut out = [0; 128];
    let len = write_receiver_report(&mut out, &ReceiverReport { ssrc: 2 }, &[block]).expect("room");
    world.send_rtcp(2, &out[..len]);
}

#[test]
fn every_five_seconds() {
    let [source, route] = told(0);
    let (expected, lost) = source.expect("the source is told of");
    assert!((200..=260).contains(&expected), "{expected}");
    assert!((expected / 10).abs_diff(lost) <= 2, "{lost} of {expected}");
    let (expected, lost) = route.expect("the route is told of");
    assert!((150..=300).contains(&expected) && lost == 0, "{lost} of {expected}");
    let [_, route] = told(4);
    let (_, lost) = route.expect("the route is told of");
    assert!((6..=14).contains(&lost), "{lost}");
}

/// What was told of source 10 since the last time: expected, and whether its peer was heard.
fn windows(world: &mut World) -> Vec<(u32, bool)> {
    let of_source = |event: CallEvent| match event {
        CallEvent::Quality { subject: Subject::Source(10), expected, heard, .. } => {
            Some((expected, heard))
        }
        _ => None,
    };
    std::mem::take(&mut world.events).into_iter().filter_map(of_source).collect()
}

#[test]
fn silence_is_told_and_whether_the_peer_is_there() {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.pass(15_000);
    assert!(windows(&mut world).is_empty(), "nothing has begun");
    for sequence in 0..600_u16 {
        world.send(1, &rtp(OPUS, 500, sequence, 960 * u32::from(sequence), b"sound"));
        world.pass(20);
    }
    let told = windows(&mut world);
    assert!(told.iter().all(|(expected, heard)| *expected > 200 && *heard), "{told:?}");
    // Its checks go on.
    world.pass(15_000);
    let told = windows(&mut world);
    assert_eq!(told[told.len() - 2..], [(0, true); 2], "{told:?}");
    world.ask(CallCommand::SetSource { source: 10, muted: true });
    world.pass(10_000);
    assert!(windows(&mut world).is_empty(), "muted");
    world.ask(CallCommand::SetSource { source: 10, muted: false });
    world.peers.retain(|peer| peer.key != 1);
    world.pass(12_000);
    assert_eq!(windows(&mut world).last(), Some(&(0, false)));
}

#[test]
fn who_reports_nothing_is_told_of_after_a_while() {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Audio, 500)));
    world.ask(CallCommand::AddRoute(route(20, 10, 2, OPUS, 900)));
    let mut told = Vec::new();
    for sequence in 0..450_u16 {
        world.send(1, &rtp(OPUS, 500, sequence, 960 * u32::from(sequence), b"sound"));
        world.pass(100);
        for event in std::mem::take(&mut world.events) {
            if let CallEvent::Quality { subject: Subject::Route(20), expected, .. } = event {
                told.push((u32::from(sequence) / 10, expected));
            }
        }
    }
    let (first_s, expected) = *told.first().expect("told of");
    assert!((30..42).contains(&first_s) && expected == 0, "{told:?}");
}

/// A VP8 frame of temporal layer `temporal`; a key frame says that it is `width` wide.
fn frame(id: u16, temporal: u8, width: Option<u16>) -> Vec<u8> {
    let [high, low] = (0x8000 | id).to_be_bytes();
    let mut frame = vec![0x90, 0xe0, high, low, 1, temporal << 6];
    match width {
        Some(width) => {
            frame.extend([0x10, 0, 0, 0x9d, 0x01, 0x2a]);
            frame.extend([width, width / 2].map(u16::to_le_bytes).concat());
        }
        None => frame.extend([0x11, 0, 0]),
    }
    frame
}

#[test]
fn sizes_and_rates_of_pictures_are_told() {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    let mut told: Vec<(u64, Picture)> = Vec::new();
    let began_ns = world.now.mono_ns;
    let mut film = |world: &mut World, frames: std::ops::Range<u16>, width: u16| {
        for id in frames {
            // 25 frames a second: every other one of the lowest layer.
            let key = (id % 50 == 0).then_some(width);
            let temporal = (id % 2) as u8;
            let timestamp = 3_600 * u32::from(id);
            world.send(1, &rtp(VP8, 500, id, timestamp, &frame(id, temporal, key)));
            world.pass(40);
            for event in std::mem::take(&mut world.events) {
                if let CallEvent::SourceLayers { source: 10, pictures, .. } = event {
                    assert_eq!(pictures[1..], [Picture::default(); 2]);
                    told.push(((world.now.mono_ns - began_ns) / MS, pictures[0]));
                }
            }
        }
        std::mem::take(&mut told)
    };
    let told = film(&mut world, 0..300, 640);
    let size = |width, fps| Picture { width, height: width / 2, fps };
    assert_eq!(told[0], (40, size(640, [0; 4])), "with the first packet");
    let (at_ms, picture) = told[1];
    assert!((5_000..=10_400).contains(&at_ms), "{at_ms}");
    let [low, full, same, too] = picture.fps;
    assert!((12..=13).contains(&low) && full == 25 && same == 25 && too == 25, "{picture:?}");
    assert_eq!(told.len(), 2, "no news: {told:?}");
    // The encoder makes its pictures smaller.
    let told = film(&mut world, 300..400, 320);
    assert_eq!(told, [(12_040, size(320, picture.fps))]);
}
