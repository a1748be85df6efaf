//! What one receiver has seen, by RTP sequence number: new, again, or out of order.

const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// The sequence numbers of one stream.
#[derive(Clone, Debug, Default)]
pub struct SequenceTrack {
    highest: Option<u64>,
    seen: [u64; WORDS],
    /// Packets that were not seen before.
    pub unique: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
}

impl SequenceTrack {
    /// Notes a packet; true when it is new. One that is more than 1024 late counts as a duplicate,
    /// because nobody remembers it.
    pub fn accept(&mut self, sequence: u16) -> bool {
        let Some(highest) = self.highest else {
            // Room below, so that a stream may begin out of order.
            let first = 0x1_0000 + u64::from(sequence);
            self.highest = Some(first);
            self.set(first);
            self.unique += 1;
            return true;
        };
        let step = i64::from(sequence.wrapping_sub(highest as u16) as i16);
        let extended = highest.wrapping_add_signed(step);
        if extended > highest {
            (highest + 1..=extended.min(highest + WINDOW)).for_each(|number| self.clear(number));
            self.highest = Some(extended);
        } else if highest - extended >= WINDOW || self.is_set(extended) {
            self.duplicates += 1;
            return false;
        } else {
            self.reordered += 1;
        }
        self.set(extended);
        self.unique += 1;
        true
    }

    fn set(&mut self, number: u64) {
        self.seen[(number % WINDOW / 64) as usize] |= 1 << (number % 64);
    }

    fn clear(&mut self, number: u64) {
        self.seen[(number % WINDOW / 64) as usize] &= !(1 << (number % 64));
    }

    fn is_set(&self, number: u64) -> bool {
        self.seen[(number % WINDOW / 64) as usize] & 1 << (number % 64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sequences: &[u16], expect: (u64, u64, u64)) {
        let mut track = SequenceTrack::default();
        for &sequence in sequences {
            track.accept(sequence);
        }
        let got = (track.unique, track.duplicates, track.reordered);
        assert_eq!(got, expect, "{sequences:?}: unique, duplicates, reordered");
    }

    #[test]
    fn sequences_are_counted() {
        check(&[1, 2, 3], (3, 0, 0));
        check(&[1, 3, 4], (3, 0, 0));
        check(&[1, 3, 2, 4], (4, 0, 1));
        check(&[1, 2, 2, 3, 1], (3, 2, 0));
        check(&[65_534, 65_535, 0, 1], (4, 0, 0));
        check(&[65_535, 1, 0, 0], (3, 1, 1));
        check(&[0, 65_535, 1], (3, 0, 1));
        check(&[0, 2000, 2, 1999], (3, 1, 1));
        // A lap of the memory later, an old number is not mistaken for a new one's twin.
        check(&[5, 1029, 1030, 6], (3, 1, 0));
        check(&[], (0, 0, 0));
    }

    #[test]
    fn long_streams_wrap() {
        let mut track = SequenceTrack::default();
        for number in 0..200_000u32 {
            assert!(track.accept(number as u16), "{number}");
        }
        assert_eq!(track.unique, 200_000);
    }
}
