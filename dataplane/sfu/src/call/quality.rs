//! How good a connection is, as a number from 0 to 100: a simplified E-model (ITU-T G.107), for
//! each track and then for its participant.

/// What a track went through in one interval, about 5 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// Packets that should have come.
    pub expected: u32,
    /// Of them, those that did not come, or too late.
    pub lost: u32,
    /// Round trip, ms.
    pub round_trip_ms: u32,
    /// Interarrival jitter, ms.
    pub jitter_ms: u32,
    /// Layers below the best one that was wanted.
    pub layers_below: u8,
}

/// How much loss a kind of track can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// Opus with its own repair, or RED.
    RepairedAudio,
    /// Other audio.
    Audio,
    /// Video.
    Video,
}

impl Tolerance {
    /// Points lost per per cent of packets lost.
    const fn loss_weight(self) -> f32 {
        match self {
            Self::RepairedAudio => 2.0,
            Self::Audio => 4.0,
            Self::Video => 10.0,
        }
    }
}

/// A word for a score, as LiveKit's clients know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing comes.
    Lost,
    /// Hard to bear.
    Poor,
    /// Noticeably impaired.
    Good,
    /// As it should be.
    Excellent,
}

/// A score above this is excellent.
const GOOD: f32 = 80.0;
/// Up to this it is poor.
const POOR: f32 = 40.0;
/// Up to this it is lost.
const LOST: f32 = 20.0;

/// Points lost per layer below the one wanted.
const LAYER_POINTS: f32 = 15.0;

/// How fast a score falls and rises: bad news shows at once, good news must last.
const FALL: f32 = 0.8;
const RISE: f32 = 0.4;

/// The score of one track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackQuality {
    tolerance: Tolerance,
    score: f32,
}

impl TrackQuality {
    /// A track without faults so far.
    pub fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, score: 100.0 }
    }

    /// Takes an interval in which the track was meant to flow. Intervals of a muted or paused track
    /// are not given: they say nothing.
    pub fn handle_interval(&mut self, interval: &Interval) {
        let now = self.rate(interval);
        let factor = if now < self.score { FALL } else { RISE };
        self.score += (now - self.score) * factor;
    }

    /// 0 to 100.
    pub fn score(&self) -> f32 {
        self.score
    }

    fn rate(&self, interval: &Interval) -> f32 {
        if interval.expected == 0 || interval.lost >= interval.expected {
            // Nothing came.
            return 0.0;
        }
        // G.107: one way, with twice the jitter for the buffer that it takes, and the delay of the
        // codec; up to about 160 ms hardly matters.
        let delay = interval.round_trip_ms as f32 / 2.0 + interval.jitter_ms as f32 * 2.0 + 10.0;
        let delay_points = if delay > 160.0 { (delay - 120.0) / 10.0 } else { delay / 40.0 };
        let loss_percent = interval.lost as f32 * 100.0 / interval.expected as f32;
        let loss_points = loss_percent * self.tolerance.loss_weight();
        let layer_points = f32::from(interval.layers_below) * LAYER_POINTS;
        (100.0 - delay_points - loss_points - layer_points).clamp(0.0, 100.0)
    }
}

/// The word for a score.
pub fn grade(score: f32) -> Grade {
    match score {
        score if score > GOOD => Grade::Excellent,
        score if score > POOR => Grade::Good,
        score if score > LOST => Grade::Poor,
        _ => Grade::Lost,
    }
}

/// The score of a participant: that of its worst track. One without tracks lacks nothing.
pub fn of_participant(tracks: impl IntoIterator<Item = f32>) -> f32 {
    tracks.into_iter().fold(100.0, f32::min)
}

/// Mean opinion score, 1 to 4.5, for a score (ITU-T G.107 annex B).
pub fn mean_opinion(score: f32) -> f32 {
    let r = score.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r)).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected, lost, round trip in ms, layers below.
    type Row = (u32, u32, u32, u8);

    fn after(tolerance: Tolerance, intervals: &[Row]) -> Grade {
        let mut quality = TrackQuality::new(tolerance);
        for &(expected, lost, round_trip_ms, layers_below) in intervals {
            let interval = Interval { expected, lost, round_trip_ms, jitter_ms: 5, layers_below };
            quality.handle_interval(&interval);
        }
        grade(quality.score())
    }

    #[test]
    fn grades() {
        use Tolerance::{Audio, RepairedAudio, Video};
        let rows: [(Tolerance, &[Row], Grade); 10] = [
            (Audio, &[], Grade::Excellent),
            (Audio, &[(250, 0, 50, 0)], Grade::Excellent),
            (Audio, &[(250, 15, 50, 0)], Grade::Good), // 6 %
            (RepairedAudio, &[(250, 15, 50, 0)], Grade::Excellent),
            (Video, &[(1000, 60, 50, 0)], Grade::Good),
            (Video, &[(1000, 100, 50, 0)], Grade::Lost),
            (Video, &[(1000, 0, 50, 2)], Grade::Good),
            (Video, &[(1000, 0, 900, 0)], Grade::Good),
            (Video, &[(0, 0, 0, 0), (0, 0, 0, 0)], Grade::Lost),
            // Good news must last.
            (Video, &[(0, 0, 0, 0), (1000, 0, 50, 0)], Grade::Good),
        ];
        for (tolerance, intervals, expect) in rows {
            assert_eq!(after(tolerance, intervals), expect, "{tolerance:?} {intervals:?}");
        }
    }

    #[test]
    fn scores_and_opinions() {
        assert_eq!(of_participant([]), 100.0);
        assert_eq!(of_participant([90.0, 35.0, 60.0]), 35.0);
        for (score, expect) in [(0.0, 1.0), (100.0, 4.5), (-5.0, 1.0), (500.0, 4.5)] {
            assert_eq!(mean_opinion(score), expect);
        }
        let opinions: Vec<f32> = (10..=100).map(|r| mean_opinion(r as f32)).collect();
        assert!(opinions.is_sorted());
        let grades = [Grade::Lost, Grade::Poor, Grade::Good, Grade::Excellent];
        assert_eq!([20.0, 40.0, 80.0, 80.1].map(grade), grades);
        assert!(grades.is_sorted());
    }
}
