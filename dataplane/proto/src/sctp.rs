//! Data channels (RFC 8831, RFC 8832) of one peer connection over our SCTP, sans-IO: what DTLS
//! opened comes in, what DTLS shall seal comes out.
//!
//! Its bounds: what waits to be sent is refused beyond [`PLAIN_BYTES`], or [`MOST_BYTES`] where the
//! caller has memory to spare and the peer goes on acknowledging; long before that
//! [`Association::waiting`] tells it. Fragments that make no message end the association, stream
//! ids above [`STREAM_ID_MAX`] are not let in. Messages that the caller does not take close the
//! window.

use std::collections::VecDeque;

use aws_lc_rs::rand;
use ringway_sctp as sctp;

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
/// Reliable messages that may wait. Raised, tiny ones take much more memory than their bytes.
const WAITING: usize = 8_192;
/// A peer that has acknowledged nothing for so long gets no more than [`PLAIN_BYTES`].
const PROGRESS_NS: u64 = 5_000_000_000;
/// How long it is measured how fast a peer takes what waits for it. Raised: known later; lowered:
/// less exactly.
const DRAIN_NS: u64 = 500_000_000;
/// Window for what comes in: the longest message must fit.
const WINDOW_BYTES: usize = 400_000;
/// DATA chunks that may be there without having been taken. A full message of usual chunks has 230.
const CHUNKS: usize = 4_096;
/// How long a message of a lossy channel may wait: without it queued ones arrive seconds late.
const LOSSY_LIFETIME_NS: u64 = 300_000_000;
/// The same for packets of data tracks: LiveKit's `datachannel_data_track_target_latency`.
const TRACK_LIFETIME_NS: u64 = 100_000_000;
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

    /// How messages go over it. Of an application's own channel whoever opens it says that.
    fn options(self) -> sctp::SendOptions {
        let lifetime_ns = match self {
            Self::Reliable | Self::Own => None,
            Self::Lossy => Some(LOSSY_LIFETIME_NS),
            Self::DataTrack => Some(TRACK_LIFETIME_NS),
        };
        let max_retransmissions = self.is_lossy().then_some(0);
        sctp::SendOptions { unordered: self.is_lossy(), max_retransmissions, lifetime_ns }
    }

    /// Whether what waits on it counts as reliable.
    fn counts(self) -> bool {
        !self.is_lossy()
    }
}

/// How the channels come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The peer opens them.
    Peer,
    /// We do, with odd ids: we are the DTLS server (RFC 8832 6).
    Ours,
    /// We do, with even ids: we are the DTLS client.
    OursAsClient,
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
    /// Longer than [`MESSAGE_BYTES`], or empty and not for a channel of the application's own.
    #[error("a message of this length cannot be sent")]
    Length,
}

/// How much of what is reliable waits for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Less than a quarter of what may.
    Little,
    /// Less than half of it.
    Some,
    /// Half of it, or more.
    Much,
    /// Any of it, and the peer has acknowledged nothing for long: nobody knows whether it will.
    Stuck,
}

/// How fast what waits becomes less.
#[derive(Debug, Default)]
struct Drained {
    since_ns: u64,
    bytes: u64,
    bps: Option<u64>,
}

impl Drained {
    /// Nothing waits.
    fn rest(&mut self, now_ns: u64) {
        (self.since_ns, self.bytes) = (now_ns, 0);
    }

    /// So much more has gone.
    fn handle_sent(&mut self, now_ns: u64, bytes: usize) {
        self.bytes += bytes as u64;
        let took_ns = now_ns.saturating_sub(self.since_ns);
        if took_ns >= DRAIN_NS {
            let bps = u128::from(self.bytes) * 8 * 1_000_000_000 / u128::from(took_ns);
            self.bps = Some(u64::try_from(bps).unwrap_or(u64::MAX));
            self.rest(now_ns);
        }
    }
}

struct Channel {
    id: u16,
    label: Label,
    open: bool,
    /// We have reset our direction of it.
    closed: bool,
    options: sctp::SendOptions,
}

impl Channel {
    fn new(id: u16, label: Label, open: bool) -> Self {
        Self { id, label, open, closed: false, options: label.options() }
    }
}

/// One association.
pub struct Association {
    inner: sctp::Association,
    /// As of the last call that told it.
    now_ns: u64,
    opening: Opening,
    channels: Vec<Channel>,
    opened: bool,
    /// Messages are not taken.
    held: bool,
    /// Lengths of reliable messages that are not wholly sent, the oldest first, and their sum.
    waiting: VecDeque<usize>,
    waiting_bytes: usize,
    /// When that became less.
    progress_ns: u64,
    drained: Drained,
}

impl std::fmt::Debug for Association {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Association")
            .field("opening", &self.opening)
            .field("channels", &self.channels.len())
            .field("state", &self.inner.state())
            .finish_non_exhaustive()
    }
}

