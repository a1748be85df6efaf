//! A call as data: who publishes what, and how many listen.
//!
//! One YAML file per scenario under `perf/scenarios/`, told from plain RTP by `kind: call`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::scenario::ScenarioError;

/// A call, as its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallScenario {
    /// Always `call`.
    pub kind: CallKind,
    /// Name, equal to the file's without `.yaml`.
    pub name: String,
    /// One sentence for people.
    pub summary: String,
    /// Participants that publish.
    pub publishers: u32,
    /// Whether they also receive what the others publish.
    pub publishers_subscribe: bool,
    /// Participants that only receive.
    pub subscribers: u32,
    /// What each publisher sends to be seen.
    #[serde(default)]
    pub video: Option<VideoPlan>,
    /// What each publisher sends to be heard.
    #[serde(default)]
    pub audio: Option<AudioPlan>,
    /// What each publisher sends over its data channel.
    #[serde(default)]
    pub data: Option<DataPlan>,
    /// Participants that join while the others are measured.
    #[serde(default)]
    pub storm: Option<StormPlan>,
}

/// Tells a call from a plain stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    /// Participants in a room.
    Call,
}

/// Simulcast VP8.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoPlan {
    /// Frames per second of every layer.
    pub frames_per_second: f64,
    /// Encodings, the lowest quality first; at most three.
    pub layers: Vec<LayerPlan>,
    /// Longest RTP payload in bytes, the descriptor included.
    pub payload_bytes: usize,
    /// Sizes of successive frames over the mean; the list is cycled through.
    pub frame_sizes: Vec<f64>,
}

/// One encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerPlan {
    /// Its id in packets: `q`, `h`, `f`.
    pub rid: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// RTP payload in kbit/s.
    pub kbps: f64,
}

/// Opus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioPlan {
    /// Packets per second while somebody talks.
    pub packets_per_second: f64,
    /// RTP payload in bytes.
    pub payload_bytes: usize,
    /// How long somebody talks.
    pub talk_ms: u64,
    /// How long the silence after it is, in which only comfort noise is sent (DTX).
    pub pause_ms: u64,
}

/// Reliable data messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataPlan {
    /// Messages per second.
    pub messages_per_second: f64,
    /// Bytes of a message's payload.
    pub payload_bytes: usize,
}

/// Participants who come while the others are measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StormPlan {
    /// How many.
    pub participants: u32,
    /// In how much time, evenly.
    pub within_ms: u64,
    /// Into a room of their own, with a publisher of their own; else into the measured one.
    pub other_room: bool,
}

/// Between two packets of comfort noise, in packets' time: 400 ms, as libopus has it.
pub const COMFORT_EVERY: u64 = 20;

impl CallScenario {
    /// Whether the text is meant to be a call.
    pub fn is_call(text: &str) -> bool {
        text.lines().any(|line| line.trim_end() == "kind: call")
    }

    /// Reads `<folder>/<name>.yaml`, or `name` itself when it is a path to a file; `None` when
    /// the file is about something else.
    pub fn load(folder: &Path, name: &str) -> Result<Option<Self>, ScenarioError> {
        let path =
            if name.ends_with(".yaml") { name.into() } else { folder.join(format!("{name}.yaml")) };
        match std::fs::read_to_string(&path) {
            Ok(text) if Self::is_call(&text) => Self::parse(name, &text).map(Some),
            Ok(_) => Ok(None),
            Err(source) => Err(ScenarioError::Unreadable { path, source }),
        }
    }

