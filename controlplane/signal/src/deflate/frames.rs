//! Which messages of a WebSocket are compressed.
//!
//! The library that reads frames takes none with a reserved bit. This reads their heads before it,
//! takes RSV1 from those that may have it, and remembers: it knows no payload and keeps none.

use std::collections::VecDeque;

// RFC 6455 5.2.
const RSV1: u8 = 0x40;
const OPCODE: u8 = 0x0f;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const MASKED: u8 = 0x80;
const MASK_BYTES: u8 = 4;
/// Lengths from which on more bytes follow.
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// Messages that a connection keeps room for. Raised: one that was flooded once keeps more;
/// lowered: room is made again more often.
const KEPT: usize = 16;

/// How the content of a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// As it is.
    No,
    /// Compressed text.
    Text,
    /// Compressed bytes.
    Binary,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// FIN, reserved bits and opcode.
    First,
    /// The mask bit and the short length.
    Second,
    /// This many bytes of a length.
    Length { left: u8, sum: u64, masked: bool },
    /// This many bytes of a mask, before a payload.
    Mask { left: u8, payload: u64 },
    /// This many bytes of a payload.
    Payload(u64),
}

/// What a client sends, as bytes before frames are told apart.
///
/// A compressed message reaches the library as a binary one, whatever it is: only what it is
/// inflated to must be UTF-8. RSV1 where no message begins stays, and is an error to the library:
/// RFC 7692 6.1 allows it nowhere else.
#[derive(Debug)]
pub struct Frames {
    next: Next,
    /// Of messages that have begun and were not asked for. The library reads on only when it has no
    /// whole frame, so these are as many as begin in what it reads at a time.
    begun: VecDeque<Packed>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { next: Next::First, begun: VecDeque::new() }
    }
}

impl Frames {
    /// Takes bytes in order of their arrival, before the library sees them.
    pub fn handle_bytes(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(byte) = bytes.get_mut(at) {
            at += 1;
            self.next = match self.next {
                Next::First => {
                    *byte = self.take_first(*byte);
                    Next::Second
                }
                Next::Second => {
                    let masked = *byte & MASKED != 0;
                    match *byte & !MASKED {
                        TWO_BYTES => Next::Length { left: 2, sum: 0, masked },
                        EIGHT_BYTES => Next::Length { left: 8, sum: 0, masked },
                        length => after_length(length.into(), masked),
                    }
                }
                Next::Length { left, sum, masked } => {
                    let sum = sum << 8 | u64::from(*byte);
                    match left {
                        1 => after_length(sum, masked),
                        _ => Next::Length { left: left - 1, sum, masked },
                    }
                }
                Next::Mask { left: 1, payload } => after_mask(payload),
                Next::Mask { left, payload } => Next::Mask { left: left - 1, payload },
                Next::Payload(left) => {
                    let rest = (bytes.len() - at) as u64;
                    // This byte is one of them.
                    let passed = rest.min(left - 1);
                    at += passed as usize;
                    after_mask(left - 1 - passed)
                }
            };
        }
    }

    /// How the next message came; to be asked once for each that the library gives, in their order.
    pub fn next_message(&mut self) -> Packed {
        let packed = self.begun.pop_front().unwrap_or(Packed::No);
        if self.begun.is_empty() {
            // After a flood of short ones.
            self.begun.shrink_to(KEPT);
        }
        packed
    }

    /// The first byte of a frame as the library gets it.
    fn take_first(&mut self, byte: u8) -> u8 {
        let (packed, opcode) = match (byte & OPCODE, byte & RSV1 != 0) {
            (TEXT, true) => (Packed::Text, BINARY),
            (BINARY, true) => (Packed::Binary, BINARY),
            (TEXT | BINARY, false) => {
                self.begun.push_back(Packed::No);
                return byte;
            }
            _ => return byte,
        };
        self.begun.push_back(packed);
        byte & !(RSV1 | OPCODE) | opcode
    }
}

fn after_length(payload: u64, masked: bool) -> Next {
    match masked {
        true => Next::Mask { left: MASK_BYTES, payload },
        false => after_mask(payload),
    }
}

fn after_mask(payload: u64) -> Next {
    match payload {
        0 => Next::First,
        left => Next::Payload(left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIN: u8 = 0x80;
    const PING: u8 = 9;

    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(MASKED | length as u8),
            126..0x1_0000 => {
                frame.push(MASKED | TWO_BYTES);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | EIGHT_BYTES);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        // Would be heads if they were taken for such.
        frame.extend(vec![FIN | RSV1 | TEXT; 4 + length]);
        frame
    }

    /// Frames with these first bytes reach the library with those, and are such messages, however
    /// the bytes come.
    #[track_caller]
    fn check(said: &[u8], heard: &[u8], packed: &[Packed]) {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000] {
            let frames = |firsts: &[u8]| -> Vec<u8> {
                firsts.iter().flat_map(|first| frame(*first, length)).collect()
            };
            for step in [1, 2, 3, 7, 8192, usize::MAX] {
                let (mut bytes, mut frames_of) = (frames(said), Frames::default());
                for part in bytes.chunks_mut(step) {
                    frames_of.handle_bytes(part);
                }
                assert!(bytes == frames(heard), "{said:x?} of {length} in steps of {step}");
                let kinds: Vec<Packed> = packed.iter().map(|_| frames_of.next_message()).collect();
                assert_eq!(kinds, packed, "{said:x?} of {length} in steps of {step}");
                assert!(frames_of.begun.is_empty());
            }
        }
    }

    #[test]
    fn compressed_messages_are_marked_no_longer() {
        let (plain, text, binary) = (Packed::No, Packed::Text, Packed::Binary);
        check(&[FIN | TEXT, FIN | BINARY], &[FIN | TEXT, FIN | BINARY], &[plain; 2]);
        check(&[FIN | RSV1 | TEXT], &[FIN | BINARY], &[text]);
        check(&[FIN | RSV1 | BINARY, FIN | TEXT], &[FIN | BINARY, FIN | TEXT], &[binary, plain]);
        // In parts, with a ping between them.
        let heard = [BINARY, FIN | PING, 0, FIN, FIN | BINARY];
        check(&[RSV1 | TEXT, FIN | PING, 0, FIN, FIN | RSV1 | BINARY], &heard, &[text, binary]);
    }

    #[test]
    fn what_has_no_business_there_stays() {
        for said in [FIN | RSV1, RSV1, FIN | RSV1 | PING, FIN | RSV1 | 8, FIN | RSV1 | 3, RSV1 | 15]
        {
            check(&[said], &[said], &[]);
        }
        check(&[FIN | 0x30 | RSV1 | TEXT], &[FIN | 0x30 | BINARY], &[Packed::Text]);
    }

    #[test]
    fn a_flood_is_not_remembered() {
        let mut frames = Frames::default();
        frames.handle_bytes(&mut frame(FIN | BINARY, 0).repeat(1000));
        while !frames.begun.is_empty() {
            assert_eq!(frames.next_message(), Packed::No);
        }
        assert!(frames.begun.capacity() <= 2 * KEPT, "{}", frames.begun.capacity());
    }

    #[test]
    fn lengths_beyond_all_memory_are_only_numbers() {
        let mut frames = Frames::default();
        let mut bytes = [FIN | BINARY, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        frames.handle_bytes(&mut bytes);
        let mut rest = vec![FIN | RSV1 | TEXT; 4096];
        frames.handle_bytes(&mut rest);
        assert!(rest.iter().all(|byte| *byte == FIN | RSV1 | TEXT));
    }
}
