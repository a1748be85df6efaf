//! One client's WebSocket: frames in, messages out, pings between them.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use ringway_signal::proto::signal_request::Message as Said;
use ringway_signal::wire::{Format, Outgoing, decode_binary, decode_text};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite;

use super::pace::Pace;
use super::task::Ticket;

/// How often a ping proves that the connection lives; LiveKit's value.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a client may leave one message unread. Its queue fills meanwhile.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to answer a Close. Longer: who never answers costs a socket; shorter:
/// a client that is busy may not hear our last words.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a connection ends.
enum End {
    /// The client closed, or is gone.
    Client,
    /// The client could not be told something.
    Untold,
    /// We have said all that there is to say.
    Server,
    /// The client sent what is no message.
    Nonsense(&'static str),
    /// The client does not read.
    Unread,
    /// The client's message is longer than any may be.
    TooLong,
}

pub(super) async fn run(mut socket: WebSocket, first: Outgoing, mut ticket: Ticket) {
    let sent = send(&mut socket, &first, Format::Binary).await;
    // In a large room tens of KiB, of no use for as long as the connection lasts.
    drop(first);
    let end = match sent {
        Ok(()) => serve(&mut socket, &mut ticket).await,
        Err(end) => end,
    };
    // There may be a farewell that we have not read.
    let unheard = matches!(end, End::Server | End::Untold);
    let reason = match end {
        End::Client | End::Untold => None,
        End::Server => Some((close_code::NORMAL, "")),
        End::Nonsense(what) => Some((close_code::UNSUPPORTED, what)),
        End::Unread => Some((close_code::POLICY, "messages are not read")),
        End::TooLong => Some((close_code::SIZE, "the message is too long")),
    };
    tracing::debug!(connection = ticket.connection().0, ?reason, "a signalling connection ends");
    if !unheard {
        ticket.close().await;
    }
    if let Some((code, reason)) = reason {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // An error only means that the client has gone.
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
    }
    let _ = timeout(CLOSE_TIMEOUT, answered(&mut socket, &ticket)).await;
    if unheard {
        ticket.close().await;
    }
}

/// Waits for the client's Close, or for its end. Of what it says until then only a farewell counts:
/// without it the participant would wait for the client to come back.
///
/// RFC 6455 5.5.1: "After both sending and receiving a Close message, an endpoint considers the
/// WebSocket connection closed and MUST close the underlying TCP connection." Where TCP ends
/// sooner, Firefox may tell a page of the end alone: not that it was connected, nor what it was
/// told.
async fn answered(socket: &mut WebSocket, ticket: &Ticket) {
    while let Some(Ok(heard)) = socket.recv().await {
        let request = match heard {
            Message::Binary(bytes) => decode_binary(&bytes),
            Message::Text(text) => decode_text(&text),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
        };
        if let Ok(request) = request
            && let Some(farewell @ Said::Leave(_)) = request.message
            && !ticket.say(Some(farewell)).await
        {
            return;
        }
    }
}

async fn serve(socket: &mut WebSocket, ticket: &mut Ticket) -> End {
    let mut format = Format::Binary;
    let mut pace = Pace::new(Instant::now());
    let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // What we have to say goes first: a client that floods still hears.
            biased;
            said = ticket.next() => {
                let Some(outgoing) = said else { return End::Server };
                if let Err(end) = send(socket, &outgoing, format).await {
                    return end;
                }
            }
            _ = ping.tick() => {
                let pinged = socket.send(Message::Ping(Default::default()));
                if !matches!(timeout(SEND_TIMEOUT, pinged).await, Ok(Ok(()))) {
                    return End::Client;
                }
            }
            heard = socket.recv() => {
                let request = match heard {
                    Some(Ok(Message::Binary(bytes))) => {
                        format = Format::Binary;
                        decode_binary(&bytes)
                    }
                    Some(Ok(Message::Text(text))) => {
                        format = Format::Json;
                        decode_text(&text)
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_))) | None => return End::Client,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "a signalling connection broke");
                        return if is_too_long(error) { End::TooLong } else { End::Client };
                    }
                };
                let Ok(request) = request else { return End::Nonsense("not a SignalRequest") };
                if !ticket.say(request.message).await {
                    return End::Server;
                }
                let wait = pace.take(Instant::now());
                if !wait.is_zero() {
                    sleep(wait).await;
                }
            }
        }
    }
}

/// The library finds that out before it has read the message; it says so in its own error alone.
fn is_too_long(error: axum::Error) -> bool {
    let error = error.into_inner();
    matches!(error.downcast_ref::<tungstenite::Error>(), Some(tungstenite::Error::Capacity(_)))
}

async fn send(socket: &mut WebSocket, outgoing: &Outgoing, format: Format) -> Result<(), End> {
    let bytes = outgoing.encoded(format);
    let message = match format {
        Format::Binary => Message::Binary(bytes),
        Format::Json => Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default()),
    };
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Untold),
        Err(_) => Err(End::Unread),
    }
}
