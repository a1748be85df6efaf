//! Signalling messages to bytes and back: protobuf, or JSON for a client that writes text.
//!
//! A client chooses by the kind of its last frame, as LiveKit has it: text in, text out.

use std::sync::{Arc, OnceLock};

use livekit_protocol::signal_response;
use livekit_protocol::{SignalRequest, SignalResponse};
use prost::Message;
use prost::bytes::Bytes;

use crate::deflate::deflate;

/// The longest message taken from a client unless the configuration says otherwise, bytes; the
/// WebSocket keeps to it. Raised: one client may make us hold more; lowered: offers of large rooms
/// no longer fit. LiveKit's default.
pub const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How messages of one connection are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Protobuf in binary frames.
    #[default]
    Binary,
    /// Protobuf's JSON form in text frames.
    Json,
}

/// A response on its way to one client or to many: encoded, and compressed, at most once per
/// format.
#[derive(Clone, Debug)]
pub struct Outgoing(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    response: SignalResponse,
    binary: Form,
    json: Form,
}

/// A response as it is written in one format.
#[derive(Debug, Default)]
struct Form {
    plain: OnceLock<Bytes>,
    /// `None` within: not worth it.
    deflated: OnceLock<Option<Bytes>>,
}

impl Outgoing {
    /// Wraps a message.
    pub fn new(message: signal_response::Message) -> Self {
        let response = SignalResponse { message: Some(message) };
        Self(Arc::new(Encoded { response, binary: Form::default(), json: Form::default() }))
    }

    /// What is said; never `None`.
    pub fn message(&self) -> Option<&signal_response::Message> {
        self.0.response.message.as_ref()
    }

    /// The frame's content; UTF-8 for [`Format::Json`].
    pub fn encoded(&self, format: Format) -> Bytes {
        let response = &self.0.response;
        let bytes = self.form(format).plain.get_or_init(|| match format {
            Format::Binary => response.encode_to_vec().into(),
            Format::Json => json(response).into_bytes().into(),
        });
        bytes.clone()
    }

    /// The same compressed, for a frame with RSV1 to a client that has agreed to it; `None` where
    /// nothing would be gained.
    pub fn deflated(&self, format: Format) -> Option<Bytes> {
        let deflated = &self.form(format).deflated;
        deflated.get_or_init(|| deflate(&self.encoded(format)).map(Bytes::from)).clone()
    }

    fn form(&self, format: Format) -> &Form {
        match format {
            Format::Binary => &self.0.binary,
            Format::Json => &self.0.json,
        }
    }
}

/// Only an enum value outside its definition cannot be written. We write none of our own, but the
/// request that a refusal repeats may have one: then it is left out.
fn json(response: &SignalResponse) -> String {
    serde_json::to_string(response).unwrap_or_else(|_| {
        let mut response = response.clone();
        if let Some(signal_response::Message::RequestResponse(refusal)) = &mut response.message {
            refusal.request = None;
        }
        serde_json::to_string(&response).unwrap_or_default()
    })
}

/// Why a frame is no request. The connection ends, as it does at LiveKit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not protobuf of this shape.
    #[error("the message is not a protobuf SignalRequest")]
    NotProtobuf,
    /// Not JSON of this shape.
    #[error("the message is not a JSON SignalRequest")]
    NotJson,
}

/// Reads a binary frame.
pub fn decode_binary(bytes: &[u8]) -> Result<SignalRequest, WireError> {
    SignalRequest::decode(bytes).map_err(|_| WireError::NotProtobuf)
}

