//! What every dialect has in common: frames of a WebSocket in, frames and news out. Sans-IO.

use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::call::track::News;

/// One participant's conversation with the server, in the server's dialect.
pub(super) trait Conversation: Send {
    /// The request that opens its WebSocket.
    fn opening(&self) -> Result<Request, Error>;

    /// How often it says that it is still there.
    fn alive_every(&self) -> Duration;

    /// Takes a frame of the server's.
    fn handle_frame(&mut self, frame: Message);

    /// It is time to say that it is still there.
    fn handle_alive(&mut self);

    /// The participant leaves.
    fn handle_leave(&mut self);

    /// What is to be sent to the server.
    fn poll_frames(&mut self) -> Vec<Message>;

    /// What the load should know.
    fn poll_news(&mut self) -> Vec<News>;

    /// Whether there is nothing more to say.
    fn is_over(&self) -> bool;
}
