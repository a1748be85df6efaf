//! A lane: a single-producer, single-consumer ring of messages between two programs.
//!
//! **Where.** Words of shared memory, zeroed at birth:
//!
//! | words | who writes | what |
//! |---|---|---|
//! | line 0 | sender | `tail`: messages ever sent |
//! | line 1 | receiver | `head`: messages ever taken |
//! | line 2 | receiver | `asleep`: 1 while the receiver waits for its bell |
//! | the rest | sender | slots; message `n` is in slot `n % slots` |
//!
//! **Order.** The sender stores a message's words, then `tail` (release). The receiver loads `tail`
//! (acquire), copies the slot to private memory, then stores `head` (release), which gives the slot
//! back. The sender loads `head` (acquire) only when the slots that it knows of are used up.
//! Each side believes only its own private copy of its own cursor and never reads it back.
//!
//! **Sleep.** The receiver stores `asleep`, then looks at `tail`; the sender stores `tail`, then
//! looks at `asleep`; a sequentially consistent fence stands between on both sides. So either the
//! receiver sees the message or the sender sees the sleeper and rings. One bell for many messages
//! is enough.
//!
//! **Overrun.** There is none: a full lane refuses the message and the sender decides. The control
//! plane waits; a shard drops the event, counts it and owes an [`Event::Resync`].
//!
//! **A peer that lies.** The other side's cursor is loaded once per call and its distance from ours
//! bounded by the number of slots. An impossible distance closes the lane for the side that saw it:
//! the receiver says [`Invalid::Cursor`] once and then finds nothing, the sender finds it full. A
//! slot with bytes that are no message is skipped as [`Invalid::Archive`]. No call loops.
//!
//! **A peer that dies.** Cursors stay as they are: the receiver drains what was sent whole, the
//! sender finds the lane full in the end. Death is learnt from the hand-over socket, not from the
//! lane.
//!
//! **Restart.** A lane is never reused: whoever joins next gets fresh, zeroed memory.
//!
//! [`Event::Resync`]: crate::message::Event::Resync

use std::cell::Cell;
use std::marker::PhantomData;

use crate::memory::Words;
pub use crate::slot::{Invalid, Message};
use crate::sync::{AtomicU64, LINE_WORDS, Ordering, fence};

const TAIL: usize = 0;
const HEAD: usize = LINE_WORDS;
const ASLEEP: usize = 2 * LINE_WORDS;
const SLOTS: usize = 3 * LINE_WORDS;

/// Words of a lane with `slots` slots.
pub const fn lane_words<M: Message>(slots: usize) -> usize {
    SLOTS + slots * M::WORDS
}

/// The lane has no free slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lane is full")]
pub struct Full;

/// What both ends have: the words, how many slots they hold, and a private buffer for one slot.
struct End<M> {
    words: Words,
    slots: u64,
    /// Our own cursor: `tail` of the sender, `head` of the receiver.
    cursor: u64,
    /// The other side's cursor as last believed.
    other: u64,
    closed: bool,
    scratch: Box<[u64]>,
    message: PhantomData<fn() -> M>,
    /// Takes `Sync` away: one thread at a time has an end.
    one_thread: PhantomData<Cell<()>>,
}

impl<M: Message> End<M> {
    fn new(words: Words) -> Self {
        let slots = words.len().saturating_sub(SLOTS) / M::WORDS;
        assert!(slots.is_power_of_two(), "a lane needs a power of two of slots, not {slots}");
        Self {
            words,
            slots: slots as u64,
            cursor: 0,
            other: 0,
            closed: false,
            scratch: vec![0; M::WORDS].into(),
            message: PhantomData,
            one_thread: PhantomData,
        }
    }

    /// Slot of the message that our cursor stands at.
    fn slot(words: &Words, slots: u64, cursor: u64) -> &[AtomicU64] {
        let first = SLOTS + (cursor & (slots - 1)) as usize * M::WORDS;
        &words[first..first + M::WORDS]
    }
}

/// The writing end. `Send`, not `Sync`, not `Clone`: there is one.
pub struct Sender<M>(End<M>);

