//! The order of a comparison: A/B/A/B. In every round every server is started afresh, loaded,
//! billed and ended, so that whatever else the machine does meets all of them alike.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use crate::drive::{self, Outcome};
use crate::load::Load;
use crate::options::Options;
use crate::path::Path;
use crate::row::{Row, Sample, median};
use crate::servers::{Running, Server, Setting, StartError, janus, livekit, remove_leftovers};
use crate::usage::Usage;
use anyhow::{Context, bail};
use ringway_loadgen::run::Mark;

/// A comparison under way.
pub struct Comparison<'a> {
    options: &'a Options,
    setting: Setting,
    load: Load,
    generator_core: usize,
    path: Path,
    contestants: Vec<Contestant>,
    _alone: UnixListener,
}

/// A peer's program, or why there is none.
type Peer = Result<PathBuf, String>;

/// One thing that is started every round.
struct Contestant {
    server: Server,
    samples: Vec<Sample>,
    notes: Vec<String>,
    cannot_run: Option<String>,
}

impl<'a> Comparison<'a> {
    /// Prepares a comparison; nothing is started yet.
    pub fn new(options: &'a Options, stop: Arc<AtomicBool>) -> anyhow::Result<Self> {
        options.check()?;
        let alone = claim_machine()?;
        remove_leftovers();
        let mut load = Load::read(&options.scenarios, &options.scenario)?;
        if let Some(pps) = options.load_pps {
            load = load.at_delivered_pps(pps);
        }
        let (core, generator_core) = options.cores()?;
        let listed = options.servers(load.is_call());
        // Before the path, which may lead out of reach of the network.
        let (livekit, janus) = peers(&load, &listed, !options.no_install);
        let path = Path::open(options.path, load.is_call(), generator_core, !options.no_install)?;
        let programs = match &options.programs {
            Some(folder) => folder.clone(),
            None => std::env::current_exe()?.parent().context("no folder of its own")?.to_owned(),
        };
        let setting = Setting {
            ends: path.ends(),
            dataplane_lines: options.set.clone(),
            core,
            programs,
            scenarios: options.scenarios.clone(),
            may_install: !options.no_install,
            livekit,
            janus,
            stop,
        };
        let mut servers: Vec<Server> = Vec::new();
        for server in listed.iter().flat_map(|server| server.contestants()) {
            if !servers.contains(server) {
                servers.push(*server);
            }
        }
        let contestants = servers.into_iter().map(Contestant::new).collect();
        Ok(Self { options, setting, load, generator_core, path, contestants, _alone: alone })
    }

    /// Runs all rounds; one row per listed server.
    pub fn run(&mut self) -> anyhow::Result<Vec<Row>> {
        if self.options.latency {
            self.set_half_load()?;
        }
        let (server, generator) = (self.setting.core, self.generator_core);
        let (name, summary) = (self.load.name(), self.load.summary());
        let (pps, rounds) = (self.load.delivered_pps(), self.options.rounds);
        eprintln!("{name}: {summary}");
        eprintln!(
            "{pps:.0} packets/s delivered, {rounds} rounds of {} s; servers on core {server}, \
             generator on core {generator}",
            self.options.seconds
        );
        for round in 1..=self.options.rounds {
            for at in 0..self.contestants.len() {
                self.run_contestant(at, round)?;
            }
        }
        Ok(self.rows())
    }

    fn run_contestant(&mut self, at: usize, round: usize) -> anyhow::Result<()> {
        let server = self.contestants[at].server;
        if self.contestants[at].cannot_run.is_some() {
            return Ok(());
        }
        let result = self.measure(server, self.options.seconds);
        self.setting.check_stop()?;
        let (contestant, name) = (&mut self.contestants[at], server.name());
        match result {
            Ok((sample, notes)) => {
                eprintln!(
                    "round {round}: {name}: {:.3} us a packet, {} lost, p99 {:.0} us",
                    sample.cpu_us_per_packet, sample.lost, sample.p99_us
                );
                contestant.samples.push(sample);
                contestant.notes = notes;
            }
            Err(error) => {
                eprintln!("round {round}: {name}: cannot run here: {error:#}");
                contestant.cannot_run = Some(format!("{error:#}"));
            }
        }
        Ok(())
    }

    /// Starts a server, loads it once and ends it.
    fn measure(&self, server: Server, seconds: f64) -> Result<(Sample, Vec<String>), StartError> {
        let mut running = server.start(&self.setting, &self.load)?;
        let idle = Usage::read(&running.pids());
        let (outcome, before, after) = self.load(&running, seconds)?;
        running.check_alive()?;
        let (cpu_ns, coarse_clock) = after.cpu_ns_since(&before);
        if outcome.received == 0 {
            let said: Vec<_> = running.programs.iter().map(|it| it.last_output()).collect();
            let said = said.join("; ");
            return Err(anyhow::anyhow!("no packet reached a receiver; {said}").into());
        }
        let sample = Sample {
            cpu_us_per_packet: cpu_ns as f64 / 1000.0 / outcome.delivered.max(1) as f64,
            packets: outcome.delivered,
            expected: outcome.expected,
            lost: outcome.lost,
            p50_us: outcome.p50_us,
            p99_us: outcome.p99_us,
            p999_us: outcome.p999_us,
            rss_kib: after.rss_kib,
            idle_rss_kib: idle.rss_kib,
            participants: outcome.participants,
            repaired: outcome.repaired,
            fullness: outcome.fullness,
            load_pps: outcome.load_pps,
            generator_saturated: outcome.saturated,
            coarse_clock,
        };
        let notes = running.notes.iter().chain(&outcome.notes).cloned().collect();
        Ok((sample, notes))
    }