/// Reads a text frame.
pub fn decode_text(text: &str) -> Result<SignalRequest, WireError> {
    serde_json::from_str(text).map_err(|_| WireError::NotJson)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deflate::inflate;
    use livekit_protocol::{
        AddTrackRequest, Ping, RequestResponse, TrickleRequest, request_response, signal_request,
    };

    fn check(text: &str, expect: Result<Option<&str>, WireError>) {
        let read = decode_text(text);
        let kind = read.map(|request| {
            request.message.map(|message| match message {
                signal_request::Message::Trickle(trickle) => format!("{}", trickle.target),
                signal_request::Message::Ping(at) => format!("ping {at}"),
                signal_request::Message::PingReq(ping) => {
                    format!("{}/{}", ping.timestamp, ping.rtt)
                }
                other => format!("{other:?}"),
            })
        });
        let expect = expect.map(|kind| kind.map(str::to_owned));
        assert_eq!(kind, expect, "{text}");
    }

    #[test]
    fn json_requests() {
        check(r#"{"ping":"17"}"#, Ok(Some("ping 17")));
        check(r#"{"pingReq":{"timestamp":"5","rtt":7}}"#, Ok(Some("5/7")));
        check(r#"{"ping_req":{"timestamp":5}}"#, Ok(Some("5/0")));
        check(r#"{"trickle":{"candidateInit":"{}","target":"SUBSCRIBER"}}"#, Ok(Some("1")));
        check(r#"{"trickle":{"target":1,"novelty":[1]}}"#, Ok(Some("1")));
        check(r#"{"novelty":{}}"#, Ok(None));
        check("{}", Ok(None));
        check("", Err(WireError::NotJson));
        check("[]", Err(WireError::NotJson));
        check(r#"{"trickle":7}"#, Err(WireError::NotJson));
    }

    #[test]
    fn binary_requests() {
        let ping = signal_request::Message::PingReq(Ping { timestamp: 1, rtt: 2 });
        let bytes = SignalRequest { message: Some(ping.clone()) }.encode_to_vec();
        assert_eq!(decode_binary(&bytes).unwrap().message, Some(ping));
        // Field 200, which no version has, and nothing at all: requests without a message.
        for unknown in [&[0xc2, 0x0c, 0x01, 0x00][..], &[]] {
            assert_eq!(decode_binary(unknown).unwrap().message, None);
        }
        assert_eq!(decode_binary(&bytes[..2]), Err(WireError::NotProtobuf));
    }

    #[test]
    fn responses_mirror_the_format() {
        let trickle = TrickleRequest { candidate_init: "{}".into(), target: 1, r#final: false };
        let message = signal_response::Message::Trickle(trickle);
        let outgoing = Outgoing::new(message.clone());
        let text = r#"{"trickle":{"candidateInit":"{}","target":"SUBSCRIBER"}}"#;
        assert_eq!(outgoing.encoded(Format::Json), text);
        let bytes = outgoing.encoded(Format::Binary);
        assert_eq!(SignalResponse::decode(bytes).unwrap().message, Some(message));
    }

    #[test]
    fn what_goes_to_many_is_compressed_once() {
        let trickle = |candidate_init| {
            let trickle = TrickleRequest { candidate_init, target: 1, r#final: false };
            Outgoing::new(signal_response::Message::Trickle(trickle))
        };
        let (short, long) = (trickle("{}".into()), trickle(" ".repeat(1000)));
        for format in [Format::Binary, Format::Json] {
            assert_eq!(short.deflated(format), None);
            let deflated = long.deflated(format).unwrap();
            assert_eq!(inflate(&deflated, 2000).unwrap(), long.encoded(format));
            let other = long.clone().deflated(format).unwrap();
            assert_eq!(other.as_ptr(), deflated.as_ptr());
        }
    }

    #[test]
    fn what_json_cannot_repeat_is_left_out() {
        let add = AddTrackRequest { r#type: 112, ..AddTrackRequest::default() };
        let refusal = RequestResponse {
            reason: request_response::Reason::UnsupportedType as i32,
            request: Some(request_response::Request::AddTrack(add)),
            ..RequestResponse::default()
        };
        let outgoing = Outgoing::new(signal_response::Message::RequestResponse(refusal));
        let text = r#"{"requestResponse":{"reason":"UNSUPPORTED_TYPE"}}"#;
        assert_eq!(outgoing.encoded(Format::Json), text);
    }
}
