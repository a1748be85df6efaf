//! Packets of LiveKit's data tracks, seen as far as somebody who passes them on must see them.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |  V  |S|F|X|     reserved      |            handle             |
//! |        sequence number        |         frame number          |
//! |                           timestamp                           |
//! |  extension length n if X      | n + 1 times 4 octets, with n  |
//! ```
//!
//! Version, start and end of a frame, extensions; then the payload. The handle names the track on
//! its way to one peer; everything else is the publisher's.

/// Octets of the fixed header.
pub const HEADER_BYTES: usize = 12;

const VERSION_SHIFT: u8 = 5;
const EXTENSIONS: u8 = 1 << 2;
const HANDLE: std::ops::Range<usize> = 2..4;

/// Why a packet is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataTrackError {
    /// Shorter than its header says.
    #[error("a packet of a data track that is too short")]
    Short,
    /// A version that is not known: its handle may be elsewhere.
    #[error("a packet of a data track of another version")]
    Version,
}

/// A packet that was looked at.
#[derive(Clone, Copy, Debug)]
pub struct DataTrackView<'a> {
    /// The sender's name of the track.
    pub handle: u16,
    bytes: &'a [u8],
}

impl<'a> DataTrackView<'a> {
    /// Looks at a packet.
    ///
    /// # Errors
    /// It must not be passed on.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DataTrackError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(DataTrackError::Short);
        };
        if header[0] >> VERSION_SHIFT != 0 {
            return Err(DataTrackError::Version);
        }
        if header[0] & EXTENSIONS != 0 {
            let rest = &bytes[HEADER_BYTES..];
            let words = rest.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length)));
            let length = words.ok_or(DataTrackError::Short)? * 4 + 4;
            rest.get(..length).ok_or(DataTrackError::Short)?;
        }
        Ok(Self { handle: u16::from_be_bytes([header[2], header[3]]), bytes })
    }

    /// Writes the packet under another handle into `out`.
    pub fn write_as(&self, handle: u16, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(self.bytes);
        out[HANDLE].copy_from_slice(&handle.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expect: Result<u16, DataTrackError>) {
        let got = DataTrackView::parse(bytes);
        assert_eq!(got.map(|view| view.handle), expect, "{bytes:?}");
        if let Ok(view) = got {
            let mut out = vec![9; 3];
            view.write_as(0xabcd, &mut out);
            assert_eq!((&out[..2], &out[4..]), (&bytes[..2], &bytes[4..]));
            assert_eq!(DataTrackView::parse(&out).map(|view| view.handle), Ok(0xabcd));
        }
    }

    #[test]
    fn packets() {
        let plain = [0x18, 0, 1, 2, 0, 1, 0, 1, 0, 0, 0, 9];
        check(&plain, Ok(0x0102));
        check(&[&plain[..], b"payload"].concat(), Ok(0x0102));
        check(&plain[..11], Err(DataTrackError::Short));
        check(b"", Err(DataTrackError::Short));
        let mut later = plain;
        later[0] |= 0x20;
        check(&later, Err(DataTrackError::Version));
        let mut extended = plain.to_vec();
        extended[0] |= EXTENSIONS;
        check(&extended, Err(DataTrackError::Short));
        // A length of 1: eight octets in all.
        extended.extend_from_slice(&[0, 1, 2, 8, 0, 0]);
        check(&extended, Err(DataTrackError::Short));
        extended.extend_from_slice(&[0, 0]);
        check(&extended, Ok(0x0102));
        extended[12] = 0xff;
        check(&extended, Err(DataTrackError::Short));
    }
}
