//! dataplane/abi/src/page.rs
use std::sync::atomic::AtomicU64;

use divan::{Bencher, black_box};
use ringway_abi::counters::Counter;
use ringway_abi::page;

fn main() {
    divan::main();
}

fn counters() -> Vec<AtomicU64> {
    (0..page::page_words(Counter::COUNT)).map(|_| AtomicU64::new(0)).collect()
}

#[divan::bench]
fn publish_counters(bencher: Bencher<'_, '_>) {
    let page = counters();
    let values = [7; Counter::COUNT];
    bencher.bench_local(|| page::publish(&page, black_box(&values)));
}

#[divan::bench]
fn read_counters(bencher: Bencher<'_, '_>) {
    let page = counters();
    let mut values = [7; Counter::COUNT];
    page::publish(&page, &values);
    bencher.bench_local(|| page::read(black_box(&page), &mut values));
}
