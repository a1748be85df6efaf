//! Debian's Janus, driven over its HTTP API.
//!
//! Its streaming plug-in delivers only to WebRTC viewers, so plain RTP cannot come out of it. What
//! can take plain RTP in and give plain RTP out is the VideoRoom plug-in: a remote publisher (made
//! for cascading servers) with one `rtp_forward` per receiver. That is what is measured.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use ringway_loadgen::scenario::{Media, Scenario};
use serde_json::{Value, json};

use super::{Running, Setting, StartError, free_tcp_port};
use crate::http::Client;
use crate::install::{self, Package};
use crate::program::Program;

const PACKAGE: Package =
    Package { name: "janus", program: "janus", service: Some("janus.service") };
const ROOM: u64 = 1;
/// A remote publisher's first stream must have this SSRC.
const SSRC: u32 = 1000;
/// One request lists at most so many receivers.
const FORWARDS_PER_REQUEST: usize = 50;
/// Everything that is not needed stays switched off, in Janus's favour.
const NO_PLUGINS: &str = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_echotest.so,\
    libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,\
    libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,libjanus_voicemail.so";
const NO_TRANSPORTS: &str = "libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,\
    libjanus_rabbitmq.so,libjanus_websockets.so";

pub(super) fn start(
    setting: &Setting,
    scenario: &Scenario,
    mut running: Running,
) -> Result<Running, StartError> {
    let program = install::ensure(&PACKAGE, setting.may_install)?;
    let port = free_tcp_port()?;
    let folder = running.folder.path().to_owned();
    write_settings(&folder, port)?;
    let mut command = Command::new(program);
    command.arg(format!("--configs-folder={}", folder.display())).arg("--debug-level=3");
    running.programs.push(Program::start(command, setting.core, &folder)?);
    let client = Client { address: SocketAddr::from(([127, 0, 0, 1], port)), token: None };
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

fn write_settings(folder: &std::path::Path, port: u16) -> std::io::Result<()> {
    let janus = format!(
        "general: {{\n  session_timeout = 0\n  server_name = \"perf\"\n}}\n\
         media: {{\n  ipv6 = false\n}}\n\
         nat: {{\n  ice_enforce_list = \"lo\"\n}}\n\
         plugins: {{\n  disable = \"{NO_PLUGINS}\"\n}}\n\
         transports: {{\n  disable = \"{NO_TRANSPORTS}\"\n}}\n\
         events: {{\n  broadcast = false\n}}\n"
    );
    let http = format!(
        "general: {{\n  json = \"compact\"\n  base_path = \"/janus\"\n  http = true\n  \
         port = {port}\n  ip = \"127.0.0.1\"\n  https = false\n}}\n\
         admin: {{\n  admin_http = false\n  admin_https = false\n}}\n"
    );
    std::fs::write(folder.join("janus.jcfg"), janus)?;
    std::fs::write(folder.join("janus.transport.http.jcfg"), http)?;
    std::fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")
}

/// A handle on the VideoRoom plug-in with one room.
struct Room<'a> {
    client: &'a Client,
    path: String,
}

impl<'a> Room<'a> {
    fn create(client: &'a Client, scenario: &Scenario) -> anyhow::Result<Self> {
        let session = ask(client, "/janus", json!({ "janus": "create" }))?;
        let session = session["data"]["id"].as_u64().context("Janus gave no session id")?;
        let path = format!("/janus/{session}");
        let attach = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom" });
        let handle = ask(client, &path, attach)?;
        let handle = handle["data"]["id"].as_u64().context("Janus gave no handle id")?;
        let room = Self { client, path: format!("{path}/{handle}") };
        room.request(json!({
            "request": "create", "room": ROOM, "publishers": scenario.inputs + 10,
            "audiocodec": "pcma", "videocodec": "h264", "notify_joining": false,
        }))?;
        Ok(room)
    }

    /// A remote publisher that listens at `input`, and its receivers.
    fn add_input(
        &self,
        scenario: &Scenario,
        index: usize,
        input: SocketAddr,
        receivers: &[SocketAddr],
    ) -> anyhow::Result<()> {
        let (media, codec) = match scenario.media {
            Media::Audio => ("audio", "pcma"),
            Media::Video => ("video", "h264"),
        };
        let publisher = index as u64 + 1;
        // Without ports of ours it takes the next from 10000 on, the receivers' among them.
        self.request(json!({
            "request": "add_remote_publisher", "room": ROOM, "id": publisher,
            "port": input.port(), "rtcp_port": input.port() + 1,
            "streams": [{ "type": media, "mindex": 0, "mid": "0", "codec": codec }],
        }))?;
        let host = receivers.first().map_or(input.ip(), SocketAddr::ip);
        for part in receivers.chunks(FORWARDS_PER_REQUEST) {
            let streams: Vec<Value> = part.iter().map(to_receiver).collect();
            self.request(json!({
                "request": "rtp_forward", "room": ROOM, "publisher_id": publisher,
                "host": host, "streams": streams,
            }))?;
        }
        Ok(())
    }

    fn request(&self, body: Value) -> anyhow::Result<Value> {
        let what = body["request"].clone();
        let reply = ask(self.client, &self.path, json!({ "janus": "message", "body": body }))?;
        let data = reply["plugindata"]["data"].clone();
        if data.is_null() || data.get("error").is_some() {
            bail!("Janus refused {what}: {reply}");
        }
        Ok(data)
    }
}

fn to_receiver(receiver: &SocketAddr) -> Value {
    let (host, port) = (receiver.ip(), receiver.port());
    json!({ "mid": "0", "host": host, "port": port })
}

fn ask(client: &Client, path: &str, mut body: Value) -> anyhow::Result<Value> {
    body["transaction"] = json!("perf");
    let reply = client.expect("POST", path, Some(&body))?;
    if reply["janus"] != "success" {
        bail!("Janus refused {}: {reply}", body["janus"]);
    }
    Ok(reply)
}
