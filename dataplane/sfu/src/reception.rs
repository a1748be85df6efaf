//! Reception: what a source sent and what is missing, after RFC 3550 appendix A.
//!
//! One [`Reception`] belongs to one SSRC of one forward. It counts, extends sequence numbers past
//! their wrap, notices a source that starts over, and measures loss and interarrival jitter.

/// RFC 3550 A.1: a jump ahead of more than this is no loss but a new sequence.
const MAX_DROPOUT: u16 = 3000;
/// RFC 3550 A.1: a packet this far behind is late; farther behind is a new sequence.
const MAX_MISORDER: u16 = 100;

/// How a packet stands in its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// In order, or ahead with a tolerable gap.
    Ahead,
    /// Late or doubled.
    Behind,
    /// The source started over: a large jump, confirmed by a second packet that follows it.
    Restarted,
    /// A large jump that nothing confirms yet; forwarded, but not counted.
    Stray,
}

/// Loss since the last report and in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// RFC 3550 6.4.1 fraction lost, 0–255.
    pub fraction: u8,
    /// RFC 3550 6.4.1 cumulative number lost; negative when duplicates came.
    pub cumulative: i64,
}

/// Reception state of one SSRC.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    base: u64,
    highest: u64,
    received: u64,
    restart_at: Option<u16>,
    expected_prior: u64,
    received_prior: u64,
    transit: Option<i64>,
    jitter_16ths: u64,
}

impl Reception {
    /// Begins with the first packet's sequence number, which must be passed to
    /// [`Reception::receive`] too.
    pub fn new(sequence: u16) -> Self {
        // One cycle up, so that a packet from before the first one has room below.
        let base = 0x1_0000 | u64::from(sequence);
        Self {
            base,
            highest: base - 1,
            received: 0,
            restart_at: None,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter_16ths: 0,
        }
    }

    /// Counts a packet (RFC 3550 A.1 `update_seq`, without the probation of new sources).
    pub fn receive(&mut self, sequence: u16) -> Step {
        let ahead = sequence.wrapping_sub(self.highest as u16);
        if (1..MAX_DROPOUT).contains(&ahead) {
            self.highest += u64::from(ahead);
            self.received += 1;
            self.restart_at = None;
            return Step::Ahead;
        }
        if ahead == 0 || ahead > u16::MAX - MAX_MISORDER {
            self.received += 1;
            return Step::Behind;
        }
        if self.restart_at == Some(sequence) {
            *self = Self { jitter_16ths: self.jitter_16ths, ..Self::new(sequence) };
            self.highest += 1;
            self.received = 1;
            return Step::Restarted;
        }
        self.restart_at = Some(sequence.wrapping_add(1));
        Step::Stray
    }

    /// Takes a packet's transit time into the jitter (RFC 3550 A.8).
    pub fn time(&mut self, arrival_ns: u64, timestamp: u32, clock_hz: u32) {
        let arrival = ticks(arrival_ns, clock_hz);
        let transit = i64::from(arrival.wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            let distance = u64::from((transit as i32).wrapping_sub(before as i32).unsigned_abs());
            // A step of the timestamp line (a pause, a restart) is no jitter.
            if distance < u64::from(clock_hz) * 2 {
                let kept = self.jitter_16ths - ((self.jitter_16ths + 8) >> 4);
                self.jitter_16ths = kept + distance;
            }
        }
    }

    /// Interarrival jitter in timestamp units.
    pub fn jitter(&self) -> u32 {
        (self.jitter_16ths >> 4) as u32
    }

    /// RFC 3550 6.4.1 extended highest sequence number received.
    pub fn extended_highest(&self) -> u32 {
        (self.highest - 0x1_0000) as u32
    }

    /// Packets that should have come since the first one and did not; negative when more came.
    pub fn cumulative_lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// Loss for a report; the next report's fraction starts here.
    pub fn report(&mut self) -> Loss {
        let expected = self.expected();
        let expected_interval = expected - self.expected_prior;
        let received_interval = self.received - self.received_prior;
        self.expected_prior = expected;
        self.received_prior = self.received;
        let lost = expected_interval.saturating_sub(received_interval);
        let fraction = (lost << 8).checked_div(expected_interval).unwrap_or(0);
        Loss { fraction: fraction.min(255) as u8, cumulative: self.cumulative_lost() }
    }

    fn expected(&self) -> u64 {
        self.highest + 1 - self.base
    }
}

/// `time_ns` in ticks of a `clock_hz` clock, modulo 2^32. Split at the second, so that it stays
/// within 64 bits: this runs for every packet.
pub(crate) fn ticks(time_ns: u64, clock_hz: u32) -> u32 {
    let hz = u64::from(clock_hz);
    let seconds = time_ns / 1_000_000_000;
    let rest_ns = time_ns % 1_000_000_000;
    seconds.wrapping_mul(hz).wrapping_add(rest_ns * hz / 1_000_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sequences: &[u16], lost: i64, fraction: u8, last: Step) {
        let mut reception = Reception::new(sequences[0]);
        let mut step = Step::Ahead;
        for &sequence in sequences {
            step = reception.receive(sequence);
        }
        assert_eq!(step, last, "{sequences:?}");
        assert_eq!(reception.report(), Loss { fraction, cumulative: lost }, "{sequences:?}");
    }

    #[test]
    fn sequences() {
        check(&[1, 2, 3], 0, 0, Step::Ahead);
        check(&[1, 3, 5, 6], 2, 85, Step::Ahead);
        check(&[1, 3, 2], 0, 0, Step::Behind);
        check(&[1, 2, 2], -1, 0, Step::Behind);
        check(&[65_534, 65_535, 0, 1], 0, 0, Step::Ahead);
        check(&[65_534, 1], 2, 128, Step::Ahead);
        check(&[1, 0], -1, 0, Step::Behind);
        check(&[1, 2, 40_000], 0, 0, Step::Stray);
        check(&[1, 2, 40_000, 3], 0, 0, Step::Ahead);
        check(&[1, 2, 40_000, 40_001], 0, 0, Step::Restarted);
        check(&[1, 2, 40_000, 40_001, 40_003], 1, 85, Step::Ahead);
    }

    #[test]
    fn the_second_report_speaks_of_its_own_interval() {
        let mut reception = Reception::new(0);
        for sequence in [0, 1, 3] {
            reception.receive(sequence);
        }
        assert_eq!(reception.report(), Loss { fraction: 64, cumulative: 1 });
        for sequence in 4..8 {
            reception.receive(sequence);
        }
        assert_eq!(reception.report(), Loss { fraction: 0, cumulative: 1 });
        assert_eq!(reception.extended_highest(), 7);
        assert_eq!(reception.report(), Loss { fraction: 0, cumulative: 1 });
    }

    #[test]
    fn jitter_follows_rfc_3550() {
        let mut reception = Reception::new(0);
        let mut late_ns = [0, 1_000_000].into_iter().cycle();
        for n in 0..400_u64 {
            let arrival = n * 20_000_000 + late_ns.next().unwrap_or(0);
            reception.time(arrival, (n * 160) as u32, 8_000);
        }
        // Every packet's transit differs by 1 ms, 8 ticks, from the one before.
        assert!((7..=8).contains(&reception.jitter()), "{}", reception.jitter());
        // A pause of a minute is no jitter.
        reception.time(68_000_000_000, 400 * 160, 8_000);
        assert!(reception.jitter() <= 8);
    }
}
