//! What LiveKit's clients append to the last packet of a video frame: times, numbers and words of
//! applications (LiveKit's `PacketTrailerFeature`). Its end says what it is and how long it is.

/// The last octets of a trailer.
const MAGIC: [u8; 4] = *b"LKTS";
/// The length before them is written inverted, so that no start code comes about by it.
const INVERTED: u8 = 0xff;
/// Length and magic: no trailer is shorter.
const LEAST_BYTES: usize = 1 + MAGIC.len();

/// The payload of a frame's last packet without its trailer, if it has one. A trailer that is
/// longer than the payload is none.
pub fn without_trailer(payload: &[u8]) -> &[u8] {
    let Some((front, [length, magic @ ..])) = payload.split_last_chunk::<LEAST_BYTES>() else {
        return payload;
    };
    let length = usize::from(length ^ INVERTED);
    if *magic != MAGIC || length < LEAST_BYTES {
        return payload;
    }
    let rest = (front.len() + LEAST_BYTES).checked_sub(length);
    rest.and_then(|rest| payload.get(..rest)).unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(length: u8, magic: &[u8]) -> Vec<u8> {
        [&b"picture"[..], &[1, 2, 3, length ^ 0xff], magic].concat()
    }

    #[test]
    fn trailers_are_cut_off() {
        assert_eq!(without_trailer(&with(8, b"LKTS")), b"picture");
        assert_eq!(without_trailer(&with(5, b"LKTS")), b"picture\x01\x02\x03");
        // The whole of it.
        assert_eq!(without_trailer(&with(15, b"LKTS")), b"");
        for none in [with(4, b"LKTS"), with(0, b"LKTS"), with(16, b"LKTS"), with(8, b"LKTs")] {
            assert_eq!(without_trailer(&none), none);
        }
        for short in [&b""[..], b"LKTS", b"KTS"] {
            assert_eq!(without_trailer(short), short);
        }
    }
}
