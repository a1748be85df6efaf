//! [`Words`]: a run of shared atomic words together with what keeps them alive.
//!
//! Lanes and pages are written against words and do not know where these live: in a memfd that two
//! programs map, or on the heap of a test, of loom or of miri. All sharing goes through atomic
//! words, so that whatever the other side does there is no data race in Rust's memory model.

use std::ops::{Deref, Range};
use std::sync::Arc;

#[cfg(not(loom))]
use crate::region::Mapping;
use crate::sync::AtomicU64;

/// A run of atomic words; clones share them.
#[derive(Clone, Debug)]
pub struct Words {
    memory: Arc<Memory>,
    first: usize,
    count: usize,
}

#[derive(Debug)]
enum Memory {
    Heap(Box<[AtomicU64]>),
    #[cfg(not(loom))]
    Mapped(Mapping),
}

impl Memory {
    fn words(&self) -> &[AtomicU64] {
        match self {
            Memory::Heap(words) => words,
            #[cfg(not(loom))]
            Memory::Mapped(mapping) => mapping.words(),
        }
    }
}

impl Words {
    /// `count` words on the heap, all 0.
    pub fn zeroed(count: usize) -> Self {
        Self::whole(Memory::Heap((0..count).map(|_| AtomicU64::new(0)).collect()), count)
    }

    /// Words on the heap with these values.
    pub fn from_values(values: &[u64]) -> Self {
        let words = values.iter().map(|value| AtomicU64::new(*value)).collect();
        Self::whole(Memory::Heap(words), values.len())
    }

    #[cfg(not(loom))]
    pub(crate) fn mapped(mapping: Mapping) -> Self {
        let count = mapping.words().len();
        Self::whole(Memory::Mapped(mapping), count)
    }

    fn whole(memory: Memory, count: usize) -> Self {
        Self { memory: Arc::new(memory), first: 0, count }
    }

    /// The words of `range`, sharing the memory.
    ///
    /// # Panics
    /// When `range` is not inside: layouts are checked against the size before they are used.
    pub fn part(&self, range: Range<usize>) -> Words {
        assert!(range.start <= range.end && range.end <= self.count, "part outside of the words");
        Words {
            memory: Arc::clone(&self.memory),
            first: self.first + range.start,
            count: range.len(),
        }
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        &self.memory.words()[self.first..self.first + self.count]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Ordering;

    #[test]
    fn parts_share_the_words() {
        let words = Words::from_values(&[1, 2, 3, 4]);
        let part = words.part(1..4).part(1..2);
        part[0].store(9, Ordering::Relaxed);
        assert_eq!((part.len(), words[2].load(Ordering::Relaxed)), (1, 9));
    }

    #[test]
    #[should_panic(expected = "outside")]
    fn parts_stay_inside() {
        Words::zeroed(4).part(1..3).part(0..3);
    }
}
