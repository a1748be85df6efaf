//! `GET /`: whether the appliance works, for load balancers; for people, a page.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::page;

/// The paths of this API.
pub fn routes() -> Router<App> {
    Router::new().route("/", get(health))
}

/// The status is the same for programs and for people, and LiveKit's: 406 tells those who ask that
/// nothing can be done here, be the data plane gone or only silent.
async fn health(State(app): State<App>, headers: HeaderMap) -> Response {
    let (status, text) = if app.plane.is_settled() {
        (StatusCode::OK, "OK\n")
    } else if app.plane.is_joined() {
        // Who is told OK joins at once, and must not be refused then.
        (StatusCode::NOT_ACCEPTABLE, "The data plane opens its ports.\n")
    } else {
        (StatusCode::NOT_ACCEPTABLE, "The data plane is away: start ringway-dataplane.\n")
    };
    if page::is_wanted(&headers) {
        return app.page.respond(status);
    }
    (status, [(header::VARY, "Accept")], text).into_response()
}
