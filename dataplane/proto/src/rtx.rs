//! Retransmission payloads (RFC 4588): a lost packet comes again under another SSRC, its own
//! sequence number in front of its payload.

use ringway_wire::head::HeadFields;
use ringway_wire::rtp::{RtpError, RtpView};

/// Octets of the original sequence number.
pub const OSN_BYTES: usize = 2;

/// Why a packet of an RTX stream repeats nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtxError {
    /// It is no RTP packet.
    #[error("not RTP: {0}")]
    Rtp(#[from] RtpError),
    /// Nothing behind the header: padding that probes the path.
    #[error("an RTX packet without a payload")]
    Empty,
}

/// Turns an RTX packet back into the packet that it repeats, in place: the header moves over the
/// original sequence number. Gives where the packet begins in `packet`; it ends where `packet`
/// ends.
///
/// RFC 4588 section 4: "the RTX payload consists of the original sequence number field, followed by
/// the original RTP packet payload"; timestamp and marker are the original's.
pub fn unwrap_in_place(
    packet: &mut [u8],
    media_ssrc: u32,
    media_payload_type: u8,
) -> Result<usize, RtxError> {
    let view = RtpView::parse(packet)?;
    let header_len = view.header_len();
    let Some(&[high, low]) = view.payload().first_chunk::<OSN_BYTES>() else {
        return Err(RtxError::Empty);
    };
    packet.copy_within(..header_len, OSN_BYTES);
    let header = &mut packet[OSN_BYTES..];
    header[1] = header[1] & 0x80 | media_payload_type & 0x7f;
    header[2..4].copy_from_slice(&[high, low]);
    header[8..12].copy_from_slice(&media_ssrc.to_be_bytes());
    Ok(OSN_BYTES)
}

/// The RTX stream of one subscription.
#[derive(Clone, Copy, Debug)]
pub struct RtxStream {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
}

impl RtxStream {
    /// A stream that begins with sequence number `first`.
    pub const fn new(ssrc: u32, payload_type: u8, first: u16) -> Self {
        Self { ssrc, payload_type, sequence: first }
    }

    /// The header fields under which the packet that left with `media` is sent again, and the
    /// octets that stand before its payload.
    pub fn wrap(&mut self, media: &HeadFields) -> (HeadFields, [u8; OSN_BYTES]) {
        let sequence = self.sequence;
        // RFC 4588 section 4: the RTX stream counts its own packets.
        self.sequence = sequence.wrapping_add(1);
        let fields =
            HeadFields { ssrc: self.ssrc, payload_type: self.payload_type, sequence, ..*media };
        (fields, media.sequence.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_wire::extension::{ExtensionKind, ExtensionMap, Located};

    // The same VP8 packet from Chromium, as itself and repeated, both cut behind 20 octets of
    // payload.
    const MEDIA: &str = "90e044c01a4a1c9f9524ef40bede000a22c55220903083010d012030007c010006001c00\
        25002a00000000eb018078b401ac02027f01673c90e0a6ec9b205039009d012a80026801396b0027";
    const REPEATED: &str = "90e11e6f1a4a1c9fda5881a9bede000a22c556eb3000eb018078b401ac02027f01673c\
        7c010006001c0025002e0000000083010d0120903044c090e0a6ec9b205039009d012a80026801396b0027";

    fn octets(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let value = |digit: u8| char::from(digit).to_digit(16).expect("hexadecimal") as u8;
        hex.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
    }

    #[test]
    fn chromium_repeats_a_packet() {
        let media = octets(MEDIA);
        let media = RtpView::parse(&media).expect("valid");
        let mut packet = octets(REPEATED);
        let start = unwrap_in_place(&mut packet, 0x9524_ef40, 96).expect("a repeated packet");
        let found = RtpView::parse(&packet[start..]).expect("valid");
        assert_eq!(found.sequence(), media.sequence());
        assert_eq!((found.ssrc(), found.payload_type()), (media.ssrc(), 96));
        assert_eq!((found.timestamp(), found.marker()), (media.timestamp(), media.marker()));
        assert_eq!(found.payload(), media.payload());
        // Its extensions moved along, and still are those of the packet repeated now.
        let mut map = ExtensionMap::default();
        assert!(map.insert(2, ExtensionKind::AbsSendTime));
        let located = Located::find(&found, &map);
        let sent = located.get(&packet[start..], ExtensionKind::AbsSendTime);
        assert_eq!(sent, Some(&[0xc5, 0x56, 0xeb][..]));
    }

    #[test]
    fn what_is_wrapped_unwraps() {
        let mut stream = RtxStream::new(7, 97, 0xffff);
        let media = HeadFields {
            marker: true,
            payload_type: 96,
            sequence: 0x1234,
            timestamp: 9,
            ssrc: 5,
            padding: false,
        };
        for expect in [0xffff, 0] {
            let (fields, osn) = stream.wrap(&media);
            let head = HeadFields { ssrc: 7, payload_type: 97, sequence: expect, ..media };
            assert_eq!((fields, osn), (head, [0x12, 0x34]));
        }
    }

    #[test]
    fn what_repeats_nothing_is_refused() {
        let check = |bytes: &[u8], expect| {
            let mut packet = bytes.to_vec();
            assert_eq!(unwrap_in_place(&mut packet, 1, 96), Err(expect), "{bytes:02x?}");
            assert_eq!(packet, bytes);
        };
        let header = [0x80, 97, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        check(&header[..11], RtxError::Rtp(RtpError::Short));
        check(&header, RtxError::Empty);
        check(&[&header[..], &[0]].concat(), RtxError::Empty);
        // Padding is no payload.
        check(&[&[0xa0], &header[1..], &[0, 0, 3]].concat(), RtxError::Empty);
        let mut smallest = [&header[..], &[0xab, 0xcd]].concat();
        assert_eq!(unwrap_in_place(&mut smallest, 1, 96), Ok(2));
        let view = RtpView::parse(&smallest[2..]).expect("valid");
        assert_eq!((view.sequence(), view.payload()), (0xabcd, &[][..]));
    }
}
