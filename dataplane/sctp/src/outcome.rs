//! What an association tells its user.

/// How far an association is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits for the peer's INIT.
    Closed,
    /// INIT is sent.
    CookieWait,
    /// The peer's cookie is sent back.
    CookieEchoed,
    /// Messages go both ways.
    Established,
    /// The peer sends nothing more; what waits here still goes to it.
    ShutdownReceived,
    /// All went to it.
    ShutdownAckSent,
    /// Nothing will come of it any more.
    Ended,
}

/// Why an association ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// [`crate::Association::close`].
    Closed,
    /// The peer's ABORT.
    Aborted,
    /// The peer's SHUTDOWN, in order.
    Shutdown,
    /// The peer did not answer while connecting.
    Unanswered,
    /// The peer acknowledges nothing any more.
    Dead,
    /// The peer broke a rule of the protocol.
    Violation,
    /// The peer sent more than there is room for, or a message that is too long.
    TooMuch,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages can be sent.
    Connected,
    /// The peer began anew: what was not acknowledged is lost, streams begin at their start.
    Restarted,
    /// The peer reset these streams of its: they begin at their start. Without any, it reset all.
    StreamsReset(Vec<u16>),
    /// It is over.
    Ended(EndReason),
}

/// A message of the peer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its stream.
    pub stream: u16,
    /// Its payload protocol identifier.
    pub ppid: u32,
    /// It did not wait for those before it.
    pub unordered: bool,
    /// It.
    pub payload: Vec<u8>,
}

/// Why a message is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The association ends or has ended.
    #[error("the association ends or has ended")]
    Ended,
    /// Too much waits already.
    #[error("too much waits to be sent")]
    Full,
    /// Empty, or too long.
    #[error("a message of this length cannot be sent")]
    Length,
    /// The stream id is above the peer's or our limit.
    #[error("the association has no such stream")]
    Stream,
}
