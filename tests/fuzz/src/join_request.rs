//! What a client says when it comes, before anybody knows who it is.

use ringway_signal::join::{Join, JoinError, decode_request, unwrap_request};
use ringway_signal::proto::WrappedJoinRequest;

/// The bytes as base64url of a wrapped request, as a query, and as a request behind each kind of
/// wrapping: nothing panics, and `/rtc/v1` takes nothing but a request.
pub fn join_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Only that it ends, and how fast.
    let _ = decode_request(&text);
    let fields: Vec<(&str, &str)> =
        text.split('&').filter_map(|field| field.split_once('=')).collect();
    for (needs_request, strict) in [(false, false), (false, true), (true, false)] {
        let read = Join::from_query(fields.iter().copied(), needs_request, strict);
        assert!(!needs_request || read.map_or(true, |join| join.single));
    }
    for compression in 0..3 {
        let wrapped = WrappedJoinRequest { compression, join_request: data.to_vec() };
        let unwrapped = unwrap_request(wrapped);
        assert!(compression < 2 || unwrapped == Err(JoinError::Compression));
    }
}
