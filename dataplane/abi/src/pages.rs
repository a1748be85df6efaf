//! The pages region: what the data plane tells whoever wants to read.
//!
//! **Where.** Header, boot page, then one block per shard: heartbeat, counters, latency histogram,
//! forward records, destination records. Every part begins on a line of its own. All offsets follow
//! from the limits in the boot page.
//!
//! **Who writes.** The boot page: the data plane, once, before anyone joins. A shard's block: that
//! shard alone, through its one [`ShardPages`]. **Who reads.** Anyone who joined, through a
//! [`PagesView`] on a read-only mapping; the region is sealed against writing by anyone but the
//! creator. Reading costs a shard nothing.
//!
//! **Order.** Every part but the heartbeat is a [`page`]; parts are consistent in themselves and
//! not with each other. The heartbeat is one word.
//!
//! **Overrun.** A later publishing replaces the earlier one. A record slot is reused after its
//! forward or destination is gone: the record carries its key, and another key means "not there".
//!
//! **Death.** The pages stay readable and stop changing: the heartbeat grows old. **Restart.** A
//! new region with a new boot id; whoever holds the old one joins again.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64 as Bits, Ordering as BitsOrdering};

use hdrhistogram::Histogram;

use crate::boot::{BOOT_WORDS, Boot, Limits};
use crate::counters::Counter;
use crate::latency::{self, LATENCY_WORDS};
use crate::layout::{HEADER_WORDS, RECORD_STRIDE_WORDS};
use crate::memory::Words;
use crate::page::{self, page_words};
use crate::region::{self, Region, RegionError, RegionKind};
use crate::stats::{DestinationStats, ForwardStats, Record};
use crate::sync::{AtomicU64, LINE_WORDS, Ordering};

const BOOT_AT: usize = HEADER_WORDS;
const SHARDS_AT: usize = BOOT_AT + lines(page_words(BOOT_WORDS));

// Within a shard's block.
const BEAT_AT: usize = 0;
const COUNTERS_AT: usize = LINE_WORDS;
const LATENCY_AT: usize = COUNTERS_AT + lines(page_words(Counter::COUNT));
const FORWARDS_AT: usize = LATENCY_AT + lines(page_words(LATENCY_WORDS));

const MOST_RECORD_WORDS: usize = RECORD_STRIDE_WORDS - 1;

/// `words` rounded up to whole lines.
const fn lines(words: usize) -> usize {
    words.next_multiple_of(LINE_WORDS)
}

/// Where everything of a region with some limits is, in words.
#[derive(Clone, Copy, Debug)]
struct Layout {
    shards: usize,
    forwards: usize,
    destinations: usize,
}

impl Layout {
    /// `limits` were checked, so that no sum overflows.
    fn new(limits: &Limits) -> Self {
        Self {
            shards: usize::from(limits.shards),
            forwards: limits.forwards_per_shard as usize,
            destinations: limits.destinations_per_shard as usize,
        }
    }

    fn words(self) -> usize {
        SHARDS_AT + self.shards * self.shard_words()
    }

    fn shard_words(self) -> usize {
        FORWARDS_AT + (self.forwards + self.destinations) * RECORD_STRIDE_WORDS
    }

    fn shard(self, index: u16) -> Option<Range<usize>> {
        let first = SHARDS_AT + usize::from(index) * self.shard_words();
        (usize::from(index) < self.shards).then(|| first..first + self.shard_words())
    }

    fn forward(self, slot: u32) -> Option<Range<usize>> {
        let first = FORWARDS_AT + slot as usize * RECORD_STRIDE_WORDS;
        ((slot as usize) < self.forwards).then(|| first..first + RECORD_STRIDE_WORDS)
    }

    fn destination(self, slot: u32) -> Option<Range<usize>> {
        let first = FORWARDS_AT + (self.forwards + slot as usize) * RECORD_STRIDE_WORDS;
        ((slot as usize) < self.destinations).then(|| first..first + RECORD_STRIDE_WORDS)
    }
}

