//! Peers from Debian: finds them, or installs them without ever letting their services start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::servers::StartError;

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// A peer's package.
pub struct Package {
    /// Name for apt-get.
    pub name: &'static str,
    /// Program that it brings.
    pub program: &'static str,
    /// Service that it would enable.
    pub service: Option<&'static str>,
}

/// The path of the package's program; installs it when it is missing, if that is allowed.
pub fn ensure(package: &Package, may_install: bool) -> Result<PathBuf, StartError> {
    if let Some(path) = find(package.program) {
        return Ok(path);
    }
    let command = format!("apt-get install --no-install-recommends {}", package.name);
    if !may_install || !rustix::process::geteuid().is_root() || find("apt-get").is_none() {
        let reason = format!("{} is not installed; as root: {command}", package.program);
        return Err(StartError::CannotRun(reason));
    }
    eprintln!("installing {} ...", package.name);
    let installed = {
        let _guard = NoServices::raise();
        let install = || apt_get(&["install", "-y", "--no-install-recommends", package.name]);
        install() || (apt_get(&["update"]) && install())
    };
    // The package enables its service for the next boot; a measurement must not leave one behind.
    if let Some(service) = package.service {
        quiet(Command::new("systemctl").args(["disable", "--now", service]));
    }
    match find(package.program) {
        Some(path) if installed => {
            eprintln!("installed {}; no service of it runs", package.name);
            Ok(path)
        }
        _ => Err(StartError::CannotRun(format!("`{command}` failed; run it to see why"))),
    }
}

/// Looks for a program in PATH and where daemons are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn apt_get(arguments: &[&str]) -> bool {
    quiet(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn quiet(command: &mut Command) -> bool {
    let none = || Stdio::null();
    command.stdin(none()).stdout(none()).stderr(none()).status().is_ok_and(|end| end.success())
}

/// While this exists, packages that are installed may not start services.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn raise() -> Self {
        if Path::new(POLICY).exists() {
            // Somebody's own policy stays as it is.
            return Self { ours: false };
        }
        let written = fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok();
        let mode = fs::Permissions::from_mode(0o755);
        Self { ours: written && fs::set_permissions(POLICY, mode).is_ok() }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
