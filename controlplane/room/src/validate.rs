//! Drafts become specs, or an [`Invalid`] that names the JSON field to blame and what it should be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use indexmap::IndexMap;

use crate::draft::{DestinationDraft, ForwardDraft, InputDraft};
use crate::id::{DestinationId, ForwardId, LENGTH};
use crate::spec::{Destination, Forward, Input, Policy, Rtcp, Source};

/// Longest name of a forward, bytes. More would only make lists heavy; less cuts off real names.
pub const NAME_BYTES: usize = 256;
/// Silence after which a latched source may be replaced, where the request does not say: a sender
/// that restarts is back within a second, and a second sender cannot steal a running stream.
pub const LATCH_SILENCE_MS: u32 = 1000;
/// Longest latch: an hour; whoever wants longer wants a pinned address.
pub const LATCH_SILENCE_MAX_MS: u32 = 3_600_000;

/// How much one appliance takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Forwards in all.
    pub forwards: usize,
    /// Destinations of one forward.
    pub destinations_per_forward: usize,
}

/// A request that cannot be carried out as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// JSON path of the field, such as `destinations[2].port`.
    pub field: String,
    /// What it should be; reads well after the field's name.
    pub message: String,
}

/// A valid forward and which of its names the client chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewForward {
    /// The forward; its place is not chosen yet.
    pub forward: Forward,
    /// Per destination, whether the client named it.
    pub named: Vec<bool>,
}

/// A valid destination and how its request named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDestination {
    /// The destination; its place is not chosen yet.
    pub destination: Destination,
    /// The client named it.
    pub named: bool,
    /// JSON path of the object, empty if it is the whole body.
    pub path: String,
}

/// Where random bytes come from.
pub type Random<'a> = &'a mut dyn FnMut() -> [u8; LENGTH];

/// Judges "create a forward".
pub fn forward(
    draft: ForwardDraft,
    limits: Limits,
    created_at_ms: u64,
    random: Random<'_>,
) -> Result<NewForward, Invalid> {
    let id = match draft.id {
        Some(text) => text.parse().map_err(|e| refuse("", "id", format!("{e}")))?,
        None => ForwardId::from_random(random()),
    };
    let name = name(draft.name.unwrap_or_default())?;
    let new = destinations(draft.destinations.unwrap_or_default(), limits, random)?;
    let wants_ipv6 = new.iter().any(|n| n.destination.address.is_ipv6());
    let input = input(draft.input.unwrap_or_default(), wants_ipv6)?;
    let mut forward = Forward {
        id,
        key: id.key(),
        name,
        shard: 0,
        created_at_ms,
        input,
        destinations: IndexMap::with_capacity(new.len()),
    };
    for new in &new {
        reachable(&forward.input, &new.destination, &new.path)?;
        if forward.destinations.insert(new.destination.key, new.destination).is_some() {
            return Err(refuse(&new.path, "id", "is there twice"));
        }
    }
    Ok(NewForward { forward, named: new.iter().map(|n| n.named).collect() })
}

/// Judges a list of destinations, as far as that goes without their forward: see [`reachable`].
pub fn destinations(
    drafts: Vec<DestinationDraft>,
    limits: Limits,
    random: Random<'_>,
) -> Result<Vec<NewDestination>, Invalid> {
    if drafts.len() > limits.destinations_per_forward {
        return Err(too_many(limits));
    }
    let judge = |(index, draft)| destination(draft, format!("destinations[{index}]"), random);
    drafts.into_iter().enumerate().map(judge).collect()
}

/// Judges one destination whose object stands at `path`.
pub fn destination(
    draft: DestinationDraft,
    path: String,
    random: Random<'_>,
) -> Result<NewDestination, Invalid> {
    let named = draft.id.is_some();
    let id = match draft.id {
        Some(text) => text.parse().map_err(|e| refuse(&path, "id", format!("{e}")))?,
        None => DestinationId::from_random(random()),
    };
    let address = draft.address.ok_or_else(|| refuse(&path, "address", "is missing"))?;
    let port = draft.port.ok_or_else(|| refuse(&path, "port", "is missing"))?;
    let destination = Destination {
        id,
        key: id.key(),
        shard: 0,
        address: remote_address(&path, &address)?,
        port: remote_port(&path, port)?,
        rtcp: draft.rtcp.unwrap_or(Rtcp::NextPort),
        ssrc: ssrc(&path, draft.ssrc)?,
        payload_type: payload_type(&path, draft.payload_type)?,
        contiguous: draft.contiguous.unwrap_or(false),
    };
    consistent(&destination, &path)?;
    Ok(NewDestination { destination, named, path })
}

