//! Request bodies: bounded in size and time, and errors that name the field and the nearest valid
//! one.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ringway_room::draft::Object;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::error::ApiError;

/// How long a client may take to send a body. A body of the greatest size allowed needs 1 Mbit/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a JSON body of at most `limit` bytes.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    if !is_json(headers) {
        let message = "the body must be JSON: send Content-Type: application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(ApiError::new(status, "unsupported_media_type", message));
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let message = format!(
                "the body is larger than {limit} bytes: send it in parts or raise \
                 limits.body_bytes in the configuration"
            );
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message))
        }
        Ok(Err(_)) => {
            let message = "the body ended early: send it again";
            Err(ApiError::new(StatusCode::BAD_REQUEST, "incomplete_body", message))
        }
        Err(_) => {
            let message = "the body did not come within 10 seconds: send it faster";
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message))
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.and_then(|text| text.split(';').next()).unwrap_or("").trim();
    let media = media.to_ascii_lowercase();
    media == "application/json" || media.starts_with("application/") && media.ends_with("+json")
}

/// Whether the top of the document is an object with this key. A broken document has none: parsing
/// it will say what is wrong.
pub fn has_key(bytes: &[u8], key: &str) -> bool {
    let top = serde_json::from_slice::<HashMap<String, IgnoredAny>>(bytes);
    top.is_ok_and(|top| top.contains_key(key))
}

/// Makes a `T` of a document that is one object.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let Object(value) = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        explain(if path == "." { "" } else { &path }, &error.into_inner())
    })?;
    deserializer.end().map_err(|error| explain("", &error))?;
    Ok(value)
}

fn explain(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    // serde tells what it expected, but only in words.
    if error.is_data()
        && let Some(rest) = text.strip_prefix("unknown field `")
        && let Some((field, expected)) = rest.split_once('`')
    {
        return unknown_field(path, field, expected);
    }
    let text = text.split(" at line ").next().unwrap_or(&text);
    if error.is_data() && !path.is_empty() {
        return ApiError::invalid(path, format!("{path}: {text}"));
    }
    let (line, column) = (error.line(), error.column());
    let message =
        format!("the body is not the JSON expected: {text} (line {line}, column {column})");
    ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", message)
}

fn unknown_field(path: &str, field: &str, expected: &str) -> ApiError {
    let valid: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let parent = path.strip_suffix(field).map_or(path, |parent| parent.trim_end_matches('.'));
    let full = |name: &str| {
        if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
    };
    let hint = match ringway_settings::nearest(field, &valid) {
        Some(near) => format!("did you mean {}?", full(near)),
        None => format!("valid here: {}", valid.join(", ")),
    };
    let path = full(field);
    let mut error = ApiError::invalid(&path, format!("{path} is not a field: {hint}"));
    error.code = "unknown_field";
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_room::draft::ForwardDraft;

    fn check(json: &str, code: &str, field: Option<&str>, part: &str) {
        match parse::<ForwardDraft>(json.as_bytes()) {
            Ok(_) => assert_eq!(code, "", "{json}"),
            Err(error) => {
                assert_eq!((error.code, error.field.as_deref()), (code, field), "{json} {error:?}");
                assert!(error.message.contains(part), "{json}: {}", error.message);
            }
        }
    }

    #[test]
    fn documents() {
        check("{}", "", None, "");
        check(r#"{"nmae":"x"}"#, "unknown_field", Some("nmae"), "did you mean name?");
        check(r#"{"input":{"prt":1}}"#, "unknown_field", Some("input.prt"), "mean input.port?");
        let path = "destinations[1].contigous";
        let json = r#"{"destinations":[{},{"contigous":true}]}"#;
        check(json, "unknown_field", Some(path), "destinations[1].contiguous");
        check(r#"{"zzzzzzzz":1}"#, "unknown_field", Some("zzzzzzzz"), "valid here: id, name");
        check(r#"{"input":{"port":"x"}}"#, "invalid_field", Some("input.port"), "expected i64");
        check(r#"{"input":{"rtcp":0}}"#, "invalid_field", Some("input.rtcp"), "\"mux\"");
        check(r#"{"destinations":{}}"#, "invalid_field", Some("destinations"), "sequence");
        check(r#"{"name":"a","name":"b"}"#, "malformed_json", None, "duplicate field");
        check("{", "malformed_json", None, "line 1");
        check("", "malformed_json", None, "EOF");
        check("[]", "malformed_json", None, "expected an object");
        check(r#"{"input":[]}"#, "invalid_field", Some("input"), "expected an object");
        check("{} x", "malformed_json", None, "trailing");
    }

    #[test]
    fn keys_at_the_top() {
        assert!(has_key(br#"{"a":{"b":1}}"#, "a"));
        assert!(!has_key(br#"{"a":{"b":1}}"#, "b"));
        assert!(!has_key(b"[", "a"));
    }
}
