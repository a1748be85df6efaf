//! The RTP clock rate of a stream nobody described: measured from its timestamps.
//!
//! Plain RTP has no session description here, yet jitter (RFC 3550 A.8) and a timestamp line that
//! survives a change of source need the rate. It is measured over at least [`SETTLE_NS`] of
//! packets and snapped to the nearest rate that payload formats use.

/// Rates of registered payload formats, Hz, ascending.
const RATES: [u32; 8] = [8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 90_000];

/// How long a stream is watched before its rate is believed. Shorter mistakes a burst for a
/// rate; longer leaves jitter at zero for longer.
const SETTLE_NS: u64 = 500_000_000;

/// The clock rate of one source.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockRate {
    first: Option<(u64, u32)>,
    rate: u32,
}

impl ClockRate {
    /// The rate in Hz once it is known.
    pub fn hz(&self) -> Option<u32> {
        (self.rate != 0).then_some(self.rate)
    }

    /// Takes a packet's arrival and timestamp into account. `payload_type` settles it at once
    /// where RFC 3551 fixes the rate.
    pub fn observe(&mut self, now_ns: u64, timestamp: u32, payload_type: u8) {
        if self.rate != 0 {
            return;
        }
        if let Some(rate) = fixed_rate(payload_type) {
            self.rate = rate;
            return;
        }
        let Some((first_ns, first_timestamp)) = self.first else {
            self.first = Some((now_ns, timestamp));
            return;
        };
        let elapsed_ns = now_ns.saturating_sub(first_ns);
        let ticks = timestamp.wrapping_sub(first_timestamp);
        if elapsed_ns < SETTLE_NS {
            return;
        }
        if ticks == 0 || ticks > i32::MAX as u32 {
            // A timestamp that stands still or runs backwards says nothing: start again.
            self.first = Some((now_ns, timestamp));
            return;
        }
        self.rate = nearest((u128::from(ticks) * 1_000_000_000 / u128::from(elapsed_ns)) as u32);
    }
}

/// RFC 3551 tables 4 and 5: clock rates of static payload types.
fn fixed_rate(payload_type: u8) -> Option<u32> {
    match payload_type {
        0 | 3..=5 | 7..=9 | 12 | 13 | 15 | 18 => Some(8_000),
        6 => Some(16_000),
        10 | 11 => Some(44_100),
        16 => Some(11_025),
        17 => Some(22_050),
        14 | 25 | 26 | 28 | 31..=34 => Some(90_000),
        _ => None,
    }
}

fn nearest(measured: u32) -> u32 {
    RATES.into_iter().min_by_key(|rate| rate.abs_diff(measured)).unwrap_or(90_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds packets every `step_ms` with `step_ticks` more each.
    fn check(payload_type: u8, step_ms: u64, step_ticks: u32, packets: u32, expect: Option<u32>) {
        let mut rate = ClockRate::default();
        for n in 0..packets {
            let timestamp = 0xffff_ff00_u32.wrapping_add(n * step_ticks);
            rate.observe(u64::from(n) * step_ms * 1_000_000, timestamp, payload_type);
        }
        assert_eq!(rate.hz(), expect, "{step_ticks} ticks every {step_ms} ms");
    }

    #[test]
    fn rates() {
        check(0, 20, 160, 1, Some(8_000));
        check(96, 20, 960, 10, None);
        check(96, 20, 960, 30, Some(48_000));
        check(96, 33, 3_000, 30, Some(90_000));
        check(97, 20, 160, 30, Some(8_000));
        check(97, 20, 0, 100, None);
    }
}
