//! ChannelData (RFC 8656 12.4): a packet behind its channel number and length.

/// Octets before the packet.
pub(super) const HEADER_BYTES: usize = 4;

/// Channel and packet of a message; over UDP there may be anything behind the packet.
pub(super) fn parse(message: &[u8]) -> Option<(u16, &[u8])> {
    let (&[c0, c1, l0, l1], rest) = message.split_first_chunk::<HEADER_BYTES>()?;
    let packet = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
    Some((u16::from_be_bytes([c0, c1]), packet))
}

/// Writes a message; gives its length. RFC 8656 12.5: over a stream it "MUST be padded to a
/// multiple of four bytes", over UDP it need not be.
pub(super) fn write(channel: u16, packet: &[u8], padded: bool, out: &mut [u8]) -> Option<usize> {
    let length = u16::try_from(packet.len()).ok()?;
    let end = HEADER_BYTES + packet.len();
    let len = if padded { end.next_multiple_of(4) } else { end };
    let out = out.get_mut(..len)?;
    out[..2].copy_from_slice(&channel.to_be_bytes());
    out[2..4].copy_from_slice(&length.to_be_bytes());
    out[HEADER_BYTES..end].copy_from_slice(packet);
    out[end..].fill(0);
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        for (packet, padded, expect) in [
            (&[1, 2, 3, 4][..], true, &[0x40, 1, 0, 4, 1, 2, 3, 4][..]),
            (&[1, 2, 3, 4, 5], true, &[0x40, 1, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]),
            (&[1, 2, 3, 4, 5], false, &[0x40, 1, 0, 5, 1, 2, 3, 4, 5]),
            (&[], true, &[0x40, 1, 0, 0]),
        ] {
            let mut out = [0xaa; 16];
            assert_eq!(write(0x4001, packet, padded, &mut out), Some(expect.len()));
            assert_eq!(&out[..expect.len()], expect);
            assert_eq!(parse(expect), Some((0x4001, packet)));
            assert_eq!(write(0x4001, packet, padded, &mut out[..expect.len() - 1]), None);
        }
        assert_eq!(parse(&[0x40, 1, 0, 5, 1, 2, 3, 4]), None);
        assert_eq!(parse(&[0x40, 1, 0]), None);
    }
}
