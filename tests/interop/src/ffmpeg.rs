//! FFmpeg as a child process: started with a log, ended politely, killed on drop.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ringway_system::patience::until;
use rustix::process::{Pid, Signal, kill_process};

/// Nothing that the tests ask of FFmpeg takes longer, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running FFmpeg.
#[derive(Debug)]
pub struct Ffmpeg {
    child: Child,
    log: PathBuf,
}

impl Ffmpeg {
    /// Starts `ffmpeg` with `arguments`; its log goes to `folder/name.log`.
    ///
    /// # Panics
    /// When there is no FFmpeg: a test that is skipped proves nothing.
    pub fn start(name: &str, arguments: &[String], folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).expect("create a log file");
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostats", "-nostdin", "-y"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let child = command.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("ffmpeg is missing: sudo apt-get install ffmpeg"),
            _ => panic!("cannot start ffmpeg: {error}"),
        });
        Self { child, log }
    }

    /// Runs it to its end, which must be a good one.
    ///
    /// # Panics
    /// When FFmpeg fails; its log says why.
    pub fn run(name: &str, arguments: &[String], folder: &Path) {
        let mut ffmpeg = Self::start(name, arguments, folder);
        let status = ffmpeg.wait();
        assert!(status.success(), "ffmpeg ({name}) failed: {status}\n{}", ffmpeg.log());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        until(TIMEOUT, "ffmpeg to end", || self.ended())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for a child's status")
    }

    /// Tells it to finish its output and end, as pressing Ctrl-C does, and waits. (A `q` on its
    /// standard input is read only between two packets, and there may be none.)
    pub fn finish(&mut self) {
        if self.ended().is_none() {
            let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            let pid = pid.expect("a child has a process id");
            // The first signal is obeyed at the next packet, the second one ends the waiting for
            // it. Two of a kind could arrive as one.
            for signal in [Signal::INT, Signal::TERM] {
                let _ = kill_process(pid, signal);
            }
        }
        self.wait();
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Ffmpeg {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.log.display(), self.log());
        }
    }
}

/// Words of a command line, for arguments without blanks inside.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
