//! Opus payloads (RFC 6716, RFC 7587): silence.

/// A frame of 20 ms of silence, mono, CELT full band: what is sent where a source falls silent and
/// its last sound must not be drawn out by concealment.
pub const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// Whether `payload` is the mark of discontinuous transmission: RFC 6716 section 3.2.1 lets a frame
/// of at most one octet behind the table-of-contents octet mean "nothing to decode".
#[inline]
pub const fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= 2
}
