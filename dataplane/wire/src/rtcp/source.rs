//! Packets about sources: descriptions (RFC 3550 section 6.5) and goodbyes (section 6.6).

use super::{RawPacket, RtcpError};

/// SDES item type of a canonical name (RFC 3550 section 6.5.1).
pub(super) const CNAME: u8 = 1;

/// A source description: one chunk for each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sdes<'a> {
    chunks: &'a [u8],
    count: u8,
}

impl<'a> Sdes<'a> {
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        let sdes = Self { chunks: raw.body(), count: raw.count() };
        match sdes.chunks().count() {
            count if count == usize::from(raw.count()) => Ok(sdes),
            _ => Err(RtcpError::Content),
        }
    }

    /// The chunks in order.
    pub fn chunks(&self) -> SdesChunks<'a> {
        SdesChunks { rest: self.chunks, left: self.count }
    }

    /// The canonical name of `ssrc`, if the packet tells it; not always UTF-8.
    pub fn cname(&self, ssrc: u32) -> Option<&'a [u8]> {
        self.chunks().find(|chunk| chunk.ssrc == ssrc)?.cname()
    }
}

/// The chunks of an [`Sdes`], in order.
#[derive(Clone, Debug)]
pub struct SdesChunks<'a> {
    rest: &'a [u8],
    left: u8,
}

impl<'a> Iterator for SdesChunks<'a> {
    type Item = SdesChunk<'a>;

    fn next(&mut self) -> Option<SdesChunk<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (ssrc, body) = self.rest.split_first_chunk()?;
        let mut items = SdesItems { rest: body };
        items.by_ref().for_each(drop);
        let items_len = body.len() - items.rest.len();
        // RFC 3550 6.5: the list ends with one or more null octets, up to the next 32-bit boundary.
        // Some senders leave them out where the last item ends the packet.
        let end = match items.rest.first() {
            None => items_len,
            Some(0) => (items_len + 1).next_multiple_of(4),
            Some(_) => return None,
        };
        self.rest = body.get(end..)?;
        Some(SdesChunk { ssrc: u32::from_be_bytes(*ssrc), items: &body[..items_len] })
    }
}

/// What a description says of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: u32,
    items: &'a [u8],
}

impl<'a> SdesChunk<'a> {
    /// The items in order.
    pub fn items(&self) -> SdesItems<'a> {
        SdesItems { rest: self.items }
    }

    /// The canonical name, if the chunk has one (RFC 3550 section 6.5.1).
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items().find(|item| item.item_type == CNAME).map(|item| item.value)
    }
}

/// The items of an [`SdesChunk`], in order.
#[derive(Clone, Debug)]
pub struct SdesItems<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for SdesItems<'a> {
    type Item = SdesItem<'a>;

    fn next(&mut self) -> Option<SdesItem<'a>> {
        let (&[item_type, len], after) = self.rest.split_first_chunk()?;
        if item_type == 0 {
            return None;
        }
        let (value, rest) = after.split_at_checked(usize::from(len))?;
        self.rest = rest;
        Some(SdesItem { item_type, value })
    }
}

/// One property of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// The item type, never 0: 1 is CNAME, 2 NAME, 6 TOOL (RFC 3550 section 6.5).
    pub item_type: u8,
    /// The text, up to 255 bytes; should be UTF-8.
    pub value: &'a [u8],
}

/// A goodbye: sources that are no longer active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bye<'a> {
    sources: &'a [[u8; 4]],
    reason: Option<&'a [u8]>,
}

impl<'a> Bye<'a> {
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Self, RtcpError> {
        let sources_len = 4 * usize::from(raw.count());
        let (sources, rest) = raw.body().split_at_checked(sources_len).ok_or(RtcpError::Content)?;
        let reason = match rest.split_first() {
            None => None,
            Some((&len, text)) => Some(text.get(..usize::from(len)).ok_or(RtcpError::Content)?),
        };
        Ok(Self { sources: sources.as_chunks().0, reason })
    }

    /// The sources that leave, up to 31, possibly none.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.sources.iter().map(|ssrc| u32::from_be_bytes(*ssrc))
    }

    /// Why they leave, if the packet says so; should be UTF-8.
    pub fn reason(&self) -> Option<&'a [u8]> {
        self.reason
    }
}
