//! A bounded queue of byte strings in one allocation: datagrams to send, messages to read.

/// Bytes that may wait, lengths included. Lower and the longest flight of a handshake, or a burst
/// of messages between two looks, is cut short; higher and a session whose owner does not look
/// keeps more memory.
const MAX_QUEUED: usize = 64 * 1024;
/// An empty queue with more room than this gives it back, bytes.
const MAX_KEPT: usize = 2 * 1024;
const LEN_LEN: usize = 2;

/// First in, first out. What finds no room is lost and counted.
#[derive(Default)]
pub(crate) struct Datagrams {
    /// Each with its length before it.
    bytes: Vec<u8>,
    /// Where the first one that was not popped begins.
    read: usize,
    lost: u64,
}

impl Datagrams {
    pub(crate) fn is_empty(&self) -> bool {
        self.read == self.bytes.len()
    }

    /// How many were lost, ever.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Appends one.
    pub(crate) fn push(&mut self, datagram: &[u8]) {
        self.push_with(datagram.len(), |room| {
            room.copy_from_slice(datagram);
            Some(datagram.len())
        });
    }

    /// Appends what `fill` writes into its room of `longest` bytes; it answers how much that is, or
    /// nothing. It is called even if the queue is full, and what it wrote is then lost.
    pub(crate) fn push_with(
        &mut self,
        longest: usize,
        fill: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) {
        self.rewind();
        let start = self.bytes.len();
        let longest = longest.min(usize::from(u16::MAX));
        self.bytes.resize(start + LEN_LEN + longest, 0);
        let (prefix, room) = self.bytes[start..].split_at_mut(LEN_LEN);
        let len = fill(room).map(|len| len.min(longest));
        let end = start + LEN_LEN + len.unwrap_or(0);
        if let Some(len) = len.and_then(|len| u16::try_from(len).ok()) {
            prefix.copy_from_slice(&len.to_be_bytes());
        }
        let fits = end <= MAX_QUEUED;
        self.bytes.truncate(if len.is_some() && fits { end } else { start });
        self.lost += u64::from(len.is_some() && !fits);
        self.rewind();
    }

    /// The next one. It stays readable until the queue is used again.
    pub(crate) fn pop(&mut self) -> Option<&[u8]> {
        self.rewind();
        let (prefix, rest) = self.bytes[self.read..].split_first_chunk::<LEN_LEN>()?;
        let len = usize::from(u16::from_be_bytes(*prefix)).min(rest.len());
        self.read += LEN_LEN + len;
        Some(&rest[..len])
    }

    /// Looks at the next one without taking it.
    pub(crate) fn peek(&self) -> Option<&[u8]> {
        let (prefix, rest) = self.bytes[self.read..].split_first_chunk::<LEN_LEN>()?;
        rest.get(..usize::from(u16::from_be_bytes(*prefix)))
    }

    /// Moves all of `other` behind what is here. Free if nothing is here.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if self.is_empty() {
            self.rewind();
            std::mem::swap(&mut self.bytes, &mut other.bytes);
            std::mem::swap(&mut self.read, &mut other.read);
        }
        while let Some(datagram) = other.pop() {
            self.push(datagram);
        }
        self.lost += std::mem::take(&mut other.lost);
    }

    /// Gives memory back if nothing waits.
    fn rewind(&mut self) {
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(MAX_KEPT);
            self.read = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn is_a_queue(steps in prop::collection::vec(prop::option::of(0_usize..3000), 0..200)) {
            let mut queue = Datagrams::default();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for (at, step) in steps.into_iter().enumerate() {
                match step {
                    Some(len) => {
                        let datagram = vec![at.to_le_bytes()[0]; len];
                        let lost = queue.lost();
                        queue.push(&datagram);
                        if queue.lost() == lost {
                            model.push_back(datagram);
                        }
                    }
                    None => {
                        prop_assert_eq!(queue.peek(), model.front().map(Vec::as_slice));
                        let expect = model.pop_front();
                        prop_assert_eq!(queue.pop(), expect.as_deref());
                    }
                }
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                prop_assert!(queue.bytes.len() <= MAX_QUEUED);
            }
        }
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let mut queue = Datagrams::default();
        for _ in 0..1000 {
            queue.push(&[7; 1000]);
        }
        let kept = MAX_QUEUED / 1002;
        assert_eq!(queue.lost(), 1000 - kept as u64);
        let mut popped = 0;
        while queue.pop().is_some() {
            popped += 1;
        }
        assert_eq!(popped, kept);
        assert!(queue.bytes.capacity() <= MAX_KEPT);
    }

    #[test]
    fn appends_behind_what_waits() {
        let (mut one, mut two) = (Datagrams::default(), Datagrams::default());
        one.push(b"a");
        two.push(b"b");
        two.push(b"c");
        assert_eq!(two.pop(), Some(&b"b"[..]));
        one.append(&mut two);
        assert_eq!(one.pop(), Some(&b"a"[..]));
        assert_eq!(one.pop(), Some(&b"c"[..]));
        two.push(b"d");
        one.append(&mut two);
        assert_eq!(one.pop(), Some(&b"d"[..]));
        assert_eq!((one.pop(), two.pop()), (None, None));
    }

    #[test]
    fn nothing_is_appended_when_nothing_was_written() {
        let mut queue = Datagrams::default();
        queue.push_with(10, |_| None);
        assert!(queue.is_empty());
        queue.push_with(10, |room| {
            room[0] = 1;
            Some(1)
        });
        assert_eq!(queue.pop(), Some(&[1][..]));
    }
}
