//! What is the same for every request: it is counted, and its answer is for this client only.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

/// Requests by route, method and status. Bounded: routes are ours, not the client's.
#[derive(Default)]
pub struct Requests(Mutex<BTreeMap<(String, &'static str, u16), u64>>);

impl Requests {
    fn add(&self, route: String, method: &'static str, status: u16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((route, method, status)).or_default() += 1;
    }

    /// Route, method, status and how often.
    pub fn counts(&self) -> Vec<(String, &'static str, u16, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = counts.iter();
        rows.map(|((route, method, status), n)| (route.clone(), *method, *status, *n)).collect()
    }
}

/// Counts a request once it is answered.
pub async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or("other", MatchedPath::as_str).to_owned();
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16();
    tracing::debug!(route, method, status, "request");
    app.requests.add(route, method, status);
    response
}

/// No cache may keep an answer, and no browser may guess its type.
pub async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
