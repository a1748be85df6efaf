//! The loop of a call: let everybody join, wait until everything arrives, then measure.
//!
//! joining | warm-up | window | a little more of the same load | drain

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ringway_proto::dtls::{DtlsConfig, DtlsContext};

use super::intake::Intake;
use super::member::Member;
use super::publisher::{Publisher, PublisherCount};
use super::random::Random;
use super::report::CallReport;
use super::scenario::CallScenario;
use super::signal::{Dialect, Group, SignalPlan, Signalling};
use super::subscriber::{Arrival, Subscriber};
use super::tally::Tally;
use super::track::{News, Side};
use crate::kernel::{Poller, monotonic_ns, realtime_ns, thread_cpu_ns};
use crate::run::Mark;

mod join;
mod measure;

/// What to load.
#[derive(Clone, Debug)]
pub enum CallTarget {
    /// A server with signalling.
    Server {
        /// Such as `ws://host:7880`.
        url: String,
        /// How it is spoken to.
        dialect: Dialect,
    },
    /// The floor, at its fixed ports.
    Floor {
        /// Where the floor is.
        server: IpAddr,
        /// Where we are.
        generator: IpAddr,
    },
}

/// What to run.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// The call.
    pub scenario: CallScenario,
    /// Where.
    pub target: CallTarget,
    /// Load before the window.
    pub warmup: Duration,
    /// The measured part.
    pub window: Duration,
    /// Participants that may begin to join in a second.
    pub join_per_second: f64,
    /// How long it may take until everybody receives everything.
    pub join_limit: Duration,
}

/// Why a call could not be run.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A certificate, a thread or a socket could not be made.
    #[error("cannot set up {what}: {reason}")]
    SetUp {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Not everybody took part in time.
    #[error("the call did not come about in {seconds} s: {progress}")]
    Join {
        /// How long was waited.
        seconds: u64,
        /// How far everybody came.
        progress: String,
    },
    /// Receiving failed.
    #[error("cannot receive")]
    Receive(#[source] io::Error),
    /// The caller stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// The load goes on so long after the window, so that its end is as steady as its middle.
const TAIL_NS: u64 = 100_000_000;
/// Then packets under way, those asked for again included, get so long to arrive.
const DRAIN_NS: u64 = 400_000_000;
/// Every participant's timers are looked at this often.
const TICK_NS: u64 = 20_000_000;
/// What signalling has to tell is looked at this often.
const NEWS_NS: u64 = 500_000;
/// How long the loop sleeps while others need the core: signalling, handshakes.
const NAP: Duration = Duration::from_micros(500);

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Joining,
    Warming,
    Open,
    Tail,
    Drain,
    Over,
}

/// Counts at one edge of the window.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    publishers: PublisherCount,
    cpu_ns: u64,
}

struct Run<'a> {
    plan: &'a CallPlan,
    context: DtlsContext,
    random: Random,
    signalling: Option<Signalling>,
    members: Vec<Member>,
    poller: Poller,
    intake: Intake,
    tally: Tally,
    late_tally: Tally,
    server: String,
    phase: Phase,
    /// When the phase is over.
    until_ns: u64,
    now_ns: u64,
    began_ns: u64,
    join_ns: u64,
    news_ns: u64,
    /// Sockets that had something at the last look.
    ready: Vec<usize>,
    cursor: usize,
    tick_ns: u64,
    busy_ns: u64,
    opened: Edge,
    closed: Edge,
    storm_began_ns: u64,
    storm_ended_ns: u64,
}

/// Runs `plan` on the calling thread.
pub fn run(
    plan: &CallPlan,
    stop: &AtomicBool,
    mut on_mark: impl FnMut(Mark),
) -> Result<CallReport, CallError> {
    let mut run = Run::new(plan)?;
    while run.phase != Phase::Over {
        if stop.load(Ordering::Relaxed) {
            return Err(CallError::Interrupted);
        }
        run.turn(&mut on_mark)?;
    }
    Ok(run.report())
}

fn set_up<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> CallError {
    move |error| CallError::SetUp { what, reason: error.to_string() }
}