const COUNTERS: Range<usize> = COUNTERS_AT..COUNTERS_AT + page_words(Counter::COUNT);
const LATENCY: Range<usize> = LATENCY_AT..LATENCY_AT + page_words(LATENCY_WORDS);
const BOOT: Range<usize> = BOOT_AT..BOOT_AT + page_words(BOOT_WORDS);

/// The data plane's side: makes the region and deals out the shards' blocks.
#[derive(Debug)]
pub struct PagesOwner {
    region: Region,
    boot: Boot,
    /// One bit for each shard whose block was dealt out.
    taken: Bits,
}

impl PagesOwner {
    /// Makes the region for `boot` and publishes the boot page.
    pub fn create(boot: &Boot) -> Result<Self, RegionError> {
        let words = boot.to_words()?;
        let layout = Layout::new(&boot.limits);
        let region = Region::create(RegionKind::Pages, layout.words(), boot.boot_id)?;
        page::publish(&region.words()[BOOT], &words);
        Ok(Self { region, boot: boot.clone(), taken: Bits::new(0) })
    }

    /// The writer of shard `index`'s block.
    ///
    /// # Panics
    /// When there is no such shard or its writer was given away before: a page has one writer.
    pub fn shard(&self, index: u16) -> ShardPages {
        let layout = Layout::new(&self.boot.limits);
        let block = layout.shard(index).unwrap_or_else(|| panic!("there is no shard {index}"));
        let bit = 1 << index;
        let before = self.taken.fetch_or(bit, BitsOrdering::Relaxed);
        assert!(before & bit == 0, "the pages of shard {index} have a writer already");
        ShardPages::new(self.region.words().part(block), layout)
    }

    /// What the boot page says.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// A view on the same pages, as a peer gets it.
    pub fn view(&self) -> Result<PagesView, RegionError> {
        PagesView::join(self.fd())
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.region.fd()
    }

    #[cfg(test)]
    pub(crate) fn words(&self) -> &Words {
        self.region.words()
    }
}

/// A shard's side: publishes the shard's block. Nothing here allocates or makes a system call.
pub struct ShardPages {
    block: Words,
    layout: Layout,
    encoder: latency::Encoder,
}

impl ShardPages {
    fn new(block: Words, layout: Layout) -> Self {
        Self { block, layout, encoder: latency::Encoder::new() }
    }

    /// Says that the shard lives. `now_ns` is `CLOCK_MONOTONIC`, and never 0.
    pub fn beat(&mut self, now_ns: u64) {
        self.block[BEAT_AT].store(now_ns, Ordering::Relaxed);
    }

    /// Publishes all counters.
    pub fn publish_counters(&mut self, counters: &[u64; Counter::COUNT]) {
        page::publish(&self.block[COUNTERS], counters);
    }

    /// Publishes the latency from kernel receive to send submitted, ns; a histogram made by
    /// [`crate::latency::latency_histogram`].
    pub fn publish_latency(&mut self, histogram: &Histogram<u64>) {
        page::publish(&self.block[LATENCY], self.encoder.encode(histogram));
    }

    /// Publishes the record of the forward in `slot`; the default record frees the slot.
    ///
    /// # Panics
    /// When `slot` is not below [`Limits::forwards_per_shard`]: a bug of the shard's table.
    pub fn publish_forward(&mut self, slot: u32, stats: &ForwardStats) {
        let record = self.layout.forward(slot).expect("a slot within the limits");
        publish_record(&self.block[record], stats);
    }

    /// Publishes the record of the destination in `slot`; the default record frees the slot.
    ///
    /// # Panics
    /// When `slot` is not below [`Limits::destinations_per_shard`]: a bug of the shard's table.
    pub fn publish_destination(&mut self, slot: u32, stats: &DestinationStats) {
        let record = self.layout.destination(slot).expect("a slot within the limits");
        publish_record(&self.block[record], stats);
    }
}

fn publish_record<R: Record>(page: &[AtomicU64], record: &R) {
    let mut words = [0; MOST_RECORD_WORDS];
    record.to_words(&mut words[..R::WORDS]);
    page::publish(page, &words[..R::WORDS]);
}

