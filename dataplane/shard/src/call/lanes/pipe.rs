//! One direction of a lane: heads, and beside them octets that belong to them. Lossy, and bounded
//! by both: what finds no room is lost as a whole.

use rtrb::{Consumer, Producer, RingBuffer};

/// Where heads and octets go in.
#[derive(Debug)]
pub(super) struct Writer<H> {
    heads: Producer<H>,
    octets: Producer<u8>,
}

/// Where they come out. Whoever takes a head takes its octets next.
#[derive(Debug)]
pub(super) struct Reader<H> {
    heads: Consumer<H>,
    octets: Consumer<u8>,
}

/// Both ends, with room for so many heads and octets.
pub(super) fn pipe<H>(heads: usize, octets: usize) -> (Writer<H>, Reader<H>) {
    let (heads_in, heads_out) = RingBuffer::new(heads);
    let (octets_in, octets_out) = RingBuffer::new(octets);
    let writer = Writer { heads: heads_in, octets: octets_in };
    (writer, Reader { heads: heads_out, octets: octets_out })
}

impl<H> Writer<H> {
    /// Puts both in; `false` when there is no room for one of them.
    pub(super) fn push(&mut self, head: H, octets: &[u8]) -> bool {
        // The octets first: whoever sees the head finds them.
        !self.heads.is_full()
            && self.octets.push_entire_slice(octets).is_ok()
            && self.heads.push(head).is_ok()
    }
}

impl<H> Reader<H> {
    /// The next head.
    pub(super) fn pop(&mut self) -> Option<H> {
        self.heads.pop().ok()
    }

    /// Takes the octets of the head that was taken last.
    pub(super) fn take(&mut self, into: &mut [u8]) {
        let taken = self.octets.pop_entire_slice(into);
        assert!(taken.is_ok(), "a head was handed over without its octets");
    }

    /// Drops them.
    pub(super) fn skip(&mut self, len: usize) {
        let chunk = self.octets.read_chunk(len);
        chunk.expect("a head was handed over without its octets").commit_all();
    }

    /// Whether nothing waits to be taken.
    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }
}