impl Association {
    /// To be made when DTLS is up.
    pub fn new(now_ns: u64, opening: Opening) -> Self {
        let mut random = [0; 8];
        // Behind DTLS nobody needs to guess them; random numbers keep old packets from fitting.
        let _ = rand::fill(&mut random);
        let random = u64::from_ne_bytes(random);
        let config = sctp::Config {
            receive_window: WINDOW_BYTES,
            max_undelivered_chunks: CHUNKS,
            max_message_bytes: MESSAGE_BYTES,
            max_buffered_bytes: MOST_BYTES + 3 * PLAIN_BYTES,
            streams: STREAM_ID_MAX + 1,
            ..sctp::Config::new((random >> 32) as u32, random as u32)
        };
        let mut association = Self {
            inner: sctp::Association::new(now_ns, config),
            now_ns,
            opening,
            channels: Vec::new(),
            opened: false,
            held: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            progress_ns: now_ns,
            drained: Drained::default(),
        };
        if opening != Opening::Peer {
            association.inner.connect();
        }
        association
    }

    /// Takes an SCTP packet.
    pub fn handle_packet(&mut self, now_ns: u64, packet: &[u8]) {
        self.now_ns = now_ns;
        self.inner.handle_packet(now_ns, packet);
        self.note_state();
    }

    /// Whether messages are taken out. While they are not, the peer's window closes: it waits, and
    /// what it has sent already stays within the window's bounds.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// The next message. To be called until there is none, after every packet.
    pub fn poll_message(&mut self) -> Option<Incoming> {
        while !self.held
            && let Some(message) = self.inner.poll_message()
        {
            let id = message.stream;
            match message.ppid {
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
        let mut packet = Vec::new();
        self.poll_packet_into(&mut packet).then_some(packet)
    }

    /// The same into a buffer that stays; gives whether there is one.
    pub fn poll_packet_into(&mut self, packet: &mut Vec<u8>) -> bool {
        // A channel is closed behind its last message.
        while !self.held
            && let Some(event) = self.inner.poll_event()
        {
            if let sctp::Event::StreamsReset(streams) = event {
                self.close_channels(&streams);
            }
        }
        self.inner.poll_packet(self.now_ns, packet)
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<u64> {
        self.inner.deadline()
    }

    /// Lets time pass; packets may be there afterwards.
    pub fn handle_timeout(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        self.inner.handle_timeout(now_ns);
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
        let channel = self.channel(label).filter(|_| self.is_connected());
        let (id, options) = channel.map(|one| (one.id, one.options)).ok_or(SendRefused::Closed)?;
        // RFC 8831 6.6: SCTP has no empty messages, so a number says that one is.
        let (ppid, payload) = match label {
            Label::Own if payload.is_empty() => (ppid::BINARY_EMPTY, &[0][..]),
            _ => (ppid::BINARY, payload),
        };
        self.now_ns = now_ns;
        let counts = label.counts();
        if counts {
            self.refresh(now_ns);
        }
        let most = if counts { self.most_bytes(now_ns, spare) } else { PLAIN_BYTES };
        let buffered = self.inner.buffered_bytes(id);
        if buffered + payload.len() > most || counts && self.waiting.len() >= WAITING {
            return Err(SendRefused::Full);
        }
        let sent = self.inner.send(now_ns, id, ppid, payload, options);
        sent.map_err(|error| match error {
            sctp::SendError::Full => SendRefused::Full,
            sctp::SendError::Length => SendRefused::Length,
            sctp::SendError::Ended | sctp::SendError::Stream => SendRefused::Closed,
        })?;
        if counts {
            self.waiting.push_back(payload.len());
            self.waiting_bytes += payload.len();
        }
        Ok(())
    }

    /// The channel that messages with a label are sent over: of LiveKit's the one that was opened
    /// last, of the application's own the one that was opened first, as LiveKit has it.
    fn channel(&self, label: Label) -> Option<&Channel> {
        let mut open = self.channels.iter().filter(|one| one.label == label && one.open);
        if label == Label::Own { open.next_back() } else { open.next() }
    }

    /// Reliable bytes that may wait.
    fn most_bytes(&self, now_ns: u64, spare: bool) -> usize {
        if spare && self.moves(now_ns) { MOST_BYTES } else { PLAIN_BYTES }
    }

    fn moves(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.progress_ns) < PROGRESS_NS
    }

    /// How much waits, as of the last message that was sent or the last [`Self::refresh`]. `spare`
    /// as for [`Self::send`].
    pub fn waiting(&self, now_ns: u64, spare: bool) -> Waiting {
        let most = self.most_bytes(now_ns, spare);
        let (bytes, count) = (self.waiting_bytes, self.waiting.len());
        match () {
            () if count > 0 && !self.moves(now_ns) => Waiting::Stuck,
            () if bytes < most / 4 && count < WAITING / 4 => Waiting::Little,
            () if bytes < most / 2 && count < WAITING / 2 => Waiting::Some,
            () => Waiting::Much,
        }
    }

    /// Bytes of reliable messages that wait, as of the last message that was sent.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Forgets messages that no longer wait: `buffered` bytes still do.
    fn note_sent(&mut self, now_ns: u64, buffered: usize) {
        if self.waiting.is_empty() {
            self.progress_ns = now_ns;
            self.drained.rest(now_ns);
        }
        let before = self.waiting_bytes;
        while let Some(oldest) = self.waiting.front().copied()
            && self.waiting_bytes - oldest >= buffered
        {
            self.waiting.pop_front();
            self.waiting_bytes -= oldest;
            self.progress_ns = now_ns;
        }
        self.drained.handle_sent(now_ns, before - self.waiting_bytes);
    }

    /// How fast the peer takes what is reliable while any of it waits, bits a second; `None` until
    /// that is known.
    pub fn drained_bps(&self) -> Option<u64> {
        self.drained.bps
    }

    /// Looks again at how much waits.
    pub fn refresh(&mut self, now_ns: u64) {
        let counted = self.channels.iter().filter(|channel| channel.label.counts());
        let buffered = counted.map(|channel| self.inner.buffered_bytes(channel.id)).sum();
        self.note_sent(now_ns, buffered);
    }

    /// Whether messages can be sent on a channel.
    pub fn is_open(&self, label: Label) -> bool {
        self.is_connected() && self.channel(label).is_some()
    }

    /// Opens a channel of the application's own, for [`Label::Own`].
    pub fn open_own(&mut self) {
        let id = (0..).map(|at| 2 * at + 1).find(|id| self.channels.iter().all(|c| c.id != *id));
        let id = id.unwrap_or(STREAM_ID_MAX);
        self.channels.insert(0, Channel::new(id, Label::Own, false));
        self.send_dcep(id, &open_message(Label::Own));
    }

    /// Whether nothing will come of it any more.
    pub fn is_ended(&self) -> bool {
        self.inner.state() == sctp::State::Ended
    }

    /// Packets and chunks that SCTP did not let in.
    pub fn refused(&self) -> u64 {
        self.inner.refused()
    }

    /// Ends it: an ABORT can be polled.
    pub fn close(&mut self) {
        self.inner.close();
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
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
                Opening::OursAsClient => (2 * at, false),
                Opening::Negotiated => (100 + at, true),
            };
            self.channels.push(Channel::new(id, label, open));
            if !open {
                self.send_dcep(id, &open_message(label));
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
                let mut channel = Channel::new(id, label, true);
                if label == Label::Own {
                    channel.options = options_of_open(message);
                }
                // What the peer opens in words goes before what it was believed to open silently.
                self.channels.insert(0, channel);
                self.send_dcep(id, &[DCEP_ACK]);
            }
            _ => {}
        }
    }

