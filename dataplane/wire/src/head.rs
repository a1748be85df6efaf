//! The head of a packet on its way to the next hop: a new RTP header with the extensions that the
//! receiving transport agreed on (RFC 3550 section 5.1, RFC 8285).
//!
//! A forwarded packet is this head, written out of place for each receiver, and the payload, which
//! all receivers share. The head may end with octets that stand before the shared payload: the
//! original sequence number of RFC 4588, a payload descriptor that was renumbered.

use crate::extension::{MAX_ONE_BYTE_ID, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
use crate::rtp::FIXED_HEADER_BYTES;

/// The fixed header's fields as the receiver shall see them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeadFields {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Whether padding ends the packet; the caller appends it.
    pub padding: bool,
}

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadForm {
    /// One-byte elements: ids 1–14, 1–16 octets each.
    OneByte,
    /// Two-byte elements: ids 1–255, up to 255 octets each.
    TwoByte,
}

impl HeadForm {
    /// Whether an element fits the form (RFC 8285 sections 4.2 and 4.3).
    #[inline]
    pub const fn fits(self, id: u8, len: usize) -> bool {
        match self {
            Self::OneByte => id >= 1 && id <= MAX_ONE_BYTE_ID && len >= 1 && len <= 16,
            Self::TwoByte => id >= 1 && len <= 255,
        }
    }
}

/// A head being written into a buffer.
#[derive(Debug)]
pub struct HeadWriter<'a> {
    out: &'a mut [u8],
    len: usize,
    /// Where the extension begins, its four octets of profile and length included.
    extension: usize,
    form: HeadForm,
}

impl<'a> HeadWriter<'a> {
    /// Writes the fixed header and the contributing sources `csrcs`, whole words as they stood in
    /// the packet received, at most 15. `None` where `out` is too small.
    #[inline]
    pub fn begin(
        out: &'a mut [u8],
        fields: &HeadFields,
        csrcs: &[u8],
        form: HeadForm,
    ) -> Option<Self> {
        let words = csrcs.len() / 4;
        if words > 15 || !csrcs.len().is_multiple_of(4) {
            return None;
        }
        let len = FIXED_HEADER_BYTES + csrcs.len();
        let (fixed, rest) = out.get_mut(..len)?.split_first_chunk_mut::<FIXED_HEADER_BYTES>()?;
        fixed[0] = 0x80 | u8::from(fields.padding) << 5 | words as u8;
        fixed[1] = u8::from(fields.marker) << 7 | fields.payload_type & 0x7f;
        fixed[2..4].copy_from_slice(&fields.sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&fields.ssrc.to_be_bytes());
        rest.copy_from_slice(csrcs);
        Some(Self { out, len, extension: len, form })
    }

    /// Adds an element; gives where its data lies in the buffer. `None`, and nothing added, where
    /// the element does not fit the form or the buffer.
    #[inline]
    pub fn put(&mut self, id: u8, data: &[u8]) -> Option<std::ops::Range<usize>> {
        if !self.form.fits(id, data.len()) {
            return None;
        }
        let first = self.len == self.extension;
        let start = if first { self.extension + 4 } else { self.len };
        let offset = match self.form {
            HeadForm::OneByte => start + 1,
            HeadForm::TwoByte => start + 2,
        };
        let end = offset + data.len();
        // The padding that `end` adds must fit too.
        if end.next_multiple_of(4) > self.out.len() {
            return None;
        }
        match self.form {
            HeadForm::OneByte => self.out[start] = id << 4 | (data.len() - 1) as u8,
            HeadForm::TwoByte => {
                self.out[start] = id;
                self.out[start + 1] = data.len() as u8;
            }
        }
        self.out[offset..end].copy_from_slice(data);
        self.len = end;
        Some(offset..end)
    }

    /// Adds an element like [`Self::put`] and lets `change` work on its data in the buffer.
    #[inline]
    pub fn put_with(&mut self, id: u8, data: &[u8], change: impl FnOnce(&mut [u8])) -> bool {
        let Some(range) = self.put(id, data) else { return false };
        change(&mut self.out[range]);
        true
    }

