//! A client as a child process that is asked in JSON lines, one answer line for each.
//!
//! Question: `{"call": name, "with": {arguments}}`; a browser also gets `"tab"`. Answer:
//! `{"result": ...}` or `{"error": "what happened"}`. The client ends when its input ends.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use ringway_system::patience::until;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// Starting Chromium or connecting takes a few seconds; a busy machine may take its time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Closing a browser takes a fraction of a second, even on a busy machine far less than this.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// Of a log that is shown when a test fails: lines, and characters of each. Clients log whole
/// session descriptions.
const SHOWN_LINES: usize = 60;
const SHOWN_COLUMNS: usize = 400;

/// A running client.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: RefCell<Child>,
    input: RefCell<Option<ChildStdin>>,
    answers: Receiver<String>,
    log: PathBuf,
}

impl Peer {
    /// Starts `command`; its log goes to `folder/name.log`.
    pub fn start(name: &str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let errors = File::create(&log).expect("create a log file");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        // A group of its own, so that what it starts can be killed with it.
        command.process_group(0).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let output = child.stdout.take().expect("its output is a pipe");
        let input = RefCell::new(child.stdin.take());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name: name.to_owned(), child: RefCell::new(child), input, answers, log }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// What the client says went wrong.
    ///
    /// # Panics
    /// When the client ends or is silent.
    pub fn ask(&self, question: &Value) -> Result<Value, String> {
        let mut line = question.to_string();
        line.push('\n');
        let sent = self.input.borrow_mut().as_mut().expect("open input").write_all(line.as_bytes());
        assert!(sent.is_ok(), "{} does not listen any more: {question}", self.name);
        let answer = match self.answers.recv_timeout(ANSWER_TIMEOUT) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => panic!("{} is silent: {question}", self.name),
            Err(RecvTimeoutError::Disconnected) => panic!("{} ended: {question}", self.name),
        };
        let mut answer: Value = serde_json::from_str(&answer)
            .unwrap_or_else(|error| panic!("{} answers {answer:?}: {error}", self.name));
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["result"].take()),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.input.take());
        let mut child = self.child.borrow_mut();
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        if std::thread::panicking() {
            show_log(&self.name, &self.log);
        } else {
            let what = format!("{} to end", self.name);
            until(END_TIMEOUT, &what, || child.try_wait().expect("ask for a child's status"));
        }
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = child.wait();
    }
}

/// Shows the end of a log file, for a failed test.
pub(crate) fn show_log(name: &str, file: &Path) {
    let log = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    eprintln!("--- {name} ---");
    for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        eprintln!("{}", line.chars().take(SHOWN_COLUMNS).collect::<String>());
    }
}
