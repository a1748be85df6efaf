//! What packets were stamped with that may have to be sent again without RTX.
//!
//! A packet that comes again under its own SSRC and number must be the same octets: other octets
//! under one number give AES-GCM's keys away. Everything but the stamps is written the same way
//! again. Only video is stamped, and nearly every peer has RTX for it, so that this is rare.

use ringway_proto::srtp::PacketIndex;
use ringway_sfu::call::dress::Stamp;

/// Packets remembered, a power of two; as many as the history keeps of a layer of video.
const STAMPS: usize = 512;

/// The stamps of one subscription.
pub(super) struct Stamps {
    stamps: Box<[(u64, Stamp)]>,
}

impl Default for Stamps {
    fn default() -> Self {
        Self { stamps: vec![(u64::MAX, Stamp::default()); STAMPS].into() }
    }
}

impl Stamps {
    /// Remembers what a packet left with.
    pub(super) fn put(&mut self, index: PacketIndex, stamp: Stamp) {
        let at = index.get() as usize % STAMPS;
        self.stamps[at] = (index.get(), stamp);
    }

    /// What a packet left with.
    pub(super) fn get(&self, index: PacketIndex) -> Option<Stamp> {
        let (number, stamp) = self.stamps[index.get() as usize % STAMPS];
        (number == index.get()).then_some(stamp)
    }
}
