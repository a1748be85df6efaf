//! A lane against a `VecDeque` and a page against a variable, whatever is done in whatever order.
#![cfg(not(loom))]

use std::collections::VecDeque;

use proptest::prelude::*;
use ringway_abi::lane::{Receiver, Sender, lane_words};
use ringway_abi::memory::Words;
use ringway_abi::message::Command;
use ringway_abi::page::{self, Unread, page_words};

#[derive(Clone, Debug)]
enum Step {
    Send(u64),
    Receive,
    Sleep,
    Wake,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u64>().prop_map(Step::Send),
        4 => Just(Step::Receive),
        1 => Just(Step::Sleep),
        1 => Just(Step::Wake),
    ];
    proptest::collection::vec(step, 0..200)
}

fn cases() -> ProptestConfig {
    let cases = if cfg!(miri) { 4 } else { 256 };
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_lane_is_a_bounded_queue(exponent in 0..5u32, steps in steps()) {
        let slots = 1usize << exponent;
        let words = Words::zeroed(lane_words::<Command>(slots));
        let mut sender = Sender::<Command>::new(words.clone());
        let mut receiver = Receiver::<Command>::new(words);
        let mut model = VecDeque::new();
        let mut asleep = false;
        for step in steps {
            match step {
                Step::Send(request) => {
                    let command = Command::Snapshot { request };
                    let sent = sender.try_send(&command).is_ok();
                    prop_assert_eq!(sent, model.len() < slots);
                    if sent {
                        model.push_back(command);
                    }
                }
                Step::Receive => {
                    prop_assert_eq!(receiver.try_receive(), model.pop_front().map(Ok));
                }
                Step::Sleep => {
                    asleep = receiver.prepare_sleep();
                    prop_assert_eq!(asleep, model.is_empty());
                }
                Step::Wake => {
                    receiver.awake();
                    asleep = false;
                }
            }
            prop_assert_eq!(sender.reader_sleeps(), asleep);
        }
    }

    #[test]
    fn a_page_is_its_latest_publishing(
        publishings in proptest::collection::vec(any::<[u64; 5]>(), 0..20),
    ) {
        let words = Words::zeroed(page_words(5));
        let mut values = [0; 5];
        prop_assert_eq!(page::read(&words, &mut values), Err(Unread::Empty));
        for publishing in publishings {
            page::publish(&words, &publishing);
            prop_assert_eq!(page::read(&words, &mut values), Ok(()));
            prop_assert_eq!(values, publishing);
        }
    }
}
