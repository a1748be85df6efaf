//! PROXY headers: what is read of a socket is the header's, and never more than it may have.

use ringway_wire::proxy::{Header, MAX_BYTES};

/// Reads `data` as a socket is read: only as many octets as are surely the header's.
pub fn proxy(data: &[u8]) {
    let mut len = 0;
    while let Some(bytes) = data.get(..len) {
        match Header::read(bytes) {
            Ok(Header::Needs(more)) => {
                assert!(more > 0 && len + more <= MAX_BYTES, "{len} {more}");
                len += more;
            }
            Ok(Header::Whole { client }) => {
                assert!(bytes.starts_with(b"PROXY ") || bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
                assert!(bytes.len() >= 15 && client.is_none_or(|_| bytes.len() >= 22));
                return;
            }
            Err(_) => return,
        }
    }
}
