//! What a person wants changed, as the server's patches: a field that was not named is left alone,
//! one that is switched off becomes null. No I/O.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::duration;
use crate::forward::target::Source;

/// Flags of `ringway forward update`; at least one.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct ForwardChange {
    /// A name for people; empty for none
    #[arg(long)]
    name: Option<String>,
    /// Who may send: any, latch (the first sender until it falls silent), ADDRESS or ADDRESS:PORT
    #[arg(long, value_name = "WHO")]
    source: Option<Source>,
    /// How long a latched source must be silent before another may take its place
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    latch_silence: Option<Duration>,
    /// Accept only this SSRC; any: accept all
    #[arg(long, value_name = "N|any", value_parser = Setting::any_or_ssrc)]
    ssrc: Option<Setting>,
}

/// Flags of `ringway forward update-destination`; at least one.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct DestinationChange {
    /// Send RTP there from now on
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    to: Option<SocketAddr>,
    /// Where RTCP goes: next (the port after RTP's), mux (RTP's port) or a port
    #[arg(long, value_name = "WHERE")]
    rtcp: Option<RtcpSetting>,
    /// SSRC of everything sent there; keep: as it comes
    #[arg(long, value_name = "N|keep", value_parser = Setting::keep_or_ssrc)]
    ssrc: Option<Setting>,
    /// Payload type of everything sent there; keep: as it comes
    #[arg(long, value_name = "N|keep", value_parser = Setting::keep_or_payload_type)]
    pt: Option<Setting>,
    /// One unbroken sequence, whatever the source does
    #[arg(long, value_name = "on|off", value_parser = on_or_off)]
    contiguous: Option<bool>,
}

/// A number, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting(Option<u32>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RtcpSetting {
    Next,
    Mux,
    Port(u16),
}

impl ForwardChange {
    /// The body of the request.
    pub(super) fn to_json(&self) -> Value {
        let mut input = Map::new();
        let mut forward = Map::new();
        if let Some(Source(source)) = &self.source {
            input.insert("source".into(), json!(source));
        }
        if let Some(silence) = self.latch_silence {
            input.insert("latch_silence_ms".into(), json!(silence.as_millis() as u64));
        }
        if let Some(Setting(ssrc)) = self.ssrc {
            input.insert("ssrc".into(), json!(ssrc));
        }
        if let Some(name) = &self.name {
            forward.insert("name".into(), json!(name));
        }
        if !input.is_empty() {
            forward.insert("input".into(), Value::Object(input));
        }
        Value::Object(forward)
    }
}

impl DestinationChange {
    /// The body of the request.
    pub(super) fn to_json(&self) -> Value {
        let mut body = Map::new();
        if let Some(to) = self.to {
            body.insert("address".into(), json!(to.ip()));
            body.insert("port".into(), json!(to.port()));
        }
        if let Some(rtcp) = self.rtcp {
            let rtcp = match rtcp {
                RtcpSetting::Next => json!("next_port"),
                RtcpSetting::Mux => json!("mux"),
                RtcpSetting::Port(port) => json!(port),
            };
            body.insert("rtcp".into(), rtcp);
        }
        if let Some(Setting(ssrc)) = self.ssrc {
            body.insert("ssrc".into(), json!(ssrc));
        }
        if let Some(Setting(payload_type)) = self.pt {
            body.insert("payload_type".into(), json!(payload_type));
        }
        if let Some(contiguous) = self.contiguous {
            body.insert("contiguous".into(), json!(contiguous));
        }
        Value::Object(body)
    }
}

impl Setting {
    fn any_or_ssrc(text: &str) -> Result<Self, String> {
        Self::read(text, "any", 1, u32::MAX)
    }

    fn keep_or_ssrc(text: &str) -> Result<Self, String> {
        Self::read(text, "keep", 1, u32::MAX)
    }

    fn keep_or_payload_type(text: &str) -> Result<Self, String> {
        Self::read(text, "keep", 0, 127)
    }

    fn read(text: &str, none: &str, min: u32, max: u32) -> Result<Self, String> {
        if text == none {
            return Ok(Self(None));
        }
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        let number = number.ok_or_else(|| format!("write {none} or a number from {min} to {max}"));
        Ok(Self(Some(number?)))
    }
}

impl FromStr for RtcpSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("next", _) => Ok(Self::Next),
            ("mux", _) => Ok(Self::Mux),
            (_, Ok(port)) if port != 0 => Ok(Self::Port(port)),
            _ => Err("write next, mux or a port from 1 to 65535".to_owned()),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "write ADDRESS:PORT or [IPV6]:PORT (addresses, not names)";
    let address: SocketAddr = text.parse().map_err(|_| wrong.to_owned())?;
    if address.port() == 0 { Err("port 0 cannot be sent to".to_owned()) } else { Ok(address) }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Forward {
        #[command(flatten)]
        change: ForwardChange,
    }

    #[derive(Parser)]
    struct Destination {
        #[command(flatten)]
        change: DestinationChange,
    }

    fn words(flags: &str) -> impl Iterator<Item = &str> {
        ["update"].into_iter().chain(flags.split_whitespace())
    }

    /// `None`: the flags are refused.
    #[test]
    fn changes_of_forwards() {
        let check = |flags: &str, expect: Option<Value>| {
            let line = Forward::try_parse_from(words(flags)).ok();
            assert_eq!(line.map(|line| line.change.to_json()), expect, "{flags}");
        };
        check("--name x", Some(json!({ "name": "x" })));
        check("--name=", Some(json!({ "name": "" })));
        check(
            "--source latch --latch-silence 2s",
            Some(json!({ "input": { "source": "latch", "latch_silence_ms": 2000 } })),
        );
        check("--source 192.0.2.7:4", Some(json!({ "input": { "source": "192.0.2.7:4" } })));
        check("--ssrc 7", Some(json!({ "input": { "ssrc": 7 } })));
        check("--ssrc any", Some(json!({ "input": { "ssrc": null } })));
        check("--name x --ssrc 7", Some(json!({ "name": "x", "input": { "ssrc": 7 } })));
        check("", None);
        check("--ssrc 0", None);
        check("--ssrc keep", None);
        check("--source host", None);
        check("--latch-silence 2", None);
    }

    #[test]
    fn changes_of_destinations() {
        let check = |flags: &str, expect: Option<Value>| {
            let line = Destination::try_parse_from(words(flags)).ok();
            assert_eq!(line.map(|line| line.change.to_json()), expect, "{flags}");
        };
        check("--to [::1]:7", Some(json!({ "address": "::1", "port": 7 })));
        check(
            "--ssrc 5 --pt 0 --contiguous on",
            Some(json!({ "ssrc": 5, "payload_type": 0, "contiguous": true })),
        );
        check(
            "--ssrc keep --pt keep --contiguous off",
            Some(json!({ "ssrc": null, "payload_type": null, "contiguous": false })),
        );
        check("--rtcp mux", Some(json!({ "rtcp": "mux" })));
        check("--rtcp next", Some(json!({ "rtcp": "next_port" })));
        check("--rtcp 9", Some(json!({ "rtcp": 9 })));
        check("", None);
        check("--to localhost:5", None);
        check("--to 127.0.0.1:0", None);
        check("--rtcp 0", None);
        check("--ssrc any", None);
        check("--pt 128", None);
        check("--contiguous yes", None);
    }
}
