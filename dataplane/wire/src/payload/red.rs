//! Redundant audio (RFC 2198): several frames in one packet, the newest last.

use std::ops::Range;

/// Redundant blocks looked at in one packet. Browsers send up to two, some programs five; each
/// repeats an older frame.
pub const MAX_BLOCKS: usize = 8;

/// An older frame that a packet repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redundant {
    /// Payload type of the frame.
    pub payload_type: u8,
    /// How far its timestamp lies before the packet's, 14 bits.
    pub timestamp_offset: u16,
    /// Where the frame lies in the payload.
    pub range: Range<usize>,
}

/// A payload of RFC 2198, all of whose lengths were checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Red<'a> {
    payload: &'a [u8],
    /// Redundant blocks.
    count: usize,
    primary_type: u8,
    /// Where the newest frame begins.
    primary: usize,
}

impl<'a> Red<'a> {
    /// Reads the headers of `payload`; `None` where the blocks do not fit.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut count = 0;
        let mut at = 0;
        let mut data = 0;
        loop {
            let &first = payload.get(at)?;
            // RFC 2198 section 3: F is 0 in the last header, which is one octet long.
            if first & 0x80 == 0 {
                let primary = at + 1 + data;
                payload.get(primary..)?;
                return Some(Self { payload, count, primary_type: first & 0x7f, primary });
            }
            let &[_, _, c, d] = payload.get(at..)?.first_chunk()?;
            data += usize::from(c & 0x03) << 8 | usize::from(d);
            at += 4;
            count += 1;
            if count > MAX_BLOCKS {
                return None;
            }
        }
    }

    /// Payload type of the newest frame.
    pub fn primary_type(&self) -> u8 {
        self.primary_type
    }

    /// Where the newest frame lies in the payload; empty where the sender has nothing new.
    pub fn primary(&self) -> Range<usize> {
        self.primary..self.payload.len()
    }

    /// The older frames, oldest first as senders order them.
    pub fn redundant(&self) -> impl Iterator<Item = Redundant> + use<'a> {
        let headers = self.payload.as_chunks::<4>().0.iter().take(self.count);
        let mut start = self.count * 4 + 1;
        headers.map(move |&[a, b, c, d]| {
            let len = usize::from(c & 0x03) << 8 | usize::from(d);
            let range = start..start + len;
            start = range.end;
            Redundant {
                payload_type: a & 0x7f,
                timestamp_offset: u16::from(b) << 6 | u16::from(c >> 2),
                range,
            }
        })
    }
}
