//! dataplane/wire/src/rtp_rewrite.rs
use divan::{Bencher, black_box};
use ringway_wire::HeaderRewrite;

fn main() {
    divan::main();
}

#[divan::bench]
fn copy(bencher: Bencher<'_, '_>) {
    let rewrite = HeaderRewrite {
        ssrc: Some(1),
        payload_type: Some(2),
        sequence_delta: 3,
        timestamp_delta: 4,
    };
    let header = [0x80; 12];
    bencher.bench(|| black_box(&rewrite).copy(black_box(&header)));
}
