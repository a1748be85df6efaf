//! dataplane/abi/src/latency.rs
use divan::{Bencher, black_box};
use ringway_abi::latency::latency_histogram;

fn main() {
    divan::main();
}

#[divan::bench]
fn record(bencher: Bencher<'_, '_>) {
    let mut histogram = latency_histogram();
    let mut ns = 1_u64;
    bencher.bench_local(|| {
        ns = ns.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        histogram.saturating_record_n(black_box(ns >> 44), 100);
    });
}
