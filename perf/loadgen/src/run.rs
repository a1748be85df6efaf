//! The loop of a run: send what is due, drain what has arrived, count, until the time is over.
//!
//! warm-up | window | a little more of the same load | drain

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::kernel::{monotonic_ns, thread_cpu_ns};
use crate::packet;
use crate::ports::Targets;
use crate::receive::{ReceiveEngine, Receivers};
use crate::report::{Report, percentile_us, to_us};
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::send::Outlet;
use crate::track::SequenceTrack;

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The load.
    pub scenario: Scenario,
    /// Where to.
    pub targets: Targets,
    /// Load before the window, for latching, caches and clocks of the CPU.
    pub warmup: Duration,
    /// The measured part.
    pub window: Duration,
    /// How the receivers are drained.
    pub engine: ReceiveEngine,
}

/// Told to the caller at the edges of the window, from inside the loop: it must be quick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The window begins.
    Opened,
    /// The window is over.
    Closed,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The receivers could not be set up.
    #[error("cannot set up the receivers")]
    Receivers(#[source] io::Error),
    /// The inputs could not be set up.
    #[error("cannot connect the inputs")]
    Inputs(#[source] io::Error),
    /// Draining failed.
    #[error("cannot drain the receivers")]
    Drain(#[source] io::Error),
    /// The caller stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// The load goes on so long after the window, so that its end is as steady as its middle.
const TAIL: Duration = Duration::from_millis(100);
/// Then packets under way get so long to arrive.
const DRAIN: Duration = Duration::from_millis(400);
/// A frame later than this counts as late.
const LATE_NS: u64 = 1_000_000;
/// Anything slower is recorded as this.
const MAX_LATENCY_NS: u64 = 10_000_000_000;
/// Frames sent before the receivers are looked at again, when the generator is behind.
const BURST: usize = 8;

/// Runs `plan` on the calling thread.
pub fn run(
    plan: &Plan,
    stop: &AtomicBool,
    mut on_mark: impl FnMut(Mark),
) -> Result<Report, RunError> {
    let mut receivers =
        Receivers::bind(&plan.targets.receivers, plan.engine).map_err(RunError::Receivers)?;
    let mut outlet = Outlet::connect(&plan.scenario, &plan.targets).map_err(RunError::Inputs)?;
    let mut run = Run::new(plan);
    while !run.is_over() {
        if stop.load(Ordering::Relaxed) {
            return Err(RunError::Interrupted);
        }
        run.now_ns = monotonic_ns();
        let began_ns = run.now_ns;
        run.pass_edges(&mut on_mark);
        let sent = run.send_due(&mut outlet);
        let got = receivers
            .drain(|receiver, bytes, at_ns| run.tally.take(receiver, bytes, at_ns))
            .map_err(RunError::Drain)?;
        if sent + got > 0 && run.opened && !run.closed {
            run.busy_ns += monotonic_ns() - began_ns;
        } else if sent + got == 0 {
            std::hint::spin_loop();
        }
    }
    Ok(run.report(plan, receivers.engine()))
}

/// Times and counts of the sending side.
struct Run {
    now_ns: u64,
    open_ns: u64,
    close_ns: u64,
    schedule: Schedule,
    next: u64,
    opened: bool,
    closed: bool,
    busy_ns: u64,
    cpu_ns: u64,
    sent_in_window: Vec<u64>,
    frames: u64,
    late_frames: u64,
    max_late_ns: u64,
    send_errors: u64,
    delivered: u64,
    tally: Tally,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let scenario = &plan.scenario;
        let start_ns = monotonic_ns() + 10_000_000;
        let open_ns = start_ns + plan.warmup.as_nanos() as u64;
        let close_ns = open_ns + plan.window.as_nanos() as u64;
        Self {
            now_ns: 0,
            open_ns,
            close_ns,
            schedule: Schedule::new(start_ns, scenario.frames_per_second, scenario.inputs),
            next: 0,
            opened: false,
            closed: false,
            busy_ns: 0,
            cpu_ns: 0,
            sent_in_window: vec![0; plan.targets.inputs.len()],
            frames: 0,
            late_frames: 0,
            max_late_ns: 0,
            send_errors: 0,
            delivered: 0,
            tally: Tally::new(plan, open_ns..close_ns),
        }
    }

    fn is_over(&self) -> bool {
        self.now_ns >= self.close_ns + (TAIL + DRAIN).as_nanos() as u64
    }

    fn pass_edges(&mut self, on_mark: &mut impl FnMut(Mark)) {
        if !self.opened && self.now_ns >= self.open_ns {
            self.opened = true;
            self.delivered = self.tally.arrived;
            self.cpu_ns = thread_cpu_ns();
            on_mark(Mark::Opened);
        }
        if !self.closed && self.now_ns >= self.close_ns {
            self.closed = true;
            self.delivered = self.tally.arrived - self.delivered;
            self.cpu_ns = thread_cpu_ns() - self.cpu_ns;
            on_mark(Mark::Closed);
        }
    }

    fn send_due(&mut self, outlet: &mut Outlet) -> usize {
        let mut frames = 0;
        while frames < BURST {
            let due = self.schedule.due(self.next);
            if due.at_ns > self.now_ns || due.at_ns >= self.close_ns + TAIL.as_nanos() as u64 {
                break;
            }
            let late_ns = monotonic_ns().saturating_sub(due.at_ns);
            self.late_frames += u64::from(late_ns > LATE_NS);
            self.max_late_ns = self.max_late_ns.max(late_ns);
            match outlet.send(due) {
                Ok(packets) if self.tally.window.contains(&due.at_ns) => {
                    self.sent_in_window[due.input] += u64::from(packets);
                }
                Ok(_) => {}
                Err(_) => self.send_errors += 1,
            }
            self.frames += 1;
            self.next += 1;
            frames += 1;
        }
        frames
    }

    fn report(&self, plan: &Plan, engine: &str) -> Report {
        let tally = &self.tally;
        let fan_out = u64::from(plan.scenario.receivers_per_input);
        let sent: u64 = self.sent_in_window.iter().sum();
        let received: u64 = tally.in_window.iter().sum();
        let expected = sent * fan_out;
        // Per receiver, so that one's surplus cannot hide another's loss.
        let lost = tally
            .in_window
            .iter()
            .enumerate()
            .map(|(at, got)| self.sent_in_window[at / fan_out as usize].saturating_sub(*got))
            .sum();
        let busy = self.busy_ns as f64 / (self.close_ns - self.open_ns).max(1) as f64;
        let late = self.late_frames * 100 > self.frames;
        Report {
            scenario: plan.scenario.name.clone(),
            engine: engine.to_owned(),
            seconds: plan.window.as_secs_f64(),
            load_pps: plan.scenario.delivered_pps(),
            sent,
            expected,
            received,
            lost,
            loss: lost as f64 / expected.max(1) as f64,
            duplicates: tally.tracks.iter().map(|track| track.duplicates).sum(),
            reordered: tally.tracks.iter().map(|track| track.reordered).sum(),
            foreign: tally.foreign,
            delivered: self.delivered,
            p50_us: percentile_us(&tally.latency, 0.5),
            p99_us: percentile_us(&tally.latency, 0.99),
            p999_us: percentile_us(&tally.latency, 0.999),
            max_us: to_us(tally.latency.max()),
            busy: (busy * 1000.0).round() / 1000.0,
            cpu_us: to_us(self.cpu_ns),
            late_frames: self.late_frames,
            max_late_us: to_us(self.max_late_ns),
            send_errors: self.send_errors,
            saturated: busy > 0.9 || late || self.send_errors > 0,
        }
    }
}

/// Counts of the receiving side.
struct Tally {
    window: std::ops::Range<u64>,
    fan_out: usize,
    tracks: Vec<SequenceTrack>,
    in_window: Vec<u64>,
    latency: Histogram<u64>,
    arrived: u64,
    foreign: u64,
}

impl Tally {
    fn new(plan: &Plan, window: std::ops::Range<u64>) -> Self {
        let receivers = plan.targets.receivers.len();
        Self {
            window,
            fan_out: plan.scenario.receivers_per_input as usize,
            tracks: vec![SequenceTrack::default(); receivers],
            in_window: vec![0; receivers],
            latency: Histogram::new_with_bounds(1, MAX_LATENCY_NS, 3).expect("valid bounds"),
            arrived: 0,
            foreign: 0,
        }
    }

    fn take(&mut self, receiver: usize, bytes: &[u8], at_ns: u64) {
        let Some(stamp) = packet::read(bytes) else {
            self.foreign += 1;
            return;
        };
        if stamp.input as usize != receiver / self.fan_out {
            self.foreign += 1;
            return;
        }
        self.arrived += 1;
        if self.tracks[receiver].accept(stamp.sequence) && self.window.contains(&stamp.due_ns) {
            self.in_window[receiver] += 1;
            self.latency.saturating_record(at_ns.saturating_sub(stamp.due_ns));
        }
    }
}
