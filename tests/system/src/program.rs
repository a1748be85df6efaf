//! One of our programs as a child process: found, started, waited for, killed, its log kept.

use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::until;

/// A start that takes longer has failed, even on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A stop that takes longer has failed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Lines of a log that are shown when a test fails.
const SHOWN_LINES: usize = 200;

/// A program and, while it runs, its process.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
    child: Option<Child>,
}

impl Program {
    /// A program that does not run yet; its log goes to `folder`.
    pub fn new(name: &'static str, arguments: Vec<String>, folder: &Path) -> Self {
        Self { name, arguments, environment: Vec::new(), folder: folder.to_owned(), child: None }
    }

    /// Sets a variable of its environment from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it and waits until it says that it is ready, as it would say to systemd.
    ///
    /// # Panics
    /// When it ends or stays silent instead.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let socket = self.folder.join(format!("{}.notify", self.name));
        let _ = fs::remove_file(&socket);
        let ready = UnixDatagram::bind(&socket).expect("bind a socket for readiness");
        ready.set_read_timeout(Some(Duration::from_millis(20))).expect("set a read timeout");
        self.spawn(&socket).unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        let start = Instant::now();
        let mut message = [0; 1024];
        loop {
            let length = ready.recv(&mut message).unwrap_or(0);
            let text = String::from_utf8_lossy(&message[..length]);
            if text.lines().any(|line| line == "READY=1") {
                return;
            }
            if let Some(status) = self.ended() {
                panic!(
                    "{} ended with {status} instead of getting ready\n{}",
                    self.name,
                    self.log()
                );
            }
            assert!(start.elapsed() < START_TIMEOUT, "{} is not ready\n{}", self.name, self.log());
        }
    }

    /// Starts it and waits until it ends, for starts that must fail.
    pub fn run(&mut self) -> ExitStatus {
        let nobody = self.folder.join("nobody.notify");
        self.spawn(&nobody).unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        until(START_TIMEOUT, &format!("{} to end", self.name), || self.ended())
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap_or_else(|| panic!("{} does not run", self.name)).id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a child has a process id"), signal).expect("signal a child");
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end with SIGTERM and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        until(STOP_TIMEOUT, &format!("{} to stop", self.name), || self.ended())
    }

    /// How it ended, if it has since it was last asked.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().expect("ask for a child's status")?;
        self.child = None;
        Some(status)
    }

    /// All that it wrote, over all its lives.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The end of the log, for a failed test.
    pub fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        eprintln!("--- {} ---\n{}", self.name, tail.join("\n"));
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn spawn(&mut self, notify: &Path) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(binary(self.name));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["RINGWAY_", "LIVEKIT_", "WATCHDOG_"].iter().any(|start| text.starts_with(start)) {
                command.env_remove(&name);
            }
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("NOTIFY_SOCKET", notify)
            // A test that is killed leaves nobody behind who pins a core or holds a port.
            .env("RINGWAY_DIE_WITH_PARENT", std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.child = Some(command.spawn()?);
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The path of one of our programs: in `RINGWAY_BIN_DIR`, or beside the test, freshly built.
///
/// # Panics
/// When it is not there.
pub fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("RINGWAY_BIN_DIR").map_or_else(|| built().clone(), PathBuf::from);
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: run `make test`, which builds it", path.display());
    path
}

/// Builds the programs once per test process and returns where they are. Cargo does nothing when
/// they are up to date, and a test must never judge yesterday's program.
fn built() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows where it is");
        let folder = test.ancestors().nth(2).expect("tests lie in TARGET/PROFILE/deps").to_owned();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--bins"]);
        build.args(["-p", "ringway-shard", "-p", "ringway-server", "-p", "ringway-cli"]);
        build.args(["-p", "ringway-loadgen"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let target = folder.parent().expect("a profile folder lies in the target folder");
        build.env("CARGO_TARGET_DIR", target).current_dir(env!("CARGO_MANIFEST_DIR"));
        let status = build.status().expect("cargo starts");
        assert!(status.success(), "the programs do not build; what cargo says is above");
        folder
    })
}
