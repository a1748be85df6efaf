//! Chunks become messages, messages of ordered streams wait for their turn (RFC 9260 6.5, 6.9).

use std::collections::{BTreeMap, VecDeque};

use crate::chunk::{Data, FLAG_BEGIN, FLAG_END, FLAG_UNORDERED};
use crate::outcome::{EndReason, Message};
use crate::serial::extend_short;

/// Where the wraps of stream sequence numbers begin to be counted: some lie before the first.
const SSN_START: u64 = 1 << 16;

/// Fragments with consecutive TSNs that belong together.
#[derive(Debug)]
struct Run {
    /// The TSN after its last.
    end: u64,
    begins: bool,
    ends: bool,
    stream: u16,
    ssn: u16,
    ppid: u32,
    unordered: bool,
    bytes: usize,
    chunks: usize,
    /// What came in order is one piece; runs that meet give theirs together uncopied.
    pieces: VecDeque<Vec<u8>>,
}

impl Run {
    fn new(tsn: u64, data: &Data<'_>) -> Self {
        Self {
            end: tsn + 1,
            begins: data.has(FLAG_BEGIN),
            ends: data.has(FLAG_END),
            stream: data.stream,
            ssn: data.ssn,
            ppid: data.ppid,
            unordered: data.has(FLAG_UNORDERED),
            bytes: data.payload.len(),
            chunks: 1,
            pieces: VecDeque::from([data.payload.to_vec()]),
        }
    }

    /// RFC 9260 6.9: fragments of a message have its stream, number and flag. Those of unordered
    /// ones have any number.
    fn takes(&self, stream: u16, ssn: u16, unordered: bool) -> bool {
        self.stream == stream && self.unordered == unordered && (self.unordered || self.ssn == ssn)
    }

    /// The run that follows. The shorter of the two is moved.
    fn join(&mut self, mut next: Run) {
        self.end = next.end;
        self.ends = next.ends;
        self.bytes += next.bytes;
        self.chunks += next.chunks;
        if self.pieces.len() >= next.pieces.len() {
            self.pieces.append(&mut next.pieces);
        } else {
            while let Some(piece) = self.pieces.pop_back() {
                next.pieces.push_front(piece);
            }
            self.pieces = next.pieces;
        }
    }

    fn finish(mut self) -> Waiting {
        let payload = match (self.pieces.pop_front(), self.pieces.is_empty()) {
            (Some(only), true) => only,
            (first, _) => {
                let mut payload = Vec::with_capacity(self.bytes);
                first.iter().chain(&self.pieces).for_each(|piece| payload.extend_from_slice(piece));
                payload
            }
        };
        let message =
            Message { stream: self.stream, ppid: self.ppid, unordered: self.unordered, payload };
        Waiting { message, chunks: self.chunks }
    }
}

/// A whole message, and of how many chunks.
#[derive(Debug)]
struct Waiting {
    message: Message,
    chunks: usize,
}

#[derive(Debug)]
struct Stream {
    /// The number whose turn it is, with its wraps counted.
    next: u64,
    /// Messages that came too early.
    early: BTreeMap<u64, Waiting>,
}

impl Default for Stream {
    fn default() -> Self {
        Self { next: SSN_START, early: BTreeMap::new() }
    }
}

/// Everything that came and was not taken.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    streams: BTreeMap<u16, Stream>,
    /// By the TSN of their first fragment.
    runs: BTreeMap<u64, Run>,
    ready: VecDeque<Waiting>,
    /// Of all three.
    bytes: usize,
    chunks: usize,
}

impl Reassembly {
    /// Bytes that were not taken.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Chunks that were not taken.
    #[inline]
    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Whether messages can be taken.
    #[inline]
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next message.
    #[inline]
    pub(crate) fn poll(&mut self) -> Option<Message> {
        let waiting = self.ready.pop_front()?;
        self.bytes -= waiting.message.payload.len();
        self.chunks -= waiting.chunks;
        if self.ready.is_empty() && self.ready.capacity() > 64 {
            self.ready = VecDeque::new();
        }
        Some(waiting.message)
    }

