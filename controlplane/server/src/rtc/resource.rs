//! The HTTP side of WHIP and WHEP: an endpoint that takes offers, and a resource per session that
//! takes candidates, ICE restarts and its own end (RFC 9725 4).

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use ringway_signal::oneshot::{Direct, SDP_BYTES_MAX};
use ringway_signal::proto::IceServer;
use serde::Deserialize;
use serde_json::json;

use super::hub::DirectError;
use super::task::{Rtc, Whom};
use super::visitor::visitor;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const CLIENT_INFO: &str = "x-livekit-clientinfo";
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

#[derive(Clone)]
struct Endpoint {
    rtc: Rtc,
    direct: Direct,
    path: &'static str,
}

/// The routes of one of the two.
pub(crate) fn routes(rtc: Rtc, direct: Direct, path: &'static str) -> Router {
    let endpoint = post(create).get(nothing).options(options);
    let resource = axum::routing::patch(patch).delete(delete).get(nothing).options(options);
    Router::new()
        .route(path, endpoint)
        .route(&format!("{path}/{{participant}}"), resource)
        .with_state(Endpoint { rtc, direct, path })
}

/// What goes wrong, with LiveKit's body.
struct Problem(StatusCode, String);

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self(status, message.into())
    }
}

impl From<DirectError> for Problem {
    fn from(error: DirectError) -> Self {
        let status = StatusCode::from_u16(error.status());
        Self(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.1 }));
        let mut response = (self.0, body).into_response();
        if self.0 == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

// RFC 9725 4.2: GET says nothing about a session.
async fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

async fn options() -> Response {
    let mut response = StatusCode::OK.into_response();
    let mut set = |name: HeaderName, value: &'static str| {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    };
    set(header::ALLOW, "PATCH, OPTIONS, GET, POST, DELETE");
    set(HeaderName::from_static("accept-post"), SDP);
    set(ACCEPT_PATCH, FRAGMENT);
    response
}

fn is_type(headers: &HeaderMap, expect: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|text| text.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(expect)
}

async fn text_of(body: Body) -> Result<String, Problem> {
    let bytes = to_bytes(body, SDP_BYTES_MAX).await.map_err(|_| {
        let message = format!("request body exceeds {SDP_BYTES_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    })?;
    let text = String::from_utf8(bytes.into());
    text.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not text"))
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClientInfo {
    client_ip: String,
}

async fn create(State(at): State<Endpoint>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if !is_type(&parts.headers, SDP) {
        let message = format!("unsupported content-type: send {SDP}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let query = parts.uri.query().unwrap_or_default();
    let visitor = visitor(at.rtc.tokens(), query, &parts.headers, false, false);
    let mut visitor = visitor.map_err(|refused| Problem::from(DirectError::from(refused)))?;
    if let Some(text) = parts.headers.get(CLIENT_INFO) {
        let info: Result<ClientInfo, _> = serde_json::from_slice(text.as_bytes());
        let message = "malformed json in client info header";
        let info = info.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, message))?;
        visitor.client.info.address = info.client_ip;
    }
    let offer = text_of(body).await?;
    let created = at.rtc.direct(at.direct, visitor, offer).await?;
    let mut response = (StatusCode::CREATED, created.answer.sdp).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    insert(headers, header::LOCATION, format!("{}/{}", at.path, created.participant));
    insert(headers, header::ETAG, format!("\"{}\"", created.answer.etag));
    for link in ice_links(&created.ice_servers) {
        headers.append(header::LINK, link);
    }
    Ok(response)
}

// RFC 9725 4.6: one header field per server.
fn ice_links(servers: &[IceServer]) -> Vec<HeaderValue> {
    let quoted = |name: &str, text: &str| {
        let text = text.replace(['"', '\\'], "");
        if text.is_empty() { String::new() } else { format!("; {name}=\"{text}\"") }
    };
    let servers = servers.iter().flat_map(|server| {
        let (user, secret) = (&server.username, &server.credential);
        let kind = if user.is_empty() { "" } else { "password" };
        let user = quoted("username", user);
        let secret = quoted("credential", secret);
        let kind = quoted("credential-type", kind);
        server
            .urls
            .iter()
            .map(move |url| format!("<{url}>; rel=\"ice-server\"{user}{secret}{kind}"))
    });
    servers.filter_map(|text| HeaderValue::try_from(text).ok()).collect()
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Whose session this is, by path and token.
fn whom(at: &Endpoint, participant: String, parts: &RequestParts) -> Result<Whom, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let claims = at.rtc.tokens().of_request(&parts.headers, query);
    let denied = |message: String| Problem::new(StatusCode::UNAUTHORIZED, message);
    let claims = claims.map_err(|error| denied(error.to_string()))?;
    let joins = claims.video.as_ref().is_some_and(|video| video.room_join);
    let identity = if claims.identity.is_empty() { claims.jti } else { claims.identity };
    if !joins || identity.is_empty() {
        return Err(denied("permissions denied".to_owned()));
    }
    Ok(Whom { participant, identity })
}

type RequestParts = axum::http::request::Parts;

async fn patch(
    State(at): State<Endpoint>,
    Path(participant): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if !is_type(&parts.headers, FRAGMENT) {
        let message = format!("unsupported content-type: send {FRAGMENT}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let whom = whom(&at, participant, &parts)?;
    let if_match = parts.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
    // RFC 9725 4.3.1: 428 where the entity tag is missing, 412 where it is another one.
    let Some(etag) = if_match.map(str::trim).filter(|text| !text.is_empty()) else {
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "missing entity tag"));
    };
    let etag = etag.to_owned();
    let text = text_of(body).await?;
    if etag != "*" {
        at.rtc.fragment(whom, etag, text).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    // RFC 9725 4.3.3: an ICE restart matches any session.
    let answer = at.rtc.restart(whom, text).await?;
    let mut response = (StatusCode::OK, answer.sdp).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
    insert(response.headers_mut(), header::ETAG, format!("\"{}\"", answer.etag));
    Ok(response)
}

async fn delete(
    State(at): State<Endpoint>,
    Path(participant): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let whom = whom(&at, participant, &parts)?;
    at.rtc.delete(whom).await?;
    Ok(StatusCode::OK.into_response())
}
