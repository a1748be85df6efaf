//! A participant as the load sees it: up to two connections, and what runs over them.

use super::connection::{Connection, Opened};
use super::publisher::Publisher;
use super::subscriber::{Arrival, Subscriber};
use super::tally::Tally;
use super::track::Side;

/// A participant.
pub struct Member {
    /// The server let it in.
    pub joined: bool,
    /// Came with a storm: what it receives is not measured.
    pub late: bool,
    /// Streams that it should receive.
    pub expected_streams: usize,
    /// What it sends.
    pub publisher: Option<Publisher>,
    /// What it sends on.
    pub sending: Option<Connection>,
    /// What it receives.
    pub subscriber: Subscriber,
    /// What it receives on.
    pub receiving: Option<Connection>,
    /// Why it does not take part.
    pub failure: Option<String>,
}

impl Member {
    /// The connection of a side.
    pub fn connection(&mut self, side: Side) -> Option<&mut Connection> {
        match side {
            Side::Publisher => self.sending.as_mut(),
            Side::Subscriber => self.receiving.as_mut(),
        }
    }

    /// Takes a datagram that came on the connection of `side`.
    pub fn handle_datagram(
        &mut self,
        side: Side,
        at: Arrival,
        datagram: &mut [u8],
        tally: &mut Tally,
    ) {
        let Some(connection) = self.connection(side) else { return };
        let opened = connection.handle_datagram(at.now_ns, datagram);
        match (opened, side) {
            (Opened::Rtp { len, header_len, ssrc }, Side::Subscriber) => {
                self.subscriber.handle_rtp(at, &datagram[..len], header_len, ssrc, tally);
            }
            (Opened::Rtp { .. }, Side::Publisher) => tally.foreign += 1,
            (Opened::Rtcp(len), Side::Subscriber) => {
                self.subscriber.handle_rtcp(at.now_ns, &datagram[..len]);
            }
            (Opened::Rtcp(len), Side::Publisher) => {
                if let (Some(publisher), Some(connection)) =
                    (&mut self.publisher, &mut self.sending)
                {
                    publisher.handle_rtcp(&datagram[..len], connection);
                }
            }
            (Opened::Control, _) => {
                let next = |member: &mut Self| member.connection(side)?.poll_message();
                while let Some(message) = next(self) {
                    self.subscriber.handle_message(at, &message, tally);
                }
            }
            (Opened::Dropped(reason), _) => *tally.dropped.entry(reason).or_default() += 1,
        }
    }

    /// Lets time pass: every 20 ms or so.
    pub fn handle_timeout(&mut self, now_ns: u64, tally: &mut Tally) {
        for connection in [&mut self.sending, &mut self.receiving].into_iter().flatten() {
            connection.handle_timeout(now_ns);
            if self.failure.is_none() {
                self.failure = connection.failure().map(str::to_owned);
            }
        }
        if let (Some(publisher), Some(connection)) = (&mut self.publisher, &mut self.sending)
            && connection.is_connected()
        {
            publisher.poll_reports(now_ns, connection);
        }
        if let Some(connection) = &mut self.receiving
            && connection.is_connected()
        {
            self.subscriber.poll_feedback(now_ns, connection, tally);
        }
    }

    /// Sends what is due; the number of frames.
    pub fn send_due(&mut self, now_ns: u64) -> usize {
        match (&mut self.publisher, &mut self.sending) {
            (Some(publisher), Some(connection)) if connection.is_connected() => {
                publisher.send_due(now_ns, connection)
            }
            _ => 0,
        }
    }

    /// Whether everything that it should receive comes in the best quality.
    pub fn is_settled(&self) -> bool {
        self.subscriber.settled() >= self.expected_streams
    }

    /// How far it has come, for people.
    pub fn progress(&self) -> String {
        let connected = |side: &Option<Connection>| side.as_ref().map(Connection::is_connected);
        let told = match (self.joined, connected(&self.sending), connected(&self.receiving)) {
            (false, ..) => "was not let in",
            (true, None, _) if self.publisher.is_some() => "got no answer to its offer",
            (true, Some(false), _) => "does not connect to send",
            (true, _, None) if self.expected_streams > 0 => "got no offer of what it shall receive",
            (true, _, Some(false)) => "does not connect to receive",
            _ if self.is_settled() => "takes part",
            _ => return self.subscriber.progress(self.expected_streams),
        };
        told.to_owned()
    }
}
