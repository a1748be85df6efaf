//! dataplane/abi/src/lane.rs
use divan::{Bencher, black_box};
use ringway_abi::lane::{Receiver, Sender, lane_words};
use ringway_abi::memory::Words;
use ringway_abi::message::{Command, DestinationSpec, Rewrite};

fn main() {
    divan::main();
}

/// One message there: written, checked and read.
#[divan::bench]
fn send_and_receive(bencher: Bencher<'_, '_>) {
    let words = Words::zeroed(lane_words::<Command>(64));
    let mut sender = Sender::<Command>::new(words.clone());
    let mut receiver = Receiver::<Command>::new(words);
    let address = "203.0.113.1:6000".parse().expect("an address");
    let rewrite = Rewrite::default();
    let spec = DestinationSpec { key: 1, shard: 0, rtp: address, rtcp: address, rewrite };
    let command = Command::AddDestination { request: 1, forward: 1, spec };
    bencher.bench_local(|| {
        sender.try_send(black_box(&command)).expect("room");
        receiver.try_receive().expect("a message").expect("a valid one")
    });
}

#[divan::bench]
fn look_at_an_empty_lane(bencher: Bencher<'_, '_>) {
    let mut receiver = Receiver::<Command>::new(Words::zeroed(lane_words::<Command>(64)));
    bencher.bench_local(|| receiver.try_receive().is_none());
}
