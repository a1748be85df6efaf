//! What a packet costs per route. Not a test: it prints. Run it with
//! `cargo test --release -p ringway-sfu --test calls -- --ignored --nocapture cost`.

use std::hint::black_box;
use std::time::Instant;

use ringway_sfu::call::dress::{Dress, MAX_HEAD_BYTES, Stamp};
use ringway_sfu::call::route::{Decision, Limits, Route};
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_wire::extension::{ExtensionKind, ExtensionMap};
use ringway_wire::payload::Codec;
use ringway_wire::rtp::RtpView;

use crate::network::Dice;
use crate::publisher::{CLOCK_HZ, Encoder, FRAME_NS};

const ROUTES: usize = 2000;
const FRAMES: u64 = 400;

/// Nanoseconds per route and packet, of decisions alone and with heads written.
fn measure(max_temporal: u8, write: bool) -> (f64, u64) {
    let mut dice = Dice::new(3);
    let mut encoder = Encoder::new(&mut dice, 0);
    let mut source = Source::new(SourceKind::Camera, 1);
    source.bind(0, Some(encoder.ssrc), None);
    let limits = Limits { max_temporal, ..Limits::default() };
    let mut routes: Vec<Route> = (0..ROUTES).map(|_| Route::new(true, limits)).collect();
    let mut extensions = ExtensionMap::default();
    extensions.insert(3, ExtensionKind::AbsSendTime);
    extensions.insert(4, ExtensionKind::Mid);
    let dress = Dress { ssrc: 77, payload_type: 100, ..Dress::default() };
    let stamp = Stamp::default();
    let mut out = [0; MAX_HEAD_BYTES];
    let mut decisions = 0;
    let mut sent = 0;
    let begun = Instant::now();
    for frame in 1..=FRAMES {
        for bytes in encoder.encode(&mut dice, frame * FRAME_NS) {
            let view = RtpView::parse(&bytes).expect("valid");
            let format = (Codec::Vp8, CLOCK_HZ);
            let prepared = source.prepare(frame * FRAME_NS, 0, &view, &extensions, format, false);
            let Ok((prepared, news)) = prepared else { continue };
            for route in &mut routes {
                if news {
                    route.set_live(1);
                }
                if let Decision::Send(one) = black_box(route.offer(black_box(&prepared))) {
                    sent += 1;
                    if write {
                        black_box(dress.write(
                            &prepared,
                            &bytes,
                            &one,
                            &extensions,
                            &stamp,
                            &mut out,
                        ));
                    }
                }
                decisions += 1;
            }
        }
    }
    (begun.elapsed().as_nanos() as f64 / decisions as f64, sent)
}

#[test]
#[ignore = "prints figures, asserts nothing"]
fn cost() {
    println!("route state: {} octets", std::mem::size_of::<Route>());
    for (what, max_temporal, write) in [
        ("all layers, decision", 2, false),
        ("base layer, decision", 0, false),
        ("all layers, decision and head", 2, true),
    ] {
        let (ns, sent) = measure(max_temporal, write);
        println!("{what}: {ns:.1} ns per route and packet, {sent} sent");
    }
}
