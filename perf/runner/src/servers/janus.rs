//! Debian's Janus, with its VideoRoom plug-in: the one that forwards.
//!
//! Calls are driven over WebSockets, as its own clients do. Plain RTP: its streaming plug-in
//! delivers only to WebRTC viewers, so `room` takes what can give plain RTP out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use ringway_loadgen::call::run::CallTarget;
use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::call::signal::Dialect;
use ringway_loadgen::scenario::Scenario;

use self::room::{Room, SSRC};
use super::{Running, Setting, StartError, free_tcp_port};
use crate::http::Client;
use crate::install::{self, Package};
use crate::program::Program;

mod room;

const PACKAGE: Package =
    Package { name: "janus", program: "janus", service: Some("janus.service") };
/// Everything that is not needed stays switched off, in Janus's favour.
const NO_PLUGINS: &str = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,\
    libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,\
    libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so";
const NO_TRANSPORTS: &str =
    "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,libjanus_rabbitmq.so";
const WARNINGS: &str = "--debug-level=3";
/// Threads that all peer connections of calls share. More are more to switch between on the one
/// core that it has. Its default, a thread for each handle, took 1.2 to 2 times the CPU time.
const EVENT_LOOPS: u32 = 1;

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Http,
    WebSocket,
}

/// The program; installs it when it is missing, if that is allowed.
pub(crate) fn ensure(may_install: bool) -> Result<PathBuf, String> {
    install::ensure(&PACKAGE, may_install).map_err(|error| error.to_string())
}

/// Starts it for plain RTP.
pub(super) fn start(
    setting: &Setting,
    scenario: &Scenario,
    mut running: Running,
) -> Result<Running, StartError> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = start_program(setting, &mut running, Transport::Http, loopback)?;
    let client = Client { address, token: None };
    let answers = || client.request("GET", "/janus/info", None).is_ok_and(|got| got.status == 200);
    running.wait_until(setting, "Janus's start", Duration::from_secs(20), answers)?;
    let info = client.expect("GET", "/janus/info", None)?;
    if info["plugins"].get("janus.plugin.videoroom").is_none() {
        return Err(StartError::CannotRun("this Janus has no VideoRoom plug-in".into()));
    }
    let room = Room::create(&client, scenario)?;
    for (index, input) in running.targets.inputs.iter().enumerate() {
        setting.check_stop()?;
        room.add_input(scenario, index, *input, running.targets.receivers_of(index))?;
    }
    (running.targets.first_ssrc, running.targets.ssrc_step) = (SSRC, 0);
    let version = info["version_string"].as_str().unwrap_or("of unknown version");
    running.notes.push(format!(
        "{version}: VideoRoom remote publishers with rtp_forward, because its streaming plug-in \
         delivers only to WebRTC viewers"
    ));
    Ok(running)
}

/// Starts it for calls.
pub(super) fn start_call(
    setting: &Setting,
    scenario: &CallScenario,
    mut running: Running,
) -> Result<Running, StartError> {
    if let Some(reason) = refusal(scenario) {
        return Err(StartError::CannotRun(reason.into()));
    }
    let ip = setting.ends.server;
    let address = start_program(setting, &mut running, Transport::WebSocket, ip)?;
    let answers = || TcpStream::connect(address).is_ok();
    running.wait_until(setting, "Janus's start", Duration::from_secs(20), answers)?;
    running.call =
        Some(CallTarget::Server { url: format!("ws://{address}"), dialect: Dialect::Janus });
    let version = version(setting).unwrap_or_else(|| "Janus of unknown version".into());
    running.notes.push(format!("{version}: VideoRoom, {EVENT_LOOPS} event loop, ICE lite"));
    Ok(running)
}

/// Why a scenario would be no comparison.
fn refusal(scenario: &CallScenario) -> Option<&'static str> {
    const DATA: &str = "the generator's receivers open no data channel with Janus: it begins the \
        SCTP association on their connections, and no message arrives";
    scenario.data.as_ref().map(|_| DATA)
}

fn version(setting: &Setting) -> Option<String> {
    let program = setting.janus.as_ref().ok()?;
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    read_version(&text)
}

/// The version in what the program prints, such as `Janus version: 1102 (1.1.2)`.
fn read_version(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Janus version:"))?;
    let version = line.split_once('(')?.1.split_once(')')?.0;
    Some(format!("Janus {version}"))
}

fn start_program(
    setting: &Setting,
    running: &mut Running,
    transport: Transport,
    ip: IpAddr,
) -> Result<SocketAddr, StartError> {
    let program = setting.janus.clone().map_err(StartError::CannotRun)?;
    let address = SocketAddr::new(ip, free_tcp_port()?);
    let folder = running.folder.path().to_owned();
    write_settings(&folder, transport, address).context("cannot write Janus's settings")?;
    let mut command = Command::new(program);
    command.arg(format!("--configs-folder={}", folder.display())).arg(WARNINGS);
    running.programs.push(Program::start(command, setting.core, &folder)?);
    Ok(address)
}

fn write_settings(folder: &Path, transport: Transport, address: SocketAddr) -> std::io::Result<()> {
    let (ip, port) = (address.ip(), address.port());
    // Plain RTP has no peer connections, and its session is not kept alive.
    let (general, nat, other) = match transport {
        Transport::Http => (
            "session_timeout = 0".to_owned(),
            "ice_enforce_list = \"lo\"".to_owned(),
            "libjanus_websockets.so",
        ),
        Transport::WebSocket => (
            format!("event_loops = {EVENT_LOOPS}"),
            format!("ice_lite = true\n  ice_enforce_list = \"{ip}\""),
            "libjanus_http.so",
        ),
    };
    let janus = format!(
        "general: {{\n  {general}\n  server_name = \"perf\"\n}}\n\
         media: {{\n  ipv6 = false\n  twcc_period = 100\n}}\n\
         nat: {{\n  {nat}\n}}\n\
         plugins: {{\n  disable = \"{NO_PLUGINS}\"\n}}\n\
         transports: {{\n  disable = \"{NO_TRANSPORTS},{other}\"\n}}\n\
         loggers: {{\n  disable = \"libjanus_jsonlog.so\"\n}}\n\
         events: {{\n  broadcast = false\n}}\n"
    );
    let http = format!(
        "general: {{\n  json = \"compact\"\n  base_path = \"/janus\"\n  http = true\n  \
         port = {port}\n  ip = \"{ip}\"\n  https = false\n}}\n\
         admin: {{\n  admin_http = false\n  admin_https = false\n}}\n"
    );
    let websocket = format!(
        "general: {{\n  json = \"compact\"\n  ws = true\n  ws_port = {port}\n  \
         ws_ip = \"{ip}\"\n  wss = false\n}}\n\
         admin: {{\n  admin_ws = false\n  admin_wss = false\n}}\n"
    );
    std::fs::write(folder.join("janus.jcfg"), janus)?;
    match transport {
        Transport::Http => std::fs::write(folder.join("janus.transport.http.jcfg"), http)?,
        Transport::WebSocket => {
            std::fs::write(folder.join("janus.transport.websockets.jcfg"), websocket)?;
        }
    }
    std::fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read() {
        let text = "Janus version: 1102 (1.1.2)\nJanus commit: none\nUnknown option --version\n";
        assert_eq!(read_version(text).as_deref(), Some("Janus 1.1.2"));
        assert_eq!(read_version("Janus version: 1102"), None);
        assert_eq!(read_version(""), None);
    }
}
