//! LiveKit's signalling over WebSocket: `/rtc`, `/rtc/v1` and the `/validate` of both.
//!
//! The street of a message: [`stream`] (compression) → [`socket`] (limits, frames) → [`task`] (the
//! one task) → [`hub`] (room and sessions) and back through a bounded queue per client. The first
//! answer is made before the upgrade, so that a client that is turned away gets an HTTP status.

pub mod hub;
mod pace;
pub mod relays;
pub(crate) mod resource;
mod socket;
mod stream;
pub mod task;
mod upgrade;
pub mod visitor;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::addresses::{AddressError, media_addresses};
use crate::config::{Config, TurnError};
use crate::link::{CallEnds, RelaySettings};
use crate::token::{TokenError, Tokens};
use hub::Refused;
use relays::{Relays, SECRET_BYTES};
use ringway_room::calls;
use ringway_room::id::{LENGTH, NodeId};
use ringway_signal::Settings;
use ringway_signal::proto::IceServer;
use std::sync::Arc;
use task::{Ends, Rtc, RtcTask, Ticket};
use tokio::sync::mpsc;
use upgrade::Upgrade;
use visitor::{refused, visitor};

/// Words of the data plane that may wait for the task. When it is full the lanes fill, and a shard
/// counts what it drops.
const PLANE_NEWS_MAX: usize = 4096;

/// Why there can be no calls.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could send media here.
    #[error(transparent)]
    Addresses(#[from] AddressError),
    /// Nobody could be relayed.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

/// Starts the task of the calls: what the link exchanges with it, and the way to it.
///
/// # Errors
/// The addresses for media cannot be found out, or TLS of relays cannot be set up.
pub fn start(config: &Config) -> Result<(CallEnds, Rtc), StartError> {
    let mut media = media_addresses(&config.rtc)?;
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).expect("the system must have a random device");
    let external = &config.rtc.turn_servers;
    let relays = Relays::new(&config.turn, external, &secret, &media.advertised);
    media.relay = RelaySettings::new(&config.turn, secret)?;
    let (news, plane) = mpsc::channel(PLANE_NEWS_MAX);
    let (commands, asks) = mpsc::unbounded_channel();
    let (facts, mut happened) = mpsc::unbounded_channel();
    let tokens = Arc::new(Tokens::new(&config.keys));
    let mut node = [0; LENGTH];
    getrandom::fill(&mut node).expect("the system must have a random device");
    let (settings, calls) = told(config, NodeId::from_random(node));
    let ends = Ends { plane, commands, facts };
    let (task, rtc) = RtcTask::new(settings, calls, tokens, ends);
    tokio::spawn(task.with_relays(relays).run());
    tokio::spawn(async move {
        while let Some(fact) = happened.recv().await {
            tracing::debug!(?fact, "something happened in a call");
        }
    });
    Ok((CallEnds { news, asks, media }, rtc))
}

/// The configuration, for conversations and for rooms.
fn told(config: &Config, node: NodeId) -> (Settings, calls::Config) {
    let mut settings = Settings {
        node_id: node.to_string(),
        region: config.region.clone(),
        ice_tcp: config.rtc.tcp_port != 0,
        ice_servers: ice_servers(&config.rtc.stun_servers),
        flexfec: config.rtc.flexfec.upstream_enabled,
        slow_bps: config.rtc.datachannel_slow_threshold,
        message_bytes: config.limit.message_bytes(),
        ..Settings::default()
    };
    config.room.apply(&mut settings);
    let mut calls = config.room.calls();
    calls.region.clone_from(&config.region);
    calls.data_tracks = config.enable_data_tracks;
    calls.data_blobs = config.enable_participant_data_blob;
    config.limit.apply(&mut calls.limits);
    (settings, calls)
}

/// What clients are told of STUN servers.
fn ice_servers(stun_servers: &[String]) -> Vec<IceServer> {
    let urls: Vec<String> = stun_servers.iter().map(|server| format!("stun:{server}")).collect();
    let one = IceServer { urls, ..IceServer::default() };
    if stun_servers.is_empty() { Vec::new() } else { vec![one] }
}

/// The routes, with what they need.
pub fn routes(rtc: Rtc) -> Router {
    Router::new()
        .route("/rtc", get(connect_v0))
        .route("/rtc/v1", get(connect_v1))
        .route("/rtc/validate", get(validate_v0))
        .route("/rtc/v1/validate", get(validate_v1))
        .with_state(rtc)
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, self.message).into_response()
    }
}

async fn connect_v0(
    State(rtc): State<Rtc>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<Upgrade, StatusCode>,
) -> Response {
    connect(rtc, &query.unwrap_or_default(), &headers, upgrade, false).await
}

async fn connect_v1(
    State(rtc): State<Rtc>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    upgrade: Result<Upgrade, StatusCode>,
) -> Response {
    connect(rtc, &query.unwrap_or_default(), &headers, upgrade, true).await
}

async fn connect(
    rtc: Rtc,
    query: &str,
    headers: &HeaderMap,
    upgrade: Result<Upgrade, StatusCode>,
    needs_request: bool,
) -> Response {
    // LiveKit looks whether a token is genuine before it looks at the upgrade, and at all else that
    // comes with it afterwards.
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(status) => {
            return match rtc.tokens().of_request(headers, query) {
                Ok(_) | Err(TokenError::Missing) => status.into_response(),
                Err(error) => refused(401, &error).into_response(),
            };
        }
    };
    let visitor = match visitor(rtc.tokens(), query, headers, needs_request, false) {
        Ok(visitor) => visitor,
        Err(refused) => return refused.into_response(),
    };
    let mut ticket: Ticket = match rtc.join(visitor).await {
        Ok(ticket) => ticket,
        Err(refused) => return refused.into_response(),
    };
    let Some(first) = ticket.first().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (answer, opened) = upgrade.accept(rtc.message_bytes());
    tokio::spawn(async move {
        if let Some(socket) = opened.await {
            socket::run(socket, first, ticket).await;
        }
    });
    answer
}

async fn validate_v0(
    State(rtc): State<Rtc>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    validate(&rtc, &query.unwrap_or_default(), &headers, false).await
}

async fn validate_v1(
    State(rtc): State<Rtc>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    validate(&rtc, &query.unwrap_or_default(), &headers, true).await
}

/// Pages of any origin ask this to learn why their WebSocket was refused.
async fn validate(rtc: &Rtc, query: &str, headers: &HeaderMap, needs_request: bool) -> Response {
    let judged = match visitor(rtc.tokens(), query, headers, needs_request, true) {
        Ok(visitor) => rtc.validate(visitor).await,
        Err(refused) => Err(refused),
    };
    match judged {
        Ok(()) => Response::new(Body::from("success")),
        Err(refused) => refused.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_which_server_they_have_and_where() {
        let yaml = "{region: moon, enable_data_tracks: false, \
                    limit: {signal_message_size_limit: 0}}";
        let config: Config = ringway_settings::parse(yaml, "x.yaml".as_ref()).unwrap();
        let (settings, calls) = told(&config, NodeId::from_random([7; LENGTH]));
        assert!(settings.node_id.starts_with("ND_") && settings.node_id.len() == 15);
        assert_eq!((settings.region.as_str(), calls.region.as_str()), ("moon", "moon"));
        assert!(!calls.data_tracks);
        assert_eq!(settings.message_bytes, 64 << 20);
    }
}
