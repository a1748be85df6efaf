//! A named load as data: how many inputs, receivers, packets, and how fast.
//!
//! One YAML file per scenario under `perf/scenarios/`. The figures are those of one input; every
//! receiver gets everything that its input sends.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::packet::MIN_PACKET_BYTES;

/// A load, as its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name, equal to the file's without `.yaml`.
    pub name: String,
    /// One sentence for people.
    pub summary: String,
    /// What peers that negotiate are told the stream is.
    pub media: Media,
    /// Independent RTP inputs.
    pub inputs: u32,
    /// Receivers of each input.
    pub receivers_per_input: u32,
    /// UDP payload of each packet in bytes, RTP header included.
    pub packet_bytes: usize,
    /// Packets of successive frames; the list is cycled through.
    pub packets_per_frame: Vec<u32>,
    /// Frames per second of each input.
    pub frames_per_second: f64,
    /// RTP payload type.
    pub payload_type: u8,
    /// RTP clock in Hz.
    pub clock_rate_hz: u32,
}

/// The kind of stream, for SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Media {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("cannot read the scenario {path}; the known ones are in perf/scenarios/")]
    Unreadable {
        /// File that was tried.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no scenario.
    #[error("scenario {name}: {reason}")]
    Invalid {
        /// File or name.
        name: String,
        /// What to change.
        reason: String,
    },
}

/// The largest GSO run: the kernel takes 128 segments (64 before Linux 6.9) and 64 KiB.
pub const MAX_RUN_PACKETS: usize = 64;
const MAX_RUN_BYTES: usize = 65_000;

impl Scenario {
    /// Reads `<folder>/<name>.yaml`, or `name` itself when it is a path to a file.
    pub fn load(folder: &Path, name: &str) -> Result<Self, ScenarioError> {
        let path =
            if name.ends_with(".yaml") { name.into() } else { folder.join(format!("{name}.yaml")) };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(name, &text),
            Err(source) => Err(ScenarioError::Unreadable { path, source }),
        }
    }

    /// Parses and checks the text of a scenario; `name` is only for the error.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let invalid = |reason: String| ScenarioError::Invalid { name: name.to_owned(), reason };
        let scenario: Self =
            serde_saphyr::from_str(text).map_err(|error| invalid(error.to_string()))?;
        scenario.check().map_err(invalid)?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), String> {
        let longest = self.packets_per_frame.iter().copied().max().unwrap_or(0) as usize;
        if self.inputs == 0 || self.receivers_per_input == 0 {
            return Err("`inputs` and `receivers_per_input` must be at least 1".into());
        }
        let receivers = self.inputs.saturating_mul(self.receivers_per_input);
        if self.inputs > 1_000 || receivers > 10_000 {
            return Err("1000 inputs and 10000 receivers are what the port layout holds".into());
        }
        if self.packet_bytes < MIN_PACKET_BYTES || self.packet_bytes > 1472 {
            return Err(format!("`packet_bytes` must be {MIN_PACKET_BYTES} to 1472"));
        }
        if longest == 0 || self.packets_per_frame.contains(&0) {
            return Err("`packets_per_frame` needs numbers of at least 1".into());
        }
        if longest > MAX_RUN_PACKETS || longest * self.packet_bytes > MAX_RUN_BYTES {
            return Err(format!("a frame of {longest} packets does not fit into one GSO run"));
        }
        if !self.frames_per_second.is_finite() || self.frames_per_second <= 0.0 {
            return Err("`frames_per_second` must be above 0".into());
        }
        if self.payload_type > 127 || self.clock_rate_hz == 0 {
            return Err("`payload_type` must be 0 to 127 and `clock_rate_hz` above 0".into());
        }
        Ok(())
    }

    /// All receivers.
    pub fn receivers(&self) -> u32 {
        self.inputs * self.receivers_per_input
    }

    /// Packets of an average frame.
    pub fn mean_frame_packets(&self) -> f64 {
        let sum: u32 = self.packets_per_frame.iter().sum();
        f64::from(sum) / self.packets_per_frame.len() as f64
    }

    /// Packets of the longest frame.
    pub fn longest_frame_packets(&self) -> usize {
        self.packets_per_frame.iter().copied().max().unwrap_or(1) as usize
    }

    /// Packets per second that a server receives.
    pub fn received_pps(&self) -> f64 {
        f64::from(self.inputs) * self.frames_per_second * self.mean_frame_packets()
    }

    /// Packets per second that a server has to send: the load that a row is about.
    pub fn delivered_pps(&self) -> f64 {
        self.received_pps() * f64::from(self.receivers_per_input)
    }

    /// The same streams with frames coming faster or slower, so that `delivered_pps` are delivered.
    pub fn at_delivered_pps(&self, pps: f64) -> Self {
        let factor = pps / self.delivered_pps();
        Self { frames_per_second: self.frames_per_second * factor, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::scenario::CallScenario;

    const GOOD: &str = "name: t\nsummary: s\nmedia: video\ninputs: 2\nreceivers_per_input: 50\n\
        packet_bytes: 1200\npackets_per_frame: [8, 12]\nframes_per_second: 30\n\
        payload_type: 96\nclock_rate_hz: 90000\n";

    fn check(from: &str, to: &str, expect: Result<f64, &str>) {
        let text = GOOD.replace(from, to);
        match (Scenario::parse("t", &text), expect) {
            (Ok(scenario), Ok(pps)) => assert!((scenario.delivered_pps() - pps).abs() < 1e-6),
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error} should say {part}");
            }
            (got, expect) => panic!("{to}: {got:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn files_are_checked() {
        check("", "", Ok(30_000.0));
        check("[8, 12]", "[1]", Ok(3_000.0));
        check("inputs: 2", "inputs: 0", Err("at least 1"));
        check("inputs: 2", "inputs: 2000", Err("1000 inputs"));
        check("1200", "20", Err("packet_bytes"));
        check("[8, 12]", "[]", Err("packets_per_frame"));
        check("[8, 12]", "[60]", Err("GSO run"));
        check("second: 30", "second: 0", Err("frames_per_second"));
        check("type: 96", "type: 128", Err("payload_type"));
        check("inputs: 2", "imputs: 2", Err("imputs"));
    }

    #[test]
    fn rate_scales() {
        let scenario = Scenario::parse("t", GOOD).unwrap().at_delivered_pps(60_000.0);
        assert!((scenario.frames_per_second - 60.0).abs() < 1e-9);
    }

    #[test]
    fn shipped_scenarios_parse() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let found = match CallScenario::load(&folder, name).unwrap() {
                Some(call) => call.name,
                None => Scenario::load(&folder, name).unwrap().name,
            };
            assert_eq!(found, name);
        }
    }
}
