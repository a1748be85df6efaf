//! Who talks in a room, from the levels that packets carry (RFC 6464).
//!
//! Levels are watched for an interval. Who was loud for long enough of it is active, louder the
//! longer; the result is smoothed over intervals, and rounded so that small changes are no news.
//! The numbers are LiveKit's defaults.

use ringway_wire::extension_value::AudioLevel;

use super::demux::SourceKey;

/// How speakers are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeakerSettings {
    /// Sound up to this level, in -dBov, is speech. Raised, noise is speech too.
    pub active_level: u8,
    /// Per cent of an interval that must be speech.
    pub min_percentile: u8,
    /// Length of an interval, ms.
    pub update_interval_ms: u32,
    /// Intervals that a level is smoothed over; 0 for none.
    pub smooth_intervals: u8,
}

impl Default for SpeakerSettings {
    fn default() -> Self {
        Self { active_level: 35, min_percentile: 40, update_interval_ms: 400, smooth_intervals: 2 }
    }
}

/// Levels are rounded up to multiples of one over this.
const STEPS: f32 = 8.0;

/// One packet stands for at most so much sound, ms: a pause of the sender is no sound.
const MAX_PACKET_MS: u32 = 120;

/// Speakers of one room, at most. Raised, a large room costs more at each interval.
pub const MAX_SPEAKERS: usize = 1024;

/// A source and how loud it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speaker {
    /// The source.
    pub source: SourceKey,
    /// Its level: 0 is silence, 1 is the loudest; multiples of 1/8.
    pub level: f32,
}

/// What is known of one source.
#[derive(Clone, Copy, Debug)]
struct Heard {
    source: SourceKey,
    /// Sound of this interval, ms.
    speech_ms: u32,
    /// Its loudest level, -dBov.
    loudest: u8,
    last_timestamp: Option<u32>,
    smoothed: f32,
}

/// The speakers of one room.
#[derive(Clone, Debug)]
pub struct Speakers {
    settings: SpeakerSettings,
    /// Ordered by source.
    heard: Vec<Heard>,
    /// What was told last, the loudest first.
    told: Vec<Speaker>,
    before: Vec<Speaker>,
    due_ns: u64,
}

impl Speakers {
    /// A room in which nobody is.
    pub fn new(settings: SpeakerSettings) -> Self {
        Self { settings, heard: Vec::new(), told: Vec::new(), before: Vec::new(), due_ns: 0 }
    }

    /// Adds an audio source; `false` where the room is full.
    pub fn add_source(&mut self, source: SourceKey) -> bool {
        if let Err(at) = self.position(source)
            && self.heard.len() < MAX_SPEAKERS
        {
            let heard =
                Heard { source, speech_ms: 0, loudest: 127, last_timestamp: None, smoothed: 0.0 };
            self.heard.insert(at, heard);
            // So that no interval ever allocates.
            self.told.reserve(self.heard.len() - self.told.len());
            self.before.reserve(self.heard.len() - self.before.len());
        }
        self.position(source).is_ok()
    }

    /// Removes a source.
    pub fn remove_source(&mut self, source: SourceKey) {
        if let Ok(at) = self.position(source) {
            self.heard.remove(at);
        }
    }

    /// Takes the level of a packet that came in order.
    pub fn handle_level(
        &mut self,
        source: SourceKey,
        level: AudioLevel,
        timestamp: u32,
        clock_hz: u32,
    ) {
        let Ok(at) = self.position(source) else { return };
        let heard = &mut self.heard[at];
        let before = heard.last_timestamp.replace(timestamp);
        let step = before.map_or(0, |before| timestamp.wrapping_sub(before));
        let step_ms = u64::from(step) * 1000 / u64::from(clock_hz.max(1));
        let step_ms = (step_ms as u32).min(MAX_PACKET_MS);
        if level.level <= self.settings.active_level {
            heard.speech_ms = heard.speech_ms.saturating_add(step_ms);
        }
        heard.loudest = heard.loudest.min(level.level);
    }

    /// When [`Self::poll_speakers`] ends an interval.
    pub fn deadline(&self) -> u64 {
        self.due_ns
    }

