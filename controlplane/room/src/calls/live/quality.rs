//! How well participants are connected: a score per track in the manner of the simplified E-model,
//! the worst of them for the participant, told to it and to those who receive from it.

use std::sync::Arc;

use indexmap::IndexSet;

use super::speakers::{CHUNK, chosen};
use super::{LiveParticipant, LiveRoom};
use crate::calls::turn::{Timer, Turn};
use crate::calls::{
    ConnectionQuality, ConnectionQualityInfo, Notice, TrackInfo, TrackKind, TrackQuality,
};
use crate::id::ParticipantSid;

const BEST: f64 = 100.0;
/// LiveKit's floor for media that flows: below it a client believes that it is cut off, and some
/// then begin anew, so bad statistics alone must never say so.
const WORST: f64 = 30.0;
/// Below this it is no longer excellent. LiveKit's.
const GOOD: f64 = 80.0;
/// Below this it is poor. LiveKit's.
const POOR: f64 = 40.0;
/// How fast a score rises, and falls. LiveKit's: bad news first.
const RISE: f64 = 0.4;
const FALL: f64 = 0.8;
/// LiveKit's pause between two looks at everybody.
const ROUND_MS: u64 = 5_000;

impl LiveRoom {
    /// Tracks travelled like this in the last window.
    pub(crate) fn track_quality(&mut self, turn: &mut Turn<'_>, measured: &[TrackQuality]) {
        let mut concerned = IndexSet::new();
        for quality in measured {
            let Some(track) = self.tracks.get(&quality.track) else { continue };
            let Some(participant) = self.participants.get_mut(&quality.participant) else {
                continue;
            };
            let served = participant.subscriptions.get(&quality.track);
            let own = track.publisher == quality.participant;
            if !own && !served.is_some_and(|wish| wish.is_served()) {
                continue;
            }
            concerned.insert(quality.participant);
            if track.info.muted || quality.expected == 0 {
                // Nothing was sent on purpose: that says nothing about the connection.
                continue;
            }
            let now = score(quality, loss_weight(&track.info));
            let score = participant.scores.entry(quality.track).or_insert(BEST);
            let weight = if now < *score { FALL } else { RISE };
            *score = (weight * now + (1.0 - weight) * *score).clamp(WORST, BEST);
        }
        self.regrade(turn, concerned);
    }

    /// Wishes for the next look at everybody.
    pub(super) fn arm_quality(&mut self, turn: &mut Turn<'_>) {
        if !std::mem::replace(&mut self.quality_armed, true) {
            turn.after(ROUND_MS, Timer::Quality(self.sid()));
        }
    }

    /// Looks at those too of whom nothing is measured: who is alone, listens to silence or is muted
    /// is connected well as far as anybody knows, and clients that hear nothing show nothing.
    pub(super) fn check_quality(&mut self, turn: &mut Turn<'_>) {
        self.quality_armed = false;
        let everybody: Vec<_> = self.participants.keys().copied().collect();
        self.regrade(turn, everybody);
    }

    /// Tells whose connection is another one than was told. Who is not connected well is looked at
    /// again, since tracks that end or are muted may take the reason with them.
    fn regrade(&mut self, turn: &mut Turn<'_>, of: impl IntoIterator<Item = ParticipantSid>) {
        let (mut changed, mut impaired) = (Vec::new(), false);
        for sid in of {
            let participant = self.participants.get_mut(&sid).filter(|p| p.is_active());
            let Some(participant) = participant else { continue };
            let quality = grade(participant.score());
            impaired |= quality != ConnectionQuality::Excellent;
            if participant.quality.replace(quality) != Some(quality) {
                changed.extend(participant.quality_info());
            }
        }
        if impaired {
            self.arm_quality(turn);
        }
        self.send_quality(turn, &changed);
    }

    fn send_quality(&self, turn: &mut Turn<'_>, changed: &[ConnectionQualityInfo]) {
        for chunk in changed.chunks(CHUNK) {
            let sids: Vec<_> = chunk.iter().map(|info| info.participant).collect();
            for (mask, to) in self.audiences(&sids) {
                turn.tell_all(to, Notice::ConnectionQuality(Arc::new(chosen(chunk, mask))));
            }
        }
    }
}

impl LiveParticipant {
    fn score(&self) -> f64 {
        self.scores.values().copied().fold(BEST, f64::min)
    }

    /// What others are told about its connection, if anything is known.
    pub(super) fn quality_info(&self) -> Option<ConnectionQualityInfo> {
        let quality = self.quality?;
        Some(ConnectionQualityInfo { participant: self.sid, quality, score: mos(self.score()) })
    }
}

fn grade(score: f64) -> ConnectionQuality {
    if score >= GOOD {
        ConnectionQuality::Excellent
    } else if score >= POOR {
        ConnectionQuality::Good
    } else {
        ConnectionQuality::Poor
    }
}

/// What a per cent of loss costs, in points. LiveKit's: by what a codec can conceal.
fn loss_weight(info: &TrackInfo) -> f64 {
    match info.kind {
        TrackKind::Audio if info.mime_type.eq_ignore_ascii_case("audio/red") => 4.0 / 1.5,
        TrackKind::Audio => 8.0 / 1.5,
        _ => 10.0,
    }
}

/// Points of one window, 0 to 100.
fn score(quality: &TrackQuality, loss_weight: f64) -> f64 {
    let delay_ms =
        f64::from(quality.rtt_us) / 2_000.0 + 2.0 * f64::from(quality.jitter_us) / 1_000.0;
    let delay = if delay_ms > 160.0 { (delay_ms - 120.0) / 10.0 } else { delay_ms / 40.0 };
    let lost = f64::from(quality.lost.min(quality.expected));
    let loss = 100.0 * lost / f64::from(quality.expected.max(1));
    (BEST - delay - loss * loss_weight).clamp(0.0, BEST)
}

/// ITU-T G.107: from a rating of 0 to 100 to a mean opinion score of 1 to 4.5.
fn mos(score: f64) -> f32 {
    let rating = score.clamp(0.0, BEST);
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ParticipantSid, TrackSid};

    #[test]
    fn windows_are_graded() {
        let check = |loss_permille: u32, rtt_ms: u32, jitter_ms: u32, expect| {
            let quality = TrackQuality {
                participant: ParticipantSid::from_random([1; 12]),
                track: TrackSid::from_random([1; 12]),
                expected: 1000,
                lost: loss_permille,
                jitter_us: jitter_ms * 1000,
                rtt_us: rtt_ms * 1000,
            };
            let points = score(&quality, 10.0);
            assert_eq!(grade(points), expect, "{loss_permille} {rtt_ms} {jitter_ms}: {points}");
        };
        check(0, 0, 0, ConnectionQuality::Excellent);
        check(19, 50, 2, ConnectionQuality::Excellent);
        check(21, 0, 0, ConnectionQuality::Good);
        check(61, 0, 0, ConnectionQuality::Poor);
        check(1000, 0, 0, ConnectionQuality::Poor);
        check(0, 500, 10, ConnectionQuality::Excellent);
        check(0, 800, 10, ConnectionQuality::Good);
        check(2000, 0, 0, ConnectionQuality::Poor);
    }

    #[test]
    fn opinions_stay_in_their_range() {
        assert!((mos(100.0) - 4.5).abs() < 0.01);
        assert!((mos(0.0) - 1.0).abs() < 0.01);
        assert!(mos(80.0) > mos(40.0));
        assert!(mos(-5.0) >= 1.0 && mos(500.0) <= 4.51);
    }
}
