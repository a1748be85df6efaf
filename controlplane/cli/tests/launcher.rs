//! `ringway dev` and `ringway top` as a user meets them, with stand-ins for the two programs.
//!
//! This executable plays them itself: under the name `ringway-dataplane` it opens the door of an
//! idle data plane, under `ringway-controlplane` it answers every request with 200. With
//! `STAND_IN_FAILS` set to one of their names, that one complains and ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_abi::{Boot, BootShard, Door, EngineKind, Limits, PagesOwner, Role, bell};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

/// Nothing here takes a hundredth of it on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let name = std::env::args().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.as_str() {
        "ringway-dataplane" | "ringway-controlplane" => stand_in(&name),
        _ => tests(),
    }
}

fn tests() {
    let rows: &[(&str, fn())] = &[
        ("starts, shows and ends", starts_shows_and_ends),
        ("restarts what dies", restarts_what_dies),
        ("children die with a killed launcher", children_die_with_a_killed_launcher),
        ("a program that cannot start is explained", a_failed_start_is_explained),
        ("a port in use is explained", a_port_in_use_is_explained),
    ];
    for (name, test) in rows {
        test();
        println!("test {name} ... ok");
    }
}

// The stand-ins.

fn stand_in(name: &str) {
    ringway_settings::die_with_parent();
    if std::env::var("STAND_IN_FAILS").as_deref() == Ok(name) {
        eprintln!("{name} has a stomach ache");
        std::process::exit(3);
    }
    let config = PathBuf::from(std::env::args().nth(2).expect("--config FILE"));
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let config: std::collections::BTreeMap<String, Value> =
        ringway_settings::parse(&text, &config).expect("good YAML");
    if name == "ringway-dataplane" {
        idle_dataplane(Path::new(config["socket"].as_str().expect("a path")));
    } else {
        let address = config["bind_addresses"][0].as_str().expect("an address");
        let port = config["port"].as_u64().expect("a port");
        healthy_controlplane(&format!("{address}:{port}"));
    }
}

fn idle_dataplane(socket: &Path) {
    let boot = Boot {
        pid: std::process::id(),
        boot_id: u64::from(std::process::id()),
        started_unix_ns: 1,
        version: "0.0.0".into(),
        limits: Limits { shards: 1, forwards_per_shard: 1, destinations_per_shard: 1 },
        port_first: 30_000,
        port_last: 39_998,
        shards: vec![BootShard { core: Some(0), engine: EngineKind::Plain }],
    };
    let pages = Arc::new(PagesOwner::create(&boot).expect("pages"));
    let bells = vec![Arc::new(bell::bell().expect("a bell"))];
    Door::bind(socket, pages, bells).expect("a door").run(|_| {}).expect("a door that stays open");
}

fn healthy_controlplane(address: &str) {
    let listener = TcpListener::bind(address).expect("a free port");
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
        if head.by_ref().any(|line| line.is_empty()) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK");
        }
    }
}

// The stage.

struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let copy = |from: &Path, name: &str| {
            std::fs::copy(from, dir.path().join(name)).expect("a copy");
        };
        copy(Path::new(env!("CARGO_BIN_EXE_ringway")), "ringway");
        let myself = std::env::current_exe().expect("this executable");
        for name in ["ringway-dataplane", "ringway-controlplane"] {
            copy(&myself, name);
        }
        Self { dir }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.dir.path().join("ringway"));
        command
            .args(words)
            .env("XDG_RUNTIME_DIR", self.dir.path().join("run"))
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env_remove("RINGWAY_SOCKET")
            .env_remove("RINGWAY_URL")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("ringway runs")
    }
}

/// A running `ringway dev --json`; killed when the test gives up.
struct Launcher {
    child: Child,
    summary: Value,
}

