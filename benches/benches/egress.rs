//! dataplane/shard/src/egress.rs: one turn, by what destinations have rewritten and how long runs
//! are. Divide by packets times destinations for the cost of a packet.
use divan::Bencher;
use ringway_abi::message::Rewrite;
use ringway_benches::street::Street;

fn main() {
    divan::main();
}

const NONE: Rewrite = Rewrite { ssrc: None, payload_type: None, contiguous: false };
const SSRC: Rewrite = Rewrite { ssrc: Some(1), ..NONE };
const LINE: Rewrite = Rewrite { contiguous: true, ..NONE };

fn turns(bencher: Bencher<'_, '_>, rewrite: Rewrite, packets: u16) {
    let mut street = Street::new(100, rewrite, packets, 1200);
    bencher.bench_local(|| street.turn());
}

#[divan::bench(args = [1, 10, 40])]
fn as_they_came(bencher: Bencher<'_, '_>, packets: u16) {
    turns(bencher, NONE, packets);
}

#[divan::bench(args = [1, 10, 40])]
fn another_ssrc(bencher: Bencher<'_, '_>, packets: u16) {
    turns(bencher, SSRC, packets);
}

#[divan::bench(args = [1, 10, 40])]
fn contiguous(bencher: Bencher<'_, '_>, packets: u16) {
    turns(bencher, LINE, packets);
}
