//! Which of the last frames of a stream one receiver was sent, and which were left out.
//!
//! What was decided about a frame's first packet holds for all of them, whenever they come and
//! however often: a frame is sent whole or not at all.

/// Frames that are looked back on, in numbers. References reach farther back only to frames that
/// are kept for long, which are of all targets.
const WINDOW: usize = 256;
const WORDS: usize = WINDOW / 64;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing of it came, or it is too old.
    Unknown,
    Sent,
    LeftOut,
}

/// The fates of the last frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    /// The highest number so far, in the lowest bits of the following.
    newest: Option<u16>,
    sent: [u64; WORDS],
    left_out: [u64; WORDS],
}

impl Frames {
    /// The highest number so far.
    pub(super) fn newest(&self) -> Option<u16> {
        self.newest
    }

    /// Whether `number`, of a packet in order, is newer than all before. What lies far behind is of
    /// a publisher that counts anew.
    pub(super) fn is_newer(&self, number: u16) -> bool {
        self.place(number).is_none()
    }

    /// Makes `number`, of a packet in order, the newest; `false` where it is not newer.
    pub(super) fn advance(&mut self, number: u16) -> bool {
        if !self.is_newer(number) {
            return false;
        }
        let ahead = self.newest.map_or(1, |newest| number.wrapping_sub(newest));
        self.newest = Some(number);
        shift(&mut self.sent, ahead);
        shift(&mut self.left_out, ahead);
        true
    }

    /// Notes that a frame is sent, from its first packet on.
    pub(super) fn send(&mut self, number: u16) {
        if let Some((word, bit)) = self.place(number) {
            self.sent[word] |= 1 << bit;
        }
    }

    /// Notes that a frame is left out.
    pub(super) fn leave_out(&mut self, number: u16) {
        if let Some((word, bit)) = self.place(number) {
            self.left_out[word] |= 1 << bit;
        }
    }

    /// What became of a frame.
    pub(super) fn fate(&self, number: u16) -> Fate {
        let Some((word, bit)) = self.place(number) else { return Fate::Unknown };
        match (self.sent[word] >> bit & 1, self.left_out[word] >> bit & 1) {
            (_, 1) => Fate::LeftOut,
            (1, _) => Fate::Sent,
            _ => Fate::Unknown,
        }
    }

    /// How many numbers `number` lies behind the newest. Of two numbers the one of greater age is
    /// the older: that holds for longer than a comparison of the two, of which one may be of a key
    /// frame minutes ago.
    pub(super) fn age(&self, number: u16) -> u16 {
        self.newest.map_or(0, |newest| newest.wrapping_sub(number))
    }

    /// Where a number is in the window.
    fn place(&self, number: u16) -> Option<(usize, u32)> {
        let back = usize::from(self.newest?.wrapping_sub(number));
        (back < WINDOW).then_some((back / 64, back as u32 % 64))
    }
}

/// Moves bits up by `by` places.
fn shift(bits: &mut [u64; WORDS], by: u16) {
    let words = usize::from(by / 64).min(WORDS);
    bits.rotate_right(words);
    bits[..words].fill(0);
    let rest = u32::from(by % 64);
    if rest == 0 || words == WORDS {
        return;
    }
    for at in (0..WORDS).rev() {
        let below = if at == 0 { 0 } else { bits[at - 1] >> (64 - rest) };
        bits[at] = bits[at] << rest | below;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fates_are_known_for_a_window() {
        for step in [1, 3, 63, 64, 65, 100, 255, 256, 300] {
            let mut frames = Frames::default();
            assert!(frames.advance(65_500));
            frames.send(65_500);
            assert!(frames.advance(65_501));
            frames.leave_out(65_501);
            assert!(frames.advance(65_501_u16.wrapping_add(step)));
            assert_eq!(frames.advance(65_501), usize::from(step) >= WINDOW);
            frames.advance(65_501_u16.wrapping_add(step));
            let known = |back: u16| usize::from(back) < WINDOW;
            let expect = |fate, back| if known(back) { fate } else { Fate::Unknown };
            assert_eq!(frames.fate(65_500), expect(Fate::Sent, step + 1), "{step}");
            assert_eq!(frames.fate(65_501), expect(Fate::LeftOut, step), "{step}");
            assert_eq!(frames.fate(65_502_u16.wrapping_add(step)), Fate::Unknown);
            assert_eq!(frames.age(65_501), step);
        }
    }
}
