//! What was received lately, to be sent again: one history per source layer, in plaintext.
//!
//! Packets lie in blocks of a pool that all histories of a shard share, and are found again by the
//! sequence number under which they came. Blocks, not references to receive buffers: the ring of
//! receive buffers is what the kernel fills, a second of video of every publisher would hold most
//! of it back, and then the loss would begin at the door. It costs no pass over the packet: media
//! is opened from the receive buffer straight into its place ([`History::place`]), which takes 500
//! ns of AES-128-GCM for 1160 octets, where copying, opening and copying again took 545.
//!
//! Blocks follow the bitrate: a layer that nobody sends holds none, and what all histories together
//! hold never exceeds the pool.

use std::collections::VecDeque;

/// Octets of a block. Raised, slow streams waste more of their last block; lowered, more of each
/// block's end stays empty, for a packet never spans two.
pub const BLOCK_BYTES: usize = 4096;

/// How long a packet is kept. Raised, memory grows with it; lowered below a round trip and the
/// receiver's patience, what is asked for is gone.
pub const MAX_AGE_NS: u64 = 1_000_000_000;

/// Packets of one video layer that are kept, at most.
pub const VIDEO_PACKETS: usize = 512;
/// Packets of one audio stream that are kept, at most.
pub const AUDIO_PACKETS: usize = 256;

/// Blocks that one history may hold: 512 packets of full size. Lowered, a burst of key frames at a
/// high bitrate is forgotten early; raised, one publisher may take more of what all share.
const MAX_BLOCKS: usize = 256;

/// The memory of all histories of one shard.
#[derive(Debug)]
pub struct HistoryPool {
    bytes: Box<[u8]>,
    free: Vec<u32>,
}

impl HistoryPool {
    /// A pool of `blocks` blocks; all memory that histories will ever use.
    pub fn new(blocks: u32) -> Self {
        Self {
            bytes: vec![0; blocks as usize * BLOCK_BYTES].into_boxed_slice(),
            free: (0..blocks).rev().collect(),
        }
    }

    /// Blocks that no history holds.
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    /// The octets of a place.
    pub fn room(&mut self, place: &Place) -> &mut [u8] {
        &mut self.block_mut(place.block)[place.offset..][..place.len]
    }

    fn block(&self, block: u32) -> &[u8] {
        &self.bytes[block as usize * BLOCK_BYTES..][..BLOCK_BYTES]
    }

    fn block_mut(&mut self, block: u32) -> &mut [u8] {
        &mut self.bytes[block as usize * BLOCK_BYTES..][..BLOCK_BYTES]
    }
}

/// Room for a packet that was not taken yet; void when anything else is kept in the same pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    block: u32,
    offset: usize,
    len: usize,
    /// The block is free still.
    fresh: bool,
}

/// Where a packet lies. A slot outlives its packet: it is valid only while its block is held.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Counts the blocks of this history; 0: never used.
    serial: u32,
    sequence: u16,
    offset: u16,
    len: u16,
}

/// A block held, and when the last packet was put into it.
#[derive(Clone, Copy, Debug)]
struct Held {
    block: u32,
    newest_ns: u64,
}

/// What one layer sent lately.
#[derive(Debug)]
pub struct History {
    slots: Box<[Slot]>,
    /// Oldest first; the last is being filled.
    held: VecDeque<Held>,
    /// Serial of the oldest block held.
    oldest: u32,
    /// Octets used of the block being filled.
    filled: usize,
}

impl History {
    /// A history of at most `packets` packets, a power of two up to 32768.
    ///
    /// # Panics
    /// If `packets` is no power of two: slots are found by masking.
    pub fn new(packets: usize) -> Self {
        assert!(packets.is_power_of_two() && packets <= 32_768, "{packets} packets of history");
        Self {
            slots: vec![Slot::default(); packets].into_boxed_slice(),
            held: VecDeque::with_capacity(MAX_BLOCKS),
            oldest: 1,
            filled: 0,
        }
    }

    /// Keeps `packet`, an RTP packet without its padding that came under `sequence`. `false` where
    /// it is longer than a block or the pool has nothing left.
    pub fn push(
        &mut self,
        now_ns: u64,
        pool: &mut HistoryPool,
        sequence: u16,
        packet: &[u8],
    ) -> bool {
        if packet.len() > BLOCK_BYTES {
            return false;
        }
        if (self.held.is_empty() || self.filled + packet.len() > BLOCK_BYTES)
            && !self.begin_block(now_ns, pool)
        {
            return false;
        }
        let Some(held) = self.held.back() else { return false };
        let offset = self.filled;
        pool.block_mut(held.block)[offset..][..packet.len()].copy_from_slice(packet);
        self.filled += packet.len();
        self.note(now_ns, sequence, offset, packet.len());
        true
    }

    /// Notes where in the newest block a packet lies.
    fn note(&mut self, now_ns: u64, sequence: u16, offset: usize, len: usize) {
        let serial = self.oldest.wrapping_add(self.held.len() as u32 - 1);
        if let Some(held) = self.held.back_mut() {
            held.newest_ns = now_ns;
        }
        let at = self.slot_of(sequence);
        self.slots[at] = Slot { serial, sequence, offset: offset as u16, len: len as u16 };
    }