/// A peer's side: reads everything, can write nothing. `None` means: no such thing, not published
/// yet, or the shard was at work on it at every try.
#[derive(Clone, Debug)]
pub struct PagesView {
    words: Words,
    layout: Layout,
    boot: Boot,
}

impl PagesView {
    /// Maps the pages behind `fd` read-only and checks them.
    pub(crate) fn join(fd: BorrowedFd<'_>) -> Result<PagesView, RegionError> {
        let (words, boot_id) = region::join(fd, RegionKind::Pages)?;
        Self::over(words, boot_id)
    }

    /// The view over `words`, whose header was checked and named `boot_id`.
    pub(crate) fn over(words: Words, boot_id: u64) -> Result<PagesView, RegionError> {
        let found = words.len() as u64 * 8;
        if words.len() < SHARDS_AT {
            return Err(RegionError::Size { found, expected: SHARDS_AT as u64 * 8 });
        }
        let mut values = [0; BOOT_WORDS];
        page::read(&words[BOOT], &mut values)
            .map_err(|_| RegionError::Boot("it is not published"))?;
        let boot = Boot::from_words(&values)?;
        if boot.boot_id != boot_id {
            return Err(RegionError::OtherBoot);
        }
        let layout = Layout::new(&boot.limits);
        if words.len() != layout.words() {
            return Err(RegionError::Size { found, expected: layout.words() as u64 * 8 });
        }
        Ok(PagesView { words, layout, boot })
    }

    /// What this start of the data plane is.
    pub fn boot(&self) -> &Boot {
        &self.boot
    }

    /// When the shard last said that it lives, `CLOCK_MONOTONIC` ns; 0: never, or no such shard.
    pub fn beat_ns(&self, shard: u16) -> u64 {
        self.block(shard).map_or(0, |block| block[BEAT_AT].load(Ordering::Relaxed))
    }

    /// All counters of the shard, indexed by [`Counter`].
    pub fn counters(&self, shard: u16) -> Option<[u64; Counter::COUNT]> {
        let mut values = [0; Counter::COUNT];
        page::read(&self.block(shard)?[COUNTERS], &mut values).ok()?;
        Some(values)
    }

    /// Latency from kernel receive to send submitted since boot, ns.
    pub fn latency(&self, shard: u16) -> Option<Histogram<u64>> {
        let mut values = vec![0; LATENCY_WORDS];
        page::read(&self.block(shard)?[LATENCY], &mut values).ok()?;
        latency::decode(&values)
    }

    /// The record of the forward `key`, which its [`Bound::stats_slot`] says is in `slot`.
    ///
    /// [`Bound::stats_slot`]: crate::message::Bound::stats_slot
    pub fn forward(&self, shard: u16, slot: u32, key: u64) -> Option<ForwardStats> {
        let stats: ForwardStats = self.record(shard, self.layout.forward(slot)?)?;
        (stats.key == key).then_some(stats)
    }

    /// The record of the destination `key`, which its creation's answer says is in `slot`.
    pub fn destination(&self, shard: u16, slot: u32, key: u64) -> Option<DestinationStats> {
        let stats: DestinationStats = self.record(shard, self.layout.destination(slot)?)?;
        (stats.key == key).then_some(stats)
    }

    fn record<R: Record>(&self, shard: u16, page: Range<usize>) -> Option<R> {
        let mut words = [0; MOST_RECORD_WORDS];
        page::read(&self.block(shard)?[page], &mut words[..R::WORDS]).ok()?;
        Some(R::from_words(&words[..R::WORDS]))
    }

