//! Ringway: data plane and control plane, as an operator would start them, set up over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use jsonwebtoken::{EncodingKey, Header};
use ringway_loadgen::call::run::CallTarget;
use ringway_loadgen::call::signal::Dialect;
use ringway_loadgen::call::token::Account;
use ringway_loadgen::scenario::Scenario;
use serde_json::{Value, json};

use super::{KEY, MEDIA_PORT, Running, SECRET, Setting, StartError, free_tcp_port};
use crate::http::Client;
use crate::program::Program;

/// Destinations per request: well below the limit of a request's size.
const DESTINATIONS_PER_REQUEST: usize = 500;

/// Starts it with everything forwarded as the scenario says.
pub(super) fn start(
    setting: &Setting,
    scenario: &Scenario,
    mut running: Running,
    engine: &str,
) -> Result<Running, StartError> {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let client = start_programs(setting, &mut running, engine, loopback)?;
    create_forwards(setting, &client, scenario, &mut running)?;
    Ok(running)
}

/// Starts it for calls.
pub(super) fn start_call(
    setting: &Setting,
    mut running: Running,
    engine: &str,
) -> Result<Running, StartError> {
    let client = start_programs(setting, &mut running, engine, setting.ends.server)?;
    let dialect = Dialect::LiveKit(Account { key: KEY.into(), secret: SECRET.into() });
    running.call = Some(CallTarget::Server { url: format!("ws://{}", client.address), dialect });
    Ok(running)
}

fn start_programs(
    setting: &Setting,
    running: &mut Running,
    engine: &str,
    ip: IpAddr,
) -> Result<Client, StartError> {
    let address = SocketAddr::new(ip, free_tcp_port()?);
    write_settings(running, setting, engine, address)?;
    let folder = running.folder.path().to_owned();
    for (program, file) in
        [("ringway-dataplane", "dataplane.yaml"), ("ringway-controlplane", "controlplane.yaml")]
    {
        let mut command = Command::new(setting.program(program)?);
        command.arg("--config").arg(folder.join(file));
        // Whatever the caller's shell says must not reach a measured server.
        command.env_remove("RINGWAY_SOCKET").env_remove("RINGWAY_KEYS").env_remove("NOTIFY_SOCKET");
        running.programs.push(Program::start(command, setting.core, &folder)?);
    }
    let client = Client { address, token: Some(token()?) };
    let healthy = || client.request("GET", "/", None).is_ok_and(|answer| answer.status == 200);
    running.wait_until(setting, "ringway's start", Duration::from_secs(15), healthy)?;
    Ok(client)
}

fn write_settings(
    running: &Running,
    setting: &Setting,
    engine: &str,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let core = setting.core;
    let folder = running.folder.path();
    let socket = folder.join("dataplane.sock");
    let (socket, data) = (socket.display(), folder.join("data"));
    std::fs::create_dir(&data)?;
    let data = data.display();
    let further = setting.dataplane_lines.join("\n");
    let dataplane =
        format!("socket: {socket}\ncores: [{core}]\nengine: {engine}\nlog: warn\n{further}\n");
    let (ip, port, media) = (address.ip(), address.port(), setting.ends.server);
    let controlplane = format!(
        "port: {port}\nbind_addresses: [\"{ip}\"]\nkeys:\n  {KEY}: {SECRET}\n\
         socket: {socket}\ndata_dir: {data}\nlog: warn\nrtc:\n  udp_port: {MEDIA_PORT}\n  \
         node_ip: [\"{media}\"]\n"
    );
    for (name, text) in [("dataplane.yaml", dataplane), ("controlplane.yaml", controlplane)] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn token() -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "iss": KEY, "sub": "perf", "nbf": now.saturating_sub(60), "exp": now + 6 * 3600,
        "video": { "ingressAdmin": true },
    });
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &key)?)
}

fn create_forwards(
    setting: &Setting,
    client: &Client,
    scenario: &Scenario,
    running: &mut Running,
) -> anyhow::Result<()> {
    let mut pending = Vec::new();
    for (index, input) in running.targets.inputs.iter().enumerate() {
        setting.check_stop()?;
        let destinations: Vec<Value> = running
            .targets
            .receivers_of(index)
            .iter()
            .map(|receiver| json!({ "address": receiver.ip(), "port": receiver.port() }))
            .collect();
        let mut parts = destinations.chunks(DESTINATIONS_PER_REQUEST);
        let body = json!({
            "name": format!("{} {index}", scenario.name),
            "input": { "address": input.ip(), "port": input.port() },
            "destinations": parts.next().unwrap_or_default(),
        });
        let forward = client.expect("POST", "/v1/forwards", Some(&body))?;
        let id = forward["id"].as_str().context("a created forward has no id")?;
        let path = format!("/v1/forwards/{id}");
        for part in parts {
            let body = json!({ "destinations": part });
            client.expect("POST", &format!("{path}/destinations"), Some(&body))?;
        }
        if forward["state"] != "active" {
            pending.push(path);
        }
    }
    let mut active = || {
        let is_active = |path: &String| {
            client.expect("GET", path, None).is_ok_and(|forward| forward["state"] == "active")
        };
        while pending.last().is_some_and(is_active) {
            pending.pop();
        }
        pending.is_empty()
    };
    running.wait_until(setting, "activating the forwards", Duration::from_secs(20), &mut active)
}

#[cfg(test)]
mod tests {
    #[test]
    fn tokens_are_signed() {
        let token = super::token().unwrap();
        assert_eq!(token.split('.').count(), 3, "{token}");
    }
}
