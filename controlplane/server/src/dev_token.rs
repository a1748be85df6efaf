//! `POST /dev/token`: tokens for the page, without a secret in the page. Only with `development`.
//!
//! Whoever reaches the port gets a token here, so the route does not exist in production. Pages of
//! other sites do not: they may not send JSON to another origin without being allowed to, and a
//! name of theirs that points at this machine is not taken for it.

use std::net::IpAddr;

use axum::body::Body;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use axum::{Json, Router};
use ringway_room::calls::{Grants, ParticipantKind, TokenClaims};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::json;
use crate::rtc::task::Rtc;
use crate::timestamp::now_unix_ms;

/// A session of WHIP or WHEP is ended with the token that began it, and gets no fresh ones.
const TTL_S: u32 = 12 * 3600;
/// Longer names are refused by the room, too.
const NAME_BYTES_MAX: usize = 256;
const BODY_BYTES_MAX: usize = 4096;

/// The route, with what it needs.
pub fn routes<S: Clone + Send + Sync + 'static>(rtc: Rtc) -> Router<S> {
    Router::new().route("/dev/token", post(token)).with_state(rtc)
}

/// What the token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Publish,
    Play,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    room: String,
    identity: String,
    direction: Direction,
}

#[derive(Debug, Serialize)]
struct Answer {
    token: String,
}

async fn token(
    State(rtc): State<Rtc>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    if !is_own_page(&headers) {
        let message = "only the page of this server gets tokens here, by an address or localhost";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "permission_denied", message));
    }
    let bytes = json::read(&headers, body, BODY_BYTES_MAX).await?;
    let claims = claims(json::parse(&bytes)?)?;
    let token = rtc.tokens().mint(&claims, now_unix_ms() / 1000);
    let none = || ApiError::new(StatusCode::FORBIDDEN, "permission_denied", "there is no API key");
    token.map(|token| Json(Answer { token })).ok_or_else(none)
}

/// Who plays is hidden: it is the same person as the one who publishes, in the same page.
fn claims(wish: Wish) -> Result<TokenClaims, ApiError> {
    let Wish { room, identity, direction } = wish;
    for (field, text) in [("room", &room), ("identity", &identity)] {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            let message = format!("{field} needs 1 to {NAME_BYTES_MAX} bytes");
            return Err(ApiError::invalid(field, message));
        }
    }
    let publishes = direction == Direction::Publish;
    Ok(TokenClaims {
        name: identity.clone(),
        identity: if publishes { identity } else { format!("{identity} (watching)") },
        kind: ParticipantKind::Standard,
        metadata: String::new(),
        attributes: Default::default(),
        grants: Grants {
            room_join: true,
            room,
            can_publish: Some(publishes),
            can_subscribe: Some(!publishes),
            hidden: !publishes,
            ..Grants::default()
        },
        room_config: None,
        room_preset: String::new(),
        ttl_s: TTL_S,
    })
}

/// Whether the request comes from a page that this server served: by an address or `localhost`,
/// which no other site's name can be.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(host) = text(header::HOST) else { return false };
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_here = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok();
    let same = |origin: &str| origin.split_once("://").is_some_and(|(_, from)| from == host);
    is_here && text(header::ORIGIN).is_none_or(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_others_get_nothing() {
        let check = |host: &str, origin: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            if !host.is_empty() {
                headers.insert(header::HOST, host.parse().unwrap());
            }
            if !origin.is_empty() {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_own_page(&headers), expect, "{host} {origin}");
        };
        check("127.0.0.1:7880", "http://127.0.0.1:7880", true);
        check("localhost:7880", "", true);
        check("[::1]:7880", "http://[::1]:7880", true);
        check("192.0.2.1", "http://192.0.2.1", true);
        check("127.0.0.1:7880", "http://evil.example", false);
        check("127.0.0.1:7880", "http://127.0.0.1:8000", false);
        check("127.0.0.1:7880", "null", false);
        // A name that somebody else's server points here.
        check("evil.example:7880", "http://evil.example:7880", false);
        check("evil.example:7880", "", false);
        check("", "", false);
    }

    #[test]
    fn each_direction_has_its_grants() {
        let wish = |direction| Wish { room: "r".into(), identity: "anna".into(), direction };
        let publish = claims(wish(Direction::Publish)).unwrap();
        let play = claims(wish(Direction::Play)).unwrap();
        assert_ne!(publish.identity, play.identity);
        let may = |claims: &TokenClaims| {
            let permission = claims.grants.permission();
            (permission.can_publish, permission.can_subscribe, permission.hidden)
        };
        assert_eq!(may(&publish), (true, false, false));
        assert_eq!(may(&play), (false, true, true));
        assert!(play.grants.room_join && play.grants.room == "r");
        for (room, identity) in [("", "a"), ("r", ""), (&*"x".repeat(257), "a")] {
            let direction = Direction::Play;
            let wish = Wish { room: room.into(), identity: identity.into(), direction };
            assert!(claims(wish).is_err(), "{room} {identity}");
        }
    }
}
