//! A VideoRoom that plain RTP goes through: a remote publisher (made for cascading servers) for
//! each input, and one `rtp_forward` for each receiver. Driven over the HTTP API.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use ringway_loadgen::scenario::{Media, Scenario};
use serde_json::{Value, json};

use crate::http::Client;

const ROOM: u64 = 1;
/// A remote publisher's first stream must have this SSRC.
pub(super) const SSRC: u32 = 1000;
/// One request lists at most so many receivers.
const FORWARDS_PER_REQUEST: usize = 50;

/// A handle on the VideoRoom plug-in with one room.
pub(super) struct Room<'a> {
    client: &'a Client,
    path: String,
}

impl<'a> Room<'a> {
    pub(super) fn create(client: &'a Client, scenario: &Scenario) -> anyhow::Result<Self> {
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
    pub(super) fn add_input(
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