impl<M: Message> Sender<M> {
    /// The writing end of the lane in `words`, which must be fresh and have no other writer.
    ///
    /// # Panics
    /// When `words` do not hold a power of two of slots: a bug of the layout.
    pub fn new(words: Words) -> Self {
        Self(End::new(words))
    }

    /// Sends `message`, or says that the lane is full (or closed: then it stays full).
    /// Ring the receiver's bell afterwards if [`Sender::reader_sleeps`].
    pub fn try_send(&mut self, message: &M) -> Result<(), Full> {
        let End { words, slots, cursor: tail, other: head, closed, scratch, .. } = &mut self.0;
        if *closed {
            return Err(Full);
        }
        if tail.wrapping_sub(*head) >= *slots {
            let alleged = words[HEAD].load(Ordering::Acquire);
            let used = tail.wrapping_sub(alleged);
            if used > *slots {
                *closed = true;
                return Err(Full);
            }
            *head = alleged;
            if used == *slots {
                return Err(Full);
            }
        }
        message.to_words(scratch);
        for (word, value) in End::<M>::slot(words, *slots, *tail).iter().zip(scratch.iter()) {
            word.store(*value, Ordering::Relaxed);
        }
        *tail = tail.wrapping_add(1);
        words[TAIL].store(*tail, Ordering::Release);
        Ok(())
    }

    /// Whether the receiver sleeps until its bell rings. Ask after the last message of a batch.
    pub fn reader_sleeps(&self) -> bool {
        // Between our `tail` and the receiver's `asleep`; see "Sleep" above.
        fence(Ordering::SeqCst);
        self.0.words[ASLEEP].load(Ordering::Relaxed) != 0
    }

    /// Whether the receiver's cursor was impossible: nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.0.closed
    }
}

/// The reading end. `Send`, not `Sync`, not `Clone`: there is one.
pub struct Receiver<M>(End<M>);

impl<M: Message> Receiver<M> {
    /// The reading end of the lane in `words`, which must be fresh and have no other reader.
    ///
    /// # Panics
    /// When `words` do not hold a power of two of slots: a bug of the layout.
    pub fn new(words: Words) -> Self {
        Self(End::new(words))
    }

    /// Takes the next message. `None`: there is none now, or the lane is closed. A writer may fill
    /// as fast as it is read, so bound how many are taken at a time.
    pub fn try_receive(&mut self) -> Option<Result<M, Invalid>> {
        let End { words, slots, cursor: head, other: tail, closed, scratch, .. } = &mut self.0;
        if *closed {
            return None;
        }
        if *head == *tail {
            let alleged = words[TAIL].load(Ordering::Acquire);
            let ready = alleged.wrapping_sub(*head);
            if ready > *slots {
                *closed = true;
                return Some(Err(Invalid::Cursor));
            }
            *tail = alleged;
            if ready == 0 {
                return None;
            }
        }
        for (value, word) in scratch.iter_mut().zip(End::<M>::slot(words, *slots, *head)) {
            *value = word.load(Ordering::Relaxed);
        }
        *head = head.wrapping_add(1);
        words[HEAD].store(*head, Ordering::Release);
        Some(M::from_words(scratch))
    }

    /// Says that the receiver is about to sleep. True: nothing is there, and the sender will ring
    /// the bell for the next message. False: there is something to receive, do not sleep.
    pub fn prepare_sleep(&mut self) -> bool {
        self.0.words[ASLEEP].store(1, Ordering::Relaxed);
        // Between our `asleep` and the sender's `tail`; see "Sleep" above.
        fence(Ordering::SeqCst);
        let empty = self.0.closed || self.0.words[TAIL].load(Ordering::Relaxed) == self.0.cursor;
        if !empty {
            self.awake();
        }
        empty
    }

    /// Says that the receiver is awake: bells are not needed.
    pub fn awake(&mut self) {
        self.0.words[ASLEEP].store(0, Ordering::Relaxed);
    }

