//! SCTP and data channels (RFC 8831, RFC 8832) of one peer connection, sans-IO: what DTLS opened
//! comes in, what DTLS shall seal comes out. The only file that knows which SCTP this is.
//!
//! An association lives and dies on its shard; it is not `Send`. Its bounds: what waits to be sent
//! is refused beyond [`PLAIN_BYTES`], or [`MOST_BYTES`] where the caller has memory to spare and
//! the peer goes on acknowledging; fragments that make no message end the association, stream ids
//! above [`STREAM_ID_MAX`] are not let in. Messages that the caller does not take close the window.

use std::collections::VecDeque;
use std::time::Duration;

use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketState, SocketTime,
    StreamId,
};

/// The highest stream id. Browsers count from 0; LiveKit's negotiated channels begin at 100.
pub const STREAM_ID_MAX: u16 = 1_023;
/// The longest message that SCTP takes, bytes.
pub const MESSAGE_BYTES: usize = 262_144;
/// What may wait for one peer on one channel, bytes. Raised: slow peers cost memory; lowered: they
/// lose messages.
pub const PLAIN_BYTES: usize = 512_000;
/// The same for reliable messages while memory is to spare. Raised: files arrive over slower lines;
/// lowered: they break where the sender's line is faster than the receiver's.
pub const MOST_BYTES: usize = 16_000_000;
/// Reliable messages that may wait: SCTP's lists cost more than in proportion.
const WAITING: usize = 8_192;
/// A peer that has acknowledged nothing for so long gets no more than [`PLAIN_BYTES`].
const PROGRESS_NS: u64 = 5_000_000_000;
/// Window for what comes in: the longest message must fit into 90 % of it.
const WINDOW_BYTES: usize = 400_000;
/// DATA chunks that may be there without having become a message. A full message of usual chunks
/// has 230.
const CHUNKS: u32 = 4_096;
/// How many of them are forgotten per second: lost messages of lossy channels never become any.
const CHUNKS_FORGOTTEN: u32 = 64;
/// How long a message of a lossy channel may wait: without it queued ones arrive seconds late.
const LOSSY_LIFETIME: Duration = Duration::from_millis(300);
/// The same for packets of data tracks: LiveKit's `datachannel_data_track_target_latency`.
const TRACK_LIFETIME: Duration = Duration::from_millis(100);
/// Channels of one association. Raised: a peer makes us remember more; lowered: the test clients of
/// other servers, which open some of their own, are refused.
const CHANNELS: usize = 32;

/// RFC 8831 8: payload protocol identifiers.
mod ppid {
    pub(super) const DCEP: u32 = 50;
    pub(super) const BINARY: u32 = 53;
    pub(super) const TEXT_EMPTY: u32 = 56;
    pub(super) const BINARY_EMPTY: u32 = 57;
}

const DCEP_ACK: u8 = 2;
const DCEP_OPEN: u8 = 3;

/// The channels of LiveKit's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// `_reliable`: ordered, nothing is lost.
    Reliable,
    /// `_lossy`: unordered, nothing is repeated.
    Lossy,
    /// `_data_track`: the same, for data tracks.
    DataTrack,
    /// A channel of any other name, that an application opened for itself.
    Own,
}

impl Label {
    const PROTOCOL: [Self; 3] = [Self::Reliable, Self::Lossy, Self::DataTrack];

    fn name(self) -> &'static str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
            Self::DataTrack => "_data_track",
            Self::Own => "own",
        }
    }

    fn of(name: &[u8]) -> Self {
        let known = Self::PROTOCOL.into_iter().find(|label| label.name().as_bytes() == name);
        known.unwrap_or(Self::Own)
    }

    fn is_lossy(self) -> bool {
        matches!(self, Self::Lossy | Self::DataTrack)
    }
}

/// How the channels come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The peer opens them.
    Peer,
    /// We do, with odd ids: we are the DTLS server (RFC 8832 6).
    Ours,
    /// Both sides know the ids 100, 101 and 102.
    Negotiated,
}

/// A message of the peer's.
#[derive(Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its channel.
    pub label: Label,
    /// It.
    pub payload: Vec<u8>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// The channel is not open.
    #[error("the channel is not open")]
    Closed,
    /// Too much waits already.
    #[error("too much waits for the peer")]
    Full,
    /// Longer than [`MESSAGE_BYTES`], or empty.
    #[error("a message of this length cannot be sent")]
    Length,
}

struct Channel {
    id: u16,
    label: Label,
    open: bool,
    /// We have reset our direction of it.
    closed: bool,
}

