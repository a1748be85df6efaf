//! Requests and answers.

use super::*;

const LIMITS: Limits = Limits { cumulative: (1 << 32) + 50, streams: 100, again_ns: 1_000 };

fn request(sequence: u32, last_tsn: u32, ids: &[u16]) -> Vec<u8> {
    let mut out = Vec::new();
    put_parameter(&mut out, OUTGOING_RESET, |out| {
        for word in [sequence, 0, last_tsn] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        ids.iter().for_each(|id| out.extend_from_slice(&id.to_be_bytes()));
    });
    out
}

fn response(sequence: u32, result: u32) -> Vec<u8> {
    let mut out = Vec::new();
    respond(&mut out, sequence, result);
    out[4..].to_vec()
}

/// The result that is told to the peer, and what comes of it.
fn take(resets: &mut Resets, body: &[u8]) -> (Option<u32>, Vec<Outcome>) {
    let (mut out, mut outcomes) = (Vec::new(), Vec::new());
    resets.handle_chunk(body, LIMITS, &mut out, &mut outcomes);
    (long(&out, 12), outcomes)
}

#[test]
fn requests_are_answered() {
    let mut resets = Resets::new(1, u32::MAX);
    let reset = |ids: &[u16]| vec![Outcome::Reset(ids.to_vec())];
    for (name, body, result, expect) in [
        ("the first", request(u32::MAX, 50, &[5, 3, 5]), Some(PERFORMED), reset(&[3, 5])),
        ("again", request(u32::MAX, 50, &[5, 3]), Some(PERFORMED), vec![]),
        ("one too many", request(1, 50, &[3]), Some(BAD_SEQUENCE), vec![]),
        ("all", request(0, 50, &[]), Some(PERFORMED), reset(&[])),
        ("not ours", request(1, 50, &[100]), Some(DENIED), vec![]),
        ("not ours, again", request(1, 50, &[100]), Some(DENIED), vec![]),
        ("too short", request(2, 50, &[])[..12].to_vec(), None, vec![]),
        ("too early", request(2, 52, &[3]), Some(IN_PROGRESS), vec![]),
        ("too early, again", request(2, 52, &[3]), Some(IN_PROGRESS), vec![]),
    ] {
        assert_eq!(take(&mut resets, &body), (result, expect), "{name}");
    }
    assert!(resets.defers((1 << 32) + 53, 3) && !resets.defers((1 << 32) + 53, 4));
    assert!(!resets.defers((1 << 32) + 52, 3));
    let mut out = Vec::new();
    assert_eq!(resets.handle_progress((1 << 32) + 51, &mut out), None);
    let found = resets.handle_progress((1 << 32) + 52, &mut out);
    assert_eq!((found, long(&out, 12)), (Some(Outcome::Reset(vec![3])), Some(PERFORMED)));
    assert_eq!(take(&mut resets, &request(2, 52, &[3])), (Some(PERFORMED), vec![]));
    // What we do not do is denied.
    for (sequence, name) in [(3, INCOMING_RESET), (4, ASSOCIATION_RESET), (5, ADD_OUTGOING)] {
        let mut body = Vec::new();
        put_parameter(&mut body, name, |out| {
            out.extend_from_slice(&u32::to_be_bytes(sequence));
            out.extend_from_slice(&[0; 4]);
        });
        assert_eq!(take(&mut resets, &body), (Some(DENIED), vec![]), "{name}");
    }
}

#[test]
fn ours_are_repeated_until_they_are_answered() {
    let mut resets = Resets::new(7, 1);
    [3, 5, 3, 9].into_iter().for_each(|id| resets.want(id));
    resets.ask(99, 10, |id| id != 9);
    assert!(resets.is_due() && !resets.is_waiting());
    let mut out = Vec::new();
    resets.write(&mut out, 0, 100, 300);
    assert_eq!(out.len(), resets.bytes());
    assert_eq!((long(&out, 8), long(&out, 16), short(&out, 20)), (Some(7), Some(99), Some(3)));
    for (now_ns, again_ns) in [(100, 300), (300, 600), (600, 900)] {
        assert_eq!(resets.deadline(), Some(now_ns));
        assert!(!resets.handle_timeout(now_ns - 1) && resets.handle_timeout(now_ns));
        let first = out.clone();
        out.clear();
        resets.write(&mut out, now_ns, 100, 300);
        assert_eq!((resets.deadline(), &first), (Some(again_ns), &out));
    }
    assert_eq!(take(&mut resets, &response(8, PERFORMED)), (None, vec![]));
    assert_eq!(take(&mut resets, &response(7, IN_PROGRESS)), (None, vec![]));
    assert_eq!(resets.deadline(), Some(LIMITS.again_ns));
    let streams = vec![3, 5];
    let found = take(&mut resets, &response(7, PERFORMED));
    assert_eq!(found, (None, vec![Outcome::Answered { streams, reset: true }]));
    assert!(resets.is_waiting());
    resets.ask(99, 10, |_| true);
    let streams = vec![9];
    let found = take(&mut resets, &response(8, DENIED));
    assert_eq!(found, (None, vec![Outcome::Answered { streams, reset: false }]));
    assert_eq!((resets.deadline(), resets.is_due()), (None, false));
}
