//! When each frame is due: every input at the same pace, the inputs spread evenly over an interval.

/// The timetable of all inputs.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start_ns: u64,
    interval_ns: f64,
    inputs: u64,
}

/// One entry of the timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Input whose turn it is.
    pub input: usize,
    /// Frames that this input sent before.
    pub frame: u64,
    /// When.
    pub at_ns: u64,
}

impl Schedule {
    /// A timetable that begins at `start_ns`.
    pub fn new(start_ns: u64, frames_per_second: f64, inputs: u32) -> Self {
        Self { start_ns, interval_ns: 1e9 / frames_per_second, inputs: u64::from(inputs.max(1)) }
    }

    /// The `index`-th frame over all inputs, counted from 0.
    pub fn due(&self, index: u64) -> Due {
        // From the index, not by adding up, so that rounding never drifts.
        let offset_ns = index as f64 * self.interval_ns / self.inputs as f64;
        Due {
            input: (index % self.inputs) as usize,
            frame: index / self.inputs,
            at_ns: self.start_ns + offset_ns as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(inputs: u32, fps: f64, index: u64, expect: (usize, u64, u64)) {
        let due = Schedule::new(1_000, fps, inputs).due(index);
        assert_eq!((due.input, due.frame, due.at_ns), expect, "{inputs} x {fps} [{index}]");
    }

    #[test]
    fn inputs_share_the_interval() {
        check(1, 30.0, 0, (0, 0, 1_000));
        check(1, 30.0, 3, (0, 3, 100_001_000));
        check(1, 30.0, 30 * 3600, (0, 108_000, 3_600_000_001_000));
        check(4, 50.0, 1, (1, 0, 5_001_000));
        check(4, 50.0, 4, (0, 1, 20_001_000));
        check(1000, 25.0, 999, (999, 0, 39_961_000));
        check(1000, 25.0, 1001, (1, 1, 40_041_000));
    }

    #[test]
    fn timetable_never_goes_back() {
        let schedule = Schedule::new(0, 29.97, 7);
        let times: Vec<u64> = (0..10_000).map(|index| schedule.due(index).at_ns).collect();
        assert!(times.is_sorted());
    }
}
