//! One run of the generator against a server that is ready, and what it measured.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use ringway_loadgen::call::report::CallReport;
use ringway_loadgen::call::run::{CallPlan, CallTarget};
use ringway_loadgen::kernel;
use ringway_loadgen::ports::Targets;
use ringway_loadgen::receive::ReceiveEngine;
use ringway_loadgen::report::Report;
use ringway_loadgen::run::{Mark, Plan};
use ringway_loadgen::{call, run};

use crate::load::Load;
use crate::path::{Path, PathKind};

/// How long it may take until everybody in a call receives everything.
const JOIN_LIMIT: Duration = Duration::from_secs(45);

/// What is to be run, and where.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The scenario.
    pub load: Load,
    /// Where plain streams go.
    pub targets: Targets,
    /// Where a call goes.
    pub call: Option<CallTarget>,
    /// Load before the window.
    pub warmup: Duration,
    /// The measured part.
    pub window: Duration,
    /// Participants that begin to join in a second.
    pub join_per_second: f64,
}

/// What was measured, of whichever kind the load was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Packets that arrived between the edges of the window.
    pub delivered: u64,
    /// Packets of the window that should have come.
    pub expected: u64,
    /// Those that came.
    pub received: u64,
    /// Those that did not.
    pub lost: u64,
    /// Those that came only after they were asked for.
    pub repaired: u64,
    /// Median latency.
    pub p50_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// 99.9th percentile.
    pub p999_us: f64,
    /// Packets per second to deliver.
    pub load_pps: f64,
    /// The generator was the bottleneck.
    pub saturated: bool,
    /// Participants of a call.
    pub participants: u64,
    /// What was delivered over what the best quality would have been.
    pub fullness: f64,
    /// Anything that a reader should know.
    pub notes: Vec<String>,
}

/// Brings the calling thread to the generator's place.
pub fn settle(path: PathKind, core: usize) -> anyhow::Result<()> {
    Path::enter(path).context("cannot enter the generator's namespace")?;
    kernel::pin(core).with_context(|| format!("cannot pin to core {core}"))
}

/// Runs the load on the calling thread.
pub fn drive(aim: Aim, stop: &AtomicBool, on_mark: impl FnMut(Mark)) -> anyhow::Result<Outcome> {
    match aim.load {
        Load::Rtp(scenario) => {
            let plan = Plan {
                scenario,
                targets: aim.targets,
                warmup: aim.warmup,
                window: aim.window,
                engine: ReceiveEngine::Auto,
            };
            Ok(run::run(&plan, stop, on_mark)?.into())
        }
        Load::Call(scenario) => {
            let plan = CallPlan {
                scenario,
                target: aim.call.context("the server takes no calls")?,
                warmup: aim.warmup,
                window: aim.window,
                join_per_second: aim.join_per_second,
                join_limit: JOIN_LIMIT,
            };
            Ok(call::run::run(&plan, stop, on_mark)?.into())
        }
    }
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Self {
            delivered: report.delivered,
            expected: report.expected,
            received: report.received,
            lost: report.lost,
            repaired: 0,
            p50_us: report.p50_us,
            p99_us: report.p99_us,
            p999_us: report.p999_us,
            load_pps: report.load_pps,
            saturated: report.saturated,
            participants: 0,
            fullness: 1.0,
            notes: Vec::new(),
        }
    }
}

impl From<CallReport> for Outcome {
    fn from(report: CallReport) -> Self {
        let mut notes = vec![format!("SRTP {}", report.srtp_profile)];
        if let Some(failure) = report.failures.first() {
            let count = report.failures.len();
            notes.push(format!("{count} participants failed, one because: {failure}"));
        }
        if let Some(storm) = &report.storm {
            notes.push(format!(
                "storm: {} of {} came, {} connected, {} received everything, {} s",
                storm.joined, storm.participants, storm.connected, storm.receiving, storm.seconds
            ));
        }
        Self {
            delivered: report.delivered,
            expected: report.expected,
            received: report.received,
            lost: report.lost,
            repaired: report.repaired,
            p50_us: report.p50_us,
            p99_us: report.p99_us,
            p999_us: report.p999_us,
            load_pps: report.load_pps,
            saturated: report.saturated,
            participants: report.participants,
            fullness: report.delivered as f64 / report.wanted.max(1) as f64,
            notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_up() {
        let report = CallReport {
            delivered: 90,
            wanted: 100,
            srtp_profile: "AEAD_AES_128_GCM".into(),
            failures: vec!["refused".into()],
            ..CallReport::default()
        };
        let outcome = Outcome::from(report);
        assert!((outcome.fullness - 0.9).abs() < 1e-9);
        assert_eq!(outcome.notes.len(), 2, "{:?}", outcome.notes);
    }
}
