//! Shared memory full of somebody else's bytes: whatever they are, nothing here may panic, hang or
//! leave its bounds. Fuzz targets call these; ordinary tests replay what they found.

use crate::counters::Counter;
use crate::lane::{Message, Receiver, Sender, lane_words};
use crate::latency::{self, LATENCY_WORDS};
use crate::layout::HEADER_WORDS;
use crate::memory::Words;
use crate::message::{Command, Event};
use crate::page::{self, page_words};
use crate::pages::PagesView;
use crate::region::{self, RegionKind};
use crate::sync::{LINE_WORDS, Ordering};

/// Slots of the lanes under test: few, so that cursors wrap within a short input.
pub(crate) const SLOTS: usize = 4;

/// Everything below with the same bytes.
pub fn all(bytes: &[u8]) {
    lane(bytes);
    page(bytes);
    pages(bytes);
    histogram(bytes);
    handover(bytes);
}

/// The bytes as a lane's memory, for either end, of either message. The first byte of each line of
/// cursors is enough to make them plausible.
pub fn lane(bytes: &[u8]) {
    receive::<Command>(bytes);
    receive::<Event>(bytes);
    send::<Command>(bytes, &Command::Snapshot { request: 1 });
    send::<Event>(bytes, &Event::Resync);
}

fn receive<M: Message>(bytes: &[u8]) {
    let words = words_of(bytes, lane_words::<M>(SLOTS));
    let mut receiver = Receiver::<M>::new(words.clone());
    let mut taken = 0;
    while receiver.try_receive().is_some() {
        taken += 1;
        assert!(taken <= SLOTS, "no more messages than slots without a writer");
    }
    assert!(receiver.prepare_sleep() || !receiver.is_closed());
    // A writer that moves its cursor back and forth.
    for tail in [0, SLOTS as u64 * 2, u64::MAX, 1] {
        words[0].store(tail, Ordering::Relaxed);
        let _ = receiver.try_receive();
    }
}

fn send<M: Message>(bytes: &[u8], message: &M) {
    let words = words_of(bytes, lane_words::<M>(SLOTS));
    let mut sender = Sender::<M>::new(words.clone());
    for _ in 0..3 * SLOTS {
        let _ = sender.try_send(message);
        let _ = sender.reader_sleeps();
    }
    for head in [0, SLOTS as u64 * 2, u64::MAX, 1] {
        words[LINE_WORDS].store(head, Ordering::Relaxed);
        let _ = sender.try_send(message);
    }
}

/// The bytes as a page, to read and to publish in.
pub fn page(bytes: &[u8]) {
    let words = words_of(bytes, page_words(8));
    let mut values = [0; 8];
    let _ = page::read(&words, &mut values);
    page::publish(&words, &[3; 8]);
    assert!(page::read(&words, &mut values).is_ok() && values == [3; 8]);
}

/// The bytes as a pages region whose header is good: the boot page and everything that follows from
/// it is theirs.
pub fn pages(bytes: &[u8]) {
    let Some(view) = view_of(bytes) else { return };
    for shard in [0, 1, view.boot().limits.shards, u16::MAX] {
        let _ = view.beat_ns(shard);
        let _ = view.latency(shard);
        assert!(view.counters(shard).is_none_or(|counters| counters.len() == Counter::COUNT));
        for slot in [0, 1, view.boot().limits.forwards_per_shard, u32::MAX] {
            let _ = view.forward(shard, slot, 1);
            let _ = view.destination(shard, slot, 1);
        }
    }
}

/// The pages that the bytes are behind a good header, if they pass for some.
pub(crate) fn view_of(bytes: &[u8]) -> Option<PagesView> {
    /// Larger than any input that is worth trying, and room for one small shard.
    const MOST_WORDS: usize = 1 << 14;
    let found = HEADER_WORDS + bytes.len().div_ceil(8);
    let words = Words::zeroed(found.min(MOST_WORDS));
    for (word, value) in words[HEADER_WORDS..].iter().zip(values_of(bytes)) {
        word.store(value, Ordering::Relaxed);
    }
    region::write_header(&words, RegionKind::Pages, 1);
    let boot_id = region::check_header(&words, RegionKind::Pages).expect("a good header");
    PagesView::over(words, boot_id).ok()
}

/// The bytes as a published histogram; if it decodes it must be usable.
pub fn histogram(bytes: &[u8]) {
    let mut words = vec![bytes.len() as u64];
    words.extend(values_of(bytes).take(LATENCY_WORDS - 1));
    let own_length = words[1..].to_vec();
    for words in [words, own_length] {
        if let Some(histogram) = latency::decode(&words) {
            let _ = (histogram.value_at_quantile(0.99), histogram.mean(), histogram.max());
        }
    }
}

/// The bytes as messages of the hand-over.
pub fn handover(bytes: &[u8]) {
    let mut packet = [0; 8];
    for (word, value) in packet.iter_mut().zip(values_of(bytes)) {
        *word = value;
    }
    let _ = crate::handover::read_hello(&packet, 0);
    let _ = crate::handover::read_answer(&packet);
}

/// `bytes` as little-endian words, the last one padded.
fn values_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.chunks(8).map(|bytes| {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(padded)
    })
}

/// `count` words that begin with `bytes`.
fn words_of(bytes: &[u8], count: usize) -> Words {
    let mut values: Vec<u64> = values_of(bytes).take(count).collect();
    values.resize(count, 0);
    Words::from_values(&values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::SLOT_BYTES;
    use proptest::prelude::*;

    #[test]
    fn uniform_bytes() {
        for byte in [0, 1, 2, 4, 0x7f, 0x80, 0xff] {
            // Miri is slow, and looks for other things than the values.
            let lengths: &[usize] = if cfg!(miri) { &[400] } else { &[0, 1, 8, 64, 400, 1000] };
            for length in lengths {
                all(&vec![byte; *length]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 512 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            all(&bytes);
        }

        #[test]
        fn any_slots_behind_plausible_cursors(
            tail in 0..6u64,
            bytes in proptest::collection::vec(any::<u8>(), SLOTS * SLOT_BYTES),
            tag in 0..8u8,
        ) {
            let mut memory = vec![0; 3 * LINE_WORDS * 8];
            memory[0] = tail as u8;
            memory.extend(&bytes);
            lane(&memory);
            // A good tag before rubbish gets further into the check.
            let slots = memory.len() - bytes.len();
            memory[slots] = tag;
            lane(&memory);
        }

        #[test]
        fn any_counts_behind_a_good_header(
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = latency::expected_header(payload.len()).to_vec();
            bytes.extend(&payload);
            histogram(&bytes);
        }
    }
}
