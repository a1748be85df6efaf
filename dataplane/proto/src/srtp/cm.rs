//! The transform of RFC 3711: AES in counter mode, authenticated by HMAC-SHA1 cut to 80 bits.
//!
//! It costs about five times as much as AES-GCM and is for peers that have nothing else.

use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::header::{RTCP_CLEAR_BYTES, RTCP_ENCRYPTED};
use super::keys::{SALT_BYTES, apply_key_stream};
use super::seal::RtpParts;

/// Bytes of a tag.
pub(super) const TAG_BYTES: usize = 10;

/// One direction of RTP or of RTCP.
pub(super) struct CmCipher {
    key: EncryptingKey,
    salt: [u8; SALT_BYTES],
    authentication: hmac::Key,
}

impl CmCipher {
    pub(super) fn new(
        key: EncryptingKey,
        salt: [u8; SALT_BYTES],
        authentication: hmac::Key,
    ) -> Self {
        Self { key, salt, authentication }
    }

    // RFC 3711 4.1.1: IV = (salt * 2^16) XOR (SSRC * 2^64) XOR (index * 2^16).
    fn apply(&self, ssrc: u32, index: u64, bytes: &mut [u8]) -> Option<()> {
        let mut salt = [0; 16];
        salt[..SALT_BYTES].copy_from_slice(&self.salt);
        let number = u128::from(ssrc) << 64 | u128::from(index & 0xffff_ffff_ffff) << 16;
        let counter = (u128::from_be_bytes(salt) ^ number).to_be_bytes();
        apply_key_stream(&self.key, counter, bytes).ok()
    }

    fn tag(&self, authenticated: &[u8], trailer: &[u8]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(authenticated);
        if !trailer.is_empty() {
            context.update(trailer);
        }
        let tag = context.sign();
        *tag.as_ref().first_chunk().expect("SHA-1 has 20 bytes")
    }

    // RFC 3711 4.2: what is authenticated is the packet and the roll-over counter.
    fn rtp_tag(&self, index: u64, packet: &[u8]) -> [u8; TAG_BYTES] {
        self.tag(packet, &((index >> 16) as u32).to_be_bytes())
    }

    /// Opens in place what follows the header; gives the length of the packet without its tag.
    pub(super) fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
    ) -> Option<usize> {
        let (packet, tag) = packet.split_last_chunk_mut::<TAG_BYTES>()?;
        verify_slices_are_equal(&self.rtp_tag(index, packet), tag).ok()?;
        self.apply(ssrc, index, packet.get_mut(header_len..)?)?;
        Some(packet.len())
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
        verify_slices_are_equal(&self.rtp_tag(index, packet), tag).ok()?;
        let out = out.get_mut(..packet.len())?;
        out.copy_from_slice(packet);
        self.apply(ssrc, index, out.get_mut(header_len..)?)?;
        Some(packet.len())
    }

    /// Seals `parts` into `out`, which has exactly their length and that of a tag.
    pub(super) fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        parts: &RtpParts<'_>,
        out: &mut [u8],
    ) -> Option<()> {
        let (packet, tag) = out.split_last_chunk_mut::<TAG_BYTES>()?;
        let (header, body) = packet.split_at_mut_checked(parts.header.len())?;
        header.copy_from_slice(parts.header);
        parts.copy_body(body)?;
        self.apply(ssrc, index, body)?;
        *tag = self.rtp_tag(index, packet);
        Some(())
    }

    /// Opens an SRTCP packet in place; gives its length without index and tag.
    pub(super) fn open_rtcp(&self, ssrc: u32, index: u32, packet: &mut [u8]) -> Option<usize> {
        let (packet, tag) = packet.split_last_chunk_mut::<TAG_BYTES>()?;
        verify_slices_are_equal(&self.tag(packet, &[]), tag).ok()?;
        let end = packet.len().checked_sub(4)?;
        self.apply(ssrc, index.into(), packet.get_mut(RTCP_CLEAR_BYTES..end)?)?;
        Some(end)
    }

    /// Seals the RTCP packet that fills `out` but for the room for index and tag.
    pub(super) fn seal_rtcp(&self, ssrc: u32, index: u32, out: &mut [u8]) -> Option<()> {
        let (packet, tag) = out.split_last_chunk_mut::<TAG_BYTES>()?;
        let (text, word) = packet.split_last_chunk_mut::<4>()?;
        self.apply(ssrc, index.into(), text.get_mut(RTCP_CLEAR_BYTES..)?)?;
        *word = (RTCP_ENCRYPTED | index).to_be_bytes();
        *tag = self.tag(packet, &[]);
        Some(())
    }
}
