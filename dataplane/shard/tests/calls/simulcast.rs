//! Layers: which one a subscriber gets, and how soon.

use ringway_abi::call::{CallCommand, CallEvent, Layer, Service, SourceKind, SourceSpec, Subject};
use ringway_wire::rtcp::write::write_remb;
use ringway_wire::rtcp::{Compound, Packet};
use ringway_wire::rtp::RtpView;

use crate::quality::report;
use crate::world::{ALL, MS, VP8, World, route, rtp, source, vp8};

/// Octets of a frame of each layer: 0.1, 0.4 and 1 Mbit/s at 25 frames a second.
const FRAME_BYTES: [usize; 3] = [500, 1000, 1190];
/// Packets in a frame of each layer.
const PACKETS: [u16; 3] = [1, 2, 4];

/// A publisher of three layers under SSRCs 500, 510 and 520, which sends key frames when asked.
struct Camera {
    sequences: [u16; 3],
    pictures: [u16; 3],
    running: [bool; 3],
    key: [bool; 3],
    /// Layer of the packets that the subscriber got.
    got: Vec<(u64, u8)>,
    /// The number of the last one.
    highest: u16,
}

fn simulcast() -> SourceSpec {
    let layer = |ssrc| Layer { ssrc: Some(ssrc), ..Layer::ANY };
    SourceSpec {
        layers: [layer(500), layer(510), layer(520)],
        layer_count: 3,
        ..source(10, 1, SourceKind::Camera, 500)
    }
}

impl Camera {
    fn new(world: &mut World, service: Service) -> Self {
        world.ask(CallCommand::AddSource(simulcast()));
        let spec = ringway_abi::call::RouteSpec { service, ..route(20, 10, 2, VP8, 900) };
        world.ask(CallCommand::AddRoute(spec));
        Self {
            sequences: [10, 20_000, 40_000],
            pictures: [1, 50, 99],
            running: [true; 3],
            key: [true; 3],
            got: Vec::new(),
            highest: 0,
        }
    }

    /// Films for a while. Key frames that the shard asks for come with the next frame.
    fn film(&mut self, world: &mut World, ms: u64) {
        for _ in 0..ms / 40 {
            for rtcp in std::mem::take(&mut world.peer(1).rtcp) {
                for packet in Compound::parse(&rtcp).expect("RTCP").packets() {
                    if let Packet::Pli(pli) = packet {
                        self.key[(pli.media_ssrc as usize - 500) / 10] = true;
                    }
                }
            }
            let timestamp = (world.now.mono_ns / MS * 90) as u32;
            for layer in (0..3).filter(|layer| self.running[*layer]) {
                let key = std::mem::take(&mut self.key[layer]);
                self.pictures[layer] = (self.pictures[layer] + 1) & 0x7fff;
                for packet in 0..PACKETS[layer] {
                    let mut body = vp8(self.pictures[layer], key);
                    if packet > 0 {
                        body[0] &= !0x10;
                    }
                    // What the layer is, where a receiver would not look.
                    body.push(layer as u8);
                    body.resize(FRAME_BYTES[layer], 0);
                    let sequence = self.sequences[layer];
                    self.sequences[layer] = sequence.wrapping_add(1);
                    let ssrc = 500 + 10 * layer as u32;
                    world.send(1, &rtp(VP8, ssrc, sequence, timestamp + ssrc, &body));
                }
            }
            let now_ms = world.now.mono_ns / MS;
            for packet in world.peer(2).take_packets() {
                let view = RtpView::parse(&packet).expect("RTP");
                self.got.push((now_ms, view.payload()[9]));
                self.highest = view.sequence();
            }
            world.pass(40);
        }
    }

    fn layer(&self) -> Option<u8> {
        self.got.last().map(|(_, layer)| *layer)
    }
}

