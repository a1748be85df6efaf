//! From a request to a WebSocket whose stream is within reach.
//!
//! axum's extractor hides what is below the frames. A connection whose frames can no longer be read
//! could then not be read at all, and would be reset before its client knows why (see
//! [`super::socket`]).

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{HeaderValue, SEC_WEBSOCKET_EXTENSIONS};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use ringway_signal::deflate;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::stream::Stream;

/// Read at a time from a socket. Most messages are shorter; the library's 128 KiB would be most of
/// what a participant costs.
const READ_BUFFER_BYTES: usize = 8 * 1024;

/// The server's end.
pub(super) type WebSocket = WebSocketStream<Stream>;

/// A request for a WebSocket.
pub(super) struct Upgrade {
    answer: Response,
    upgraded: OnUpgrade,
    /// Messages may be compressed.
    deflate: bool,
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
        let (Ok(mut answer), Some(upgraded)) = (answer, upgraded) else {
            return Err(StatusCode::NOT_FOUND);
        };
        let offers = parts.headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
        let agreed = deflate::answer(offers.filter_map(|offer| offer.to_str().ok()));
        if let Some(agreed) = agreed {
            let agreed = HeaderValue::from_static(agreed);
            answer.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, agreed);
        }
        Ok(Self { answer, upgraded, deflate: agreed.is_some() })
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
        let (upgraded, deflate) = (self.upgraded, self.deflate);
        let opened = async move {
            let connection = TokioIo::new(upgraded.await.ok()?);
            let stream = match deflate {
                true => Stream::compressed(connection, message_bytes),
                false => Stream::plain(connection),
            };
            Some(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await)
        };
        (self.answer, opened)
    }
}