/// One association.
pub struct Association {
    socket: Box<dyn DcSctpSocket>,
    start_ns: u64,
    opening: Opening,
    channels: Vec<Channel>,
    chunks: u32,
    chunk_bytes: u64,
    forgotten_ns: u64,
    opened: bool,
    ended: bool,
    /// Messages are not taken: what would be too much is thrown away, for SCTP to repeat.
    held: bool,
    /// Lengths of reliable messages that are not wholly sent, the oldest first, and their sum.
    waiting: VecDeque<usize>,
    waiting_bytes: usize,
    /// When that became less.
    progress_ns: u64,
    /// Packets that were thrown away before they could do harm.
    refused: u64,
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association")
            .field("opening", &self.opening)
            .field("channels", &self.channels.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Association {
    /// To be made when DTLS is up.
    pub fn new(now_ns: u64, opening: Opening) -> Self {
        let options = Options {
            max_message_size: MESSAGE_BYTES,
            max_receiver_window_buffer_size: WINDOW_BYTES,
            max_send_buffer_size: MOST_BYTES + 3 * PLAIN_BYTES,
            per_stream_send_queue_limit: MOST_BYTES,
            announced_maximum_incoming_streams: STREAM_ID_MAX + 1,
            announced_maximum_outgoing_streams: STREAM_ID_MAX + 1,
            rto_min: Duration::from_millis(100),
            min_rtt_variance: Duration::from_millis(50),
            ..Options::default()
        };
        let mut association = Self {
            socket: dcsctp::new_socket("", &options),
            start_ns: now_ns,
            opening,
            channels: Vec::new(),
            chunks: 0,
            chunk_bytes: 0,
            forgotten_ns: now_ns,
            opened: false,
            ended: false,
            held: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            progress_ns: now_ns,
            refused: 0,
        };
        if opening != Opening::Peer {
            association.socket.advance_time(SocketTime::zero());
            association.socket.connect();
        }
        association
    }

    /// Takes an SCTP packet.
    pub fn handle_packet(&mut self, now_ns: u64, packet: &[u8]) {
        if self.ended {
            return;
        }
        self.advance(now_ns);
        if !self.admit(now_ns, packet) {
            self.refused += 1;
            return;
        }
        self.socket.handle_input(packet);
        self.note_state();
    }

    /// Whether messages will be taken out. While they are not, the peer's window closes: it waits,
    /// and what it has sent already stays within the window's bounds.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// The next message. To be called until there is none, after every packet, unless held.
    pub fn poll_message(&mut self) -> Option<Incoming> {
        while let Some(message) = self.socket.get_next_message() {
            self.note_delivered(message.payload.len());
            let id = message.stream_id.0;
            match message.ppid.0 {
                ppid::DCEP => self.handle_dcep(id, &message.payload),
                other => {
                    let known = self.channels.iter().find(|channel| channel.id == id);
                    let Some(label) = known.map(|channel| channel.label) else { continue };
                    let empty = matches!(other, ppid::TEXT_EMPTY | ppid::BINARY_EMPTY);
                    let payload = if empty { Vec::new() } else { message.payload };
                    return Some(Incoming { label, payload });
                }
            }
        }
        None
    }

    /// The next packet for DTLS to seal.
    pub fn poll_packet(&mut self) -> Option<Vec<u8>> {
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => return Some(packet),
                SocketEvent::OnAborted(..) | SocketEvent::OnClosed() => self.ended = true,
                SocketEvent::OnConnected() | SocketEvent::OnConnectionRestarted() => {
                    self.note_state();
                }
                SocketEvent::OnIncomingStreamReset(streams) => {
                    streams.into_iter().for_each(|stream| self.close_channel(stream));
                }
                _ => {}
            }
        }
        None
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<u64> {
        let at = self.socket.poll_timeout();
        if self.ended || at == SocketTime::infinite_future() {
            return None;
        }
        let since_ns = (at - SocketTime::zero()).as_nanos();
        Some(self.start_ns.saturating_add(u64::try_from(since_ns).unwrap_or(u64::MAX)))
    }

    /// Lets time pass; packets may be there afterwards.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        if !self.ended {
            self.advance(now_ns);
        }
    }

    /// Sends a message. `spare`: there is memory for more than [`PLAIN_BYTES`].
    ///
    /// # Errors
    /// It is not taken: nothing of it is sent.
    pub fn send(
        &mut self,
        now_ns: u64,
        label: Label,
        payload: &[u8],
        spare: bool,
    ) -> Result<(), SendRefused> {
        let usable = |channel: &&Channel| channel.label == label && channel.open;
        let id = self.channels.iter().find(usable).map(|channel| channel.id);
        let id = id.filter(|_| self.is_connected()).ok_or(SendRefused::Closed)?;
        self.advance(now_ns);
        let buffered = self.socket.buffered_amount(StreamId(id));
        let reliable = label == Label::Reliable;
        if reliable {
            self.note_sent(now_ns, buffered);
        }
        let moves = now_ns.saturating_sub(self.progress_ns) < PROGRESS_NS;
        let most = if reliable && spare && moves { MOST_BYTES } else { PLAIN_BYTES };
        if buffered + payload.len() > most || reliable && self.waiting.len() >= WAITING {
            return Err(SendRefused::Full);
        }
        let message = Message::new(StreamId(id), PpId(ppid::BINARY), payload.to_vec());
        let lossy = label.is_lossy();
        let options = SendOptions {
            unordered: lossy,
            lifetime: match label {
                Label::Reliable | Label::Own => None,
                Label::Lossy => Some(LOSSY_LIFETIME),
                Label::DataTrack => Some(TRACK_LIFETIME),
            },
            max_retransmissions: lossy.then_some(0),
            lifecycle_id: None,
        };
        self.socket.send(message, &options).map_err(|error| match error {
            dcsctp::api::SendError::ResourceExhaustion => SendRefused::Full,
            dcsctp::api::SendError::ShuttingDown => SendRefused::Closed,
            _ => SendRefused::Length,
        })?;
        if reliable {
            self.waiting.push_back(payload.len());
            self.waiting_bytes += payload.len();
        }
        Ok(())
    }

    /// Bytes of reliable messages that wait, as of the last message that was sent.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Forgets messages that no longer wait: `buffered` bytes still do.
    fn note_sent(&mut self, now_ns: u64, buffered: usize) {
        if self.waiting.is_empty() {
            self.progress_ns = now_ns;
        }
        while let Some(oldest) = self.waiting.front().copied()
            && self.waiting_bytes - oldest >= buffered
        {
            self.waiting.pop_front();
            self.waiting_bytes -= oldest;
            self.progress_ns = now_ns;
        }
    }

    /// Looks again at how much waits.
    pub fn refresh(&mut self, now_ns: u64) {
        let reliable = |channel: &&Channel| channel.label == Label::Reliable;
        if let Some(channel) = self.channels.iter().find(reliable) {
            let buffered = self.socket.buffered_amount(StreamId(channel.id));
            self.note_sent(now_ns, buffered);
        }
    }

    /// Whether messages can be sent on a channel.
    pub fn is_open(&self, label: Label) -> bool {
        self.is_connected()
            && self.channels.iter().any(|channel| channel.label == label && channel.open)
    }

    /// Opens a channel of the application's own, for [`Label::Own`].
    pub fn open_own(&mut self) {
        let id = (0..).map(|at| 2 * at + 1).find(|id| self.channels.iter().all(|c| c.id != *id));
        let id = id.unwrap_or(STREAM_ID_MAX);
        self.channels.push(Channel { id, label: Label::Own, open: false, closed: false });
        self.send_dcep(id, open_message(Label::Own));
    }

    /// Whether nothing will come of it any more.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Packets that were thrown away before SCTP saw them.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Ends it: an ABORT can be polled.
    pub fn close(&mut self) {
        if !self.ended {
            self.socket.close();
            self.ended = true;
        }
    }

    fn is_connected(&self) -> bool {
        !self.ended && self.socket.state() == SocketState::Connected
    }

    fn advance(&mut self, now_ns: u64) {
        let since = Duration::from_nanos(now_ns.saturating_sub(self.start_ns));
        self.socket.advance_time(SocketTime::zero() + since);
    }

    /// Looks at the chunks of a packet before SCTP does.
    fn admit(&mut self, now_ns: u64, packet: &[u8]) -> bool {
        let seconds = now_ns.saturating_sub(self.forgotten_ns) / 1_000_000_000;
        if seconds > 0 {
            self.forgotten_ns = now_ns;
            let forgotten = u32::try_from(seconds).unwrap_or(u32::MAX);
            self.chunks = self.chunks.saturating_sub(forgotten.saturating_mul(CHUNKS_FORGOTTEN));
        }
        let Some(found) = data_chunks(packet) else { return false };
        self.chunks = self.chunks.saturating_add(found.count);
        self.chunk_bytes += found.bytes;
        if self.chunks > CHUNKS {
            if self.held {
                // It may have sent all this in good faith; SCTP sends it again.
                self.chunks = self.chunks.saturating_sub(found.count);
                self.chunk_bytes = self.chunk_bytes.saturating_sub(found.bytes);
            } else {
                self.close();
            }
            return false;
        }
        true
    }

    fn note_delivered(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let mean = (self.chunk_bytes / u64::from(self.chunks.max(1))).max(1);
        let chunks = u32::try_from(bytes.div_ceil(mean)).unwrap_or(u32::MAX).max(1);
        self.chunks = self.chunks.saturating_sub(chunks);
        self.chunk_bytes = self.chunk_bytes.saturating_sub(bytes);
        if self.chunks == 0 {
            self.chunk_bytes = 0;
        }
    }

    /// Opens the channels that are ours to open, once there is an association.
    fn note_state(&mut self) {
        if self.opened || !self.is_connected() {
            return;
        }
        self.opened = true;
        for (at, label) in (0..).zip(Label::PROTOCOL) {
            let (id, open) = match self.opening {
                Opening::Peer => return,
                Opening::Ours => (2 * at + 1, false),
                Opening::Negotiated => (100 + at, true),
            };
            self.channels.push(Channel { id, label, open, closed: false });
            if !open {
                self.send_dcep(id, open_message(label));
            }
        }
    }

    fn handle_dcep(&mut self, id: u16, message: &[u8]) {
        match message.first() {
            Some(&DCEP_ACK) => {
                if let Some(channel) = self.channels.iter_mut().find(|known| known.id == id) {
                    channel.open = true;
                }
            }
            Some(&DCEP_OPEN) => {
                let Some(name) = label_of_open(message) else { return };
                if self.channels.iter().any(|known| known.id == id)
                    || self.channels.len() >= CHANNELS
                {
                    return;
                }
                let label = Label::of(name);
                // What the peer opens in words goes before what it was believed to open silently.
                self.channels.insert(0, Channel { id, label, open: true, closed: false });
                self.send_dcep(id, vec![DCEP_ACK]);
            }
            _ => {}
        }
    }

    fn send_dcep(&mut self, id: u16, message: Vec<u8>) {
        let message = Message::new(StreamId(id), PpId(ppid::DCEP), message);
        // What finds no room leaves the channel as it is: nothing goes over it.
        let _ = self.socket.send(message, &SendOptions::default());
    }

    /// RFC 8831 6.7: the peer reset its direction, so must we.
    fn close_channel(&mut self, stream: StreamId) {
        let Some(at) = self.channels.iter().position(|known| known.id == stream.0) else { return };
        if !std::mem::replace(&mut self.channels[at].closed, true) {
            let _ = self.socket.reset_streams(&[stream]);
        }
        self.channels.remove(at);
    }
}