    /// Takes a chunk that came for the first time.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        tsn: u64,
        data: &Data<'_>,
        max_message_bytes: usize,
    ) -> Result<(), EndReason> {
        self.bytes += data.payload.len();
        self.chunks += 1;
        const WHOLE: u8 = FLAG_BEGIN | FLAG_END;
        if data.flags & WHOLE != WHOLE {
            return self.insert_fragment(tsn, data, max_message_bytes);
        }
        let message = Message {
            stream: data.stream,
            ppid: data.ppid,
            unordered: data.has(FLAG_UNORDERED),
            payload: data.payload.to_vec(),
        };
        self.order(data.ssn, Waiting { message, chunks: 1 });
        Ok(())
    }

    fn insert_fragment(
        &mut self,
        tsn: u64,
        data: &Data<'_>,
        max_message_bytes: usize,
    ) -> Result<(), EndReason> {
        let unordered = data.has(FLAG_UNORDERED);
        // To the run that it goes on, if any. One that the peer gave up midway may stand before a
        // message that begins.
        let before = self.runs.range_mut(..tsn).next_back();
        let before = before.filter(|(_, run)| run.end == tsn && !run.ends);
        let start = match before {
            Some((start, run)) if !data.has(FLAG_BEGIN) => {
                if !run.takes(data.stream, data.ssn, unordered) {
                    return Err(EndReason::Violation);
                }
                run.end += 1;
                run.ends = data.has(FLAG_END);
                run.bytes += data.payload.len();
                run.chunks += 1;
                match run.pieces.back_mut() {
                    Some(piece) => piece.extend_from_slice(data.payload),
                    None => run.pieces.push_back(data.payload.to_vec()),
                }
                *start
            }
            _ => {
                self.runs.insert(tsn, Run::new(tsn, data));
                tsn
            }
        };
        self.join_next(start, tsn + 1)?;
        self.finish(start, max_message_bytes)
    }

    /// Joins the run at `start` with the one at `next`, if that goes on with it.
    fn join_next(&mut self, start: u64, next: u64) -> Result<(), EndReason> {
        let (Some(run), Some(after)) = (self.runs.get(&start), self.runs.get(&next)) else {
            return Ok(());
        };
        if run.ends || after.begins {
            return Ok(());
        }
        if !run.takes(after.stream, after.ssn, after.unordered) {
            return Err(EndReason::Violation);
        }
        if let Some(after) = self.runs.remove(&next)
            && let Some(run) = self.runs.get_mut(&start)
        {
            run.join(after);
        }
        Ok(())
    }

    fn finish(&mut self, start: u64, max_message_bytes: usize) -> Result<(), EndReason> {
        let Some(run) = self.runs.get(&start) else { return Ok(()) };
        if run.bytes > max_message_bytes {
            return Err(EndReason::TooMuch);
        }
        if run.begins
            && run.ends
            && let Some(run) = self.runs.remove(&start)
        {
            let ssn = run.ssn;
            self.order(ssn, run.finish());
        }
        Ok(())
    }

    /// A whole message is ready, or waits for those before it.
    fn order(&mut self, ssn: u16, waiting: Waiting) {
        if waiting.message.unordered {
            self.ready.push_back(waiting);
            return;
        }
        let stream = self.streams.entry(waiting.message.stream).or_default();
        let number = extend_short(stream.next, ssn);
        if number == stream.next {
            stream.next += 1;
            self.ready.push_back(waiting);
            Self::release(stream, &mut self.ready);
        } else {
            // One whose turn is over, or that has another's number, is no message.
            let dropped = if number < stream.next {
                Some(waiting)
            } else {
                stream.early.insert(number, waiting)
            };
            self.forget(dropped);
        }
    }

    fn forget(&mut self, dropped: Option<Waiting>) {
        if let Some(dropped) = dropped {
            self.bytes -= dropped.message.payload.len();
            self.chunks -= dropped.chunks;
        }
    }

    fn release(stream: &mut Stream, ready: &mut VecDeque<Waiting>) {
        while let Some(first) = stream.early.first_entry()
            && *first.key() == stream.next
        {
            stream.next += 1;
            ready.push_back(first.remove());
        }
    }

    /// RFC 3758 3.6: fragments up to `tsn` will make no message.
    pub(crate) fn forward(&mut self, tsn: u64) {
        while let Some(first) = self.runs.first_entry()
            && *first.key() <= tsn
        {
            let run = first.remove();
            self.bytes -= run.bytes;
            self.chunks -= run.chunks;
        }
    }

    /// RFC 3758 3.6: a stream goes on after number `ssn`; what waited for it does not any more.
    pub(crate) fn skip(&mut self, id: u16, ssn: u16) {
        let stream = self.streams.entry(id).or_default();
        let number = extend_short(stream.next, ssn);
        if number < stream.next {
            return;
        }
        while let Some(first) = stream.early.first_entry()
            && *first.key() <= number
        {
            self.ready.push_back(first.remove());
        }
        stream.next = number + 1;
        Self::release(stream, &mut self.ready);
    }

    /// RFC 6525 5.2.2 E4: these streams begin at their start; all of them where none is named.
    pub(crate) fn reset(&mut self, ids: &[u16]) {
        if ids.is_empty() {
            for stream in std::mem::take(&mut self.streams).into_values() {
                self.forget_stream(stream);
            }
        }
        for id in ids {
            if let Some(stream) = self.streams.remove(id) {
                self.forget_stream(stream);
            }
        }
    }

    fn forget_stream(&mut self, stream: Stream) {
        stream.early.into_values().for_each(|waiting| self.forget(Some(waiting)));
    }

    /// Bytes of memory behind it, about.
    pub(crate) fn memory(&self) -> usize {
        // Vectors that grew may be twice as large as what is in them.
        2 * self.bytes
            + self.chunks * (size_of::<Run>() + size_of::<Vec<u8>>())
            + self.streams.len() * size_of::<Stream>()
            + self.ready.capacity() * size_of::<Waiting>()
    }
}

#[cfg(test)]
#[path = "reassembly_tests.rs"]
mod tests;
