//! A server's process: pinned, with its output in a file, and gone when its owner is.
//!
//! Unsafe because what happens between fork and exec can only be said through `pre_exec`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal};

/// How long a process gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(1500);

/// A running process.
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Program {
    /// Starts `command` on `core`, with everything that it prints in `folder`.
    ///
    /// It dies with this process, even by SIGKILL: the kernel sees to that.
    pub fn start(mut command: Command, core: usize, folder: &Path) -> anyhow::Result<Self> {
        let path = PathBuf::from(command.get_program());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A group of its own, so that Ctrl-C reaches only us and we can end it in order.
        command.process_group(0);
        let parent = rustix::process::getpid();
        // SAFETY: between fork and exec only system calls are made, nothing is allocated.
        unsafe { command.pre_exec(move || settle_in(core, parent)) };
        let child = command.spawn().with_context(|| format!("cannot start {}", path.display()))?;
        Ok(Self { child, name, log })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error with the end of its output when it has ended.
    pub fn check_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}; {}", self.name, self.last_output());
        }
        Ok(())
    }

    /// The end of what it printed.
    pub fn last_output(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(5)..];
        if last.is_empty() {
            "it printed nothing".into()
        } else {
            format!("it said: {}", last.join(" | "))
        }
    }
}

fn settle_in(core: usize, parent: Pid) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the request.
    if rustix::process::getppid() != Some(parent) {
        return Err(io::Error::other("the parent is gone"));
    }
    Ok(())
}

impl Drop for Program {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > GRACE {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_core() -> usize {
        ringway_loadgen::kernel::allowed_cores().unwrap()[0]
    }

    #[test]
    fn programs_end_with_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut program = Program::start(command, first_core(), folder.path()).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", program.pid()));
        program.check_alive().unwrap();
        assert!(proc.exists());
        drop(program);
        assert!(!proc.exists());
    }

    #[test]
    fn early_end_quotes_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such key >&2; exit 3"]);
        let mut program = Program::start(command, first_core(), folder.path()).unwrap();
        program.child.wait().unwrap();
        let error = program.check_alive().unwrap_err().to_string();
        assert!(error.contains("no such key") && error.contains('3'), "{error}");
    }
}
