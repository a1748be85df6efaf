//! The floor: `ringway-floor scenario`, with the usual ports.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringway_loadgen::call::run::CallTarget;

use super::{Running, Setting, StartError};
use crate::program::Program;

pub(super) fn start(
    setting: &Setting,
    scenario: &str,
    mut running: Running,
    engine: &str,
) -> Result<Running, StartError> {
    let mut command = Command::new(setting.program("ringway-floor")?);
    command
        .args(["scenario", scenario, "--engine", engine, "--scenarios"])
        .arg(&setting.scenarios)
        .args(["--server", &setting.ends.server.to_string()])
        .args(["--receiver", &setting.ends.generator.to_string()]);
    let folder = running.folder.path().to_owned();
    running.programs.push(Program::start(command, setting.core, &folder)?);
    let log = folder.join("ringway-floor.log");
    let ready = |log: &Path| std::fs::read(log).is_ok_and(|text| text.starts_with(b"ready"));
    running.wait_until(setting, "the floor", Duration::from_secs(10), || ready(&log))?;
    let (server, generator) = (setting.ends.server, setting.ends.generator);
    running.call = Some(CallTarget::Floor { server, generator });
    Ok(running)
}
