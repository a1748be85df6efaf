//! dataplane/wire/src/sniff.rs
use divan::{Bencher, black_box};
use ringway_benches::stream;
use ringway_wire::sniff::sniff;

fn main() {
    divan::main();
}

#[divan::bench]
fn rtp(bencher: Bencher<'_, '_>) {
    let packet = stream::packet(1, 2, 1200);
    bencher.bench(|| sniff(black_box(&packet)));
}
