//! RFC 4571: packets on a TCP connection, each behind its length in two bytes. ICE/TCP (RFC 6544)
//! carries STUN, DTLS and SRTP that way.
//!
//! Incremental and bounded: bytes go in as they come, whole packets come out, and a peer that
//! announces a longer packet than any of ours is told apart at once, before room is made for it.

/// The longest packet that is taken. Raised: more memory per connection. Lowered: below 1500 a
/// peer's datagram of full size would end its connection.
pub const MAX_FRAME_BYTES: usize = 2048;

/// Bytes of the length in front.
pub const FRAME_HEADER_BYTES: usize = 2;

/// Room for one packet of the longest kind and as much of the next.
const BUFFER_BYTES: usize = 2 * (FRAME_HEADER_BYTES + MAX_FRAME_BYTES);

/// The peer announced a packet longer than [`MAX_FRAME_BYTES`]; the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {announced} bytes, at most {MAX_FRAME_BYTES} are taken")]
pub struct FrameTooLong {
    /// Bytes announced.
    pub announced: usize,
}

/// The receiving side of one connection.
///
/// `put` bytes, `poll_frame` until `None`, and again while `put` did not take everything.
#[derive(Debug, Default)]
pub struct FrameReader {
    // Made when the first byte comes: many transports never have a connection.
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
}

impl FrameReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream; tells how many there was room for.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        if self.buffer.is_empty() {
            self.buffer.resize(BUFFER_BYTES, 0);
        }
        if self.begin > 0 {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
        }
        let space = &mut self.buffer[self.end..];
        let taken = space.len().min(bytes.len());
        space[..taken].copy_from_slice(&bytes[..taken]);
        self.end += taken;
        taken
    }

    /// The next whole packet, which may be changed in place. Empty ones are skipped: they are of
    /// no protocol.
    pub fn poll_frame(&mut self) -> Result<Option<&mut [u8]>, FrameTooLong> {
        loop {
            let waiting = &self.buffer[self.begin..self.end];
            let Some((header, rest)) = waiting.split_first_chunk::<FRAME_HEADER_BYTES>() else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes(*header));
            if length > MAX_FRAME_BYTES {
                return Err(FrameTooLong { announced: length });
            }
            if rest.len() < length {
                return Ok(None);
            }
            let from = self.begin + FRAME_HEADER_BYTES;
            self.begin = from + length;
            if length > 0 {
                return Ok(Some(&mut self.buffer[from..from + length]));
            }
        }
    }
}

/// The length to send in front of a packet; `None` when it is empty or too long for a frame.
pub fn frame_header(packet: &[u8]) -> Option<[u8; FRAME_HEADER_BYTES]> {
    let length = u16::try_from(packet.len()).ok()?;
    (length > 0).then_some(length.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Frames = Result<Vec<Vec<u8>>, FrameTooLong>;

    /// Gives `stream` to a reader in chunks of `chunk` bytes.
    fn read(stream: &[u8], chunk: usize) -> Frames {
        let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
        for mut bytes in stream.chunks(chunk) {
            while !bytes.is_empty() {
                let taken = reader.put(bytes);
                assert!(taken > 0, "a reader that was emptied has room");
                bytes = &bytes[taken..];
                while let Some(frame) = reader.poll_frame()? {
                    frames.push(frame.to_vec());
                }
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_come_out_whole() {
        let longest = [&[0x08, 0x00][..], &[7; MAX_FRAME_BYTES]].concat();
        let rows: [(&[u8], Frames); 7] = [
            (&[], Ok(vec![])),
            (&[0], Ok(vec![])),
            (&[0, 2, 5], Ok(vec![])),
            (&[0, 0, 0, 1, 9], Ok(vec![vec![9]])),
            (&[0, 2, 5, 6, 0, 1, 9, 0], Ok(vec![vec![5, 6], vec![9]])),
            (&longest, Ok(vec![vec![7; MAX_FRAME_BYTES]])),
            (&[0, 1, 9, 0x08, 0x01], Err(FrameTooLong { announced: 2049 })),
        ];
        for (stream, expect) in rows {
            for chunk in [1, 2, 3, 100_000] {
                assert_eq!(read(stream, chunk), expect, "{} by {chunk}", stream.len());
            }
        }
    }

    #[test]
    fn headers() {
        assert_eq!(frame_header(&[]), None);
        assert_eq!(frame_header(&[1; 300]), Some([1, 44]));
        assert_eq!(frame_header(&vec![1; 65536]), None);
    }

    proptest! {
        /// Whatever was framed comes out again, however TCP cuts it.
        #[test]
        fn cuts_do_not_matter(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..1500), 0..12),
            chunk in 1usize..4000,
        ) {
            let mut stream = Vec::new();
            for packet in &packets {
                stream.extend(frame_header(packet).expect("it fits"));
                stream.extend(packet);
            }
            prop_assert_eq!(read(&stream, chunk), Ok(packets));
        }
    }
}
