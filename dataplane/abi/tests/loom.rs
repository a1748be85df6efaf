//! Every interleaving and every reordering that the memory model allows, within loom's bounds:
//! `RUSTFLAGS="--cfg loom" cargo test -p ringway-abi --release --test loom`.
#![cfg(loom)]

use loom::thread;
use ringway_abi::lane::{Invalid, Message, Receiver, Sender, lane_words};
use ringway_abi::memory::Words;
use ringway_abi::page::{self, Unread, page_words};

/// Two words that must arrive together.
#[derive(Debug, PartialEq)]
struct Pair(u64);

impl Message for Pair {
    const WORDS: usize = 2;

    fn to_words(&self, words: &mut [u64]) {
        words.copy_from_slice(&[self.0, !self.0]);
    }

    fn from_words(words: &[u64]) -> Result<Self, Invalid> {
        if words[1] == !words[0] { Ok(Pair(words[0])) } else { Err(Invalid::Archive) }
    }
}

fn lane(slots: usize) -> (Sender<Pair>, Receiver<Pair>) {
    let words = Words::zeroed(lane_words::<Pair>(slots));
    (Sender::new(words.clone()), Receiver::new(words))
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three switches that the threads do not ask for find all known mistakes of rings and seqlocks;
    // without a bound the search does not end.
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn messages_arrive_whole_and_in_order_while_slots_are_reused() {
    check(|| {
        let (mut sender, mut receiver) = lane(2);
        let writer = thread::spawn(move || {
            for n in 1..=3 {
                while sender.try_send(&Pair(n)).is_err() {
                    thread::yield_now();
                }
            }
        });
        for n in 1..=3 {
            let message = loop {
                match receiver.try_receive() {
                    Some(message) => break message,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(message, Ok(Pair(n)));
        }
        assert!(receiver.try_receive().is_none());
        writer.join().unwrap();
    });
}

#[test]
fn a_sleeper_is_never_missed() {
    check(|| {
        let (mut sender, mut receiver) = lane(2);
        let writer = thread::spawn(move || {
            sender.try_send(&Pair(1)).unwrap();
            sender.reader_sleeps()
        });
        let sleeps = receiver.prepare_sleep();
        let rung = writer.join().unwrap();
        // Asleep without a message in sight: then the writer must have seen it and rings.
        assert!(!sleeps || rung, "the reader sleeps on a message and nobody rings");
        receiver.awake();
        assert_eq!(receiver.try_receive(), Some(Ok(Pair(1))));
    });
}

#[test]
fn a_page_is_read_whole_or_not_at_all() {
    check(|| {
        let words = Words::zeroed(page_words(2));
        let shared = words.clone();
        let writer = thread::spawn(move || {
            page::publish(&shared, &[1, !1]);
            page::publish(&shared, &[2, !2]);
        });
        let mut values = [0; 2];
        match page::read(&words, &mut values) {
            Ok(()) => assert_eq!(values[1], !values[0]),
            Err(Unread::Empty | Unread::Torn) => {}
        }
        writer.join().unwrap();
        assert_eq!((page::read(&words, &mut values), values), (Ok(()), [2, !2]));
    });
}

#[test]
fn pages_are_read_in_the_order_of_publishing() {
    check(|| {
        let words = Words::zeroed(page_words(1));
        let shared = words.clone();
        let writer = thread::spawn(move || {
            page::publish(&shared, &[1]);
            page::publish(&shared, &[2]);
        });
        let (mut first, mut second) = ([0], [0]);
        if page::read(&words, &mut first).is_ok() && page::read(&words, &mut second).is_ok() {
            assert!(second >= first, "{first:?} then {second:?}");
        }
        writer.join().unwrap();
    });
}
