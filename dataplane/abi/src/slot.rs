//! How a message gets into a lane's slot and out of it again.
//!
//! The writer archives the message with rkyv into a private buffer whose words are then stored into
//! the slot. The reader copies the slot's words into a private aligned buffer *first* and checks
//! that copy with bytecheck, so that a peer that rewrites the slot meanwhile changes nothing: what
//! was checked is what is used. Archives have no out-of-line data, so that an archive is exactly
//! its archived type and a slot needs no length. Nothing here allocates.

use rkyv::api::low::{self, LowDeserializer, LowSerializer, LowValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::allocator::SubAllocator;
use rkyv::ser::writer::Buffer;
use rkyv::util::Align;
use rkyv::{Archive, Deserialize, Portable, Serialize};

use crate::message::{ArchivedCommand, ArchivedEvent, Command, Event};

/// Bytes of a slot: four cache lines. Smaller and the largest message, a call's `SetRemote`, does
/// not fit; larger and every message drags more lines from core to core.
pub const SLOT_BYTES: usize = 256;

/// Words of a slot.
pub const SLOT_WORDS: usize = SLOT_BYTES / 8;

const _: () = assert!(size_of::<ArchivedCommand>() <= SLOT_BYTES, "a command outgrew its slot");
const _: () = assert!(size_of::<ArchivedEvent>() <= SLOT_BYTES, "an event outgrew its slot");
const _: () = assert!(align_of::<ArchivedCommand>() <= 16 && align_of::<ArchivedEvent>() <= 16);

/// What can travel in a lane: [`Command`] and [`Event`], and whatever small thing a model checker
/// would rather send.
pub trait Message: Sized + Send {
    /// Words of a slot of this message's lane.
    const WORDS: usize;
    /// Writes the message to `words`, which has [`Message::WORDS`] words.
    fn to_words(&self, words: &mut [u64]);
    /// Reads a message from `words`, a private copy of a slot that anyone may have written.
    fn from_words(words: &[u64]) -> Result<Self, Invalid>;
}

/// What was read from a lane is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A slot's bytes are not an archive of the message: skipped, the lane goes on.
    #[error("a slot of the lane holds no valid message")]
    Archive,
    /// The writer's cursor is where it cannot be: the lane is dead for this reader.
    #[error("the lane's cursors contradict each other; it is closed")]
    Cursor,
}

macro_rules! message {
    ($message:ty) => {
        impl Message for $message {
            const WORDS: usize = SLOT_WORDS;

            fn to_words(&self, words: &mut [u64]) {
                archive(self, words);
            }

            fn from_words(words: &[u64]) -> Result<Self, Invalid> {
                check(words)
            }
        }
    };
}

message!(Command);
message!(Event);

fn archive<M>(message: &M, words: &mut [u64])
where
    M: for<'a> Serialize<LowSerializer<Buffer<'a>, SubAllocator<'a>, Failure>>,
{
    let mut bytes = Align([0u8; SLOT_BYTES]);
    let writer = Buffer::from(&mut bytes[..size_of::<M::Archived>()]);
    low::to_bytes_in_with_alloc::<_, _, Failure>(message, writer, SubAllocator::new(&mut []))
        .expect("messages hold nothing out of line, so that an archive is as large as its type");
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
}

fn check<M>(words: &[u64]) -> Result<M, Invalid>
where
    M: Archive,
    M::Archived: Portable
        + for<'a> CheckBytes<LowValidator<'a, Failure>>
        + Deserialize<M, LowDeserializer<Failure>>,
{
    let mut bytes = Align([0u8; SLOT_BYTES]);
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    let bytes = &bytes[..size_of::<M::Archived>()];
    let archived = low::access::<M::Archived, Failure>(bytes).map_err(|_| Invalid::Archive)?;
    low::deserialize::<M, Failure>(archived).map_err(|_| Invalid::Archive)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::*;
    use std::fmt::Debug;
    use std::net::SocketAddr;

    fn check<M: Message + Debug + PartialEq>(message: M) {
        let mut words = [u64::MAX; SLOT_WORDS];
        message.to_words(&mut words);
        assert_eq!(M::from_words(&words), Ok(message));
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn forward() -> ForwardSpec {
        ForwardSpec {
            key: 7,
            address: address("[::]:0").ip(),
            rtp_port: 5004,
            rtcp: RtcpInput::Port(5005),
            policy: InputPolicy {
                source: SourcePolicy::Exact(address("[2001:db8::1%3]:4000")),
                ssrc: Some(u32::MAX),
            },
        }
    }

    fn destination() -> DestinationSpec {
        DestinationSpec {
            key: u64::MAX,
            shard: 63,
            rtp: address("[fe80::1%7]:6000"),
            rtcp: address("192.0.2.1:6001"),
            rewrite: Rewrite { ssrc: Some(1), payload_type: Some(96), contiguous: true },
        }
    }

    #[test]
    fn every_message_round_trips() {
        let policy = |source| InputPolicy { source, ssrc: None };
        let bound =
            Bound { rtp: address("[::]:5004"), rtcp: address("[::]:5005"), stats_slot: 4095 };
        for command in [
            Command::CreateForward { request: 1, spec: forward() },
            Command::UpdateForward { request: 2, forward: 7, policy: policy(SourcePolicy::Any) },
            Command::UpdateForward {
                request: 3,
                forward: 7,
                policy: policy(SourcePolicy::Latch { silence_ms: 1000 }),
            },
            Command::UpdateForward {
                request: 4,
                forward: 7,
                policy: policy(SourcePolicy::Address(address("192.0.2.7:0").ip())),
            },
            Command::RemoveForward { request: 5, forward: 7 },
            Command::AddDestination { request: 6, forward: 7, spec: destination() },
            Command::RemoveDestination { request: 7, forward: 7, destination: 8 },
            Command::Snapshot { request: u64::MAX },
        ] {
            check(command);
        }
        let refused = Outcome::Refused { reason: Refusal::Io, errno: -1 };
        for event in [
            Event::Done { request: 1, outcome: Outcome::Forward(bound) },
            Event::Done { request: 2, outcome: Outcome::Destination { stats_slot: 3 } },
            Event::Done { request: 3, outcome: Outcome::Removed },
            Event::Done { request: 4, outcome: Outcome::SnapshotEnd },
            Event::Done { request: 5, outcome: refused },
            Event::ForwardIs { request: 6, spec: forward(), bound },
            Event::DestinationIs { request: 7, forward: 7, spec: destination(), stats_slot: 9 },
            Event::SourceIs { forward: 7, address: address("192.0.2.7:4000"), ssrc: 5 },
            Event::Resync,
        ] {
            check(event);
        }
    }

    #[test]
    fn a_slot_of_rubbish_is_refused() {
        assert_eq!(Command::from_words(&[u64::MAX; SLOT_WORDS]), Err(Invalid::Archive));
        assert_eq!(Event::from_words(&[0x7f7f_7f7f; SLOT_WORDS]), Err(Invalid::Archive));
    }
}
