//! Extended reports (RFC 3611) as far as they measure round trips: who sends no media says when it
//! spoke, and hears how long ago that was. Blocks of other types are left alone.

use super::{RawPacket, RtcpError};

/// Block type of a receiver reference time (RFC 3611 section 4.4).
pub(super) const REFERENCE_TIME: u8 = 4;
/// Block type of delays since the last of them (RFC 3611 section 4.5).
pub(super) const DELAY_SINCE: u8 = 5;

const BLOCK_HEADER_BYTES: usize = 4;
const SUB_BLOCK_BYTES: usize = 12;

/// How long ago somebody's reference time came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DelaySince {
    /// Whose it was.
    pub ssrc: u32,
    /// The middle of it.
    pub last_reference: u32,
    /// How long ago it came, in 1/65536 s.
    pub delay: u32,
}

/// An extended report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended<'a> {
    /// Who reports.
    pub ssrc: u32,
    blocks: &'a [u8],
}

impl<'a> Extended<'a> {
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        let (ssrc, blocks) = raw.body().split_first_chunk().ok_or(RtcpError::Content)?;
        Ok(Self { ssrc: u32::from_be_bytes(*ssrc), blocks })
    }

    /// When the reporter says that it sent this, 64-bit NTP. Of its own clock.
    pub fn reference_time(&self) -> Option<u64> {
        let mut times = self.blocks().filter(|(kind, _)| *kind == REFERENCE_TIME);
        Some(u64::from_be_bytes(*times.next()?.1.first_chunk()?))
    }

    /// How long ago the reporter heard of whom.
    pub fn delays(&self) -> impl Iterator<Item = DelaySince> + use<'a> {
        let blocks = self.blocks().filter(|(kind, _)| *kind == DELAY_SINCE);
        blocks.flat_map(|(_, content)| content.as_chunks().0).map(DelaySince::read)
    }

    /// Types and contents of the blocks, up to one that does not fit.
    fn blocks(&self) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            let [kind, _, high, low, ..] = *rest else { return None };
            // RFC 3611 3: the length is that of the whole block in words, minus one: the header.
            let len = 4 * usize::from(u16::from_be_bytes([high, low]));
            let content = rest.get(BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + len)?;
            rest = &rest[BLOCK_HEADER_BYTES + len..];
            Some((kind, content))
        })
    }
}

impl DelaySince {
    fn read(bytes: &[u8; SUB_BLOCK_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            last_reference: u32::from_be_bytes([e, f, g, h]),
            delay: u32::from_be_bytes([i, j, k, l]),
        }
    }
}
