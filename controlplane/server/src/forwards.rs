//! `/v1/forwards`: handlers that read requests, ask the driver and write answers.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ringway_room::draft::ForwardPatch;
use ringway_room::draft::{DestinationDraft, DestinationPatch, DestinationsDraft, ForwardDraft};
use ringway_room::{DestinationId, ForwardId, Limits, Operation, Reply, View, validate};
use serde::Serialize;

use crate::app::App;
use crate::error::ApiError;
use crate::timestamp::now_unix_ms;
use crate::{json, view};

/// Forwards on a page unless the client says otherwise.
const PAGE: usize = 100;
/// Most forwards on a page: a bigger answer keeps the driver from others for milliseconds.
const PAGE_MAX: usize = 1000;

#[derive(Serialize)]
struct ListJson {
    forwards: Vec<view::ForwardJson>,
    next: Option<ForwardId>,
}

#[derive(Serialize)]
struct DestinationsJson {
    destinations: Vec<view::DestinationJson>,
}

/// The paths of this API.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/forwards", post(create).get(list))
        .route("/v1/forwards/{id}", get(show).patch(update).delete(delete))
        .route("/v1/forwards/{id}/destinations", post(add_destinations))
        .route(
            "/v1/forwards/{id}/destinations/{destination}",
            get(show_destination).patch(update_destination).delete(remove_destination),
        )
}

async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let draft: ForwardDraft = json::parse(&app.read(&headers, body).await?)?;
    let new = validate::forward(draft, app.domain_limits(), now_unix_ms(), &mut random)?;
    let reply = app.driver.operate(Operation::Create(Box::new(new))).await?;
    let (view, created) = forward_of(reply)?;
    let location = format!("/v1/forwards/{}", view.forward.id);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, Json(view::forward(&view, &app.plane))).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn list(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let (after, limit) = page_of(query.as_deref().unwrap_or(""))?;
    let page = app.driver.list(after, limit).await?;
    let forwards = page.forwards.iter().map(|view| view::forward(view, &app.plane)).collect();
    Ok(Json(ListJson { forwards, next: page.next }).into_response())
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let view = app.driver.get(forward_id(&id)?).await?;
    Ok(Json(view::forward(&view, &app.plane)).into_response())
}

async fn update(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = forward_id(&id)?;
    let patch: ForwardPatch = json::parse(&app.read(&headers, body).await?)?;
    let (view, _) = forward_of(app.driver.operate(Operation::Update(id, patch)).await?)?;
    Ok(Json(view::forward(&view, &app.plane)).into_response())
}

