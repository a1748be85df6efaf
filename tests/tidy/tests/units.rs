//! systemd finds the units correct and exposed to little. Runs where systemd's tools are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Highest exposure that `systemd-analyze security` may find, in tenths.
const MAX_EXPOSURE_TENTHS: u32 = 19;

const SERVICES: &[&str] = &["ringway-dataplane.service", "ringway-controlplane.service"];

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd")
}

/// Runs `systemd-analyze`; `None` where it is not installed, as on a machine without systemd.
fn analyze(arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).env("SYSTEMD_LOG_LEVEL", "warning");
    match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("systemd-analyze is not installed: nothing to ask");
            None
        }
        other => Some(other.expect("systemd-analyze starts")),
    }
}

#[test]
fn exposure_is_low() {
    for service in SERVICES {
        let path = units().join(service);
        let arguments = ["security", "--offline=yes", "--no-pager", &path.display().to_string()];
        let Some(output) = analyze(&arguments) else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        let verdict = text.lines().last().unwrap_or_default();
        let number = verdict.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        let tenths = number.and_then(|number| number.replace('.', "").parse::<u32>().ok());
        let errors = String::from_utf8_lossy(&output.stderr);
        let tenths = tenths.unwrap_or_else(|| panic!("{service}: no verdict in {text} {errors}"));
        assert!(tenths <= MAX_EXPOSURE_TENTHS, "{service}: {verdict}\n{text}");
    }
}

#[test]
fn units_are_valid() {
    // The programs need not be installed where the tests run: something that exists stands in.
    let folder = tempfile::tempdir().expect("a temp folder");
    let mut copies = Vec::new();
    for name in SERVICES.iter().chain(&["ringway.target"]) {
        let text = fs::read_to_string(units().join(name)).expect("a unit");
        let text = text.replace("/usr/local/bin/ringway-", "/bin/true --instead-of=");
        let copy = folder.path().join(name);
        fs::write(&copy, text).expect("write a unit");
        copies.push(copy.display().to_string());
    }
    let mut arguments = vec!["verify", "--man=no", "--recursive-errors=no"];
    arguments.extend(copies.iter().map(String::as_str));
    let Some(output) = analyze(&arguments) else { return };
    let errors = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = errors.lines().filter(|line| line.contains("ringway")).collect();
    assert!(output.status.success() && ours.is_empty(), "{errors}");
}

#[test]
fn units_need_what_they_name() {
    let folders = |name: &str| fs::read_to_string(units().join(name)).expect("a unit");
    let (dataplane, controlplane) = (folders(SERVICES[0]), folders(SERVICES[1]));
    for (text, line) in [
        (&dataplane, "Type=notify"),
        (&controlplane, "Type=notify"),
        (&dataplane, "WatchdogSec="),
        (&controlplane, "WatchdogSec="),
        (&dataplane, "Restart=always"),
        (&controlplane, "Restart=always"),
        (&dataplane, "RestartSec=100ms"),
        (&controlplane, "RestartSec=100ms"),
        (&dataplane, "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register"),
        (&dataplane, "RuntimeDirectory=ringway"),
        (&controlplane, "StateDirectory=ringway"),
        (&controlplane, "SupplementaryGroups=ringway"),
        (&dataplane, "PartOf=ringway.target"),
        (&controlplane, "PartOf=ringway.target"),
    ] {
        assert!(text.lines().any(|given| given.starts_with(line)), "{line} is missing");
    }
    let users = fs::read_to_string(units().join("ringway.sysusers")).expect("the users");
    for text in [&dataplane, &controlplane] {
        let named = text.lines().filter_map(|line| line.strip_prefix("User="));
        for user in named {
            assert!(users.contains(&format!("u     {user}")), "{user} is not created");
        }
    }
}
