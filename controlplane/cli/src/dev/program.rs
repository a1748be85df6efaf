//! One program that the launcher runs: start, watch, start again, end.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::output;

/// Wait before the first restart; doubles while the program keeps dying.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Raise it and a repaired fault is noticed late; lower it and a broken program eats a core.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A program that lived this long has not failed to start: its next restart is quick again.
const LIVED_WELL: Duration = Duration::from_secs(10);
/// How long a program may take to end cleanly.
const END_PATIENCE: Duration = Duration::from_secs(5);
/// How long the last words of a dead program may take through the pipe.
const LAST_WORDS_PATIENCE: Duration = Duration::from_millis(500);
/// Log lines kept for the report of a failed start.
const TAIL_LINES: usize = 12;
/// What belongs to another appliance or service manager must not reach the children.
const VARIABLES_HIDDEN: &[&str] =
    &["RINGWAY_KEYS", "RINGWAY_SOCKET", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

type Tail = Arc<Mutex<VecDeque<String>>>;

/// A program and the child that runs it now.
pub(super) struct Program {
    name: &'static str,
    path: PathBuf,
    config: PathBuf,
    show_all: bool,
    child: Child,
    relays: [JoinHandle<()>; 2],
    started: Instant,
    tail: Tail,
}

impl Program {
    /// Starts `ringway-{name}` from the folder `beside`.
    pub(super) fn start(
        name: &'static str,
        beside: &Path,
        config: PathBuf,
        show_all: bool,
    ) -> anyhow::Result<Self> {
        let path = beside.join(format!("ringway-{name}"));
        if !path.is_file() {
            return Err(anyhow!(
                "ringway-{name} is not in {}, where this command is; build or install both",
                beside.display()
            ));
        }
        let tail = Tail::default();
        let (child, relays) = spawn(name, &path, &config, show_all, &tail)?;
        Ok(Self { name, path, config, show_all, child, relays, started: Instant::now(), tail })
    }

    /// The process id, unless it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits for the program's end during its start: that is always a failure.
    pub(super) async fn fail_to_start(&mut self) -> anyhow::Error {
        let status = match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("cannot be waited for: {error}"),
        };
        // The last words may still be on their way; a grandchild may keep the pipe open.
        for relay in &mut self.relays {
            let _ = tokio::time::timeout(LAST_WORDS_PATIENCE, relay).await;
        }
        let said = self.tail.lock().map(|tail| Vec::from(tail.clone())).unwrap_or_default();
        let said = if said.is_empty() {
            "it said nothing".to_owned()
        } else {
            format!("its last words:\n  {}", said.join("\n  "))
        };
        anyhow!("ringway-{} {status} while starting; {said}", self.name)
    }

    /// Restarts the program whenever it ends.
    pub(super) async fn keep_alive(&mut self) {
        let mut backoff = BACKOFF_MIN;
        loop {
            let status = self.child.wait().await.map(describe);
            let status = status.unwrap_or_else(|error| format!("is lost: {error}"));
            if self.started.elapsed() >= LIVED_WELL {
                backoff = BACKOFF_MIN;
            }
            let wait_ms = backoff.as_millis();
            output::remark(&format!(
                "ringway-{} {status}; starting it again in {wait_ms} ms",
                self.name
            ));
            tokio::time::sleep(backoff).await;
            backoff = next_backoff(backoff);
            match spawn(self.name, &self.path, &self.config, self.show_all, &self.tail) {
                Ok((child, relays)) => {
                    self.child = child;
                    self.relays = relays;
                    self.started = Instant::now();
                }
                Err(error) => output::remark(&format!("{error:#}")),
            }
        }
    }

    /// Asks the program to end.
    pub(super) fn terminate(&self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        if let Some(pid) = pid {
            // It may have ended on its own in the meantime.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for the program's end; kills it when it takes too long.
    pub(super) async fn ended(&mut self) {
        if tokio::time::timeout(END_PATIENCE, self.child.wait()).await.is_err() {
            output::remark(&format!(
                "ringway-{} did not end within {} s and is killed",
                self.name,
                END_PATIENCE.as_secs()
            ));
            self.kill().await;
        }
    }

    /// Ends the program without asking.
    pub(super) async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            output::remark(&format!("cannot kill ringway-{}: {error}", self.name));
        }
    }
}

fn next_backoff(backoff: Duration) -> Duration {
    (backoff * 2).min(BACKOFF_MAX)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Must run on the thread that lives as long as the launcher: the kernel sends the parent-death
/// signal when the *thread* that started the child ends.
fn spawn(
    name: &'static str,
    path: &Path,
    config: &Path,
    show_all: bool,
    tail: &Tail,
) -> anyhow::Result<(Child, [JoinHandle<()>; 2])> {
    let mut command = Command::new(path);
    command
        .arg("--config")
        .arg(config)
        .env(ringway_settings::DIE_WITH_PARENT, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: Ctrl-C reaches the launcher alone, which ends the children in order.
        .process_group(0)
        .kill_on_drop(true);
    for variable in VARIABLES_HIDDEN {
        command.env_remove(variable);
    }
    let mut child = command.spawn().with_context(|| format!("cannot start {}", path.display()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let relays = [
        tokio::spawn(relay(name, stdout, show_all, Arc::clone(tail))),
        tokio::spawn(relay(name, stderr, show_all, Arc::clone(tail))),
    ];
    Ok((child, relays))
}

/// Passes a child's lines on with its name in front.
async fn relay(name: &str, pipe: Option<impl AsyncRead + Unpin>, show_all: bool, tail: Tail) {
    let Some(pipe) = pipe else { return };
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if show_all || is_worth_showing(&line) {
            output::remark(&format!("{name}: {line}"));
        }
        if let Ok(mut tail) = tail.lock() {
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    }
}

/// Warnings, errors and whatever is no log line at all, such as a panic.
fn is_worth_showing(line: &str) -> bool {
    let level = line
        .split_whitespace()
        .take(2)
        .find(|word| ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(word));
    !matches!(level, Some("INFO" | "DEBUG" | "TRACE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_worth_showing() {
        let check = |line: &str, expect| assert_eq!(is_worth_showing(line), expect, "{line}");
        check("2026-11-21T11:40:27.0Z  INFO ringway_shard: ready", false);
        check("2026-11-21T11:40:27.0Z  WARN ringway_shard: slow", true);
        check("ERROR x", true);
        check("DEBUG x", false);
        check("thread 'main' panicked at INFO", true);
        check("", true);
    }

    #[test]
    fn backoff_grows_to_its_bound() {
        let mut backoff = BACKOFF_MIN;
        for _ in 0..20 {
            let next = next_backoff(backoff);
            assert!(next > backoff || next == BACKOFF_MAX);
            backoff = next;
        }
        assert_eq!(backoff, BACKOFF_MAX);
    }

    #[test]
    fn ends_are_described() {
        assert_eq!(describe(ExitStatus::from_raw(0x0100)), "ended with status 1");
        assert_eq!(describe(ExitStatus::from_raw(9)), "was killed by signal 9");
    }
}