async fn delete(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    app.driver.operate(Operation::Delete(forward_id(&id)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add_destinations(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let id = forward_id(&id)?;
    let bytes = app.read(&headers, body).await?;
    let many = json::has_key(&bytes, "destinations");
    let new = if many {
        let draft: DestinationsDraft = json::parse(&bytes)?;
        validate::destinations(
            draft.destinations.unwrap_or_default(),
            app.domain_limits(),
            &mut random,
        )?
    } else {
        let draft: DestinationDraft = json::parse(&bytes)?;
        vec![validate::destination(draft, String::new(), &mut random)?]
    };
    let reply = app.driver.operate(Operation::AddDestinations(id, new)).await?;
    let (destinations, created) = destinations_of(reply, &app)?;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(if many {
        (status, Json(DestinationsJson { destinations })).into_response()
    } else {
        (status, Json(destinations.into_iter().next())).into_response()
    })
}

async fn show_destination(
    State(app): State<App>,
    Path((id, destination)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (id, destination) = (forward_id(&id)?, destination_id(&destination)?);
    let view = app.driver.get(id).await?;
    let there = view.forward.destinations.get(&destination.key());
    let there = there.filter(|there| there.id == destination);
    let there = there.ok_or_else(|| ringway_room::Rejection::no_destination(destination))?;
    Ok(Json(view::destination(there, &view, &app.plane)).into_response())
}

async fn update_destination(
    State(app): State<App>,
    Path((id, destination)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (id, destination) = (forward_id(&id)?, destination_id(&destination)?);
    let patch: DestinationPatch = json::parse(&app.read(&headers, body).await?)?;
    let operation = Operation::UpdateDestination(id, destination, patch);
    let (destinations, _) = destinations_of(app.driver.operate(operation).await?, &app)?;
    Ok(Json(destinations.into_iter().next()).into_response())
}

async fn remove_destination(
    State(app): State<App>,
    Path((id, destination)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let (id, destination) = (forward_id(&id)?, destination_id(&destination)?);
    app.driver.operate(Operation::RemoveDestination(id, destination)).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl App {
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, ApiError> {
        json::read(headers, body, self.limits.body_bytes).await
    }

    fn domain_limits(&self) -> Limits {
        self.limits.into()
    }
}

impl From<crate::config::Limits> for Limits {
    fn from(limits: crate::config::Limits) -> Self {
        Self {
            forwards: limits.max_forwards,
            destinations_per_forward: limits.max_destinations_per_forward,
        }
    }
}

fn forward_of(reply: Reply) -> Result<(Box<View>, bool), ApiError> {
    match reply {
        Reply::Forward { view, created } => Ok((view, created)),
        Reply::Destinations { .. } | Reply::Removed => Err(crossed()),
    }
}

fn destinations_of(
    reply: Reply,
    app: &App,
) -> Result<(Vec<view::DestinationJson>, bool), ApiError> {
    let Reply::Destinations { view, keys, created } = reply else { return Err(crossed()) };
    let there = keys.iter().filter_map(|key| view.forward.destinations.get(key));
    Ok((there.map(|to| view::destination(to, &view, &app.plane)).collect(), created))
}

fn crossed() -> ApiError {
    let message = "the answer belongs to another question: this is a bug, please report it";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
}

fn forward_id(text: &str) -> Result<ForwardId, ApiError> {
    text.parse().map_err(|error| {
        let message = format!("there is no forward {text:.32}: its id {error}");
        ApiError::new(StatusCode::NOT_FOUND, "forward_not_found", message)
    })
}

fn destination_id(text: &str) -> Result<DestinationId, ApiError> {
    text.parse().map_err(|error| {
        let message = format!("there is no destination {text:.32}: its id {error}");
        ApiError::new(StatusCode::NOT_FOUND, "destination_not_found", message)
    })
}

/// Reads `limit=` and `after=`. No value of theirs needs percent encoding.
fn page_of(query: &str) -> Result<(Option<ForwardId>, usize), ApiError> {
    let (mut after, mut limit) = (None, PAGE);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "after" => {
                let refuse = |error| ApiError::invalid("after", format!("after {error}"));
                after = Some(value.parse().map_err(refuse)?);
            }
            "limit" => {
                let number = value.parse().ok().filter(|n| (1..=PAGE_MAX).contains(n));
                let message = format!("limit must be 1 to {PAGE_MAX}");
                limit = number.ok_or_else(|| ApiError::invalid("limit", message))?;
            }
            other => {
                let hint = match ringway_settings::nearest(other, &["after", "limit"]) {
                    Some(near) => format!("did you mean {near}?"),
                    None => "valid here: after, limit".to_owned(),
                };
                let message = format!("{other:.64} is not a parameter: {hint}");
                return Err(ApiError::invalid(other, message));
            }
        }
    }
    Ok((after, limit))
}

/// Fresh random bytes for an id.
fn random() -> [u8; 12] {
    let mut bytes = [0; 12];
    // The kernel's random device does not fail once it is up, and without it no id is safe.
    getrandom::fill(&mut bytes).expect("the kernel's random device works");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let check = |query: &str, expect: Result<(Option<&str>, usize), &str>| {
            let got = page_of(query);
            let got = got.map(|(after, limit)| (after.map(|id| id.to_string()), limit));
            let got = got.as_ref().map(|(after, limit)| (after.as_deref(), *limit));
            assert_eq!(
                got.map_err(|error| error.field.as_deref().unwrap_or("")),
                expect,
                "{query}"
            );
        };
        check("", Ok((None, 100)));
        check("limit=1000", Ok((None, 1000)));
        check("after=FW_abcdefghijkl&limit=1", Ok((Some("FW_abcdefghijkl"), 1)));
        check("limit=0", Err("limit"));
        check("limit=1001", Err("limit"));
        check("limit=", Err("limit"));
        check("after=x", Err("after"));
        check("limt=3", Err("limt"));
    }
}
