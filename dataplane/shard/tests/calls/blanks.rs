//! What subscribers get when a source is muted or goes away, or a subscription ends.

use ringway_abi::call::{
    CallCommand, EXTENSION_KINDS, ExtensionKind, RouteSpec, Service, SourceKind, SourceSpec, Text,
};
use ringway_wire::payload::{Codec, Entry, inspect, opus};
use ringway_wire::rtcp::{Compound, Packet};
use ringway_wire::rtp::RtpView;

use crate::world::{ALL, H264, OPUS, PCMU, TRAILER, VP8, World, route, rtp, source, vp8};

/// A source of peer 1 that peer 2 receives, one packet of it sent.
fn playing(spec: SourceSpec, payload_type: u8, body: &[u8]) -> World {
    let mut world = World::connected(2);
    world.ask(CallCommand::AddSource(spec));
    world.ask(CallCommand::AddRoute(route(20, spec.source, 2, payload_type, 900)));
    world.send(1, &rtp(payload_type, 500, 7, 90_000, body));
    assert_eq!(world.peer(2).take_packets().len(), 1, "the source reaches its subscriber");
    world
}

/// Checks what came while nothing was sent: whole frames in order, each of which is `is_blank`.
fn check_blanks(world: &mut World, expect: usize, is_blank: impl Fn(&[u8]) -> bool) {
    let packets = world.peer(2).take_packets();
    assert_eq!(packets.len(), expect);
    let mut before: Option<(u16, u32)> = None;
    for packet in &packets {
        let view = RtpView::parse(packet).expect("RTP");
        let (ssrc, payload) = (view.ssrc(), view.payload());
        assert!(ssrc == 900 && is_blank(payload), "{payload:?}");
        if let Some((sequence, timestamp)) = before {
            assert_eq!(view.sequence(), sequence.wrapping_add(1));
            assert!(view.timestamp().wrapping_sub(timestamp) as i32 > 0);
        }
        before = Some((view.sequence(), view.timestamp()));
    }
}

/// A picture that says that it was made up.
fn is_black_vp8(payload: &[u8]) -> bool {
    inspect(Codec::Vp8, payload).entry == Entry::Full && payload.ends_with(TRAILER)
}

fn is_black_h264(payload: &[u8]) -> bool {
    inspect(Codec::H264, payload).entry == Entry::Full
}

/// Silence that says that it was made up.
fn is_silence(payload: &[u8]) -> bool {
    payload.starts_with(&opus::SILENCE) && payload.len() == opus::SILENCE.len() + TRAILER.len()
}

/// A single unit with sequence parameters, which decoders can begin with.
const PARAMETERS: [u8; 4] = [0x67, 0x42, 0xc0, 0x1f];

/// Checks with each of what can be black or silent: what is expected of a mute, of an end.
fn each(check: impl Fn(&mut World, (usize, usize), fn(&[u8]) -> bool)) {
    let camera = source(10, 1, SourceKind::Camera, 500);
    let sound = source(10, 1, SourceKind::Audio, 500);
    check(&mut playing(camera, VP8, &vp8(5, true)), (0, 6), is_black_vp8);
    check(&mut playing(camera, H264, &PARAMETERS), (0, 6), is_black_h264);
    check(&mut playing(sound, OPUS, b"sound"), (50, 10), is_silence);
    check(&mut playing(sound, PCMU, b"sound"), (50, 10), |payload| payload == [0xff; 160]);
}

/// Pictures stay as they are: clients cover them.
#[test]
fn a_muted_sound_ends_in_silence() {
    each(|world, (expect, _), is_blank| {
        world.ask(CallCommand::SetSource { source: 10, muted: true });
        world.pass(2_000);
        check_blanks(world, expect, is_blank);
    });
}

#[test]
fn so_does_one_that_its_subscriber_pauses() {
    each(|world, (expect, _), is_blank| {
        let paused = Service { paused: true, ..ALL };
        world.ask(CallCommand::SetRoute { route: 20, service: paused });
        world.pass(2_000);
        check_blanks(world, expect, is_blank);
        // Nothing more where there is another reason.
        world.ask(CallCommand::SetSource { source: 10, muted: true });
        world.pass(2_000);
        check_blanks(world, 0, is_blank);
    });
}

#[test]
fn one_that_goes_away_ends_in_black_or_silence() {
    each(|world, (_, expect), is_blank| {
        world.ask(CallCommand::RemoveSource { source: 10 });
        world.pass(2_000);
        check_blanks(world, expect, is_blank);
        // Nothing is left of its route: the key is free.
        world.ask(CallCommand::AddSource(source(11, 1, SourceKind::Audio, 502)));
        world.ask(CallCommand::AddRoute(route(20, 11, 2, OPUS, 901)));
        world.send(1, &rtp(OPUS, 502, 1, 1, b"other"));
        assert_eq!(world.peer(2).take_packets().len(), 1);
    });
}

/// Its last picture would be seen again when the section carries another track.
#[test]
fn so_does_a_subscription() {
    each(|world, (_, expect), is_blank| {
        world.ask(CallCommand::RemoveRoute { route: 20 });
        // The source goes on, and its mute says nothing to it.
        world.pass(40);
        world.send(1, &rtp(VP8, 500, 8, 99_000, &vp8(6, true)));
        world.ask(CallCommand::SetSource { source: 10, muted: true });
        world.ask(CallCommand::SetSource { source: 10, muted: false });
        world.pass(2_000);
        check_blanks(world, expect, is_blank);
    });
}

