//! RTP: what is accepted, where its parts lie, and that a rewrite changes only what it says.

use ringway_wire::frame_trailer::without_trailer;
use ringway_wire::{HeaderRewrite, RtpError, RtpView};

/// Parses `data` as RTP, compares with a slow second reading, then rewrites the header and parses
/// again.
pub fn rtp(data: &[u8]) {
    let view = match (RtpView::parse(data), layout(data)) {
        (Err(found), Err(expect)) => return assert_eq!(found, expect),
        (Err(found), Ok(_)) => panic!("a valid packet was refused: {found}"),
        (Ok(_), Err(expect)) => panic!("accepted in spite of: {expect}"),
        (Ok(view), Ok((header_len, padding))) => {
            assert_eq!((view.header_len(), view.padding()), (header_len, padding));
            view
        }
    };
    assert_eq!(view.payload_range(), view.header_len()..data.len() - view.padding());
    assert_eq!(view.payload(), &data[view.payload_range()]);
    let cut = view.payload().len() - without_trailer(view.payload()).len();
    assert!(view.payload().starts_with(without_trailer(view.payload())));
    assert!(cut == 0 || (5..=255).contains(&cut) && view.payload().ends_with(b"LKTS"));
    assert_eq!(view.csrcs().count(), view.csrc_count());
    let extension_len = view.extension().map_or(0, |extension| 4 + extension.data.len());
    assert_eq!(view.header_len(), 12 + 4 * view.csrc_count() + extension_len);
    check_rewrite(data, &view, rewrite_from(data));
}

/// Length of header and padding by RFC 3550 section 5.1, written without regard for speed.
fn layout(data: &[u8]) -> Result<(usize, usize), RtpError> {
    if data.len() < 12 {
        return Err(RtpError::Short);
    }
    if data[0] >> 6 != 2 {
        return Err(RtpError::Version);
    }
    let mut header_len = 12 + 4 * usize::from(data[0] & 0x0f);
    if data[0] & 0x10 != 0 {
        let length = data.get(header_len + 2..header_len + 4).ok_or(RtpError::Header)?;
        header_len += 4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    let payload = data.get(header_len..).ok_or(RtpError::Header)?;
    if data[0] & 0x20 == 0 {
        return Ok((header_len, 0));
    }
    match payload.last() {
        Some(&count) if (1..=payload.len()).contains(&usize::from(count)) => {
            Ok((header_len, usize::from(count)))
        }
        _ => Err(RtpError::Header),
    }
}

/// Some rewrite that the last bytes of `data` choose.
fn rewrite_from(data: &[u8]) -> HeaderRewrite {
    let [flags, payload_type, a, b, c, d, e, f, g, h, i, j] =
        *data.last_chunk().expect("a parsed packet has twelve bytes");
    HeaderRewrite {
        ssrc: (flags & 1 != 0).then_some(u32::from_be_bytes([a, b, c, d])),
        payload_type: (flags & 2 != 0).then_some(payload_type),
        sequence_delta: u16::from_be_bytes([e, f]),
        timestamp_delta: u32::from_be_bytes([g, h, i, j]),
    }
}

fn check_rewrite(data: &[u8], before: &RtpView<'_>, rewrite: HeaderRewrite) {
    let mut rewritten = data.to_vec();
    rewrite.apply(rewritten.first_chunk_mut().expect("a parsed packet has a header"));
    assert_eq!(rewritten[12..], data[12..]);
    let after = RtpView::parse(&rewritten).expect("a rewritten packet stays valid");
    assert_eq!(after.payload_range(), before.payload_range());
    assert_eq!(after.marker(), before.marker());
    assert_eq!(after.ssrc(), rewrite.ssrc.unwrap_or(before.ssrc()));
    let payload_type = rewrite.payload_type.map_or(before.payload_type(), |pt| pt & 0x7f);
    assert_eq!(after.payload_type(), payload_type);
    assert_eq!(after.sequence().wrapping_sub(before.sequence()), rewrite.sequence_delta);
    assert_eq!(after.timestamp().wrapping_sub(before.timestamp()), rewrite.timestamp_delta);
    if rewrite.is_identity() {
        assert_eq!(rewritten, data);
    }
}
