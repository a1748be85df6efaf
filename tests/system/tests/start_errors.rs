//! Starts that must fail say why in one sentence and end with a status; stops end with status 0.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitStatus};

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;
use ringway_system::program::{Program, binary};
use ringway_system::token::{KEY, SECRET};
use rustix::process::Signal;
use serde_json::json;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// The program must have failed with one sentence that has all of `parts`, and nothing after it.
#[track_caller]
fn expect_sentence(name: &str, status: ExitStatus, log: &str, parts: &[&str]) {
    assert!(status.code().is_some_and(|code| code != 0), "{name} ended with {status}\n{log}");
    assert!(!log.contains("panicked") && !log.contains("RUST_BACKTRACE"), "{log}");
    let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    assert!(last.starts_with(&format!("{name}: ")), "the last line says not who: {log}");
    for part in parts {
        assert!(last.contains(part), "{part:?} is not in: {log}");
    }
    // Warnings before it are logs; the sentence itself is one line.
    let said = log.lines().filter(|line| line.starts_with(&format!("{name}: "))).count();
    assert_eq!(said, 1, "{log}");
}

#[track_caller]
fn check_dataplane(options: Options, parts: &[&str]) {
    let mut appliance = Appliance::prepare(options);
    let program = appliance.dataplane();
    let status = program.run();
    expect_sentence("ringway-dataplane", status, &program.log(), parts);
}

#[track_caller]
fn check_controlplane(options: Options, parts: &[&str]) {
    let mut appliance = Appliance::prepare(options);
    let program = appliance.controlplane();
    let status = program.run();
    expect_sentence("ringway-controlplane", status, &program.log(), parts);
}

#[test]
fn wrong_configurations_of_the_data_plane() {
    let with = |key: &str, value: &str| Options::default().dataplane(key, value);
    for (key, value, parts) in [
        ("engin", "uring", &["engin", "did you mean \"engine\"?"][..]),
        ("prot_range", "{first: 30000, last: 30100}", &["did you mean \"port_range\"?"]),
        ("port_range", "{first: 30000, lst: 30100}", &["did you mean", "last"]),
        ("port_range", "{first: 30000, last: 30000}", &["port_range"]),
        ("port_range", "{first: 80, last: 90}", &["port_range", "1024"]),
        ("engine", "fast", &["engine"]),
        ("cores", "[999]", &["core 999"]),
        ("cores", "[0, 0]", &["twice"]),
        ("cores", "[]", &["cores"]),
        ("buffers", "1000", &["buffers", "1024"]),
        ("buffers", "1500", &["buffers", "powers of two"]),
        ("send_buffer_bytes", "65535", &["send_buffer_bytes", "65536"]),
        ("max_forwards", "0", &["max_forwards"]),
        ("max_forwards", "-1", &["max_forwards"]),
        ("log", "\"ringway=loud\"", &["log"]),
        ("log_format", "xml", &["log_format"]),
        ("socket", "/nowhere/at/all/dataplane.sock", &["/nowhere/at/all", "socket"]),
        ("socket", "/dev/null", &["/dev/null", "no socket"]),
    ] {
        check_dataplane(with(key, value), parts);
    }
    let long = format!("/tmp/{}", "x".repeat(120));
    check_dataplane(with("socket", &long), &["too long"]);
}

#[test]
fn wrong_configurations_of_the_control_plane() {
    let with = |key: &str, value: &str| Options::default().controlplane(key, value);
    let short = format!("{{{KEY}: short}}");
    for (key, value, parts) in [
        ("prot", "7880", &["prot", "did you mean \"port\"?"][..]),
        ("limits", "{max_forward: 1}", &["did you mean", "max_forwards"]),
        ("port", "99999", &["port"]),
        ("keys", "{}", &["no API key"]),
        ("keys", &short, &["shorter than 32"]),
        ("bind_addresses", "[]", &["bind_addresses"]),
        ("bind_addresses", "[localhost]", &["bind_addresses"]),
        ("bind_addresses", "[\"192.0.2.1\"]", &["192.0.2.1", "not an address of this machine"]),
        ("metrics", "{username: a}", &["both username and password"]),
        ("limits", "{body_bytes: 1}", &["limits.body_bytes"]),
        ("key_file", "/nowhere/keys.yaml", &["/nowhere/keys.yaml"]),
        ("data_dir", "/dev/null/data", &["/dev/null/data"]),
        ("log", "\"ringway=loud\"", &["log"]),
    ] {
        check_controlplane(with(key, value), parts);
    }
}