    /// Room for a packet of up to `len` octets, for those who can write it there themselves. `None`
    /// where [`Self::push`] would have to make room first. It takes nothing: whether the packet may
    /// be kept is often known only when it is written.
    pub fn place(&self, pool: &HistoryPool, len: usize) -> Option<Place> {
        if let Some(held) = self.held.back()
            && self.filled + len <= BLOCK_BYTES
        {
            return Some(Place { block: held.block, offset: self.filled, len, fresh: false });
        }
        let block = *pool.free.last().filter(|_| self.held.len() < MAX_BLOCKS)?;
        (len <= BLOCK_BYTES).then_some(Place { block, offset: 0, len, fresh: true })
    }

    /// Keeps what was written into `place`: octets `packet` of it, as the packet that came under
    /// `sequence`.
    pub fn keep(
        &mut self,
        now_ns: u64,
        pool: &mut HistoryPool,
        place: Place,
        sequence: u16,
        packet: std::ops::Range<usize>,
    ) {
        assert!(packet.start <= packet.end && packet.end <= place.len, "a packet within its place");
        if place.fresh {
            assert_eq!(pool.free.pop(), Some(place.block), "nothing was kept since");
            self.held.push_back(Held { block: place.block, newest_ns: now_ns });
            self.expire(now_ns, pool);
        }
        self.filled = place.offset + packet.end;
        self.note(now_ns, sequence, place.offset + packet.start, packet.len());
    }

    /// The packet that came under `sequence`, if it is still kept.
    pub fn get<'a>(&self, pool: &'a HistoryPool, sequence: u16) -> Option<&'a [u8]> {
        let slot = self.slots[self.slot_of(sequence)];
        let age = slot.serial.wrapping_sub(self.oldest) as usize;
        if slot.sequence != sequence || slot.serial == 0 {
            return None;
        }
        let held = self.held.get(age)?;
        pool.block(held.block).get(usize::from(slot.offset)..)?.get(..usize::from(slot.len))
    }

    /// Gives back what is too old. To be called now and then, so that a layer that fell silent
    /// holds nothing.
    pub fn expire(&mut self, now_ns: u64, pool: &mut HistoryPool) {
        while let Some(held) = self.held.front()
            && now_ns.saturating_sub(held.newest_ns) > MAX_AGE_NS
        {
            self.release_oldest(pool);
        }
    }

    /// Gives everything back. A history that is dropped without this leaks its blocks.
    pub fn clear(&mut self, pool: &mut HistoryPool) {
        while !self.held.is_empty() {
            self.release_oldest(pool);
        }
    }

    /// Blocks held.
    pub fn blocks(&self) -> usize {
        self.held.len()
    }

    fn slot_of(&self, sequence: u16) -> usize {
        usize::from(sequence) & (self.slots.len() - 1)
    }

    fn begin_block(&mut self, now_ns: u64, pool: &mut HistoryPool) -> bool {
        self.expire(now_ns, pool);
        if pool.free.is_empty() || self.held.len() == MAX_BLOCKS {
            // Its own oldest packets make room for the newest.
            self.release_oldest(pool);
        }
        let Some(block) = pool.free.pop() else { return false };
        self.held.push_back(Held { block, newest_ns: now_ns });
        self.filled = 0;
        true
    }

    fn release_oldest(&mut self, pool: &mut HistoryPool) {
        if let Some(held) = self.held.pop_front() {
            pool.free.push(held.block);
            self.oldest = match self.oldest.wrapping_add(1) {
                // 0 marks a slot that was never used.
                0 => 1,
                next => next,
            };
        }
    }
}

/// How often one packet is sent again to one subscriber. Raised, a subscriber on a bad path costs
/// more; lowered, loss of the repair itself shows.
const MAX_RESENDS: u8 = 3;

/// How long a request for the same packet is taken for a repetition of the last.
const REPEAT_NS: u64 = 100_000_000;

/// Requests remembered per subscription. Raised, memory; lowered, a burst of loss makes the limits
/// forget.
const REMEMBERED: usize = 64;

/// A packet that was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Resend {
    sequence: u16,
    times: u8,
    /// Low 32 bits of the time in 2^20 ns, about a millisecond.
    asked: u32,
}

/// What one subscriber asked for lately, by the sequence numbers that it sees.
#[derive(Clone, Debug)]
pub struct Resends {
    entries: [Resend; REMEMBERED],
    next: usize,
}

impl Default for Resends {
    fn default() -> Self {
        Self { entries: [Resend::default(); REMEMBERED], next: 0 }
    }
}

impl Resends {
    /// Whether the packet that the subscriber sees as `sequence` shall be sent again now. Counts as
    /// one answer when it says so.
    pub fn allow(&mut self, now_ns: u64, sequence: u16) -> bool {
        let asked = (now_ns >> 20) as u32;
        let known =
            self.entries.iter_mut().find(|entry| entry.times > 0 && entry.sequence == sequence);
        let Some(entry) = known else {
            self.entries[self.next] = Resend { sequence, times: 1, asked };
            self.next = (self.next + 1) % REMEMBERED;
            return true;
        };
        let since_ns = u64::from(asked.wrapping_sub(entry.asked)) << 20;
        if since_ns > MAX_AGE_NS * 4 {
            // The numbers came round: another packet.
            *entry = Resend { sequence, times: 1, asked };
            return true;
        }
        if since_ns < REPEAT_NS || entry.times == MAX_RESENDS {
            return false;
        }
        entry.times += 1;
        entry.asked = asked;
        true
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
