//! What a run measured.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The result of one run, as `ringway-load` prints it.
///
/// Packets belong to the window by the time at which they were due, so that none is lost or won at
/// its edges; `delivered` is what arrived between its edges, the divisor for a server's CPU time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Scenario.
    pub scenario: String,
    /// How the receivers were drained: `uring` or `plain`.
    pub engine: String,
    /// Length of the window.
    pub seconds: f64,
    /// Packets per second that the server had to send.
    pub load_pps: f64,
    /// Packets sent by the inputs in the window.
    pub sent: u64,
    /// Packets that the receivers should have got of those.
    pub expected: u64,
    /// Packets that they got, each counted once.
    pub received: u64,
    /// `expected` less `received`.
    pub lost: u64,
    /// `lost` as a part of `expected`.
    pub loss: f64,
    /// Packets that came more than once, in the whole run.
    pub duplicates: u64,
    /// Packets that came after a later one, in the whole run.
    pub reordered: u64,
    /// Datagrams that were not ours: RTCP, for example.
    pub foreign: u64,
    /// Packets that arrived between the edges of the window.
    pub delivered: u64,
    /// Median latency from due to read, in microseconds.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// The generator's own use of its core in the window, spinning not counted.
    pub busy: f64,
    /// CPU time of the generator in the window, spinning included, in microseconds.
    pub cpu_us: f64,
    /// Frames that left more than 1 ms late.
    pub late_frames: u64,
    /// The largest delay of a frame by the generator itself, in microseconds.
    pub max_late_us: f64,
    /// Frames that the kernel did not take.
    pub send_errors: u64,
    /// The generator was the bottleneck: do not trust the figures.
    pub saturated: bool,
}

/// Percentile of a histogram of nanoseconds, in microseconds with one decimal.
pub fn percentile_us(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    to_us(histogram.value_at_quantile(quantile))
}

/// Nanoseconds to microseconds with one decimal.
pub fn to_us(ns: u64) -> f64 {
    (ns as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        (1..=1000u64).for_each(|us| histogram.record(us * 1000).unwrap());
        for (quantile, expect) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let got = percentile_us(&histogram, quantile);
            assert!((got - expect).abs() / expect < 0.002, "{quantile}: {got}");
        }
        assert_eq!(to_us(1_249), 1.2);
    }
}
