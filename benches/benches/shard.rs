//! dataplane/shard/src/shard.rs: from arrival to runs, in the shapes of the scenarios of `perf/`.
use divan::Bencher;
use ringway_abi::message::Rewrite;
use ringway_benches::street::Street;

fn main() {
    divan::main();
}

const SSRC: Rewrite = Rewrite { ssrc: Some(1), payload_type: None, contiguous: false };

/// A video frame of ten packets to a hundred destinations.
#[divan::bench]
fn video_1x100(bencher: Bencher<'_, '_>) {
    let mut street = Street::new(100, Rewrite::default(), 10, 1200);
    bencher.bench_local(|| street.turn());
}

/// The same, each destination with its own SSRC.
#[divan::bench]
fn video_1x100_rewritten(bencher: Bencher<'_, '_>) {
    let mut street = Street::new(100, SSRC, 10, 1200);
    bencher.bench_local(|| street.turn());
}

/// One audio packet to one destination.
#[divan::bench]
fn audio_1x1(bencher: Bencher<'_, '_>) {
    let mut street = Street::new(1, Rewrite::default(), 1, 160);
    bencher.bench_local(|| street.turn());
}
