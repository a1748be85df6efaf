//! Every interleaving and every reordering that the memory model allows, within loom's bounds:
//! `RUSTFLAGS="--cfg loom" cargo test -p ringway-abi --release --test loom`.
#![cfg(loom)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use loom::sync::atomic::{AtomicU64, Ordering};
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

/// Runs `model` in every way; it returns what it saw, and all of `expect` must have been seen: a
/// search that never meets the interesting cases proves nothing.
fn check<const N: usize>(
    expect: [&'static str; N],
    preemption_bound: Option<usize>,
    model: impl Fn() -> &'static str + Sync + Send + 'static,
) {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let see = Arc::clone(&seen);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.check(move || {
        let saw = model();
        see.lock().unwrap().insert(saw);
    });
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from(expect));
}

#[test]
fn messages_arrive_whole_and_in_order_while_slots_are_reused() {
    check(["never full", "full"], Some(3), || {
        let (mut sender, mut receiver) = lane(2);
        let writer = thread::spawn(move || {
            let mut saw = "never full";
            for n in 1..=3 {
                while sender.try_send(&Pair(n)).is_err() {
                    saw = "full";
                    thread::yield_now();
                }
            }
            saw
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
        writer.join().unwrap()
    });
}

/// In loom no load sees a later store, so that a slot overwritten too early does not show by
/// itself. This shows that whatever the receiver did before it gave the slot back, reading it
/// included, is over for the sender that uses the slot again.
#[test]
fn a_slot_is_given_back_after_it_was_read() {
    check(["full", "given back"], None, || {
        let (mut sender, mut receiver) = lane(1);
        let was_read = Arc::new(AtomicU64::new(0));
        let witness = Arc::clone(&was_read);
        sender.try_send(&Pair(1)).unwrap();
        let reader = thread::spawn(move || {
            was_read.store(1, Ordering::Relaxed);
            assert_eq!(receiver.try_receive(), Some(Ok(Pair(1))));
        });
        let saw = match sender.try_send(&Pair(2)) {
            Ok(()) => {
                assert_eq!(witness.load(Ordering::Relaxed), 1);
                "given back"
            }
            Err(_) => "full",
        };
        reader.join().unwrap();
        saw
    });
}

#[test]
fn a_sleeper_is_never_missed() {
    check(["rung for nothing", "rung in sleep", "message seen"], None, || {
        let (mut sender, mut receiver) = lane(2);
        let writer = thread::spawn(move || {
            sender.try_send(&Pair(1)).unwrap();
            sender.reader_sleeps()
        });
        let sleeps = receiver.prepare_sleep();
        let rung = writer.join().unwrap();
        receiver.awake();
        assert_eq!(receiver.try_receive(), Some(Ok(Pair(1))));
        match (sleeps, rung) {
            (true, true) => "rung in sleep",
            (false, true) => "rung for nothing",
            (false, false) => "message seen",
            (true, false) => panic!("the reader sleeps on a message and nobody rings"),
        }
    });
}

#[test]
fn a_page_is_read_whole_or_not_at_all() {
    check(["empty", "torn", "first", "second"], None, || {
        let words = Words::zeroed(page_words(2));
        let shared = words.clone();
        let writer = thread::spawn(move || {
            page::publish(&shared, &[1, !1]);
            page::publish(&shared, &[2, !2]);
        });
        let mut values = [0; 2];
        let saw = match (page::read(&words, &mut values), values) {
            (Ok(()), [1, last]) if last == !1 => "first",
            (Ok(()), [2, last]) if last == !2 => "second",
            (Ok(()), halves) => panic!("{halves:?}"),
            (Err(Unread::Empty), _) => "empty",
            (Err(Unread::Torn), _) => "torn",
        };
        writer.join().unwrap();
        assert_eq!((page::read(&words, &mut values), values), (Ok(()), [2, !2]));
        saw
    });
}

#[test]
fn pages_are_read_in_the_order_of_publishing() {
    check(["neither", "the same", "one after the other"], None, || {
        let words = Words::zeroed(page_words(1));
        let shared = words.clone();
        let writer = thread::spawn(move || {
            page::publish(&shared, &[1]);
            page::publish(&shared, &[2]);
        });
        let (mut first, mut second) = ([0], [0]);
        let read =
            page::read(&words, &mut first).is_ok() && page::read(&words, &mut second).is_ok();
        writer.join().unwrap();
        match second[0].checked_sub(first[0]) {
            _ if !read => "neither",
            Some(0) => "the same",
            Some(_) => "one after the other",
            None => panic!("{first:?} then {second:?}"),
        }
    });
}
