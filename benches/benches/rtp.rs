//! dataplane/wire/src/rtp.rs
use divan::{Bencher, black_box};
use ringway_benches::stream;
use ringway_wire::RtpView;

fn main() {
    divan::main();
}

/// The fields that forwarding reads.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let packet = stream::packet(1, 2, 1200);
    bencher.bench(|| {
        let view = RtpView::parse(black_box(&packet)).expect("a packet");
        (view.sequence(), view.timestamp(), view.ssrc(), view.payload_range().len())
    });
}

#[divan::bench]
fn refuse(bencher: Bencher<'_, '_>) {
    let mut packet = stream::packet(1, 2, 1200);
    packet[0] = 0xbf;
    bencher.bench(|| RtpView::parse(black_box(&packet)).is_err());
}
