//! What waits to be sent, stream by stream; streams take turns, message by message.
//!
//! RFC 9260 6.9: the fragments of a message have consecutive TSNs, so a message that is begun is
//! sent to its end before another stream's turn.

use std::collections::VecDeque;

use crate::messages::Messages;

#[derive(Debug)]
struct Stream {
    id: u16,
    next_ssn: u16,
    waiting: VecDeque<u32>,
    /// Bytes of them that are not in chunks yet.
    bytes: usize,
    /// It has a place among the active.
    listed: bool,
    /// It shall be reset after so many of those that wait; at 0 it stands still.
    reset_after: Option<usize>,
}

impl Stream {
    fn ready(&self) -> bool {
        !self.waiting.is_empty() && self.reset_after != Some(0)
    }
}

/// All streams with something to remember.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// By their ids.
    streams: Vec<Stream>,
    /// Those with messages that may go, whose turn is next first.
    active: VecDeque<u16>,
    bytes: usize,
}

impl Queue {
    #[inline]
    fn find(&self, id: u16) -> Option<usize> {
        self.streams.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    fn make(&mut self, id: u16) -> usize {
        match self.streams.binary_search_by_key(&id, |stream| stream.id) {
            Ok(at) => at,
            Err(at) => {
                let stream = Stream {
                    id,
                    next_ssn: 0,
                    waiting: VecDeque::new(),
                    bytes: 0,
                    listed: false,
                    reset_after: None,
                };
                self.streams.insert(at, stream);
                at
            }
        }
    }

    /// A message waits.
    pub(crate) fn push(&mut self, id: u16, slot: u32, bytes: usize) {
        let at = self.make(id);
        let stream = &mut self.streams[at];
        stream.waiting.push_back(slot);
        stream.bytes += bytes;
        self.bytes += bytes;
        self.list(at);
    }

    fn list(&mut self, at: usize) {
        let stream = &mut self.streams[at];
        if stream.ready() && !stream.listed {
            stream.listed = true;
            self.active.push_back(stream.id);
        }
    }

    /// The message whose turn it is.
    #[inline]
    pub(crate) fn front(&self) -> Option<u32> {
        let at = self.find(*self.active.front()?)?;
        self.streams[at].waiting.front().copied()
    }

    /// Nothing may go.
    #[inline]
    pub(crate) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// `len` bytes of the message whose turn it is are in a chunk.
    #[inline]
    pub(crate) fn note_chunk(&mut self, len: usize) {
        if let Some(at) = self.active.front().and_then(|id| self.find(*id)) {
            self.streams[at].bytes -= len;
            self.bytes -= len;
        }
    }

    /// The message whose turn it is goes out or is given up, with `left` bytes not in chunks.
    pub(crate) fn finish_front(&mut self, left: usize) {
        let Some(at) = self.active.pop_front().and_then(|id| self.find(id)) else { return };
        self.streams[at].listed = false;
        self.remove_first(at, left);
        self.list(at);
    }

    fn remove_first(&mut self, at: usize, left: usize) {
        let stream = &mut self.streams[at];
        stream.waiting.pop_front();
        stream.bytes -= left;
        self.bytes -= left;
        if let Some(after) = &mut stream.reset_after {
            *after = after.saturating_sub(1);
        }
        if stream.waiting.is_empty() && stream.waiting.capacity() > 64 {
            stream.waiting = VecDeque::new();
        }
    }

    /// Messages of a stream that expired before any of them went are gone.
    pub(crate) fn drop_expired(&mut self, id: u16, now_ns: u64, messages: &mut Messages) {
        let Some(at) = self.find(id) else { return };
        while let Some(&slot) = self.streams[at].waiting.front() {
            let message = messages.get(slot);
            if message.taken > 0 || now_ns < message.expires_ns {
                return;
            }
            let left = message.left();
            self.remove_first(at, left);
            messages.release(slot);
            if !self.streams[at].ready() && std::mem::take(&mut self.streams[at].listed) {
                self.active.retain(|listed| *listed != id);
            }
        }
    }

    /// The number of the next ordered message of a stream.
    pub(crate) fn next_ssn(&mut self, id: u16) -> u16 {
        let at = self.make(id);
        let ssn = self.streams[at].next_ssn;
        self.streams[at].next_ssn = ssn.wrapping_add(1);
        ssn
    }

    /// Bytes of a stream that are not in chunks yet.
    pub(crate) fn stream_bytes(&self, id: u16) -> usize {
        self.find(id).map_or(0, |at| self.streams[at].bytes)
    }

    /// The same of all.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The stream shall be reset when what waits now is sent.
    pub(crate) fn stop_for_reset(&mut self, id: u16) {
        let at = self.make(id);
        let stream = &mut self.streams[at];
        if stream.reset_after.is_none() {
            stream.reset_after = Some(stream.waiting.len());
        }
    }

    /// Whether it stands still for that.
    pub(crate) fn stands_still(&self, id: u16) -> bool {
        self.find(id).is_none_or(|at| self.streams[at].reset_after == Some(0))
    }

    /// It goes on, from its start where it was reset.
    pub(crate) fn resume(&mut self, id: u16, reset: bool) {
        let Some(at) = self.find(id) else { return };
        let stream = &mut self.streams[at];
        stream.reset_after = None;
        if reset {
            stream.next_ssn = 0;
            if stream.waiting.is_empty() {
                self.streams.remove(at);
                return;
            }
        }
        self.list(at);
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.streams.iter().map(|stream| stream.waiting.capacity() * 4).sum::<usize>()
            + self.streams.capacity() * size_of::<Stream>()
            + self.active.capacity() * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Outgoing;

    fn push(queue: &mut Queue, messages: &mut Messages, stream: u16, expires_ns: u64) -> u32 {
        let message = Outgoing { stream, expires_ns, ..Outgoing::default() };
        let slot = messages.insert(&[1; 10], message);
        queue.push(stream, slot, 10);
        slot
    }

    #[test]
    fn streams_take_turns() {
        let (mut queue, mut messages) = (Queue::default(), Messages::default());
        let slots: Vec<u32> = [5, 5, 5, 1, 9, 1]
            .map(|stream| push(&mut queue, &mut messages, stream, u64::MAX))
            .to_vec();
        let mut order = Vec::new();
        while let Some(slot) = queue.front() {
            order.push(slots.iter().position(|known| *known == slot).expect("one of them"));
            queue.finish_front(10);
        }
        assert_eq!(order, [0, 3, 4, 1, 5, 2]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_stream_stands_still_before_its_reset() {
        let (mut queue, mut messages) = (Queue::default(), Messages::default());
        push(&mut queue, &mut messages, 5, u64::MAX);
        assert_eq!((queue.next_ssn(5), queue.next_ssn(5)), (0, 1));
        queue.stop_for_reset(5);
        let after = push(&mut queue, &mut messages, 5, u64::MAX);
        assert!(!queue.stands_still(5));
        queue.finish_front(10);
        assert!(queue.stands_still(5) && queue.is_idle());
        queue.resume(5, true);
        assert_eq!((queue.front(), queue.next_ssn(5)), (Some(after), 0));
    }

    #[test]
    fn what_expired_is_dropped() {
        let (mut queue, mut messages) = (Queue::default(), Messages::default());
        for expires_ns in [5, 6, 20] {
            push(&mut queue, &mut messages, 1, expires_ns);
        }
        queue.drop_expired(1, 10, &mut messages);
        assert_eq!((queue.bytes(), messages.len()), (10, 1));
        queue.drop_expired(1, 20, &mut messages);
        assert_eq!((queue.bytes(), messages.len(), queue.is_idle()), (0, 0, true));
    }
}