    /// Parses and checks the text of a scenario; `name` is only for the error.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let invalid = |reason: String| ScenarioError::Invalid { name: name.to_owned(), reason };
        let scenario: Self =
            serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?;
        scenario.check().map_err(|reason| invalid(reason.to_owned()))?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), &'static str> {
        let listeners = self.subscribers + u32::from(self.publishers_subscribe) * self.publishers;
        if self.publishers == 0 || listeners == 0 || self.participants() > 2000 {
            return Err("publishers and listeners are needed, at most 2000 in all");
        }
        if self.video.is_none() && self.audio.is_none() && self.data.is_none() {
            return Err("`video`, `audio` or `data` is needed");
        }
        let rate = |rate: f64| rate.is_finite() && rate > 0.0 && rate <= 10_000.0;
        if let Some(video) = &self.video {
            if !(1..=3).contains(&video.layers.len()) || video.frame_sizes.is_empty() {
                return Err("`layers` takes one to three, `frame_sizes` at least one");
            }
            if !rate(video.frames_per_second) || !(100..=1200).contains(&video.payload_bytes) {
                return Err("`frames_per_second` above 0, `payload_bytes` 100 to 1200");
            }
            let fits = |layer: &LayerPlan| rate(layer.kbps) && layer.rid.len() <= 16;
            if !video.layers.iter().all(fits) || !video.frame_sizes.iter().all(|s| rate(*s)) {
                return Err("`kbps` and `frame_sizes` must be above 0 and at most 10000");
            }
        }
        if let Some(audio) = &self.audio
            && (!rate(audio.packets_per_second)
                || !(40..=1200).contains(&audio.payload_bytes)
                || audio.talk_ms == 0)
        {
            return Err("audio: `payload_bytes` 40 to 1200, `talk_ms` above 0");
        }
        if let Some(data) = &self.data
            && (!rate(data.messages_per_second) || !(20..=15_000).contains(&data.payload_bytes))
        {
            return Err("data: `payload_bytes` 20 to 15000, `messages_per_second` above 0");
        }
        Ok(())
    }

    /// Participants that are there from the start.
    pub fn participants(&self) -> u32 {
        self.publishers + self.subscribers
    }

    /// Who receives a publisher's tracks.
    pub fn receivers_per_publisher(&self) -> u32 {
        let publishers = if self.publishers_subscribe { self.publishers - 1 } else { 0 };
        self.subscribers + publishers
    }

    /// Packets per second that each receiver gets of one publisher: the top layer, the sound, and
    /// a message for a packet.
    pub fn pps_per_receiver(&self) -> f64 {
        let video = self.video.as_ref().map_or(0.0, |video| {
            let sizes = video.layers.last().map(|layer| video.frame_sizes_of(layer));
            let packets: usize = sizes.iter().flatten().map(|bytes| video.packets_of(*bytes)).sum();
            packets as f64 / video.frame_sizes.len() as f64 * video.frames_per_second
        });
        let audio = self.audio.as_ref().map_or(0.0, |audio| {
            let (talk, pause) = (audio.talk_ms as f64, audio.pause_ms as f64);
            audio.packets_per_second * (talk + pause / COMFORT_EVERY as f64) / (talk + pause)
        });
        let data = self.data.as_ref().map_or(0.0, |data| data.messages_per_second);
        video + audio + data
    }

    /// What each publisher sends: its tracks, and its data.
    pub fn streams_per_publisher(&self) -> usize {
        let sent = [self.video.is_some(), self.audio.is_some(), self.data.is_some()];
        sent.into_iter().filter(|sent| *sent).count()
    }

    /// Packets per second that a server has to send: the load that a row is about.
    pub fn delivered_pps(&self) -> f64 {
        let pairs = f64::from(self.publishers) * f64::from(self.receivers_per_publisher());
        pairs * self.pps_per_receiver()
    }

    /// The same call with frames of the same sizes coming faster or slower, so that
    /// `delivered_pps` are delivered.
    pub fn at_delivered_pps(&self, pps: f64) -> Self {
        let factor = pps / self.delivered_pps();
        let mut scaled = self.clone();
        if let Some(video) = &mut scaled.video {
            video.frames_per_second *= factor;
            video.layers.iter_mut().for_each(|layer| layer.kbps *= factor);
        }
        if let Some(audio) = &mut scaled.audio {
            audio.packets_per_second *= factor;
        }
        if let Some(data) = &mut scaled.data {
            data.messages_per_second *= factor;
        }
        scaled
    }
}

impl VideoPlan {
    /// Bytes of successive frames of a layer.
    pub fn frame_sizes_of(&self, layer: &LayerPlan) -> Vec<usize> {
        let mean = layer.kbps * 125.0 / self.frames_per_second;
        let sum: f64 = self.frame_sizes.iter().sum();
        let unit = mean * self.frame_sizes.len() as f64 / sum;
        self.frame_sizes.iter().map(|size| (size * unit).max(60.0) as usize).collect()
    }

    /// Packets of a frame of `bytes`.
    pub fn packets_of(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.payload_bytes - crate::call::video::DESCRIPTOR_BYTES).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "kind: call\nname: t\nsummary: s\npublishers: 2\n\
        publishers_subscribe: true\nsubscribers: 8\nvideo:\n  frames_per_second: 30\n  \
        payload_bytes: 1106\n  frame_sizes: [1, 1]\n  layers:\n    - {rid: q, width: 320, \
        height: 180, kbps: 240}\n    - {rid: f, width: 1280, height: 720, kbps: 1200}\naudio:\n  \
        packets_per_second: 50\n  payload_bytes: 100\n  talk_ms: 1000\n  pause_ms: 1000\n";

    fn check(from: &str, to: &str, expect: Result<f64, &str>) {
        let text = GOOD.replace(from, to);
        assert!(CallScenario::is_call(&text));
        match (CallScenario::parse("t", &text), expect) {
            (Ok(scenario), Ok(pps)) => {
                let got = scenario.delivered_pps();
                assert!((got - pps).abs() < 1e-6, "{to}: {got}");
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error} should say {part}");
            }
            (got, expect) => panic!("{to}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn files_are_checked() {
        // 5000 bytes a frame in five packets; 50 and 2.5 packets of sound by turns; 2 x 9 pairs.
        check("", "", Ok((150.0 + 26.25) * 18.0));
        check("subscribe: true", "subscribe: false", Ok((150.0 + 26.25) * 16.0));
        check("publishers: 2", "publishers: 0", Err("publishers and listeners"));
        check("1106", "1300", Err("payload_bytes"));
        check("kbps: 240", "kbps: 0", Err("kbps"));
        check("talk_ms: 1000", "talk_ms: 0", Err("talk_ms"));
        let data = "pause_ms: 1000\ndata:\n  messages_per_second: 10\n  payload_bytes: ";
        check("pause_ms: 1000", &format!("{data}20"), Ok((150.0 + 26.25 + 10.0) * 18.0));
        check("pause_ms: 1000", &format!("{data}19"), Err("data: `payload_bytes`"));
        check("summary", "summery", Err("summery"));
    }

    #[test]
    fn rate_scales() {
        let scenario = CallScenario::parse("t", GOOD).unwrap();
        let doubled = scenario.at_delivered_pps(2.0 * scenario.delivered_pps());
        assert!((doubled.delivered_pps() - 2.0 * scenario.delivered_pps()).abs() < 1e-6);
    }

    #[test]
    fn plain_streams_are_told_apart() {
        assert!(!CallScenario::is_call("name: a call\nsummary: kind: call\n"));
    }
}
