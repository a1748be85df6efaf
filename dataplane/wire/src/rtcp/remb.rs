//! Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 section 2.2).

use super::{RawPacket, RtcpError};

/// Feedback format of application-layer feedback (RFC 4585 section 6.4).
pub(super) const REMB_FORMAT: u8 = 15;

/// Octets before the SSRCs: two SSRCs, the name, count, exponent and mantissa.
const FIXED_BYTES: usize = 16;

/// The unique identifier.
pub(super) const NAME: [u8; 4] = *b"REMB";

/// Bits of the mantissa.
const MANTISSA_BITS: u32 = 18;

/// What a receiver believes the path can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remb<'a> {
    /// Who estimates.
    pub sender_ssrc: u32,
    /// The estimate for all streams together, bits/s; saturates.
    pub bitrate_bps: u64,
    ssrcs: &'a [[u8; 4]],
}

impl<'a> Remb<'a> {
    /// Reads application-layer feedback; `None` for that of another application.
    pub(super) fn read(raw: RawPacket<'a>) -> Result<Option<Self>, RtcpError> {
        let Some((fixed, rest)) = raw.body().split_first_chunk::<FIXED_BYTES>() else {
            return Ok(None);
        };
        if fixed[8..12] != NAME {
            return Ok(None);
        }
        let [a, b, c, d] = [fixed[12], fixed[13], fixed[14], fixed[15]];
        let mantissa = u64::from(b & 0x03) << 16 | u64::from(c) << 8 | u64::from(d);
        let ssrcs = rest.as_chunks().0.get(..usize::from(a)).ok_or(RtcpError::Content)?;
        Ok(Some(Self {
            sender_ssrc: u32::from_be_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]),
            bitrate_bps: shift(mantissa, u32::from(b >> 2)),
            ssrcs,
        }))
    }

    /// The streams that the estimate is for; possibly none.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.ssrcs.iter().map(|ssrc| u32::from_be_bytes(*ssrc))
    }
}

/// `mantissa` · 2^`exponent`, at most `u64::MAX`.
fn shift(mantissa: u64, exponent: u32) -> u64 {
    if mantissa != 0 && exponent > mantissa.leading_zeros() {
        return u64::MAX;
    }
    mantissa << exponent
}

/// Exponent and mantissa of `bitrate_bps`, rounded down.
pub(super) fn exponent_and_mantissa(bitrate_bps: u64) -> [u8; 3] {
    let exponent = (u64::BITS - bitrate_bps.leading_zeros()).saturating_sub(MANTISSA_BITS);
    let mantissa = bitrate_bps >> exponent;
    [(exponent << 2) as u8 | (mantissa >> 16) as u8, (mantissa >> 8) as u8, mantissa as u8]
}
