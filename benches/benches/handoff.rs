//! dataplane/shard/src/handoff.rs: a packet is lent to another shard and its buffer comes back.
use divan::{Bencher, black_box};
use ringway_sfu::input::Mark;
use ringway_shard::branch::NIL;
use ringway_shard::egress::Outgoing;
use ringway_shard::handoff::{Loan, Peer};
use ringway_shard::slab::SlotId;

fn main() {
    divan::main();
}

#[divan::bench]
fn lend_and_give_back(bencher: Bencher<'_, '_>) {
    let (mut home, mut other) = Peer::<()>::pair(1024);
    let mark = Mark { epoch: 1, ssrc: 1, sequence: 1, timestamp: 1, now_ns: 1, clock_hz: None };
    let packet = Outgoing {
        pool: 0,
        offset: 0,
        len: 1200,
        head: [0x80; 12],
        octets: 1188,
        mark,
        kernel_ns: 1,
        next: NIL,
    };
    let loan = Loan { branch: SlotId { slot: 0, generation: 1 }, buffer: 7, packet };
    bencher.bench_local(|| {
        assert!(home.lend(black_box(loan)));
        let loan = other.borrowed().expect("a loan");
        other.give_back(loan.buffer);
        home.returned()
    });
}