/// What must hold between the fields of one destination.
pub(crate) fn consistent(destination: &Destination, path: &str) -> Result<(), Invalid> {
    ports_fit(destination.port, destination.rtcp, path)?;
    // RFC 5761 4: payload types 64-95 MUST NOT be used with multiplexed RTCP.
    let muxed = destination.rtcp.port(destination.port) == destination.port;
    if muxed && destination.payload_type.is_some_and(|pt| (64..=95).contains(&pt)) {
        let message = "must not be 64 to 95 with RTCP on the RTP port: it would look like RTCP";
        return Err(refuse(path, "payload_type", message));
    }
    Ok(())
}

/// Whether a socket bound to `input` can send to `destination` and would not feed itself.
pub fn reachable(input: &Input, destination: &Destination, path: &str) -> Result<(), Invalid> {
    match (input.address, destination.address) {
        (IpAddr::V4(_), IpAddr::V6(_)) => {
            let message = "is IPv6 but the forward's input is IPv4: give the forward the \
                           input.address \"::\"";
            return Err(refuse(path, "address", message));
        }
        (IpAddr::V6(local), IpAddr::V4(_)) if !local.is_unspecified() => {
            let message = "is IPv4 but the forward's input is bound to one IPv6 address: give the \
                           forward the input.address \"::\"";
            return Err(refuse(path, "address", message));
        }
        _ => {}
    }
    let own_address = destination.address == input.address
        || input.address.is_unspecified() && destination.address.is_loopback();
    let own_ports = [input.port, input.rtcp.port(input.port)];
    if own_address && input.port != 0 && own_ports.contains(&destination.port) {
        return Err(refuse(
            path,
            "port",
            "is the forward's own input: packets would go in circles",
        ));
    }
    Ok(())
}

fn input(draft: InputDraft, wants_ipv6: bool) -> Result<Input, Invalid> {
    let path = "input";
    let address = match draft.address {
        None if wants_ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(text) => address_of(path, "address", &text)?,
    };
    if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        let message = "must be a unicast address of this machine, or 0.0.0.0 or :: for all";
        return Err(refuse(path, "address", message));
    }
    let asked = draft.port.unwrap_or(0);
    let port = u16::try_from(asked)
        .map_err(|_| refuse(path, "port", format!("must be 0 to 65535, not {asked}; 0 is any")))?;
    let rtcp = draft.rtcp.unwrap_or(Rtcp::NextPort);
    ports_fit(port, rtcp, path)?;
    let source = source(draft.source.as_deref(), draft.latch_silence_ms)?;
    let policy = Policy { source, ssrc: ssrc(path, draft.ssrc)? };
    admits(address, &policy)?;
    Ok(Input { address, port, port_chosen: port == 0, rtcp, policy })
}

/// Whether a socket bound to `address` can hear the source that `policy` asks for.
pub(crate) fn admits(address: IpAddr, policy: &Policy) -> Result<(), Invalid> {
    let source = match policy.source {
        Source::Any | Source::Latch { .. } => return Ok(()),
        Source::Address(source) => source,
        Source::Exact(source) => source.ip(),
    };
    let dual = address == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    if source.is_ipv4() == address.is_ipv4() || dual && source.is_ipv4() {
        return Ok(());
    }
    let message = format!("can never send to {address}: it is of the other address family");
    Err(refuse("input", "source", message))
}

pub(crate) fn name(name: String) -> Result<String, Invalid> {
    if name.len() > NAME_BYTES {
        return Err(refuse("", "name", format!("must be at most {NAME_BYTES} bytes long")));
    }
    if name.chars().any(char::is_control) {
        return Err(refuse("", "name", "must not have control characters"));
    }
    Ok(name)
}

/// Reads `input.source` with `input.latch_silence_ms`.
pub(crate) fn source(text: Option<&str>, silence_ms: Option<i64>) -> Result<Source, Invalid> {
    let field = "latch_silence_ms";
    let source = match text.unwrap_or("latch") {
        "any" => Source::Any,
        "latch" => {
            let asked = silence_ms.unwrap_or(i64::from(LATCH_SILENCE_MS));
            let range = 1..=LATCH_SILENCE_MAX_MS;
            let silence_ms = u32::try_from(asked).ok().filter(|ms| range.contains(ms));
            let message = || format!("must be 1 to {LATCH_SILENCE_MAX_MS}, not {asked}");
            let silence_ms = silence_ms.ok_or_else(|| refuse("input", field, message()))?;
            return Ok(Source::Latch { silence_ms });
        }
        other => pinned(other)?,
    };
    match silence_ms {
        None => Ok(source),
        Some(_) => Err(refuse("input", field, "goes only with \"source\": \"latch\"")),
    }
}

