//! Lanes between the calls of two shards of one data plane.
//!
//! - packets: what a source's home hands to a shard that serves subscribers of it. Lossy: full
//!   means that the other shard is behind; counted, and the home goes on. The octets are copied:
//!   once for each such shard, which needs them in a history of its own to answer its subscribers
//!   from, so that no shard waits for another's memory.
//! - frames: the same for packets of data tracks, which nobody keeps. Beside the others, as who
//!   sends data must take no room from media.
//! - words: what both ends tell each other about sources and data. Nearly all of them may be lost,
//!   as they are said again; the few others wait in the speaker's backlog.

use std::collections::VecDeque;

use ringway_proto::sctp::MESSAGE_BYTES;
use ringway_sfu::call::MAX_LAYERS;
use ringway_sfu::call::prepared::StreamId;
use ringway_sfu::report::SourceReport;
use ringway_wire::extension::ExtensionKind;
use ringway_wire::payload::Codec;
use rtrb::{Consumer, Producer, RingBuffer};

use super::data::{Message, Pressure};
use crate::slab::SlotId;

mod pipe;

use pipe::{Reader, Writer, pipe};

/// Packets under way from one shard to another. More lets a slow shard fall farther behind before
/// loss tells it; fewer loses key frames of many cameras that come at once.
const PACKETS: usize = 1024;
/// Their octets: as many packets of full size, or nearly.
const OCTETS: usize = 1024 * 1024;
/// Packets of data tracks under way. More lets a slow shard fall farther behind before they are
/// lost; fewer loses those of many sensors that send at once.
const FRAMES: usize = 1024;
/// Their octets.
const FRAME_OCTETS: usize = 512 * 1024;
/// Words under way.
const WORDS: usize = 1024;
/// With less room than for so many more, a shard is behind: who can waits. Raised: senders wait
/// sooner; lowered: messages of many senders at once may find none.
const SPARE_WORDS: usize = WORDS / 4;
/// How long anybody waits for a shard that is behind. Raised: one that stands still holds up
/// senders for longer; lowered: one that was busy for a moment loses messages.
const BEHIND_NS: u64 = 100_000_000;

const _: () = assert!(FRAME_OCTETS >= MESSAGE_BYTES, "what a client may send has room");

/// A packet on its way to a mirror; its octets lie beside it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// The mirror that it is for.
    pub(super) mirror: SlotId,
    /// Which numbering of which layer it belongs to, in the home's words.
    pub(super) stream: StreamId,
    /// It was late where it came in.
    pub(super) repaired: bool,
    /// What its payload type carries.
    pub(super) codec: Codec,
    /// And in which clock, Hz.
    pub(super) clock_hz: u32,
    /// The publisher's ids of header extensions.
    pub(super) extensions: [u8; ExtensionKind::COUNT],
    /// When the kernel had it, ns since the Unix epoch.
    pub(super) kernel_ns: u64,
    /// Octets.
    pub(super) len: u16,
}

/// A packet of a data track on its way to another shard; its octets lie beside it.
#[derive(Clone, Copy, Debug)]
struct FrameHead {
    track: u64,
    len: u32,
}

/// What shards tell each other about calls.
#[derive(Debug)]
pub(super) enum Word {
    /// To the home of a source: its packets are wanted, under this name, for so many subscribers.
    /// Said again and again: the home forgets who falls silent.
    Want { source: u64, mirror: SlotId, routes: u32 },
    /// To the home: no longer.
    Leave { source: u64, mirror: SlotId },
    /// To the home: somebody needs a key frame of a layer.
    KeyFrame { source: u64, layer: u8 },
    /// To the home: this packet has not come over the lane.
    Again { source: u64, stream: StreamId, sequence: u16 },
    /// From the home: how the source is now.
    State { mirror: SlotId, muted: bool, live: u8, ssrcs: [Option<u32>; MAX_LAYERS] },
    /// From the home: there is no such source.
    Gone { mirror: SlotId },
    /// From the home: the publisher's sender report.
    Report { mirror: SlotId, report: SourceReport },
    /// Somebody of a room exchanges data here. Never lost.
    Enter { room: u64 },
    /// Nobody does any more. Never lost.
    Exit { room: u64 },
    /// A message for those of its room that are there.
    Data(Box<Message>),
    /// To the home of a sender: how those do that got its last message. Never lost.
    Pressure { sender: SlotId, pressure: Pressure },
    /// To the home of a data track: its packets are wanted for so many subscribers; 0: no longer.
    /// Said again and again, as [`Word::Want`].
    WantTrack { track: u64, routes: u32 },
}

/// One shard's ends of the lanes to and from one other shard.
#[derive(Debug)]
pub struct ShardLane {
    packets_out: Writer<Head>,
    frames_out: Writer<FrameHead>,
    words_out: Producer<Word>,
    packets_in: Reader<Head>,
    frames_in: Reader<FrameHead>,
    words_in: Consumer<Word>,
    backlog: VecDeque<Word>,
    touched: bool,
    /// Since when there is little room for words.
    behind_since_ns: Option<u64>,
}

