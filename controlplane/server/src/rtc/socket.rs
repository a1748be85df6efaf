//! One client's WebSocket: frames in, messages out, pings between them.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use ringway_signal::deflate::InflateError;
use ringway_signal::pong;
use ringway_signal::proto::signal_request::Message as Said;
use ringway_signal::wire::{Format, Outgoing, decode_binary, decode_text};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::pace::Pace;
use super::stream::Unfit;
use super::task::Ticket;
use super::upgrade::WebSocket;
use crate::timestamp::now_unix_ms;

/// How often a ping proves that the connection lives; LiveKit's value.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a client may leave one message unread. Its queue fills meanwhile.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to answer a Close. Longer: who never answers costs a socket; shorter:
/// a client that is busy may not hear our last words.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are thrown away after our Close. More: who floods occupies us for longer; fewer: a
/// client that sends something long does not hear why it was too long.
const UNHEARD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Thrown away at a time. Held only while a client says what nobody can take.
const UNHEARD_BUFFER_BYTES: usize = 64 * 1024;

/// Why a connection ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client is gone.
    Gone,
    /// The client closed.
    Client,
    /// The client could not be told something.
    Untold,
    /// We have said all that there is to say.
    Server,
    /// The client sent what is no message.
    Nonsense,
    /// The client does not read.
    Unread,
    /// The client's message is longer than any may be.
    TooLong,
    /// The client's text is none.
    NoText,
    /// The client's message was compressed, and this is what it turned out to be.
    Unfit(Unfit),
    /// The client does not speak WebSocket.
    NoFrame,
}

impl End {
    /// What the client is told; `None` where it is not we who end.
    fn told(self) -> Option<(CloseCode, &'static str)> {
        match self {
            Self::Gone | Self::Client | Self::Untold => None,
            Self::Server => Some((CloseCode::Normal, "")),
            Self::Nonsense => Some((CloseCode::Unsupported, "not a SignalRequest")),
            Self::Unread => Some((CloseCode::Policy, "messages are not read")),
            Self::TooLong => Some((CloseCode::Size, "the message is too long")),
            Self::NoText | Self::Unfit(Unfit::NoText) => {
                Some((CloseCode::Invalid, "a text must be UTF-8"))
            }
            Self::Unfit(Unfit::Inflate(InflateError::TooLong)) => {
                Some((CloseCode::Size, "the message is too long"))
            }
            Self::Unfit(Unfit::Inflate(InflateError::Corrupt)) => {
                Some((CloseCode::Invalid, "a compressed message must be DEFLATE"))
            }
            Self::NoFrame => Some((CloseCode::Protocol, "not a frame")),
        }
    }

    /// Whether frames can be told apart in what comes next.
    fn in_frames(self) -> bool {
        !matches!(self, Self::TooLong | Self::NoText | Self::NoFrame)
    }
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        tracing::debug!(%error, "a signalling connection broke");
        match error {
            // Found out before the message was read.
            Error::Capacity(_) => Self::TooLong,
            Error::Utf8(_) => Self::NoText,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Self::Gone,
            Error::Protocol(_) => Self::NoFrame,
            _ => Self::Gone,
        }
    }
}

pub(super) async fn run(mut socket: WebSocket, first: Outgoing, mut ticket: Ticket) {
    let sent = send(&mut socket, &first, Format::Binary).await;
    // In a large room tens of KiB, of no use for as long as the connection lasts.
    drop(first);
    let end = match sent {
        Ok(()) => serve(&mut socket, &mut ticket).await,
        Err(end) => end,
    };
    tracing::debug!(connection = ticket.connection().0, ?end, "a signalling connection ends");
    // There may be a farewell that we have not read.
    let unheard = matches!(end, End::Server | End::Untold);
    if !unheard {
        ticket.close().await;
    }
    if let Some((code, reason)) = end.told() {
        let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
        // An error only means that the client has gone.
        let _ = timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
    }
    let _ = timeout(CLOSE_TIMEOUT, hear_out(socket, &ticket, end.in_frames())).await;
    if unheard {
        ticket.close().await;
    }
}

