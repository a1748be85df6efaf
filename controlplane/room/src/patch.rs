//! Changes of what exists: a patch and the present value give the new value or an [`Invalid`].

use crate::draft::{DestinationPatch, ForwardPatch, InputPatch};
use crate::spec::{Destination, Forward, Input, Rtcp, Source};
use crate::validate::{self, Invalid, refuse};

/// The forward after `patch`.
pub fn forward(patch: ForwardPatch, now: &Forward) -> Result<Forward, Invalid> {
    let mut next = now.clone();
    if let Some(name) = patch.name {
        next.name = validate::name(name.unwrap_or_default())?;
    }
    if let Some(patch) = patch.input {
        next.input = input(patch, &now.input)?;
    }
    Ok(next)
}

/// The destination after `patch`; whether its forward can reach it is not judged here.
pub fn destination(patch: DestinationPatch, now: &Destination) -> Result<Destination, Invalid> {
    let mut next = *now;
    if let Some(text) = patch.address {
        next.address = validate::remote_address("", &text)?;
    }
    if let Some(port) = patch.port {
        next.port = validate::remote_port("", port)?;
    }
    if let Some(rtcp) = patch.rtcp {
        next.rtcp = rtcp.unwrap_or(Rtcp::NextPort);
    }
    if let Some(ssrc) = patch.ssrc {
        next.ssrc = validate::ssrc("", ssrc)?;
    }
    if let Some(payload_type) = patch.payload_type {
        next.payload_type = validate::payload_type("", payload_type)?;
    }
    if let Some(contiguous) = patch.contiguous {
        next.contiguous = contiguous.unwrap_or(false);
    }
    validate::consistent(&next, "")?;
    Ok(next)
}

fn input(patch: InputPatch, now: &Input) -> Result<Input, Invalid> {
    let moved_address = patch.address.is_some_and(|text| text.parse() != Ok(now.address));
    let moved_port = patch.port.is_some_and(|port| port != i64::from(now.port));
    let moved_rtcp = patch.rtcp.is_some_and(|rtcp| rtcp != now.rtcp);
    for (moved, field) in [(moved_address, "address"), (moved_port, "port"), (moved_rtcp, "rtcp")] {
        if moved {
            let message = "cannot change while the forward exists: create another forward and \
                           delete this one";
            return Err(refuse("input", field, message));
        }
    }
    let mut next = *now;
    if patch.source.is_some() || patch.latch_silence_ms.is_some() {
        let latch_ms = match now.policy.source {
            Source::Latch { silence_ms } => Some(i64::from(silence_ms)),
            _ => None,
        };
        let (text, kept_ms) = match patch.source {
            Some(text) => (text.unwrap_or_else(|| "latch".to_owned()), latch_ms),
            None => (text_of(now.policy.source), latch_ms),
        };
        let kept_ms = kept_ms.filter(|_| text == "latch");
        let silence_ms = patch.latch_silence_ms.unwrap_or(kept_ms);
        next.policy.source = validate::source(Some(&text), silence_ms)?;
    }
    if let Some(ssrc) = patch.ssrc {
        next.policy.ssrc = validate::ssrc("input", ssrc)?;
    }
    validate::admits(next.address, &next.policy)?;
    Ok(next)
}

/// A source as `input.source` says it.
pub fn text_of(source: Source) -> String {
    match source {
        Source::Any => "any".to_owned(),
        Source::Latch { .. } => "latch".to_owned(),
        Source::Address(address) => address.to_string(),
        Source::Exact(exact) => exact.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Limits;

    fn base() -> Forward {
        let json = r#"{"name":"a","input":{"port":5004,"latch_silence_ms":70,"ssrc":9},
            "destinations":[{"address":"10.0.0.1","port":1,"ssrc":3,"contiguous":true}]}"#;
        let limits = Limits { forwards: 1, destinations_per_forward: 1 };
        let draft = serde_json::from_str(json).unwrap();
        validate::forward(draft, limits, 0, &mut || [1; 12]).unwrap().forward
    }

    #[test]
    fn forwards() {
        let check = |patch: &str, expect: Result<(&str, &str, Option<u32>), &str>| {
            let result = forward(serde_json::from_str(patch).unwrap(), &base());
            let told = result.map(|next| {
                let source = match next.input.policy.source {
                    Source::Latch { silence_ms } => format!("latch {silence_ms}"),
                    other => text_of(other),
                };
                (next.name, source, next.input.policy.ssrc)
            });
            let told = told.as_ref().map(|(n, s, r)| (n.as_str(), s.as_str(), *r));
            assert_eq!(told.map_err(|invalid| invalid.field.as_str()), expect, "{patch}");
        };
        let same = ("a", "latch 70", Some(9));
        check("{}", Ok(same));
        check(r#"{"name":"b"}"#, Ok(("b", same.1, same.2)));
        check(r#"{"name":null}"#, Ok(("", same.1, same.2)));
        check(r#"{"input":{"ssrc":null}}"#, Ok(("a", same.1, None)));
        check(r#"{"input":{"source":"any"}}"#, Ok(("a", "any", Some(9))));
        check(r#"{"input":{"source":null}}"#, Ok(same));
        check(r#"{"input":{"latch_silence_ms":80}}"#, Ok(("a", "latch 80", Some(9))));
        check(r#"{"input":{"latch_silence_ms":null}}"#, Ok(("a", "latch 1000", Some(9))));
        check(r#"{"input":{"source":"::1"}}"#, Err("input.source"));
        check(r#"{"input":{"port":5004,"address":"0.0.0.0","rtcp":"next_port"}}"#, Ok(same));
        check(r#"{"input":{"port":5006}}"#, Err("input.port"));
        check(r#"{"input":{"rtcp":"mux"}}"#, Err("input.rtcp"));
        check(r#"{"input":{"address":"::"}}"#, Err("input.address"));
    }

    #[test]
    fn destinations() {
        let now = base().destinations[0];
        let check = |patch: &str, expect: Result<Destination, &str>| {
            let result = destination(serde_json::from_str(patch).unwrap(), &now);
            assert_eq!(
                result.as_ref().map_err(|i| i.field.as_str()),
                expect.as_ref().map_err(|e| *e)
            );
        };
        check("{}", Ok(now));
        check(r#"{"port":2}"#, Ok(Destination { port: 2, ..now }));
        check(r#"{"ssrc":null}"#, Ok(Destination { ssrc: None, ..now }));
        check(r#"{"contiguous":null}"#, Ok(Destination { contiguous: false, ..now }));
        check(r#"{"rtcp":"mux"}"#, Ok(Destination { rtcp: Rtcp::Mux, ..now }));
        check(r#"{"port":65535}"#, Err("rtcp"));
        check(r#"{"address":"nowhere"}"#, Err("address"));
        check(r#"{"rtcp":"mux","payload_type":64}"#, Err("payload_type"));
    }
}
