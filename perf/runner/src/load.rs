//! What servers are loaded with: plain streams, or a call.

use std::path::Path;

use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::scenario::{Scenario, ScenarioError};

/// A scenario of either kind.
#[derive(Clone, Debug)]
pub enum Load {
    /// Plain RTP.
    Rtp(Scenario),
    /// Participants in a room.
    Call(CallScenario),
}

impl Load {
    /// Reads `<folder>/<name>.yaml`.
    pub fn read(folder: &Path, name: &str) -> Result<Self, ScenarioError> {
        match CallScenario::load(folder, name)? {
            Some(call) => Ok(Self::Call(call)),
            None => Scenario::load(folder, name).map(Self::Rtp),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Rtp(scenario) => &scenario.name,
            Self::Call(call) => &call.name,
        }
    }

    /// One sentence for people.
    pub fn summary(&self) -> &str {
        match self {
            Self::Rtp(scenario) => &scenario.summary,
            Self::Call(call) => &call.summary,
        }
    }

    /// Packets per second that a server has to send.
    pub fn delivered_pps(&self) -> f64 {
        match self {
            Self::Rtp(scenario) => scenario.delivered_pps(),
            Self::Call(call) => call.delivered_pps(),
        }
    }

    /// The same with frames coming faster or slower.
    pub fn at_delivered_pps(&self, pps: f64) -> Self {
        match self {
            Self::Rtp(scenario) => Self::Rtp(scenario.at_delivered_pps(pps)),
            Self::Call(call) => Self::Call(call.at_delivered_pps(pps)),
        }
    }

    /// Whether it is a call.
    pub fn is_call(&self) -> bool {
        matches!(self, Self::Call(_))
    }
}