impl ShardLane {
    /// The ends of a pair of shards.
    pub fn pair() -> (Self, Self) {
        let (a_packets, b_packets_in) = pipe(PACKETS, OCTETS);
        let (b_packets, a_packets_in) = pipe(PACKETS, OCTETS);
        let (a_frames, b_frames_in) = pipe(FRAMES, FRAME_OCTETS);
        let (b_frames, a_frames_in) = pipe(FRAMES, FRAME_OCTETS);
        let (a_words, b_words_in) = RingBuffer::new(WORDS);
        let (b_words, a_words_in) = RingBuffer::new(WORDS);
        let end = |packets_out, frames_out, words_out, packets_in, frames_in, words_in| Self {
            packets_out,
            frames_out,
            words_out,
            packets_in,
            frames_in,
            words_in,
            backlog: VecDeque::new(),
            touched: false,
            behind_since_ns: None,
        };
        (
            end(a_packets, a_frames, a_words, a_packets_in, a_frames_in, a_words_in),
            end(b_packets, b_frames, b_words, b_packets_in, b_frames_in, b_words_in),
        )
    }

    /// Hands a packet over; `false` when the other shard is too far behind.
    pub(super) fn hand(&mut self, head: Head, octets: &[u8]) -> bool {
        self.touched = true;
        debug_assert_eq!(octets.len(), usize::from(head.len));
        self.packets_out.push(head, octets)
    }

    /// The next packet that the other shard has handed over.
    pub(super) fn handed(&mut self) -> Option<Head> {
        self.packets_in.pop()
    }

    /// Takes the octets of the packet that was taken last.
    pub(super) fn take_octets(&mut self, into: &mut [u8]) {
        self.packets_in.take(into);
    }

    /// Drops the octets of the packet that was taken last.
    pub(super) fn drop_octets(&mut self, len: usize) {
        self.packets_in.skip(len);
    }

    /// Hands a packet of a data track over; `false` when the other shard is too far behind.
    pub(super) fn hand_frame(&mut self, track: u64, octets: &[u8]) -> bool {
        self.touched = true;
        self.frames_out.push(FrameHead { track, len: octets.len() as u32 }, octets)
    }

    /// The next packet of a data track that the other shard has handed over: its track.
    pub(super) fn handed_frame(&mut self, octets: &mut Vec<u8>) -> Option<u64> {
        let FrameHead { track, len } = self.frames_in.pop()?;
        octets.resize(len as usize, 0);
        self.frames_in.take(octets);
        Some(track)
    }

    /// Says something that may be lost; `false`: it was, as the other shard is far behind.
    pub(super) fn say(&mut self, word: Word) -> bool {
        self.touched = true;
        self.backlog.is_empty() && self.words_out.push(word).is_ok()
    }

    /// Whether the other shard has too much to read, and has not had it for long.
    pub(super) fn is_behind(&mut self, now_ns: u64) -> bool {
        if self.backlog.is_empty() && self.words_out.slots() >= SPARE_WORDS {
            self.behind_since_ns = None;
            return false;
        }
        let since_ns = *self.behind_since_ns.get_or_insert(now_ns);
        now_ns.saturating_sub(since_ns) < BEHIND_NS
    }

    /// Says something, at the latest when the other shard has room again.
    pub(super) fn say_surely(&mut self, word: Word) {
        self.backlog.push_back(word);
        self.push_backlog();
    }

    /// Says what waits in the backlog as far as there is room.
    pub(super) fn push_backlog(&mut self) {
        while let Some(word) = self.backlog.pop_front() {
            self.touched = true;
            if let Err(rtrb::PushError::Full(word)) = self.words_out.push(word) {
                self.backlog.push_front(word);
                return;
            }
        }
    }

    /// What the other shard said next.
    pub(super) fn heard(&mut self) -> Option<Word> {
        self.words_in.pop().ok()
    }

    /// Whether nothing waits to be read, or to be written.
    fn is_idle(&self) -> bool {
        let read = self.packets_in.is_empty() && self.frames_in.is_empty();
        read && self.words_in.is_empty() && self.backlog.is_empty()
    }
}

/// One shard's ends toward all others.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Its own number.
    pub(super) index: u16,
    /// By shard; `None` for itself.
    lanes: Vec<Option<ShardLane>>,
    /// Packets that were handed over, and those that found no room, until they are counted.
    pub(super) handed: u64,
    pub(super) lost: u64,
}

