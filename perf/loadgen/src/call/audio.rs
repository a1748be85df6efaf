//! Opus as a server sees it: packets while somebody talks, comfort noise while nobody does.

use super::scenario::{AudioPlan, COMFORT_EVERY};
use super::stamp::{AUDIO_OFFSET, CallStamp};

/// RFC 6716 3.1: hybrid, full band, 20 ms, mono, one frame.
const TABLE_OF_CONTENTS: u8 = 0x78;
/// What libopus sends in silence.
const COMFORT: [u8; 3] = [TABLE_OF_CONTENTS, 0xff, 0xfe];

/// Level of speech and of silence, -dBov (RFC 6464).
const SPEECH_LEVEL: u8 = 25;
const SILENCE_LEVEL: u8 = 127;

/// The voice of one publisher: a pattern of speech and pauses.
#[derive(Clone, Debug)]
pub struct Voice {
    talk_packets: u64,
    cycle_packets: u64,
    /// Packets' time by which its pattern is ahead of the others'.
    ahead: u64,
    payload_bytes: usize,
}

/// What is due at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// Bytes of the payload.
    pub bytes: usize,
    /// Whether it is speech.
    pub speech: bool,
    /// Whether it begins to talk.
    pub first: bool,
    /// The level for the header extension.
    pub level: u8,
}

impl Voice {
    /// The `index`-th of `count` voices, whose pauses are spread evenly.
    pub fn new(plan: &AudioPlan, index: u64, count: u64) -> Self {
        let packets = |ms: u64| (ms as f64 * plan.packets_per_second / 1000.0) as u64;
        let talk_packets = packets(plan.talk_ms).max(1);
        let cycle_packets = talk_packets + packets(plan.pause_ms);
        let ahead = cycle_packets * index / count.max(1);
        Self { talk_packets, cycle_packets, ahead, payload_bytes: plan.payload_bytes }
    }

    /// What it sends in the `number`-th packet's time; `None` in silence.
    pub fn at(&self, number: u64) -> Option<Utterance> {
        let place = (number + self.ahead) % self.cycle_packets;
        if place < self.talk_packets {
            let (bytes, first) = (self.payload_bytes, place == 0);
            return Some(Utterance { bytes, speech: true, first, level: SPEECH_LEVEL });
        }
        let comfort = (place - self.talk_packets).is_multiple_of(COMFORT_EVERY);
        let bytes = COMFORT.len();
        comfort.then_some(Utterance { bytes, speech: false, first: false, level: SILENCE_LEVEL })
    }
}

/// Fills `payload`.
pub fn write(utterance: &Utterance, stamp: &CallStamp, payload: &mut [u8]) {
    if utterance.speech {
        payload.fill(0x5a);
        payload[0] = TABLE_OF_CONTENTS;
        stamp.write(&mut payload[AUDIO_OFFSET..]);
    } else {
        payload.copy_from_slice(&COMFORT);
    }
}

/// The stamp of a received payload; comfort noise has none.
pub fn read_stamp(payload: &[u8]) -> Option<CallStamp> {
    CallStamp::read(payload.get(AUDIO_OFFSET..)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_talk_and_pause() {
        let plan = AudioPlan {
            packets_per_second: 50.0,
            payload_bytes: 100,
            talk_ms: 1000,
            pause_ms: 1000,
        };
        let count = |voice: &Voice, speech| {
            let all = (0..100).filter_map(|at| voice.at(at));
            all.filter(|utterance| utterance.speech == speech).count()
        };
        for index in 0..4 {
            let voice = Voice::new(&plan, index, 4);
            assert_eq!((count(&voice, true), count(&voice, false)), (50, 3), "{index}");
        }
        assert!(Voice::new(&plan, 0, 4).at(0).is_some_and(|utterance| utterance.first));
        assert!(Voice::new(&plan, 2, 4).at(0).is_some_and(|utterance| !utterance.speech));
        let steady = Voice::new(&AudioPlan { pause_ms: 0, ..plan }, 3, 4);
        assert_eq!(count(&steady, true), 100);
    }
}
