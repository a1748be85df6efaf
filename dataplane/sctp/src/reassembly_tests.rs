//! Chunks in all orders, and what comes of them.

use super::*;

const MOST: usize = 1_000;

fn data(flags: u8, stream: u16, ssn: u16, payload: &[u8]) -> Data<'_> {
    Data { flags, tsn: 0, stream, ssn, ppid: 53, payload }
}

fn texts(reassembly: &mut Reassembly) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = reassembly.poll() {
        texts.push(String::from_utf8(message.payload).expect("text"));
    }
    texts
}

const B: u8 = FLAG_BEGIN;
const E: u8 = FLAG_END;
const U: u8 = FLAG_UNORDERED;

#[test]
fn chunks_become_messages() {
    type Row = (u64, u8, u16, u16, &'static str);
    // (TSN, flags, stream, number, payload), and the messages in the order of their delivery.
    let rows: &[(&[Row], &[&str])] = &[
        (&[(1, B | E, 1, 0, "a"), (2, B | E, 1, 1, "b")], &["a", "b"]),
        (&[(2, B | E, 1, 1, "b"), (1, B | E, 1, 0, "a")], &["a", "b"]),
        (&[(2, B | E | U, 1, 0, "b"), (1, B | E, 1, 0, "a")], &["b", "a"]),
        (&[(2, B | E, 2, 0, "b"), (3, B | E, 1, 1, "c"), (1, B | E, 1, 0, "a")], &["b", "a", "c"]),
        (&[(1, B, 1, 0, "a"), (2, 0, 1, 0, "b"), (3, E, 1, 0, "c")], &["abc"]),
        (&[(3, E, 1, 0, "c"), (2, 0, 1, 0, "b"), (1, B, 1, 0, "a")], &["abc"]),
        (&[(1, B, 1, 0, "a"), (3, E, 1, 0, "c"), (2, 0, 1, 0, "b")], &["abc"]),
        (&[(3, E | U, 1, 5, "c"), (1, B | U, 1, 9, "a"), (2, U, 1, 0, "b")], &["abc"]),
        // One message ends where another begins.
        (
            &[(2, E, 1, 0, "b"), (3, B, 1, 1, "c"), (4, E, 1, 1, "d"), (1, B, 1, 0, "a")],
            &["ab", "cd"],
        ),
        // The first was given up midway.
        (&[(1, B | U, 1, 0, "a"), (2, B | U, 1, 0, "b"), (3, E | U, 1, 0, "c")], &["bc"]),
        // Numbers whose turn is over.
        (&[(1, B | E, 1, 0, "a"), (2, B | E, 1, 0, "b"), (3, B | E, 1, 65_535, "c")], &["a"]),
    ];
    for (chunks, expect) in rows {
        let mut reassembly = Reassembly::default();
        for (tsn, flags, stream, ssn, payload) in *chunks {
            let data = data(*flags, *stream, *ssn, payload.as_bytes());
            assert_eq!(reassembly.insert(*tsn, &data, MOST), Ok(()));
        }
        assert_eq!(texts(&mut reassembly), *expect, "{chunks:?}");
        let kept: usize = reassembly.runs.values().map(|run| run.bytes).sum();
        assert_eq!(reassembly.bytes(), kept, "{chunks:?}");
    }
}

#[test]
fn all_orders_of_fragments_give_the_message() {
    let text = "abcdefg";
    let mut order: Vec<usize> = (0..text.len()).collect();
    // Heap's way through all of them.
    let mut counts = [0; 7];
    let mut at = 0;
    while at < order.len() {
        let mut reassembly = Reassembly::default();
        for place in &order {
            let flags = if *place == 0 { B } else { u8::from(*place == text.len() - 1) };
            let payload = &text.as_bytes()[*place..=*place];
            let data = data(flags, 1, 0, payload);
            assert_eq!(reassembly.insert(10 + *place as u64, &data, MOST), Ok(()));
        }
        assert_eq!(texts(&mut reassembly), [text], "{order:?}");
        assert_eq!((reassembly.bytes(), reassembly.chunks()), (0, 0));
        at = counts.iter().zip(0..).position(|(count, at)| *count < at).unwrap_or(order.len());
        if at < order.len() {
            order.swap(at, if at % 2 == 0 { 0 } else { counts[at] });
            counts[at] += 1;
            counts[..at].fill(0);
        }
    }
}

#[test]
fn fragments_that_do_not_fit_are_a_violation() {
    for (flags, stream, ssn) in [(0, 2, 0), (0, 1, 1), (U, 1, 0)] {
        for turned in [false, true] {
            let mut reassembly = Reassembly::default();
            let (first, other) = (data(B, 1, 0, b"a"), data(flags, stream, ssn, b"b"));
            let (one, two) =
                if turned { ((2, other), (1, first)) } else { ((1, first), (2, other)) };
            assert_eq!(reassembly.insert(one.0, &one.1, MOST), Ok(()));
            let found = reassembly.insert(two.0, &two.1, MOST);
            assert_eq!(found, Err(EndReason::Violation), "{flags} {stream} {ssn} {turned}");
        }
    }
    let mut reassembly = Reassembly::default();
    assert_eq!(reassembly.insert(1, &data(B, 1, 0, &[7; 600]), MOST), Ok(()));
    let found = reassembly.insert(2, &data(E, 1, 0, &[7; 600]), MOST);
    assert_eq!(found, Err(EndReason::TooMuch));
}

#[test]
fn what_is_given_up_is_skipped() {
    let mut reassembly = Reassembly::default();
    let chunks = [
        (1, data(B, 1, 0, b"lost")),
        (4, data(B | E, 1, 2, b"c")),
        (6, data(B | E, 1, 4, b"e")),
        (7, data(B, 1, 5, b"f")),
        (8, data(E, 1, 5, b"g")),
    ];
    for (tsn, data) in &chunks {
        assert_eq!(reassembly.insert(*tsn, data, MOST), Ok(()));
    }
    reassembly.forward(3);
    assert_eq!((texts(&mut reassembly), reassembly.bytes()), (vec![], 4));
    reassembly.skip(1, 1);
    assert_eq!(texts(&mut reassembly), ["c"]);
    reassembly.skip(1, 0);
    reassembly.skip(1, 3);
    assert_eq!((texts(&mut reassembly), reassembly.chunks()), (vec!["e".into(), "fg".into()], 0));
    reassembly.skip(9, 65_535);
    assert_eq!(reassembly.insert(9, &data(B | E, 9, 0, b"h"), MOST), Ok(()));
    assert_eq!(texts(&mut reassembly), ["h"]);
}

#[test]
fn streams_begin_at_their_start_again() {
    for ids in [&[1][..], &[1, 7], &[]] {
        let mut reassembly = Reassembly::default();
        for (tsn, ssn) in [(1, 0), (2, 1), (3, 9)] {
            assert_eq!(reassembly.insert(tsn, &data(B | E, 1, ssn, b"a"), MOST), Ok(()));
        }
        assert_eq!(texts(&mut reassembly).len(), 2);
        reassembly.reset(ids);
        assert_eq!(reassembly.bytes(), 0);
        assert_eq!(reassembly.insert(4, &data(B | E, 1, 0, b"b"), MOST), Ok(()));
        assert_eq!(texts(&mut reassembly), ["b"]);
    }
}
