//! Opus payloads (RFC 6716, RFC 7587): silence.

/// A frame of 20 ms of silence, mono, CELT full band: what is sent where a source falls silent and
/// its last sound must not be drawn out by concealment. Three octets would do; receivers of
/// encrypted sound take nothing in the clear but exactly these.
pub const SILENCE: [u8; 80] = {
    let mut frame = [0; 80];
    (frame[0], frame[1], frame[2]) = (0xf8, 0xff, 0xfe);
    frame
};

/// Whether `payload` is the mark of discontinuous transmission: RFC 6716 section 3.2.1 lets a frame
/// of at most one octet behind the table-of-contents octet mean "nothing to decode".
#[inline]
pub const fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= 2
}
