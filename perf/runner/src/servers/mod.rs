//! The servers that can be compared, and how each is started for a scenario.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use ringway_loadgen::call::run::CallTarget;
use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::ports::{Ends, Targets};
use ringway_loadgen::scenario::Scenario;
use serde::Serialize;
use tempfile::TempDir;

use crate::load::Load;
use crate::program::Program;

mod floor;
pub(crate) mod janus;
pub(crate) mod livekit;
mod ringway;
mod rtpengine;

/// A server of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Server {
    /// The least server that this kernel allows: the cheaper of the next two.
    Floor,
    /// The floor on io_uring.
    FloorUring,
    /// The floor on plain system calls.
    FloorPlain,
    /// Ringway with its default engine.
    Ringway,
    /// Ringway on io_uring.
    RingwayUring,
    /// Ringway on plain system calls.
    RingwayPlain,
    /// Debian's rtpengine in user space.
    Rtpengine,
    /// Debian's Janus.
    Janus,
    /// LiveKit.
    Livekit,
    /// LiveKit with its write batching.
    LivekitBatch,
}

/// The account of measured servers.
const KEY: &str = "perfkey";
const SECRET: &str = "a-secret-for-measurements-on-loopback-only";
/// Where media of calls goes.
const MEDIA_PORT: u16 = 7882;

/// What our temporary folders begin with.
const FOLDER_PREFIX: &str = "ringway-compare-";

/// Removes the folders of earlier runs that were killed; only while no other run can be on.
pub fn remove_leftovers() {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX) {
            // Somebody else's folder stays, as we may not remove it.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What starting a server needs to know.
pub struct Setting {
    /// Addresses of servers and generator.
    pub ends: Ends,
    /// Core of all processes of the server.
    pub core: usize,
    /// Folder of our own programs.
    pub programs: PathBuf,
    /// Folder of the scenarios.
    pub scenarios: PathBuf,
    /// Further lines of ringway's dataplane.yaml.
    pub dataplane_lines: Vec<String>,
    /// Missing peers may be installed.
    pub may_install: bool,
    /// LiveKit's program, or why there is none.
    pub livekit: Result<PathBuf, String>,
    /// Janus's program, or why there is none.
    pub janus: Result<PathBuf, String>,
    /// Set when the run is to end.
    pub stop: Arc<AtomicBool>,
}

/// A server that is ready for load. Dropping it ends its processes and removes its files.
pub struct Running {
    /// Its processes; dropped before the folder that they write to.
    pub programs: Vec<Program>,
    /// Where plain streams go.
    pub targets: Targets,
    /// Where a call goes.
    pub call: Option<CallTarget>,
    /// What the row should say.
    pub notes: Vec<String>,
    folder: TempDir,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It never will, here.
    #[error("{0}")]
    CannotRun(String),
    /// It should have.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<std::io::Error> for StartError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Server {
    /// Its name on the command line and in rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::FloorUring => "floor-uring",
            Self::FloorPlain => "floor-plain",
            Self::Ringway => "ringway",
            Self::RingwayUring => "ringway-uring",
            Self::RingwayPlain => "ringway-plain",
            Self::Rtpengine => "rtpengine",
            Self::Janus => "janus",
            Self::Livekit => "livekit",
            Self::LivekitBatch => "livekit-batch",
        }
    }

    /// What is actually run for it.
    pub fn contestants(self) -> &'static [Self] {
        match self {
            Self::Floor => &[Self::FloorUring, Self::FloorPlain],
            Self::FloorUring => &[Self::FloorUring],
            Self::FloorPlain => &[Self::FloorPlain],
            Self::Ringway => &[Self::Ringway],
            Self::RingwayUring => &[Self::RingwayUring],
            Self::RingwayPlain => &[Self::RingwayPlain],
            Self::Rtpengine => &[Self::Rtpengine],
            Self::Janus => &[Self::Janus],
            Self::Livekit => &[Self::Livekit],
            Self::LivekitBatch => &[Self::LivekitBatch],
        }
    }

    /// Starts it, ready for `load`.
    pub fn start(self, setting: &Setting, load: &Load) -> Result<Running, StartError> {
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir()?;
        let targets = match load {
            Load::Rtp(scenario) => Targets::for_scenario(scenario, setting.ends),
            Load::Call(_) => Targets::none(),
        };
        let (programs, notes) = (Vec::new(), Vec::new());
        let running = Running { programs, targets, call: None, notes, folder };
        match load {
            Load::Rtp(scenario) => self.start_rtp(setting, scenario, running),
            Load::Call(scenario) => self.start_call(setting, scenario, running),
        }
    }

    fn start_rtp(
        self,
        setting: &Setting,
        scenario: &Scenario,
        running: Running,
    ) -> Result<Running, StartError> {
        let name = &scenario.name;
        match self {
            Self::Floor | Self::FloorUring => floor::start(setting, name, running, "uring"),
            Self::FloorPlain => floor::start(setting, name, running, "plain"),
            Self::Ringway => ringway::start(setting, scenario, running, "auto"),
            Self::RingwayUring => ringway::start(setting, scenario, running, "uring"),
            Self::RingwayPlain => ringway::start(setting, scenario, running, "plain"),
            Self::Rtpengine => rtpengine::start(setting, scenario, running),
            Self::Janus => janus::start(setting, scenario, running),
            Self::Livekit | Self::LivekitBatch => {
                Err(StartError::CannotRun("it does not forward plain RTP".into()))
            }
        }
    }

    fn start_call(
        self,
        setting: &Setting,
        scenario: &CallScenario,
        running: Running,
    ) -> Result<Running, StartError> {
        let name = &scenario.name;
        match self {
            Self::Floor | Self::FloorUring => floor::start(setting, name, running, "uring"),
            Self::FloorPlain => floor::start(setting, name, running, "plain"),
            Self::Ringway => ringway::start_call(setting, running, "auto"),
            Self::RingwayUring => ringway::start_call(setting, running, "uring"),
            Self::RingwayPlain => ringway::start_call(setting, running, "plain"),
            Self::Livekit => livekit::start(setting, running, livekit::Writing::Usual),
            Self::LivekitBatch => livekit::start(setting, running, livekit::Writing::Batched),
            Self::Janus => janus::start_call(setting, scenario, running),
            Self::Rtpengine => {
                Err(StartError::CannotRun("it speaks no signalling of calls".into()))
            }
        }
    }
}

impl Running {
    /// Its process ids.
    pub fn pids(&self) -> Vec<u32> {
        self.programs.iter().map(Program::pid).collect()
    }

    /// An error that quotes the output of a process that has ended.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        self.programs.iter_mut().try_for_each(Program::check_alive)
    }

    /// Asks until `done`, at most `limit`, as long as all processes live.
    fn wait_until(
        &mut self,
        setting: &Setting,
        what: &str,
        limit: Duration,
        mut done: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while !done() {
            self.check_alive()?;
            setting.check_stop()?;
            if began.elapsed() > limit {
                let output: Vec<_> = self.programs.iter().map(Program::last_output).collect();
                anyhow::bail!("{what} took longer than {limit:?}; {}", output.join("; "));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Setting {
    /// An error when the run is to end.
    pub fn check_stop(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.stop.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }

    /// One of our own programs, which `perf/compare` has built.
    fn program(&self, name: &str) -> Result<PathBuf, StartError> {
        let path = self.programs.join(name);
        if path.is_file() {
            return Ok(path);
        }
        let folder = self.programs.display();
        Err(StartError::CannotRun(format!("{name} is not in {folder}; perf/compare builds it")))
    }
}

/// A loopback TCP port that is free now.
fn free_tcp_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
