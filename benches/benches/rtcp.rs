//! dataplane/wire/src/rtcp.rs
use divan::{Bencher, black_box};
use ringway_wire::rtcp::{Compound, SenderReport, write};

fn main() {
    divan::main();
}

#[divan::bench]
fn parse_and_walk(bencher: Bencher<'_, '_>) {
    let mut out = [0; 128];
    let report = SenderReport { ssrc: 1, ..SenderReport::default() };
    let mut len = write::write_sender_report(&mut out, &report, &[]).expect("room");
    len += write::write_sdes_cname(&mut out[len..], 1, b"name@host").expect("room");
    bencher.bench(|| {
        let compound = Compound::parse(black_box(&out[..len])).expect("a compound");
        compound.packets().count()
    });
}

#[divan::bench]
fn write_report(bencher: Bencher<'_, '_>) {
    let report = SenderReport { ssrc: 1, ..SenderReport::default() };
    let mut out = [0; 128];
    bencher.bench_local(|| write::write_sender_report(&mut out, black_box(&report), &[]));
}
