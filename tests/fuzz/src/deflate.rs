//! What a client offers, compresses and frames, below the WebSocket library.

use ringway_signal::deflate::{Frames, InflateError, Packed, answer, deflate as compress, inflate};

/// The longest message of this server, bytes.
const BYTES_MAX: usize = 64 * 1024;

/// The bytes as lines of offers, as a compressed message, as one to compress, and as frames:
/// nothing panics, nothing becomes longer than it may, and it does not matter how frames come in.
pub fn deflate(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let agreed = answer(text.lines());
        assert!(agreed.is_none_or(|agreed| answer([agreed]).is_some()), "{agreed:?}");
        assert!(agreed.is_none() || text.contains("permessage-deflate"));
    }
    match inflate(data, BYTES_MAX) {
        Ok(plain) => {
            assert!(plain.len() <= BYTES_MAX);
            assert_eq!(inflate(data, plain.len()).as_ref(), Ok(&plain));
            let less = plain.len().checked_sub(1).map(|less| inflate(data, less));
            assert!(less.is_none_or(|less| less == Err(InflateError::TooLong)));
        }
        Err(_) => assert!(inflate(data, BYTES_MAX / 2).is_err()),
    }
    if let Some(deflated) = compress(data) {
        assert!(deflated.len() < data.len());
        assert!(inflate(&deflated, data.len()).as_deref() == Ok(data));
    }
    frames(data);
}

/// Whole, and in two parts.
fn frames(data: &[u8]) {
    let taken = |at: usize| {
        let (mut bytes, mut frames) = (data.to_vec(), Frames::default());
        let (one, two) = bytes.split_at_mut(at);
        frames.handle_bytes(one);
        frames.handle_bytes(two);
        let messages: Vec<_> = (0..data.len()).map(|_| frames.next_message()).collect();
        (bytes, messages)
    };
    let whole = taken(0);
    let at = data.first().map_or(0, |first| usize::from(*first) % data.len());
    assert!(taken(at) == whole);
    // Nothing but heads of messages is touched.
    let touched = whole.0.iter().zip(data).filter(|(out, from)| out != from);
    let messages = whole.1.iter().filter(|packed| **packed != Packed::No);
    assert_eq!(touched.count(), messages.count());
}
