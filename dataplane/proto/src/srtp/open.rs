//! What the peer sends: index, replay, tag, and the plaintext in place.

use ringway_wire::sequence::distance;

use super::header::{ClearHeader, RTCP_CLEAR_BYTES, RTCP_ENCRYPTED, rtcp_ssrc};
use super::keys::{Cipher, MasterKey, SrtpProfile};
use super::replay::{RTCP_WORDS, RTP_WORDS};
use super::streams::{Place, Streams};
use super::{SrtpDrop, cm, gcm};

/// An RTP packet that was opened in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenedRtp {
    /// Bytes of the packet without its tag, from the start of the buffer.
    pub len: usize,
    /// Bytes of the header with CSRCs and extension.
    pub header_len: usize,
    /// The SSRC.
    pub ssrc: u32,
    /// Roll-over counter and sequence number: 48 bits that never wrap.
    pub index: u64,
}

/// The receiving half of an SRTP session.
///
/// Everything that comes in costs a look into a short table and at most one tag; nothing is
/// remembered of a packet whose tag is wrong.
pub struct SrtpOpener {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: Streams<RTP_WORDS>,
    rtcp_streams: Streams<RTCP_WORDS>,
}

impl SrtpOpener {
    /// Opens what was sealed with `master`.
    pub fn new(master: &MasterKey) -> Self {
        Self::with_ciphers(master.profile(), master.rtp(), master.rtcp())
    }

    pub(super) fn with_ciphers(profile: SrtpProfile, rtp: Cipher, rtcp: Cipher) -> Self {
        let (rtp_streams, rtcp_streams) = (Streams::default(), Streams::default());
        Self { profile, rtp, rtcp, rtp_streams, rtcp_streams }
    }

    /// The profile of its keys.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Opens an RTP packet in place.
    ///
    /// When it fails the packet may be overwritten, and must not be used.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<OpenedRtp, SrtpDrop> {
        let (header, place, index) = self.admit(packet)?;
        let len = match &self.rtp {
            Cipher::Gcm(cipher) => cipher.open_rtp(header.ssrc, index, header.len, packet),
            Cipher::Cm(cipher) => cipher.open_rtp(header.ssrc, index, header.len, packet),
        };
        self.opened(&header, place, index, len)
    }

    /// Opens an RTP packet into the start of `out`, which must have room for it without its tag;
    /// the packet stays as it is.
    ///
    /// When it fails nothing in `out` must be used.
    pub fn open_rtp_into(&mut self, packet: &[u8], out: &mut [u8]) -> Result<OpenedRtp, SrtpDrop> {
        let (header, place, index) = self.admit(packet)?;
        let (ssrc, header_len) = (header.ssrc, header.len);
        let len = match &self.rtp {
            Cipher::Gcm(cipher) => cipher.open_rtp_into(ssrc, index, header_len, packet, out),
            Cipher::Cm(cipher) => cipher.open_rtp_into(ssrc, index, header_len, packet, out),
        };
        self.opened(&header, place, index, len)
    }

    /// Everything that can be said without its keys: whether it may be opened, and its index.
    fn admit(&mut self, packet: &[u8]) -> Result<(ClearHeader, Place, u64), SrtpDrop> {
        let header = ClearHeader::parse(packet).ok_or(SrtpDrop::Malformed)?;
        if packet.len() < header.len + self.profile.rtp_overhead() {
            return Err(SrtpDrop::Malformed);
        }
        let place = self.rtp_streams.find(header.ssrc)?;
        let index = match self.rtp_streams.window(place) {
            Some(window) => {
                let index = guess_index(window.highest(), header.sequence).ok_or(SrtpDrop::Old)?;
                window.check(index)?;
                index
            }
            // RFC 3711 3.3.1: the roll-over counter of a new stream is zero.
            None => header.sequence.into(),
        };
        Ok((header, place, index))
    }

    fn opened(
        &mut self,
        header: &ClearHeader,
        place: Place,
        index: u64,
        len: Option<usize>,
    ) -> Result<OpenedRtp, SrtpDrop> {
        let len = len.ok_or(SrtpDrop::Forged)?;
        self.rtp_streams.accept(place, header.ssrc, index);
        Ok(OpenedRtp { len, header_len: header.len, ssrc: header.ssrc, index })
    }

    /// Opens an RTCP packet, compound or not, in place; gives its length without index and tag.
    ///
    /// When it fails the packet may be overwritten, and must not be used.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpDrop> {
        let ssrc = rtcp_ssrc(packet).ok_or(SrtpDrop::Malformed)?;
        let index = self.rtcp_index(packet).ok_or(SrtpDrop::Malformed)?;
        if index & RTCP_ENCRYPTED == 0 {
            return Err(SrtpDrop::Clear);
        }
        let index = index & !RTCP_ENCRYPTED;
        let place = self.rtcp_streams.find(ssrc)?;
        if let Some(window) = self.rtcp_streams.window(place) {
            window.check(index.into())?;
        }
        let len = match &self.rtcp {
            Cipher::Gcm(cipher) => cipher.open_rtcp(ssrc, index, packet),
            Cipher::Cm(cipher) => cipher.open_rtcp(ssrc, index, packet),
        };
        let len = len.ok_or(SrtpDrop::Forged)?;
        self.rtcp_streams.accept(place, ssrc, index.into());
        Ok(len)
    }

    // RFC 3711 3.4: the word is in front of the tag; RFC 7714 9.2: it is the last of the packet.
    fn rtcp_index(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self.rtcp {
            Cipher::Gcm(_) if packet.len() < RTCP_CLEAR_BYTES + gcm::TAG_BYTES + 4 => return None,
            Cipher::Gcm(_) => 0,
            Cipher::Cm(_) if packet.len() < RTCP_CLEAR_BYTES + 4 + cm::TAG_BYTES => return None,
            Cipher::Cm(_) => cm::TAG_BYTES,
        };
        let word = packet.get(..packet.len().checked_sub(behind)?)?.last_chunk()?;
        Some(u32::from_be_bytes(*word))
    }

    /// Forgets an SSRC that the peer no longer uses, so that its place is free.
    pub fn remove(&mut self, ssrc: u32) {
        self.rtp_streams.remove(ssrc);
        self.rtcp_streams.remove(ssrc);
    }

    /// Whether a packet of RTP or RTCP of this SSRC was opened, and is remembered.
    pub fn has_heard(&self, ssrc: u32) -> bool {
        self.rtp_streams.has(ssrc) || self.rtcp_streams.has(ssrc)
    }

    /// How many SSRCs of RTP are remembered.
    pub fn streams(&self) -> usize {
        self.rtp_streams.len()
    }
}

// RFC 3711 3.3.1 and appendix A: of the indices with this sequence number the one nearest to the
// highest. Before roll-over zero there is nothing.
fn guess_index(highest: u64, sequence: u16) -> Option<u64> {
    highest.checked_add_signed(distance(highest as u16, sequence).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_index_is_guessed() {
        for (highest, sequence, expect) in [
            (0, 1, Some(1)),
            (0, 65535, None),
            (100, 32867, Some(32867)),
            (65535, 0, Some(65536)),
            (65536, 65535, Some(65535)),
            (65536 + 40000, 10, Some(2 * 65536 + 10)),
            (65536 + 10, 40000, Some(40000)),
            (7 * 65536 + 5, 6, Some(7 * 65536 + 6)),
        ] {
            assert_eq!(guess_index(highest, sequence), expect, "{highest} {sequence}");
        }
    }
}