/// DATA chunks of a packet.
#[derive(Debug, Default, PartialEq, Eq)]
struct DataChunks {
    count: u32,
    bytes: u64,
}

/// Counts them; `None` when one is for a stream id that is not ours.
fn data_chunks(packet: &[u8]) -> Option<DataChunks> {
    // RFC 9260 3.1 and 3.2: a header of 12 octets, then chunks of type, flags, length, padded to
    // 4; 3.3.1: DATA has TSN, stream id, number, protocol.
    const DATA: u8 = 0;
    const DATA_HEADER: usize = 16;
    let mut found = DataChunks::default();
    let mut rest = packet.get(12..).unwrap_or(&[]);
    while let [kind, _, high, low, ..] = *rest {
        let length = usize::from(u16::from_be_bytes([high, low]));
        if kind == DATA {
            if let Some(&[high, low]) = rest.get(8..10)
                && u16::from_be_bytes([high, low]) > STREAM_ID_MAX
            {
                return None;
            }
            found.count += 1;
            found.bytes += length.saturating_sub(DATA_HEADER) as u64;
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(found)
}

/// RFC 8832 5.1: type, channel type, priority, reliability, lengths of label and protocol, they.
fn open_message(label: Label) -> Vec<u8> {
    // 0x81: unordered, as many repetitions as the parameter says: none.
    let kind = if label.is_lossy() { 0x81 } else { 0 };
    let name = label.name().as_bytes();
    let mut message = vec![DCEP_OPEN, kind, 0, 0, 0, 0, 0, 0, 0, name.len() as u8, 0, 0];
    message.extend_from_slice(name);
    message
}

fn label_of_open(message: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(*message.get(8..)?.first_chunk()?));
    message.get(12..)?.get(..length)
}

#[cfg(test)]
#[path = "sctp_tests.rs"]
mod tests;