/// Answers the client's Close, or waits for its answer or its end. What it says until then is
/// thrown away, but for a farewell: without it the participant would wait for the client to come
/// back.
///
/// RFC 6455 5.5.1: "After both sending and receiving a Close message, an endpoint considers the
/// WebSocket connection closed and MUST close the underlying TCP connection." Where TCP ends
/// sooner, Firefox may tell a page of the end alone: not that it was connected, nor what it was
/// told. Where it ends with bytes unread it is a reset, and what we said last may be lost to any
/// client.
async fn hear_out(mut socket: WebSocket, ticket: &Ticket, in_frames: bool) {
    let mut left = UNHEARD_BYTES_MAX;
    let mut bidden = false;
    while in_frames && left > 0 {
        let heard = match socket.next().await {
            Some(Ok(heard)) => heard,
            Some(Err(_)) => break,
            // The library has sent its answer to a Close, or there is nobody.
            None => return,
        };
        // What cannot be inflated might take long.
        let Ok(heard) = socket.get_mut().inflate(heard) else { break };
        left = left.saturating_sub(heard.len());
        let request = match heard {
            Message::Binary(bytes) => decode_binary(&bytes),
            Message::Text(text) => decode_text(&text),
            _ => continue,
        };
        // Once: more of them would only be a flood.
        if !bidden
            && let Ok(request) = request
            && let Some(farewell @ Said::Leave(_)) = request.message
        {
            bidden = true;
            if !ticket.say(Some(farewell)).await {
                return;
            }
        }
    }
    // What the library holds of a message goes.
    discard(socket.into_inner().into_connection(), left).await;
}

/// Reads what is no longer looked at.
async fn discard(mut stream: impl AsyncRead + Unpin, mut left: usize) {
    let mut unheard = vec![0; UNHEARD_BUFFER_BYTES];
    while left > 0 {
        match stream.read(&mut unheard).await {
            Ok(0) | Err(_) => return,
            Ok(count) => left = left.saturating_sub(count),
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
                    return End::Gone;
                }
            }
            heard = socket.next() => {
                let heard = match heard {
                    Some(Ok(heard)) => heard,
                    Some(Err(error)) => return error.into(),
                    None => return End::Gone,
                };
                let came_as = heard.len();
                let heard = match socket.get_mut().inflate(heard) {
                    Ok(heard) => heard,
                    Err(unfit) => return End::Unfit(unfit),
                };
                let growth = heard.len().saturating_sub(came_as);
                let request = match heard {
                    Message::Binary(bytes) => {
                        format = Format::Binary;
                        decode_binary(&bytes)
                    }
                    Message::Text(text) => {
                        format = Format::Json;
                        decode_text(&text)
                    }
                    Message::Close(_) => return End::Client,
                    _ => continue,
                };
                let Ok(request) = request else { return End::Nonsense };
                // Nobody else need wake for a ping.
                if let Some(pong) = request.message.as_ref().and_then(pong) {
                    if let Err(end) = send(socket, &pong, format).await {
                        return end;
                    }
                } else if !ticket.say(request.message).await {
                    return End::Server;
                }
                let wait = pace.take(Instant::now(), growth);
                if !wait.is_zero() {
                    sleep(wait).await;
                }
            }
        }
    }
}

fn pong(asked: &Said) -> Option<Outgoing> {
    pong::answer(asked, now_unix_ms()).map(Outgoing::new)
}

async fn send(socket: &mut WebSocket, outgoing: &Outgoing, format: Format) -> Result<(), End> {
    let agreed = socket.get_ref().takes_deflated();
    let message = match agreed.then(|| outgoing.deflated(format)).flatten() {
        Some(deflated) => {
            let kind = match format {
                Format::Binary => Data::Binary,
                Format::Json => Data::Text,
            };
            // RFC 7692 6: the bit that says so.
            let opcode = OpCode::Data(kind);
            let header = FrameHeader { rsv1: true, opcode, ..FrameHeader::default() };
            Message::Frame(Frame::from_payload(header, deflated))
        }
        None => match (format, outgoing.encoded(format)) {
            (Format::Binary, bytes) => Message::Binary(bytes),
            (Format::Json, bytes) => Message::Text(Utf8Bytes::try_from(bytes).unwrap_or_default()),
        },
    };
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Untold),
        Err(_) => Err(End::Unread),
    }
}
