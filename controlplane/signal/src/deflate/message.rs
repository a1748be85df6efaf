//! One message, compressed and back.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Messages that are shorter stay as they are, bytes. Lower: time is spent where a packet is sent
/// all the same; higher: what could be half as long is not.
pub const DEFLATE_BYTES_MIN: usize = 256;

/// What ends a message and is not sent: the length of an empty block without compression.
const MARK: &[u8] = &[0, 0, 0xff, 0xff];
/// The same and one more such block, the last of all: what does not end there is not whole.
const END: &[u8] = &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

/// Room for a message that is inflated, in terms of what it came as, before more is made.
const FIRST_ROOM: usize = 4;
/// The least room, bytes.
const ROOM_MIN: usize = 1024;

thread_local! {
    // Hundreds of KiB and tens of KiB. Nothing stays in them from one message to the next.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// Why a message cannot be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It would be longer than any may be.
    #[error("the message is too long when it is inflated")]
    TooLong,
    /// It is not DEFLATE (RFC 1951), or not all of it.
    #[error("the message is not DEFLATE")]
    Corrupt,
}

/// Compresses a message: the payload of frames with RSV1. `None` where nothing would be gained.
pub fn deflate(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() < DEFLATE_BYTES_MIN {
        return None;
    }
    let mut deflated = vec![0; plain.len()];
    COMPRESS.with_borrow_mut(|state| {
        state.reset();
        // An error only says that nothing could be done.
        state.compress(plain, &mut deflated, FlushCompress::Sync).ok()?;
        // Where no room is left there may be more to come.
        let whole = state.total_in() == plain.len() as u64;
        let written = usize::try_from(state.total_out()).ok()?;
        (whole && written < deflated.len()).then(|| deflated.truncate(written))
    })?;
    // RFC 7692 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
    deflated.truncate(deflated.strip_suffix(MARK)?.len());
    deflated.shrink_to_fit();
    Some(deflated)
}

/// Inflates the payload of a compressed message. What it says never has room for more than
/// `bytes_max`.
///
/// # Errors
/// It would be longer, or is not DEFLATE. It must be whole, as at LiveKit; and nothing may follow a
/// block that says that it is the last one, but for what RFC 7692 7.2.3.4 puts there.
pub fn inflate(deflated: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    let mut plain = Vec::new();
    DECOMPRESS.with_borrow_mut(|state| {
        state.reset(false);
        let room = deflated.len().saturating_mul(FIRST_ROOM).max(ROOM_MIN);
        match advance(state, deflated, &mut plain, room, bytes_max)? {
            Some([] | [0]) => Ok(()),
            Some(_) => Err(InflateError::Corrupt),
            // RFC 7692 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end".
            None => match advance(state, END, &mut plain, room, bytes_max)? {
                Some([]) => Ok(()),
                _ => Err(InflateError::Corrupt),
            },
        }
    })?;
    Ok(plain)
}