    fn send_dcep(&mut self, id: u16, message: &[u8]) {
        let options = sctp::SendOptions::default();
        // What finds no room leaves the channel as it is: nothing goes over it.
        let _ = self.inner.send(self.now_ns, id, ppid::DCEP, message, options);
    }

    /// The peer reset these streams, or all.
    fn close_channels(&mut self, streams: &[u16]) {
        if streams.is_empty() {
            let all: Vec<u16> = self.channels.iter().map(|channel| channel.id).collect();
            all.into_iter().for_each(|id| self.close_channel(id));
        }
        streams.iter().for_each(|id| self.close_channel(*id));
    }

    /// RFC 8831 6.7: the peer reset its direction, so must we.
    fn close_channel(&mut self, id: u16) {
        let Some(at) = self.channels.iter().position(|known| known.id == id) else { return };
        if !std::mem::replace(&mut self.channels[at].closed, true) {
            self.inner.reset_streams(&[id]);
        }
        self.channels.remove(at);
    }
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

/// RFC 8832 5.1: what the one side says about order and repetition holds for the other too.
fn options_of_open(message: &[u8]) -> sctp::SendOptions {
    let kind = message.get(1).copied().unwrap_or_default();
    let parameter = message.get(4..).and_then(|rest| rest.first_chunk());
    let parameter = parameter.map_or(0, |bytes| u32::from_be_bytes(*bytes));
    sctp::SendOptions {
        unordered: kind & 0x80 != 0,
        max_retransmissions: (kind & 0x7f == 1).then(|| parameter.try_into().unwrap_or(u16::MAX)),
        lifetime_ns: (kind & 0x7f == 2).then(|| u64::from(parameter) * 1_000_000),
    }
}

fn label_of_open(message: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(*message.get(8..)?.first_chunk()?));
    message.get(12..)?.get(..length)
}

#[cfg(test)]
#[path = "sctp_tests.rs"]
mod tests;