impl Others {
    pub(super) fn new(index: u16, lanes: Vec<Option<ShardLane>>) -> Self {
        Self { index, lanes, handed: 0, lost: 0 }
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> u16 {
        self.lanes.len() as u16
    }

    /// The lane to a shard; `None` where there is no such other shard.
    pub(super) fn to(&mut self, shard: u16) -> Option<&mut ShardLane> {
        self.lanes.get_mut(usize::from(shard))?.as_mut()
    }

    /// Says something that may be lost; whether it was not.
    pub(super) fn say(&mut self, shard: u16, word: Word) -> bool {
        self.to(shard).is_some_and(|lane| lane.say(word))
    }

    /// Whether any of these shards has too much to read, and has not had it for long.
    pub(super) fn any_is_behind(&mut self, now_ns: u64, shards: &[u16]) -> bool {
        let mut behind = |shard| self.to(shard).is_some_and(|lane| lane.is_behind(now_ns));
        shards.iter().any(|shard| behind(*shard))
    }

    /// Says something to everybody that must not be lost.
    pub(super) fn say_all(&mut self, word: impl Fn() -> Word) {
        self.lanes.iter_mut().flatten().for_each(|lane| lane.say_surely(word()));
    }

    /// Hands a packet over, and counts.
    pub(super) fn hand(&mut self, shard: u16, head: Head, octets: &[u8]) {
        let handed = self.to(shard).is_some_and(|lane| lane.hand(head, octets));
        self.count(handed);
    }

    /// Hands a packet of a data track over, and counts; whether it found room.
    pub(super) fn hand_frame(&mut self, shard: u16, track: u64, octets: &[u8]) -> bool {
        let handed = self.to(shard).is_some_and(|lane| lane.hand_frame(track, octets));
        self.count(handed);
        handed
    }

    fn count(&mut self, handed: bool) {
        self.handed += u64::from(handed);
        self.lost += u64::from(!handed);
    }

    /// Whether nothing waits anywhere.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.iter().flatten().all(ShardLane::is_idle)
    }

    /// Whether anything was written to a shard since the last call: it may need waking.
    pub(super) fn take_touched(&mut self, shard: u16) -> bool {
        self.to(shard).is_some_and(|lane| std::mem::take(&mut lane.touched))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(len: usize) -> Head {
        Head {
            mirror: SlotId { slot: 0, generation: 1 },
            stream: StreamId::new(0, 0),
            repaired: false,
            codec: Codec::Opus,
            clock_hz: 48_000,
            extensions: [0; ExtensionKind::COUNT],
            kernel_ns: 0,
            len: len as u16,
        }
    }

    #[test]
    fn what_finds_no_room_is_lost_as_a_whole() {
        let (mut home, mut server) = ShardLane::pair();
        let packets: Vec<Vec<u8>> = (0..2000).map(|n| vec![n as u8; 100 + n % 1400]).collect();
        let kept = packets.iter().map(|packet| home.hand(head(packet.len()), packet));
        let kept: Vec<bool> = kept.collect();
        let count = kept.iter().filter(|kept| **kept).count();
        assert!((700..=PACKETS).contains(&count), "{count} packets");
        for (packet, _) in packets.iter().zip(&kept).filter(|(_, kept)| **kept) {
            let head = server.handed().expect("a packet");
            let mut octets = vec![0; head.len.into()];
            server.take_octets(&mut octets);
            assert!(octets == *packet);
        }
        assert!(server.handed().is_none() && home.hand(head(5), &[1; 5]));
        let dropped = server.handed().expect("a packet");
        server.drop_octets(dropped.len.into());
        assert!(server.is_idle());
    }

    #[test]
    fn packets_of_data_tracks_take_no_room_from_media() {
        let (mut home, mut server) = ShardLane::pair();
        let mut octets = vec![0; 9];
        for (len, most) in [(10, FRAMES), (60_000, FRAME_OCTETS / 60_000)] {
            let kept = (0..2000).filter(|track| home.hand_frame(*track, &vec![7; len]));
            assert_eq!(kept.count(), most, "{len}");
            assert!(home.hand(head(5), &[1; 5]));
            assert!(server.handed().is_some() && !server.is_idle());
            server.drop_octets(5);
            for track in 0..most as u64 {
                assert_eq!(server.handed_frame(&mut octets), Some(track));
                assert!(octets == vec![7; len]);
            }
            assert!(server.handed_frame(&mut octets).is_none() && server.is_idle());
        }
        assert!(home.hand_frame(1, &vec![0; MESSAGE_BYTES]));
        assert!(!home.hand_frame(1, &vec![0; FRAME_OCTETS]), "a part is no use");
    }

    #[test]
    fn rooms_are_told_of_even_to_a_shard_that_stands_still() {
        let (mut here, mut there) = ShardLane::pair();
        let lost = (0..WORDS + 10).filter(|_| !here.say(Word::KeyFrame { source: 1, layer: 0 }));
        assert_eq!(lost.count(), 10);
        assert!(here.is_behind(7) && here.is_behind(7 + BEHIND_NS - 1));
        assert!(!here.is_behind(7 + BEHIND_NS), "nobody waits for one that stands still");
        here.say_surely(Word::Enter { room: 7 });
        assert!(!here.say(Word::KeyFrame { source: 1, layer: 0 }) && !here.is_idle());
        let mut rooms = 0;
        while let Some(word) = there.heard() {
            rooms += usize::from(matches!(word, Word::Enter { room: 7 }));
            here.push_backlog();
        }
        assert_eq!(rooms, 1);
        assert!(!here.is_behind(7));
        assert!(here.is_idle());
    }
}
