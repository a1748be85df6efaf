//! The order of one layer's packets: new, late, doubled, or of another numbering.
//!
//! Unlike [`crate::reception`], which counts for reports, this decides what is passed on: each
//! number at most once, however it came (as itself, or repaired).

use ringway_wire::sequence::distance;

/// RFC 3550 A.1: a jump ahead of more than this is no loss but a new numbering.
const MAX_DROPOUT: i16 = 3000;

/// Packets remembered. A repair that comes later than this many packets is too late anyhow.
const WINDOW: usize = 512;

/// How a packet stands in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many numbers ahead of the highest before; 1: the next.
    Ahead(u16),
    /// Behind the highest, and new.
    Late,
    /// Behind the highest, and known or too old to tell.
    Repeated,
    /// Far off, without another packet that says the same.
    Stray,
    /// Far off, as was the packet before it: a new numbering begins.
    Restarted,
}

/// Numbers that came.
#[derive(Clone, Debug)]
pub struct Arrivals {
    highest: u16,
    /// A bit for each of the last numbers, by the number modulo the window.
    seen: [u64; WINDOW / 64],
    restart_at: Option<u16>,
    begun: bool,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { highest: 0, seen: [0; WINDOW / 64], restart_at: None, begun: false }
    }
}

impl Arrivals {
    /// Takes a number. One that was `repaired` never begins a numbering.
    #[inline]
    pub fn handle(&mut self, sequence: u16, repaired: bool) -> Step {
        if !self.begun {
            if repaired {
                return Step::Stray;
            }
            self.begin(sequence);
            return Step::Ahead(1);
        }
        match distance(self.highest, sequence) {
            1 => {
                self.highest = sequence;
                self.mark(sequence);
                self.restart_at = None;
                Step::Ahead(1)
            }
            ahead @ 2..MAX_DROPOUT => {
                for step in 1..(ahead as u16).min(WINDOW as u16) {
                    self.unmark(sequence.wrapping_sub(step));
                }
                self.highest = sequence;
                self.mark(sequence);
                self.restart_at = None;
                Step::Ahead(ahead as u16)
            }
            behind @ ..=0 if usize::from(behind.unsigned_abs()) < WINDOW => {
                if self.is_marked(sequence) {
                    return Step::Repeated;
                }
                self.mark(sequence);
                Step::Late
            }
            _ if repaired => Step::Repeated,
            _ if self.restart_at == Some(sequence) => {
                *self = Self::default();
                self.begin(sequence);
                Step::Restarted
            }
            _ => {
                self.restart_at = Some(sequence.wrapping_add(1));
                Step::Stray
            }
        }
    }

    /// The highest number so far.
    pub fn highest(&self) -> Option<u16> {
        self.begun.then_some(self.highest)
    }

    /// Whether `sequence`, one of the last 512 numbers, has not come.
    pub fn is_missing(&self, sequence: u16) -> bool {
        let behind = distance(sequence, self.highest);
        (0..WINDOW as i16).contains(&behind) && !self.is_marked(sequence)
    }

    fn begin(&mut self, sequence: u16) {
        self.begun = true;
        self.highest = sequence;
        // What lies before the first packet was never wanted.
        self.seen = [u64::MAX; WINDOW / 64];
    }

    fn mark(&mut self, sequence: u16) {
        let at = usize::from(sequence) % WINDOW;
        self.seen[at / 64] |= 1 << (at % 64);
    }

    fn unmark(&mut self, sequence: u16) {
        let at = usize::from(sequence) % WINDOW;
        self.seen[at / 64] &= !(1 << (at % 64));
    }

    fn is_marked(&self, sequence: u16) -> bool {
        let at = usize::from(sequence) % WINDOW;
        self.seen[at / 64] >> (at % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(u16, bool, Step)]) {
        let mut arrivals = Arrivals::default();
        for &(sequence, repaired, expect) in rows {
            assert_eq!(arrivals.handle(sequence, repaired), expect, "{sequence}");
        }
    }

    #[test]
    fn steps() {
        use Step::{Ahead, Late, Repeated, Restarted, Stray};
        check(&[(7, true, Stray), (7, false, Ahead(1)), (6, false, Repeated), (8, true, Ahead(1))]);
        check(&[
            (65_534, false, Ahead(1)),
            (1, false, Ahead(3)),
            (0, false, Late),
            (0, true, Repeated),
            (65_535, true, Late),
            (65_534, false, Repeated),
        ]);
        check(&[(0, false, Ahead(1)), (2999, false, Ahead(2999)), (2500, true, Late)]);
        check(&[(0, false, Ahead(1)), (2999, false, Ahead(2999)), (2400, false, Stray)]);
        check(&[
            (0, false, Ahead(1)),
            (3000, false, Stray),
            (1, false, Ahead(1)),
            (3001, false, Stray),
            (3002, false, Restarted),
            (3001, false, Repeated),
            (3003, false, Ahead(1)),
            // Old repairs begin nothing.
            (1000, true, Repeated),
            (1001, true, Repeated),
        ]);
    }
}
