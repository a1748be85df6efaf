//! How long to wait for an acknowledgement (RFC 9260 6.3.1).

/// What the timeout exceeds the mean round trip by, at least. Lowered, a peer that delays its SACKs
/// or is busy for a moment gets things twice.
const MARGIN_MIN_NS: u64 = 50_000_000;

/// The retransmission timeout.
#[derive(Clone, Debug)]
pub(crate) struct Rto {
    min_ns: u64,
    max_ns: u64,
    /// The smoothed round trip and its variation, once one is measured.
    smoothed_ns: Option<u64>,
    variation_ns: u64,
    rto_ns: u64,
}

impl Rto {
    pub(crate) fn new(initial_ns: u64, min_ns: u64, max_ns: u64) -> Self {
        Self { min_ns, max_ns, smoothed_ns: None, variation_ns: 0, rto_ns: initial_ns }
    }

    /// The timeout, nanoseconds.
    #[inline]
    pub(crate) fn ns(&self) -> u64 {
        self.rto_ns
    }

    /// The mean round trip, the timeout while none is known.
    pub(crate) fn round_trip_ns(&self) -> u64 {
        self.smoothed_ns.unwrap_or(self.rto_ns)
    }

    /// Takes a measured round trip.
    pub(crate) fn handle_sample(&mut self, sample_ns: u64) {
        // RFC 9260 6.3.1 C2 and C3, with its alpha of 1/8 and beta of 1/4.
        let smoothed_ns = match self.smoothed_ns {
            None => {
                self.variation_ns = sample_ns / 2;
                sample_ns
            }
            Some(before_ns) => {
                let off_ns = before_ns.abs_diff(sample_ns);
                self.variation_ns = self.variation_ns - self.variation_ns / 4 + off_ns / 4;
                before_ns - before_ns / 8 + sample_ns / 8
            }
        };
        self.smoothed_ns = Some(smoothed_ns);
        let margin_ns = (4 * self.variation_ns).max(MARGIN_MIN_NS);
        self.rto_ns = (smoothed_ns + margin_ns).clamp(self.min_ns, self.max_ns);
    }

    /// RFC 9260 6.3.3 E2: it ran out, so it doubles.
    pub(crate) fn back_off(&mut self) {
        self.rto_ns = (2 * self.rto_ns).min(self.max_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_timeout_follows_the_round_trips() {
        // (samples in ms, the timeout then in ms)
        for (samples, expect) in [
            (&[][..], 500),
            (&[200], 600),
            (&[10], 100),
            (&[100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 100], 150),
            (&[80_000], 10_000),
        ] {
            let mut rto = Rto::new(500 * MS, 100 * MS, 10_000 * MS);
            samples.iter().for_each(|sample| rto.handle_sample(sample * MS));
            assert_eq!(rto.ns() / MS, expect, "{samples:?}");
        }
    }

    #[test]
    fn it_doubles_until_a_sample_comes() {
        let mut rto = Rto::new(500 * MS, 100 * MS, 10_000 * MS);
        rto.handle_sample(100 * MS);
        for expect in [300, 600, 1_200, 2_400, 4_800, 9_600, 10_000, 10_000] {
            assert_eq!(rto.ns(), expect * MS);
            rto.back_off();
        }
        rto.handle_sample(100 * MS);
        assert_eq!(rto.ns(), 250 * MS);
    }
}
