//! Streams that hold several layers, of which just that packet is late or lost which others cannot
//! be understood without.

use ringway_sfu::call::route::Limits;

use crate::layered::Mode;
use crate::layered_call::Call;
use crate::network::Path;

const DESCRIBED: [Mode; 2] =
    [Mode { key_only: false, descriptors: true }, Mode { key_only: true, descriptors: true }];

/// A call that has gone well for a while, its next picture of the lowest rate.
fn begun(seed: u64, mode: Mode, max_layer: u8) -> Call {
    let mut call = Call::new(seed, Path::default(), mode);
    call.route.set_limits(Limits { max_layer, ..Limits::default() });
    pictures(&mut call, 20);
    call
}

fn pictures(call: &mut Call, count: usize) {
    for _ in 0..count {
        call.picture().expect("all is well");
    }
}

/// A picture of which the first packet is not sent yet.
fn begin_late(call: &mut Call) -> Vec<u8> {
    let mut packets = call.begin_picture();
    let first = packets.remove(0);
    call.send_all(packets).expect("all is well");
    call.end_picture().expect("all is well");
    first
}

/// Pictures until another packet is received.
fn pictures_until_fed(call: &mut Call) -> usize {
    let before = call.got.len();
    (0..60)
        .find(|_| {
            pictures(call, 1);
            call.got.len() > before
        })
        .expect("pictures come")
}

#[test]
fn that_layers_ceased_is_also_told_late() {
    for mode in DESCRIBED {
        for seed in 0..20 {
            let mut call = begun(seed, mode, 2);
            call.encoder.set_layers(1);
            let told = begin_late(&mut call);
            pictures(&mut call, 1);
            call.send_all(vec![told]).expect("all is well");
            // Where layers do not need each other the lowest one begins with a key frame.
            assert!(pictures_until_fed(&mut call) < 4, "{mode:?} {seed}");
            pictures(&mut call, 20);
            assert_eq!(call.shown(8), (0, 2), "{mode:?} {seed}");
        }
    }
}

#[test]
fn that_layers_ceased_is_noticed_where_nobody_tells() {
    for mode in DESCRIBED {
        for seed in 0..20 {
            let mut call = begun(seed, mode, 2);
            call.encoder.set_layers(1);
            begin_late(&mut call);
            assert!(pictures_until_fed(&mut call) < 24, "{mode:?} {seed}");
            pictures(&mut call, 20);
            assert_eq!(call.shown(8), (0, 2), "{mode:?} {seed}");
        }
    }
}

#[test]
fn what_was_sent_before_its_structure_came_is_sent_again() {
    for mode in DESCRIBED {
        for (seed, late) in (0..20).zip([1, 2, 3, 5].into_iter().cycle()) {
            let mut call = begun(seed, mode, 0);
            let before = *call.got.keys().next_back().expect("pictures came");
            call.encoder.begin_structure();
            let told = begin_late(&mut call);
            pictures(&mut call, late);
            call.send_all(vec![told]).expect("all is well");
            pictures(&mut call, 8);
            for at in call.got.range(before..).map(|(at, _)| *at) {
                call.repeat_at(at).unwrap_or_else(|error| panic!("{mode:?} {seed}: {error}"));
            }
            assert_eq!(call.shown(4), (0, 2), "{mode:?} {seed}");
            call.end(false).expect("all is well");
        }
    }
}
