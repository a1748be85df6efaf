//! Debian's rtpengine in user space, driven by its ng protocol: bencoded dictionaries over UDP.
//!
//! One receiver per input is an ordinary call, offer and answer. More are a publisher with
//! subscriptions. Nothing is transcoded: both sides of everything have the same codec.
//!
//! It gets one worker thread, because all that it has is one core.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use ringway_loadgen::scenario::{Media, Scenario};

use super::{Running, Setting, StartError};
use crate::bencode::Value;
use crate::install::{self, Package};
use crate::program::Program;

const PACKAGE: Package = Package {
    name: "rtpengine-daemon",
    program: "rtpengine",
    service: Some("rtpengine-daemon.service"),
};
/// Its media ports begin so far above the last receiver's and end below the ephemeral ones.
const PORT_GAP: u16 = 100;
const LAST_PORT: u16 = 32_700;
const TRIES: usize = 3;

pub(super) fn start(
    setting: &Setting,
    scenario: &Scenario,
    mut running: Running,
) -> Result<Running, StartError> {
    let program = install::ensure(&PACKAGE, setting.may_install)?;
    let folder = running.folder.path().to_owned();
    let settings = folder.join("rtpengine.conf");
    std::fs::write(&settings, "[rtpengine]\n")?;
    let control = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let mut command = Command::new(program);
    let last = running.targets.receivers.last().map_or(0, SocketAddr::port);
    let first_port = last.saturating_add(PORT_GAP);
    command
        .arg(format!("--config-file={}", settings.display()))
        .arg(format!("--listen-ng={control}"))
        .args(["--foreground", "--log-stderr", "--log-level=4", "--table=-1", "--num-threads=1"])
        .args(["--timeout=3600", "--silent-timeout=3600"])
        .arg(format!("--interface={}", setting.ends.server))
        .args([format!("--port-min={first_port}"), format!("--port-max={LAST_PORT}")]);
    running.programs.push(Program::start(command, setting.core, &folder)?);
    let mut ng = Ng::connect(control)?;
    let mut answers = || ng.ask("ping", []).is_ok();
    running.wait_until(setting, "rtpengine's start", Duration::from_secs(10), &mut answers)?;
    let mut inputs = Vec::new();
    for index in 0..scenario.inputs as usize {
        setting.check_stop()?;
        let receivers = running.targets.receivers_of(index);
        let port = match receivers {
            [receiver] => call(&mut ng, scenario, index, *receiver)?,
            _ => publish(&mut ng, scenario, index, receivers)?,
        };
        inputs.push(SocketAddr::new(setting.ends.server, port));
    }
    running.targets.inputs = inputs;
    running.notes.push("user space (no kernel table), one worker thread".into());
    Ok(running)
}

/// An ordinary call; the port to which its caller sends.
fn call(
    ng: &mut Ng,
    scenario: &Scenario,
    index: usize,
    receiver: SocketAddr,
) -> anyhow::Result<u16> {
    let (id, from, to) = (format!("call-{index}"), Value::text("a"), Value::text("b"));
    // The caller's own port only matters for what would come back, which is nothing.
    let caller = SocketAddr::new(receiver.ip(), receiver.port() + 1);
    let offer = sdp(scenario, caller, "sendrecv");
    ng.ask(
        "offer",
        [("call-id", Value::text(&id)), ("from-tag", from.clone()), ("sdp", Value::text(offer))],
    )?;
    let answer = sdp(scenario, receiver, "sendrecv");
    let reply = ng.ask(
        "answer",
        [
            ("call-id", Value::text(&id)),
            ("from-tag", from),
            ("to-tag", to),
            ("sdp", Value::text(answer)),
        ],
    )?;
    media_port(&reply)
}

