//! FINGERPRINT: a CRC-32 that tells STUN from what merely looks like it.

use super::HEADER_BYTES;

// RFC 8489 14.7: "the CRC-32 of the STUN message [...] XOR'ed with the 32-bit value 0x5354554e".
const MASK: u32 = 0x5354_554e;

// ITU V.42's polynomial, bits reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn advance(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8)
}

/// The fingerprint of a message up to the attribute FINGERPRINT: `header` with the length that
/// counts that attribute, and the attributes before it.
pub(super) fn fingerprint(header: &[u8; HEADER_BYTES], attributes: &[u8]) -> u32 {
    !advance(advance(u32::MAX, header), attributes) ^ MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_digits() {
        // The check value that every catalogue of CRCs gives for this one.
        assert_eq!(!advance(u32::MAX, b"123456789"), 0xcbf4_3926);
    }
}