    /// Completes the header; gives the bytes written. Without elements there is no extension.
    #[inline]
    pub fn end(self) -> usize {
        if self.len == self.extension {
            return self.len;
        }
        // RFC 8285 4.1.2: the block is padded with zeros to a whole word.
        let len = self.len.next_multiple_of(4);
        self.out[self.len..len].fill(0);
        let profile = match self.form {
            HeadForm::OneByte => ONE_BYTE_PROFILE,
            HeadForm::TwoByte => TWO_BYTE_PROFILE,
        };
        let words = ((len - self.extension - 4) / 4) as u16;
        self.out[0] |= 0x10;
        self.out[self.extension..][..2].copy_from_slice(&profile.to_be_bytes());
        self.out[self.extension + 2..][..2].copy_from_slice(&words.to_be_bytes());
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Elements;
    use crate::rtp::RtpView;
    use proptest::prelude::*;

    const FIELDS: HeadFields = HeadFields {
        marker: true,
        payload_type: 111,
        sequence: 0x0102,
        timestamp: 0x0304_0506,
        ssrc: 0x0708_090a,
        padding: false,
    };

    const FIXED: [u8; 12] = [0x80, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    fn check(form: HeadForm, csrcs: &[u8], elements: &[(u8, &[u8])], first: u8, rest: &[u8]) {
        let mut out = [0xaa; 64];
        let mut head = HeadWriter::begin(&mut out, &FIELDS, csrcs, form).expect("room");
        for (id, data) in elements {
            let _ = head.put(*id, data);
        }
        let len = head.end();
        assert_eq!(out[0], first);
        assert_eq!(out[1..12], FIXED[1..]);
        assert_eq!(out[12..len], *rest, "{elements:02x?}");
        assert!(out[len..].iter().all(|&octet| octet == 0xaa));
    }

    #[test]
    fn heads() {
        use HeadForm::{OneByte, TwoByte};
        check(OneByte, &[], &[], 0x80, &[]);
        check(OneByte, &[0, 0, 0, 7], &[], 0x81, &[0, 0, 0, 7]);
        check(OneByte, &[], &[(1, b"0")], 0x90, &[0xbe, 0xde, 0, 1, 0x10, b'0', 0, 0]);
        check(OneByte, &[], &[(3, &[1, 2, 3])], 0x90, &[0xbe, 0xde, 0, 1, 0x32, 1, 2, 3]);
        check(
            OneByte,
            &[9; 8],
            &[(14, &[1, 2]), (1, b"10")],
            0x92,
            &[9, 9, 9, 9, 9, 9, 9, 9, 0xbe, 0xde, 0, 2, 0xe1, 1, 2, 0x11, b'1', b'0', 0, 0],
        );
        check(TwoByte, &[], &[(200, &[])], 0x90, &[0x10, 0, 0, 1, 200, 0, 0, 0]);
        check(TwoByte, &[], &[(1, &[5, 6])], 0x90, &[0x10, 0, 0, 1, 1, 2, 5, 6]);
        // What does not fit the form is left out.
        check(OneByte, &[], &[(15, b"0"), (0, b"0"), (1, b""), (1, &[0; 17])], 0x80, &[]);
        check(TwoByte, &[], &[(0, b"0")], 0x80, &[]);
    }

    #[test]
    fn small_buffers_are_refused() {
        let mut out = [0; 20];
        assert!(HeadWriter::begin(&mut out[..11], &FIELDS, &[], HeadForm::OneByte).is_none());
        assert!(HeadWriter::begin(&mut out, &FIELDS, &[0; 12], HeadForm::OneByte).is_none());
        assert!(HeadWriter::begin(&mut out, &FIELDS, &[0; 3], HeadForm::OneByte).is_none());
        assert!(HeadWriter::begin(&mut [0; 99], &FIELDS, &[0; 64], HeadForm::OneByte).is_none());
        let mut head = HeadWriter::begin(&mut out, &FIELDS, &[], HeadForm::OneByte).expect("room");
        assert_eq!(head.put(1, &[0; 4]), None);
        assert_eq!(head.put(1, &[0; 3]), Some(17..20));
        assert_eq!(head.put(1, &[0]), None);
        assert_eq!(head.end(), 20);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            two_byte in any::<bool>(),
            csrcs in 0usize..=15,
            elements in prop::collection::vec(
                (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
            room in 0usize..400,
        ) {
            let form = if two_byte { HeadForm::TwoByte } else { HeadForm::OneByte };
            let mut out = vec![0xaa; room];
            let csrcs = vec![0x11; csrcs * 4];
            let Some(mut head) = HeadWriter::begin(&mut out, &FIELDS, &csrcs, form) else {
                prop_assert!(room < 12 + csrcs.len());
                return Ok(());
            };
            let mut expect = Vec::new();
            for (id, data) in &elements {
                if head.put(*id, data).is_some() {
                    expect.push((*id, &data[..]));
                }
            }
            let len = head.end();
            let view = RtpView::parse(&out[..len]).expect("a valid packet");
            prop_assert_eq!(view.header_len(), len);
            prop_assert_eq!(view.sequence(), FIELDS.sequence);
            prop_assert_eq!(view.csrc_count() * 4, csrcs.len());
            let found: Vec<_> = view.extension().map_or(Vec::new(), |extension| {
                Elements::new(extension.profile, extension.data).map(|e| (e.id, e.data)).collect()
            });
            prop_assert_eq!(found, expect);
        }
    }
}
