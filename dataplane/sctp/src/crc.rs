//! CRC32c (RFC 9260 appendix A), sixteen bytes a step through as many tables. With eight of them a
//! step took as long, as each waits for the one before: half as fast.

/// The polynomial 0x1edc6f41, its bits turned around.
const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLES: [[u32; 256]; 16] = tables();

const fn tables() -> [[u32; 256]; 16] {
    let mut tables = [[0; 256]; 16];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    // Table n says what a byte does to the sum n bytes later.
    let mut table = 1;
    while table < 16 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Goes on with `sum` over `bytes`; [`START`] before the first, inverted after the last.
fn update(mut sum: u32, bytes: &[u8]) -> u32 {
    let (steps, rest) = bytes.as_chunks::<16>();
    for step in steps {
        let [a, b, c, d] = quarters(step);
        // What does not depend on the sum is looked up while that is computed.
        let free = looked_up(b, 8) ^ looked_up(c, 4) ^ looked_up(d, 0);
        sum = looked_up(a ^ sum, 12) ^ free;
    }
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        sum = looked_up(u32::from_le_bytes(*word) ^ sum, 0);
    }
    for byte in rest {
        sum = (sum >> 8) ^ TABLES[0][((sum ^ u32::from(*byte)) & 0xff) as usize];
    }
    sum
}

fn quarters(step: &[u8; 16]) -> [u32; 4] {
    let step = u128::from_le_bytes(*step);
    [step as u32, (step >> 32) as u32, (step >> 64) as u32, (step >> 96) as u32]
}

/// What four bytes do to the sum, `after` bytes after the last of them.
#[inline(always)]
fn looked_up(word: u32, after: usize) -> u32 {
    let [a, b, c, d] = word.to_le_bytes().map(usize::from);
    TABLES[after + 3][a] ^ TABLES[after + 2][b] ^ TABLES[after + 1][c] ^ TABLES[after][d]
}

const START: u32 = !0;

/// The checksum of a packet as it stands in its header, over the packet with zeros there.
pub(crate) fn of_packet(packet: &[u8]) -> [u8; 4] {
    let Some((head, rest)) = packet.split_first_chunk::<16>() else { return [0; 4] };
    let mut head = *head;
    head[8..12].fill(0);
    (!update(update(START, &head), rest)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bit by bit.
    fn slow(bytes: &[u8]) -> u32 {
        let mut sum = START;
        for byte in bytes {
            sum ^= u32::from(*byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ if sum & 1 == 1 { POLYNOMIAL } else { 0 };
            }
        }
        !sum
    }

    #[test]
    fn known_sums_are_found() {
        // RFC 3720 B.4.
        let rising: Vec<u8> = (0..32).collect();
        let falling: Vec<u8> = (0..32).rev().collect();
        for (bytes, expect) in [
            (&b"123456789"[..], 0xe306_9283),
            (&[], 0),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&rising, 0x46dd_794e),
            (&falling, 0x113f_db5c),
        ] {
            assert_eq!(!update(START, bytes), expect, "{bytes:?}");
            assert_eq!(slow(bytes), expect);
        }
    }

    #[test]
    fn every_length_and_split_gives_the_same() {
        let bytes: Vec<u8> = (0..200_u32).map(|at| ((at * at) >> 3) as u8).collect();
        for len in 0..bytes.len() {
            assert_eq!(!update(START, &bytes[..len]), slow(&bytes[..len]), "{len}");
            let split = update(update(START, &bytes[..len]), &bytes[len..]);
            assert_eq!(!split, slow(&bytes), "{len}");
        }
    }

    #[test]
    fn what_stands_in_the_header_does_not_count() {
        let mut packet = [7; 40];
        let sum = of_packet(&packet);
        packet[8..12].copy_from_slice(&sum);
        assert_eq!(of_packet(&packet), sum);
    }
}