#[test]
fn files_that_are_not_configurations() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let broken = folder.path().join("broken.yaml");
    fs::write(&broken, "port: [1\n  x: {").expect("write a file");
    for name in ["ringway-dataplane", "ringway-controlplane"] {
        for (path, part) in [
            (folder.path().join("missing.yaml"), "missing.yaml"),
            (broken.clone(), "broken.yaml"),
            (folder.path().to_owned(), "cannot read"),
        ] {
            let arguments = vec!["--config".to_owned(), path.display().to_string()];
            let logs = tempfile::tempdir().expect("a temp folder");
            let mut program = Program::new(name, arguments, logs.path());
            let status = program.run();
            expect_sentence(name, status, &program.log(), &[part]);
        }
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let port = taken.local_addr().expect("an address").port().to_string();
    let options = Options::default().controlplane("port", &port);
    check_controlplane(options, &["TCP port", &port, "in use"]);
}

#[test]
fn a_second_data_plane_is_told_about_the_first() {
    let mut first = Appliance::start(Options::default().without_controlplane());
    let socket = format!("{:?}", first.socket().display().to_string());
    let pid = first.dataplane().pid().to_string();
    check_dataplane(Options::default().dataplane("socket", &socket), &[&pid, "already listens"]);
    assert!(first.dataplane().ended().is_none(), "the first one ended");
    assert!(first.socket().exists(), "the second one took the first one's socket away");
}

#[test]
fn a_second_control_plane_is_told_about_the_store() {
    let first = Appliance::start(Options::default());
    let folder = format!("{:?}", first.folder().display().to_string());
    let options = Options::default().controlplane("data_dir", &folder);
    check_controlplane(options, &["in use", "another ringway-controlplane"]);
    assert_eq!(first.client().get("/").status, 200);
}

#[test]
fn a_damaged_store_is_neither_used_nor_touched() {
    let mut appliance = Appliance::start(Options::default());
    for number in 0..20 {
        let body = json!({ "name": format!("forward {number}") });
        appliance.client().post("/v1/forwards", &body).expect(201);
    }
    appliance.kill_controlplane();
    let path = appliance.folder().join("ringway.redb");
    let whole = fs::read(&path).expect("the store");
    let mut overwritten = whole.clone();
    overwritten[..64].fill(0xa5);
    for damaged in [overwritten, vec![0; 8192], b"this is no database at all".repeat(400)] {
        fs::write(&path, &damaged).expect("damage the store");
        let program = appliance.controlplane();
        let before = program.log().len();
        let status = program.run();
        let log = program.log().split_off(before);
        expect_sentence("ringway-controlplane", status, &log, &["ringway.redb", "backup"]);
        assert_eq!(fs::read(&path).expect("the store"), damaged, "the evidence is gone");
    }
    // The backup works.
    fs::write(&path, &whole).expect("restore the store");
    appliance.start_controlplane();
    appliance.wait_joined();
    let page = appliance.client().get("/v1/forwards").expect(200);
    assert_eq!(page["forwards"].as_array().map(Vec::len), Some(20));
}