fn pinned(text: &str) -> Result<Source, Invalid> {
    let source = match (text.parse::<IpAddr>(), text.parse::<SocketAddr>()) {
        (Ok(address), _) => Source::Address(address.to_canonical()),
        (_, Ok(exact)) => Source::Exact(SocketAddr::new(exact.ip().to_canonical(), exact.port())),
        _ => {
            let message = "must be \"any\", \"latch\", an IP address, or an address and port such \
                           as \"192.0.2.7:4000\" or \"[2001:db8::1]:4000\"";
            return Err(refuse("input", "source", message));
        }
    };
    let (address, port) = match source {
        Source::Exact(exact) => (exact.ip(), exact.port()),
        Source::Address(address) => (address, 1),
        Source::Any | Source::Latch { .. } => return Ok(source),
    };
    if address.is_unspecified() || address.is_multicast() || port == 0 {
        return Err(refuse(
            "input",
            "source",
            format!("cannot be {text}: nobody sends from there"),
        ));
    }
    Ok(source)
}

pub(crate) fn remote_address(path: &str, text: &str) -> Result<IpAddr, Invalid> {
    let address = address_of(path, "address", text)?.to_canonical();
    if address.is_unspecified() {
        return Err(refuse(path, "address", format!("cannot be {text}: nobody receives there")));
    }
    Ok(address)
}

fn address_of(path: &str, field: &str, text: &str) -> Result<IpAddr, Invalid> {
    text.parse().map_err(|_| {
        let message = "must be an IP address such as 192.0.2.7 or 2001:db8::1; names are not \
                       looked up";
        refuse(path, field, message)
    })
}

pub(crate) fn remote_port(path: &str, asked: i64) -> Result<u16, Invalid> {
    let port = u16::try_from(asked).ok().filter(|port| *port != 0);
    port.ok_or_else(|| refuse(path, "port", format!("must be 1 to 65535, not {asked}")))
}

