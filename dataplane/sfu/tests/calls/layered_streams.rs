//! Streams that hold several layers, under every condition that a seed can think of: what a
//! subscriber receives is contiguous and can be decoded.

use proptest::prelude::*;
use ringway_sfu::call::route::Limits;

use crate::layered::Mode;
use crate::layered_call::Call;
use crate::network::Path;
use crate::publisher::FRAME_NS;
use crate::streams::cases;

const MODES: [Mode; 4] = [
    Mode { key_only: false, descriptors: true },
    Mode { key_only: true, descriptors: true },
    Mode { key_only: false, descriptors: false },
    Mode { key_only: true, descriptors: false },
];

/// What a seed thinks of: how bad the path is, and how often something else changes.
#[derive(Clone, Copy, Debug)]
struct Weather {
    path: Path,
    /// Two pictures have so many chances to nothing between them.
    calm: u64,
    pictures: u32,
}

/// Something that happens between two pictures.
fn happen(call: &mut Call, calm: u64) {
    match call.dice.roll(calm + 4) {
        0 | 1 => {
            let limits = Limits {
                max_layer: call.dice.roll(3) as u8,
                affordable_layer: 1 + call.dice.roll(3) as u8,
                max_temporal: call.dice.roll(3) as u8,
            };
            call.route.set_limits(limits);
        }
        2 => {
            let layers = 1 + call.dice.roll(3) as usize;
            call.encoder.set_layers(layers);
        }
        3 => call.set_unwanted(!call.route.pause().unwanted),
        _ => {}
    }
}

fn begin(seed: u64, weather: Weather, mode: Mode) -> Result<Call, String> {
    let mut call = Call::new(seed, weather.path, mode);
    for _ in 0..weather.pictures {
        happen(&mut call, weather.calm);
        call.picture()?;
    }
    Ok(call)
}

fn run(seed: u64, weather: Weather, mode: Mode) -> Result<(), String> {
    begin(seed, weather, mode)?.end(false).map(drop)
}

fn run_without_loss(seed: u64, weather: Weather, mode: Mode) -> Result<(), String> {
    begin(seed, Weather { path: Path::default(), ..weather }, mode)?.end(true).map(drop)
}

/// The path gets well: pictures come again, and once the receiver has asked for a key frame, as it
/// does where it lacks something, all that it wants.
fn recover(seed: u64, weather: Weather, mode: Mode) -> Result<(), String> {
    let mut call = begin(seed, weather, mode)?;
    call.network.set_path(Path::default());
    call.network.settle();
    call.set_unwanted(false);
    let limits = call.route.limits();
    let layers = call.encoder.layers() as u8;
    let before = call.got.len();
    for _ in 0..50 {
        call.picture()?;
    }
    let count = call.got.len() - before;
    if count < 10 {
        return Err(format!("{count} packets in 50 pictures, {limits:?} of {layers}"));
    }
    call.encoder.key_wanted = true;
    for _ in 0..40 {
        call.picture()?;
    }
    let wanted = limits.max_layer.min(limits.affordable_layer).min(layers - 1);
    let wanted = (wanted, limits.max_temporal.min(2));
    let shown = call.shown(8);
    if shown == wanted { Ok(()) } else { Err(format!("shown are {shown:?}, not {wanted:?}")) }
}