#[test]
fn the_best_layer_there_is_comes_at_once() {
    let mut world = World::connected(2);
    let mut camera = Camera::new(&mut world, ALL);
    camera.running = [true, false, false];
    camera.film(&mut world, 200);
    assert_eq!(camera.layer(), Some(0));
    camera.running[1] = true;
    camera.film(&mut world, 400);
    assert_eq!(camera.layer(), Some(1));
    camera.running[2] = true;
    camera.film(&mut world, 400);
    assert_eq!(camera.layer(), Some(2));
    // And down again when it ends: a silent layer is noticed after a second.
    camera.running[2] = false;
    camera.film(&mut world, 2_400);
    assert_eq!(camera.layer(), Some(1));
}

#[test]
fn a_layer_that_is_asked_for_comes_within_a_second() {
    // What the subscriber's estimates say: nothing; little at first, then slowly more.
    for estimates in [false, true] {
        let mut world = World::connected(2);
        let mut camera = Camera::new(&mut world, Service { max_layer: 0, ..ALL });
        let mut remb_bps = 150_000;
        let mut film = |camera: &mut Camera, world: &mut World, seconds: u32| {
            for _ in 0..seconds {
                camera.film(world, 1_000);
                if estimates {
                    let mut out = [0; 64];
                    let len = write_remb(&mut out, 2, remb_bps, &[900]).expect("room");
                    world.send_rtcp(2, &out[..len]);
                    remb_bps += remb_bps / 12;
                }
            }
        };
        film(&mut camera, &mut world, 3);
        assert_eq!(camera.layer(), Some(0));
        world.ask(CallCommand::SetRoute { route: 20, service: ALL });
        film(&mut camera, &mut world, 1);
        assert_eq!(camera.layer(), Some(2), "estimates: {estimates}");
        // It stays.
        let from = camera.got.len();
        film(&mut camera, &mut world, 8);
        assert!(camera.got[from..].iter().all(|(_, layer)| *layer == 2), "estimates: {estimates}");
    }
}

#[test]
fn an_estimate_that_falls_costs_layers_but_never_all() {
    let mut world = World::connected(2);
    let mut camera = Camera::new(&mut world, ALL);
    let remb = |world: &mut World, bps: u64| {
        let mut out = [0; 64];
        let len = write_remb(&mut out, 2, bps, &[900]).expect("room");
        world.send_rtcp(2, &out[..len]);
    };
    camera.film(&mut world, 2_000);
    remb(&mut world, 1_200_000);
    camera.film(&mut world, 1_000);
    assert_eq!(camera.layer(), Some(2));
    for _ in 0..3 {
        remb(&mut world, 300_000);
        camera.film(&mut world, 1_000);
    }
    assert_eq!(camera.layer(), Some(0));
    let from = camera.got.len();
    camera.film(&mut world, 1_000);
    assert!(camera.got.len() > from + 15, "the lowest layer always passes");
    // Without bad news the layers come back.
    camera.film(&mut world, 15_000);
    assert_eq!(camera.layer(), Some(2));
}

#[test]
fn a_limit_that_is_asked_for_is_kept_until_it_is_taken_away() {
    let mut world = World::connected(2);
    let mut camera = Camera::new(&mut world, ALL);
    camera.film(&mut world, 2_000);
    assert_eq!(camera.layer(), Some(2));
    let bps = Some(600_000);
    world.ask(CallCommand::LimitBandwidth { transport: 2, bps });
    camera.film(&mut world, 3_000);
    assert_eq!(camera.layer(), Some(1));
    let from = camera.got.len();
    camera.film(&mut world, 8_000);
    assert!(camera.got[from..].iter().all(|(_, layer)| *layer < 2), "no attempt goes beyond it");
    // The subscriber's quality tells that it lacks one of them.
    world.events.clear();
    for _ in 0..11 {
        camera.film(&mut world, 1_000);
        report(&mut world, camera.highest.into(), 0);
    }
    let mut lacking = world.events.iter().filter_map(|event| match event {
        CallEvent::Quality { subject: Subject::Route(20), lacking_permille, .. } => {
            Some(*lacking_permille)
        }
        _ => None,
    });
    assert_eq!(lacking.next_back(), Some(1_000));
    world.ask(CallCommand::LimitBandwidth { transport: 2, bps: None });
    camera.film(&mut world, 15_000);
    assert_eq!(camera.layer(), Some(2));
}
