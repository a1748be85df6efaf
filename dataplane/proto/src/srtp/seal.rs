//! What we send: the caller says which packet it is, the seal writes it where it will be sent from.

use super::header::{ClearHeader, rtcp_ssrc};
use super::keys::{Cipher, MasterKey, SrtpProfile};

/// SRTCP indices have 31 bits (RFC 3711 3.4); a session never comes near.
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// Which packet of its SSRC it is: the roll-over counter and, below, the sequence number.
///
/// **Two different packets of one SSRC must never have the same index**: with AES-GCM that gives
/// the keys away, even if only a header extension differs. A retransmission on the SSRC of the
/// original is the same bytes again, or it goes out as RTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketIndex(u64);

impl PacketIndex {
    /// The packet `sequence` after `rollovers` wraps; the first packet of an SSRC has none behind
    /// it (RFC 3711 3.3.1).
    pub const fn new(rollovers: u32, sequence: u16) -> Self {
        Self((rollovers as u64) << 16 | sequence as u64)
    }

    /// From a number of `ringway_wire::sequence::ExtendedSequence`, which begin at 2^32 + first.
    pub const fn from_extended(extended: u64) -> Self {
        Self(extended.wrapping_sub(1 << 32) & 0xffff_ffff_ffff)
    }

    /// Roll-over counter and sequence number as one number of 48 bits.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// An RTP packet in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct RtpParts<'a> {
    /// The header with CSRCs and extension, as it will be sent.
    pub header: &'a [u8],
    /// What goes before the payload: the original sequence number of RTX (RFC 4588), a payload
    /// descriptor that was rewritten. Empty where possible: with it the payload is copied once.
    pub prefix: &'a [u8],
    /// The payload, shared by all who get it.
    pub payload: &'a [u8],
    /// What goes behind it: padding, whose count is its last byte, when the header says so.
    pub suffix: &'a [u8],
}

impl RtpParts<'_> {
    /// Bytes of the packet before it is sealed.
    pub fn len(&self) -> usize {
        self.header.len() + self.prefix.len() + self.payload.len() + self.suffix.len()
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything but the header, one after the other, into `body`.
    pub(super) fn copy_body(&self, body: &mut [u8]) -> Option<()> {
        let (prefix, rest) = body.split_at_mut_checked(self.prefix.len())?;
        let (payload, suffix) = rest.split_at_mut_checked(self.payload.len())?;
        if suffix.len() != self.suffix.len() {
            return None;
        }
        prefix.copy_from_slice(self.prefix);
        payload.copy_from_slice(self.payload);
        suffix.copy_from_slice(self.suffix);
        Some(())
    }
}

/// Why nothing was sealed. The output holds nothing of use then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The buffer is too small.
    #[error("a sealed packet of {needed} bytes does not fit into {available}")]
    Room {
        /// Bytes of the sealed packet.
        needed: usize,
        /// Bytes of the buffer.
        available: usize,
    },
    /// The header is no header, is not all header, or has another sequence number than the index.
    #[error("not the header of the packet that is to be sealed")]
    Header,
    /// The keys are used up, or AES refused.
    #[error("the keys of the session are used up")]
    Exhausted,
}

/// The sending half of an SRTP session. It remembers nothing of RTP packets.
pub struct SrtpSealer {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    next_rtcp_index: u32,
}

impl SrtpSealer {
    /// Seals with `master`.
    pub fn new(master: &MasterKey) -> Self {
        Self::with_ciphers(master.profile(), master.rtp(), master.rtcp())
    }

    pub(super) fn with_ciphers(profile: SrtpProfile, rtp: Cipher, rtcp: Cipher) -> Self {
        // RFC 3711 3.4: the index "MUST be set to zero before the first SRTCP packet is sent, and
        // MUST be incremented by one, modulo 2^31, after each"; like others we begin with one.
        Self { profile, rtp, rtcp, next_rtcp_index: 1 }
    }

    /// The profile of its keys.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Seals `header` and `payload` into the start of `out`; gives the length.
    pub fn seal_into(
        &self,
        index: PacketIndex,
        header: &[u8],
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        self.seal_parts_into(index, &RtpParts { header, payload, ..RtpParts::default() }, out)
    }

    /// Seals a packet into the start of `out`; gives the length, which is that of the parts and
    /// [`SrtpProfile::rtp_overhead`]. The parts stay as they are.
    pub fn seal_parts_into(
        &self,
        index: PacketIndex,
        parts: &RtpParts<'_>,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let header = ClearHeader::parse(parts.header).ok_or(SealError::Header)?;
        if header.len != parts.header.len() || header.sequence != index.0 as u16 {
            return Err(SealError::Header);
        }
        let (ssrc, index) = (header.ssrc, index.0);
        let out = room(out, parts.len() + self.profile.rtp_overhead())?;
        let sealed = match &self.rtp {
            Cipher::Gcm(cipher) => cipher.seal_rtp(ssrc, index, parts, out),
            Cipher::Cm(cipher) => cipher.seal_rtp(ssrc, index, parts, out),
        };
        sealed.map(|()| out.len()).ok_or(SealError::Exhausted)
    }

    /// Seals the RTCP packet `rtcp`, compound or not, into the start of `out`; gives the length,
    /// which is that of the packet and [`SrtpProfile::rtcp_overhead`].
    pub fn seal_rtcp_into(&mut self, rtcp: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        room(out, rtcp.len() + self.profile.rtcp_overhead())?[..rtcp.len()].copy_from_slice(rtcp);
        self.seal_rtcp_in_place(rtcp.len(), out)
    }

    /// Seals the RTCP packet in the first `len` bytes of `buffer`; gives the new length.
    pub fn seal_rtcp_in_place(
        &mut self,
        len: usize,
        buffer: &mut [u8],
    ) -> Result<usize, SealError> {
        let out = room(buffer, len + self.profile.rtcp_overhead())?;
        let ssrc = out.get(..len).and_then(rtcp_ssrc).ok_or(SealError::Header)?;
        let index = self.next_rtcp_index;
        if index > MAX_RTCP_INDEX {
            return Err(SealError::Exhausted);
        }
        self.next_rtcp_index += 1;
        let sealed = match &self.rtcp {
            Cipher::Gcm(cipher) => cipher.seal_rtcp(ssrc, index, out),
            Cipher::Cm(cipher) => cipher.seal_rtcp(ssrc, index, out),
        };
        sealed.map(|()| out.len()).ok_or(SealError::Exhausted)
    }

    #[cfg(test)]
    pub(super) fn set_rtcp_index(&mut self, index: u32) {
        self.next_rtcp_index = index;
    }
}

fn room(out: &mut [u8], needed: usize) -> Result<&mut [u8], SealError> {
    let available = out.len();
    out.get_mut(..needed).ok_or(SealError::Room { needed, available })
}
