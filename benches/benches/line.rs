//! dataplane/sfu/src/line.rs
use divan::{Bencher, black_box};
use ringway_sfu::input::Mark;
use ringway_sfu::line::Line;

fn main() {
    divan::main();
}

#[divan::bench]
fn follow(bencher: Bencher<'_, '_>) {
    let mut line = Line::default();
    let mut n = 0_u32;
    bencher.bench_local(|| {
        n = n.wrapping_add(1);
        let mark = Mark {
            epoch: 1,
            ssrc: 1,
            sequence: n as u16,
            timestamp: n.wrapping_mul(160),
            now_ns: u64::from(n) * 20_000_000,
            clock_hz: Some(8_000),
        };
        line.follow(black_box(&mark))
    });
}
