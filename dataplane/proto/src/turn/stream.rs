//! TURN over TCP and TLS (RFC 8656 3.1): messages follow each other, each says its own length.

use super::channel_data;

/// The longest message that is taken. Raised: more memory per connection. Lowered: a datagram of
/// full size in a Send indication would end its connection.
pub const MAX_MESSAGE_BYTES: usize = 2048;

/// Octets after which the length of any message is known.
const PREFIX_BYTES: usize = 4;

/// Octets of a STUN header, which its length does not count.
const STUN_HEADER_BYTES: usize = 20;

/// What a peer sends is not TURN; the connection is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTurn {
    /// Neither STUN nor channel data.
    #[error("neither a STUN message nor channel data")]
    Protocol,
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("a message of {announced} bytes, at most {MAX_MESSAGE_BYTES} are taken")]
    TooLong {
        /// Bytes announced.
        announced: usize,
    },
}

/// The receiving side of one connection: `put` bytes, `poll_message` until `None`, and again while
/// `put` did not take everything.
#[derive(Debug, Default)]
pub struct TurnStream {
    // Made when the first byte comes.
    buffer: Vec<u8>,
    begin: usize,
}

impl TurnStream {
    /// A stream of which nothing came.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes; tells how many there was room for.
    pub fn put(&mut self, bytes: &[u8]) -> usize {
        if self.begin > 0 {
            self.buffer.drain(..self.begin);
            self.begin = 0;
        }
        let taken = bytes.len().min(2 * MAX_MESSAGE_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next whole message, without its padding.
    pub fn poll_message(&mut self) -> Result<Option<&[u8]>, NotTurn> {
        let waiting = self.buffer.get(self.begin..).unwrap_or(&[]);
        let Some(&[first, _, high, low]) = waiting.first_chunk::<PREFIX_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let len = match first {
            0..=3 => STUN_HEADER_BYTES + length,
            0x40..=0x4f => channel_data::HEADER_BYTES + length,
            _ => return Err(NotTurn::Protocol),
        };
        // RFC 8656 12.5: over a stream channel data is padded. STUN messages are as they are.
        let padded = len.next_multiple_of(4);
        if padded > MAX_MESSAGE_BYTES {
            return Err(NotTurn::TooLong { announced: padded });
        }
        if waiting.len() < padded {
            return Ok(None);
        }
        let from = self.begin;
        self.begin += padded;
        Ok(self.buffer.get(from..from + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &[u8], chunk: usize) -> Result<Vec<Vec<u8>>, NotTurn> {
        let (mut reader, mut messages) = (TurnStream::new(), Vec::new());
        for mut bytes in stream.chunks(chunk) {
            while !bytes.is_empty() {
                let taken = reader.put(bytes);
                assert!(taken > 0, "a reader that was emptied has room");
                bytes = &bytes[taken..];
                while let Some(message) = reader.poll_message()? {
                    messages.push(message.to_vec());
                }
            }
        }
        Ok(messages)
    }

    #[test]
    fn messages_come_out_whole() {
        let stun = [&[0, 1, 0, 4][..], &[9; 20]].concat();
        let channel = |length: u8| [&[0x40, 0, 0, length][..], &vec![7; length.into()]].concat();
        let all = [&stun[..], &channel(5), &[0; 3], &channel(0), &channel(8), &stun, &[0, 1]];
        let all = all.concat();
        for chunk in [1, 2, 3, 7, 100] {
            let expect = vec![stun.clone(), channel(5), channel(0), channel(8), stun.clone()];
            assert_eq!(read(&all, chunk), Ok(expect), "{chunk}");
        }
        let longest = [&[0x4f, 0xff, 0x07, 0xfc][..], &[7; 2044]].concat();
        assert_eq!(read(&longest.repeat(5), 1 << 16), Ok(vec![longest; 5]));
        for (bytes, expect) in [
            (&[0x4f, 0xff, 0x07, 0xfd][..], NotTurn::TooLong { announced: 2052 }),
            (&[0, 1, 0xff, 0xfc], NotTurn::TooLong { announced: 65_552 }),
            // "G" could begin channel data.
            (b"GET / HTTP/1.1", NotTurn::TooLong { announced: 21_540 }),
            (&[0x16, 3, 1, 2, 0], NotTurn::Protocol),
            (&[0x50, 0, 0, 0], NotTurn::Protocol),
        ] {
            assert_eq!(read(bytes, 16), Err(expect));
        }
    }
}