fn weather() -> impl Strategy<Value = Weather> {
    let path = (0u64..21, 0u64..101, 0u64..30, 0u64..10);
    (path, 5u64..60, 10u32..50).prop_map(|((loss, repair, reorder, double), calm, pictures)| {
        Weather { path: Path { loss, repair, reorder, double }, calm, pictures }
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn layers_of_one_stream_are_contiguous_and_decodable(
        seed in any::<u64>(),
        mode in 0usize..4,
        weather in weather(),
    ) {
        run(seed, weather, MODES[mode]).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn when_a_path_gets_well_pictures_come_again(
        seed in any::<u64>(),
        mode in 0usize..4,
        weather in weather(),
    ) {
        recover(seed, weather, MODES[mode]).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn without_loss_pictures_are_whole(
        seed in any::<u64>(),
        mode in 0usize..4,
        weather in weather(),
    ) {
        run_without_loss(seed, weather, MODES[mode]).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_failed_once_does_not_again() {
    let check = |seed, mode, [loss, repair, reorder, double]: [u64; 4], calm, pictures| {
        let path = Path { loss, repair, reorder, double };
        let weather = Weather { path, calm, pictures };
        for (what, result) in [
            ("a run", run(seed, weather, MODES[mode])),
            ("a recovery", recover(seed, weather, MODES[mode])),
        ] {
            result.unwrap_or_else(|error| panic!("{what} with seed {seed}: {error}"));
        }
    };
    // A frame was sent that needs one left out: a packet of one left out came behind a pause.
    check(12_068_288_947_982_393_738, 0, [5, 61, 14, 1], 12, 10);
    // The same, behind a pause before the key frame.
    check(14_149_921_145_777_764_574, 0, [13, 85, 2, 1], 27, 12);
    // The same, behind a key frame with another structure.
    check(17_939_393_935_740_752_490, 1, [19, 39, 11, 5], 5, 24);
    // The same, behind two key frames with other structures.
    check(1_440_065_680_688_613_805, 0, [16, 96, 14, 4], 23, 47);
    // The same, as the packet that told of other layers was late.
    check(2_408_087_669_379_529_961, 0, [20, 99, 8, 3], 23, 34);
    check(4_525_273_124_063_028_915, 0, [18, 56, 22, 8], 5, 38);
    check(3_285_438_738_154_468_753, 1, [19, 18, 1, 8], 41, 48);
    check(4_978_754_694_334_695_210, 1, [18, 73, 18, 8], 24, 30);
    // No picture ever again: that layers ceased was told late, or not at all.
    check(1_808_788_665_775_425_630, 1, [16, 75, 1, 9], 17, 13);
    check(4_279_751_443_721_423_850, 1, [3, 46, 29, 9], 49, 16);
    // What was sent came again as padding.
    check(4_542_860_499_869_167_533, 0, [8, 30, 8, 1], 9, 17);
}

#[test]
fn a_receiver_gets_the_layers_that_it_wants() {
    for mode in MODES {
        let mut call = Call::new(7, Path::default(), mode);
        for (max_layer, max_temporal) in [(2, 2), (0, 2), (1, 0), (2, 0), (2, 2), (0, 0), (1, 1)] {
            call.route.set_limits(Limits { max_layer, max_temporal, ..Limits::default() });
            for _ in 0..60 {
                call.picture().expect("all is well");
            }
            let shown = call.shown(8);
            assert_eq!(shown, (max_layer, max_temporal), "{mode:?}");
            assert_eq!(call.route.layer(), Some(max_layer));
            assert!(!call.route.waits(), "{mode:?} {max_layer}");
        }
        // The publisher sends less, and more again.
        call.route.set_limits(Limits::default());
        for layers in [3, 1, 2, 3] {
            call.encoder.set_layers(layers);
            for _ in 0..60 {
                call.picture().expect("all is well");
            }
            assert_eq!(call.shown(8), (layers as u8 - 1, 2), "{mode:?}");
            assert_eq!(call.encoder.layers(), layers);
        }
        call.end(true).expect("all is well");
    }
}

#[test]
fn malformed_descriptors_are_counted_and_harm_nobody() {
    let mut call = Call::new(9, Path::default(), MODES[0]);
    let mut bad = 0;
    for picture in 0..200 {
        call.now_ns += FRAME_NS;
        let mut packets = call.encoder.encode(&mut call.dice, call.now_ns);
        if picture % 10 == 9 {
            // The last packet's descriptor is cut to nothing that can be read.
            let at = packets.len() - 1;
            packets[at][17] = 2;
            bad += 1;
        }
        for packet in packets {
            call.network.send(&mut call.dice, packet);
            call.arrive().expect("all is well");
        }
    }
    assert_eq!(call.source.layers()[0].counts.malformed, bad);
    assert!(call.got.len() > 600, "{}", call.got.len());
}