#[test]
fn key_files_of_others() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let path = folder.path().join("keys.yaml");
    let file = format!("{:?}", path.display().to_string());
    let options = || Options::default().controlplane("key_file", &file);
    let write = |text: &str, mode: u32| {
        fs::write(&path, text).expect("write a key file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    write(&format!("a: {SECRET}\n"), 0o644);
    check_controlplane(options(), &["keys.yaml", "chmod"]);
    write("a: short\n", 0o600);
    check_controlplane(options(), &["shorter than 32"]);
    write("[not, keys]\n", 0o600);
    check_controlplane(options(), &["keys.yaml"]);
}

/// Runs a program as nobody; `None`, with the reason on stderr, where that cannot be done.
fn run_as_nobody(name: &str, settings: &str) -> Option<(ExitStatus, String)> {
    let folder = tempfile::tempdir().expect("a temp folder");
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    mode(folder.path(), 0o777);
    // Nobody may not look into the folder where it was built.
    let (program, config) = (folder.path().join(name), folder.path().join("config.yaml"));
    fs::copy(binary(name), &program).expect("copy a program");
    fs::write(&config, settings).expect("write a configuration");
    mode(&config, 0o644);
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"];
    let mut command = Command::new("setpriv");
    command.args(nobody).arg(&program).arg("--config").arg(&config).current_dir("/");
    let log = folder.path().join("log");
    let file = fs::File::create(&log).expect("a log");
    command.stderr(file).stdin(std::process::Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: setpriv: {error}");
            return None;
        }
    };
    let status = until(PATIENCE, &format!("{name} to end"), || {
        child.try_wait().expect("ask for a child's status")
    });
    let log = fs::read_to_string(&log).expect("a log");
    if log.contains("setpriv:") {
        eprintln!("skipped, because this user may not become another: {}", log.trim());
        return None;
    }
    Some((status, log))
}

#[test]
fn missing_privileges_are_named() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first: u16 = first.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    if first <= 80 {
        eprintln!("partly skipped: everybody may listen on port 80 here");
    } else {
        let data = tempfile::tempdir().expect("a temp folder");
        fs::set_permissions(data.path(), fs::Permissions::from_mode(0o777)).expect("a mode");
        let settings = format!(
            "port: 80\nbind_addresses: [\"127.0.0.1\"]\nkeys: {{a: {SECRET}}}\ndata_dir: {:?}\n",
            data.path().display().to_string()
        );
        if let Some((status, log)) = run_as_nobody("ringway-controlplane", &settings) {
            expect_sentence("ringway-controlplane", status, &log, &["port 80", "may not"]);
        }
    }
    let closed = tempfile::tempdir().expect("a temp folder");
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("a mode");
    let socket = closed.path().join("dataplane.sock");
    let settings = format!("socket: {:?}\n", socket.display().to_string());
    if let Some((status, log)) = run_as_nobody("ringway-dataplane", &settings) {
        expect_sentence("ringway-dataplane", status, &log, &["directory", "dataplane.sock"]);
    }
    let settings = format!(
        "port: 0\nkeys: {{a: {SECRET}}}\ndata_dir: {:?}\n",
        closed.path().join("data").display().to_string()
    );
    if let Some((status, log)) = run_as_nobody("ringway-controlplane", &settings) {
        expect_sentence("ringway-controlplane", status, &log, &["data directory", "denied"]);
    }
}

#[test]
fn both_programs_stop_when_they_are_told_to() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut appliance = Appliance::start(Options::default());
        appliance.client().post("/v1/forwards", &json!({})).expect(201);
        for control_first in [true, false] {
            let program = match control_first {
                true => appliance.controlplane(),
                false => appliance.dataplane(),
            };
            program.signal(signal);
            let status = until(PATIENCE, "a program to stop", || program.ended());
            assert_eq!(status.code(), Some(0), "{signal:?}: {status}\n{}", program.log());
        }
        assert!(!appliance.socket().exists(), "the data plane left its socket behind");
        // What was accepted is there after a stop as after a death.
        appliance.start_dataplane();
        appliance.start_controlplane();
        appliance.wait_joined();
        let page = appliance.client().get("/v1/forwards").expect(200);
        assert_eq!(page["forwards"].as_array().map(Vec::len), Some(1));
    }
}
