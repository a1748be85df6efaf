//! `GET /metrics`: Prometheus text, read from the shared pages on each scrape.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ringway_room::{Counts, State as ForwardState};

use crate::app::App;
use crate::auth;
use crate::error::ApiError;
use crate::exposition::{CONTENT_TYPE, Exposition};
use crate::link::{Plane, Shard};
use crate::requests::Requests;

/// The paths of this API.
pub fn routes() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(app): State<App>, headers: HeaderMap) -> Result<Response, ApiError> {
    if !auth::may_read_metrics(&app.metrics, &headers) {
        let message = "the metrics need the user name and password of the configuration";
        let error = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        let mut response = error.into_response();
        let basic = HeaderValue::from_static("Basic realm=\"metrics\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
        return Ok(response);
    }
    let counts = app.driver.counts().await?;
    let text = write(&app.plane, counts, &app.requests);
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn write(plane: &Plane, counts: Counts, requests: &Requests) -> String {
    let mut out = Exposition::default();
    let version = plane.version();
    out.family("ringway_data_plane_up", "gauge", "1 while the data plane is joined and lives.");
    out.sample("ringway_data_plane_up", &[], u8::from(version.is_some()));
    out.family("ringway_build_info", "gauge", "Releases of the programs that run.");
    let control = ("control_plane", env!("CARGO_PKG_VERSION"));
    let data = ("data_plane", version.as_deref().unwrap_or(""));
    out.sample("ringway_build_info", &[control, data], 1);
    out.family("ringway_forward_states", "gauge", "Forwards that should exist, by state.");
    for (state, count) in ForwardState::ALL.iter().zip(counts.forwards) {
        out.sample("ringway_forward_states", &[("state", state.word())], count);
    }
    let help = "Destinations that should exist.";
    out.family("ringway_forward_destinations", "gauge", help);
    out.sample("ringway_forward_destinations", &[], counts.destinations);
    write_requests(&mut out, requests);
    let shards = plane.shards();
    if !shards.is_empty() {
        write_shards(&mut out, &shards);
        write_counters(&mut out, &shards);
        write_latency(&mut out, &shards);
    }
    out.finish()
}

fn write_requests(out: &mut Exposition, requests: &Requests) {
    let name = "ringway_http_requests_total";
    out.family(name, "counter", "HTTP requests answered, by route, method and status.");
    for (route, method, status, count) in requests.counts() {
        let status = status.to_string();
        let labels = [("route", route.as_str()), ("method", method), ("status", &status)];
        out.sample(name, &labels, count);
    }
}

fn write_shards(out: &mut Exposition, shards: &[Shard]) {
    out.family("ringway_shard_info", "gauge", "Core and engine of each shard.");
    for (index, shard) in shards.iter().enumerate() {
        let core = shard.core.map_or(String::new(), |core| core.to_string());
        let labels = [("shard", &*index.to_string()), ("core", &*core), ("engine", shard.engine)];
        out.sample("ringway_shard_info", &labels, 1);
    }
    let name = "ringway_shard_heartbeat_age_seconds";
    out.family(name, "gauge", "Time since the shard last said that it lives.");
    for (index, shard) in shards.iter().enumerate() {
        if let Some(age_s) = shard.beat_age_s {
            out.sample(name, &[("shard", &index.to_string())], age_s);
        }
    }
}

/// The counters table of the contract. Members of a family stand side by side in it.
fn write_counters(out: &mut Exposition, shards: &[Shard]) {
    let table = shards.iter().map(|shard| &shard.metrics).find(|metrics| !metrics.is_empty());
    let Some(table) = table else { return };
    let mut family = "";
    for (position, metric) in table.iter().enumerate() {
        if family != metric.name {
            family = metric.name;
            let kind = if metric.is_counter { "counter" } else { "gauge" };
            out.family(family, kind, metric.help);
        }
        for (index, shard) in shards.iter().enumerate() {
            let Some(metric) = shard.metrics.get(position) else { continue };
            let index = index.to_string();
            let labels: Vec<_> = [("shard", &*index)].into_iter().chain(metric.label).collect();
            out.sample(metric.name, &labels, metric.value);
        }
    }
}

fn write_latency(out: &mut Exposition, shards: &[Shard]) {
    let name = "ringway_forward_latency_seconds";
    out.family(name, "histogram", "Time from kernel receive to send submitted, per packet.");
    for (index, shard) in shards.iter().enumerate().filter(|(_, shard)| !shard.latency.is_empty()) {
        let index = index.to_string();
        let bucket = format!("{name}_bucket");
        for (end_ns, count) in &shard.latency {
            let end_s = (*end_ns as f64 / 1e9).to_string();
            out.sample(&bucket, &[("shard", &index), ("le", &end_s)], count);
        }
        out.sample(&bucket, &[("shard", &index), ("le", "+Inf")], shard.latency_count);
        let sum_s = shard.latency_sum_ns / 1e9;
        out.sample(&format!("{name}_sum"), &[("shard", &index)], sum_s);
        out.sample(&format!("{name}_count"), &[("shard", &index)], shard.latency_count);
    }
}