    /// Runs the generator on its core, and reads the server's usage at the edges of the window.
    fn load(&self, running: &Running, seconds: f64) -> anyhow::Result<(Outcome, Usage, Usage)> {
        let (options, path) = (self.options, self.path.kind());
        let length = (Duration::from_secs_f64(options.warmup), Duration::from_secs_f64(seconds));
        let (tell, told) = channel();
        let aim = drive::Aim {
            load: self.load.clone(),
            targets: running.targets.clone(),
            call: running.call.clone(),
            warmup: length.0,
            window: length.1,
            join_per_second: options.join_per_second,
        };
        let (core, stop) = (self.generator_core, Arc::clone(&self.setting.stop));
        let generator = std::thread::spawn(move || {
            drive::settle(path, core)?;
            drive::drive(aim, &stop, |mark| {
                // Nobody listens any more only when the comparison is being given up.
                let _ = tell.send(mark);
            })
        });
        let pids = running.pids();
        let (mut before, mut after) = (None, None);
        loop {
            match told.recv_timeout(Duration::from_millis(200)) {
                Ok(Mark::Opened) => before = Some(Usage::read(&pids)),
                Ok(Mark::Closed) => after = Some(Usage::read(&pids)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let Ok(outcome) = generator.join() else { bail!("the load generator panicked") };
        let (outcome, before) = (outcome?, before.context("no window was opened")?);
        Ok((outcome, before, after.context("no window was closed")?))
    }

    /// Half of what one core could do at the cost that the scenario's own load shows.
    fn set_half_load(&mut self) -> anyhow::Result<()> {
        let (sample, _) = self
            .measure(Server::Ringway, self.options.seconds.min(3.0))
            .context("--latency needs ringway's capacity")?;
        let capacity_pps = 1e6 / sample.cpu_us_per_packet.max(0.001);
        eprintln!(
            "ringway's capacity: {capacity_pps:.0} packets/s, from {:.3} us a packet; the load is \
             half of it",
            sample.cpu_us_per_packet
        );
        self.load = self.load.at_delivered_pps(capacity_pps / 2.0);
        Ok(())
    }

    fn rows(&self) -> Vec<Row> {
        let row = |server: Server| self.row(server);
        let servers = self.options.servers(self.load.is_call());
        let mut rows: Vec<Row> = servers.into_iter().map(row).collect();
        let cost = |server: Server| {
            rows.iter().find(|row| row.server == server).and_then(|row| row.cpu_us_per_packet)
        };
        let (floor, ringway) = (cost(Server::Floor), cost(Server::Ringway));
        rows.iter_mut().for_each(|row| row.compare(floor, ringway));
        rows
    }

    fn row(&self, server: Server) -> Row {
        let name = self.load.name();
        let own = server.contestants();
        let ran = self.contestants.iter().filter(|it| own.contains(&it.server));
        // The floor is the cheaper of its engines.
        let best = ran.clone().filter_map(|it| Some((it.cost()?, it)));
        let Some((_, best)) = best.min_by(|a, b| a.0.total_cmp(&b.0)) else {
            let reasons: Vec<&str> = ran.filter_map(|it| it.cannot_run.as_deref()).collect();
            return Row::cannot_run(server, name, &reasons.join("; "));
        };
        let mut row = Row::from_samples(server, name, &best.samples);
        row.notes.extend(best.notes.iter().cloned());
        if let Some(reason) = &best.cannot_run {
            row.notes.push(format!("a round failed: {reason}"));
        }
        for other in ran.filter(|it| it.server != best.server) {
            let cost = other.cost().map_or("cannot run".to_owned(), |cost| format!("{cost:.3} us"));
            let (best, other) = (best.server.name(), other.server.name());
            row.notes.push(format!("{best} is the cheaper; {other}: {cost}"));
        }
        row
    }
}

impl Contestant {
    fn new(server: Server) -> Self {
        Self { server, samples: Vec::new(), notes: Vec::new(), cannot_run: None }
    }

    fn cost(&self) -> Option<f64> {
        median(self.samples.iter().map(|sample| sample.cpu_us_per_packet).collect())
    }
}

/// The programs of the listed peers that calls can have, LiveKit's and Janus's.
fn peers(load: &Load, listed: &[Server], may_install: bool) -> (Peer, Peer) {
    let find = |names: &[Server], ensure: fn(bool) -> Peer| {
        if names.iter().any(|name| listed.contains(name)) {
            ensure(may_install)
        } else {
            Err("it was not asked for".into())
        }
    };
    // LiveKit is not built for plain RTP, which it cannot forward.
    let livekit = match load.is_call() {
        true => find(&[Server::Livekit, Server::LivekitBatch], livekit::ensure),
        false => Err("it does not forward plain RTP".into()),
    };
    (livekit, find(&[Server::Janus], janus::ensure))
}

/// Two comparisons at once would send into each other's servers. An abstract socket is a lock that
/// leaves no file behind, not even after SIGKILL.
fn claim_machine() -> anyhow::Result<UnixListener> {
    let name = SocketAddr::from_abstract_name("ringway-compare")?;
    UnixListener::bind_addr(&name).context("another comparison is running; wait until it is done")
}

/// A flag that Ctrl-C, SIGTERM and a closed terminal raise; everything long looks at it.
pub fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in
        [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
    {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Whether the run was stopped from outside.
pub fn was_stopped(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}
