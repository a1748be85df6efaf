//! SRTP and SRTCP of one transport: RFC 3711, with the AEAD profiles of RFC 7714.
//!
//! [`SrtpOpener`] is for what the peer sends: it guesses the packet index, refuses what was seen
//! before, and opens in the receive buffer. [`SrtpSealer`] is for what we send: the caller knows
//! the index, so that a packet sent again an hour later is sealed right, and the seal itself is
//! the copy from the shared plaintext into the subscriber's run. Keys and their schedules are made
//! once; after that nothing is allocated per packet, only per new SSRC of a peer that proved
//! itself.
//!
//! Not here: who may send which SSRC (that is `sfu`), and where the keys come from (`dtls`).

mod cm;
mod gcm;
mod header;
mod keys;
mod open;
mod replay;
mod seal;
mod streams;

#[cfg(test)]
mod tests;

pub use keys::{MasterKey, MasterKeys, SrtpProfile};
pub use open::{OpenedRtp, SrtpOpener};
pub use replay::RTP_WINDOW_PACKETS;
pub use seal::{PacketIndex, RtpParts, SealError, SrtpSealer};
pub use streams::MAX_STREAMS;

/// Why a packet was not opened. Each variant is one drop reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SrtpDrop {
    /// Too short, not version 2, or a header that reaches over the end.
    #[error("not an SRTP packet")]
    Malformed,
    /// Its index was opened before.
    #[error("an SRTP packet that came before")]
    Replayed,
    /// Further behind than the replay window remembers.
    #[error("an SRTP packet older than the replay window")]
    Old,
    /// The tag is wrong: forged, damaged, for other keys, or of another roll-over.
    #[error("an SRTP packet with a wrong tag")]
    Forged,
    /// SRTCP without encryption, which RFC 8827 6.5 rules out.
    #[error("an SRTCP packet in the clear")]
    Clear,
    /// A new SSRC while [`MAX_STREAMS`] others are in use.
    #[error("too many SSRCs in one SRTP session")]
    Streams,
}
