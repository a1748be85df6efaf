//! Errors towards HTTP clients: a status and `{"error":{"code","message","field"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ringway_room::{Invalid, Rejection, RejectionKind};
use serde::Serialize;

/// Why a request is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable word for programs.
    pub code: &'static str,
    /// A sentence that says what to do.
    pub message: String,
    /// JSON path of the field to blame.
    pub field: Option<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl ApiError {
    /// An error without a field.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None }
    }

    /// A request that is wrong at `field`.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_field", message);
        error.field = Some(field.to_owned());
        error
    }

    /// Nothing is at this path.
    pub async fn no_route() -> Self {
        let message = "there is nothing here: GET /openapi.json lists what there is";
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// Something is at this path, but not for this method.
    pub async fn no_method() -> Self {
        let message = "this path does not take this method: GET /openapi.json lists what it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection.kind {
            RejectionKind::Invalid => StatusCode::BAD_REQUEST,
            RejectionKind::NotFound => StatusCode::NOT_FOUND,
            RejectionKind::Conflict => StatusCode::CONFLICT,
            RejectionKind::Away => StatusCode::SERVICE_UNAVAILABLE,
            RejectionKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            RejectionKind::Kernel => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let Rejection { code, message, field, .. } = rejection;
        Self { status, code, message, field }
    }
}

impl From<Invalid> for ApiError {
    fn from(invalid: Invalid) -> Self {
        Rejection::from(invalid).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let field = self.field.as_deref();
        let error = Inner { code: self.code, message: &self.message, field };
        let mut response = (self.status, Json(Body { error })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