/// Inflates all of `deflated`: what follows its last block, or `None` if there was none yet.
fn advance<'a>(
    state: &mut Decompress,
    mut deflated: &'a [u8],
    plain: &mut Vec<u8>,
    room: usize,
    bytes_max: usize,
) -> Result<Option<&'a [u8]>, InflateError> {
    loop {
        let start = plain.len();
        let more = room.max(start).min(bytes_max - start);
        plain.reserve_exact(more);
        plain.resize(start + more, 0);
        // Whether there is more than may be shows only where there is room for it.
        let mut beyond = [0];
        let target = if more == 0 { &mut beyond[..] } else { &mut plain[start..] };
        let (targeted, read, written) = (target.len(), state.total_in(), state.total_out());
        let status = state.decompress(deflated, target, FlushDecompress::None);
        let status = status.map_err(|_| InflateError::Corrupt)?;
        let (read, written) = (state.total_in() - read, (state.total_out() - written) as usize);
        if written > more {
            return Err(InflateError::TooLong);
        }
        plain.truncate(start + written);
        deflated = &deflated[read as usize..];
        match status {
            Status::StreamEnd => return Ok(Some(deflated)),
            _ if deflated.is_empty() && written < targeted => return Ok(None),
            _ if read == 0 && written == 0 => return Err(InflateError::Corrupt),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// Bytes of which only so many bits are anybody's guess.
    fn noise(length: usize, bits: u32) -> Vec<u8> {
        let mut state = 1_u32;
        let byte = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> (32 - bits)) as u8
        };
        (0..length).map(byte).collect()
    }

    #[test]
    fn there_and_back() {
        for length in [256, 257, 1000, 4096, 32_767, 32_768, 32_769, 65_535, 65_536, MIB + 1] {
            for plain in [noise(length, 3), vec![b'a'; length]] {
                let deflated = deflate(&plain).expect("a gain");
                assert!(deflated.len() < length * 2 / 3, "{length}: {}", deflated.len());
                assert!(inflate(&deflated, length).as_ref() == Ok(&plain), "{length}");
                assert_eq!(inflate(&deflated, length - 1), Err(InflateError::TooLong), "{length}");
                let cut = &deflated[..deflated.len() - 1];
                assert!(inflate(cut, length).is_err(), "{length}");
            }
        }
    }

    #[test]
    fn what_does_not_gain_stays() {
        assert_eq!(deflate(b""), None);
        assert_eq!(deflate(&[b'a'; DEFLATE_BYTES_MIN - 1]), None);
        for length in [DEFLATE_BYTES_MIN, 4096, 100_000] {
            assert_eq!(deflate(&noise(length, 8)), None, "{length}");
        }
        // A state that was left in the middle of a message is as good as new.
        let plain = noise(1000, 3);
        assert_eq!(inflate(&deflate(&plain).unwrap(), 1000), Ok(plain));
    }

    /// The examples of RFC 7692 7.2.3, and what breaks them.
    #[test]
    fn examples() {
        let hello = |deflated: &[u8]| {
            assert_eq!(inflate(deflated, 5).as_deref(), Ok(&b"Hello"[..]), "{deflated:x?}");
            assert_eq!(inflate(deflated, 4), Err(InflateError::TooLong), "{deflated:x?}");
        };
        // One block, one without compression, a last one, two.
        hello(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        hello(&[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00]);
        hello(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]);
        hello(&[0xf2, 0x48, 0x05, 0, 0, 0, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00]);
        // An empty message.
        assert_eq!(inflate(&[0], 0), Ok(Vec::new()));
        for corrupt in [
            &[][..],
            &[0xff],
            &[0xf2, 0x48, 0xcd, 0xc9],
            &[0x00, 0x05, 0x00, 0xfa, 0xfe, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x01],
            // With what is not sent, a last block and something after it.
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0, 0, 0xff, 0xff, 0x03, 0x00, 0x03],
        ] {
            assert_eq!(inflate(corrupt, 100), Err(InflateError::Corrupt), "{corrupt:x?}");
        }
        // It points to before its begin.
        assert_eq!(inflate(&[0xca, 0x00, 0x11, 0x00], 100), Err(InflateError::Corrupt));
    }

    #[test]
    fn a_bomb_has_no_room() {
        let bomb = deflate(&vec![0; 64 * MIB]).unwrap();
        assert!(bomb.len() < MIB);
        for bytes_max in [0, 1, 1023, 1024, MIB, 63 * MIB] {
            assert_eq!(inflate(&bomb, bytes_max), Err(InflateError::TooLong));
            let mut plain = Vec::new();
            let mut state = Decompress::new(false);
            let end = advance(&mut state, &bomb, &mut plain, ROOM_MIN, bytes_max);
            assert_eq!(end, Err(InflateError::TooLong));
            assert!(plain.capacity() <= bytes_max, "{} of {bytes_max}", plain.capacity());
        }
    }
}
