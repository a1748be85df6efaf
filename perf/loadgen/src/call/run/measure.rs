//! The edges between the phases of a run, and the report at its end.

use super::*;
use crate::call::report::StormReport;
use crate::call::stream::WindowCount;
use crate::call::track::profile_name;
use crate::report::{percentile_us, to_us};

/// Failures that a report quotes.
const MAX_FAILURES: usize = 10;

impl Run<'_> {
    pub(super) fn pass_edges(&mut self, on_mark: &mut impl FnMut(Mark)) -> Result<(), CallError> {
        if self.is_storming() && self.is_settled(true) {
            self.storm_ended_ns = self.now_ns;
        }
        let over = self.now_ns >= self.until_ns;
        match self.phase {
            Phase::Joining if self.is_settled(false) => {
                self.join_ns = self.now_ns - self.began_ns;
                self.enter(Phase::Warming, self.plan.warmup.as_nanos() as u64);
            }
            Phase::Joining if over => {
                let seconds = self.plan.join_limit.as_secs();
                return Err(CallError::Join { seconds, progress: self.progress() });
            }
            Phase::Warming if over => {
                self.open();
                on_mark(Mark::Opened);
            }
            Phase::Open if over => {
                self.tally.is_open = false;
                self.closed = self.edge();
                self.each_stream(|stream| stream.close_window());
                self.each_data(|data| data.close_window());
                on_mark(Mark::Closed);
                self.enter(Phase::Tail, TAIL_NS);
            }
            Phase::Tail if over => self.enter(Phase::Drain, DRAIN_NS),
            Phase::Drain if over => self.phase = Phase::Over,
            _ => {}
        }
        Ok(())
    }

    fn enter(&mut self, phase: Phase, for_ns: u64) {
        self.phase = phase;
        self.until_ns = self.now_ns + for_ns;
    }

    fn open(&mut self) {
        self.enter(Phase::Open, self.plan.window.as_nanos() as u64);
        self.tally.is_open = true;
        for publisher in self.members.iter_mut().filter_map(|it| it.publisher.as_mut()) {
            publisher.count.max_late_ns = 0;
        }
        self.each_stream(|stream| stream.open_window());
        self.each_data(|data| data.open_window());
        self.opened = self.edge();
        self.begin_storm();
    }

    fn each_stream(&mut self, mut act: impl FnMut(&mut crate::call::stream::ReceivedStream)) {
        for member in self.members.iter_mut().filter(|member| !member.late) {
            member.subscriber.streams().iter_mut().for_each(&mut act);
        }
    }

    fn each_data(&mut self, mut act: impl FnMut(&mut crate::call::data::ReceivedData)) {
        for member in self.members.iter_mut().filter(|member| !member.late) {
            member.subscriber.data().iter_mut().for_each(&mut act);
        }
    }

    /// Whether everybody of the storm, or everybody else, receives everything.
    fn is_settled(&self, late: bool) -> bool {
        let mut those = self.members.iter().filter(|member| member.late == late);
        those.all(Member::is_settled)
    }

    fn edge(&self) -> Edge {
        let mut sum = PublisherCount::default();
        let publishers = self.members.iter().filter(|member| !member.late);
        for publisher in publishers.filter_map(|member| member.publisher.as_ref()) {
            let one = publisher.count;
            sum.packets += one.packets;
            sum.best_packets += one.best_packets;
            sum.key_frames += one.key_frames;
            sum.repairs += one.repairs;
            sum.frames += one.frames;
            sum.late_frames += one.late_frames;
            sum.max_late_ns = sum.max_late_ns.max(one.max_late_ns);
        }
        Edge { publishers: sum, cpu_ns: thread_cpu_ns() }
    }

    pub(super) fn report(&mut self) -> CallReport {
        let scenario = &self.plan.scenario;
        let (opened, closed, last) = (self.opened, self.closed, self.edge());
        let receivers = u64::from(scenario.receivers_per_publisher());
        let WindowCount { expected, received, repaired } = self.window();
        let lost = expected - received.min(expected);
        let frames = closed.publishers.frames - opened.publishers.frames;
        let late_frames = closed.publishers.late_frames - opened.publishers.late_frames;
        let best_packets = closed.publishers.best_packets - opened.publishers.best_packets;
        let busy = self.busy_ns as f64 / self.plan.window.as_nanos().max(1) as f64;
        let (duplicates, reordered) = self.disorder();
        let tally = &self.tally;
        let send_errors = self.send_errors();
        CallReport {
            scenario: scenario.name.clone(),
            server: self.server.clone(),
            srtp_profile: self.profiles(),
            participants: self.members.len() as u64,
            seconds: self.plan.window.as_secs_f64(),
            join_seconds: seconds(self.join_ns),
            load_pps: scenario.delivered_pps(),
            sent: closed.publishers.packets - opened.publishers.packets,
            wanted: best_packets * receivers,
            expected,
            received,
            lost,
            loss: lost as f64 / expected.max(1) as f64,
            repaired,
            duplicates,
            reordered,
            foreign: tally.foreign,
            dropped: tally.dropped.iter().map(|(why, count)| (why.to_string(), *count)).collect(),
            padding: tally.padding,
            delivered: tally.delivered,
            best: tally.best as f64 / tally.stamped.max(1) as f64,
            nacks: tally.nacks,
            repairs: last.publishers.repairs,
            key_frames: last.publishers.key_frames,
            p50_us: percentile_us(&tally.latency, 0.5),
            p99_us: percentile_us(&tally.latency, 0.99),
            p999_us: percentile_us(&tally.latency, 0.999),
            max_us: to_us(tally.latency.max()),
            busy: (busy * 1000.0).round() / 1000.0,
            cpu_us: to_us(closed.cpu_ns - opened.cpu_ns),
            late_frames,
            max_late_us: to_us(closed.publishers.max_late_ns),
            send_errors,
            saturated: busy > 0.9 || late_frames * 100 > frames || send_errors > 0,
            failures: self.failures(),
            storm: self.storm(),
        }
    }

    fn window(&self) -> WindowCount {
        let mut sum = WindowCount::default();
        for member in self.members.iter().filter(|member| !member.late) {
            let one = member.subscriber.window();
            sum.expected += one.expected;
            sum.received += one.received;
            sum.repaired += one.repaired;
        }
        sum
    }

    fn disorder(&mut self) -> (u64, u64) {
        let (mut duplicates, mut reordered) = (0, 0);
        self.each_stream(|stream| {
            duplicates += stream.disorder().0;
            reordered += stream.disorder().1;
        });
        self.each_data(|data| duplicates += data.disorder);
        (duplicates, reordered)
    }

    fn send_errors(&self) -> u64 {
        let connections = self.members.iter().flat_map(|it| [&it.sending, &it.receiving]);
        connections.flatten().map(|connection| connection.send_errors).sum()
    }

    fn profiles(&self) -> String {
        let connections = self.members.iter().flat_map(|it| [&it.sending, &it.receiving]);
        let profiles = connections.flatten().filter_map(|connection| connection.profile());
        let mut names: Vec<&str> = profiles.map(profile_name).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }

    fn failures(&self) -> Vec<String> {
        let failures = self.members.iter().filter_map(|member| member.failure.clone());
        failures.take(MAX_FAILURES).collect()
    }

    fn storm(&self) -> Option<StormReport> {
        self.plan.scenario.storm.as_ref().filter(|_| self.storm_began_ns > 0)?;
        let count = |which: &dyn Fn(&Member) -> bool| {
            self.members.iter().filter(|member| member.late && which(member)).count() as u64
        };
        let connected = |member: &Member| {
            let connections = [&member.sending, &member.receiving];
            connections.into_iter().flatten().any(|connection| connection.is_connected())
        };
        let ended_ns = if self.storm_ended_ns > 0 { self.storm_ended_ns } else { self.now_ns };
        Some(StormReport {
            participants: count(&|_| true),
            joined: count(&|member| member.joined),
            connected: count(&connected),
            receiving: count(&Member::is_settled),
            seconds: seconds(ended_ns - self.storm_began_ns),
        })
    }
}

fn seconds(ns: u64) -> f64 {
    (ns as f64 / 1e6).round() / 1e3
}
