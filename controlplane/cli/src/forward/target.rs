//! How a person writes where packets come from and go to; no I/O, no names to resolve.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ringway_settings::nearest;
use serde_json::{Map, Value, json};

/// `5004`, `192.0.2.1:5004` or `[::]:5004`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    /// None leaves the choice to the server.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self { address: None, port });
        }
        let address: SocketAddr =
            text.parse().map_err(|_| "write PORT, ADDRESS:PORT or [IPV6]:PORT".to_owned())?;
        Ok(Self { address: Some(address.ip()), port: address.port() })
    }
}

/// Who may send, in the server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source(pub(super) String);

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = matches!(text, "any" | "latch")
            || text.parse::<IpAddr>().is_ok()
            || text.parse::<SocketAddr>().is_ok();
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err("write any, latch, ADDRESS, ADDRESS:PORT or [IPV6]:PORT".to_owned())
        }
    }
}

/// Where RTCP goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rtcp {
    Mux,
    Port(u16),
}

impl Rtcp {
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Mux => json!("mux"),
            Self::Port(port) => json!(port),
        }
    }
}

/// A destination: `[::1]:7000,ssrc=1234,pt=96,contiguous,mux`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    address: SocketAddr,
    id: Option<String>,
    rtcp: Option<Rtcp>,
    ssrc: Option<u32>,
    payload_type: Option<u8>,
    contiguous: bool,
}

const OPTIONS: &[&str] = &["contiguous", "id", "mux", "pt", "rtcp", "ssrc"];

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let address = parts.next().unwrap_or_default();
        let address: SocketAddr = address.parse().map_err(|_| {
            format!("{address:?} is not ADDRESS:PORT or [IPV6]:PORT (addresses, not names)")
        })?;
        if address.port() == 0 {
            return Err("port 0 cannot be sent to".to_owned());
        }
        let mut target = Self {
            address,
            id: None,
            rtcp: None,
            ssrc: None,
            payload_type: None,
            contiguous: false,
        };
        for option in parts {
            target.set(option)?;
        }
        Ok(target)
    }
}

impl Target {
    fn set(&mut self, option: &str) -> Result<(), String> {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (option, None),
        };
        match (key, value) {
            ("contiguous", None) => self.contiguous = true,
            ("mux", None) => self.rtcp = Some(Rtcp::Mux),
            ("rtcp", Some(value)) => self.rtcp = Some(Rtcp::Port(number(key, value, 1, 65_535)?)),
            ("ssrc", Some(value)) => self.ssrc = Some(number(key, value, 1, u32::MAX)?),
            ("pt", Some(value)) => self.payload_type = Some(number(key, value, 0, 127)?),
            ("id", Some(value)) => self.id = Some(value.to_owned()),
            ("contiguous" | "mux", Some(_)) => return Err(format!("{key} takes no value")),
            ("rtcp" | "ssrc" | "pt" | "id", None) => return Err(format!("write {key}=…")),
            _ => {
                let hint = nearest(key, OPTIONS)
                    .map_or(String::new(), |option| format!("; did you mean {option}?"));
                return Err(format!("unknown option {key:?}{hint}"));
            }
        }
        Ok(())
    }

    /// The destination as the server wants it; what was not said is left out.
    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("address".into(), json!(self.address.ip()));
        object.insert("port".into(), json!(self.address.port()));
        if let Some(id) = &self.id {
            object.insert("id".into(), json!(id));
        }
        if let Some(rtcp) = self.rtcp {
            object.insert("rtcp".into(), rtcp.to_json());
        }
        if let Some(ssrc) = self.ssrc {
            object.insert("ssrc".into(), json!(ssrc));
        }
        if let Some(payload_type) = self.payload_type {
            object.insert("payload_type".into(), json!(payload_type));
        }
        if self.contiguous {
            object.insert("contiguous".into(), json!(true));
        }
        Value::Object(object)
    }
}

fn number<T>(key: &str, value: &str, min: T, max: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    match value.parse() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => Err(format!("{key} is a number from {min} to {max}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<Value, &str>) {
        let got = text.parse::<Target>().map(|target| target.to_json());
        match (got, expect) {
            (Ok(got), Ok(expect)) => assert_eq!(got, expect, "{text}"),
            (Err(got), Err(part)) => assert!(got.contains(part), "{text}: {got}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn targets() {
        check("127.0.0.1:6000", Ok(json!({ "address": "127.0.0.1", "port": 6000 })));
        check(
            "[::1]:7000,ssrc=1234,pt=96,contiguous,mux",
            Ok(json!({
                "address": "::1", "port": 7000, "rtcp": "mux", "ssrc": 1234, "payload_type": 96,
                "contiguous": true,
            })),
        );
        check("1.2.3.4:5,rtcp=9", Ok(json!({ "address": "1.2.3.4", "port": 5, "rtcp": 9 })));
        check("127.0.0.1", Err("is not ADDRESS:PORT"));
        check("localhost:5", Err("addresses, not names"));
        check("127.0.0.1:0", Err("port 0"));
        check("1.2.3.4:5,ssrc=0", Err("ssrc is a number from 1 to 4294967295"));
        check("1.2.3.4:5,pt=128", Err("pt is a number from 0 to 127"));
        check("1.2.3.4:5,contigous", Err("did you mean contiguous?"));
        check("1.2.3.4:5,mux=1", Err("mux takes no value"));
        check("1.2.3.4:5,ssrc", Err("write ssrc=…"));
        check("", Err("is not ADDRESS:PORT"));
    }

    #[test]
    fn listens() {
        let check = |text: &str, expect: Option<(Option<&str>, u16)>| {
            let expect =
                expect.map(|(ip, port)| Listen { address: ip.map(|ip| ip.parse().unwrap()), port });
            assert_eq!(text.parse::<Listen>().ok(), expect, "{text}");
        };
        check("5004", Some((None, 5004)));
        check("0", Some((None, 0)));
        check("192.0.2.1:5004", Some((Some("192.0.2.1"), 5004)));
        check("[::]:5004", Some((Some("::"), 5004)));
        check("65536", None);
        check("::1", None);
    }

    #[test]
    fn sources() {
        for good in ["any", "latch", "192.0.2.7", "192.0.2.7:4000", "[2001:db8::1]:4000", "::1"] {
            assert!(good.parse::<Source>().is_ok(), "{good}");
        }
        for bad in ["", "none", "host", "1.2.3", "192.0.2.7:x"] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}