fn ports_fit(port: u16, rtcp: Rtcp, path: &str) -> Result<(), Invalid> {
    match rtcp {
        Rtcp::NextPort if port == u16::MAX => {
            Err(refuse(path, "rtcp", "cannot be \"next_port\": 65535 is the last port"))
        }
        Rtcp::Port(same) if same == port => {
            Err(refuse(path, "rtcp", "is the RTP port: say \"mux\" if that is what you want"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn ssrc(path: &str, asked: Option<i64>) -> Result<Option<u32>, Invalid> {
    let Some(asked) = asked else { return Ok(None) };
    let ssrc = u32::try_from(asked).ok().filter(|ssrc| *ssrc != 0);
    let message = || format!("must be 1 to {}, not {asked}", u32::MAX);
    ssrc.map(Some).ok_or_else(|| refuse(path, "ssrc", message()))
}

pub(crate) fn payload_type(path: &str, asked: Option<i64>) -> Result<Option<u8>, Invalid> {
    let Some(asked) = asked else { return Ok(None) };
    let payload_type = u8::try_from(asked).ok().filter(|pt| *pt < 128);
    let message = || format!("must be 0 to 127, not {asked}");
    payload_type.map(Some).ok_or_else(|| refuse(path, "payload_type", message()))
}

/// The refusal of one destination too many.
pub(crate) fn too_many(limits: Limits) -> Invalid {
    let most = limits.destinations_per_forward;
    let message = format!(
        "must be at most {most}: raise limits.max_destinations_per_forward in the configuration or \
         use several forwards"
    );
    refuse("", "destinations", message)
}

pub(crate) fn refuse(path: &str, field: &str, message: impl Into<String>) -> Invalid {
    let field = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    Invalid { field, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { forwards: 10, destinations_per_forward: 3 };

    fn judge(json: &str) -> Result<NewForward, Invalid> {
        let mut next = 0;
        let mut random = || {
            next += 1;
            [next; LENGTH]
        };
        forward(serde_json::from_str(json).expect(json), LIMITS, 5, &mut random)
    }

    /// Which field is to blame, or "" if the request is valid.
    fn check(json: &str, field: &str) {
        let blamed = judge(json).err().map(|invalid| invalid.field).unwrap_or_default();
        assert_eq!(blamed, field, "{json}");
    }

    fn to(destination: &str) -> String {
        format!(r#"{{"destinations":[{{"address":"10.0.0.1","port":1}},{destination}]}}"#)
    }

    #[test]
    fn defaults() {
        let forward = judge("{}").unwrap().forward;
        let latch = Source::Latch { silence_ms: 1000 };
        let expect = Input {
            address: "0.0.0.0".parse().unwrap(),
            port: 0,
            port_chosen: true,
            rtcp: Rtcp::NextPort,
            policy: Policy { source: latch, ssrc: None },
        };
        assert_eq!((forward.input, forward.name.as_str()), (expect, ""));
        let six = judge(&to(r#"{"address":"::1","port":9}"#)).unwrap().forward;
        assert_eq!(six.input.address, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    }

    #[test]
    fn inputs() {
        let check = |input: &str, field: &str| check(&format!(r#"{{"input":{{{input}}}}}"#), field);
        check(r#""port":5004"#, "");
        check(r#""port":65536"#, "input.port");
        check(r#""port":-1"#, "input.port");
        check(r#""port":65535"#, "input.rtcp");
        check(r#""port":65535,"rtcp":"mux""#, "");
        check(r#""port":5004,"rtcp":5004"#, "input.rtcp");
        check(r#""address":"localhost""#, "input.address");
        check(r#""address":"224.0.0.1""#, "input.address");
        check(r#""address":"::1""#, "");
        check(r#""source":"any""#, "");
        check(r#""source":"latch","latch_silence_ms":50"#, "");
        check(r#""latch_silence_ms":0"#, "input.latch_silence_ms");
        check(r#""latch_silence_ms":3600001"#, "input.latch_silence_ms");
        check(r#""source":"any","latch_silence_ms":50"#, "input.latch_silence_ms");
        check(r#""source":"192.0.2.7""#, "");
        check(r#""source":"192.0.2.7:4000""#, "");
        check(r#""source":"192.0.2.7:0""#, "input.source");
        check(r#""source":"0.0.0.0""#, "input.source");
        check(r#""source":"2001:db8::1""#, "input.source");
        check(r#""address":"::","source":"2001:db8::1""#, "");
        check(r#""address":"::","source":"192.0.2.7""#, "");
        check(r#""address":"::1","source":"192.0.2.7""#, "input.source");
        check(r#""source":"everyone""#, "input.source");
        check(r#""ssrc":4294967295"#, "");
        check(r#""ssrc":4294967296"#, "input.ssrc");
        check(r#""ssrc":0"#, "input.ssrc");
        check(r#""ssrc":null"#, "");
    }

    #[test]
    fn destinations() {
        let check = |destination: &str, field: &str| {
            let path = if field.is_empty() { "" } else { "destinations[1]." };
            check(&to(&format!("{{{destination}}}")), &format!("{path}{field}"));
        };
        let on = |rest: &str| format!(r#""address":"10.0.0.2","port":7{rest}"#);
        check(&on(""), "");
        check(r#""port":7"#, "address");
        check(r#""address":"10.0.0.2""#, "port");
        check(r#""address":"10.0.0.2","port":0"#, "port");
        check(r#""address":"0.0.0.0","port":7"#, "address");
        check(r#""address":"example.org","port":7"#, "address");
        check(&on(r#","rtcp":7"#), "rtcp");
        check(&on(r#","payload_type":127"#), "");
        check(&on(r#","payload_type":128"#), "payload_type");
        check(&on(r#","payload_type":72"#), "");
        check(&on(r#","payload_type":72,"rtcp":"mux""#), "payload_type");
        check(&on(r#","ssrc":0"#), "ssrc");
        check(&on(r#","id":"FD_abc""#), "id");
        check(&on(r#","id":"FD_abcdefghijkl""#), "");
    }

    #[test]
    fn whole_requests() {
        check(r#"{"id":"FW_abcdefghijkl","name":"studio"}"#, "");
        check(r#"{"id":"studio"}"#, "id");
        check(r#"{"name":"a\nb"}"#, "name");
        check(&format!(r#"{{"name":"{}"}}"#, "x".repeat(257)), "name");
        let one = r#"{"address":"10.0.0.1","port":1}"#;
        check(&format!(r#"{{"destinations":[{one},{one},{one}]}}"#), "");
        check(&format!(r#"{{"destinations":[{one},{one},{one},{one}]}}"#), "destinations");
        let same = r#"{"id":"FD_abcdefghijkl","address":"10.0.0.1","port":1}"#;
        check(&format!(r#"{{"destinations":[{same},{same}]}}"#), "destinations[1].id");
        let six = r#""destinations":[{"address":"::1","port":5004}]"#;
        check(&format!(r#"{{"input":{{"address":"0.0.0.0"}},{six}}}"#), "destinations[0].address");
        check(&format!(r#"{{"input":{{"port":5004}},{six}}}"#), "destinations[0].port");
        check(&format!(r#"{{"input":{{"port":5003}},{six}}}"#), "destinations[0].port");
        check(&format!(r#"{{"input":{{"port":5003,"rtcp":"mux"}},{six}}}"#), "");
        let four = r#""destinations":[{"address":"10.0.0.1","port":1}]"#;
        check(&format!(r#"{{"input":{{"address":"::1"}},{four}}}"#), "destinations[0].address");
        check(&format!(r#"{{"input":{{"address":"::"}},{four}}}"#), "");
    }
}