    /// Ends an interval that is over: who is active now, the loudest first, if that differs from
    /// what was told before. An empty list says that everybody fell silent.
    pub fn poll_speakers(&mut self, now_ns: u64) -> Option<&[Speaker]> {
        if now_ns < self.due_ns {
            return None;
        }
        let interval_ms = self.settings.update_interval_ms.max(1);
        self.due_ns = now_ns + u64::from(interval_ms) * 1_000_000;
        std::mem::swap(&mut self.told, &mut self.before);
        self.told.clear();
        let threshold = linear(f32::from(self.settings.active_level));
        for heard in &mut self.heard {
            heard.end_interval(&self.settings, interval_ms);
            if heard.smoothed >= threshold {
                let level = (heard.smoothed * STEPS).ceil().min(STEPS) / STEPS;
                self.told.push(Speaker { source: heard.source, level });
            }
        }
        self.told.sort_unstable_by(|a, b| {
            b.level.total_cmp(&a.level).then_with(|| a.source.cmp(&b.source))
        });
        (self.told != self.before).then_some(&self.told)
    }

    /// Who is active, as told last.
    pub fn speakers(&self) -> &[Speaker] {
        &self.told
    }

    fn position(&self, source: SourceKey) -> Result<usize, usize> {
        self.heard.binary_search_by_key(&source, |heard| heard.source)
    }
}

impl Heard {
    fn end_interval(&mut self, settings: &SpeakerSettings, interval_ms: u32) {
        let speech_ms = self.speech_ms.min(interval_ms);
        let needed = u64::from(interval_ms) * u64::from(settings.min_percentile);
        let now = if u64::from(speech_ms) * 100 >= needed && speech_ms > 0 {
            // Speech for half of the time counts as 6 dB less.
            let share = speech_ms as f32 / interval_ms as f32;
            linear(f32::from(self.loudest) - 20.0 * share.log10())
        } else {
            0.0
        };
        let factor = 2.0 / (f32::from(settings.smooth_intervals.max(1)) + 1.0);
        self.smoothed += (now - self.smoothed) * factor;
        self.speech_ms = 0;
        self.loudest = 127;
    }
}

/// A level in -dBov as a share of the loudest.
fn linear(level: f32) -> f32 {
    10f32.powf(-level / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Plays intervals of 400 ms: level and how many of its twenty packets have it (the others are
    /// silent); gives the level told after each.
    fn check(intervals: &[(u8, u32)], expect: &[Option<f32>]) {
        let mut speakers = Speakers::new(SpeakerSettings::default());
        assert!(speakers.add_source(SourceKey(1)) && speakers.add_source(SourceKey(2)));
        assert!(speakers.poll_speakers(0).is_none());
        let mut timestamp = u32::MAX - 5000;
        let mut found = Vec::new();
        for (at, &(level, loud)) in (1..).zip(intervals) {
            for packet in 0..20 {
                let level = if packet < loud { level } else { 127 };
                let level = AudioLevel { level, voice: false };
                speakers.handle_level(SourceKey(1), level, timestamp, 48_000);
                timestamp = timestamp.wrapping_add(960);
            }
            assert!(speakers.poll_speakers(at * 400 * MS - 1).is_none());
            let news = speakers.poll_speakers(at * 400 * MS).map(<[Speaker]>::to_vec);
            found.push(news.map(|all| all.first().map_or(0.0, |speaker| speaker.level)));
        }
        assert_eq!(found, expect, "{intervals:?}");
    }

    #[test]
    fn who_talks() {
        // Silence, noise and short sounds are no speech.
        check(&[(127, 20), (36, 20), (10, 7)], &[None, None, None]);
        // 10 dB below the loudest is about a third; smoothed, it takes an interval to get there.
        check(&[(10, 20), (10, 20), (10, 20)], &[Some(0.25), Some(0.375), None]);
        // It ends gradually.
        check(&[(20, 20), (127, 20), (127, 20), (127, 20)], &[Some(0.125), None, Some(0.0), None]);
        check(&[(0, 20), (0, 20), (0, 20)], &[Some(0.75), Some(1.0), None]);
    }

    #[test]
    fn rooms_are_bounded_and_ordered() {
        let mut speakers = Speakers::new(SpeakerSettings::default());
        for key in 0..MAX_SPEAKERS as u64 {
            assert!(speakers.add_source(SourceKey(key)));
        }
        assert!(!speakers.add_source(SourceKey(u64::MAX)));
        assert!(speakers.add_source(SourceKey(5)));
        for packet in 0..20 {
            for (key, level) in [(9, 20), (3, 5), (7, 5)] {
                let level = AudioLevel { level, voice: true };
                speakers.handle_level(SourceKey(key), level, packet * 960, 48_000);
            }
        }
        let told = speakers.poll_speakers(1).expect("news").to_vec();
        let keys: Vec<u64> = told.iter().map(|speaker| speaker.source.0).collect();
        assert_eq!(keys, [3, 7, 9]);
        speakers.remove_source(SourceKey(3));
        let told = speakers.poll_speakers(500 * MS).expect("news");
        assert!(told.iter().all(|speaker| speaker.source != SourceKey(3)));
    }
}