/// Also one that was muted before: clients cover its last picture only for as long as it is there.
#[test]
fn so_does_a_subscription_that_was_paused() {
    each(|world, (_, expect), is_blank| {
        world.ask(CallCommand::SetSource { source: 10, muted: true });
        world.pass(2_000);
        world.peer(2).take_packets();
        world.ask(CallCommand::RemoveRoute { route: 20 });
        world.pass(2_000);
        check_blanks(world, expect, is_blank);
    });
}

/// A section that is used again is not spoiled by what fades: neither before the next track is
/// there, nor afterwards.
#[test]
fn what_fades_leaves_its_section_to_the_next() {
    let mut world = World::connected(2);
    let mut ids = [0; EXTENSION_KINDS];
    ids[ExtensionKind::Mid as usize] = 4;
    world.ask(CallCommand::SetExtensions { transport: 2, ids });
    world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
    world.ask(CallCommand::AddSource(source(11, 1, SourceKind::Camera, 510)));
    let mid = Text::new(b"3").expect("short");
    world.ask(CallCommand::AddRoute(RouteSpec { mid, ..route(20, 10, 2, VP8, 900) }));
    world.send(1, &rtp(VP8, 500, 7, 90_000, &vp8(5, true)));
    let has_mid = |packet: &[u8]| RtpView::parse(packet).expect("RTP").extension().is_some();
    assert!(world.peer(2).take_packets().iter().all(|packet| has_mid(packet)));
    world.ask(CallCommand::RemoveRoute { route: 20 });
    world.pass(60);
    let black = world.peer(2).take_packets();
    assert!((1..=3).contains(&black.len()), "{}", black.len());
    assert!(!black.iter().any(|packet| has_mid(packet)));
    world.ask(CallCommand::AddRoute(RouteSpec { mid, ..route(20, 11, 2, VP8, 910) }));
    world.send(1, &rtp(VP8, 510, 7, 90_000, &vp8(5, true)));
    world.pass(2_000);
    let packets = world.peer(2).take_packets();
    let ssrcs: Vec<u32> =
        packets.iter().map(|packet| RtpView::parse(packet).expect("RTP").ssrc()).collect();
    assert_eq!(ssrcs, [910]);
}

/// Receivers that decrypt know silence and the black of VP8 in the clear, and nothing else.
#[test]
fn who_decrypts_gets_what_it_knows() {
    for (payload_type, body, expect) in [(VP8, &vp8(5, true)[..], 6), (H264, &PARAMETERS, 0)] {
        let mut world = World::connected(2);
        world.ask(CallCommand::AddSource(source(10, 1, SourceKind::Camera, 500)));
        let spec = route(20, 10, 2, payload_type, 900);
        world.ask(CallCommand::AddRoute(RouteSpec { encrypted: true, ..spec }));
        world.send(1, &rtp(payload_type, 500, 7, 90_000, body));
        assert_eq!(world.peer(2).take_packets().len(), 1);
        world.ask(CallCommand::RemoveSource { source: 10 });
        world.pass(2_000);
        check_blanks(&mut world, expect, is_black_vp8);
    }
}

#[test]
fn unmuting_asks_for_a_key_frame() {
    let mut world = playing(source(10, 1, SourceKind::Camera, 500), VP8, &vp8(5, true));
    world.ask(CallCommand::SetSource { source: 10, muted: true });
    world.pass(300);
    check_blanks(&mut world, 0, is_black_vp8);
    world.peer(1).rtcp.clear();
    world.ask(CallCommand::SetSource { source: 10, muted: false });
    world.send(1, &rtp(VP8, 500, 8, 99_000, &vp8(6, false)));
    world.pass(300);
    let asked = world.peer(1).rtcp.iter().any(|rtcp| {
        let compound = Compound::parse(rtcp).expect("RTCP");
        compound.packets().any(|packet| matches!(packet, Packet::Pli(pli) if pli.media_ssrc == 500))
    });
    assert!(asked, "no key frame was asked for");
    // Nothing that needs a picture from before the pause passes.
    check_blanks(&mut world, 0, is_black_vp8);
    world.send(1, &rtp(VP8, 500, 9, 102_000, &vp8(7, true)));
    assert_eq!(world.peer(2).take_packets().len(), 1);
}

#[test]
fn unmuting_ends_the_silence() {
    let mut world = playing(source(10, 1, SourceKind::Audio, 500), OPUS, b"sound");
    world.ask(CallCommand::SetSource { source: 10, muted: true });
    world.pass(300);
    let silence = world.peer(2).take_packets();
    assert!((12..=17).contains(&silence.len()), "{}", silence.len());
    let last = RtpView::parse(&silence[silence.len() - 1]).expect("RTP").sequence();
    world.ask(CallCommand::SetSource { source: 10, muted: false });
    world.send(1, &rtp(OPUS, 500, 8, 105_000, b"sound"));
    world.pass(300);
    let packets = world.peer(2).take_packets();
    assert_eq!(packets.len(), 1);
    let view = RtpView::parse(&packets[0]).expect("RTP");
    assert_eq!(view.sequence(), last.wrapping_add(1));
}