impl<'a> Run<'a> {
    fn new(plan: &'a CallPlan) -> Result<Self, CallError> {
        let mut random = Random::from_system();
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        // The first is AES-128-GCM, what every scenario is about; a server without it cannot be
        // compared.
        let mut config = DtlsConfig::default();
        config.srtp_profiles.truncate(1);
        let context = DtlsContext::new(&config, unix_s).map_err(set_up("a certificate"))?;
        let signalling = match &plan.target {
            CallTarget::Server { url, dialect } => {
                let signalling = Signalling::start(SignalPlan {
                    url: url.clone(),
                    dialect: dialect.clone(),
                    room: format!("load-{}", random.word(8)),
                    scenario: plan.scenario.clone(),
                    certificate: *context.fingerprint(),
                });
                Some(signalling.map_err(set_up("the signalling thread"))?)
            }
            CallTarget::Floor { .. } => None,
        };
        let now_ns = monotonic_ns();
        let mut this = Self {
            plan,
            context,
            random,
            signalling,
            members: Vec::new(),
            poller: Poller::new(&[]).map_err(set_up("epoll"))?,
            intake: Intake::default(),
            tally: Tally::default(),
            late_tally: Tally::default(),
            server: String::new(),
            phase: Phase::Joining,
            until_ns: now_ns + plan.join_limit.as_nanos() as u64,
            now_ns,
            began_ns: now_ns,
            join_ns: 0,
            news_ns: 0,
            ready: Vec::new(),
            cursor: 0,
            tick_ns: now_ns,
            busy_ns: 0,
            opened: Edge::default(),
            closed: Edge::default(),
            storm_began_ns: 0,
            storm_ended_ns: 0,
        };
        this.begin()?;
        Ok(this)
    }

    fn turn(&mut self, on_mark: &mut impl FnMut(Mark)) -> Result<(), CallError> {
        self.now_ns = monotonic_ns();
        let began_ns = self.now_ns;
        self.hear_news()?;
        self.pass_edges(on_mark)?;
        let sent = if self.phase == Phase::Drain { 0 } else { self.send_due() };
        let got = self.drain()?;
        let ticked = self.tick();
        if sent + got + ticked > 0 {
            if self.phase == Phase::Open {
                self.busy_ns += monotonic_ns() - began_ns;
            }
        } else {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn send_due(&mut self) -> usize {
        let now_ns = self.now_ns;
        self.members.iter_mut().map(|member| member.send_due(now_ns)).sum()
    }

    fn drain(&mut self) -> Result<usize, CallError> {
        // While others join, signalling and handshakes need the core that we would spin on.
        let joining = self.phase == Phase::Joining || self.is_storming();
        let limit = if joining { NAP } else { Duration::ZERO };
        let mut datagrams = 0;
        self.ready.clear();
        self.ready.extend(self.poller.ready_within(Some(limit)).map_err(CallError::Receive)?);
        for at in 0..self.ready.len() {
            let place = self.ready[at];
            let side = if place.is_multiple_of(2) { Side::Publisher } else { Side::Subscriber };
            let Some(member) = self.members.get_mut(place / 2) else { continue };
            let Some(connection) = member.connection(side) else { continue };
            let fd = connection.socket().as_raw_fd();
            let Ok(count) = self.intake.receive(fd) else { continue };
            if joining {
                // Streams are told of before they come, but by another thread.
                self.hear_all_news()?;
            }
            let Some(member) = self.members.get_mut(place / 2) else { continue };
            let now_ns = monotonic_ns();
            let tally = if member.late { &mut self.late_tally } else { &mut self.tally };
            for slot in 0..count {
                let kernel_ns = self.intake.arrival_ns(slot);
                tally.own_clock |= kernel_ns.is_none();
                let arrival_ns = kernel_ns.unwrap_or_else(realtime_ns);
                let at = Arrival { now_ns, arrival_ns };
                member.handle_datagram(side, at, self.intake.datagram_mut(slot), tally);
            }
            datagrams += count;
        }
        Ok(datagrams)
    }

    /// Looks at the timers of those whose turn it is, so that nobody waits longer than a tick.
    fn tick(&mut self) -> usize {
        let members = self.members.len() as u64;
        let since_ns = self.now_ns.saturating_sub(self.tick_ns);
        let due = (since_ns.min(TICK_NS) * members / TICK_NS) as usize;
        if due == 0 {
            return 0;
        }
        // What is left of the division belongs to the next tick.
        self.tick_ns = self.now_ns;
        for _ in 0..due {
            self.cursor = (self.cursor + 1) % self.members.len();
            let member = &mut self.members[self.cursor];
            let tally = if member.late { &mut self.late_tally } else { &mut self.tally };
            member.handle_timeout(self.now_ns, tally);
        }
        due
    }

    fn is_storming(&self) -> bool {
        self.storm_began_ns > 0 && self.storm_ended_ns == 0
    }

    /// Members by how far they have come.
    fn progress(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for member in self.members.iter().filter(|member| !member.late) {
            let reason = member.failure.clone().unwrap_or_else(|| member.progress());
            *counts.entry(reason).or_default() += 1;
        }
        let dropped = self.tally.dropped.iter();
        let dropped = dropped.map(|(reason, count)| format!("{count} datagrams: {reason}"));
        let words = counts.iter().map(|(reason, count)| format!("{count}: {reason}"));
        let words = words.chain(dropped);
        words.collect::<Vec<_>>().join("; ")
    }
}
