//! Packets and chunks as bytes: the walk through one that came, the pieces of one that goes.

use crate::crc;

/// Types of chunk (RFC 9260 3.2, RFC 3758 3.2, RFC 6525 3.1).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const SACK: u8 = 3;
    pub(crate) const HEARTBEAT: u8 = 4;
    pub(crate) const HEARTBEAT_ACK: u8 = 5;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const COOKIE_ECHO: u8 = 10;
    pub(crate) const COOKIE_ACK: u8 = 11;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(crate) const RE_CONFIG: u8 = 130;
    pub(crate) const FORWARD_TSN: u8 = 192;
}

/// Bytes before the first chunk.
pub(crate) const PACKET_HEADER: usize = 12;
/// Bytes before the payload of DATA.
pub(crate) const DATA_HEADER: usize = 16;
/// RFC 8841: what SDP says in WebRTC; both sides' port.
const PORT: u16 = 5_000;

/// Flags of DATA (RFC 9260 3.3.1): the last fragment, the first, without order, SACK at once.
pub(crate) const FLAG_END: u8 = 1;
pub(crate) const FLAG_BEGIN: u8 = 2;
pub(crate) const FLAG_UNORDERED: u8 = 4;
pub(crate) const FLAG_IMMEDIATE: u8 = 8;
/// Flag of ABORT and SHUTDOWN COMPLETE: the tag is the receiver's own, reflected.
pub(crate) const FLAG_REFLECTED: u8 = 1;

#[inline]
pub(crate) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[inline]
pub(crate) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The header of a packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) tag: u32,
    /// The checksum is right, or none where that is agreed.
    pub(crate) intact: bool,
}

/// Reads it; `None` for what is no packet of ours.
pub(crate) fn header(packet: &[u8], zero_accepted: bool) -> Option<Header> {
    if short(packet, 0)? != PORT || short(packet, 2)? != PORT {
        return None;
    }
    let tag = long(packet, 4)?;
    let sum: [u8; 4] = *packet.get(8..)?.first_chunk()?;
    // RFC 9653 5.3: a sum of zero stands for none.
    let intact = zero_accepted && sum == [0; 4] || sum == crc::of_packet(packet);
    Some(Header { tag, intact })
}

/// A chunk that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Without header and padding.
    pub(crate) body: &'a [u8],
}

/// Chunks, or parameters, one after another; ends at the first whose length cannot be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// Those of a packet.
    pub(crate) fn of_packet(packet: &'a [u8]) -> Self {
        Self { rest: packet.get(PACKET_HEADER..).unwrap_or(&[]) }
    }

    /// Parameters have the same shape: kind and flags are their type.
    pub(crate) fn of_parameters(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    #[inline]
    fn next(&mut self) -> Option<Chunk<'a>> {
        let &[kind, flags, high, low, ..] = self.rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let body = self.rest.get(4..length);
        // RFC 9260 3.2: the length counts the header and not the padding.
        self.rest = match body {
            Some(_) => self.rest.get(length.next_multiple_of(4)..).unwrap_or(&[]),
            None => &[],
        };
        Some(Chunk { kind, flags, body: body? })
    }
}

/// A DATA chunk that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    pub(crate) flags: u8,
    pub(crate) tsn: u32,
    pub(crate) stream: u16,
    pub(crate) ssn: u16,
    pub(crate) ppid: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Data<'a> {
    #[inline]
    pub(crate) fn parse(chunk: &Chunk<'a>) -> Option<Self> {
        let (head, payload) = chunk.body.split_first_chunk::<12>()?;
        let [t0, t1, t2, t3, i0, i1, n0, n1, p0, p1, p2, p3] = *head;
        Some(Self {
            flags: chunk.flags,
            tsn: u32::from_be_bytes([t0, t1, t2, t3]),
            stream: u16::from_be_bytes([i0, i1]),
            ssn: u16::from_be_bytes([n0, n1]),
            ppid: u32::from_be_bytes([p0, p1, p2, p3]),
            payload,
        })
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Begins a packet in `out`, which is emptied.
pub(crate) fn begin_packet(out: &mut Vec<u8>, tag: u32) {
    let ([p0, p1], [t0, t1, t2, t3]) = (PORT.to_be_bytes(), tag.to_be_bytes());
    out.clear();
    out.extend_from_slice(&[p0, p1, p0, p1, t0, t1, t2, t3, 0, 0, 0, 0]);
}

/// Ends it: its checksum is written.
pub(crate) fn end_packet(out: &mut [u8]) {
    let sum = crc::of_packet(out);
    if let Some(place) = out.get_mut(8..12) {
        place.copy_from_slice(&sum);
    }
}

/// Adds a chunk, or a parameter; `write` adds its body.
pub(crate) fn put_chunk(out: &mut Vec<u8>, kind: u8, flags: u8, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[kind, flags, 0, 0]);
    write(out);
    let length = (out.len() - start) as u16;
    out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
    pad(out);
}

/// Adds a parameter.
pub(crate) fn put_parameter(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    let [high, low] = kind.to_be_bytes();
    put_chunk(out, high, low, write);
}

/// Adds a DATA chunk.
#[inline]
pub(crate) fn put_data(out: &mut Vec<u8>, data: &Data<'_>) {
    let mut head = [0; DATA_HEADER];
    head[1] = data.flags;
    head[2..4].copy_from_slice(&((data.payload.len() + DATA_HEADER) as u16).to_be_bytes());
    head[4..8].copy_from_slice(&data.tsn.to_be_bytes());
    head[8..10].copy_from_slice(&data.stream.to_be_bytes());
    head[10..12].copy_from_slice(&data.ssn.to_be_bytes());
    head[12..].copy_from_slice(&data.ppid.to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(data.payload);
    pad(out);
}

/// Everything before is a multiple of four long.
#[inline]
fn pad(out: &mut Vec<u8>) {
    let excess = out.len() % 4;
    if excess > 0 {
        out.extend_from_slice(&[0; 4][excess..]);
    }
}

#[cfg(test)]
#[path = "chunk_tests.rs"]
mod tests;
