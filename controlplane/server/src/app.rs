//! What all handlers share, and the router put together from its parts.

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state, map_response};

use crate::auth::{self, Keys};
use crate::config::{Limits, MetricsAccess};
use crate::driver::Driver;
use crate::error::ApiError;
use crate::link::Plane;
use crate::page::Page;
use crate::requests::{self, Requests};
use crate::rtc::task::Rtc;
use crate::{cors, dev_token, forwards, health, metrics, openapi, rtc, whep, whip};

/// What all handlers share.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// The content of [`App`].
pub struct Shared {
    /// Who may ask.
    pub keys: Keys,
    /// Who carries it out.
    pub driver: Driver,
    /// What the data plane publishes.
    pub plane: Plane,
    /// Requests counted for the metrics.
    pub requests: Requests,
    /// Who may read the metrics.
    pub metrics: MetricsAccess,
    /// What a client may ask for.
    pub limits: Limits,
    /// What a browser gets at `/`.
    pub page: Page,
    /// The page gets tokens here.
    pub development: bool,
}

impl App {
    /// Shares `shared`.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Everything that the control plane serves.
pub fn router(app: App, rtc: Rtc) -> Router {
    let open =
        Router::new().merge(health::routes()).merge(openapi::routes()).merge(metrics::routes());
    let development = match app.development {
        true => dev_token::routes(rtc.clone()),
        false => Router::new(),
    };
    let ingress = Router::new()
        .merge(forwards::routes())
        .route_layer(from_fn_with_state(app.clone(), auth::require_ingress_admin));
    Router::new()
        .merge(open)
        .merge(ingress)
        .merge(development)
        .fallback(ApiError::no_route)
        .method_not_allowed_fallback(ApiError::no_method)
        .layer(from_fn_with_state(app.clone(), requests::count))
        .layer(map_response(requests::harden))
        .with_state(app)
        .merge(rtc::routes(rtc.clone()))
        .merge(whip::routes(rtc.clone()))
        .merge(whep::routes(rtc))
        .layer(from_fn(cors::open_to_pages))
}