    fn block(&self, shard: u16) -> Option<&[AtomicU64]> {
        Some(&self.words[self.layout.shard(shard)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::tests::boot;
    use crate::latency::latency_histogram;

    /// A region on the heap: the writer of shard 1 and a view.
    fn on_heap() -> (ShardPages, PagesView) {
        let layout = Layout::new(&boot().limits);
        let words = Words::zeroed(layout.words());
        region::write_header(&words, RegionKind::Pages, boot().boot_id);
        page::publish(&words[BOOT], &boot().to_words().expect("a good boot"));
        let block = layout.shard(1).expect("shard 1");
        let view = PagesView::over(words.clone(), boot().boot_id).expect("good pages");
        (ShardPages::new(words.part(block), layout), view)
    }

    #[test]
    fn a_view_reads_what_a_shard_publishes() {
        let (mut shard, view) = on_heap();
        assert_eq!((view.boot(), view.beat_ns(1)), (&boot(), 0));
        assert!(view.counters(1).is_none() && view.latency(1).is_none());

        shard.beat(5);
        shard.publish_counters(&[3; Counter::COUNT]);
        let mut latency = latency_histogram();
        latency.saturating_record(1500);
        shard.publish_latency(&latency);
        assert_eq!(view.beat_ns(1), 5);
        assert_eq!(view.counters(1), Some([3; Counter::COUNT]));
        assert_eq!(view.latency(1), Some(latency));
        assert!(view.counters(0).is_none(), "the other shard's block is untouched");
        assert!(view.counters(2).is_none(), "there is no shard 2");
    }

    #[test]
    fn records_are_found_by_slot_and_key() {
        let (mut shard, view) = on_heap();
        let limits = boot().limits;
        for slot in 0..limits.forwards_per_shard {
            let key = 100 + u64::from(slot);
            assert!(view.forward(1, slot, key).is_none());
            shard.publish_forward(slot, &ForwardStats { key, packets: 1, ..Default::default() });
        }
        for slot in 0..limits.destinations_per_shard {
            let key = 200 + u64::from(slot);
            let stats = DestinationStats { key, last_report_ns: 9, ..Default::default() };
            shard.publish_destination(slot, &stats);
        }
        let last = limits.forwards_per_shard - 1;
        assert_eq!(view.forward(1, last, 107).map(|stats| stats.packets), Some(1));
        assert_eq!(view.destination(1, 15, 215).map(|stats| stats.last_report_ns), Some(9));
        assert!(view.forward(1, last, 106).is_none(), "someone else's slot");
        assert!(view.forward(0, last, 107).is_none(), "another shard");
        for slot in [limits.forwards_per_shard, u32::MAX] {
            assert!(view.forward(1, slot, 107).is_none());
        }
        assert!(view.destination(1, u32::MAX, 215).is_none());
        shard.publish_forward(last, &ForwardStats::default());
        assert!(view.forward(1, last, 107).is_none(), "a free slot");
    }

    #[test]
    fn a_view_refuses_pages_that_do_not_add_up() {
        let words = Words::zeroed(SHARDS_AT);
        let error = |words: &Words, boot_id| {
            PagesView::over(words.clone(), boot_id).expect_err("bad pages").to_string()
        };
        assert!(error(&words.part(0..HEADER_WORDS), 0).contains("bytes"));
        assert!(error(&words, 0).contains("not published"));
        page::publish(&words[BOOT], &boot().to_words().expect("a good boot"));
        assert!(error(&words, 0).contains("another start"));
        assert!(error(&words, boot().boot_id).contains("bytes"));
    }

    #[test]
    #[cfg_attr(miri, ignore = "memfd")]
    fn a_joined_view_follows_the_owner() {
        let owner = PagesOwner::create(&boot()).expect("memory");
        let view = owner.view().expect("pages");
        let mut shard = owner.shard(0);
        shard.beat(77);
        shard.publish_forward(3, &ForwardStats { key: 1, ..Default::default() });
        assert_eq!((view.boot(), view.beat_ns(0)), (&boot(), 77));
        assert!(view.forward(0, 3, 1).is_some());
    }

    #[test]
    #[cfg_attr(miri, ignore = "memfd")]
    #[should_panic(expected = "have a writer already")]
    fn a_block_has_one_writer() {
        let owner = PagesOwner::create(&boot()).expect("memory");
        let _first = owner.shard(0);
        owner.shard(0);
    }
}
