//! The replay list of RFC 3711 3.3.2: which of the latest indices were opened.

use super::SrtpDrop;

/// Packets that may be late and are still taken. Raised: more memory per SSRC (a bit each).
/// Lowered: a retransmission that answers a NACK after half a second of video is thrown away; RFC
/// 3711 asks for 64 at least.
pub const RTP_WINDOW_PACKETS: usize = 64 * RTP_WORDS;

pub(super) const RTP_WORDS: usize = 16;

/// The same for SRTCP: reports are few, 128 of them span seconds.
pub(super) const RTCP_WORDS: usize = 2;

/// The highest index, and a ring of bits for those below it.
#[derive(Clone, Debug)]
pub(super) struct ReplayWindow<const WORDS: usize> {
    highest: u64,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    const PACKETS: u64 = 64 * WORDS as u64;

    /// A window in which only `first` was seen.
    pub(super) fn new(first: u64) -> Self {
        let mut window = Self { highest: first, seen: [0; WORDS] };
        window.set(first);
        window
    }

    /// The highest index that was seen.
    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet of `index` may be opened.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpDrop> {
        if index > self.highest {
            return Ok(());
        }
        if self.highest - index >= Self::PACKETS {
            return Err(SrtpDrop::Old);
        }
        let (word, bit) = Self::place(index);
        if self.seen[word] & bit != 0 { Err(SrtpDrop::Replayed) } else { Ok(()) }
    }

    /// Remembers `index`, which [`Self::check`] allowed and whose tag was right.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.highest {
            self.advance(index);
        }
        self.set(index);
    }

    // Clears the bits of everything between the old and the new highest index.
    fn advance(&mut self, index: u64) {
        if index - self.highest >= Self::PACKETS {
            self.seen = [0; WORDS];
        } else {
            for skipped in self.highest + 1..=index {
                let (word, bit) = Self::place(skipped);
                self.seen[word] &= !bit;
            }
        }
        self.highest = index;
    }

    fn set(&mut self, index: u64) {
        let (word, bit) = Self::place(index);
        self.seen[word] |= bit;
    }

    fn place(index: u64) -> (usize, u64) {
        let place = index % Self::PACKETS;
        ((place / 64) as usize, 1 << (place % 64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Window = ReplayWindow<RTP_WORDS>;

    #[test]
    fn rows() {
        let last = RTP_WINDOW_PACKETS as u64 - 1;
        let mut window = Window::new(5000);
        for (index, expect) in [
            (5000, Err(SrtpDrop::Replayed)),
            (5001, Ok(())),
            (5001, Err(SrtpDrop::Replayed)),
            (4990, Ok(())),
            (4990, Err(SrtpDrop::Replayed)),
            (5001 - last, Ok(())),
            (5001 - last, Err(SrtpDrop::Replayed)),
            (5001 - last - 1, Err(SrtpDrop::Old)),
            (0, Err(SrtpDrop::Old)),
            (5001 + last, Ok(())), // as far as the window reaches
            (5001, Err(SrtpDrop::Replayed)),
            (5002, Ok(())),
            (900_000, Ok(())), // far beyond: everything before is old
            (5001 + last, Err(SrtpDrop::Old)),
            (899_999, Ok(())),
        ] {
            let found = window.check(index);
            assert_eq!(found, expect, "{index}");
            if found.is_ok() {
                window.accept(index);
            }
        }
        assert_eq!(window.highest(), 900_000);
    }

    proptest! {
        /// The window agrees with a list of everything that was ever accepted.
        #[test]
        fn agrees_with_a_list(steps in prop::collection::vec(-1500i64..1500, 1..200)) {
            let mut window = Window::new(10_000);
            let (mut accepted, mut highest) = (vec![10_000u64], 10_000u64);
            for step in steps {
                let index = highest.saturating_add_signed(step);
                let expect = if highest.saturating_sub(index) >= RTP_WINDOW_PACKETS as u64 {
                    Err(SrtpDrop::Old)
                } else if accepted.contains(&index) {
                    Err(SrtpDrop::Replayed)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(index), expect);
                if expect.is_ok() {
                    window.accept(index);
                    accepted.push(index);
                    highest = highest.max(index);
                }
            }
        }
    }
}
