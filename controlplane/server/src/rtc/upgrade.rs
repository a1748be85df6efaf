//! From a request to a WebSocket whose stream is within reach.
//!
//! axum's extractor hides what is below the frames. A connection whose frames can no longer be read
//! could then not be read at all, and would be reset before its client knows why (see
//! [`super::socket`]).

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Read at a time from a socket. Most messages are shorter; the library's 128 KiB would be most of
/// what a participant costs.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// The server's end.
pub(super) type WebSocket = WebSocketStream<TokioIo<Upgraded>>;

/// A request for a WebSocket.
pub(super) struct Upgrade {
    answer: Response,
    upgraded: OnUpgrade,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        *request.version_mut() = parts.version;
        request.headers_mut().clone_from(&parts.headers);
        let answer = create_response_with_body(&request, Body::empty);
        let upgraded = parts.extensions.remove::<OnUpgrade>();
        match (answer, upgraded) {
            (Ok(answer), Some(upgraded)) => Ok(Self { answer, upgraded }),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

impl Upgrade {
    /// The answer, and the connection once that has gone out: `None` if the client is gone by then.
    pub(super) fn accept(
        self,
        message_bytes: usize,
    ) -> (Response, impl Future<Output = Option<WebSocket>> + Send) {
        let config = WebSocketConfig::default()
            .max_message_size(Some(message_bytes))
            .max_frame_size(Some(message_bytes))
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0);
        let upgraded = self.upgraded;
        let opened = async move {
            let stream = TokioIo::new(upgraded.await.ok()?);
            Some(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
        };
        (self.answer, opened)
    }
}
