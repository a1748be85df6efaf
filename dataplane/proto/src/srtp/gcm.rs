//! The AEAD transform of RFC 7714: AES-GCM with a tag of 16 bytes.

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};

use super::header::{RTCP_CLEAR_BYTES, RTCP_ENCRYPTED};
use super::seal::RtpParts;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 16;

const NONCE_BYTES: usize = 12;

/// One direction of RTP or of RTCP.
pub(super) struct GcmCipher {
    key: LessSafeKey,
    salt: [u8; NONCE_BYTES],
}

impl GcmCipher {
    pub(super) fn new(key: LessSafeKey, salt: [u8; NONCE_BYTES]) -> Self {
        Self { key, salt }
    }

    // RFC 7714 8.1: two zero bytes, the SSRC, the roll-over counter and the sequence number, XOR'ed
    // with the salt. RFC 7714 9.1, for SRTCP: two zero bytes, the SSRC, two zero bytes, and the
    // index. Both are the SSRC and an index of 48 bits.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut nonce = self.salt;
        let number = u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff);
        for (byte, other) in nonce.iter_mut().zip(&number.to_be_bytes()[4..]) {
            *byte ^= other;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Opens in place what follows the header; gives the length of the packet without its tag.
    pub(super) fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
    ) -> Option<usize> {
        let (header, body) = packet.split_at_mut_checked(header_len)?;
        let opened = self.key.open_in_place(self.nonce(ssrc, index), Aad::from(&*header), body);
        Some(header.len() + opened.ok()?.len())
    }

    /// Opens `packet` into `out`, header included; gives the length of the packet without its tag.
    pub(super) fn open_rtp_into(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        packet: &[u8],
        out: &mut [u8],
    ) -> Option<usize> {
        let (packet, tag) = packet.split_last_chunk::<TAG_BYTES>()?;
        let (header, sealed) = packet.split_at_checked(header_len)?;
        let (out_header, text) = out.get_mut(..packet.len())?.split_at_mut(header_len);
        out_header.copy_from_slice(header);
        let (nonce, aad) = (self.nonce(ssrc, index), Aad::from(header));
        self.key.open_separate_gather(nonce, aad, sealed, tag, text).ok()?;
        Some(packet.len())
    }

    /// Seals `parts` into `out`, which has exactly their length and that of a tag.
    ///
    /// Without a prefix the cipher reads the shared payload and writes to `out`: no copy is made.
    pub(super) fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        parts: &RtpParts<'_>,
        out: &mut [u8],
    ) -> Option<()> {
        let nonce = self.nonce(ssrc, index);
        let (header, body) = out.split_at_mut_checked(parts.header.len())?;
        header.copy_from_slice(parts.header);
        let aad = Aad::from(&*header);
        if parts.prefix.is_empty() {
            let (text, rest) = body.split_at_mut_checked(parts.payload.len())?;
            let (payload, suffix) = (parts.payload, parts.suffix);
            return self
                .key
                .seal_out_of_place_scatter(nonce, aad, payload, text, suffix, rest)
                .ok();
        }
        let (text, tag) = body.split_at_mut_checked(body.len().checked_sub(TAG_BYTES)?)?;
        parts.copy_body(text)?;
        self.key.seal_in_place_scatter(nonce, aad, text, &[], tag).ok()
    }

    /// Opens an SRTCP packet in place; gives its length without tag and index.
    pub(super) fn open_rtcp(&self, ssrc: u32, index: u32, packet: &mut [u8]) -> Option<usize> {
        let aad = rtcp_aad(packet, index)?;
        let end = packet.len().checked_sub(4)?;
        let body = packet.get_mut(RTCP_CLEAR_BYTES..end)?;
        let nonce = self.nonce(ssrc, index.into());
        let opened = self.key.open_in_place(nonce, Aad::from(aad), body).ok()?;
        Some(RTCP_CLEAR_BYTES + opened.len())
    }

    /// Seals the RTCP packet that fills `out` but for the room for tag and index.
    pub(super) fn seal_rtcp(&self, ssrc: u32, index: u32, out: &mut [u8]) -> Option<()> {
        let aad = rtcp_aad(out, index)?;
        let (packet, trailer) = out.split_at_mut_checked(out.len().checked_sub(TAG_BYTES + 4)?)?;
        let text = packet.get_mut(RTCP_CLEAR_BYTES..)?;
        let (tag, word) = trailer.split_at_mut_checked(TAG_BYTES)?;
        let nonce = self.nonce(ssrc, index.into());
        self.key.seal_in_place_scatter(nonce, Aad::from(aad), text, &[], tag).ok()?;
        word.copy_from_slice(&(RTCP_ENCRYPTED | index).to_be_bytes());
        Some(())
    }
}

// RFC 7714 9.2: the first eight bytes, then the word with the encryption flag and the index.
fn rtcp_aad(packet: &[u8], index: u32) -> Option<[u8; 12]> {
    let mut aad = [0; 12];
    aad[..8].copy_from_slice(packet.get(..RTCP_CLEAR_BYTES)?);
    aad[8..].copy_from_slice(&(RTCP_ENCRYPTED | index).to_be_bytes());
    Some(aad)
}
