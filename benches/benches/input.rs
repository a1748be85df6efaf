//! dataplane/sfu/src/input.rs
use divan::{Bencher, black_box};
use ringway_benches::stream;
use ringway_sfu::admission::{Origin, Policy};
use ringway_sfu::input::Input;
use ringway_wire::RtpView;

fn main() {
    divan::main();
}

#[divan::bench]
fn handle_rtp(bencher: Bencher<'_, '_>) {
    let origin = Origin::Latch { silence_ns: 1_000_000_000 };
    let mut input = Input::new(Policy { origin, ssrc: None });
    let from = "198.51.100.1:4000".parse().expect("an address");
    let mut packet = stream::packet(0, 0, 160);
    let mut n = 0_u32;
    bencher.bench_local(|| {
        n = n.wrapping_add(1);
        packet[2..4].copy_from_slice(&(n as u16).to_be_bytes());
        packet[4..8].copy_from_slice(&n.wrapping_mul(160).to_be_bytes());
        let view = RtpView::parse(black_box(&packet)).expect("a packet");
        input.handle_rtp(u64::from(n) * 20_000_000, from, &view, packet.len())
    });
}