    /// Whether the sender's cursor was impossible: nothing can be received any more.
    pub fn is_closed(&self) -> bool {
        self.0.closed
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::message::Command;

    fn command(request: u64) -> Command {
        Command::Snapshot { request }
    }

    fn lane(slots: usize) -> (Words, Sender<Command>, Receiver<Command>) {
        let words = Words::zeroed(lane_words::<Command>(slots));
        (words.clone(), Sender::new(words.clone()), Receiver::new(words))
    }

    #[test]
    fn messages_come_in_order_and_a_full_lane_refuses() {
        let (_, mut sender, mut receiver) = lane(4);
        for round in 0..10 {
            for n in 0..4 {
                assert_eq!(sender.try_send(&command(round * 4 + n)), Ok(()));
            }
            assert_eq!(sender.try_send(&command(99)), Err(Full));
            for n in 0..4 {
                assert_eq!(receiver.try_receive(), Some(Ok(command(round * 4 + n))));
            }
            assert_eq!(receiver.try_receive(), None);
        }
        assert!(!sender.is_closed() && !receiver.is_closed());
    }

    #[test]
    fn a_sleeper_is_seen_and_a_message_keeps_it_awake() {
        let (_, mut sender, mut receiver) = lane(4);
        assert!(!sender.reader_sleeps());
        assert!(receiver.prepare_sleep());
        assert_eq!(sender.try_send(&command(1)), Ok(()));
        assert!(sender.reader_sleeps());
        receiver.awake();
        assert!(!sender.reader_sleeps());
        assert!(!receiver.prepare_sleep(), "a message waits");
        assert!(!sender.reader_sleeps());
    }

    #[test]
    fn an_impossible_tail_closes_the_receiver() {
        for tail in [5, 1 << 32, u64::MAX] {
            let (words, _, mut receiver) = lane(4);
            words[TAIL].store(tail, Ordering::Relaxed);
            assert!(!receiver.prepare_sleep());
            assert_eq!(receiver.try_receive(), Some(Err(Invalid::Cursor)), "{tail}");
            assert_eq!(receiver.try_receive(), None);
            assert!(receiver.is_closed() && receiver.prepare_sleep());
        }
    }

    #[test]
    fn an_impossible_head_closes_the_sender() {
        for head in [5, 1 << 32, u64::MAX] {
            let (words, mut sender, _) = lane(4);
            words[HEAD].store(head, Ordering::Relaxed);
            for n in 0..4 {
                assert_eq!(sender.try_send(&command(n)), Ok(()), "what fits is not asked for");
            }
            assert_eq!(sender.try_send(&command(4)), Err(Full), "{head}");
            words[HEAD].store(4, Ordering::Relaxed);
            assert_eq!(sender.try_send(&command(5)), Err(Full));
            assert!(sender.is_closed());
        }
    }

    #[test]
    fn a_slot_of_rubbish_is_skipped() {
        let (words, mut sender, mut receiver) = lane(4);
        sender.try_send(&command(1)).expect("room");
        sender.try_send(&command(2)).expect("room");
        for word in &words[SLOTS..SLOTS + Command::WORDS] {
            word.store(u64::MAX, Ordering::Relaxed);
        }
        assert_eq!(receiver.try_receive(), Some(Err(Invalid::Archive)));
        assert_eq!(receiver.try_receive(), Some(Ok(command(2))));
    }

    #[test]
    fn cursors_go_through_zero() {
        let (words, mut sender, mut receiver) = lane(4);
        for cursor in [&mut sender.0.cursor, &mut sender.0.other] {
            *cursor = u64::MAX - 1;
        }
        for cursor in [&mut receiver.0.cursor, &mut receiver.0.other] {
            *cursor = u64::MAX - 1;
        }
        words[TAIL].store(u64::MAX - 1, Ordering::Relaxed);
        words[HEAD].store(u64::MAX - 1, Ordering::Relaxed);
        for n in 0..9 {
            assert_eq!(sender.try_send(&command(n)), Ok(()));
            assert_eq!(receiver.try_receive(), Some(Ok(command(n))));
        }
    }
}
