//! `GET /`: whether the appliance works, for load balancers and people.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::app::App;

/// The paths of this API.
pub fn routes() -> Router<App> {
    Router::new().route("/", get(health))
}

async fn health(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.plane.is_joined() {
        (StatusCode::OK, "OK\n")
    } else {
        let message = "The data plane is away: start ringway-dataplane.\n";
        (StatusCode::SERVICE_UNAVAILABLE, message)
    }
}
