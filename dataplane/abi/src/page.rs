//! A page: a few words that one program writes now and then and any number of others read.
//!
//! **Who.** One writer, the shard that owns the page. Readers have the memory mapped read-only,
//! cost the writer nothing and are unknown to it.
//!
//! **Order** (a seqlock, all of it atomics). Word 0 is the sequence: 0 before the first publishing,
//! odd while the writer is at work. The writer makes it odd, then a release fence, stores the
//! words, and makes the sequence even again with a release store. A reader loads the sequence,
//! acquire fence, loads the words, acquire fence, loads the sequence again: equal and even means
//! that the words belong together. Readers load relaxed and fence, because that is the only kind of
//! atomic access that Rust promises to work on memory mapped read-only.
//!
//! **Overrun.** A newer publishing replaces the older; readers that were at it try again, a bounded
//! number of times, then say [`Unread::Torn`].
//!
//! **Death.** A writer that dies half-way leaves the sequence odd: readers say `Torn` for good, the
//! heartbeat says the rest. **Restart.** Fresh memory; a page is never taken over.

use crate::sync::{AtomicU64, Ordering, fence, pause};

/// Tries of a reader. A publishing of the largest page takes a few µs, so that few tries are enough
/// unless the writer was preempted half-way; then waiting longer here would not help.
const TRIES: usize = if cfg!(loom) { 2 } else { 64 };

/// Words of a page that holds `values` words.
pub const fn page_words(values: usize) -> usize {
    1 + values
}

/// Why a page could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Nothing was published yet.
    #[error("nothing was published yet")]
    Empty,
    /// The writer was at work at every try, or died at it.
    #[error("the page changed at every try")]
    Torn,
}

/// Publishes `values` as the first words of `page`; later words keep what they had.
///
/// There must be one writer: it reads the sequence back instead of keeping it, which is sound
/// because nobody else can map the memory writable.
///
/// # Panics
/// When the page is smaller than the values: a bug of the layout.
pub fn publish(page: &[AtomicU64], values: &[u64]) {
    let (sequence, words) = page.split_first().expect("a page has a sequence");
    assert!(values.len() <= words.len(), "{} words into {}", values.len(), words.len());
    // One read-modify-write instead of a load and a store: loom keeps only the last access to a
    // word, and a load of the writer's own would hide the race with the readers from it.
    let odd = sequence.fetch_or(1, Ordering::Relaxed) | 1;
    fence(Ordering::Release);
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
    // After 2^63 publishings the sequence must not come back to 0, which means "never".
    sequence.store(odd.checked_add(1).unwrap_or(2), Ordering::Release);
}

/// Reads the first words of `page` into `values`, all of one publishing. On an error `values` holds
/// nothing to be used.
///
/// # Panics
/// When the page is smaller than the values: a bug of the layout.
pub fn read(page: &[AtomicU64], values: &mut [u64]) -> Result<(), Unread> {
    let (sequence, words) = page.split_first().expect("a page has a sequence");
    assert!(values.len() <= words.len(), "{} words out of {}", values.len(), words.len());
    for _ in 0..TRIES {
        let before = sequence.load(Ordering::Relaxed);
        if before == 0 {
            return Err(Unread::Empty);
        }
        if before & 1 == 0 {
            fence(Ordering::Acquire);
            for (value, word) in values.iter_mut().zip(words) {
                *value = word.load(Ordering::Relaxed);
            }
            fence(Ordering::Acquire);
            if sequence.load(Ordering::Relaxed) == before {
                return Ok(());
            }
        }
        pause();
    }
    Err(Unread::Torn)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::memory::Words;

    #[test]
    fn what_is_published_is_read() {
        let page = Words::zeroed(page_words(3));
        let mut values = [0; 3];
        assert_eq!(read(&page, &mut values), Err(Unread::Empty));
        publish(&page, &[1, 2, 3]);
        assert_eq!((read(&page, &mut values), values), (Ok(()), [1, 2, 3]));
        publish(&page, &[9]);
        assert_eq!((read(&page, &mut values), values), (Ok(()), [9, 2, 3]));
        assert_eq!((read(&page, &mut values[..1]), values[0]), (Ok(()), 9));
    }

    #[test]
    fn a_writer_that_died_at_work_leaves_a_torn_page() {
        let page = Words::from_values(&[7, 1]);
        assert_eq!(read(&page, &mut [0]), Err(Unread::Torn));
    }

    #[test]
    fn the_sequence_skips_zero() {
        let page = Words::from_values(&[u64::MAX - 1, 0]);
        publish(&page, &[5]);
        let mut values = [0];
        assert_eq!((read(&page, &mut values), values), (Ok(()), [5]));
    }

    #[test]
    fn a_reader_never_sees_halves() {
        const ROUNDS: u64 = if cfg!(miri) { 20 } else { 20_000 };
        let page = Words::zeroed(page_words(8));
        let shared = page.clone();
        let writer = std::thread::spawn(move || {
            for round in 1..=ROUNDS {
                publish(&shared, &[round; 8]);
            }
        });
        let mut values = [0; 8];
        while values[0] < ROUNDS {
            if read(&page, &mut values).is_ok() {
                assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
            }
        }
        writer.join().expect("the writer ends");
    }
}
