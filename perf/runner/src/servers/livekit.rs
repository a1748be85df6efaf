//! LiveKit, built from its published Go module.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use ringway_loadgen::call::run::CallTarget;
use ringway_loadgen::call::signal::Dialect;
use ringway_loadgen::call::token::Account;

use super::{KEY, MEDIA_PORT, Running, SECRET, Setting, StartError, free_tcp_port};
use crate::http::Client;
use crate::install;
use crate::path::SERVER_DEVICE;
use crate::program::Program;

/// The last release that builds from published modules alone.
const VERSION: &str = "1.13.5";
const MODULE: &str = "github.com/livekit/livekit-server/cmd/server";

/// How its media sockets write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// As it comes: every packet at once.
    Usual,
    /// Its own batching (`batch_io`), with what its sample configuration names.
    Batched,
}

/// The program; builds it into the cache when it is missing, if that is allowed.
pub(crate) fn ensure(may_install: bool) -> Result<PathBuf, String> {
    let program = format!("livekit-server-{VERSION}");
    if let Some(path) = install::find(&program) {
        return Ok(path);
    }
    let folder = cache_folder().ok_or("there is no home folder to keep LiveKit in")?;
    let path = folder.join(&program);
    if path.is_file() {
        return Ok(path);
    }
    let by_hand = format!("go install {MODULE}@v{VERSION}, and name it {}", path.display());
    let go = install::find("go").or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")));
    let Some(go) = go.filter(|go| go.is_file() && may_install) else {
        return Err(format!("LiveKit {VERSION} is not installed; with Go 1.26: {by_hand}"));
    };
    eprintln!("building LiveKit {VERSION} ...");
    build(&go, &folder, &path).map_err(|error| format!("{error:#}; by hand: {by_hand}"))?;
    eprintln!("built {}", path.display());
    Ok(path)
}

fn cache_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    Some(cache.join("ringway/peers"))
}

fn build(go: &Path, folder: &Path, path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let output = Command::new(go)
        .args(["install", &format!("{MODULE}@v{VERSION}")])
        .env("GOBIN", folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", go.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    anyhow::ensure!(output.status.success(), "LiveKit does not build: {last}");
    std::fs::rename(folder.join("server"), path).context("the built program is not there")
}

pub(super) fn start(
    setting: &Setting,
    mut running: Running,
    writing: Writing,
) -> Result<Running, StartError> {
    let program = setting.livekit.clone().map_err(StartError::CannotRun)?;
    let port = free_tcp_port()?;
    let ip = setting.ends.server;
    let folder = running.folder.path().to_owned();
    let file = folder.join("livekit.yaml");
    // Alone on its core, one media port, ICE lite, and nothing else switched on.
    let batch = match writing {
        Writing::Usual => "",
        Writing::Batched => "  batch_io:\n    batch_size: 128\n    max_flush_interval: 2ms\n",
    };
    let text = format!(
        "port: {port}\nbind_addresses: [\"{ip}\"]\nkeys:\n  {KEY}: {SECRET}\n\
         logging:\n  level: error\nrtc:\n  udp_port: {MEDIA_PORT}\n  tcp_port: 0\n  \
         node_ip: {ip}\n  use_external_ip: false\n  use_ice_lite: true\n  \
         interfaces:\n    includes: [{SERVER_DEVICE}]\n{batch}"
    );
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let mut command = Command::new(program);
    command.arg("--config").arg(&file);
    command.env_remove("LIVEKIT_CONFIG").env_remove("LIVEKIT_KEYS");
    running.programs.push(Program::start(command, setting.core, &folder)?);
    let client = Client { address: SocketAddr::new(ip, port), token: None };
    // It answers 406 until its first statistics are there.
    let answers = || client.request("GET", "/", None).is_ok_and(|answer| answer.status == 200);
    running.wait_until(setting, "LiveKit's start", Duration::from_secs(20), answers)?;
    let account = Account { key: KEY.into(), secret: SECRET.into() };
    let dialect = Dialect::LiveKit(account);
    running.call = Some(CallTarget::Server { url: format!("ws://{ip}:{port}"), dialect });
    running.notes.push(format!("LiveKit {VERSION}, its own build"));
    Ok(running)
}