impl Launcher {
    fn start(stage: &Stage) -> Self {
        let mut child = stage.command(&["--json", "dev", "--port", "0"]).spawn().expect("starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a summary");
        let summary = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut complaint = String::new();
            let _ = child.stderr.take().expect("a pipe").read_to_string(&mut complaint);
            panic!("no summary but {line:?}: {complaint}")
        });
        Self { child, summary }
    }

    fn text(&self, key: &str) -> &str {
        self.summary[key].as_str().expect(key)
    }

    fn pid(&self, key: &str) -> Pid {
        let pid = self.summary[key].as_i64().expect(key);
        Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the launcher lives");
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_gone(pid: Pid) -> bool {
    // A zombie that nobody has reaped yet is gone as well.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || stat.map_or(true, |stat| stat.contains(") Z "))
}

fn dataplane_pid(socket: &str) -> Option<u32> {
    let joined = ringway_abi::join(Path::new(socket), Role::Observer, PATIENCE).ok()?;
    Some(joined.pages.boot().pid)
}

// The tests.

fn starts_shows_and_ends() {
    let stage = Stage::new();
    let mut launcher = Launcher::start(&stage);
    assert_eq!(launcher.text("key"), "devkey");
    assert!(launcher.text("secret").len() >= 32);
    assert_eq!(launcher.summary["shards"][0]["engine"], "plain");
    let address = launcher.text("url").strip_prefix("http://").expect("an address");
    TcpStream::connect(address).expect("the control plane listens");
    assert!(Path::new(launcher.text("data_dir")).starts_with(stage.dir.path()));

    // The development appliance is found by its port.
    let url = launcher.text("url").to_owned();
    let top = stage.run(&["--url", &url, "--json", "top", "--once", "--interval", "200ms"]);
    let complaint = String::from_utf8_lossy(&top.stderr).into_owned();
    assert!(top.status.success(), "{complaint}");
    let top: Value = serde_json::from_slice(&top.stdout).expect("JSON");
    assert_eq!(top["pid"], launcher.summary["dataplane_pid"]);
    assert_eq!(top["shards"][0]["stuck"], true, "the stand-in never beats: {top}");

    launcher.signal(Signal::TERM);
    let status = launcher.child.wait().expect("an end");
    assert!(status.success(), "{status}");
    assert!(is_gone(launcher.pid("dataplane_pid")) && is_gone(launcher.pid("controlplane_pid")));
}

fn restarts_what_dies() {
    let stage = Stage::new();
    let mut launcher = Launcher::start(&stage);
    let first = launcher.pid("dataplane_pid");
    kill_process(first, Signal::KILL).expect("the data plane lives");
    let socket = launcher.text("socket").to_owned();
    let before = u32::try_from(first.as_raw_nonzero().get()).ok();
    wait_until("another data plane answers", || {
        dataplane_pid(&socket).is_some_and(|pid| Some(pid) != before)
    });
    launcher.signal(Signal::INT);
    assert!(launcher.child.wait().expect("an end").success());
    let mut said = String::new();
    launcher.child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("text");
    let expect = "ringway-dataplane was killed by signal 9; starting it again in 100 ms";
    assert!(said.contains(expect), "{said}");
}

fn children_die_with_a_killed_launcher() {
    let stage = Stage::new();
    let mut launcher = Launcher::start(&stage);
    launcher.signal(Signal::KILL);
    assert_eq!(launcher.child.wait().expect("an end").signal(), Some(9));
    for key in ["dataplane_pid", "controlplane_pid"] {
        wait_until("it is gone", || is_gone(launcher.pid(key)));
    }
}

fn a_failed_start_is_explained() {
    for name in ["ringway-dataplane", "ringway-controlplane"] {
        let stage = Stage::new();
        let mut command = stage.command(&["dev", "--port", "0"]);
        let output = command.env("STAND_IN_FAILS", name).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        let expect = format!(
            "ringway: {name} ended with status 3 while starting; its last words:\n  \
             {name} has a stomach ache"
        );
        assert!(said.contains(&expect), "{said}");
    }
}

fn a_port_in_use_is_explained() {
    let stage = Stage::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let output = stage.run(&["dev", "--port", &port]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with(&format!("ringway: port {port} of 127.0.0.1 is in use")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