/// A publisher with a subscription per receiver; the port to which the publisher sends.
fn publish(
    ng: &mut Ng,
    scenario: &Scenario,
    index: usize,
    receivers: &[SocketAddr],
) -> anyhow::Result<u16> {
    let (id, from) = (format!("fan-out-{index}"), Value::text("publisher"));
    let publisher = SocketAddr::from(([127, 0, 0, 1], 9));
    let codec = Value::dictionary([("accept", Value::texts(&["any"]))]);
    let reply = ng.ask(
        "publish",
        [
            ("call-id", Value::text(&id)),
            ("from-tag", from.clone()),
            ("sdp", Value::text(sdp(scenario, publisher, "sendonly"))),
            ("codec", codec),
        ],
    )?;
    let port = media_port(&reply)?;
    for (number, receiver) in receivers.iter().enumerate() {
        let tag = Value::text(format!("subscriber-{number}"));
        ng.ask(
            "subscribe request",
            [("call-id", Value::text(&id)), ("from-tag", from.clone()), ("to-tag", tag.clone())],
        )?;
        ng.ask(
            "subscribe answer",
            [
                ("call-id", Value::text(&id)),
                ("to-tag", tag),
                ("sdp", Value::text(sdp(scenario, *receiver, "recvonly"))),
            ],
        )?;
    }
    Ok(port)
}

fn sdp(scenario: &Scenario, address: SocketAddr, direction: &str) -> String {
    let (media, codec) = match scenario.media {
        Media::Audio => ("audio", "PCMA"),
        Media::Video => ("video", "H264"),
    };
    let (ip, port) = (address.ip(), address.port());
    let (payload_type, clock) = (scenario.payload_type, scenario.clock_rate_hz);
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m={media} {port} RTP/AVP {payload_type}\r\n\
         a=rtpmap:{payload_type} {codec}/{clock}\r\na={direction}\r\n"
    )
}

fn media_port(reply: &Value) -> anyhow::Result<u16> {
    let sdp = reply.get_text("sdp").context("rtpengine's answer has no SDP")?;
    sdp_port(sdp).with_context(|| format!("no media port in rtpengine's SDP: {sdp}"))
}

fn sdp_port(sdp: &str) -> Option<u16> {
    let line = sdp.lines().find(|line| line.starts_with("m="))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The control connection.
struct Ng {
    socket: UdpSocket,
    asked: u64,
}

impl Ng {
    fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(Self { socket, asked: 0 })
    }

    /// Sends a command until it is answered; an answer that is no success is an error.
    fn ask<const N: usize>(
        &mut self,
        command: &str,
        entries: [(&str, Value); N],
    ) -> anyhow::Result<Value> {
        let mut request = Value::dictionary(entries);
        if let Value::Dictionary(entries) = &mut request {
            entries.insert("command".into(), Value::text(command));
        }
        self.asked += 1;
        // The cookie makes a repeated request the same request, and tells late answers apart.
        let cookie = format!("ringway{} ", self.asked);
        let message = [cookie.as_bytes(), &request.encode()].concat();
        let mut buffer = vec![0; 65_536];
        for _ in 0..TRIES {
            self.socket.send(&message)?;
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let Some(body) = buffer[..length].strip_prefix(cookie.as_bytes()) else { continue };
                let reply = Value::decode(body).context("rtpengine's answer is no bencode")?;
                return match reply.get_text("result") {
                    Some("ok" | "pong") => Ok(reply),
                    _ => bail!("rtpengine refused `{command}`: {}", refusal(&reply)),
                };
            }
        }
        bail!("rtpengine does not answer `{command}`")
    }
}

fn refusal(reply: &Value) -> &str {
    reply.get_text("error-reason").unwrap_or("it gave no reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_in_sdp() {
        for (sdp, expect) in [
            ("v=0\r\nm=audio 31000 RTP/AVP 8\r\n", Some(31_000)),
            ("v=0\nm=video 1 RTP/AVP 96\nm=audio 2 RTP/AVP 0\n", Some(1)),
            ("v=0\r\nm=audio\r\n", None),
            ("v=0\r\n", None),
        ] {
            assert_eq!(sdp_port(sdp), expect, "{sdp}");
        }
    }
}
