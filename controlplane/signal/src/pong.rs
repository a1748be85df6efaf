//! Answers to pings, which need nothing but a clock. Whoever holds the socket may give them: two
//! pings of everybody every five seconds are most of what a quiet room says.

use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Asked;
use livekit_protocol::signal_response::Message;

/// The answer, if `asked` is a ping; `unix_ms` is now.
pub fn answer(asked: &Asked, unix_ms: u64) -> Option<Message> {
    let unix_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    match asked {
        // Milliseconds, though the field is wide: JavaScript's numbers are not.
        Asked::Ping(_) => Some(Message::Pong(unix_ms)),
        Asked::PingReq(ping) => Some(Message::PongResp(proto::Pong {
            last_ping_timestamp: ping.timestamp,
            timestamp: unix_ms,
        })),
        _ => None,
    }
}
