//! What lies below the frames of a WebSocket, and the messages that were compressed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use ringway_signal::deflate::{Frames, InflateError, Packed, inflate};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// A connection.
pub(super) struct Stream {
    connection: TokioIo<Upgraded>,
    deflate: Option<Deflate>,
}

/// What is known of a connection whose messages may be compressed.
struct Deflate {
    frames: Frames,
    /// The longest message.
    message_bytes: usize,
}

/// Why a message cannot be taken, although its frames could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error(transparent)]
    Inflate(#[from] InflateError),
    #[error("a text is not UTF-8 when it is inflated")]
    NoText,
}

impl Stream {
    /// One whose messages may be compressed, and then be no longer than this when they are
    /// inflated.
    pub(super) fn compressed(connection: TokioIo<Upgraded>, message_bytes: usize) -> Self {
        let deflate = Some(Deflate { frames: Frames::default(), message_bytes });
        Self { connection, deflate }
    }

    /// One whose messages may not.
    pub(super) fn plain(connection: TokioIo<Upgraded>) -> Self {
        Self { connection, deflate: None }
    }

    /// Whether the client takes compressed messages.
    pub(super) fn takes_deflated(&self) -> bool {
        self.deflate.is_some()
    }

    /// What the client said in a message; to be called with each that the library gives, in their
    /// order.
    pub(super) fn inflate(&mut self, message: Message) -> Result<Message, Unfit> {
        let Some(deflate) = &mut self.deflate else { return Ok(message) };
        if !matches!(message, Message::Text(_) | Message::Binary(_)) {
            return Ok(message);
        }
        let packed = deflate.frames.next_message();
        if packed == Packed::No {
            return Ok(message);
        }
        let plain = inflate(&message.into_data(), deflate.message_bytes)?;
        match packed {
            Packed::Text => {
                let text = Utf8Bytes::try_from(plain).map_err(|_| Unfit::NoText)?;
                Ok(Message::Text(text))
            }
            _ => Ok(Message::Binary(plain.into())),
        }
    }

    /// The connection alone, where frames are no longer told apart.
    pub(super) fn into_connection(self) -> TokioIo<Upgraded> {
        self.connection
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buffer.filled().len();
        let read = Pin::new(&mut self.connection).poll_read(context, buffer);
        if let (Poll::Ready(Ok(())), Some(deflate)) = (&read, &mut self.deflate) {
            deflate.frames.handle_bytes(&mut buffer.filled_mut()[start..]);
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}
