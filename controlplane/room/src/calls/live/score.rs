//! How well one track travels between the server and one participant, in points: a simplified
//! E-model as LiveKit has it, by loss, by layers that are missing, and by silence.

use crate::calls::{ConnectionQuality, TrackInfo, TrackKind, TrackQuality};

/// The best there is.
pub(super) const BEST: f64 = 100.0;
/// LiveKit's floor for media that flows, so that bad statistics alone never say lost, and good ones
/// soon show.
pub(super) const WORST: f64 = 30.0;
/// Up to these it is good, poor, and lost. LiveKit's.
const GOOD: f64 = 80.0;
const POOR: f64 = 40.0;
const LOST: f64 = 20.0;
/// How fast a score rises, and falls. LiveKit's: bad news first.
const RISE: f64 = 0.4;
const FALL: f64 = 0.8;
/// What a missing layer costs. LiveKit's: each about a word.
const LAYER: f64 = 35.0;
/// How long a window is.
pub(super) const WINDOW_MS: u64 = 5_000;

/// See the module's description.
#[derive(Clone, Debug)]
pub(super) struct Score {
    points: f64,
    pace: Pace,
    /// When the last window ended.
    judged_ms: u64,
}

impl Score {
    /// Of a track without faults so far.
    pub(super) fn new(now_ms: u64) -> Self {
        let judged_ms = now_ms.saturating_sub(WINDOW_MS);
        Self { points: BEST, pace: Pace::default(), judged_ms }
    }

    pub(super) fn points(&self) -> f64 {
        self.points
    }

    /// Takes a window of a track that `layers` were missing of. `wanted_since_ms`: since when it
    /// was meant to flow. LiveKit's rule: for more than half of the window, or it says nothing.
    pub(super) fn judge(
        &mut self,
        now_ms: u64,
        wanted_since_ms: u64,
        window: &TrackQuality,
        info: &TrackInfo,
        layers: f64,
    ) {
        let window_ms = now_ms.saturating_sub(std::mem::replace(&mut self.judged_ms, now_ms));
        if 2 * now_ms.saturating_sub(wanted_since_ms) <= window_ms {
            return;
        }
        let weight = loss_weight(info) * self.pace.weigh(window.expected);
        if window.expected == 0 {
            self.points = if window.heard { POOR } else { LOST };
            return;
        }
        let lost = f64::from(window.lost.min(window.expected));
        let loss = 100.0 * lost / f64::from(window.expected) * weight;
        let now = (BEST - loss.max(layers * LAYER)).max(0.0);
        let factor = if now < self.points { FALL } else { RISE };
        self.points = (factor * now + (1.0 - factor) * self.points).clamp(WORST, BEST);
    }

    /// The track is muted: what was does not matter. A participant that is gone stays so.
    pub(super) fn mute(&mut self) {
        if self.points > LOST {
            self.points = BEST;
        }
    }

    /// The publisher is asked for nothing: it cannot lack anything.
    pub(super) fn idle(&mut self) {
        self.points = BEST;
    }

    /// It is held back for want of bandwidth.
    pub(super) fn hold_back(&mut self) {
        self.points = WORST;
    }
}

/// The word for a score.
pub(super) fn grade(points: f64) -> ConnectionQuality {
    match points {
        points if points > GOOD => ConnectionQuality::Excellent,
        points if points > POOR => ConnectionQuality::Good,
        points if points > LOST => ConnectionQuality::Poor,
        _ => ConnectionQuality::Lost,
    }
}

/// What a per cent of loss costs, in points. LiveKit's: by what a codec can conceal.
fn loss_weight(info: &TrackInfo) -> f64 {
    let is = |mime: &str| info.mime_type.eq_ignore_ascii_case(mime);
    match info.kind {
        TrackKind::Audio if is("audio/red") => 4.0 / 1.5,
        TrackKind::Audio if is("audio/PCMU") || is("audio/PCMA") => 0.0,
        TrackKind::Audio => 8.0 / 1.5,
        _ => 10.0,
    }
}

/// How many packets a track has usually. What is lost of far fewer, of silence or of a still
/// screen, matters less.
#[derive(Clone, Debug, Default)]
struct Pace {
    /// Packets a second of the last windows, in steps.
    readings: [u8; READINGS],
    count: usize,
    /// The most frequent of them; 0 is not known.
    usual: u8,
}

/// LiveKit's two minutes.
const READINGS: usize = 24;
/// What LiveKit finds enough to begin with.
const FIRST_READINGS: usize = 11;
/// Packets a second that count as the same. LiveKit's.
const STEP_PPS: f64 = 2.0;
/// Fewer are never usual, in steps: 10 packets a second. LiveKit's.
const LEAST_USUAL: u8 = 5;

impl Pace {
    /// The weight of what is lost in a window of `packets`, 0 to 1.
    fn weigh(&mut self, packets: u32) -> f64 {
        let steps = f64::from(packets) * 1_000.0 / WINDOW_MS as f64 / STEP_PPS;
        self.readings[self.count] = steps.round().min(f64::from(u8::MAX)) as u8;
        self.count += 1;
        if self.count == READINGS || self.usual == 0 && self.count >= FIRST_READINGS {
            self.usual = most_frequent(&self.readings[..self.count]).unwrap_or(self.usual);
        }
        self.count %= READINGS;
        match self.usual {
            // More than can be told.
            0 | u8::MAX => 1.0,
            usual => (steps / f64::from(usual)).min(1.0).sqrt(),
        }
    }
}

fn most_frequent(readings: &[u8]) -> Option<u8> {
    let usual = readings.iter().filter(|reading| **reading >= LEAST_USUAL);
    let times = |reading: &&u8| readings.iter().filter(|other| other == reading).count();
    usual.max_by_key(times).copied()
}

/// ITU-T G.107: from a rating of 0 to 100 to a mean opinion score of 1 to 4.5.
pub(super) fn mos(points: f64) -> f32 {
    let rating = points.clamp(0.0, BEST);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6) as f32
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
